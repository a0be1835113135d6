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

/** Address of a page: the inverse of {@link pageOf}. */
export function addressOf(format: PagingFormat, page: number): bigint {
  const address = BigInt(page) << 12n;
  switch (format.upperBits) {
    case 'signed':
      return BigInt.asUintN(64, BigInt.asIntN(format.addressBits, address));
    case 'ones':
      return address + 2n ** 64n - 2n ** BigInt(format.addressBits);
    default:
      return address;
  }
}

/** True where every bit above the format's own is what it has to be. */
export function isCanonical(format: PagingFormat, gva: bigint): boolean {
  return addressOf(format, pageOf(format, gva)) === (gva & ~0xfffn);
}

/** First page after the hole in the middle of a signed address space; past the end where there is none. */
export function upperHalf(format: PagingFormat): number {
  return format.upperBits === 'signed' ? pageCount(format) / 2 : pageCount(format);
}
