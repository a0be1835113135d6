import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lendCallBuffer, returnCallBuffer } from '../../src/core/call-buffers.ts';
import {
  alias,
  bytes,
  callbacks,
  GuestMemory,
  heap,
  lazy,
  type MemoryBacking,
  PageRights,
  trackDirty,
  u32,
  u64,
} from '../../src/core/index.ts';
import { makeEntry } from '../../src/core/memory-map.ts';
import type { Region } from '../../src/core/region.ts';
import { refused } from '../support/refused.ts';

const PAGE = 0x1000;

/** A backing of several mapped pieces, as one of more than 4 GiB is. */
function inPieces(...sizes: readonly number[]): MemoryBacking & { readonly mapped: readonly Uint8Array[] } {
  const mapped = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
  return { kind: 'pieces', size: sizes.reduce((sum, size) => sum + size, 0), mapped };
}

describe('M1 M2: a region of several pieces', () => {
  it('M1: a mapped piece that is too long for one is refused', () => {
    class Long extends Uint8Array {
      override get byteLength(): number {
        return 2 ** 32 + 8;
      }
    }
    const backing: MemoryBacking = { kind: 'long', size: 2 ** 32 + 8, mapped: [new Long(8)] };
    refused(() => GuestMemory.fromRegions([{ start: 0x1000, backing }]), { code: 'too-large', gpa: 0x1000 });
  });

  it('A2 subrange: has the pieces that it touches, cut to it, and no other', () => {
    const memory = GuestMemory.fromRegions([{ start: PAGE, backing: inPieces(PAGE, 2 * PAGE, PAGE) }]);
    for (const [offset, length, runs] of [
      [PAGE, PAGE, [PAGE]],
      [PAGE + 8, PAGE - 8, [PAGE - 8]],
      [2 * PAGE, 2 * PAGE, [2 * PAGE]],
      [2 * PAGE + 8, 16, [16]],
      [4 * PAGE, PAGE, [PAGE]],
      [PAGE, 3 * PAGE, [PAGE, 2 * PAGE]],
      [2 * PAGE - 8, 2 * PAGE + 16, [8, 2 * PAGE, 8]],
    ] as const) {
      const part = memory.subrange(offset, length);
      assert.equal(part.regions.length, 1);
      assert.equal(part.regions[0]?.size, length);
      assert.equal(part.reach(0, 8 * PAGE), length);
      refused(() => part.readU8(length), { code: 'unmapped', failedAt: length });
      const views = part.views(0, length, 'read');
      assert.deepEqual(
        views.iovecs.map((run) => run.length),
        runs,
      );
      views.release();
      assert.equal(part.fullMapping()?.length, runs.length === 1 ? length : undefined);
      assert.deepEqual(part.readBytes(0, length), memory.readBytes(offset, length));
    }
  });

  it('M12 M3: what crosses the pieces is one access, marked in each of them', () => {
    const tracking = trackDirty(GuestMemory.fromRegions([{ start: 0, backing: inPieces(PAGE, PAGE, PAGE) }]));
    const { memory } = tracking;
    memory.writeU64(PAGE - 3, 0x0807_0605_0403_0201n);
    assert.equal(memory.readU64(PAGE - 3), 0x0807_0605_0403_0201n);
    assert.deepEqual(tracking.drain(), [{ gpa: 0, length: 2 * PAGE }]);
    memory.writeAt(PAGE - 1, new Uint8Array(PAGE + 2).fill(9));
    assert.deepEqual(memory.readBytes(PAGE - 2, 3), Uint8Array.of(2, 9, 9));
    assert.deepEqual(tracking.drain(), [{ gpa: 0, length: 3 * PAGE }]);
  });
});

describe('M3: a region', () => {
  it('M3: never says that more can be reached than it has', () => {
    for (const backing of [heap(PAGE), callbacks({ size: PAGE, read: () => undefined })]) {
      const [piece] = makeEntry({ start: PAGE, backing }, { operation: 'make' }).pieces;
      assert.equal(piece?.reach(PAGE - 4, 100, 'read'), 4);
      assert.equal(piece?.reach(8, 100, 'read'), 100);
    }
  });
});

describe('M8: regions with bytes in common', () => {
  it('M8: are those whose ranges of one buffer overlap; of calls, those that look elsewhere, or two of calls', () => {
    const buffer = new ArrayBuffer(0x100);
    const mapped = (offset: number, size: number, on: ArrayBuffer = buffer): Region =>
      region(bytes(new Uint8Array(on, offset, size)));
    const region = (backing: MemoryBacking): Region => {
      const [piece] = makeEntry({ start: 0, backing }, { operation: 'make' }).pieces;
      assert(piece !== undefined);
      return piece;
    };
    const calls = region(callbacks({ size: 8, read: () => undefined }));
    const looks = region(alias(GuestMemory.allocate(PAGE), 0, 8));
    for (const [one, other, wanted] of [
      [mapped(0, 16), mapped(16, 16), false],
      [mapped(0, 24), mapped(16, 16), true],
      [mapped(0, 64), mapped(16, 16), true],
      [mapped(0, 16), mapped(64, 16), false],
      [mapped(16, 16), mapped(16, 16), true],
      [mapped(0, 64), mapped(0, 64, new ArrayBuffer(64)), false],
      [mapped(0, 64), calls, false],
      [mapped(0, 64), looks, true],
      [calls, looks, true],
      [calls, calls, true],
    ] as const) {
      assert.equal(one.entangledWith(other), wanted);
      assert.equal(other.entangledWith(one), wanted);
    }
  });
});

describe('M2: a region with both bytes and calls', () => {
  it('M2: asks no call for what is mapped, not even whether it may', () => {
    const never = (): never => {
      throw new Error('nobody should ask');
    };
    const backing: MemoryBacking = {
      ...heap(PAGE),
      fallback: { read: never, write: never, probe: never, compareExchange: never },
    };
    const memory = GuestMemory.fromRegions([{ start: 0, backing }]);
    memory.fillAt(0, 7, PAGE);
    memory.writeU32(1, 0x0102_0304);
    assert.equal(memory.readU32(1), 0x0102_0304);
    assert.equal(memory.reach(0, 2 * PAGE, 'write'), PAGE);
    assert.equal(memory.translateAndGetLimit(8)?.limit, PAGE - 8);
  });
});

describe('M2: a region of calls', () => {
  it('M5: its scalars leave nothing behind, whether they come through or not', () => {
    const size = 2 * PAGE;
    let fails = false;
    const call = (): void => {
      if (fails) throw new Error('gone');
    };
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: callbacks({ size, read: call, write: call }) },
      { start: size, backing: callbacks({ size, read: call, write: call }) },
    ]);
    const lent = lendCallBuffer(8);
    returnCallBuffer();
    for (fails of [false, true]) {
      for (const run of [
        () => memory.readU64(8),
        () => memory.writeU64(8, 1n),
        () => memory.readU32(size - 2),
        () => memory.writeU32(size - 2, 1),
      ]) {
        if (fails) refused(run, { code: 'fault' });
        else run();
        assert.equal(lendCallBuffer(8), lent);
        returnCallBuffer();
      }
    }
  });

  it('M7: is aligned as its calls are told, in a part of it too', () => {
    const told: number[] = [];
    const backing = callbacks({
      size: PAGE,
      read: () => undefined,
      write: () => undefined,
      compareExchange: (offset) => told.push(offset) > 0,
    });
    const part = GuestMemory.fromRegions([{ start: 0, backing }]).subrange(4, 0x100);
    refused(() => part.compareExchange(u64, 0, 0n, 1n), { code: 'misaligned', gpa: 0 });
    part.compareExchange(u64, 4, 0n, 1n);
    part.compareExchange(u32, 0, 0, 1);
    assert.deepEqual(told, [8, 4]);
  });

  it('M10: is asked by its own offsets how far calls serve a page that is not there, in a part of it too', () => {
    const asked: number[] = [];
    const backing: MemoryBacking = {
      ...heap(4 * PAGE),
      exclusive: false,
      presence: new PageRights(4 * PAGE),
      onFault: () => 'fallback',
      fallback: {
        read: (offset, dest) => void dest.fill(offset / PAGE),
        probe: (offset, length) => {
          asked.push(offset, length);
          return length;
        },
      },
    };
    const memory = GuestMemory.fromRegions([{ start: 0, backing }]);
    assert.equal(memory.subrange(2 * PAGE, PAGE).readU8(0), 2);
    assert.equal(
      memory
        .subrange(PAGE, 2 * PAGE)
        .subrange(PAGE, PAGE)
        .readU8(0),
      2,
    );
    assert.deepEqual(asked, [2 * PAGE, 1, 2 * PAGE, 1]);
    assert.equal(memory.fullMapping(), undefined);
  });

  it('A2 full_mapping: is none where pages come on demand, though all of them are there', () => {
    const memory = GuestMemory.fromRegions([{ start: 0, backing: lazy(PAGE) }]);
    memory.fillAt(0, 1, PAGE);
    assert.equal(memory.fullMapping(), undefined);
  });
});

describe('M2: a region that is read-only in the map', () => {
  it('M2: refuses every write before its first byte, though its backing would take it, of calls as well', () => {
    let written = 0;
    const calls = callbacks({
      size: PAGE,
      read: (_offset, dest) => void dest.fill(5),
      write: () => void written++,
    });
    for (const backing of [calls, heap(PAGE)]) {
      const memory = GuestMemory.fromRegions([{ start: PAGE, backing, access: 'r' }], { name: 'rom' });
      assert.equal(memory.regions[0]?.access, 'r');
      for (const run of [
        () => memory.writeU8(PAGE + 8, 1),
        () => memory.writeU64(PAGE + 8, 1n),
        () => memory.writeU32(PAGE + 9, 1),
        () => memory.writeAt(PAGE + 8, Uint8Array.of(1)),
        () => memory.write(PAGE + 8, Uint8Array.of(1)),
        () => memory.fillAt(PAGE + 8, 1, 1),
      ])
        refused(run, { code: 'denied', memory: 'rom' });
      assert.equal(memory.checkRange(PAGE, PAGE, 'write'), false);
      assert.equal(memory.checkRange(PAGE, PAGE), true);
    }
    assert.equal(written, 0);
  });
});
