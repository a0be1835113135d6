import { halvesOfAddress, splitAddress } from './address-halves.ts';
import type { AddressTranslator, PageTranslator, WalkedPage } from './address-translator.ts';
import { PagingError } from './paging-error.ts';
import { TlbSpace, type TlbStage, type TlbTags, WORDS } from './tlb-space.ts';
import type { WalkFault } from './walk-fault.ts';

/** How large a {@link Tlb} is. */
export interface TlbOptions {
  /** Slots of an address space: a power of two from 1 to 2^20. Default 1024, which is 16 KiB. */
  readonly entries?: number;
  /** How many address spaces are kept at once: 1 to 1024. Another one takes the place of the least recently used. Default 8. */
  readonly spaces?: number;
}

/** An address space to translate in, by the numbers that fences know it by. */
export interface TlbSwitch {
  /** Walks the tables of the address space. */
  readonly translator: PageTranslator;
  /** ASID, or PCID: 0 to 65535. Default 0. */
  readonly asid?: number;
  /** The virtual machine: VMID, or VPID; the host is one as well. 0 to 2^32-1. Default 0. */
  readonly vmid?: number;
  /**
   * `second` where the translator takes what a guest takes for physical addresses; `first` where it takes virtual ones,
   * through one stage or through both. Default `first`.
   */
  readonly stage?: TlbStage;
}

/** Which entries {@link Tlb.invalidate} forgets: those that agree with every field given. */
export interface TlbFence {
  /** An address within the page, whatever its size. Absent: every page. */
  readonly address?: bigint;
  /** The entries of this address space, and those of global pages, which belong to every one. Absent: of all. */
  readonly asid?: number;
  /** Absent: of every virtual machine. */
  readonly vmid?: number;
  /** Entries of global pages stay. Default false. */
  readonly keepGlobal?: boolean;
  /** Absent: both. */
  readonly stage?: TlbStage;
}

// Constants of this module are known to the optimiser, imported ones are looked up every time.
const PAGE = ~0xfff;
const CACHED_CODES = 0xfff;
const PER_PAGE = 2 ** -12;
const MOST_CACHED = 2 ** 43;
const MOST_ASID = 0xffff;
const MOST_VMID = 0xffff_ffff;

/**
 * A cache of translations, for interpreters and for models of processors. It keeps what the tables said when they were
 * walked, as hardware does, until a fence forgets it ({@link Tlb.invalidate}); `docs/guides/tlb.md` says which instruction of
 * x86, Arm and RISC-V is which call. Entries belong to the address space that was switched to ({@link Tlb.switchTo}), those
 * of global pages to every one of its virtual machine. Faults are not kept.
 *
 * It is direct-mapped, with room of its own for each address space: a hit does not look at tags. Physical pages above
 * 8 TiB, whose numbers do not fit into a slot, are walked every time.
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
 * tlb.invalidate({ address: 0x1000n });
 * assert.equal(tlb.resolve(0x1238, 0, ACCESS.read), -1);
 * ```
 */
export class Tlb implements AddressTranslator {
  private readonly mask: number;
  private readonly slots: Int32Array;
  private readonly spaces: TlbSpace[];
  private readonly capacity: number;
  private readonly page: WalkedPage = { sizeBits: 12, accesses: 0, global: false };
  // What a switch changes.
  private translator: PageTranslator;
  private space: TlbSpace;
  private base: number;
  private switches = 0;

  /**
   * @param translator - the address space to begin with: ASID 0 of virtual machine 0
   * @throws PagingError `invalid` for a size that is out of range
   */
  constructor(translator: PageTranslator, options: TlbOptions = {}) {
    const { entries = 1024, spaces = 8 } = options;
    if (!Number.isInteger(Math.log2(entries)) || entries < 1 || entries > 2 ** 20) {
      throw invalid(`make a TLB: current entries ${entries}, wanted a power of two up to 2^20`);
    }
    if (!Number.isInteger(spaces) || spaces < 1 || spaces > 1024) {
      throw invalid(`make a TLB: current spaces ${spaces}, wanted 1 to 1024`);
    }
    this.mask = entries - 1;
    this.capacity = spaces;
    this.slots = new Int32Array(entries * spaces * WORDS);
    this.translator = translator;
    this.space = new TlbSpace(this.slots, 0, entries, tagsOf({ translator }));
    this.spaces = [this.space];
    this.base = 0;
  }

  /** Why the last `resolve` answered -1: the record of the translator that was switched to last. */
  get fault(): WalkFault {
    return this.translator.fault;
  }

  resolve(lo: number, hi: number, access: number): number {
    const slots = this.slots;
    const slot = ((lo >>> 12) & this.mask) * 4 + this.base;
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

  /**
   * Translates in another address space from here on: what a write to CR3, TTBR0 or satp does, or the entry to a guest. It
   * forgets nothing that was cached under the same numbers before, as the instruction itself might (see `docs/guides/tlb.md`).
   *
   * Other rules for accesses, such as a change of CR0.WP or PKRU, are another translator under the same numbers: what was
   * judged by the old rules is not used, and comes back with them.
   *
   * @throws PagingError `invalid` for a number that is out of range
   */
  switchTo(to: TlbSwitch): void {
    const tags = tagsOf(to);
    const space = this.spaces.find((known) => sameTags(known.tags, tags)) ?? this.makeRoom(tags);
    space.usedAt = ++this.switches;
    this.translator = to.translator;
    this.space = space;
    this.base = space.base;
  }

  /**
   * Forgets the entries that a fence names; all of them without one. Of a large page every fragment goes, whichever
   * address in it was named.
   *
   * @throws PagingError `invalid` for an address outside 0 to 2^64-1, or a number that is out of range
   */
  invalidate(fence: TlbFence = {}): void {
    const { address, asid, vmid, keepGlobal = false, stage } = fence;
    checkNumber('asid', asid ?? 0, MOST_ASID);
    checkNumber('vmid', vmid ?? 0, MOST_VMID);
    splitAddress(address ?? 0n);
    const [lo = 0, hi = 0] = halvesOfAddress;
    for (const space of this.spaces) {
      const { tags } = space;
      if ((stage ?? tags.stage) !== tags.stage || (vmid ?? tags.vmid) !== tags.vmid) continue;
      const own = (asid ?? tags.asid) === tags.asid;
      if (!own && keepGlobal) continue;
      // Undefined for all pages, else whether only the global ones, or only the others.
      const global = keepGlobal ? false : own ? undefined : true;
      if (address !== undefined) space.dropPage(lo, hi, global);
      else if (global === undefined) space.clear();
      else space.drop(global);
    }
  }

  /** A miss: from the entry of a global page in another space, or from a walk. */
  private fill(slot: number, lo: number, hi: number, access: number): number {
    const { page, space } = this;
    // Pointers that differ in their tags share an entry, and a fence on the address finds it.
    const untagged = this.translator.untagged?.(hi, access) ?? hi;
    if ((untagged | 0) !== (hi | 0)) return this.resolve(lo, untagged, access);
    for (const other of this.spaces) {
      if (other === space || !other.hasGlobals || !sameMachine(other.tags, space.tags)) continue;
      if (space.adopt(other, slot, lo, hi, access)) return this.resolve(lo, hi, access);
    }
    const gpa = this.translator.resolvePage(lo, hi, access, page);
    if (gpa >= 0 && gpa < MOST_CACHED) space.put(slot, lo, hi, gpa, page);
    return gpa;
  }

  /** Room for an address space that has none: new, or that of the one that was used least recently. */
  private makeRoom(tags: TlbTags): TlbSpace {
    const { spaces, mask } = this;
    if (spaces.length < this.capacity) {
      const space = new TlbSpace(this.slots, spaces.length * (mask + 1) * WORDS, mask + 1, tags);
      spaces.push(space);
      return space;
    }
    const oldest = spaces.reduce((a, b) => (b.usedAt < a.usedAt ? b : a));
    oldest.assign(tags);
    return oldest;
  }
}

function tagsOf({ translator, stage = 'first', vmid = 0, asid = 0 }: TlbSwitch): TlbTags {
  checkNumber('asid', asid, MOST_ASID);
  checkNumber('vmid', vmid, MOST_VMID);
  return { stage, vmid, asid, rules: translator.rules ?? '' };
}

function sameTags(a: TlbTags, b: TlbTags): boolean {
  return a.asid === b.asid && sameMachine(a, b);
}

/** Whether a global page of one space is one of the other. */
function sameMachine(a: TlbTags, b: TlbTags): boolean {
  return a.stage === b.stage && a.vmid === b.vmid && a.rules === b.rules;
}

function checkNumber(name: string, value: number, most: number): void {
  if (!Number.isInteger(value) || value < 0 || value > most) {
    throw invalid(`use ${value} as ${name}: wanted a whole number from 0 to ${most}`);
  }
}

function invalid(what: string): PagingError {
  return new PagingError('invalid', `Cannot ${what}`);
}
