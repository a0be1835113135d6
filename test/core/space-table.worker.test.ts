import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { SpaceTable } from '../../src/core/shared-address-space-table.ts';
import type { PublishTask } from './space-table-worker.ts';

const LIMIT_MS = 60_000;
const SHAPE = { maxWorkers: 1, maxRegions: 16 };
/** So many tables that differ, as seen by the reader, show that both sides ran at once. */
const SEEN = 100;

describe('S2: the table of a shared address space', () => {
  let worker: Worker;
  before(() => {
    worker = new Worker(new URL('./space-table-worker.js', import.meta.url));
  });
  after(async () => {
    await worker.terminate();
  });

  /** Reads while the Worker publishes tables of rows that are all alike; counts tables, and those of unlike rows. */
  async function race(
    inPlace: boolean,
    enough: (seen: number, mixed: number) => boolean,
  ): Promise<{ seen: number; mixed: number }> {
    const table = SpaceTable.create(SHAPE);
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const done = new Promise<void>((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', () => {
        worker.off('error', reject);
        resolve();
      });
    });
    const task: PublishTask = { words: table.words, shape: SHAPE, stop, inPlace };
    worker.postMessage(task);
    let seen = 0;
    let mixed = 0;
    let last = 0;
    for (const began = performance.now(); !enough(seen, mixed) && performance.now() - began < LIMIT_MS; ) {
      const { nextId, rows } = table.read();
      if (nextId !== last) seen++;
      last = nextId;
      const alike = rows.every(
        ({ id, start, size, offset }) => id === nextId && start === id && size === id && offset === id,
      );
      if (!alike) mixed++;
      // The Worker's start may wait for this thread.
      if (seen < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    Atomics.store(stop, 0, 1);
    await done;
    return { seen, mixed };
  }

  it('S2: a reader sees no half of a change', async () => {
    const { seen, mixed } = await race(false, (count) => count >= SEEN);
    assert.equal(mixed, 0, `${mixed} mixed tables of ${seen}`);
    assert(seen >= SEEN, `only ${seen} tables were seen: it proves nothing here`);
  });

  it('S2: this race catches a table that is written while it is in force', async () => {
    const { seen, mixed } = await race(true, (_, found) => found > 0);
    assert(mixed > 0, `no mixed table in ${seen}: the test above proves nothing on this runtime`);
  });
});
