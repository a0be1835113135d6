/** An address as people of the field read it: `0x` and lower-case hexadecimal digits; what is no address, as it is. */
export function hex(value: number | bigint): string {
  const plain = typeof value === 'number' && !(Number.isInteger(value) && value >= 0);
  return plain ? String(value) : `0x${value.toString(16)}`;
}
