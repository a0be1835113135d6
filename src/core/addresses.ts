import { GuestMemoryError } from './errors.ts';
import { hex } from './hex.ts';

/** Bytes in a page, the unit of rounding, of protection and of dirty tracking: 4 KiB. */
export const PAGE_SIZE = 4096;

/** One past the last guest-physical address: the whole space has 2^53 bytes (x86 and Arm have at most 2^52). */
export const ADDRESS_SPACE_SIZE: number = 2 ** 53;

/**
 * True for a guest-physical address, or a length: a whole number from 0 to 2^53-1.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { isGpa } from 'guestmem';
 *
 * assert.equal(isGpa(0x1_0000_0000), true);
 * assert.equal(isGpa(-1), false);
 * assert.equal(isGpa(2 ** 53), false);
 * ```
 */
export function isGpa(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/**
 * The one place where a 64-bit address written by a guest becomes a number (SPEC M1).
 *
 * @param lo - bits 31:0, as an unsigned 32-bit number
 * @param hi - bits 63:32, as an unsigned 32-bit number
 * @throws GuestMemoryError `invalid` where the address is above 2^53-1, or a half is not an unsigned 32-bit number
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { toGpa } from 'guestmem';
 *
 * assert.equal(toGpa(0x1000, 0x1), 0x1_0000_1000);
 * assert.throws(() => toGpa(0, 0xffff_ffff), { code: 'invalid' });
 * ```
 */
export function toGpa(lo: number, hi: number): number {
  if (hi >>> 0 !== hi || lo >>> 0 !== lo || hi > 0x1f_ffff) throw badHalves(lo, hi);
  return hi * 0x1_0000_0000 + lo;
}

function badHalves(lo: number, hi: number): GuestMemoryError {
  const current =
    lo >>> 0 === lo && hi >>> 0 === hi ? hex((BigInt(hi) << 32n) | BigInt(lo)) : `halves ${lo} and ${hi}`;
  return new GuestMemoryError('invalid', `current value ${current}, wanted at most 0x1fffffffffffff`, {
    operation: 'use a 64-bit value as a guest-physical address',
  });
}
