import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { copyOnWrite, GuestMemory, lazy, settle, share } from '../../src/core/index.ts';
import { newWords } from '../../src/core/page-bits.ts';
import type { PageRights } from '../../src/core/page-rights.ts';
import { pagesBehind } from '../../src/core/pages-on-demand.ts';
import { withGlobals } from '../support/engine.ts';
import { refused } from '../support/refused.ts';
import {
  ASKED,
  IMAGE,
  imageOf,
  type OnDemandRaceData,
  type OnDemandTask,
  PAGE,
  PAGES,
  SLOW,
  STOP,
} from './on-demand-races.ts';

const SIZE = PAGES * PAGE;
/** So many rounds, if there is time. */
const ROUNDS = 30;
const ROUNDS_MS = 2_000;
/** A race that a planted defect has not lost after so long shows that nothing is raced here. */
const PLANTED_MS = 30_000;

for (const kind of ['lazy', 'copy-on-write'] as const) {
  describe(`M10 M14: ${kind} memory in several threads`, () => {
    const control = newWords(ASKED + PAGES, true);
    const image = imageOf(control);
    const backing =
      kind === 'lazy' ? lazy(SIZE, image, { shared: true }) : copyOnWrite(SIZE, image, { shared: true });
    const memory = GuestMemory.from(backing);
    const common = pagesBehind(backing);
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
      const workerData: OnDemandRaceData = { handle: share(memory), control };
      for (let i = 0; i < 2; i++)
        workers.push(new Worker(new URL('./on-demand-race-worker.js', import.meta.url), { workerData }));
      await Promise.all(workers.map((worker) => heard(worker, 'ready')));
    });
    after(async () => {
      await Promise.all(workers.map((worker) => worker.terminate()));
    });
    beforeEach(forgetPages);

    function forgetPages(): void {
      control.fill(0);
      common?.states.fill(0);
      common?.presence.set(0, SIZE, '');
      for (const bytes of common?.mapped ?? []) bytes.fill(0);
    }

    async function begin(task: OnDemandTask, on: readonly Worker[] = workers): Promise<void> {
      const done = on.map((worker) => heard(worker, 'done'));
      for (const worker of on) worker.postMessage(task);
      await Promise.all(done);
    }

    /** Pages whose two additions are not both there. */
    async function lost(how: Extract<OnDemandTask, { kind: 'add' }>['how']): Promise<number> {
      forgetPages();
      await begin({ kind: 'add', how });
      const words = new Uint32Array(common?.mapped[0]?.buffer ?? new ArrayBuffer(0));
      let missing = 0;
      for (let page = 0; page < PAGES - 1; page++) if (words[(page * PAGE) / 4] !== IMAGE + 2) missing++;
      return missing;
    }

    it(`M10 M14: a page of ${kind} memory is brought once, and no update is lost while it comes`, async () => {
      const until = performance.now() + ROUNDS_MS;
      for (let round = 0; round === 0 || (round < ROUNDS && performance.now() < until); round++) {
        assert.equal(await lost('claimed'), 0);
        assert.deepEqual([...control.subarray(ASKED, ASKED + PAGES - 1)], new Array(PAGES - 1).fill(1));
      }
    });

    it(`M10 M14: this race catches planted: pages that are not claimed (${kind})`, async () => {
      let missing = 0;
      const until = performance.now() + PLANTED_MS;
      while (missing === 0 && performance.now() < until) missing = await lost('planted: not claimed');
      assert(missing > 0, 'no update was lost: the test above proves nothing on this runtime');
    });

    it(`M10 M16: a slow page is waited for, or pending where this thread may not block (${kind})`, async () => {
      const last = SIZE - PAGE;
      Atomics.store(control, SLOW, 1);
      const [worker] = workers as [Worker];
      const done = begin({ kind: 'slow' }, [worker]);
      for (let tries = 0; Atomics.load(control, ASKED + PAGES - 1) === 0; tries++) {
        assert(tries < 60_000, 'the Worker does not begin');
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      const unblocking = Object.create(Atomics, {
        wait: {
          value: () => {
            throw new TypeError('Atomics.wait cannot be called in this context');
          },
        },
      }) as typeof Atomics;
      await withGlobals({ Atomics: unblocking }, async () => {
        const write = (): void => memory.writeU8(last + 12, 2);
        const error = refused(write, { code: 'pending', gpa: last + 12, failedAt: last + 12 });
        assert(error.ready !== undefined);
        const settled = settle(write, { attempts: 100_000 });
        Atomics.store(control, SLOW, 0);
        Atomics.notify(control, SLOW);
        await settled;
      });
      await done;
      assert.equal(control[ASKED + PAGES - 1], 1);
      assert.deepEqual(memory.readBytes(last + 7, 7), Uint8Array.of(0x51, 1, 0x51, 0x51, 0x51, 2, 0x51));
    });
  });
}

describe('M5 M10: a scalar of a page that another thread copied meanwhile', () => {
  const control = newWords(ASKED + PAGES, true);
  const backing = copyOnWrite(SIZE, imageOf(control), { shared: true });
  const memory = GuestMemory.from(backing);
  const rights: PageRights | undefined = pagesBehind(backing)?.presence;
  let worker: Worker;
  before(async () => {
    const workerData: OnDemandRaceData = { handle: share(memory), control };
    worker = new Worker(new URL('./on-demand-race-worker.js', import.meta.url), { workerData });
    await new Promise((resolve) => worker.once('message', resolve));
  });
  after(async () => {
    await worker.terminate();
  });

  /** Reads the 8 bytes that the Worker writes, until one is torn or there were enough of both values. */
  async function torn(read: (dest: Uint8Array) => void, limitMs: number, enough: number): Promise<number> {
    memory.writeU64(0, 0n);
    control.fill(0);
    const done = new Promise((resolve) => worker.once('message', resolve));
    worker.postMessage({ kind: 'write' } satisfies OnDemandTask);
    const dest = new Uint8Array(8);
    const seen = [0, 0, 0];
    const until = performance.now() + limitMs;
    for (let _i = 0; performance.now() < until && seen[1] === 0; _i++) {
      for (let times = 0; times < 1000; times++) {
        read(dest);
        const ones = dest.reduce((sum, byte) => sum + (byte === 0xff ? 1 : 0), 0);
        const which = ones === 0 ? 0 : ones === 8 ? 2 : 1;
        seen[which] = (seen[which] ?? 0) + 1;
      }
      if ((seen[0] ?? 0) > enough && (seen[2] ?? 0) > enough) break;
    }
    Atomics.store(control, STOP, 1);
    await done;
    const [zeros = 0, mixed = 0, ones = 0] = seen;
    assert(mixed > 0 || (zeros > 0 && ones > 0), 'the Worker did not write meanwhile');
    return mixed;
  }

  it('M5 M10: does not tear, though it is read by the call that was decided on before', async () => {
    assert.equal(rights?.get(0) ?? '', '');
    assert.equal(await torn((dest) => backing.fallback?.read(0, dest), 20_000, 200_000), 0);
  });

  it('M5 M10: this race catches planted: byte by byte', async () => {
    const bytes = pagesBehind(backing)?.mapped[0] ?? new Uint8Array(8);
    const byByte = (dest: Uint8Array): void => {
      for (let i = 0; i < 8; i++) dest[i] = bytes[i] as number;
    };
    assert(
      (await torn(byByte, PLANTED_MS, Infinity)) > 0,
      'nothing tore: the test above proves nothing on this runtime',
    );
  });
});
