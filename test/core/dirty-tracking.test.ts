import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  alias,
  capture,
  type DirtyRange,
  GuestMemory,
  heap,
  restore,
  shared,
  trackDirty,
  u32,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';

describe('dirty tracking', () => {
  it('M12 A1: a translation for writing marks what it answers, at most a page; one that is refused marks nothing', () => {
    const tracking = trackDirty(
      GuestMemory.fromRegions([
        { start: 0x1000, backing: heap(0x4000) },
        { start: 0x8000, backing: heap(0x1000), access: 'r' },
      ]),
    );
    const { memory } = tracking;
    assert.equal(memory.translateAndGetLimit(0x2345, 'write')?.limit, 0xcbb);
    assert.deepEqual(tracking.drain(), [{ gpa: 0x2000, length: 0x1000 }]);
    assert.equal(memory.translateAndGetLimit(0x2345, 'read')?.limit, 0x2cbb);
    assert.equal(memory.translateAndGetLimit(0x8000, 'write'), undefined);
    assert.equal(memory.translateAndGetLimit(0x9000, 'write'), undefined);
    assert.deepEqual(tracking.drain(), []);
  });

  it('M12 R OpenVMM D13: any power of two up to 1 GiB is a page; anything else is refused', () => {
    const size = 0x1_0123;
    for (let shift = 0; shift <= 30; shift++) {
      const pageSize = 2 ** shift;
      const tracking = trackDirty(GuestMemory.fromRegions([{ start: 0x10_0000, backing: heap(size) }]), {
        pageSize,
      });
      for (const [offset, length] of [
        [0, 1],
        [7, 2],
        [0xfff, 2],
        [0x1_0120, 3],
        [0x5000, 0x3000],
        [31, 33],
      ] as const) {
        tracking.memory.fillAt(0x10_0000 + offset, 1, length);
        const from = Math.floor(offset / pageSize) * pageSize;
        const to = Math.min(size, Math.ceil((offset + length) / pageSize) * pageSize);
        assert.deepEqual(
          tracking.drain(),
          [{ gpa: 0x10_0000 + from, length: to - from }],
          `${pageSize} ${offset}`,
        );
      }
    }
    const memory = GuestMemory.allocate(0x1000);
    for (const pageSize of [0, -1, 3, 0.5, 4095, 2 ** 31, Number.NaN, Number.POSITIVE_INFINITY]) {
      refused(() => trackDirty(memory, { pageSize }), { code: 'invalid', operation: 'make a dirty log' });
    }
    const endless = GuestMemory.from({ translateAndGetLimit: () => undefined });
    refused(() => trackDirty(endless), { code: 'too-large', operation: 'keep book on pages' });
  });

  it('M12: the last page of a region may be a part of one; pages of regions that touch are joined', () => {
    const tracking = trackDirty(
      GuestMemory.fromRanges([
        [0x1008, 0x1801],
        [0x2809, 3],
        [0x4000, 1],
      ]),
    );
    tracking.memory.writeU8(0x2808, 1);
    tracking.memory.writeU8(0x280b, 1);
    tracking.memory.writeU8(0x4000, 1);
    assert.deepEqual(tracking.drain(), [
      { gpa: 0x2008, length: 0x804 },
      { gpa: 0x4000, length: 1 },
    ]);
  });

  it('M12: above 4 GiB, in the second piece and in the second word', () => {
    const size = 2 ** 32 + 0x4_0000;
    const start = 2 ** 33;
    const tracking = trackDirty(GuestMemory.fromRegions([{ start, backing: heap(size) }]));
    tracking.memory.writeU32(start + size - 4, 1);
    tracking.memory.writeAt(start + 2 ** 32 - 2, new Uint8Array(4));
    tracking.memory.writeU64Halves(start + 0x2_0008, 1, 1);
    assert.deepEqual(tracking.drain(), [
      { gpa: start + 0x2_0000, length: 0x1000 },
      { gpa: start + 2 ** 32 - 0x1000, length: 0x2000 },
      { gpa: start + size - 0x1000, length: 0x1000 },
    ]);
  });

  it('M12: writes through subranges mark, wherever they begin', () => {
    const tracking = trackDirty(GuestMemory.allocate(0x8000));
    const odd = tracking.memory.subrange(0x1003, 0x5000).subrange(0x20, 0x4000);
    odd.writeU32(0xfdd - 4, 1);
    assert.deepEqual(tracking.drain(), [{ gpa: 0x1000, length: 0x1000 }]);
    odd.writeU32(0xfdd - 3, 1);
    assert.deepEqual(tracking.drain(), [{ gpa: 0x1000, length: 0x2000 }]);
    odd.writeU64(0x1fdd, 1n);
    assert.deepEqual(tracking.drain(), [{ gpa: 0x3000, length: 0x1000 }]);
  });

  it('M12: writes through an alias mark in the memory that is tracked, and in the one that has the alias', () => {
    const inner = trackDirty(GuestMemory.allocate(0x4000));
    const outer = trackDirty(
      GuestMemory.fromRegions([{ start: 0x10_0000, backing: alias(inner.memory, 0x1000, 0x2000) }]),
    );
    outer.memory.writeU32(0x10_0ffe, 1);
    assert.deepEqual(inner.drain(), [{ gpa: 0x1000, length: 0x2000 }]);
    assert.deepEqual(outer.drain(), [{ gpa: 0x10_0000, length: 0x2000 }]);
  });

  it('M12: a region that is inserted later is tracked, into a subrange too; one that is refused leaves nothing', () => {
    const tracking = trackDirty(GuestMemory.allocate(0x4000));
    const grown = tracking.memory.insertRegion({ start: 0x10_0000, backing: shared(0x2000) });
    refused(() => grown.insertRegion({ start: 0x10_1000, backing: heap(0x4000) }), { code: 'overlap' });
    grown.writeU8(0x10_1fff, 1);
    assert.deepEqual(tracking.drain(), [{ gpa: 0x10_1000, length: 0x1000 }]);
    const part = grown.subrange(0x2000, 0x2000).insertRegion({ start: 0x8000, backing: heap(0x1000) });
    part.writeU8(0x8000, 1);
    assert.deepEqual(tracking.drain(), [{ gpa: 0xa000, length: 0x1000 }]);
  });

  it('M12: a region in the place of one that was removed: answers stay in order and do not overlap', () => {
    const tracking = trackDirty(GuestMemory.empty());
    const first = tracking.memory.insertRegion({ start: 0, backing: heap(0x3000) });
    const second = first.removeRegion(0, 0x3000).insertRegion({ start: 0, backing: heap(0x2000) });
    first.fillAt(0, 1, 0x3000);
    second.writeU8(0x1000, 1);
    assert.deepEqual(tracking.drain(), [{ gpa: 0, length: 0x3000 }]);
  });

  it('M12: two trackers each see every write and drain on their own', () => {
    const one = trackDirty(GuestMemory.allocate(0x4000));
    const two = trackDirty(one.memory, { pageSize: 16 });
    two.memory.writeU32(0x1010, 1);
    assert.deepEqual(one.drain(), [{ gpa: 0x1000, length: 0x1000 }]);
    assert.deepEqual(two.drain(), [{ gpa: 0x1010, length: 16 }]);
    one.memory.writeU32(0x2000, 1);
    assert.deepEqual(two.drain(), []);
    assert.deepEqual(one.drain(), [{ gpa: 0x2000, length: 0x1000 }]);
    const lent = two.memory.view(0x3000, 4, 'write');
    assert.deepEqual([one.drain().length, two.drain().length, one.drain().length], [1, 1, 1]);
    lent.release();
  });

  it('M12: a compare-exchange that fails, and a write that is refused, mark nothing', () => {
    const tracking = trackDirty(
      GuestMemory.fromRanges([
        [0, 0x1000],
        [0x2000, 0x1000],
      ]),
    );
    assert.equal(tracking.memory.compareExchange(u32, 8, 1, 2), 0);
    refused(() => tracking.memory.writeAt(0xff8, new Uint8Array(16)), { code: 'unmapped' });
    refused(() => tracking.memory.store(u32, 2, 1), { code: 'misaligned' });
    assert.deepEqual(tracking.drain(), []);
    assert.equal(tracking.memory.write(0xff8, new Uint8Array(16)), 8);
    assert.deepEqual(tracking.drain(), [{ gpa: 0, length: 0x1000 }]);
  });

  it('M12 M3: what a call wrote before it failed is marked', () => {
    const ram = GuestMemory.fromRegions([
      { start: 0, backing: heap(0x1000) },
      { start: 0x1000, backing: { kind: 'device', size: 0x1000, fallback: { read: fail, write: fail } } },
    ]);
    const tracking = trackDirty(GuestMemory.from(alias(ram, 0, 0x2000)));
    const { memory } = tracking;
    refused(() => memory.writeAt(0xff0, new Uint8Array(32).fill(1)), { code: 'fault' });
    assert.equal(ram.readU8(0xff0), 1);
    marked(tracking.drain());
    refused(() => memory.fillAt(0xff0, 2, 32), { code: 'fault' });
    marked(tracking.drain());
  });

  it('M12 M13: restoring dirties only what changed', () => {
    const tracking = trackDirty(GuestMemory.allocate(0x8000));
    tracking.memory.fillAt(0, 1, 0x8000);
    const image = capture(tracking.memory);
    tracking.drain();
    tracking.memory.writeU8(0x2fff, 2);
    tracking.drain();
    restore(tracking.memory, image);
    assert.deepEqual(tracking.drain(), [{ gpa: 0x2000, length: 0x1000 }]);
  });

  it('A2 M12: a tracked memory has no full mapping; the log is shared where the bytes are', () => {
    const ram = GuestMemory.allocate(0x2000);
    assert(ram.fullMapping() !== undefined);
    assert.equal(trackDirty(ram).memory.fullMapping(), undefined);
  });
});

function marked(ranges: readonly DirtyRange[]): void {
  assert.deepEqual(ranges, [{ gpa: 0, length: 0x2000 }]);
}

function fail(): void {
  throw new Error('device on fire');
}
