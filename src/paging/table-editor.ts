import { hex } from '../core/index.ts';
import { NONE, physical } from './bits.ts';
import type { CompiledFormat } from './compiled-format.ts';
import {
  addressBits,
  decodeLeaf,
  encodeLeaf,
  type LeafAttributes,
  leafAddress,
  residue,
} from './entry-codec.ts';
import type { Invalidation } from './invalidation.ts';
import type { Level } from './level.ts';
import { PagingError, type PagingErrorCode } from './paging-error.ts';
import type { TableOps } from './table-ops.ts';
import { LEAF, NOT_PRESENT, SPECIAL_LEAF } from './verdict.ts';
import { addressOf } from './virtual-range.ts';

/** An entry of a table, and what it says. */
export interface EntrySlot<TableAddr> {
  readonly level: Level;
  readonly address: TableAddr;
  /** Whether its table was there before; else nothing points to it yet. */
  readonly exists: boolean;
  /** Page number of the first address that it covers. */
  readonly base: number;
  readonly lo: number;
  readonly hi: number;
  readonly verdict: number;
}

/** What an edit came to. */
export interface EditOutcome {
  readonly tables: number;
  readonly freed: number;
  readonly invalidations: readonly Invalidation[];
  readonly reloadRoot: boolean;
}

/**
 * One edit of translation tables, all or nothing: entries of tables that are in use are written at the end, when nothing
 * can fail any more; new tables are filled before anything points to them, and tables that are no longer needed are given
 * back after the last entry that led to them is gone.
 */
export class TableEditor<TableAddr> {
  readonly compiled: CompiledFormat;
  readonly tables: TableOps<TableAddr>;
  /** Cannot map 4096 bytes at ...: how messages begin. */
  private readonly subject: string;
  private readonly created: TableAddr[] = [];
  private readonly released: TableAddr[] = [];
  private readonly writes: Map<
    number,
    { readonly address: TableAddr; readonly entry: bigint; broken: boolean }
  > = new Map();
  private readonly invalidations: Invalidation[] = [];
  private reloadRoot = false;
  /** What a leaf gets that was not there before. */
  private readonly freshLeaf: bigint;

  constructor(tables: TableOps<TableAddr>, compiled: CompiledFormat, subject: string) {
    this.tables = tables;
    this.compiled = compiled;
    this.subject = subject;
    const { lo, hi } = compiled.format.freshLeaf ?? NONE;
    this.freshLeaf = entryOf(lo, hi);
  }

  /**
   * Runs an edit and then writes what it decided.
   *
   * @param invalidate - is told what to invalidate while the entries that must be broken first are, and before tables are
   * given back
   */
  run(edit: () => void, invalidate: ((what: readonly Invalidation[]) => void) | undefined): EditOutcome {
    try {
      edit();
    } catch (error) {
      for (const table of this.created) this.tables.freeTable(table);
      throw error;
    }
    const { entrySize } = this.compiled.format;
    for (const { address, broken } of this.writes.values())
      if (broken) this.tables.writeEntry(address, 0n, entrySize);
    const breaks = [...this.writes.values()].some(({ broken }) => broken);
    if (breaks) invalidate?.(this.invalidations);
    for (const { address, entry } of this.writes.values()) this.tables.writeEntry(address, entry, entrySize);
    if (!breaks && this.invalidations.length > 0) invalidate?.(this.invalidations);
    let freed = 0;
    for (const table of this.released) {
      if (this.tables.ownsTable?.(table) === false) continue;
      this.tables.freeTable(table);
      freed++;
    }
    return {
      tables: this.created.length,
      freed,
      invalidations: this.invalidations,
      reloadRoot: this.reloadRoot,
    };
  }

  /** Index of the first entry of a table that covers some of the pages from `first` on. */
  firstIndex(level: Level, base: number, first: number): number {
    return Math.max(0, Math.floor((first - base) / level.tableSpan));
  }

  /** Index of the last entry of a table that covers some of the pages up to `last`. */
  lastIndex(level: Level, base: number, last: number): number {
    return Math.min(2 ** level.format.indexBits - 1, Math.floor((last - base) / level.tableSpan));
  }

  /** The entries of one table that cover some of the pages from `first` to `last`. */
  *slots(
    level: Level,
    table: TableAddr,
    exists: boolean,
    base: number,
    first: number,
    last: number,
  ): Generator<EntrySlot<TableAddr>> {
    const to = this.lastIndex(level, base, last);
    for (let index = this.firstIndex(level, base, first); index <= to; index++)
      yield this.slot(level, table, exists, base, index);
  }

  slot(level: Level, table: TableAddr, exists: boolean, base: number, index: number): EntrySlot<TableAddr> {
    const { entrySize } = this.compiled.format;
    const address = this.tables.entryAddr(table, index * entrySize);
    const at = base + index * level.tableSpan;
    const gpa = this.tables.toPhys(address);
    const entry = this.writes.get(gpa)?.entry ?? this.tables.readEntry(address, entrySize);
    if (entry === undefined) throw this.error('table-unreadable', 'it cannot be read', at, level, gpa);
    const lo = Number(entry & 0xffff_ffffn) | 0;
    const hi = Number(entry >> 32n) | 0;
    return { level, address, exists, base: at, lo, hi, verdict: level.judge(lo, hi) };
  }

  /** An entry of a table that nothing points to yet, and that nothing was written to. */
  emptySlot(level: Level, table: TableAddr, base: number, index: number): EntrySlot<TableAddr> {
    const address = this.tables.entryAddr(table, index * this.compiled.format.entrySize);
    const at = base + index * level.tableSpan;
    return { level, address, exists: false, base: at, lo: 0, hi: 0, verdict: NOT_PRESENT };
  }

  /** The table that an entry points to. */
  below({ lo, hi }: EntrySlot<TableAddr>): TableAddr {
    const { tableAddress } = this.compiled;
    return this.tables.fromPhys(physical(tableAddress.addressLo(lo), tableAddress.addressHi(lo, hi)));
  }

  /** Sets an entry: at once in a table that nothing points to, else at the end. */
  write(slot: EntrySlot<TableAddr>, entry: bigint, broken = false): void {
    const { address, exists } = slot;
    if (!exists) {
      this.tables.writeEntry(address, entry, this.compiled.format.entrySize);
      return;
    }
    const gpa = this.tables.toPhys(address);
    const first = this.writes.get(gpa)?.broken === true;
    this.writes.set(gpa, { address, entry, broken: broken || first });
    if (slot.level.format.loadedWithRoot === true) this.reloadRoot = true;
  }

  /** Notes that what the hardware may have cached of an entry has to go. */
  invalidate(slot: EntrySlot<TableAddr>, why: Invalidation['why'], tables: boolean): void {
    const { level, base } = slot;
    const gva = addressOf(this.compiled.format, base);
    const size = level.tableSpan * 4096;
    const last = this.invalidations.at(-1);
    if (
      last !== undefined &&
      last.why === why &&
      last.tables === tables &&
      last.pageSize === size &&
      last.gva + BigInt(last.size) === gva
    ) {
      this.invalidations[this.invalidations.length - 1] = { ...last, size: last.size + size };
    } else {
      this.invalidations.push({ gva, size, pageSize: size, why, tables });
    }
  }

  /** A new, empty table below an entry. The caller fills it, and then links it. */
  create(base: number): TableAddr {
    const { format, tableAddress, physicalBits } = this.compiled;
    const table = this.tables.allocTable(format.tableSize);
    if (table === undefined) {
      throw this.error('no-frames', `no frame is left for a table, after ${this.created.length}`, base);
    }
    this.created.push(table);
    const gpa = this.tables.toPhys(table);
    const [gpaLo, gpaHi] = halves(gpa);
    const lo = tableAddress.entryLo(gpaLo, gpaHi);
    const hi = tableAddress.entryHi(gpaHi);
    const kept = physical(tableAddress.addressLo(lo), tableAddress.addressHi(lo, hi));
    if (kept !== gpa || gpa >= 2 ** physicalBits) {
      throw this.error('invalid', `a table cannot be at ${hex(gpa)} in this format`, base);
    }
    return table;
  }

  /** Makes an entry point to a table through which everything is allowed. */
  link(slot: EntrySlot<TableAddr>, table: TableAddr, broken = false): void {
    const { newTable } = slot.level.format;
    const { tableAddress } = this.compiled;
    const [gpaLo, gpaHi] = halves(this.tables.toPhys(table));
    const lo = newTable.lo | tableAddress.entryLo(gpaLo, gpaHi);
    const hi = newTable.hi | tableAddress.entryHi(gpaHi);
    this.write(slot, entryOf(lo, hi), broken);
  }

  /** Gives a table back once nothing leads to it. */
  release(table: TableAddr): void {
    this.released.push(table);
  }

  /** A leaf, checked by reading it back: an address that the format has no bits for does not survive. */
  encode(
    level: Level,
    gpa: number,
    attributes: LeafAttributes,
    base: number,
    rest: bigint = this.freshLeaf,
  ): bigint {
    const [gpaLo, gpaHi] = halves(gpa);
    const { lo, hi } = encodeLeaf(level, gpaLo, gpaHi, attributes);
    if (level.judge(lo, hi) !== LEAF || leafAddress(level, lo, hi) !== gpa)
      throw this.noLeaf(level, gpa, base);
    // What a large leaf has where a small one has its address is no part of the address.
    return entryOf(lo, hi) | (rest & ~addressBits(level));
  }

  /**
   * Makes `count` entries of a table that nothing points to leaves of one run of memory, each checked as in
   * {@link encode}. Of a leaf that was encoded once only the address changes: 20 ns a leaf, where reading, encoding and
   * checking each by itself takes 700.
   *
   * @param index - of the first entry, which covers page `page` and shall lead to `gpa`
   */
  fillLeaves(
    level: Level,
    table: TableAddr,
    index: number,
    count: number,
    page: number,
    gpa: number,
    attributes: LeafAttributes,
    rest: bigint = this.freshLeaf,
  ): void {
    const { tables } = this;
    const { entrySize } = this.compiled.format;
    const { leafAddress: mover, leafTestLo, leafTestHi, leafTestValue, pageSize } = level;
    const plain = encodeLeaf(level, 0, 0, attributes);
    const kept = rest & ~addressBits(level);
    const keptLo = Number(kept & 0xffff_ffffn) | 0;
    const keptHi = Number(kept >> 32n) | 0;
    for (let i = 0; i < count; i++) {
      const at = gpa + i * pageSize;
      const atLo = (at % 0x1_0000_0000) | 0;
      const atHi = Math.floor(at / 0x1_0000_0000) | 0;
      const lo = plain.lo | mover.entryLo(atLo, atHi);
      const hi = plain.hi | mover.entryHi(atHi);
      const quick = (lo & leafTestLo) === leafTestValue && (hi & leafTestHi) === 0;
      if (!quick && level.judge(lo, hi) !== LEAF) throw this.noLeaf(level, at, page + i * level.tableSpan);
      if (mover.addressLo(lo) !== atLo || mover.addressHi(lo, hi) !== atHi)
        throw this.noLeaf(level, at, page + i * level.tableSpan);
      const address = tables.entryAddr(table, (index + i) * entrySize);
      tables.writeEntry(address, entryOf(lo | keptLo, hi | keptHi), entrySize);
    }
  }

  /** Replaces a leaf by a table of leaves that say the same; answers the table. */
  split(slot: EntrySlot<TableAddr>): TableAddr {
    const { level, lo, hi, base } = slot;
    const below = level.next;
    const table = this.create(base);
    const attributes = decodeLeaf(level, lo, hi);
    const rest = residue(level, lo, hi);
    const gpa = leafAddress(level, lo, hi);
    if (!below.hasLeaves)
      throw this.error('restricted', `${below.format.entry} cannot be a leaf`, base, level);
    this.fillLeaves(below, table, 0, level.tableSpan / below.tableSpan, base, gpa, attributes, rest);
    this.invalidate(slot, 'resized', false);
    this.link(slot, table, this.compiled.format.breakBeforeMake === true);
    return table;
  }

  /** Whether nothing is left in a table, with everything that is about to be written. */
  isEmpty(level: Level, table: TableAddr, base: number): boolean {
    for (let index = 0; index < 2 ** level.format.indexBits; index++) {
      if (this.slot(level, table, true, base, index).verdict !== NOT_PRESENT) return false;
    }
    return true;
  }

  /** The error for an entry that is neither a table nor a leaf that could be changed. */
  unusable({ level, address, base, verdict }: EntrySlot<TableAddr>): PagingError {
    const why =
      verdict === SPECIAL_LEAF
        ? 'it is one of the entries of a larger page, which are not taken apart'
        : 'it has reserved bits set';
    return this.error('malformed', why, base, level, this.tables.toPhys(address));
  }

  private noLeaf(level: Level, gpa: number, page: number): PagingError {
    const why = `a page of ${hex(level.pageSize)} bytes cannot be at ${hex(gpa)}`;
    return this.error('invalid', why, page, level);
  }

  error(code: PagingErrorCode, why: string, page: number, level?: Level, entryAddress?: number): PagingError {
    const gva = addressOf(this.compiled.format, page);
    const entry =
      entryAddress === undefined ? '' : `${level?.format.entry ?? 'entry'} at ${hex(entryAddress)}: `;
    const facts = { gva, level: level?.format.level, entryAddress };
    return new PagingError(code, `${this.subject}, stopped at ${hex(gva)}: ${entry}${why}`, facts);
  }
}

const whole = new BigUint64Array(1);
const wholeHalves = new Int32Array(whole.buffer);

/** An entry from its halves: through memory, at a small part of what arithmetic on bigints costs. */
function entryOf(lo: number, hi: number): bigint {
  wholeHalves[0] = lo;
  wholeHalves[1] = hi;
  return whole[0] as bigint;
}

/** A physical address as two 32-bit halves. */
function halves(gpa: number): [number, number] {
  return [(gpa % 0x1_0000_0000) | 0, Math.floor(gpa / 0x1_0000_0000)];
}
