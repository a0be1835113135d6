import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  GuestMemory,
  heap,
  notify,
  shared,
  u8,
  u16,
  u32,
  u32be,
  u64,
  wait,
  waitAsync,
} from '../../src/core/index.ts';
import { withGlobals } from '../support/engine.ts';
import { KINDS } from '../support/memory-kinds.ts';
import { refused } from '../support/refused.ts';

/** A page's main thread may not. */
function mayBlock(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
    return true;
  } catch {
    return false;
  }
}

/** A wait without a thread that waits does not keep Node running. */
async function kept<T>(waiting: Promise<T>): Promise<T> {
  const timer = setInterval(() => undefined, 1000);
  try {
    return await waiting;
  } finally {
    clearInterval(timer);
  }
}

describe('M7: wait and notify', () => {
  const memory = GuestMemory.fromRegions(
    [
      { start: 0x1000, backing: shared(0x1000) },
      { start: 0x2000, backing: heap(0x1000) },
      { start: 0x3000, backing: shared(0x1000), access: 'r' },
    ],
    { name: 'ram' },
  );

  it('M7: wait looks at the value and at the clock', () => {
    if (!mayBlock()) {
      const error = refused(() => wait(memory, u32, 0x1000, 0, 0), { code: 'unsupported', gpa: 0x1000 });
      assert(error.cause instanceof TypeError);
      return;
    }
    memory.writeU32(0x1008, 0xffff_fff0);
    memory.writeU64(0x1010, 2n ** 63n);
    assert.equal(wait(memory, u32, 0x1008, 0xffff_fff0, 0), 'timed-out');
    assert.equal(wait(memory, u32, 0x1008, 0xffff_fff1, 0), 'not-equal');
    assert.equal(wait(memory, u32be, 0x1008, 0xf0ff_ffff, 0), 'timed-out');
    assert.equal(wait(memory, u64, 0x1010, 2n ** 63n, 0), 'timed-out');
    assert.equal(wait(memory, u64, 0x1010, 2n ** 63n + 2n ** 32n, 0), 'not-equal');
    assert.equal(wait(memory, u32, 0x3000, 0, 1), 'timed-out', 'memory that may be read can be waited on');
  });

  it('M7: a wait that cannot be is refused, blocking or not', async () => {
    const timeouts = [-1, Number.NaN];
    for (const [call, facts] of [
      [() => wait(memory, u8, 0x1000, 0, 0), { code: 'unsupported', length: 1 }],
      [() => wait(memory, u16, 0x1000, 0, 0), { code: 'unsupported', length: 2 }],
      [() => notify(memory, u16, 0x1000), { code: 'unsupported', operation: 'notify' }],
      [() => wait(memory, u32, 0x1002, 0, 0), { code: 'misaligned', gpa: 0x1002 }],
      [() => wait(memory, u64, 0x1004, 0n, 0), { code: 'misaligned' }],
      [() => wait(memory, u32, 0x2000, 0, 0), { code: 'unsupported', operation: 'wait' }],
      [() => notify(memory, u32, 0x2000), { code: 'unsupported', gpa: 0x2000 }],
      [() => wait(memory, u32, 0x4000, 0, 0), { code: 'unmapped', failedAt: 0x4000 }],
      [() => notify(memory, u64, 0x4000), { code: 'unmapped' }],
      [() => wait(memory, u32, -4, 0, 0), { code: 'invalid' }],
      [() => notify(memory, u32, 0x1000, -1), { code: 'invalid' }],
      [() => notify(memory, u32, 0x1000, Number.NaN), { code: 'invalid' }],
      ...timeouts.map((ms) => [() => wait(memory, u32, 0x1000, 0, ms), { code: 'invalid' }] as const),
    ] as const) {
      refused(call, { memory: 'ram', done: 0, ...facts });
    }
    await assert.rejects(waitAsync(memory, u32, 0x2000, 0, 0), { code: 'unsupported' });
    await assert.rejects(waitAsync(memory, u32, 0x1000, 0, -1), { code: 'invalid' });
  });

  it('M7: every kind of memory can be notified where it is shared and mapped, and says so elsewhere', () => {
    for (const kind of KINDS) {
      const tested = kind.make();
      for (let gpa = tested.start + 8; gpa < tested.start + tested.length - 8; gpa++) {
        let wanted = 'misaligned';
        const run = tested.memory.translateAndGetLimit(gpa);
        if (run === undefined) wanted = (gpa + tested.skew) % 4 === 0 ? 'unsupported' : 'misaligned';
        else if (run.byteOffset % 4 === 0 && run.limit >= 4)
          wanted = run.buffer instanceof SharedArrayBuffer ? 'woken 0' : 'unsupported';
        let found: unknown;
        try {
          found = `woken ${notify(tested.memory, u32, gpa)}`;
        } catch (error) {
          found = (error as { code?: unknown }).code;
        }
        // Calls are not asked how they are aligned.
        if (run === undefined && found === 'unsupported') continue;
        assert.equal(found, wanted, `${kind.name} at 0x${gpa.toString(16)}`);
      }
    }
  });

  it('M7: waitAsync is woken, times out, and sees another value at once', async () => {
    if (!('waitAsync' in Atomics)) {
      await assert.rejects(waitAsync(memory, u32, 0x1100, 0, 0), { code: 'unsupported', gpa: 0x1100 });
      return;
    }
    memory.writeU64(0x1100, 5n);
    assert.equal(await waitAsync(memory, u32, 0x1100, 6), 'not-equal');
    assert.equal(await waitAsync(memory, u64, 0x1100, 5n, 0), 'timed-out');
    assert.equal(await kept(waitAsync(memory, u32, 0x1100, 5, 1)), 'timed-out');
    const all = [1, 2, 3].map(() => waitAsync(memory, u64, 0x1100, 5n));
    memory.store(u64, 0x1100, 6n);
    assert.equal(notify(memory, u64, 0x1100, 1), 1);
    assert.equal(notify(memory, u64, 0x1100, 0), 0);
    assert.equal(notify(memory, u64, 0x1100), 2);
    assert.deepEqual(await kept(Promise.all(all)), ['ok', 'ok', 'ok']);
  });

  it('M7: without Atomics.waitAsync there is only waiting', async () => {
    await withGlobals({ Atomics: { load: Atomics.load } }, async () => {
      await assert.rejects(waitAsync(memory, u32, 0x1000, 0, 0), { code: 'unsupported' });
    });
  });

  it('M7 M15: who waited on a mapping that was closed meanwhile is told', async () => {
    if (!('waitAsync' in Atomics)) return;
    let close = (): void => undefined;
    const ram = GuestMemory.from({
      ...shared(0x1000),
      onClose: (listener) => {
        close = listener;
      },
    });
    const waiting = waitAsync(ram, u32, 0, 0, 1);
    close();
    await kept(assert.rejects(waiting, { code: 'closed', gpa: 0 }));
    refused(() => notify(ram, u32, 0), { code: 'closed' });
  });
});
