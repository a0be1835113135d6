import { compareBytes, indexOfBytes, isZeroBytes } from './bulk-scan.ts';
import { eachChunk } from './chunks.ts';
import { GuestMemoryError } from './errors.ts';
import type { GuestMemory } from './guest-memory.ts';

/**
 * Compares two ranges byte by byte, as C's memcmp does.
 *
 * @returns 0 where they are equal; else the sign of the first difference, -1 or 1
 * @throws GuestMemoryError as a read of either range
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { compare, GuestMemory } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x2000);
 * assert.equal(compare(memory, 0, memory, 0x1000, 0x1000), 0);
 * memory.writeU8(0x1800, 1);
 * assert.equal(compare(memory, 0, memory, 0x1000, 0x1000), -1);
 * ```
 */
export function compare(
  a: GuestMemory,
  gpaA: number,
  b: GuestMemory,
  gpaB: number,
  length: number,
): -1 | 0 | 1 {
  b.probe(gpaB, length);
  let sign: -1 | 0 | 1 = 0;
  eachChunk(a, gpaA, length, (bytesA, atA) => {
    eachChunk(b, gpaB + (atA - gpaA), bytesA.length, (bytesB, atB) => {
      const from = atB - gpaB - (atA - gpaA);
      sign = compareBytes(bytesA.subarray(from, from + bytesB.length), bytesB);
      return sign !== 0;
    });
    return sign !== 0;
  });
  return sign;
}

/**
 * Finds the first place in a range where `needle` lies whole, across seams as well.
 *
 * @returns its address; -1 where there is none
 * @throws GuestMemoryError `invalid` for an empty needle; else as a read of the range
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, indexOf } from 'guestmem';
 *
 * const memory = GuestMemory.fromRanges([[0, 0x1000], [0x1000, 0x1000]]);
 * memory.writeAt(0x0ffe, Uint8Array.of(1, 2, 3, 4));
 * assert.equal(indexOf(memory, 0, 0x2000, Uint8Array.of(1, 2, 3, 4)), 0x0ffe);
 * ```
 */
export function indexOf(memory: GuestMemory, gpa: number, length: number, needle: Uint8Array): number {
  if (needle.length === 0) {
    throw new GuestMemoryError('invalid', 'the needle is empty', {
      memory: memory.name,
      operation: 'search',
      gpa,
      length,
    });
  }
  let found = -1;
  eachChunk(memory, gpa, length, (bytes, at) => {
    // First what lies across the seam before this chunk, for it begins earlier.
    const seam = Math.max(gpa, at - needle.length + 1);
    if (at > gpa) {
      const around = memory.readBytes(seam, Math.min(at + needle.length - 1, gpa + length) - seam);
      const inSeam = indexOfBytes(around, needle);
      if (inSeam >= 0) {
        found = seam + inSeam;
        return true;
      }
    }
    const inside = indexOfBytes(bytes, needle);
    if (inside >= 0) found = at + inside;
    return inside >= 0;
  });
  return found;
}

/**
 * True where every byte of a range is zero.
 *
 * @throws GuestMemoryError as a read of the range
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, isZero } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x2000);
 * assert.equal(isZero(memory, 0, 0x2000), true);
 * memory.writeU8(0x1fff, 1);
 * assert.equal(isZero(memory, 0, 0x2000), false);
 * ```
 */
export function isZero(memory: GuestMemory, gpa: number, length: number): boolean {
  let zero = true;
  eachChunk(memory, gpa, length, (bytes) => {
    zero = isZeroBytes(bytes);
    return !zero;
  });
  return zero;
}
