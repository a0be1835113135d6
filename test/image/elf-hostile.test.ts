import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isGuestMemoryError } from 'guestmem';
import { bytesSource, isImageError, type MemoryImage, openImage } from 'guestmem/image';
import { elfCore, pattern, qemuNote } from '../support/elf-core.ts';

const low = pattern(40, 1);
const high = pattern(24, 2);
const whole = elfCore({
  segments: [
    { paddr: 0x1000n, data: low, memsz: 64n },
    { paddr: 0x1_0000_0000n, data: high },
  ],
  notes: [qemuNote({ cr3: 0x5000n })],
});

/** What the intact dump says is at an address; `undefined` where there is no memory. */
function truth(gpa: number): number | undefined {
  if (gpa >= 0x1000 && gpa < 0x1040) return low[gpa - 0x1000] ?? 0;
  if (gpa >= 0x1_0000_0000) return high[gpa - 0x1_0000_0000];
  return undefined;
}

/** Opens, or fails as an image may: with an ImageError. */
function tryOpen(file: Uint8Array): MemoryImage | undefined {
  try {
    return openImage(bytesSource(file));
  } catch (error) {
    assert(isImageError(error), `not an ImageError: ${String(error)}`);
    return undefined;
  }
}

/** The byte, or the code of the error. */
function tryRead(image: MemoryImage, gpa: number): number | string {
  try {
    return image.memory.readU8(gpa);
  } catch (error) {
    assert(isGuestMemoryError(error), `not a GuestMemoryError: ${String(error)}`);
    return error.code;
  }
}

describe('ELF core, damaged', () => {
  it('I1: cut off at any byte it gives right bytes or a typed error, never wrong bytes', () => {
    let opened = 0;
    for (let length = 0; length < whole.length; length++) {
      const image = tryOpen(whole.subarray(0, length));
      if (image === undefined) continue;
      opened++;
      for (const start of [0xff8, 0x1_0000_0000]) {
        for (let gpa = start; gpa < start + 80; gpa++) {
          const got = tryRead(image, gpa);
          if (typeof got === 'number') assert.equal(got, truth(gpa), `length ${length}, gpa ${gpa}`);
          else
            assert.equal(
              got,
              truth(gpa) === undefined ? 'unmapped' : 'fault',
              `length ${length}, gpa ${gpa}`,
            );
        }
      }
    }
    // The headers are the first 360 bytes; with them there is an image, however little of the rest.
    assert.equal(opened, whole.length - (64 + 2 * 64 + 3 * 56));
  });

  it('I2: with any bytes of its headers changed it opens or fails typed, and reads only what lies in the file', () => {
    const headers = 64 + 2 * 64 + 3 * 56 + 40;
    const change = fc.tuple(
      fc.nat(headers - 1),
      fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)),
    );
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 12 }), fc.nat(whole.length), (changes, cut) => {
        const file = whole.slice(0, whole.length - (cut % 3 === 0 ? cut : 0));
        for (const [at, value] of changes) if (at < file.length) file[at] = value;
        const image = tryOpen(file);
        if (image !== undefined) checkMap(image, file);
      }),
      { numRuns: 3000 },
    );
  });

  it('I2: any bytes behind an ELF magic open or fail typed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 400 }), (tail) => {
        const file = Uint8Array.of(
          0x7f,
          0x45,
          0x4c,
          0x46,
          2,
          1,
          1,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          4,
          0,
          62,
          0,
          1,
          0,
          0,
          0,
          ...tail,
        );
        const image = tryOpen(file);
        if (image !== undefined) checkMap(image, file);
      }),
      { numRuns: 1000 },
    );
  });
});

/** Ranges are sorted, apart, and each `ram` byte looked at is the file's byte at the range's offset. */
function checkMap(image: MemoryImage, file: Uint8Array): void {
  let last = 0;
  for (const { start, end, kind, offset = 0 } of image.ranges) {
    assert(start >= last && end > start && end <= 2 ** 53);
    last = end;
    for (const gpa of new Set([start, Math.floor(start + (end - start) / 2), end - 1])) {
      const got = tryRead(image, gpa);
      if (kind === 'ram') assert.equal(got, file[offset + (gpa - start)]);
      else assert.equal(got, kind === 'zero' ? 0 : 'fault');
    }
  }
}
