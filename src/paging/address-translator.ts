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
  /**
   * The page has 2^sizeBits bytes: of two stages, that of the first, for an address anywhere in it names it to a fence. How far
   * the translation reaches is another question: through two stages the next 4 KiB may lie elsewhere, and allow less.
   */
  sizeBits: number;
  /** For the 4 KiB around the address: bit n says that access code n is allowed, and would leave the tables as they are. */
  accesses: number;
  /** The page is the same in every address space (of one virtual machine). */
  global: boolean;
}

/** A translator that also tells which page an address is in: what a {@link Tlb} stands in front of. */
export interface PageTranslator extends AddressTranslator {
  /**
   * Names the rules by which it judges accesses: its format and controls. What a TLB keeps was judged by the rules of its
   * time, and is good for translators with the same ones only.
   */
  readonly rules?: string;
  /**
   * Bits 63:32 of an address as they are translated for an access, and as fences know it: without what a program keeps in the
   * upper bits of its pointers. Absent: as they are.
   */
  untagged?(hi: number, access: number): number;
  /**
   * As `resolve`, and says into `page` how large the page is, which accesses the 4 KiB around the address allow, and whether
   * it is global. All of it comes from one walk.
   */
  resolvePage(lo: number, hi: number, access: number, page: WalkedPage): number;
}
