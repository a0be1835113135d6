/**
 * An address as people of the field read it: `0x` and lower-case hexadecimal digits; what is no address, as it is.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { hex } from 'guestmem';
 *
 * assert.equal(hex(0x1000), '0x1000');
 * assert.equal(hex(0xffff_8000_0000_0000n), '0xffff800000000000');
 * ```
 */
export function hex(value: number | bigint): string {
  const plain = typeof value === 'number' && !(Number.isInteger(value) && value >= 0);
  return plain ? String(value) : `0x${value.toString(16)}`;
}
