import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { GuestMemory, isZero, ProtectedView, share, trackDirty, u32 } from '../../src/core/index.ts';
import type { SharingTask } from './sharing-worker.ts';

const PAGE = 0x1000;

describe('M14: a memory in a Worker', () => {
  let worker: Worker;
  before(() => {
    worker = new Worker(new URL('./sharing-worker.js', import.meta.url));
  });
  after(async () => {
    await worker.terminate();
  });

  /** Has the Worker do it; answers `done`, or the code of the error. */
  function there(memory: GuestMemory, task: SharingTask): Promise<unknown> {
    return new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', (answer: unknown) => {
        worker.off('error', reject);
        resolve(answer);
      });
      worker.postMessage({ handle: share(memory), task });
    });
  }

  for (const [what, size] of [
    ['a SharedArrayBuffer', 0x8000],
    ['a WebAssembly.Memory', 0x10_0000],
  ] as const) {
    it(`M14: sees the same bytes of ${what}`, async () => {
      const memory = GuestMemory.allocate(size, { shared: true });
      assert.equal(await there(memory, { kind: 'fill', gpa: 0x10, value: 7, length: size - 0x20 }), 'done');
      assert.deepEqual(memory.readBytes(0x10, size - 0x20), new Uint8Array(size - 0x20).fill(7));
      assert(isZero(memory, 0, 0x10) && isZero(memory, size - 0x10, 0x10));
    });
  }

  it('M14: adds with the others', async () => {
    const memory = GuestMemory.allocate(PAGE, { shared: true });
    const done = there(memory, { kind: 'add', gpa: 0x40, steps: 100_000 });
    for (let i = 0; i < 100_000; i++) memory.fetchAdd(u32, 0x40, 1);
    await done;
    assert.equal(memory.load(u32, 0x40), 200_000);
  });

  it('M9 M14: is held to rights that changed since the handle was made', async () => {
    const view = new ProtectedView(GuestMemory.allocate(4 * PAGE, { shared: true }), { shared: true });
    const task: SharingTask = { kind: 'fill', gpa: 0, value: 1, length: 4 * PAGE };
    assert.equal(await there(view.memory(), task), 'done');
    view.protect(2 * PAGE, PAGE, 'r');
    assert.equal(await there(view.memory(), { ...task, value: 2 }), 'denied');
    assert.equal(view.memory().readU8(0), 1);
  });

  it('M12 M14: loses no page of its own or of this thread while this one drains', async () => {
    const pages = 64;
    const tracking = trackDirty(GuestMemory.allocate(2 * pages * PAGE, { shared: true }));
    let finished = false;
    const done = there(tracking.memory, { kind: 'write', gpa: 0, every: 2 * PAGE, count: pages });
    const seen = new Set<number>();
    const drain = (): void => {
      for (const { gpa, length } of tracking.drain())
        for (let at = gpa; at < gpa + length; at += PAGE) seen.add(at / PAGE);
    };
    void done.then(() => {
      finished = true;
    });
    for (let i = 0; i < pages || !finished; i++) {
      if (i < pages) tracking.memory.writeU8((2 * i + 1) * PAGE, 1);
      drain();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await done;
    drain();
    assert.equal(seen.size, 2 * pages);
  });
});
