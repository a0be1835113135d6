/** A 64-bit mask as two unsigned 32-bit halves: how masks are kept in format descriptions. */
export interface Mask64 {
  /** Bits 31:0. */
  readonly lo: number;
  /** Bits 63:32. */
  readonly hi: number;
}

/** No bits at all. */
export const NONE: Mask64 = { lo: 0, hi: 0 };

/** Bits `high:low` inclusive, written as the manuals write them; empty where `high` is below `low`. */
export function bits(high: number, low: number = high): Mask64 {
  return { lo: half(high, low), hi: half(high - 32, low - 32) };
}

function half(high: number, low: number): number {
  const from = Math.max(low, 0);
  const to = Math.min(high, 31);
  return to < from ? 0 : 2 ** (to + 1) - 2 ** from;
}

/** All bits of all masks. */
export function union(...masks: readonly Mask64[]): Mask64 {
  let lo = 0;
  let hi = 0;
  for (const mask of masks) {
    lo |= mask.lo;
    hi |= mask.hi;
  }
  return { lo: lo >>> 0, hi: hi >>> 0 };
}

/** Two halves as one bigint. Not for hot loops. */
export function fromHalves(lo: number, hi: number): bigint {
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
}

/** Two halves of a physical address, at most 52 bits, as a number. */
export function physical(lo: number, hi: number): number {
  return (hi >>> 0) * 0x1_0000_0000 + (lo >>> 0);
}
