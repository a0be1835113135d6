import type { AccessFacts } from './architecture.ts';

/** How a processor sets aside what a program keeps in the upper bits of its pointers. */
export interface PointerTags {
  /** Addresses that repeat this bit count's topmost bit upwards stay as they are. */
  readonly bits: number;
  /** Bits 63:32 of the address that an access is made to, from those of the pointer: signed both. */
  strip(hi: number, access: AccessFacts): number;
}

/** Bits 63:32 of an address of which only the lowest `bits`, 33 to 64, count: the topmost of them is repeated above. */
export function signExtended(hi: number, bits: number): number {
  return (hi << (64 - bits)) >> (64 - bits);
}
