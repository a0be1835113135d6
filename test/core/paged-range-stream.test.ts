import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  GuestMemory,
  PAGE_SIZE,
  PagedRange,
  PagedRangeReader,
  PagedRangeWriter,
  struct,
  u8,
  u16,
  u32,
  u32be,
  u64,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { pattern } from '../support/scalars.ts';

const HEADER = struct({ type: u32, flags: u16, tag: u8, sector: u64 });

/** Pages 0 to 7, but nothing at page 5. */
function makeMemory(): GuestMemory {
  return GuestMemory.fromRanges(
    [
      [0, 0x5000],
      [0x6000, 0x2000],
    ],
    { name: 'paged' },
  );
}

describe('readers and writers of a paged range', () => {
  it('A2 PagedRange readers and writers: values go through, whole or across pages', () => {
    const memory = makeMemory();
    const range = new PagedRange(0xff3, 0x800, [3, 1]);
    const writer = new PagedRangeWriter(memory, range);
    const header = { type: 0x0102_0304, flags: 0xfedc, tag: 9, sector: 0x1122_3344_5566_7788n };
    writer.writePlain(HEADER, header);
    writer.writePlain(u32be, 0xcafe_f00d);
    writer.write(Uint8Array.of(1, 2, 3));
    writer.fill(0xee, 5);
    writer.zero(2);
    assert.equal(writer.remaining, 0x800 - HEADER.size - 4 - 3 - 5 - 2);

    const reader = new PagedRangeReader(memory, range);
    assert.deepEqual(reader.readPlain(HEADER), header);
    assert.equal(reader.readPlain(u32be), 0xcafe_f00d);
    reader.skip(1);
    const two = new Uint8Array(2);
    reader.read(two);
    assert.deepEqual(two, Uint8Array.of(2, 3));
    assert.equal(reader.readPlain(u32), 0xeeee_eeee);
    assert.equal(reader.remaining, writer.remaining + 3);
    assert.equal(reader.readAll()[0], 0xee);
    assert.equal(reader.remaining, 0);
    assert.equal(reader.readAll().length, 0);
    assert.deepEqual(memory.readBytes(0x3ff3, 13), memory.readBytes(0x3ff3, 13));
    assert.equal(memory.readU32(0x3ff3), header.type);
  });

  it('R OpenVMM D9: remaining is what remains, after every step of a reader and a writer', () => {
    const memory = makeMemory();
    const range = new PagedRange(0, 100, [0]);
    const writer = new PagedRangeWriter(memory, range);
    const reader = new PagedRangeReader(memory, range);
    let left = 100;
    const steps: readonly [number, () => void][] = [
      [10, () => [writer.write(new Uint8Array(10)), reader.read(new Uint8Array(10))]],
      [7, () => [writer.fill(1, 7), reader.skip(7)]],
      [5, () => [writer.zero(5), reader.skip(5)]],
      [4, () => [writer.writePlain(u32, 1), reader.readPlain(u32)]],
      [3, () => [writer.skip(3), reader.read(new Uint8Array(3))]],
      [0, () => [writer.write(new Uint8Array(0)), reader.skip(0)]],
      [71, () => [writer.zero(71), reader.readAll()]],
    ];
    for (const [count, step] of steps) {
      step();
      left -= count;
      assert.deepEqual([writer.remaining, reader.remaining], [left, left]);
    }
  });

  it('A2 readers and writers: what does not fit is refused before anything is touched', () => {
    const memory = makeMemory();
    const range = new PagedRange(0x10, 6, [0]);
    const writer = new PagedRangeWriter(memory, range);
    writer.skip(3);
    for (const step of [
      () => writer.write(new Uint8Array(4).fill(1)),
      () => writer.fill(1, 4),
      () => writer.zero(4),
      () => writer.writePlain(u32, 1),
      () => writer.skip(4),
    ]) {
      refused(step, { code: 'too-large', memory: 'paged' });
      assert.equal(writer.remaining, 3);
    }
    const reader = new PagedRangeReader(memory, range);
    const dest = new Uint8Array(7).fill(0xaa);
    refused(() => reader.read(dest), { code: 'too-large', operation: 'read in a paged range' });
    refused(() => reader.readPlain(u64), { code: 'too-large' });
    assert.deepEqual([reader.remaining, dest[0]], [6, 0xaa]);
    for (const bad of [-1, 0.5, Number.NaN]) {
      refused(() => reader.skip(bad), { code: 'invalid' });
      refused(() => writer.fill(0, bad), { code: 'invalid' });
      refused(() => reader.limit(bad), { code: 'invalid' });
      refused(() => writer.limit(bad), { code: 'invalid' });
    }
    refused(() => writer.fill(256, 1), { code: 'invalid' });
    assert.equal(writer.remaining, 3);
    sameBytes(memory.readBytes(0, 0x40), new Uint8Array(0x40));
  });

  it('A2 readers and writers: one that fails stays where it was, and goes on from there', () => {
    const memory = makeMemory();
    const range = new PagedRange(0xffe, 0x100, [4, 5]);
    const writer = new PagedRangeWriter(memory, range);
    const reader = new PagedRangeReader(memory, range);
    for (const step of [
      () => writer.write(new Uint8Array(4).fill(1)),
      () => writer.writePlain(u32, 1),
      () => writer.fill(1, 0x100),
      () => reader.read(new Uint8Array(4)),
      () => reader.readPlain(u32),
      () => reader.readAll(),
    ]) {
      refused(step, { code: 'unmapped', failedAt: 0x5000, done: 0 });
      assert.deepEqual([writer.remaining, reader.remaining], [0x100, 0x100]);
    }
    assert.equal(memory.readU16(0x4ffe), 0);
    writer.writePlain(u16, 0x1234);
    assert.equal(reader.readPlain(u16), 0x1234);
    refused(() => reader.readPlain(u8), { code: 'unmapped', failedAt: 0x5000 });
  });

  it('A2 limit: clamps to what remains, and its place is its own', () => {
    const memory = makeMemory();
    const range = new PagedRange(0, 10, [0]);
    const writer = new PagedRangeWriter(memory, range);
    const part = writer.limit(4);
    part.fill(7, 4);
    assert.deepEqual([part.remaining, writer.remaining, writer.limit(99).remaining], [0, 10, 10]);
    refused(() => part.zero(1), { code: 'too-large' });
    const reader = new PagedRangeReader(memory, range);
    reader.skip(2);
    const some = reader.limit(4);
    assert.deepEqual(some.readAll(), Uint8Array.of(7, 7, 0, 0));
    assert.deepEqual([reader.remaining, reader.limit(99).remaining], [8, 8]);
  });

  it('A2 readers and writers: any steps are those of a cursor over an array', () => {
    const step = fc.tuple(
      fc.constantFrom('bytes', 'fill', 'zero', 'skip', 'u32', 'u64'),
      fc.integer({ min: 0, max: 2000 }),
    );
    fc.assert(
      fc.property(
        fc.shuffledSubarray([0, 1, 2, 3, 4, 6, 7], { minLength: 1 }),
        fc.nat(PAGE_SIZE - 1),
        fc.array(step, { maxLength: 12 }),
        (gpns, offset, steps) => {
          const memory = makeMemory();
          const range = new PagedRange(offset, gpns.length * PAGE_SIZE - offset, gpns);
          const model = new Uint8Array(range.length);
          const writer = new PagedRangeWriter(memory, range);
          let at = 0;
          for (const [name, count] of steps) {
            const width = name === 'u32' ? 4 : name === 'u64' ? 8 : count;
            if (width > model.length - at) continue;
            const there = new DataView(model.buffer, at, width);
            if (name === 'bytes') {
              model.set(pattern(count, at), at);
              writer.write(pattern(count, at));
            } else if (name === 'fill') {
              model.fill(0x77, at, at + count);
              writer.fill(0x77, count);
            } else if (name === 'zero') writer.zero(count);
            else if (name === 'skip') writer.skip(count);
            else if (name === 'u32') {
              there.setUint32(0, count * 0x1_0001, true);
              writer.writePlain(u32, count * 0x1_0001);
            } else {
              there.setBigUint64(0, BigInt(count) << 40n, true);
              writer.writePlain(u64, BigInt(count) << 40n);
            }
            at += width;
            assert.equal(writer.remaining, model.length - at);
          }
          sameBytes(new PagedRangeReader(memory, range).readAll(), model);
        },
      ),
      { numRuns: 60 },
    );
  });
});
