import { halvesOfAddress, splitAddress } from './address-halves.ts';
import type { AddressTranslator, PageTranslator, WalkedPage } from './address-translator.ts';
import { PagingError } from './paging-error.ts';
import type { WalkFault } from './walk-fault.ts';

/** Access codes that a slot has room for: all that {@link accessCode} makes. */
const CACHED_CODES = 0xfff;
const PAGE = ~0xfff;
const PER_PAGE = 2 ** -12;
const MOST_CACHED = 2 ** 43;

/**
 * A small direct-mapped cache of translations, for interpreters. It keeps what the tables said when they were
 * walked, as hardware does: after changing an entry, or for another root, call {@link Tlb.invalidate} or
 * {@link Tlb.flush}. Faults are not kept.
 *
 * A slot is four 32-bit words: the virtual page with a bit for each access code that is allowed in its low 12 bits (two
 * words), the number of the physical page, and the size of the page that it is part of. A page larger than 4 KiB takes
 * a slot for each 4 KiB in use. Physical pages above 8 TiB, whose numbers do not fit, are walked every time.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { ACCESS, createRoot, FrameRange, GuestTables, map, Tlb, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x10_0000);
 * const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
 * createRoot(tables, X86_4LEVEL);
 * map(tables, { format: X86_4LEVEL, gva: 0x1000n, gpa: 0x5000, length: 0x1000 });
 * const tlb = new Tlb(new Translator({ tables, format: X86_4LEVEL }));
 *
 * assert.equal(tlb.resolve(0x1234, 0, ACCESS.read), 0x5234);
 * memory.fillAt(0x8_0000, 0, 0x8_0000); // every table is gone ...
 * assert.equal(tlb.resolve(0x1238, 0, ACCESS.read), 0x5238); // ... and still cached
 * tlb.invalidate(0x1000n);
 * assert.equal(tlb.resolve(0x1238, 0, ACCESS.read), -1);
 * ```
 */
export class Tlb implements AddressTranslator {
  readonly fault: WalkFault;
  private readonly translator: PageTranslator;
  private readonly mask: number;
  /** Bits 31:12 and allowed accesses; bits 63:32; physical page; size as a power of two, 0 in an empty slot. */
  private readonly slots: Int32Array;
  private readonly page: WalkedPage = { sizeBits: 12, accesses: 0, global: false };

  /**
   * @param options.entries - number of slots: a power of two from 1 to 2^20. Default 1024, which is 16 KiB
   * @throws PagingError `invalid` for another number
   */
  constructor(translator: PageTranslator, options: { readonly entries?: number } = {}) {
    const entries = options.entries ?? 1024;
    if (!Number.isInteger(Math.log2(entries)) || entries < 1 || entries > 2 ** 20) {
      throw new PagingError(
        'invalid',
        `Cannot make a TLB: current entries ${entries}, wanted a power of two up to 2^20`,
      );
    }
    this.fault = translator.fault;
    this.translator = translator;
    this.mask = entries - 1;
    this.slots = new Int32Array(entries * 4);
  }

  resolve(lo: number, hi: number, access: number): number {
    const slots = this.slots;
    const slot = ((lo >>> 12) & this.mask) * 4;
    const tag = slots[slot] as number;
    if (
      ((tag ^ lo) & PAGE) === 0 &&
      (((tag & CACHED_CODES) >>> access) & 1) !== 0 &&
      (slots[slot + 1] as number) === (hi | 0)
    ) {
      // The page plus a fraction, and not the address plus an offset: a sum of whole numbers above 2^31 is one that V8
      // 14 checks to stay whole, with an allocation for the answer (8.0 ns, where this is 4.9).
      return ((slots[slot + 2] as number) + (lo & ~PAGE) * PER_PAGE) * 4096;
    }
    return this.fill(slot, lo, hi, access);
  }

  /** @throws PagingError `invalid` for a bigint outside 0 to 2^64-1 */
  resolveGva(gva: bigint, access: number): number {
    splitAddress(gva);
    return this.resolve(halvesOfAddress[0] as number, halvesOfAddress[1] as number, access);
  }

  /** Forgets every translation. */
  flush(): void {
    this.slots.fill(0);
  }

  /**
   * Forgets the translation of one address; if it is in a large page, all of that page, as INVLPG does.
   *
   * @throws PagingError `invalid` for a bigint outside 0 to 2^64-1
   */
  invalidate(gva: bigint): void {
    splitAddress(gva);
    const page = pageNumber(halvesOfAddress[0] as number, halvesOfAddress[1] as number);
    const slots = this.slots;
    for (let slot = 0; slot < slots.length; slot += 4) {
      const sizeBits = slots[slot + 3] as number;
      if (sizeBits === 0) continue;
      const pages = 2 ** (sizeBits - 12);
      const cached = pageNumber(slots[slot] as number, slots[slot + 1] as number);
      if (Math.floor(cached / pages) === Math.floor(page / pages)) {
        slots.fill(0, slot, slot + 4);
      }
    }
  }

  private fill(slot: number, lo: number, hi: number, access: number): number {
    const { page, slots } = this;
    const gpa = this.translator.resolvePage(lo, hi, access, page);
    if (gpa < 0 || gpa >= MOST_CACHED) return gpa;
    slots[slot] = (lo & PAGE) | (page.accesses & CACHED_CODES);
    slots[slot + 1] = hi;
    slots[slot + 2] = Math.floor(gpa / 4096);
    slots[slot + 3] = page.sizeBits;
    return gpa;
  }
}

function pageNumber(lo: number, hi: number): number {
  return (hi >>> 0) * 0x10_0000 + (lo >>> 12);
}
