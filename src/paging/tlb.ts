import { halvesOfAddress, splitAddress } from './address-halves.ts';
import { PagingError } from './paging-error.ts';
import type { AddressTranslator, WalkedPage } from './translator.ts';
import type { WalkFault } from './walk-fault.ts';

/** A translator that also tells which page an address is in: what a {@link Tlb} stands in front of. */
export interface PageTranslator extends AddressTranslator {
  /** As `resolve`, and says into `page` how large the page is and which accesses it allows. */
  resolvePage(lo: number, hi: number, access: number, page: WalkedPage): number;
}

/** Access codes that a slot has room for: all that {@link accessCode} makes. */
const CACHED_CODES = 0xfff;
const PAGE = ~0xfff;

/**
 * A small direct-mapped cache of translations, for interpreters. It keeps what the tables said when they were
 * walked, as hardware does: after changing an entry, or for another root, call {@link Tlb.invalidate} or
 * {@link Tlb.flush}. Faults are not kept.
 *
 * A slot is 16 bytes: the virtual page (52 bits) with a bit for each access code that is allowed in its low 12 bits,
 * and the physical address of the page as a double. A page larger than 4 KiB takes a slot for each 4 KiB in use.
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
  /** Two of the four words of each slot: the page's bits 31:12 with the allowed accesses, and its bits 63:32. */
  private readonly tags: Int32Array;
  /** The other two: the second double of each slot is the physical address of the page. */
  private readonly bases: Float64Array;
  /** Size of the page that each slot is part of, as a power of two. */
  private readonly sizes: Uint8Array;
  private readonly page: WalkedPage = { sizeBits: 12, accesses: 0 };

  /**
   * @param options.entries - number of slots: a power of two from 1 to 2^20. Default 1024, which is 17 KiB
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
    const slots = new ArrayBuffer(entries * 16);
    this.fault = translator.fault;
    this.translator = translator;
    this.mask = entries - 1;
    this.tags = new Int32Array(slots);
    this.bases = new Float64Array(slots);
    this.sizes = new Uint8Array(entries);
  }

  resolve(lo: number, hi: number, access: number): number {
    const slot = (lo >>> 12) & this.mask;
    const tag = this.tags[slot * 4] as number;
    if (
      ((tag ^ lo) & PAGE) === 0 &&
      (((tag & CACHED_CODES) >>> access) & 1) !== 0 &&
      (this.tags[slot * 4 + 1] as number) === (hi | 0)
    ) {
      return (this.bases[slot * 2 + 1] as number) + (lo & ~PAGE);
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
    this.tags.fill(0);
    this.sizes.fill(0);
  }

  /**
   * Forgets the translation of one address; if it is in a large page, all of that page, as INVLPG does.
   *
   * @throws PagingError `invalid` for a bigint outside 0 to 2^64-1
   */
  invalidate(gva: bigint): void {
    splitAddress(gva);
    const page = pageNumber(halvesOfAddress[0] as number, halvesOfAddress[1] as number);
    for (let slot = 0; slot <= this.mask; slot++) {
      const sizeBits = this.sizes[slot] as number;
      if (sizeBits === 0) continue;
      const pages = 2 ** (sizeBits - 12);
      const cached = pageNumber(this.tags[slot * 4] as number, this.tags[slot * 4 + 1] as number);
      if (Math.floor(cached / pages) === Math.floor(page / pages)) {
        this.tags[slot * 4] = 0;
        this.sizes[slot] = 0;
      }
    }
  }

  private fill(slot: number, lo: number, hi: number, access: number): number {
    const { page } = this;
    const gpa = this.translator.resolvePage(lo, hi, access, page);
    if (gpa < 0) return gpa;
    this.tags[slot * 4] = (lo & PAGE) | (page.accesses & CACHED_CODES);
    this.tags[slot * 4 + 1] = hi;
    this.bases[slot * 2 + 1] = gpa - (lo & ~PAGE);
    this.sizes[slot] = page.sizeBits;
    return gpa;
  }
}

function pageNumber(lo: number, hi: number): number {
  return (hi >>> 0) * 0x10_0000 + (lo >>> 12);
}
