import type { Access } from './access.ts';
import { GuestMemoryError, isGuestMemoryError } from './errors.ts';
import type { GuestMemory } from './guest-memory.ts';
import { hex } from './hex.ts';
import type { PagedRange } from './paged-range.ts';

/**
 * Fills `dest` with the bytes of a range. Every page is settled before the first byte.
 *
 * @param dest - exactly as long as the range; may lie in shared memory
 * @throws GuestMemoryError `invalid` for a buffer of another length; else as `readAt`, with the page that is not there
 * as `failedAt`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, PagedRange, readRange, writeRange } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x4000);
 * const range = new PagedRange(0xffe, 4, [3, 1]);
 * writeRange(memory, range, Uint8Array.of(1, 2, 3, 4));
 * assert.deepEqual(memory.readBytes(0x3ffe, 2), Uint8Array.of(1, 2));
 * assert.deepEqual(memory.readBytes(0x1000, 2), Uint8Array.of(3, 4));
 * const back = new Uint8Array(4);
 * readRange(memory, range, back);
 * assert.deepEqual(back, Uint8Array.of(1, 2, 3, 4));
 * ```
 */
export function readRange(memory: GuestMemory, range: PagedRange, dest: Uint8Array): void {
  checkLength(memory, range, dest, READ);
  eachRun(memory, range, 'read', READ, (gpa, length, at) => memory.readAt(gpa, dest, at, length));
}

/**
 * Stores `src` in the bytes of a range. Every page is settled before the first byte.
 *
 * @param src - exactly as long as the range; may lie in shared memory
 * @throws GuestMemoryError `invalid` for a buffer of another length; else as `writeAt`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, PagedRange, writeRange } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x2000);
 * const range = new PagedRange(0, 0x2000, [1, 9]);
 * assert.throws(() => writeRange(memory, range, new Uint8Array(0x2000).fill(1)), {
 *   code: 'unmapped',
 *   failedAt: 0x9000,
 *   done: 0,
 * });
 * assert.equal(memory.readU8(0x1000), 0);
 * ```
 */
export function writeRange(memory: GuestMemory, range: PagedRange, src: Uint8Array): void {
  checkLength(memory, range, src, WRITE);
  eachRun(memory, range, 'write', WRITE, (gpa, length, at) => memory.writeAt(gpa, src, at, length));
}

/**
 * Sets every byte of a range to `value`, a whole number from 0 to 255.
 *
 * @throws GuestMemoryError as `fillAt`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { fillRange, GuestMemory, PagedRange } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x2000);
 * fillRange(memory, new PagedRange(0x800, 0x1000, [1, 0]), 0xaa);
 * assert.deepEqual([memory.readU8(0x17ff), memory.readU8(0x1800), memory.readU8(0x7ff)], [0, 0xaa, 0xaa]);
 * ```
 */
export function fillRange(memory: GuestMemory, range: PagedRange, value: number): void {
  if ((value & 0xff) !== value) {
    throw new GuestMemoryError('invalid', `current value ${value}, wanted a whole number from 0 to 255`, {
      memory: memory.name,
      operation: FILL,
      length: range.length,
    });
  }
  eachRun(memory, range, 'write', FILL, (gpa, length) => memory.fillAt(gpa, value, length));
}

/**
 * Sets every byte of a range to 0.
 *
 * @throws GuestMemoryError as `fillAt`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, PagedRange, zeroRange } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x1000);
 * memory.writeU32(0x10, 0xffff_ffff);
 * zeroRange(memory, new PagedRange(0x11, 2, [0]));
 * assert.equal(memory.readU32(0x10), 0xff00_00ff);
 * ```
 */
export function zeroRange(memory: GuestMemory, range: PagedRange): void {
  fillRange(memory, range, 0);
}

const READ = 'read a range of';
const WRITE = 'write a range of';
const FILL = 'fill a range of';

/** Settles every run, then takes a step for each: the shape of every operation on a range (SPEC M3). */
function eachRun(
  memory: GuestMemory,
  range: PagedRange,
  access: Access,
  operation: string,
  step: (gpa: number, length: number, at: number) => void,
): void {
  settleRange(memory, range, access, operation);
  for (let at = 0; at < range.length; ) {
    const gpa = range.gpaAt(at);
    const length = range.runAt(at);
    try {
      step(gpa, length, at);
    } catch (error) {
      throw refusal(memory, range, operation, at, error);
    }
    at += length;
  }
}

/** Throws what an access to the range would throw, and touches nothing. */
function settleRange(memory: GuestMemory, range: PagedRange, access: Access, operation: string): void {
  for (let at = 0; at < range.length; ) {
    const length = range.runAt(at);
    try {
      memory.probe(range.gpaAt(at), length, access);
    } catch (error) {
      throw refusal(memory, range, operation, 0, error);
    }
    at += length;
  }
}

/** What the memory said of one run, as an error of the whole range: `done` counts from the range's first byte. */
function refusal(
  memory: GuestMemory,
  range: PagedRange,
  operation: string,
  done: number,
  cause: unknown,
): unknown {
  if (!isGuestMemoryError(cause)) return cause;
  const where = cause.failedAt === undefined ? 'one of its runs' : `the byte at ${hex(cause.failedAt)}`;
  return new GuestMemoryError(cause.code, `${where} cannot be accessed`, {
    memory: memory.name,
    operation,
    gpa: range.gpaAt(0),
    length: range.length,
    failedAt: cause.failedAt,
    done: done + cause.done,
    ready: cause.ready,
    cause,
  });
}

function checkLength(memory: GuestMemory, range: PagedRange, buffer: Uint8Array, operation: string): void {
  if (buffer.length !== range.length) {
    throw new GuestMemoryError(
      'invalid',
      `current buffer of ${buffer.length} bytes, wanted one of exactly ${range.length}`,
      { memory: memory.name, operation, length: range.length },
    );
  }
}
