import type { WalkedPage } from './address-translator.ts';

/** What is translated: `first` a virtual address, `second` what a guest takes for a physical one. */
export type TlbStage = 'first' | 'second';

/** What the entries of a space have in common: what a fence may name, and the rules that they were judged by. */
export interface TlbTags {
  readonly stage: TlbStage;
  readonly vmid: number;
  readonly asid: number;
  readonly rules: string;
}

/** Words of a slot. */
export const WORDS = 4;

/**
 * Access codes that a slot has room for. Implicit accesses and user mode's writes to a shadow stack, which are above (see
 * access.ts), are walked every time.
 */
const CACHED_CODES = 0xfff;
/** Bits of an address that name the page, in its lower half. */
const PAGE = ~0xfff;
const GLOBAL = 64;
const SIZE = 63;
/** The smallest page, as a power of two. */
const SMALLEST = 12;

/**
 * The part of a TLB that one address space has: slots, each found by the low bits of a page number. A slot is four
 * 32-bit words: bits 31:12 of the virtual address, with a bit below for each access code that is allowed; bits 63:32; the
 * number of the physical page; and the size of the page as a power of two, with {@link GLOBAL}. 0 there is an empty slot.
 *
 * A page larger than 4 KiB takes a slot for each 4 KiB in use: its fragments, which go together.
 */
export class TlbSpace {
  /** The first word of this space. */
  readonly base: number;
  private readonly slots: Int32Array;
  private readonly entries: number;
  private owner: TlbTags;
  /** No page in here is larger than this power of two: it says how far apart fragments may lie. */
  private largest: number = SMALLEST;
  /** Whether there may be global pages in here. */
  private globals = false;
  /** When the TLB was switched to this space last, in switches. */
  usedAt = 0;

  constructor(slots: Int32Array, base: number, entries: number, owner: TlbTags) {
    this.slots = slots;
    this.base = base;
    this.entries = entries;
    this.owner = owner;
  }

  get tags(): TlbTags {
    return this.owner;
  }

  get hasGlobals(): boolean {
    return this.globals;
  }

  /** Gives the room to another address space; nothing is left of the one before. */
  assign(owner: TlbTags): void {
    this.clear();
    this.owner = owner;
  }

  put(slot: number, lo: number, hi: number, gpa: number, page: WalkedPage): void {
    const { slots } = this;
    slots[slot] = (lo & PAGE) | (page.accesses & CACHED_CODES);
    slots[slot + 1] = hi;
    slots[slot + 2] = Math.floor(gpa / 4096);
    slots[slot + 3] = page.global ? page.sizeBits | GLOBAL : page.sizeBits;
    if (page.sizeBits > this.largest) this.largest = page.sizeBits;
    if (page.global) this.globals = true;
  }

  /** Takes over the entry of a global page from another space, if it has one for this address and access. */
  adopt(from: TlbSpace, slot: number, lo: number, hi: number, access: number): boolean {
    const { slots } = this;
    const other = slot - this.base + from.base;
    const [tag = 0, tagHi = 0, page = 0, size = 0] = slots.subarray(other, other + WORDS);
    if ((size & GLOBAL) === 0 || ((tag ^ lo) & PAGE) !== 0 || tagHi !== (hi | 0)) return false;
    if ((((tag & CACHED_CODES) >>> access) & 1) === 0) return false;
    slots.set([tag, tagHi, page, size], slot);
    this.largest = Math.max(this.largest, size & SIZE);
    this.globals = true;
    return true;
  }

  /** Forgets everything. */
  clear(): void {
    this.slots.fill(0, this.base, this.base + this.entries * WORDS);
    this.largest = SMALLEST;
    this.globals = false;
  }

  /** Forgets the pages that are global, or those that are not. */
  drop(global: boolean): void {
    if (!this.globals) {
      if (!global) this.clear();
      return;
    }
    for (let i = 0; i < this.entries; i++) {
      const slot = this.base + i * WORDS;
      if (isGlobal(this.slots, slot) === global) this.slots.fill(0, slot, slot + WORDS);
    }
    if (global) this.globals = false;
  }

  /**
   * Forgets every fragment of the page that an address is in; of global pages, of the others, or, left open, of both.
   * No more slots are looked at than the largest page in here has fragments.
   */
  dropPage(lo: number, hi: number, global: boolean | undefined): void {
    const { slots, entries } = this;
    const page = pageNumber(lo, hi);
    const span = 2 ** (this.largest - SMALLEST);
    const first = span >= entries ? 0 : Math.floor(page / span) * span;
    const count = Math.min(span, entries);
    for (let i = 0; i < count; i++) {
      const slot = this.base + ((first + i) % entries) * WORDS;
      const size = (slots[slot + 3] as number) & SIZE;
      if (size === 0 || (global !== undefined && isGlobal(slots, slot) !== global)) continue;
      const pages = 2 ** (size - SMALLEST);
      const cached = pageNumber(slots[slot] as number, slots[slot + 1] as number);
      if (Math.floor(cached / pages) === Math.floor(page / pages)) slots.fill(0, slot, slot + WORDS);
    }
  }
}

function isGlobal(slots: Int32Array, slot: number): boolean {
  return ((slots[slot + 3] as number) & GLOBAL) !== 0;
}

/**
 * A number for bits 55:12 of an address. What is above repeats bit 55 or is an Arm pointer's tag, which a TLBI does not
 * name; where it is neither, a fence forgets a page too many, as a TLB may at any time.
 */
function pageNumber(lo: number, hi: number): number {
  return (hi & 0xff_ffff) * 0x10_0000 + (lo >>> 12);
}
