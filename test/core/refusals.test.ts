import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  callbacks,
  copyOnWrite,
  type FallbackAccess,
  GuestMemory,
  GuestMemoryError,
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

  it('M4 E: a buffer range that is none is refused by the name of what was asked', () => {
    const memory = GuestMemory.fromRanges([[0x1000, 0x1000]]);
    for (const [offset, length] of [
      [5, 4],
      [-1, 2],
      [0.5, 1],
      [0, -1],
    ] as const) {
      const facts = { code: 'invalid', done: 0 } as const;
      refused(() => memory.readAt(0x1000, new Uint8Array(8), offset, length), {
        ...facts,
        operation: 'read',
      });
      refused(() => memory.writeAt(0x1000, new Uint8Array(8), offset, length), {
        ...facts,
        operation: 'write',
      });
      refused(() => memory.read(0x1000, new Uint8Array(8), offset, length), { ...facts, operation: 'read' });
      refused(() => memory.write(0x1000, new Uint8Array(8), offset, length), {
        ...facts,
        operation: 'write',
      });
    }
  });

  it('M3 E: what a backing says that it moved counts where it moved anything, and no further than it was asked', () => {
    const said = (done: number): GuestMemoryError =>
      new GuestMemoryError('fault', 'the link is down', { operation: 'read', done });
    const broken = (done: number, probe?: () => number): GuestMemory => {
      const read = (): never => {
        throw said(done);
      };
      const fallback: FallbackAccess = { read, ...(probe && { probe }) };
      return GuestMemory.fromRegions([
        { start: 0x1000, backing: heap(0x100) },
        { start: 0x1100, backing: { kind: 'link', size: 0x100, fallback } },
      ]);
    };
    const facts = { code: 'fault', gpa: 0x10f0, length: 0x20 } as const;
    const read = (memory: GuestMemory) => () => memory.readAt(0x10f0, new Uint8Array(0x20));
    refused(read(broken(0)), { ...facts, failedAt: 0x1100, done: 0x10 });
    refused(read(broken(5)), { ...facts, failedAt: 0x1105, done: 0x15 });
    refused(read(broken(100)), { ...facts, failedAt: 0x1110, done: 0x20 });
    const unsettled = broken(5, () => {
      throw said(5);
    });
    refused(read(unsettled), { ...facts, failedAt: 0x1100, done: 0 });
    refused(() => unsettled.readU32(0x1100), { code: 'fault', failedAt: 0x1100, done: 0 });
  });
});
