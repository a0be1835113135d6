import type { PagingFormat } from './format.ts';

// Inside this room a virtual address that is a multiple of 4 KiB is a page number: a number, for it has at most 45
// bits. Page numbers count through the address space as the tables do, so that the upper, sign-extended half
// follows the lower one.

/** Pages in the whole address space of a format. */
export function pageCount(format: PagingFormat): number {
  return 2 ** (format.addressBits - 12);
}

/** Page number of an address that is canonical. */
export function pageOf(format: PagingFormat, gva: bigint): number {
  return Number(BigInt.asUintN(format.addressBits, gva) >> 12n);
}

const whole = new BigUint64Array(1);
const halves = new Uint32Array(whole.buffer);

/** Address of a page: the inverse of {@link pageOf}. Through memory, at a third of what arithmetic on bigints costs. */
export function addressOf(format: PagingFormat, page: number): bigint {
  const { addressBits, upperBits } = format;
  if (addressBits < 33) {
    const address = BigInt(page) << 12n;
    return upperBits === 'zeros' ? address : BigInt.asUintN(64, address - (1n << BigInt(addressBits)));
  }
  const ones = upperBits === 'ones' || (upperBits === 'signed' && page >= 2 ** (addressBits - 13));
  // Not `%`: of numbers above 2^31 it is a call that takes 40 ns.
  const upper = Math.floor(page / 0x10_0000);
  halves[0] = (page - upper * 0x10_0000) * 4096;
  halves[1] = upper + (ones ? 2 ** 32 - 2 ** (addressBits - 32) : 0);
  return whole[0] as bigint;
}

/** True where every bit above the format's own is what it has to be. */
export function isCanonical(format: PagingFormat, gva: bigint): boolean {
  return addressOf(format, pageOf(format, gva)) === (gva & ~0xfffn);
}

/** First page after the hole in the middle of a signed address space; past the end where there is none. */
export function upperHalf(format: PagingFormat): number {
  return format.upperBits === 'signed' ? pageCount(format) / 2 : pageCount(format);
}
