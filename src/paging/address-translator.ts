import type { WalkFault } from './walk-fault.ts';

/** What turns virtual addresses into physical ones without allocating: a {@link Translator}, or a {@link Tlb}. */
export interface AddressTranslator {
  /** Why the last `resolve` answered -1; overwritten by the next failure. */
  readonly fault: WalkFault;
  /** Guest-physical address for the virtual address `hi:lo` (bits 63:32, 31:0), or -1 with {@link fault} filled in. */
  resolve(lo: number, hi: number, access: number): number;
  /** The same from a bigint. */
  resolveGva(gva: bigint, access: number): number;
}

/** What a TLB has to know about a page besides its address. */
export interface WalkedPage {
  /** The page has 2^sizeBits bytes. */
  sizeBits: number;
  /** Bit n says that access code n is allowed. */
  accesses: number;
}
