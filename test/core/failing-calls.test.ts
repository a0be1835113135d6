import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  alias,
  bytes,
  callbacks,
  GuestMemory,
  GuestMemoryError,
  heap,
  readPresent,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';

const broken = new Error('device on fire');

/** RAM at 0, calls that fail from `good` bytes on at 0x100, RAM again at 0x200. */
function withBrokenMiddle(good: number): { memory: GuestMemory; stored: Uint8Array } {
  const stored = new Uint8Array(0x100);
  const check = (offset: number, length: number): void => {
    if (offset + length > good) throw broken;
  };
  const middle = callbacks({
    size: 0x100,
    kind: 'device',
    read(offset, dest) {
      check(offset, dest.length);
      dest.fill(0xd0);
    },
    write(offset, src) {
      check(offset, src.length);
      stored.set(src, offset);
    },
  });
  const memory = GuestMemory.fromRegions(
    [
      { start: 0, backing: heap(0x100) },
      { start: 0x100, backing: middle },
      { start: 0x200, backing: heap(0x100) },
    ],
    { name: 'bus' },
  );
  return { memory, stored };
}

describe('M3: calls that fail', () => {
  it('M3 E: an exact call says how many bytes were done, where it failed, and why', () => {
    const { memory } = withBrokenMiddle(0);
    const facts = {
      code: 'fault',
      memory: 'bus',
      gpa: 0xf0,
      length: 0x20,
      failedAt: 0x100,
      done: 0x10,
    } as const;
    const dest = new Uint8Array(0x20).fill(0xee);
    for (const [operation, call] of [
      ['read', () => memory.readAt(0xf0, dest)],
      ['write', () => memory.writeAt(0xf0, dest)],
      ['fill', () => memory.fillAt(0xf0, 7, 0x20)],
    ] as const) {
      const error = refused(call, { ...facts, operation });
      assert.equal(error.cause, broken);
    }
    const seam = { code: 'fault', gpa: 0xfc, length: 8, failedAt: 0x100, done: 4 } as const;
    refused(() => memory.readU64(0xfc), { ...seam, operation: 'read' });
    refused(() => memory.writeU64(0xfc, 0n), { ...seam, operation: 'write' });
    const inside = { code: 'fault', gpa: 0x104, length: 4, failedAt: 0x104, done: 0 } as const;
    refused(() => memory.readU32(0x104), { ...inside, operation: 'read' });
    refused(() => memory.writeU32(0x104, 0), { ...inside, operation: 'write' });
  });

  it('M3: partial calls come as far as they come, and the next one, from there, fails', () => {
    const { memory } = withBrokenMiddle(0);
    const dest = new Uint8Array(0x40);
    memory.fillAt(0, 0x11, 0x100);
    assert.equal(memory.read(0xf0, dest), 0x10);
    sameBytes(dest, new Uint8Array(0x40).fill(0x11, 0, 0x10));
    refused(() => memory.read(0x100, dest), { code: 'fault', gpa: 0x100, done: 0 });
    assert.equal(memory.write(0xf0, new Uint8Array(0x40).fill(0x22)), 0x10);
    refused(() => memory.write(0x100, dest), { code: 'fault', gpa: 0x100, done: 0 });
    assert.equal(memory.readU8(0xff), 0x22);
  });

  it('M3: a long fill of calls stops where it fails and says so, across its own chunks', () => {
    const written: [number, number][] = [];
    const memory = GuestMemory.from(
      callbacks({
        size: 0x4_0000,
        read: (_, dest) => dest.fill(0),
        write(offset, src) {
          if (offset + src.length > 0x2_0000) throw broken;
          written.push([offset, src.length]);
        },
      }),
    );
    refused(() => memory.fillAt(8, 1, 0x3_0000), {
      code: 'fault',
      gpa: 8,
      failedAt: 0x1_0008,
      done: 0x1_0000,
    });
    assert.deepEqual(written, [[8, 0x1_0000]]);
  });

  it('M8 E: a copy that fails in a later part counts from its start', () => {
    const size = 0x30_0000;
    const source = GuestMemory.allocate(size, { name: 'source' });
    const failing = (after: number): GuestMemory =>
      GuestMemory.from(
        callbacks({
          size,
          read(offset, dest) {
            if (offset >= after) throw broken;
            dest.fill(1);
          },
          write(offset) {
            if (offset >= after) throw broken;
          },
        }),
        { name: 'failing' },
      );
    const facts = { code: 'fault', operation: 'copy', memory: 'failing', gpa: 0, length: size } as const;
    const wrote = refused(() => failing(0x10_0000).copyFrom(source, 0, 0, size), facts);
    assert.equal(wrote.done, 0x10_0000);
    assert.equal(wrote.failedAt, 0x10_0000);
    const read = refused(() => source.copyFrom(failing(0x20_0000), 0, 0, size), facts);
    assert.equal(read.done, 0x20_0000);
    assert.equal(read.failedAt, 0x20_0000);
  });

  it('M5: an aligned scalar on calls is exactly one call of its width, and so is an unaligned one', () => {
    const asked: string[] = [];
    const memory = GuestMemory.from(
      callbacks({
        size: 0x100,
        read(offset, dest) {
          asked.push(`r${offset}+${dest.length}`);
          dest.fill(0);
        },
        write: (offset, src) => void asked.push(`w${offset}+${src.length}`),
      }),
    );
    memory.readU8(3);
    memory.readU16(2);
    memory.readU32(4);
    memory.readU64(8);
    memory.readU64Number(16);
    memory.readF64(24);
    memory.writeU8(3, 1);
    memory.writeU16(2, 1);
    memory.writeU32(4, 1);
    memory.writeU64(8, 1n);
    memory.writeU64Halves(16, 1, 1);
    memory.writeF32(20, 1);
    memory.readU32(5);
    assert.deepEqual(asked, [
      'r3+1',
      'r2+2',
      'r4+4',
      'r8+8',
      'r16+8',
      'r24+8',
      'w3+1',
      'w2+2',
      'w4+4',
      'w8+8',
      'w16+8',
      'w20+4',
      'r5+4',
    ]);
  });

  it('M5: calls keep their bytes while they use guest memory themselves', () => {
    const behind = GuestMemory.from(
      callbacks({ size: 0x100, read: (offset, dest) => dest.fill(offset + 1), write: () => undefined }),
    );
    const seen: number[][] = [];
    const memory = GuestMemory.from(
      callbacks({
        size: 0x100,
        read(offset, dest) {
          for (let i = 0; i < dest.length; i++) dest[i] = behind.readU8(offset + i);
        },
        write(_offset, src) {
          behind.readU64(0x33);
          behind.writeF64(0x41, 1.5);
          seen.push(Array.from(src));
        },
      }),
    );
    assert.equal(memory.readU64(0x10), 0x1817_1615_1413_1211n);
    memory.writeU64(0x10, 0x0807_0605_0403_0201n);
    memory.writeU16(3, 0x0201);
    assert.deepEqual(seen, [
      [1, 2, 3, 4, 5, 6, 7, 8],
      [1, 2],
    ]);
    const twice = GuestMemory.from(alias(memory, 0, 0x100));
    assert.equal(twice.readU32(0x20), 0x2423_2221);
  });

  it('M5: what settling asks of a backing does not change the value that is being written', () => {
    const table = GuestMemory.from(
      callbacks({ size: 0x100, read: (_, dest) => dest.fill(0xff), write: () => undefined }),
    );
    const stored = new Uint8Array(0x100);
    const memory = GuestMemory.from(
      callbacks({
        size: 0x100,
        read: (offset, dest) => dest.set(stored.subarray(offset, offset + dest.length)),
        write: (offset, src) => stored.set(src, offset),
        probe(_offset, length) {
          table.readU64(1);
          return length;
        },
      }),
    );
    memory.writeU8(0, 1);
    memory.writeU16(2, 2);
    memory.writeU32(4, 3);
    memory.writeU64(8, 4n);
    memory.writeF64(16, 5);
    memory.writeU64Halves(25, 6, 7);
    assert.deepEqual(
      [
        memory.readU8(0),
        memory.readU16(2),
        memory.readU32(4),
        memory.readU64(8),
        memory.readF64(16),
        memory.readU64(25),
      ],
      [1, 2, 3, 4n, 5, 0x7_0000_0006n],
    );
  });

  it('M3 E: a probe that answers short refuses the whole range first; why is the cause', () => {
    const why = new GuestMemoryError('locked', 'the pager has it', { operation: 'read' });
    let calls = 0;
    const memory = GuestMemory.from(
      callbacks({
        size: 0x1000,
        read: () => void calls++,
        write: () => void calls++,
        probe: (offset, length) => Math.max(0, Math.min(length, 0x80 - offset)),
        explain: (offset) => (offset < 0x90 ? why : undefined),
      }),
      { name: 'paged' },
    );
    const error = refused(() => memory.readAt(0x70, new Uint8Array(0x20)), {
      code: 'locked',
      failedAt: 0x80,
      done: 0,
    });
    assert.equal(error.cause, why);
    refused(() => memory.writeU64(0x7c, 0n), { code: 'locked', gpa: 0x7c, failedAt: 0x80 });
    refused(() => memory.readU8(0x100), { code: 'fault', failedAt: 0x100 });
    assert.equal(calls, 0);
    assert.equal(memory.read(0x70, new Uint8Array(0x20)), 0x10);
    assert.equal(memory.reach(0, 0x1000), 0x80);
    assert.deepEqual(readPresent(memory, 0x70, new Uint8Array(0x20)), [{ start: 0x80, end: 0x90 }]);
  });

  it('M3: a probe that lies, high, low or with no number at all, is kept to the range', () => {
    for (const [answer, wanted] of [
      [1e9, 0x20],
      [-5, 0],
      [Number.NaN, 0],
      [2.9, 2],
      [Infinity, 0x20],
    ] as const) {
      const memory = GuestMemory.from(
        callbacks({ size: 0x1000, read: (_, dest) => dest.fill(1), probe: () => answer }),
      );
      assert.equal(memory.reach(0x10, 0x20), wanted, String(answer));
    }
  });

  it('E: what a probe throws becomes an error of the memory, with nothing done', () => {
    const memory = GuestMemory.fromRegions(
      [
        { start: 0, backing: heap(0x10) },
        {
          start: 0x10,
          backing: callbacks({
            size: 0x10,
            read: (_, dest) => dest.fill(1),
            probe() {
              throw broken;
            },
          }),
        },
      ],
      { name: 'probed' },
    );
    const facts = { code: 'fault', memory: 'probed', gpa: 0xc, length: 8, failedAt: 0x10, done: 0 } as const;
    assert.equal(refused(() => memory.readU64(0xc), { ...facts, operation: 'read' }).cause, broken);
    assert.equal(refused(() => memory.readAt(0xc, new Uint8Array(8)), facts).cause, broken);
    assert.equal(refused(() => memory.probe(0xc, 8), { ...facts, operation: 'probe' }).cause, broken);
    assert.equal(memory.read(0xc, new Uint8Array(8)), 4);
    const first = { ...facts, gpa: 0x10 };
    assert.equal(refused(() => memory.read(0x10, new Uint8Array(8)), first).cause, broken);
    assert.equal(memory.reach(0xc, 8), 4);
    assert.equal(memory.checkRange(0x10, 1), false);
  });

  it('M3: readPresent gives up one page of a failing backing, not the rest', () => {
    const memory = GuestMemory.fromRegions([
      { start: 0x1000, backing: heap(0x1000) },
      {
        start: 0x2000,
        backing: callbacks({
          size: 0x3000,
          read(offset, dest) {
            if (offset < 0x2000 && offset + dest.length > 0x1000) throw broken;
            dest.fill(0xd0);
          },
        }),
      },
    ]);
    const dest = new Uint8Array(0x5000).fill(0xee);
    const holes = readPresent(memory, 0x800, dest);
    assert.deepEqual(holes, [
      { start: 0x800, end: 0x1000 },
      { start: 0x3000, end: 0x4000 },
      { start: 0x5000, end: 0x5800 },
    ]);
    assert.equal(dest[0x800], 0);
    assert.equal(dest[0x1800], 0xd0);
    assert.equal(dest[0x27ff], 0xd0);
    assert.equal(dest[0x3800], 0xd0);
  });

  it('M8: a copy within calls, overlapping, larger than any buffer of ours', () => {
    const size = 0x30_0000;
    for (const [from, to] of [
      [0, 0x1234],
      [0x1234, 0],
    ] as const) {
      const store = new Uint8Array(size).map((_, i) => (i * 31) >>> 3);
      const expected = store.slice().copyWithin(to, from, from + 0x28_0000);
      const backing = callbacks({
        size,
        read: (offset, dest) => dest.set(store.subarray(offset, offset + dest.length)),
        write: (offset, src) => store.set(src, offset),
      });
      const memory = GuestMemory.from(backing);
      memory.subrange(0, size).copyFrom(memory, from, to, 0x28_0000);
      assert.equal(
        store.every((byte, i) => byte === expected[i]),
        true,
      );
    }
  });

  it('M8: a copy between regions that share a buffer, overlapping, larger than any buffer of ours', () => {
    const half = 0x18_0000;
    const size = 2 * half;
    for (const [from, to] of [
      [0, 0x1238],
      [0x1238, 0],
    ] as const) {
      const buffer = new ArrayBuffer(size + 0x2000);
      const all = new Uint8Array(buffer).map((_, i) => (i * 31) >>> 3);
      new Uint8Array(buffer).set(all);
      // Two regions each, so that no copy of one piece will do.
      const at = (offset: number): GuestMemory =>
        GuestMemory.fromRegions([
          { start: 0, backing: bytes(new Uint8Array(buffer, offset, half)) },
          { start: half, backing: bytes(new Uint8Array(buffer, offset + half, half)) },
        ]);
      at(to).copyFrom(at(from), 0, 0, size - 8);
      const expected = all.copyWithin(to, from, from + size - 8);
      assert.equal(
        new Uint8Array(buffer).every((byte, i) => byte === expected[i]),
        true,
        `from ${from} to ${to}`,
      );
    }
  });

  it('M8: a copy through an alias, overlapping, larger than any buffer of ours', () => {
    const size = 0x30_0000;
    for (const [from, to] of [
      [0, 0x1234],
      [0x1234, 0],
    ] as const) {
      const ram = GuestMemory.allocate(size);
      const bytes = ram.fullMapping();
      assert(bytes !== undefined);
      for (let i = 0; i < size; i++) bytes[i] = (i * 31) >>> 3;
      const expected = bytes.slice().copyWithin(to, from, from + 0x28_0000);
      ram.copyFrom(GuestMemory.from(alias(ram, 0, size)), from, to, 0x28_0000);
      assert.equal(
        bytes.every((byte, i) => byte === expected[i]),
        true,
      );
    }
  });
});
