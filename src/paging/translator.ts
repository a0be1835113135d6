import type { GuestMemory } from '../core/index.ts';
import {
  ACCESS_CODES,
  accessCode,
  EXECUTE_ACCESS,
  type PageAccess,
  USER_MODE,
  WRITE_ACCESS,
} from './access.ts';
import { halvesOfAddress, splitAddress } from './address-halves.ts';
import type { AddressTranslator, WalkedPage } from './address-translator.ts';
import { physical } from './bits.ts';
import { CompiledFormat } from './compiled-format.ts';
import { type EntryReader, entryHalves, OpsEntryReader } from './entry-reader.ts';
import type { PagingFormat } from './format.ts';
import { GuestTables } from './guest-tables.ts';
import { type Level, UPPER_WORD } from './level.ts';
import type { WalkSource } from './mapping-cursor.ts';
import { PagingError } from './paging-error.ts';
import { keyForbids } from './protection-keys.ts';
import type { TableReadOps } from './table-ops.ts';
import type { PageFaultReason, Translation } from './translation.ts';
import { WalkFault } from './walk-fault.ts';
import { isGlobal, leafOfWalk, reportWalk, rightsOfWalk, type WalkTrace } from './walk-report.ts';
import type { X86Controls } from './x86-controls.ts';

/** Tables in guest memory: `root` is the root register (CR3) as the processor holds it, flags and PCID included. */
export interface MemoryTranslatorInit {
  readonly memory: GuestMemory;
  readonly format: PagingFormat;
  readonly root: bigint | number;
  readonly controls?: X86Controls;
}

/** Tables wherever a {@link TableReadOps} reaches them; the root is what it says. */
export interface TablesTranslatorInit<TableAddr> {
  readonly tables: TableReadOps<TableAddr>;
  readonly format: PagingFormat;
  readonly controls?: X86Controls;
}

// Constants of this module are known to the optimiser, imported ones are looked up every time.
const entry: Uint32Array = entryHalves;
const upperWord: number = UPPER_WORD;
const PER_PAGE = 2 ** -12;

const NOT_CANONICAL = 0;
const UNREADABLE = 1;
const NOT_PRESENT = 2;
const RESERVED = 3;
const RIGHTS = 4;

const REASONS: readonly PageFaultReason[] = [
  'not-present',
  'not-present',
  'not-present',
  'reserved',
  'rights',
];

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
  private readonly compiled: CompiledFormat;
  private readonly reader: EntryReader;
  // Copies of the compiled format's fields, one load nearer to the walk.
  private readonly top: Level;
  private readonly presentMask: number;
  private readonly permitted: Int32Array;
  /** 1 where the table of permitted accesses has the last word, 0 where protection keys do. */
  private readonly quick: number;
  private readonly trace: WalkTrace;

  /** @throws PagingError `invalid` where a control or the root is out of range */
  constructor(init: MemoryTranslatorInit | TablesTranslatorInit<TableAddr>) {
    const compiled = new CompiledFormat(init.format, init.controls);
    this.format = init.format;
    this.rules = [init.format.name, ...Object.values(compiled.controls)].join();
    this.compiled = compiled;
    this.reader = readerFor(init, compiled);
    this.source = { compiled, reader: this.reader };
    this.top = compiled.top;
    this.presentMask = compiled.presentMask;
    this.permitted = compiled.permitted;
    this.quick = compiled.keyed ? 0 : 1;
    this.trace = {
      compiled,
      root: this.reader.root,
      entries: new Uint32Array(2 * init.format.levels.length),
    };
  }

  resolve(lo: number, hi: number, access: number): number {
    const page = this.walk(lo, hi, access, 0);
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
    const top = hi >> compiled.canonicalShift;
    if (top !== 0 && top !== compiled.canonicalOnes)
      return this.stop(NOT_CANONICAL, this.top, 0, 0, lo, hi, access, -1);
    reader.begin();
    const addressLo = compiled.tableAddressLo | 0;
    const addressHi = compiled.tableAddressHi | 0;
    const upper = (hi << (32 - upperWord)) | (lo >>> upperWord);
    let level = this.top;
    let tableLo = (reader.root[0] as number) & compiled.rootLo;
    let tableHi = (reader.root[1] as number) & compiled.rootHi;
    let andLo = -1;
    let orHi = 0;
    let entryLo = 0;
    let entryHi = 0;
    for (;;) {
      const word = level.indexInUpper !== 0 ? upper : lo;
      tableLo |= (word >>> level.indexShift) & level.offsetMask;
      if (reader.load(tableLo, tableHi) === false)
        return this.stop(UNREADABLE, level, tableLo, tableHi, lo, hi, access, -1);
      entryLo = (entry[0] as number) | 0;
      entryHi = (entry[1] as number) | 0;
      if (traced !== 0) {
        trace.entries[level.slot] = entryLo;
        trace.entries[level.slot + 1] = entryHi;
      }
      andLo &= entryLo | level.noRights;
      orHi |= entryHi;
      if ((((entryLo & level.tableTestLo) ^ level.tableTestValue) | (entryHi & level.tableTestHi)) !== 0)
        break;
      tableLo = entryLo & addressLo;
      tableHi = entryHi & addressHi;
      level = level.next;
    }
    // The last entry does not point to a table: it is a leaf, or stops the walk.
    if ((entryLo & this.presentMask) === 0) {
      return this.stop(NOT_PRESENT, level, tableLo, tableHi, lo, hi, access, -1);
    }
    const reserved = (entryLo & level.leafReservedLo) | (entryHi & level.leafReservedHi);
    if ((entryLo & level.leafMask) === 0 || reserved !== 0) {
      return this.stop(RESERVED, level, tableLo, tableHi, lo, hi, access, -1);
    }
    const rights = compiled.rights(andLo, orHi);
    if (
      (((this.permitted[access] as number) >>> rights) & this.quick) === 0 &&
      !this.permits(entryHi, rights, access)
    ) {
      return this.stop(RIGHTS, level, tableLo, tableHi, lo, hi, access, rights);
    }
    const pageHi = (entryHi & level.leafAddressHi) | ((entryLo >>> level.foldShift) & level.foldMask);
    const pageLo = (entryLo & level.leafAddressLo) | (lo & level.pageMask);
    return pageHi < 0x800 ? (pageHi << 20) | (pageLo >>> 12) : pageHi * 0x10_0000 + (pageLo >>> 12);
  }

  /** @throws PagingError `invalid` for a bigint outside 0 to 2^64-1 */
  resolveGva(gva: bigint, access: number): number {
    splitAddress(gva);
    return this.resolve(halvesOfAddress[0] as number, halvesOfAddress[1] as number, access);
  }

  /**
   * Translates one address for one access and tells every entry on the way.
   *
   * @throws PagingError `invalid` for a bigint outside 0 to 2^64-1, or an access that is none
   */
  translate(gva: bigint, access: PageAccess = { kind: 'read' }): Translation {
    const code = accessCode(access);
    splitAddress(gva);
    const lo = halvesOfAddress[0] as number;
    const page = this.walk(lo, halvesOfAddress[1] as number, code, 1);
    return reportWalk(this.trace, gva, page < 0 ? page : page * 4096 + (lo & 0xfff), this.fault);
  }

  /**
   * {@link resolve}, which also says into `page` what a TLB has to know. The record is left alone where the answer
   * is -1.
   */
  resolvePage(lo: number, hi: number, access: number, page: WalkedPage): number {
    const { compiled, trace } = this;
    const number = this.walk(lo, hi, access, 1);
    if (number < 0) return number;
    const leaf = leafOfWalk(trace);
    const rights = rightsOfWalk(trace, leaf);
    page.sizeBits = leaf.format.indexBit;
    page.global = isGlobal(trace, leaf);
    page.accesses = compiled.accessesOf[rights] as number;
    if (compiled.keyed) {
      const key = compiled.keyOf(trace.entries[leaf.slot + 1] as number);
      for (let code = 0; code < ACCESS_CODES; code++) {
        if (keyForbids(compiled.controls, rights, key, code)) page.accesses &= ~(1 << code);
      }
    }
    return number * 4096 + (lo & 0xfff);
  }

  /** The second look at an access that the quick test did not let through, or that keys may forbid. */
  private permits(entryHi: number, rights: number, access: number): boolean {
    const { compiled } = this;
    const row = this.permitted[access];
    if (row === undefined || row === 0) {
      throw new PagingError(
        'invalid',
        `Cannot translate: current access code ${access}, wanted one of ACCESS`,
      );
    }
    if (((row >>> rights) & 1) === 0) return false;
    return !(compiled.keyed && keyForbids(compiled.controls, rights, compiled.keyOf(entryHi), access));
  }

  /** Fills in the fault. One large function on purpose: small ones would be inlined into the walk and push its calls out. */
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
    const { fault, compiled } = this;
    fault.lo = lo >>> 0;
    fault.hi = hi >>> 0;
    fault.rights = rights;
    fault.errorCode = 0;
    if (cause === NOT_CANONICAL) {
      fault.kind = 'not-canonical';
      fault.level = 0;
      fault.entryAddress = 0;
      return -1;
    }
    fault.level = level.format.level;
    fault.entryAddress = physical(entryLo, entryHi);
    if (cause === UNREADABLE) {
      fault.kind = 'table-unreadable';
      return -1;
    }
    fault.kind = 'page-fault';
    fault.reason = REASONS[cause] as PageFaultReason;
    // SDM 3A, 5.7 "Page-Fault Exceptions". RSVD comes with P: the entry was present.
    let code = cause === NOT_PRESENT ? 0 : 1;
    const kind = access & 3;
    if (kind === WRITE_ACCESS) code |= 2;
    if ((access & USER_MODE) !== 0) code |= 4;
    if (cause === RESERVED) code |= 8;
    if (kind === EXECUTE_ACCESS && compiled.reportsFetch) code |= 16;
    const key = compiled.keyOf(entry[1] as number);
    if (cause === RIGHTS && compiled.keyed && keyForbids(compiled.controls, rights, key, access)) {
      code |= 32;
      if ((((this.permitted[access] as number) >>> rights) & 1) !== 0) fault.reason = 'protection-key';
    }
    fault.errorCode = code;
    return -1;
  }
}

function readerFor<TableAddr>(
  init: MemoryTranslatorInit | TablesTranslatorInit<TableAddr>,
  compiled: CompiledFormat,
): EntryReader {
  const { entrySize } = compiled.format;
  if ('tables' in init) {
    const { tables } = init;
    return tables instanceof GuestTables
      ? tables.entryReader(entrySize)
      : new OpsEntryReader(tables, entrySize);
  }
  // SDM 3A, 2.5: CR3 holds flags or the PCID below the address, and LAM bits above it.
  splitAddress(BigInt(init.root));
  const [lo = 0, hi = 0] = halvesOfAddress;
  const root = physical(lo & compiled.rootLo, hi & compiled.rootHi);
  return new GuestTables(init.memory, { root }).entryReader(entrySize);
}
