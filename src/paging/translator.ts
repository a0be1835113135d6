import { hex } from '../core/index.ts';
import { accessCode, accessFacts, OF_SHADOW_STACK, type PageAccess, WRITING } from './access.ts';
import { AccessJudge } from './access-judge.ts';
import { halvesOfAddress, splitAddress } from './address-halves.ts';
import type { AddressTranslator, WalkedPage } from './address-translator.ts';
import type { SecondStageAccess } from './architecture.ts';
import { fromHalves } from './bits.ts';
import { compileFormat } from './compile-format.ts';
import type { CompiledFormat } from './compiled-format.ts';
import { type EntryReader, entryHalves } from './entry-reader.ts';
import { type Asked, FaultTeller, NO_ROOT, NOT_CANONICAL, UNREADABLE } from './fault-teller.ts';
import type { PagingFormat } from './format.ts';
import { type Level, LOWER, UPPER, UPPER_WORD } from './level.ts';
import type { WalkSource } from './mapping-cursor.ts';
import { Marker } from './marker.ts';
import { PagingError } from './paging-error.ts';
import type { PointerTags } from './pointer-tags.ts';
import { QuickWalk } from './quick-walk.ts';
import { rightsOf } from './rights.ts';
import type { OneStageTranslation } from './translation.ts';
import { readerFor, type TranslatorInit } from './translator-init.ts';
import { ADDRESS_SIZE, LEAF, SPECIAL_LEAF, TABLE } from './verdict.ts';
import { WalkFault } from './walk-fault.ts';
import {
  isGlobal,
  leafOfWalk,
  reportWalk,
  rightsOfWalk,
  tablesOfWalk,
  type WalkTrace,
} from './walk-report.ts';

// Constants of this module are known to the optimiser, imported ones are looked up every time.
const entry: Uint32Array = entryHalves;
const cell: BigUint64Array = new BigUint64Array(entryHalves.buffer);
const upperWord: number = UPPER_WORD;
const inLower: number = LOWER;
const inUpper: number = UPPER;
const toTable: number = TABLE;
const isLeaf: number = LEAF;
const isSpecial: number = SPECIAL_LEAF;
const PER_PAGE = 2 ** -12;

/**
 * Walks translation tables of any format: the one walker of this room.
 *
 * What the guest did wrong is an answer, never an exception; each entry is read once. Exceptions are for the host: an
 * address that has no 64 bits, a mapping that was closed, bytes that are on their way (`settle`).
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { ACCESS, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x4000);
 * memory.writeU64(0x1000, 0x2007n); // PML4E 0: a table, writable, user
 * memory.writeU64(0x2000, 0x3007n); // PDPTE 0
 * memory.writeU64(0x3008, 0x60_0083n); // PDE 1: a page of 2 MiB, writable, supervisor
 * const translator = new Translator({ memory, format: X86_4LEVEL, root: 0x1000 });
 *
 * const mapped = translator.translate(0x20_1234n, { kind: 'write' });
 * assert(mapped.kind === 'mapped');
 * assert.equal(mapped.gpa, 0x60_1234);
 * assert.equal(mapped.rights.user, false);
 *
 * const fault = translator.translate(0x20_1234n, { kind: 'read', user: true });
 * assert(fault.kind === 'page-fault');
 * assert.equal(fault.errorCode, 0b101); // present, user mode
 *
 * // For interpreters: nothing is allocated.
 * assert.equal(translator.resolve(0x20_1234, 0, ACCESS.write), 0x60_1234);
 * assert.equal(translator.resolve(0x20_1234, 0, ACCESS.userRead), -1);
 * assert.equal(translator.fault.reason, 'rights');
 * ```
 */
export class Translator<TableAddr = number> implements AddressTranslator {
  readonly format: PagingFormat;
  readonly fault: WalkFault = new WalkFault();
  /** Format and controls as text: accesses that one translator allowed hold for another with the same rules. */
  readonly rules: string;
  /** For the other files of this room: what an enumeration works on. */
  readonly source: WalkSource;
  /** For a second stage: on whose behalf it is asked. */
  readonly asked: Asked = { during: undefined, original: undefined };
  private readonly compiled: CompiledFormat;
  private readonly reader: EntryReader;
  // Copies of the compiled format's fields, one load nearer to the walk.
  private readonly top: Level;
  private readonly plain: number;
  private readonly permitted: Int32Array;
  /** 1 where the table of permitted accesses has the last word, 0 where protection keys or marks do. */
  private readonly quick: number;
  /** Marks entries as accessed and dirty, where that is wanted. */
  private readonly marker: Marker | undefined;
  private readonly judge: AccessJudge;
  /** What is set aside of pointers; `undefined` where they are addresses. */
  private readonly tags: PointerTags | undefined;
  private readonly quickWalk: QuickWalk;
  private readonly trace: WalkTrace;
  private readonly teller: FaultTeller;

  /** @throws PagingError `invalid` where a control is out of range, or entries are to be marked in tables that cannot be */
  constructor(init: TranslatorInit<TableAddr>) {
    const compiled = compileFormat(init.format, init.controls);
    const { marks } = init.format;
    const marking = compiled.controls['accessedDirty'];
    this.format = init.format;
    this.rules = [init.format.name, ...Object.values(compiled.controls)].join();
    this.compiled = compiled;
    this.reader = readerFor(init, compiled);
    this.source = { compiled, reader: this.reader };
    this.top = compiled.top;
    this.plain = compiled.plain;
    this.permitted = compiled.permitted;
    this.trace = {
      compiled,
      root: this.reader.root,
      entries: new Uint32Array(2 * init.format.levels.length),
      reads: 0,
    };
    this.teller = new FaultTeller(this.fault, compiled, this.reader, this.asked);
    const marker = marks === undefined ? undefined : new Marker(this.trace, this.reader, marks);
    this.marker = marking === 'update' ? marker : undefined;
    if (this.marker !== undefined && this.reader.readOnly === true)
      throw new PagingError('invalid', 'Cannot mark entries: these tables have no compareExchangeEntry');
    const markTest = marking === 'fault' && marks?.afterRights === true ? marker : undefined;
    this.judge = new AccessJudge(compiled, markTest);
    this.quick = compiled.keys === undefined && markTest === undefined ? 1 : 0;
    const { architecture, addressBits } = init.format;
    this.tags = architecture.pointerTags?.(compiled.controls, addressBits);
    // What the quick walk takes for an address has to be the address.
    const asIs = this.tags === undefined || this.tags.bits >= addressBits;
    const judged = this.quick === 1 && this.marker === undefined && asIs;
    this.quickWalk = new QuickWalk(this.trace, this.reader, judged);
  }

  /** Entries that the last walk read. */
  get reads(): number {
    return this.trace.reads;
  }

  resolve(lo: number, hi: number, access: number): number {
    let page = this.quickWalk.look(lo, hi, access);
    if (page < 0) {
      const { marker } = this;
      if (this.tags !== undefined) hi = this.untagged(hi, access);
      page = marker === undefined ? this.walk(lo, hi, access, 0) : this.walkAndMark(marker, lo, hi, access);
    }
    // Not a sum of whole numbers above 2^31, which V8 14 checks to stay whole: 3 ns more (see tlb.ts).
    return page < 0 ? page : (page + (lo & 0xfff) * PER_PAGE) * 4096;
  }

  /**
   * The walk itself: number of the physical page, or -1. With `traced` 1 it leaves every entry in the trace.
   *
   * It answers a page and not an address because a number above 2^31 has to be allocated to be returned (10 ns of
   * 43); {@link resolve} is small enough to become part of its caller, where the address needs no object.
   */
  private walk(lo: number, hi: number, access: number, traced: number): number {
    const { reader, compiled, trace } = this;
    lo |= 0;
    hi |= 0;
    traced |= 0;
    const top = hi >> compiled.upperShift;
    if (
      (top !== compiled.upperValue && top !== compiled.otherUpperValue) ||
      ((lo ^ top) & compiled.lowerTop) !== 0
    )
      return this.stop(NOT_CANONICAL, this.top, 0, 0, lo, hi, access, 0);
    reader.begin();
    // What most entries are read through, fetched once a walk: by the reader's own method each level costs 4 ns more.
    const { firstPage, readPages, u32, u64, exclusive } = reader.window;
    const pages = readPages | 0;
    const addressLo = compiled.tableAddressLo | 0;
    const addressHi = compiled.tableAddressHi | 0;
    const upper = (hi << (32 - upperWord)) | (lo >>> upperWord);
    let level = this.top;
    let tableLo = (reader.root[0] as number) & compiled.rootLo;
    let tableHi = (reader.root[1] as number) & compiled.rootHi;
    if ((tableHi & compiled.lateWidthHi) !== 0)
      return this.stop(NO_ROOT, level, tableLo | level.offsetOf(lo, hi), tableHi, lo, hi, access, 0);
    let andLo = -1;
    let orHi = 0;
    let entryLo = 0;
    let entryHi = 0;
    for (;;) {
      const word =
        level.word === inLower
          ? lo
          : level.word === inUpper
            ? upper
            : (hi << (32 - level.wordBit)) | (lo >>> level.wordBit);
      tableLo |= (word >>> level.indexShift) & level.offsetMask;
      const page = ((tableLo >>> 12) | (tableHi << 20)) - firstPage;
      if (page >>> 0 < pages && tableHi >>> 0 < 0x800) {
        const index = (page << 9) | ((tableLo & 0xff8) >>> 3);
        if (exclusive) {
          entryLo = (u32[2 * index] as number) | 0;
          entryHi = (u32[2 * index + 1] as number) | 0;
        } else {
          cell[0] = u64[index] as bigint;
          entryLo = (entry[0] as number) | 0;
          entryHi = (entry[1] as number) | 0;
        }
      } else {
        if (reader.load(tableLo, tableHi, tableLo & level.offsetMask) === false)
          return this.stop(UNREADABLE, level, tableLo, tableHi, lo, hi, access, 0);
        entryLo = (entry[0] as number) | 0;
        entryHi = (entry[1] as number) | 0;
      }
      if (traced !== 0) {
        trace.entries[level.slot] = entryLo;
        trace.entries[level.slot + 1] = entryHi;
      }
      if ((((entryLo & level.tableTestLo) ^ level.tableTestValue) | (entryHi & level.tableTestHi)) !== 0) {
        // No table at first sight: a leaf, or a case for the rules themselves.
        if ((((entryLo & level.leafTestLo) ^ level.leafTestValue) | (entryHi & level.leafTestHi)) === 0)
          break;
        const verdict = level.judgeFor(entryLo, entryHi, hi);
        if (verdict === isLeaf) break;
        if (verdict === isSpecial) {
          level = level.special;
          break;
        }
        if (verdict !== toTable) {
          const rights = compiled.rights(andLo, orHi, entryLo, entryHi);
          return this.stop(verdict, level, tableLo, tableHi, lo, hi, access, rights);
        }
      }
      andLo &= entryLo | level.noRights;
      orHi |= entryHi;
      if (this.plain !== 0) {
        tableLo = entryLo & addressLo;
        tableHi = entryHi & addressHi;
      } else {
        tableLo = compiled.tableAddress.addressLo(entryLo);
        tableHi = compiled.tableAddress.addressHi(entryLo, entryHi);
      }
      level = level.next;
    }
    const rights = compiled.rights(andLo, orHi, entryLo, entryHi);
    if ((((this.permitted[access] as number) >>> rights) & this.quick) === 0) {
      const verdict = this.judge.judge(andLo, entryLo, entryHi, rights, access);
      if (verdict !== 0) {
        // Where the fault is told, the leaf is wanted.
        entry[0] = entryLo;
        entry[1] = entryHi;
        return this.stop(verdict, level, tableLo, tableHi, lo, hi, access, rights);
      }
    }
    let pageHi = (entryHi & level.leafAddressHi) | ((entryLo >>> level.foldShift) & level.foldMask);
    let pageLo = entryLo & level.leafAddressLo;
    if (this.plain === 0) {
      pageHi = level.leafAddress.addressHi(entryLo, entryHi) | (hi & level.pageMaskHi);
      pageLo = level.leafAddress.addressLo(entryLo);
      if ((pageHi & compiled.lateWidthHi) !== 0)
        return this.stop(ADDRESS_SIZE, level, tableLo, tableHi, lo, hi, access, rights);
    }
    pageLo |= lo & level.pageMask;
    this.trace.reads = (level.slot >> 1) + 1;
    return pageHi < 0x800 ? (pageHi << 20) | (pageLo >>> 12) : pageHi * 0x10_0000 + (pageLo >>> 12);
  }

  /** {@link walk}, traced, and with marks where they are wanted. */
  private walkTraced(lo: number, hi: number, access: number): number {
    const { marker } = this;
    return marker === undefined ? this.walk(lo, hi, access, 1) : this.walkAndMark(marker, lo, hi, access);
  }

  /** {@link walk}, then marks in the entries it went through; where somebody changed one meanwhile, again. */
  private walkAndMark(marker: Marker, lo: number, hi: number, access: number): number {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const page = this.walk(lo, hi, access, 1);
      if (page < 0) return page;
      const done = marker.mark(lo, hi, ((WRITING >>> access) & 1) !== 0);
      if (done === true) return page;
      if (done === undefined)
        return this.stop(UNREADABLE, marker.level, marker.lo, marker.hi, lo, hi, access, 0);
    }
    throw new PagingError(
      'contended',
      `Cannot mark the entries for ${hex(fromHalves(lo, hi))}: somebody else changed one in each of ${MOST_ATTEMPTS} attempts`,
      { gva: fromHalves(lo, hi) },
    );
  }

  /** @throws PagingError `invalid` for a bigint outside 0 to 2^64-1 */
  resolveGva(gva: bigint, access: number): number {
    splitAddress(gva);
    return this.resolve(halvesOfAddress[0] as number, halvesOfAddress[1] as number, access);
  }

  /**
   * Translates one address for one access and tells every entry on the way. Of a pointer with a tag of its program's the answer
   * tells the address without it, as a processor does.
   *
   * @throws PagingError `invalid` for a bigint outside 0 to 2^64-1, or an access that is none
   */
  translate(gva: bigint, access: PageAccess = { kind: 'read' }): OneStageTranslation {
    const code = accessCode(access);
    splitAddress(gva);
    const lo = halvesOfAddress[0] as number;
    const hi = this.untagged(halvesOfAddress[1] as number, code);
    const page = this.walkTraced(lo, hi, code);
    return reportWalk(
      this.trace,
      this.tags === undefined ? gva : fromHalves(lo, hi),
      page * 4096 + (lo & 0xfff),
      this.fault,
    );
  }

  /** Bits 63:32 of an address without what a program keeps in its upper bits, where it may: signed, if anything is taken off. */
  untagged(hi: number, access: number): number {
    const facts = accessFacts(access);
    return this.tags === undefined || facts === undefined ? hi : this.tags.strip(hi | 0, facts);
  }

  /** How this serves as a second stage; `undefined` where it cannot. For the other files of this room. */
  get secondStage(): SecondStageAccess | undefined {
    return this.format.architecture.secondStage?.(this.compiled.controls);
  }

  /** Whether the page of the last successful traced walk is user mode's. For the other files of this room. */
  get pageIsUser(): boolean {
    const { compiled, trace } = this;
    return rightsOf(compiled.complete(rightsOfWalk(trace, leafOfWalk(trace)))).user;
  }

  /**
   * {@link resolve}, which also says into `page` what a TLB has to know. The record is left alone where the answer
   * is -1.
   */
  resolvePage(lo: number, hi: number, access: number, page: WalkedPage): number {
    const { compiled, trace, marker } = this;
    const number = this.walkTraced(lo, this.untagged(hi, access), access);
    if (number < 0) return number;
    const leaf = leafOfWalk(trace);
    const rights = rightsOfWalk(trace, leaf);
    page.sizeBits = leaf.pageBits;
    page.global = isGlobal(trace, leaf);
    page.accesses = compiled.accessesOf[rights] as number;
    const unsettled = this.quick === 0 ? -1 : compiled.shadowStacks === undefined ? 0 : OF_SHADOW_STACK;
    if (unsettled !== 0) {
      const [lo = 0, hi = 0] = trace.entries.subarray(leaf.slot);
      const allowed = this.judge.allowed(tablesOfWalk(trace, leaf), lo, hi, rights, unsettled);
      page.accesses = (page.accesses & ~unsettled) | allowed;
    }
    // What would have to be marked first has to come here again.
    if (marker?.lacksDirty(leaf) === true) page.accesses &= ~WRITING;
    return number * 4096 + (lo & 0xfff);
  }

  /** A walk ends without a page. */
  private stop(
    cause: number,
    level: Level,
    entryLo: number,
    entryHi: number,
    lo: number,
    hi: number,
    access: number,
    rights: number,
  ): -1 {
    this.trace.reads = cause === NOT_CANONICAL || cause === NO_ROOT ? 0 : (level.slot >> 1) + 1;
    return this.teller.tell(cause, level, entryLo, entryHi, lo, hi, access, rights);
  }
}

/** Somebody who changes an entry between every look and every mark is not a guest that wants to get on. */
const MOST_ATTEMPTS = 1000;
