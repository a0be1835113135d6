import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { GuestMemory, notify, share, u32, u64 } from '../../src/core/index.ts';
import type { WaitAnswer, WaitTask } from './wait-worker.ts';

/** For a wait that is to be woken: a minute on a busy machine is not for ever, as a lost wake is. */
const LONG_MS = 60_000;

describe('M7: waiting for another thread', () => {
  const ways = 'waitAsync' in Atomics ? (['block', 'promise'] as const) : (['block'] as const);
  const workers: Worker[] = [];
  before(() => {
    for (let i = 0; i < 2; i++) workers.push(new Worker(new URL('./wait-worker.js', import.meta.url)));
  });
  after(async () => {
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  function answerOf(
    worker: Worker,
    memory: GuestMemory,
    task: Omit<WaitTask, 'handle'>,
  ): Promise<WaitAnswer> {
    return new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', (answer: unknown) => {
        worker.off('error', reject);
        resolve(answer as WaitAnswer);
      });
      worker.postMessage({ handle: share(memory), ...task });
    });
  }

  /** Wakes whoever waits until so many were woken: nothing tells when a thread has gone to sleep. */
  async function wake(memory: GuestMemory, width: 4 | 8, gpa: number, wanted: number): Promise<void> {
    for (let woken = 0, tries = 0; woken < wanted; tries++) {
      woken += width === 4 ? notify(memory, u32, gpa) : notify(memory, u64, gpa);
      assert(tries < LONG_MS, 'nobody waits');
      if (woken < wanted) await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  for (const how of ways) {
    for (const width of [4, 8] as const) {
      it(`M7: a Worker that waits for ${width} bytes is woken (${how}), in memory under rules too`, async () => {
        const ram = GuestMemory.allocate(0x4000, { shared: true });
        const part = ram.subrange(0x1004, 0x1000);
        const [first, second] = workers as [Worker, Worker];
        const task = { width, how, timeoutMs: LONG_MS };
        const done = Promise.all([
          answerOf(first, ram, { ...task, gpa: 0x1008 }),
          answerOf(second, part, { ...task, gpa: 4 }),
        ]);
        await wake(ram, width, 0x1008, 2);
        assert.deepEqual(await done, [
          ['ok', 0n],
          ['ok', 0n],
        ]);
        assert.equal(notify(ram, u32, 0x1008), 0);
      });
    }

    it(`M7: a store and a notify are never missed, whenever they come (${how})`, async () => {
      const ram = GuestMemory.allocate(0x1000, { shared: true });
      const [worker] = workers as [Worker];
      for (let round = 0; round < 50; round++) {
        ram.store(u32, 0x10, 0);
        const done = answerOf(worker, ram, { width: 4, how, gpa: 0x10, timeoutMs: LONG_MS });
        for (let spin = 0; spin < (round % 10) * 3_000; spin++) ram.load(u32, 0x20);
        ram.store(u32, 0x10, 7);
        notify(ram, u32, 0x10);
        const [result, value] = await done;
        assert.match(result, /^(?:ok|not-equal)$/);
        assert.equal(value, 7n);
      }
    });
  }

  it('M7: a Worker is refused where it cannot wait', async () => {
    const ram = GuestMemory.allocate(0x1000, { shared: true });
    const [worker] = workers as [Worker];
    const task = { width: 8, how: 'block', timeoutMs: 1 } as const;
    assert.equal((await answerOf(worker, ram, { ...task, gpa: 8 }))[0], 'timed-out');
    ram.writeU8(0x10, 1);
    assert.equal((await answerOf(worker, ram, { ...task, gpa: 0x10 }))[0], 'not-equal');
  });
});
