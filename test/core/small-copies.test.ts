import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytes, GuestMemory, heap, shared, trackDirty } from '../../src/core/index.ts';

// A buffer that is passed again and again is remembered, and copied by words: each case here calls often enough for that.
const OFTEN = 40;

const SIZE = 0x1000;

/** The library of types is a year older than the buffers that can be resized. */
const Resizable = ArrayBuffer as new (
  length: number,
  options: { maxByteLength: number },
) => ArrayBuffer & { resize?(length: number): void };

function pattern(length: number, factor: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i * factor + (i >>> 8));
}

const lengths = [1, 2, 3, 4, 7, 8, 9, 12, 16, 24, 25, 31, 64, 96, 100, 191, 192, 193, 300];
const offsets = [0, 1, 2, 3, 4, 5, 7, 8, 12];

for (const [name, make] of [
  ['private', heap],
  ['shared', shared],
] as const) {
  describe(`M2: small copies, ${name} memory`, () => {
    const content = pattern(2 * SIZE, 13);
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: make(SIZE) },
      { start: SIZE, backing: make(SIZE) },
    ]);

    it('M2: reads every length at every alignment, inside a region and across a seam', () => {
      memory.writeAt(0, content);
      const space = new ArrayBuffer(512);
      for (const skew of [0, 1, 4]) {
        const dest = new Uint8Array(space, skew, 500);
        for (let i = 0; i < OFTEN; i++) memory.readAt(0, dest, 0, 8);
        for (const length of lengths) {
          for (const gpa of [...offsets, ...offsets.map((offset) => SIZE - offset)]) {
            for (const at of [0, 3, 4, 8]) {
              dest.fill(0xee);
              memory.readAt(gpa, dest, at, length);
              const wanted = new Uint8Array(500).fill(0xee);
              wanted.set(content.subarray(gpa, gpa + length), at);
              assert.deepEqual(dest, wanted, `${length} bytes at ${gpa} to ${skew}+${at}`);
            }
          }
        }
      }
    });

    it('M2: writes every length at every alignment, inside a region and across a seam', () => {
      const src = pattern(500, 7);
      for (let i = 0; i < OFTEN; i++) memory.writeAt(0, src, 0, 8);
      for (const length of lengths) {
        for (const gpa of [...offsets, ...offsets.map((offset) => SIZE - offset)]) {
          for (const at of [0, 3, 4, 8]) {
            const near = Math.max(0, gpa - 16);
            memory.fillAt(near, 0xee, 600);
            memory.writeAt(gpa, src, at, length);
            const wanted = new Uint8Array(600).fill(0xee);
            wanted.set(src.subarray(at, at + length), gpa - near);
            assert.deepEqual(memory.readBytes(near, 600), wanted, `${length} bytes from ${at} to ${gpa}`);
          }
        }
      }
    });

    it('M5: reads and writes unaligned scalars across the seam', () => {
      memory.writeAt(0, content);
      const wanted = new DataView(content.buffer);
      const halves = new Uint32Array(2);
      for (let gpa = SIZE - 9; gpa < SIZE + 2; gpa++) {
        assert.equal(memory.readU16(gpa), wanted.getUint16(gpa, true));
        assert.equal(memory.readU32(gpa), wanted.getUint32(gpa, true));
        memory.readU64Into(gpa, halves);
        assert.deepEqual([...halves], [wanted.getUint32(gpa, true), wanted.getUint32(gpa + 4, true)]);
      }
      for (let gpa = SIZE - 9; gpa < SIZE + 2; gpa++) {
        memory.writeU64Halves(gpa, 0x0403_0201, 0x0807_0605);
        assert.deepEqual(memory.readBytes(gpa, 8), Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
        memory.writeU16(gpa, 0xbbaa);
        assert.deepEqual(memory.readBytes(gpa, 3), Uint8Array.of(0xaa, 0xbb, 3));
      }
    });

    it('M12: both pages of a scalar across a seam are dirty', () => {
      const tracking = trackDirty(memory);
      tracking.memory.writeU32(SIZE - 2, 1);
      assert.deepEqual(tracking.drain(), [{ gpa: 0, length: 2 * SIZE }]);
      tracking.memory.writeAt(SIZE - 4, new Uint8Array(8));
      assert.deepEqual(tracking.drain(), [{ gpa: 0, length: 2 * SIZE }]);
    });
  });
}

describe('M8: small copies of a memory into itself', () => {
  it('M8: moves bytes that overlap as one copy, however often', () => {
    const buffer = new ArrayBuffer(SIZE);
    const memory = GuestMemory.from(bytes(new Uint8Array(buffer)));
    for (const [from, to, length] of [
      [0, 8, 64],
      [8, 0, 64],
      [0, 4, 16],
      [4, 0, 180],
    ] as const) {
      const view = new Uint8Array(buffer, to, length);
      for (let i = 0; i < OFTEN; i++) {
        const content = pattern(SIZE, 3 + i);
        memory.writeAt(0, content);
        memory.readAt(from, view);
        assert.deepEqual(view, content.subarray(from, from + length), `read ${from} to ${to}`);
        memory.writeAt(0, content);
        memory.writeAt(from, view);
        assert.deepEqual(memory.readBytes(from, length), content.subarray(to, to + length));
      }
    }
  });
});

describe('M3: small copies with buffers that change', () => {
  const memory = GuestMemory.fromRegions([{ start: 0, backing: heap(SIZE) }]);

  it('M3: takes buffers in turn', () => {
    const content = pattern(SIZE, 5);
    memory.writeAt(0, content);
    const buffers = [new Uint8Array(64), new Uint8Array(new SharedArrayBuffer(64)), new Uint8Array(32)];
    for (let i = 0; i < 100; i++) {
      const dest = buffers[i % 3] as Uint8Array;
      memory.readAt(i * 8, dest);
      assert.deepEqual([...dest], [...content.subarray(i * 8, i * 8 + dest.length)]);
    }
  });

  it('M3: refuses a buffer that was detached after many calls', () => {
    const dest = new Uint8Array(16);
    for (let i = 0; i < OFTEN; i++) memory.readAt(0, dest);
    structuredClone(dest.buffer, { transfer: [dest.buffer] });
    assert.throws(() => memory.readAt(0, dest, 0, 16), { code: 'invalid' });
  });

  it('M3: follows a buffer that grows and shrinks', () => {
    const buffer = new Resizable(16, { maxByteLength: 64 });
    const dest = new Uint8Array(buffer);
    const content = pattern(64, 11);
    memory.writeAt(0, content);
    for (let i = 0; i < OFTEN; i++) memory.readAt(0, dest);
    buffer.resize?.(64);
    memory.readAt(0, dest);
    assert.deepEqual(dest, content);
    buffer.resize?.(8);
    memory.readAt(8, dest);
    assert.deepEqual(dest, content.subarray(8, 16));
  });
});
