import { scratch } from './scratch.ts';

/** One atomic read of an aligned element of 1, 2, 4 or 8 bytes, into the scratch. */
export function loadElement(buffer: ArrayBufferLike, byteOffset: number, width: number): void {
  if (width === 8) scratch.u64[0] = Atomics.load(new BigUint64Array(buffer, byteOffset, 1), 0);
  else if (width === 4) scratch.u32[0] = Atomics.load(new Uint32Array(buffer, byteOffset, 1), 0);
  else if (width === 2) scratch.u16[0] = Atomics.load(new Uint16Array(buffer, byteOffset, 1), 0);
  else scratch.u8[0] = Atomics.load(new Uint8Array(buffer, byteOffset, 1), 0);
}

/** One atomic write of an aligned element of 1, 2, 4 or 8 bytes, from the scratch. */
export function storeElement(buffer: ArrayBufferLike, byteOffset: number, width: number): void {
  if (width === 8) Atomics.store(new BigUint64Array(buffer, byteOffset, 1), 0, scratch.u64[0] as bigint);
  else if (width === 4) Atomics.store(new Uint32Array(buffer, byteOffset, 1), 0, scratch.u32[0] as number);
  else if (width === 2) Atomics.store(new Uint16Array(buffer, byteOffset, 1), 0, scratch.u16[0] as number);
  else Atomics.store(new Uint8Array(buffer, byteOffset, 1), 0, scratch.u8[0] as number);
}

/**
 * Replaces an aligned element of 1, 2, 4 or 8 bytes by `desired` if it equals `expected`; else puts what is there into
 * `expected`. Returns whether it was replaced.
 */
export function compareExchangeElement(
  buffer: ArrayBufferLike,
  byteOffset: number,
  expected: Uint8Array,
  desired: Uint8Array,
): boolean {
  const width = expected.length;
  const wanted = rawBits(expected);
  const next = rawBits(desired);
  let found: number | bigint;
  if (typeof wanted === 'bigint' || typeof next === 'bigint') {
    found = Atomics.compareExchange(
      new BigUint64Array(buffer, byteOffset, 1),
      0,
      BigInt(wanted),
      BigInt(next),
    );
    scratch.u64[0] = found;
  } else {
    if (width === 4) found = Atomics.compareExchange(new Uint32Array(buffer, byteOffset, 1), 0, wanted, next);
    else if (width === 2)
      found = Atomics.compareExchange(new Uint16Array(buffer, byteOffset, 1), 0, wanted, next);
    else found = Atomics.compareExchange(new Uint8Array(buffer, byteOffset, 1), 0, wanted, next);
    scratch.u32[0] = found;
  }
  if (found === wanted) return true;
  expected.set(scratch.u8.subarray(0, width));
  return false;
}

/** Up to eight bytes as one little-endian value: a number up to 4 bytes, a bigint for 8. */
function rawBits(bytes: Uint8Array): number | bigint {
  scratch.u64[0] = 0n;
  scratch.u8.set(bytes);
  return bytes.length === 8 ? (scratch.u64[0] as bigint) : (scratch.u32[0] as number);
}
