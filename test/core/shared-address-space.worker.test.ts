import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import {
  bytes,
  GuestMemory,
  type RegionInit,
  SharedAddressSpace,
  shared,
  u32,
} from '../../src/core/index.ts';
import { COUNTS, PAIRS, PLUG_SIZE, POISON, pairAt, STOP } from './hot-plug.ts';
import type { SpaceTask } from './shared-address-space-worker.ts';

const WORKERS = 2;
/** What has not happened after so long is not going to happen on this runtime. */
const LIMIT_MS = 60_000;
/** Pairs that are plugged or unplugged in a run. */
const CHANGES = 120;
/** So many new maps, as seen by the Workers, show that both sides ran at once. */
const SEEN = 60;

type Counts = Record<keyof typeof COUNTS, number>;

/** How the owner of the address space goes about it. */
interface Owner {
  /** Where plugged regions come from. */
  readonly from: 'the pool' | 'buffers of their own';
  /** Workers take messages at once. */
  readonly atOnce?: boolean;
  readonly planted?: 'no wait for quiescence' | 'published in two steps';
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

describe('S3: hot-plug and unplug under load', () => {
  let workers: Worker[] = [];

  function start(): Worker {
    return new Worker(new URL('./shared-address-space-worker.js', import.meta.url));
  }
  // Anew for each test: one in which a Worker failed takes no other along.
  beforeEach(() => {
    workers = Array.from({ length: WORKERS }, start);
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  function heard(worker: Worker, wanted: string): Promise<void> {
    return new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', (message: unknown) => {
        worker.off('error', reject);
        if (message === wanted) resolve();
        else reject(new Error(`the worker said ${String(message)}`));
      });
    });
  }

  function send(worker: Worker, task: SpaceTask): void {
    worker.postMessage(task, [task.handle.port]);
  }

  /** Plugs and unplugs pairs while the Workers do I/O on them, until `enough`; answers what they counted. */
  async function run(owner: Owner, enough: (changes: number, counts: Counts) => boolean): Promise<Counts> {
    const control = new Int32Array(new SharedArrayBuffer(64));
    const pool = shared(PAIRS * 2 * PLUG_SIZE);
    const [ram = new Uint8Array()] = pool.mapped ?? [];
    const base = GuestMemory.allocate(0x1000, { shared: true, name: 'ram' });
    const space = new SharedAddressSpace(base, { pools: [pool], maxRegions: 2 * PAIRS + 1 });
    const done = Promise.all(workers.map((worker) => heard(worker, 'done')));
    for (const [lane, worker] of workers.entries())
      send(worker, { kind: 'load', handle: space.share(), control, lane, atOnce: owner.atOnce ?? false });

    const plugged: (readonly Uint8Array[] | undefined)[] = Array.from({ length: PAIRS }, () => undefined);
    const update = async (steps: readonly ((memory: GuestMemory) => GuestMemory)[]): Promise<number> => {
      if (owner.planted !== 'published in two steps')
        return space.update((memory) => steps.reduce((next, step) => step(next), memory));
      for (const step of steps) {
        await space.update(step);
        // Where all share a processor, nobody looks in between unless there is time.
        if (space.generation % 8 === 0) await pause(0);
      }
      return space.generation;
    };
    const change = async (pair: number): Promise<void> => {
      const starts = pairAt(pair);
      const there = plugged[pair];
      if (there === undefined) {
        const made = starts.map((_, i) => {
          const at = (2 * pair + i) * PLUG_SIZE;
          return owner.from === 'the pool'
            ? ram.subarray(at, at + PLUG_SIZE)
            : new Uint8Array(new SharedArrayBuffer(PLUG_SIZE));
        });
        for (const part of made) part.fill(0);
        const inits = made.map((part, i): RegionInit => ({ start: starts[i] ?? 0, backing: bytes(part) }));
        await update(inits.map((init) => (memory) => memory.insertRegion(init)));
        plugged[pair] = made;
      } else {
        const generation = await update(starts.map((at) => (memory) => memory.removeRegion(at, PLUG_SIZE)));
        if (owner.planted !== 'no wait for quiescence') await space.quiesced(generation);
        for (const part of there) part.fill(POISON);
        plugged[pair] = undefined;
      }
    };

    const counts = (): Counts => {
      const read = (word: number): number => Atomics.load(control, word);
      const { mixes, poison, lost, rounds, changes } = COUNTS;
      return {
        mixes: read(mixes),
        poison: read(poison),
        lost: read(lost),
        rounds: read(rounds),
        changes: read(changes),
      };
    };
    const began = performance.now();
    for (let changes = 0; !enough(changes, counts()) && performance.now() - began < LIMIT_MS; changes++) {
      // A Worker that failed gives nothing back: it fails the test, and nobody waits for it.
      await Promise.race([change((changes * 7) % PAIRS), done]);
      // Some changes come at once, others when the Workers have gone on.
      if (changes % 3 === 0) await Promise.race([pause(1), done]);
    }
    Atomics.store(control, STOP, 1);
    await done;
    const result = counts();
    const written = workers.reduce((sum, _, lane) => sum + base.load(u32, 4 * lane), 0);
    assert.equal(written, result.rounds, 'rounds of the Workers, by the region that was always there');
    assert.deepEqual(space.holders(), []);
    space.close();
    return result;
  }

  for (const owner of [
    { from: 'the pool' },
    { from: 'buffers of their own' },
    { from: 'buffers of their own', atOnce: true },
  ] as const satisfies readonly Owner[]) {
    const how = 'atOnce' in owner ? ', taken at once' : '';
    it(`S3: nothing is lost, no mix is seen, with regions from ${owner.from}${how}`, async () => {
      const counts = await run(owner, (changes, { changes: seen }) => changes >= CHANGES && seen >= SEEN);
      const { mixes, poison, lost, changes } = counts;
      assert.deepEqual({ mixes, poison, lost }, { mixes: 0, poison: 0, lost: 0 });
      assert(changes >= SEEN, `only ${changes} new maps were seen: it proves nothing here`);
    });
  }

  it('S3: this race catches memory that is given back without waiting', async () => {
    const planted = await run(
      { from: 'the pool', planted: 'no wait for quiescence' },
      (_, { poison, lost }) => poison + lost > 0,
    );
    assert(planted.poison + planted.lost > 0, 'nobody noticed: the tests above prove nothing here');
  });

  it('S3: this race catches a change that is published in two steps', async () => {
    const planted = await run(
      { from: 'the pool', planted: 'published in two steps' },
      (_, { mixes }) => mixes > 0,
    );
    assert(planted.mixes > 0, 'nobody noticed: the tests above prove nothing here');
  });

  it('M12 S2: no page is lost from when tracking started, whatever Workers write meanwhile', async () => {
    const control = new Int32Array(new SharedArrayBuffer(64));
    const memory = GuestMemory.allocate(64 * 0x1000, { shared: true });
    const space = new SharedAddressSpace(memory);
    const done = Promise.all(workers.map((worker) => heard(worker, 'done')));
    for (const [lane, worker] of workers.entries())
      send(worker, { kind: 'write', handle: space.share(), control, lane, atOnce: lane === 1 });
    while (Atomics.load(control, COUNTS.rounds) < 50) await Promise.race([pause(1), done]);
    const tracking = await space.startTracking();
    const copy = GuestMemory.allocate(64 * 0x1000);
    copy.copyFrom(memory, 0, 0, 64 * 0x1000);
    let moved = 0;
    const move = (): void => {
      for (const { gpa, length } of tracking.drain()) {
        copy.copyFrom(memory, gpa, gpa, length);
        moved++;
      }
    };
    for (const began = performance.now(); moved < 100 && performance.now() - began < LIMIT_MS; ) {
      move();
      await Promise.race([pause(0), done]);
    }
    Atomics.store(control, STOP, 1);
    await done;
    move();
    assert(moved >= 100, `only ${moved} ranges were moved: it proves nothing here`);
    assert.deepEqual(copy.readBytes(0, 64 * 0x1000), memory.readBytes(0, 64 * 0x1000));
    space.close();
  });

  it('S2: a Worker that died while it held a map is evicted', async () => {
    const control = new Int32Array(new SharedArrayBuffer(64));
    const space = new SharedAddressSpace(GuestMemory.allocate(0x1000, { shared: true }));
    const worker = start();
    const handle = space.share();
    const holding = heard(worker, 'holding');
    send(worker, { kind: 'hold', handle, control, lane: 0, atOnce: false });
    await holding;
    await worker.terminate();
    const generation = await space.update(() => GuestMemory.empty());
    let quiesced = false;
    const waiting = space.quiesced(generation).then(() => {
      quiesced = true;
    });
    await pause(60);
    assert.equal(quiesced, false);
    assert.deepEqual(space.holders(generation), [handle.slot]);
    space.evict(handle.slot);
    await waiting;
    assert.equal(space.share().slot, handle.slot);
    space.close();
  });
});
