import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ADDRESS_SPACE_SIZE,
  bytes,
  callbacks,
  GuestMemory,
  heap,
  isGpa,
  MAX_PIECE,
  type MemoryBacking,
  shared,
  toGpa,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';

const TOP = 2 ** 53;

describe('M1: addresses', () => {
  it('M1: toGpa takes two halves up to 2^53-1 and refuses the rest', () => {
    assert.equal(toGpa(0, 0), 0);
    assert.equal(toGpa(0xffff_ffff, 0), 0xffff_ffff);
    assert.equal(toGpa(1, 1), 0x1_0000_0001);
    assert.equal(toGpa(0xffff_ffff, 0x1f_ffff), TOP - 1);
    const error = refused(() => toGpa(0, 0x20_0000), { code: 'invalid' });
    assert.match(error.message, /current value 0x20000000000000,/);
    assert.match(
      refused(() => toGpa(0xffff_ffff, 0xffff_ffff), { code: 'invalid' }).message,
      /0xffffffffffffffff/,
    );
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 32, Infinity]) {
      refused(() => toGpa(bad, 0), { code: 'invalid' });
      refused(() => toGpa(0, bad), { code: 'invalid' });
    }
  });

  it('M4: isGpa is a whole number from 0 to 2^53-1', () => {
    for (const good of [0, 1, 2 ** 32, TOP - 1]) assert.equal(isGpa(good), true);
    for (const bad of [-1, 0.5, Number.NaN, Infinity, TOP]) assert.equal(isGpa(bad), false);
    assert.equal(ADDRESS_SPACE_SIZE, TOP);
  });
});

describe('M1: regions', () => {
  it('M1: any number, given in any order, sorted; touching is fine', () => {
    const starts = Array.from({ length: 300 }, (_, i) => ((i * 7919) % 300) * 0x10);
    const memory = GuestMemory.fromRegions(starts.map((start) => ({ start, backing: heap(0x10) })));
    assert.deepEqual(
      memory.regions.map(({ start }) => start),
      Array.from({ length: 300 }, (_, i) => i * 0x10),
    );
    for (let gpa = 0; gpa + 4 <= 300 * 0x10; gpa += 3) memory.writeU32(gpa, gpa);
    assert.equal(memory.checkRange(0, 300 * 0x10), true);
    assert.equal(memory.checkRange(0, 300 * 0x10 + 1), false);
    assert.deepEqual(GuestMemory.fromRanges([]).regions, []);
  });

  it('M1: every region is found by every scalar, however they are spread', () => {
    const starts = [
      0,
      0x1000,
      0x1_0000,
      0x8000_0000,
      0xffff_f000,
      0x1_0000_0000,
      2 ** 40,
      2 ** 52,
      TOP - 0x1000,
    ];
    const memory = GuestMemory.fromRegions(starts.map((start) => ({ start, backing: heap(0x100) })));
    starts.forEach((start, i) => {
      memory.writeU8(start, i + 1);
      memory.writeU16(start + 2, i + 2);
      memory.writeU32(start + 0xfc, i + 3);
      memory.writeU64(start + 8, BigInt(i) + 4n);
    });
    starts.forEach((start, i) => {
      assert.equal(memory.readU8(start), i + 1);
      assert.equal(memory.readU16(start + 2), i + 2);
      assert.equal(memory.readU32(start + 0xfc), i + 3);
      assert.equal(memory.readU64Number(start + 8), i + 4);
      refused(() => memory.readU8(start + 0x100), { code: 'unmapped', gpa: start + 0x100 });
    });
  });

  it('M1: overlap is refused with both regions named', () => {
    for (const [first, second] of [
      [0x1000, 0x1000],
      [0x1000, 0x10ff],
      [0x1000, 0xf01],
    ] as const) {
      const facts = { code: 'overlap', gpa: Math.max(first, second), length: 0x100 } as const;
      const inits = [
        { start: first, backing: heap(0x100) },
        { start: second, backing: bytes(new Uint8Array(new ArrayBuffer(0x200), second % 8, 0x100)) },
      ];
      const error = refused(() => GuestMemory.fromRegions(inits), facts);
      assert.match(
        error.message,
        new RegExp(`heap region 0x${first.toString(16)}-0x${(first + 0x100).toString(16)}`),
      );
      assert.match(
        error.message,
        new RegExp(`bytes region 0x${second.toString(16)}-0x${(second + 0x100).toString(16)}`),
      );
    }
  });

  it('M1: a region may end at the top of the space, and no further', () => {
    const memory = GuestMemory.fromRanges([[TOP - 0x1000, 0x1000]]);
    memory.writeU64(TOP - 8, 0x1122n);
    memory.writeU8(TOP - 1, 0x77);
    assert.equal(memory.readU64(TOP - 8), 0x7700_0000_0000_1122n);
    assert.equal(memory.regions[0]?.end, TOP);
    assert.equal(memory.reach(TOP - 0x1000, TOP - 1), 0x1000);
    refused(() => memory.readU64(TOP - 7), { code: 'invalid', gpa: TOP - 7, length: 8 });
    refused(() => GuestMemory.fromRegions([{ start: TOP - 0x1000, backing: heap(0x1008) }]), {
      code: 'too-large',
    });
  });

  it('M1: a length that would round a sum is still compared exactly', () => {
    const memory = GuestMemory.fromRanges([[TOP - 0x1000, 0x1000]]);
    assert.equal(memory.checkRange(TOP - 0x1000, 0x1001), false);
    assert.equal(memory.checkRange(TOP - 1, 2), false);
    assert.equal(memory.checkRange(TOP - 1, TOP - 1), false);
    assert.equal(memory.checkRange(1, TOP - 1), false);
  });

  it('M1: zero length and numbers that are none are refused', () => {
    for (const size of [0, -1, 0.5, Number.NaN, TOP, Infinity]) {
      for (const make of [
        () => heap(size),
        () => shared(size),
        () => GuestMemory.allocate(size),
        () => GuestMemory.fromRanges([[0, size]]),
        () => callbacks({ size, read: () => undefined }),
        () => GuestMemory.from({ kind: 'own', size, fallback: { read: () => undefined } }),
      ]) {
        if (size === TOP && make.toString().includes('own')) continue;
        refused(make, { code: 'invalid' });
      }
    }
    refused(() => bytes(new Uint8Array(0)), { code: 'invalid' });
    for (const start of [-8, 0.5, Number.NaN, TOP]) {
      refused(() => GuestMemory.fromRanges([[start, 8]]), { code: 'invalid' });
      refused(() => GuestMemory.fromRegions([{ start, backing: heap(8) }]), { code: 'invalid' });
    }
  });

  it('M1: the start of mapped bytes is congruent modulo 8 to their offset, else refused', () => {
    const buffer = new ArrayBuffer(0x100);
    for (let offset = 0; offset < 8; offset++) {
      for (let start = 0x1000; start < 0x1008; start++) {
        const make = (): GuestMemory =>
          GuestMemory.fromRegions([{ start, backing: bytes(new Uint8Array(buffer, offset, 16)) }]);
        if (start % 8 === offset) assert.equal(make().readU8(start), 0);
        else refused(make, { code: 'misaligned', gpa: start, length: 16 });
      }
    }
    const later: MemoryBacking = { kind: 'own', size: 12, mapped: [new Uint8Array(4), new Uint8Array(8)] };
    refused(() => GuestMemory.from(later), { code: 'misaligned' });
  });

  it('M1: a backing that says one size and maps another, or has nothing behind it, is refused', () => {
    refused(() => GuestMemory.from({ kind: 'own', size: 9, mapped: [new Uint8Array(8)] }), {
      code: 'invalid',
    });
    refused(() => GuestMemory.from({ kind: 'own', size: 7, mapped: [new Uint8Array(8)] }), {
      code: 'invalid',
    });
    refused(() => GuestMemory.from({ kind: 'own', size: 8 }), { code: 'invalid' });
    assert.equal(MAX_PIECE, 2 ** 32);
  });

  it('M1 A2 from_ranges: takes unaligned starts, shared or not', () => {
    for (const isShared of [false, true]) {
      const memory = GuestMemory.fromRanges(
        [
          [0x1001, 5],
          [0x2003, 0x20_0000 - 3],
        ],
        { shared: isShared },
      );
      memory.fillAt(0x1001, 0x11, 5);
      memory.fillAt(0x2003, 0x22, 100);
      memory.fillAt(0x2003 + 0x20_0000 - 3 - 100, 0x33, 100);
      sameBytes(memory.readBytes(0x1001, 5), new Uint8Array(5).fill(0x11));
      sameBytes(memory.readBytes(0x2003, 101), new Uint8Array(101).fill(0x22, 0, 100));
      assert.equal(memory.readU8(0x20_2000 - 1), 0x33);
      assert.equal(memory.readU8(0x20_2000 - 101), 0);
      refused(() => memory.readU8(0x1000), { code: 'unmapped' });
      refused(() => memory.readU8(0x1006), { code: 'unmapped' });
    }
    refused(() => GuestMemory.fromRanges([[1, 2 ** 32]]), { code: 'misaligned', gpa: 1 });
  });
});

describe('M1: changes of the map', () => {
  it('A2 insertRegion and removeRegion give new memories that share the bytes', () => {
    const first = GuestMemory.fromRanges([[0, 0x1000]], { name: 'first' });
    const backing = heap(0x1000);
    const second = first.insertRegion({ start: 0x1000, backing });
    assert.equal(first.regions.length, 1);
    assert.equal(second.regions.length, 2);
    assert.equal(second.name, 'first');
    second.writeU32(0xffe, 0x4433_2211);
    assert.equal(first.readU16(0xffe), 0x2211);
    refused(() => first.readU32(0xffe), { code: 'unmapped', failedAt: 0x1000 });
    const third = second.removeRegion(0, 0x1000);
    assert.equal(third.readU16(0x1000), 0x4433);
    refused(() => third.readU8(0), { code: 'unmapped' });
    assert.equal(second.readU8(0xfff), 0x22);
    assert.deepEqual(third.removeRegion(0x1000, 0x1000).regions, []);
  });

  it('A2 removeRegion wants exactly the start and the size, and says what there is', () => {
    const memory = GuestMemory.fromRanges([
      [0x1000, 0x1000],
      [0x3000, 0x1000],
    ]);
    for (const [start, size] of [
      [0x1000, 0x800],
      [0x1800, 0x800],
      [0, 0x1000],
      [0x1000, 0x3000],
    ] as const) {
      const error = refused(() => memory.removeRegion(start, size), {
        code: 'unmapped',
        gpa: start,
        length: size,
      });
      assert.match(error.message, /0x1000-0x2000, 0x3000-0x4000/);
    }
    assert.match(
      refused(() => GuestMemory.empty().removeRegion(0, 1), { code: 'unmapped' }).message,
      /there are none/,
    );
    refused(() => memory.insertRegion({ start: 0x1fff, backing: heap(1) }), { code: 'misaligned' });
    refused(() => memory.insertRegion({ start: 0x1ff8, backing: heap(1) }), { code: 'overlap' });
    assert.equal(memory.regions.length, 2);
  });

  it('A2 from_regions: they tell start, size, end, kind, access and backing, and cannot be changed', () => {
    const rom = bytes(new Uint8Array(8), { readOnly: true });
    const ram = heap(0x10);
    const memory = GuestMemory.fromRegions([
      { start: 0x100, backing: rom },
      { start: 0x20, backing: ram },
      { start: 0x200, backing: heap(8), access: 'r' },
      { start: 0x300, backing: callbacks({ size: 8, read: () => undefined }) },
      { start: 0x400, backing: shared(8), access: 'rw' },
    ]);
    assert.deepEqual(
      memory.regions.map(({ start, size, end, kind, access }) => [start, size, end, kind, access]),
      [
        [0x20, 0x10, 0x30, 'heap', 'rw'],
        [0x100, 8, 0x108, 'bytes', 'r'],
        [0x200, 8, 0x208, 'heap', 'r'],
        [0x300, 8, 0x308, 'callbacks', 'r'],
        [0x400, 8, 0x408, 'shared', 'rw'],
      ],
    );
    assert.equal(memory.regions[0]?.backing, ram);
    assert.throws(() => Object.assign(memory.regions[0] ?? {}, { start: 1 }), TypeError);
  });
});
