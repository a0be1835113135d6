const whole = new BigUint64Array(1);
const wholeHalves = new Int32Array(whole.buffer);

/** An entry from its halves: through memory, at a small part of what arithmetic on bigints costs. */
export function entryOf(lo: number, hi: number): bigint {
  wholeHalves[0] = lo;
  wholeHalves[1] = hi;
  return whole[0] as bigint;
}

/** A physical address as two 32-bit halves. */
export function halvesOf(gpa: number): [number, number] {
  return [(gpa % 0x1_0000_0000) | 0, Math.floor(gpa / 0x1_0000_0000)];
}
