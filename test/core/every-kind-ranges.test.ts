import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { compare, indexOf, isZero, readPresent } from '../../src/core/index.ts';
import { KINDS, type MemoryUnderTest } from '../support/memory-kinds.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { pattern } from '../support/scalars.ts';

/** Lengths around every step that copying takes: a loop, a call, whole pieces. */
const LENGTHS = [0, 1, 2, 3, 7, 8, 9, 23, 24, 25, 31, 33, 63, 64, 65, 100];

for (const kind of KINDS) {
  describe(`ranges of ${kind.name}`, () => {
    let tested: MemoryUnderTest;
    /** Bytes that may be moved by one of the tests: all of a small memory, every length in a larger one. */
    let lengths: number[];
    before(() => {
      tested = kind.make();
      lengths = [...LENGTHS, tested.length].filter((length) => length <= tested.length);
    });

    it('A2 read_at, write_at: move every length from every place, at offsets of the buffer', () => {
      const { memory, start, length } = tested;
      const expected = pattern(length);
      memory.writeAt(start, expected);
      tested.disturb?.();
      const source = pattern(length + 3, 5);
      for (const count of lengths) {
        for (let at = 0; at <= length - count; at += 1 + Math.floor(count / 3)) {
          memory.writeAt(start + at, source, 3, count);
          expected.set(source.subarray(3, 3 + count), at);
          const dest = new Uint8Array(count + 4).fill(0xee);
          memory.readAt(start + at, dest, 2, count);
          sameBytes(dest.subarray(2, 2 + count), expected.subarray(at, at + count));
          assert.deepEqual([dest[0], dest[1], dest[count + 2], dest[count + 3]], [0xee, 0xee, 0xee, 0xee]);
        }
      }
      sameBytes(memory.readBytes(start, length), expected);
    });

    it('A2 read_to_atomic, write_from_atomic: the buffer may lie in shared memory', () => {
      const { memory, start, length } = tested;
      const own = new Uint8Array(new SharedArrayBuffer(length + 5), 5);
      own.set(pattern(length, 6));
      memory.writeAt(start, own);
      const back = new Uint8Array(new SharedArrayBuffer(length + 1), 1);
      memory.readAt(start, back);
      sameBytes(Uint8Array.from(back), pattern(length, 6));
    });

    it('A2 fill_at: sets every length from every place, and not a byte beside it', () => {
      const { memory, start, length } = tested;
      const expected = pattern(length);
      memory.writeAt(start, expected);
      tested.disturb?.();
      lengths.forEach((count, i) => {
        for (let at = 0; at <= length - count; at += 1 + count) {
          memory.fillAt(start + at, 0x80 + i, count);
          expected.fill(0x80 + i, at, at + count);
        }
        sameBytes(memory.readBytes(start, length), expected);
      });
      for (const value of [-1, 256, 1.5, Number.NaN]) {
        refused(() => memory.fillAt(start, value, 1), { code: 'invalid', operation: 'fill', gpa: start });
      }
    });

    it('M3: an exact call that would fail anywhere moves nothing', () => {
      const { memory, start, length, pastEnd } = tested;
      const bytes = pattern(length, 7);
      memory.writeAt(start, bytes);
      const end = start + length;
      const dest = new Uint8Array(length + 1).fill(0xee);
      const facts = { gpa: start, length: length + 1, failedAt: end, done: 0, memory: memory.name } as const;
      if (pastEnd === 'unmapped') {
        refused(() => memory.readAt(start, dest), { code: 'unmapped', operation: 'read', ...facts });
        refused(() => memory.writeAt(start, dest), { code: 'unmapped', operation: 'write', ...facts });
        refused(() => memory.fillAt(start, 1, length + 1), { code: 'unmapped', operation: 'fill', ...facts });
        refused(() => memory.readBytes(start, length + 1), { code: 'unmapped', operation: 'read', ...facts });
      } else if (pastEnd === 'invalid') {
        refused(() => memory.readAt(start, dest), { code: 'invalid' });
        refused(() => memory.writeAt(start, dest), { code: 'invalid' });
        refused(() => memory.fillAt(start, 1, length + 1), { code: 'invalid' });
      }
      sameBytes(dest, new Uint8Array(length + 1).fill(0xee));
      sameBytes(memory.readBytes(start, length), bytes);
    });

    it('M3: read and write go up to the first hole and say how far', () => {
      const { memory, start, length, pastEnd } = tested;
      const end = start + length;
      if (pastEnd === 'unmapped') {
        for (const count of [1, 5, 30]) {
          const source = pattern(40, count);
          assert.equal(memory.write(end - count, source), count);
          const dest = new Uint8Array(44).fill(0xee);
          assert.equal(memory.read(end - count, dest, 2, 40), count);
          sameBytes(dest.subarray(2, 2 + count), source.subarray(0, count));
          sameBytes(dest.subarray(2 + count), new Uint8Array(42 - count).fill(0xee));
        }
        const facts = { code: 'unmapped', gpa: end, length: 4, failedAt: end, done: 0 } as const;
        refused(() => memory.read(end, new Uint8Array(4)), { ...facts, operation: 'read' });
        refused(() => memory.write(end, new Uint8Array(4)), { ...facts, operation: 'write' });
      }
      assert.equal(memory.read(start, new Uint8Array(length)), length);
      assert.equal(memory.write(start, new Uint8Array(9), 4), 5);
      assert.equal(memory.read(start, new Uint8Array(0)), 0);
    });

    it('M4: nothing is done for nothing, at any valid address', () => {
      const { memory, start, length } = tested;
      const none = new Uint8Array(0);
      for (const gpa of [0, start, start + length - 1, 5, 0x7fff_ffff, 2 ** 40 + 1, 2 ** 53 - 1]) {
        memory.readAt(gpa, none);
        memory.writeAt(gpa, none);
        memory.fillAt(gpa, 7, 0);
        memory.probe(gpa, 0, 'write');
        memory.copyFrom(memory, gpa, gpa, 0);
        assert.equal(memory.read(gpa, none), 0);
        assert.equal(memory.write(gpa, none), 0);
        assert.equal(memory.readBytes(gpa, 0).length, 0);
        assert.equal(memory.checkRange(gpa, 0, 'write'), true);
        assert.equal(memory.reach(gpa, 0), 0);
        assert.equal(memory.view(gpa, 0, 'read').bytes.length, 0);
        assert.equal(memory.views(gpa, 0, 'write').iovecs.length, 0);
        assert.equal(compare(memory, gpa, memory, 3, 0), 0);
        assert.equal(isZero(memory, gpa, 0), true);
        assert.equal(indexOf(memory, gpa, 0, Uint8Array.of(1)), -1);
        assert.deepEqual(readPresent(memory, gpa, none), []);
      }
    });

    it('M4: addresses and lengths that are none are invalid in every call', () => {
      const { memory, start } = tested;
      const dest = new Uint8Array(8);
      for (const bad of [-1, 0.5, Number.NaN, Infinity, 2 ** 53]) {
        for (const call of [
          () => memory.readAt(bad, dest),
          () => memory.writeAt(bad, dest),
          () => memory.fillAt(bad, 0, 1),
          () => memory.fillAt(start, 0, bad),
          () => memory.readAt(start, dest, 0, bad),
          () => memory.writeAt(start, dest, 0, bad),
          () => memory.readAt(start, dest, bad),
          () => memory.writeAt(start, dest, bad),
          () => memory.readAt(start, dest, 0, 9),
          () => memory.readAt(start, dest, 7, 2),
          () => memory.read(bad, dest),
          () => memory.read(start, dest, bad),
          () => memory.write(bad, dest),
          () => memory.write(start, dest, 0, bad),
          () => memory.readBytes(bad, 1),
          () => memory.readBytes(start, bad),
          () => memory.readCString(bad, 1),
          () => memory.readCString(start, bad),
          () => memory.probe(bad, 0),
          () => memory.probe(start, bad),
          () => memory.view(bad, 0, 'read'),
          () => memory.views(start, bad, 'read'),
          () => memory.copyFrom(memory, bad, start, 0),
          () => memory.copyFrom(memory, start, bad, 0),
          () => memory.copyFrom(memory, start, start, bad),
          () => memory.translateAndGetLimit(bad),
          () => memory.iova(bad),
          () => memory.subrange(bad, 0),
          () => memory.subrange(0, bad),
          () => compare(memory, bad, memory, start, 1),
          () => compare(memory, start, memory, bad, 1),
          () => isZero(memory, bad, 1),
          () => indexOf(memory, start, bad, Uint8Array.of(1)),
          () => readPresent(memory, bad, dest),
        ]) {
          refused(call, { code: 'invalid' });
        }
        refused(() => memory.readAt(start, dest, bad), {
          code: 'invalid',
          operation: 'read',
          memory: memory.name,
        });
        refused(() => memory.writeAt(start, dest, bad), {
          code: 'invalid',
          operation: 'write',
          memory: memory.name,
        });
        assert.equal(memory.checkRange(bad, 1), false);
        assert.equal(memory.checkRange(start, bad), false);
        assert.equal(memory.reach(bad, 1), 0);
        assert.equal(memory.checkGpaReadable(bad), false);
        assert.equal(memory.checkGpaWritable(bad), false);
      }
    });

    it('M3: checkRange, reach and probe agree with what an access would do', () => {
      const { memory, start, length, pastEnd, holeBefore } = tested;
      const end = start + length;
      for (const access of ['read', 'write'] as const) {
        assert.equal(memory.checkRange(start, length, access), true);
        assert.equal(memory.reach(start, length, access), length);
        memory.probe(start, length, access);
        if (pastEnd !== undefined) {
          assert.equal(memory.checkRange(start, length + 1, access), false);
          assert.equal(memory.checkRange(end - 1, 2, access), false);
          assert.equal(memory.reach(end - 5, 100, access), 5);
          refused(() => memory.probe(end - 1, 2, access), { code: pastEnd, operation: 'probe' });
        }
        if (pastEnd === 'unmapped') {
          assert.equal(memory.checkRange(end, 1, access), false);
          assert.equal(memory.reach(end, 1, access), 0);
        }
        if (holeBefore) {
          assert.equal(memory.checkRange(start - 1, 2, access), false);
          assert.equal(memory.reach(start - 1, 2, access), 0);
        }
      }
      assert.equal(memory.checkGpaReadable(end - 1), true);
      assert.equal(memory.checkGpaWritable(end - 1), true);
      assert.equal(memory.checkGpaReadable(end), pastEnd === undefined);
      assert.equal(memory.checkGpaWritable(start - 1), !holeBefore && start > 0);
    });

    it('A2: readCString reads up to the zero byte, UTF-8 and across seams, and not further', () => {
      const { memory, start, length, pastEnd } = tested;
      const text = 'Grüße an die Gäste';
      const coded = new TextEncoder().encode(text);
      memory.fillAt(start, 0x41, length);
      for (let at = 0; at + coded.length < length; at++) {
        memory.writeAt(start + at, coded);
        memory.writeU8(start + at + coded.length, 0);
        assert.equal(memory.readCString(start + at, coded.length + 1), text);
      }
      memory.fillAt(start, 0x41, length);
      for (const count of [0, 1, 63, 64, 65, 128].filter((n) => n < length)) {
        memory.writeU8(start + count, 0);
        assert.equal(memory.readCString(start, length), 'A'.repeat(count));
        assert.equal(memory.readCString(start, count + 1), 'A'.repeat(count));
        refused(() => memory.readCString(start, count), { code: 'too-large', gpa: start, length: count });
        memory.writeU8(start + count, 0x41);
      }
      refused(() => memory.readCString(start, 10), { code: 'too-large', gpa: start, length: 10 });
      memory.writeU8(start + length - 1, 0);
      assert.equal(memory.readCString(start, length), 'A'.repeat(length - 1));
      if (pastEnd === 'unmapped') {
        assert.equal(memory.readCString(start, length + 100), 'A'.repeat(length - 1));
        memory.writeU8(start + length - 1, 0x42);
        refused(() => memory.readCString(start + 1, length + 100), {
          code: 'unmapped',
          failedAt: start + length,
        });
      }
    });
  });
}
