import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  callbacks,
  copyOnWrite,
  GuestMemory,
  heap,
  type MemoryBacking,
  PageRights,
  ProtectedView,
  u32,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';

const PAGE = 0x1000;

/** Calls that serve nothing, and do not say why. */
function deaf(write?: () => void): MemoryBacking {
  const backing = callbacks({ size: PAGE, read: () => undefined, ...(write === undefined ? {} : { write }) });
  return { ...backing, fallback: { read: () => undefined, ...backing.fallback, probe: () => 0 } };
}

describe('E: why an access is refused', () => {
  it('E: calls that serve nothing are a fault, without a cause where they give none, read-only or not', () => {
    for (const backing of [deaf(), deaf(() => undefined)]) {
      const memory = GuestMemory.fromRegions([{ start: PAGE, backing }], { name: 'calls' });
      for (const run of [() => memory.readU32(PAGE + 8), () => memory.readAt(PAGE + 8, new Uint8Array(4))]) {
        const { cause } = refused(run, { code: 'fault', memory: 'calls', failedAt: PAGE + 8, done: 0 });
        assert.equal(cause, undefined);
      }
    }
  });

  it('E M9: rights that allow the access are not what refused it', () => {
    const memory = GuestMemory.fromRegions([{ start: PAGE, backing: deaf(() => undefined) }]);
    const view = new ProtectedView(memory, { initial: 'rw' });
    refused(() => view.memory().readU8(PAGE), { code: 'fault', failedAt: PAGE });
    view.protect(PAGE, PAGE, 'w');
    refused(() => view.memory().readU8(PAGE), { code: 'denied', failedAt: PAGE });
  });

  it('E M10: a page that does not come, of memory without calls, is a fault without a cause', () => {
    const backing: MemoryBacking = {
      ...heap(PAGE),
      exclusive: false,
      presence: new PageRights(PAGE),
      onFault: () => 'fail',
    };
    const memory = GuestMemory.fromRegions([{ start: 0, backing }]);
    assert.equal(refused(() => memory.readU8(5), { code: 'fault', failedAt: 5 }).cause, undefined);
  });

  it('M10 A1: a page that an atomic or a translation needs of its own, and does not get, fails it', () => {
    const why = new Error('the disk is gone');
    const memory = GuestMemory.fromRegions([
      {
        start: PAGE,
        backing: copyOnWrite(PAGE, () => {
          throw why;
        }),
      },
    ]);
    for (const run of [() => memory.translateAndGetLimit(PAGE + 8), () => memory.load(u32, PAGE + 8)])
      assert.equal(refused(run, { code: 'fault', gpa: PAGE + 8, done: 0 }).cause, why);
  });

  it('M15: memory that closed refuses what lies in it, and not what ends where it begins', () => {
    const closing: (() => void)[] = [];
    const calls = callbacks({
      size: PAGE,
      read: (_offset, dest) => void dest.fill(1),
      write: () => undefined,
    });
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: calls },
      { start: PAGE, backing: { ...heap(PAGE), onClose: (listener) => void closing.push(listener) } },
    ]);
    for (const close of closing) close();
    assert.equal(memory.readU32(PAGE - 4), 0x0101_0101);
    memory.writeU64(PAGE - 8, 1n);
    assert.deepEqual(memory.readBytes(PAGE - 2, 2), Uint8Array.of(1, 1));
    refused(() => memory.readU32(PAGE - 3), { code: 'closed', failedAt: PAGE });
    refused(() => memory.writeU32(PAGE - 1, 1), { code: 'closed', failedAt: PAGE });
  });
});
