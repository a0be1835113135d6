import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { bytes, GuestMemory, u64 } from '../../src/core/index.ts';
import { createRoot, FrameRange, GuestTables, map, Translator, X86_4LEVEL } from '../../src/paging/index.ts';
import type { MarkingTask } from './marking-worker.ts';

const ROUNDS = 150;
/** A race that a planted defect has not lost by then shows that nothing is raced here. */
const PLANTED_ROUNDS = 20_000;
/** Software bits 62:52 of the leaf are the other side's counter. */
const ONE = 1n << 52n;
const COUNTER = 0x7ffn << 52n;

/**
 * A Worker marks a leaf that this thread counts up in, by compare-and-swap on the whole entry.
 *
 * @returns how many counts were lost
 */
async function race(torn: boolean, enough: (rounds: number, lost: number) => boolean): Promise<number> {
  const ram = new SharedArrayBuffer(0x10_0000);
  const memory = GuestMemory.from(bytes(new Uint8Array(ram)));
  const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
  createRoot(tables, X86_4LEVEL);
  map(tables, { format: X86_4LEVEL, gva: 0n, gpa: 0x5000, length: 0x1000, execute: true, accessed: false });
  const leaf = new Translator({ tables, format: X86_4LEVEL }).translate(0n).levels.at(-1)?.entryAddress ?? 0;
  const control = new SharedArrayBuffer(12);
  const flags = new Int32Array(control);
  const task: MarkingTask = { ram, root: tables.rootTable(), leaf, control, torn };
  const worker = new Worker(new URL('./marking-worker.js', import.meta.url), { workerData: task });
  const done = new Promise<void>((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', () => resolve());
  });
  let failure: unknown;
  done.catch((error: unknown) => {
    failure = error;
  });
  let lost = 0;
  let expected = 0n;
  try {
    while (!enough(Atomics.load(flags, 0), lost) && failure === undefined) {
      for (let i = 0; i < 500; i++) {
        const entry = memory.readU64(leaf);
        const next = (entry & ~COUNTER) | ((entry + ONE) & COUNTER);
        if (memory.compareExchange(u64, leaf, entry, next) !== entry) continue;
        // What was counted before has to be in what was counted up.
        if ((entry & COUNTER) !== expected) lost++;
        expected = next & COUNTER;
      }
      // The Worker's start, and the news of its end, need this thread's event loop.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  } finally {
    Atomics.store(flags, 2, 1);
    await done;
    await worker.terminate();
  }
  return lost;
}

describe('marking an entry that somebody else writes', () => {
  it('T4: loses nothing of what the other side wrote', async () => {
    assert.equal(await race(false, (rounds) => rounds >= ROUNDS), 0);
  });

  it('T4: and the race catches marks that are set in two steps', async () => {
    assert.notEqual(await race(true, (rounds, lost) => lost > 0 || rounds >= PLANTED_ROUNDS), 0);
  });
});
