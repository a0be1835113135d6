import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { bytes, GuestMemory, u32 } from '../../src/core/index.ts';
import type { Contender, RaceTask } from './races.ts';

const SIDES = 2;
/** Enough for both to run at once for a while. */
const STEPS = 400_000;
/** Plain accesses are so much faster that the race is over before it began. */
const PLANTED_STEPS = 4_000_000;
const GPA = 0x100;
/** A race that a planted defect has not lost after so many rounds shows that nothing is raced here. */
const PLANTED_ROUNDS = 40;

describe('M7: atomics lose nothing between two Workers', () => {
  const ram = new SharedArrayBuffer(0x1000);
  const control = new Int32Array(new SharedArrayBuffer(8));
  const memory = GuestMemory.from(bytes(new Uint8Array(ram)));
  const workers: Worker[] = [];

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

  before(async () => {
    for (let i = 0; i < SIDES; i++) {
      workers.push(
        new Worker(new URL('./race-worker.js', import.meta.url), { workerData: { ram, control } }),
      );
    }
    await Promise.all(workers.map((worker) => heard(worker, 'ready')));
  });
  after(async () => {
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  /** Both workers take their steps at once; answers what is there then. */
  async function contend(contender: Contender, start = 0n, steps = STEPS): Promise<bigint> {
    memory.writeU64(GPA, start);
    Atomics.store(control, 1, 0);
    const task: RaceTask = { kind: 'contend', contender, gpa: GPA, steps, sides: SIDES };
    const done = workers.map((worker) => heard(worker, 'done'));
    for (const worker of workers) worker.postMessage(task);
    await Promise.all(done);
    return memory.readU64(GPA);
  }

  const total = BigInt(SIDES * STEPS);
  const few = STEPS / 20;
  const fewTotal = BigInt(SIDES * few);
  const exact: readonly (readonly [Contender, bigint, bigint, number?])[] = [
    ['fetchAdd u8', 0n, total % 0x100n],
    ['fetchAdd u16', 0n, total % 0x1_0000n],
    ['fetchAdd u32', 0n, total],
    ['fetchAdd u64', 0xffff_ff00n, 0xffff_ff00n + total],
    ['fetchSub u32', 0xffff_ffffn, 0xffff_ffffn - total],
    ['fetchXor u32', 0x1234n, 0x1234n],
    ['compareExchange u32', 0n, total / 4n, STEPS / 4],
    ['compareExchange u32 through a translator', 0n, fewTotal, few],
    ['compareExchange u32 through an alias', 0n, fewTotal, few],
  ];
  for (const [contender, start, wanted, steps] of exact) {
    it(`M7: ${contender}`, async () => {
      assert.equal(await contend(contender, start, steps), wanted);
    });
  }

  it('M7: this race catches updates lost by reading, adding and writing', async () => {
    for (let round = 0; round < PLANTED_ROUNDS; round++) {
      if ((await contend('planted: read, add, write', 0n, PLANTED_STEPS)) < SIDES * PLANTED_STEPS) return;
    }
    assert.fail('no update was lost: the tests above prove nothing on this runtime');
  });

  it('M7: what one Worker stored, another loads', async () => {
    await contend('fetchAdd u32');
    assert.equal(memory.load(u32, GPA), SIDES * STEPS);
  });
});
