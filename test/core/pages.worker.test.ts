import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { DirtyLog } from '../../src/core/dirty-log.ts';
import { PageRights } from '../../src/core/index.ts';
import { newWords } from '../../src/core/page-bits.ts';
import {
  DONE,
  LOG_PAGE,
  PAGES,
  type PageRaceData,
  type PageTask,
  type PageWriter,
  ROUND,
  SEEN,
  type Width,
} from './page-races.ts';

/** Each round is two marked writes to every page by two Workers, drained all the while. */
const ROUNDS = { tight: 15_000, wide: 500 } as const;
/** A race that a planted defect has not lost after so many times as many rounds shows that nothing is raced here. */
const PLANTED_TIMES = 60;

describe('M12: races about pages between Workers', () => {
  const ram = new SharedArrayBuffer(0x1_0000);
  const logOf = (width: Width): DirtyLog =>
    DirtyLog.create(PAGES[width] * LOG_PAGE, { pageSize: LOG_PAGE, shared: true });
  const logs = { tight: logOf('tight'), wide: logOf('wide') };
  const rights = new PageRights(ram.byteLength, { shared: true });
  const states = newWords(4096, true);
  const brought = newWords(4096, true);
  const control = newWords(3, true);
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
    for (const side of [0, 1] as const) {
      const data: PageRaceData = {
        ram,
        logs: { tight: logs.tight.share(), wide: logs.wide.share() },
        rights: rights.share(),
        states,
        brought,
        control,
        side,
      };
      workers.push(new Worker(new URL('./page-race-worker.js', import.meta.url), { workerData: data }));
    }
    await Promise.all(workers.map((worker) => heard(worker, 'ready')));
  });
  after(async () => {
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  function begin(task: PageTask, sides = workers): Promise<unknown> {
    control.fill(0);
    const done = sides.map((worker) => heard(worker, 'done'));
    for (const worker of sides) worker.postMessage(task);
    return Promise.all(done);
  }

  /** A migration: copies what a drain says was written. How many pages differ at the end of the first round that lost some. */
  async function lost(writer: PageWriter, width: Width, rounds: number): Promise<number> {
    const log = logs[width];
    const pages = PAGES[width];
    const words = new Uint32Array(ram);
    words.fill(0);
    log.drain();
    const copy = new Uint32Array(pages);
    const drain = (): void => {
      for (const offset of log.drain()) copy[offset / LOG_PAGE] = words[offset / 4] as number;
    };
    const done = begin({ kind: 'write', writer, width, rounds });
    let missing = 0;
    for (let round = 1; round <= rounds && missing === 0; round++) {
      Atomics.store(control, DONE, 0);
      Atomics.store(control, ROUND, round);
      Atomics.notify(control, ROUND);
      for (let drains = 0; Atomics.load(control, DONE) < 2; drains++) {
        drain();
        assert(drains < 1e10, 'a Worker does not answer');
      }
      drain();
      for (let page = 0; page < pages; page++) if (copy[page] !== words[(page * LOG_PAGE) / 4]) missing++;
    }
    if (missing > 0) Atomics.store(control, ROUND, -1);
    Atomics.notify(control, ROUND);
    await done;
    return missing;
  }

  for (const [writer, width] of [
    ['scalars', 'tight'],
    ['scalars', 'wide'],
    ['atomics', 'tight'],
    ['ranges', 'wide'],
  ] as const) {
    it(`M12: no page written by ${writer} is lost while another thread drains (${PAGES[width]} pages)`, async () => {
      assert.equal(await lost(writer, width, ROUNDS[width]), 0);
    });
  }

  it('M12: this race catches planted: mark first (2048 pages)', async () => {
    const missing = await lost('planted: mark first', 'wide', PLANTED_TIMES * ROUNDS.wide);
    assert(missing > 0, 'no page was lost: the tests above prove nothing on this runtime');
  });

  it('M10: Workers that fault on the same pages at the same time bring each once, and see it whole', async () => {
    await begin({ kind: 'bring' });
    assert.equal(
      brought.findIndex((count) => count !== 1),
      -1,
    );
    assert.equal(control[SEEN], 0);
  });

  it('M9: a right taken away or given here holds in a Worker that is at work', async () => {
    rights.set(0, ram.byteLength, 'rwx');
    const done = begin({ kind: 'obey' }, workers.slice(0, 1));
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
    for (const [given, seen] of [
      ['r', 1],
      ['rw', 2],
    ] as const) {
      for (let i = 0; i < 4; i++) await pause();
      assert.equal(Atomics.load(control, SEEN), seen - 1);
      rights.set(0x1000, 0x1000, given);
      for (let i = 0; i < 10_000 && Atomics.load(control, SEEN) < seen; i++) await pause();
      assert.equal(Atomics.load(control, SEEN), seen);
    }
    await done;
  });
});
