import { hex } from '../core/index.ts';
import { physical } from './bits.ts';
import type { CompiledFormat } from './compiled-format.ts';
import type { EditOptions, EditOutcome } from './edit-outcome.ts';
import { decodeLeaf, leafAddress, residue } from './entry-codec.ts';
import { entryOf, halvesOf } from './entry-halves.ts';
import type { EntrySlot } from './entry-slot.ts';
import { EntryWrites, Unwritten, type WriteKind } from './entry-writes.ts';
import type { Invalidation } from './invalidation.ts';
import { Invalidations } from './invalidations.ts';
import { LeafEncoder } from './leaf-encoder.ts';
import { groupSpan, isGrouped, ungroupAll } from './leaf-group.ts';
import type { Level } from './level.ts';
import { PagingError, type PagingErrorCode } from './paging-error.ts';
import type { TableOps } from './table-ops.ts';
import { type PlacedTable, TableReferences } from './table-references.ts';
import { NOT_PRESENT, TABLE } from './verdict.ts';
import { addressOf } from './virtual-range.ts';

/**
 * One edit of translation tables, all or nothing: entries of tables that are in use are written at the end, when nothing
 * can fail any more; new tables are filled before anything points to them, and tables that are no longer needed are given
 * back after the last entry that led to them is gone.
 */
export class TableEditor<TableAddr> {
  readonly compiled: CompiledFormat;
  readonly tables: TableOps<TableAddr>;
  readonly references: TableReferences<TableAddr>;
  readonly leaves: LeafEncoder<TableAddr>;
  /** Cannot map 4096 bytes at ...: how messages begin. */
  private readonly subject: string;
  private readonly changeShared: boolean;
  private readonly created: TableAddr[] = [];
  private readonly retained: TableAddr[] = [];
  private readonly writes: EntryWrites<TableAddr>;
  private readonly invalidations: Invalidations;
  private reloadRoot = false;
  /** The table for which was found out last whether those above say that all below is global. */
  private globalKey = -1;
  private globalAbove = false;

  constructor(
    tables: TableOps<TableAddr>,
    compiled: CompiledFormat,
    subject: string,
    { changeShared = false }: EditOptions = {},
  ) {
    this.tables = tables;
    this.compiled = compiled;
    this.subject = subject;
    this.changeShared = changeShared;
    this.writes = new EntryWrites(tables, compiled.format.entrySize);
    this.references = new TableReferences(tables, compiled.format, (table) => this.tablesBelow(table));
    this.leaves = new LeafEncoder(tables, compiled, (why, page, level) =>
      this.error('invalid', why, page, level),
    );
    this.invalidations = new Invalidations(compiled.format);
  }

  /**
   * Runs an edit and then writes what it decided.
   *
   * @param edit - is given the root table
   * @param invalidate - is told what to invalidate while the entries that must be broken first are, and before tables are
   * given back
   */
  run(
    edit: (root: TableAddr) => void,
    invalidate: ((what: readonly Invalidation[]) => void) | undefined,
  ): EditOutcome {
    const invalidations = this.invalidations.list;
    try {
      const root = this.tables.rootTable();
      this.references.enterRoot(this.compiled.top, root);
      edit(root);
      const slot = this.writes.unwritable();
      if (slot !== undefined) throw this.unwritable(slot);
    } catch (error) {
      this.giveUp();
      throw error;
    }
    try {
      this.writes.commit(invalidations.length > 0 ? () => invalidate?.(invalidations) : undefined);
    } catch (error) {
      // Frames that the hardware may still take for tables are lost sooner than given to somebody else.
      if (!this.writes.exposedTables) this.giveUp();
      throw error instanceof Unwritten ? this.unwritable(error.slot, error.cause) : error;
    }
    return {
      tables: this.created.length,
      freed: this.references.commit(),
      invalidations,
      steps: this.writes.steps(invalidations),
      reloadRoot: this.reloadRoot,
    };
  }

  /** Gives back what was taken for an edit that is not to be. */
  private giveUp(): void {
    for (const table of [...this.created, ...this.retained])
      this.tables.freeTable(table, this.compiled.format.tableSize);
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

  /** As {@link slots}, to change them: groups that hardware may take for one page, and the range would cut, are ended. */
  *slotsToChange(
    level: Level,
    table: TableAddr,
    exists: boolean,
    base: number,
    first: number,
    last: number,
  ): Generator<EntrySlot<TableAddr>> {
    for (const slot of this.slots(level, table, exists, base, first, last)) {
      const group = isGrouped(slot) ? groupSpan(slot, base) : undefined;
      if (group === undefined || (group.first >= first && group.last <= last)) {
        yield slot;
        continue;
      }
      const grouped = [...this.slots(level, table, exists, base, group.first, group.last)].filter(isGrouped);
      const broken = this.compiled.format.breakBeforeMake === true;
      for (const [i, { lo, hi }] of ungroupAll(this.compiled, grouped).entries()) {
        const member = grouped[i] as EntrySlot<TableAddr>;
        this.write(member, entryOf(lo, hi), { broken });
        if (exists) this.invalidate(member, 'resized', false);
      }
      yield this.slot(level, table, exists, base, (slot.base - base) / level.tableSpan);
    }
  }

  slot(level: Level, table: TableAddr, exists: boolean, base: number, index: number): EntrySlot<TableAddr> {
    const { entrySize } = this.compiled.format;
    const address = this.tables.entryAddr(table, index * entrySize);
    const at = base + index * level.tableSpan;
    const gpa = this.tables.toPhys(address);
    const entry = this.writes.get(gpa) ?? this.tables.readEntry(address, entrySize);
    if (entry === undefined) throw this.error('table-unreadable', 'it cannot be read', at, level, gpa);
    const lo = Number(entry & 0xffff_ffffn) | 0;
    const hi = Number(entry >> 32n) | 0;
    const shared = this.references.isShared(table);
    return { level, address, exists, shared, base: at, lo, hi, verdict: level.judge(lo, hi) };
  }

  /** An entry of a table that nothing points to yet, and that nothing was written to. */
  emptySlot(level: Level, table: TableAddr, base: number, index: number): EntrySlot<TableAddr> {
    const address = this.tables.entryAddr(table, index * this.compiled.format.entrySize);
    const at = base + index * level.tableSpan;
    return { level, address, exists: false, shared: false, base: at, lo: 0, hi: 0, verdict: NOT_PRESENT };
  }

  /** The table that an entry points to, which is only looked at. */
  target({ lo, hi }: EntrySlot<TableAddr>): TableAddr {
    const { tableAddress } = this.compiled;
    return this.tables.fromPhys(physical(tableAddress.addressLo(lo), tableAddress.addressHi(lo, hi)));
  }

  /** The table that an entry points to, to go into it. */
  below(slot: EntrySlot<TableAddr>): TableAddr {
    const table = this.target(slot);
    if (!slot.exists) return table;
    if (this.references.isGone(table))
      throw this.entryError(
        'malformed',
        'its table is given back, for another entry led to it as well',
        slot,
      );
    this.references.enter(this.placed(slot, table), slot.shared);
    return table;
  }

  /** The same, but not a second time: tables that lead to each other in every entry would be gone into without an end. */
  belowOnce(slot: EntrySlot<TableAddr>): TableAddr {
    if (slot.exists && this.leadsBack(slot) && !this.changeShared)
      throw this.entryError(
        'shared',
        'another entry of the range leads to its table, wanted changeShared',
        slot,
      );
    return this.below(slot);
  }

  /** Whether the edit has been in the table that an entry points to, by another entry. */
  leadsBack(slot: EntrySlot<TableAddr>): boolean {
    return this.references.isElsewhere(this.placed(slot, this.target(slot)));
  }

  /** Sets an entry: at once in a table that nothing points to, else at the end. */
  write(slot: EntrySlot<TableAddr>, entry: bigint, kind: WriteKind = {}): void {
    const { address, exists, shared } = slot;
    if (!exists) {
      this.tables.writeEntry(address, entry, this.compiled.format.entrySize);
      return;
    }
    if (shared && !this.changeShared)
      throw this.entryError('shared', 'other entries lead to its table as well, wanted changeShared', slot);
    this.writes.set(slot, entry, kind);
    if (slot.level.format.loadedWithRoot === true) this.reloadRoot = true;
  }

  /** Makes an entry that points to a table nothing, and takes the table's reference away. */
  unlink(slot: EntrySlot<TableAddr>): void {
    this.write(slot, 0n);
    this.invalidate(slot, 'removed', true);
    this.release(slot);
  }

  /**
   * Notes that what the hardware may have cached of an entry has to go.
   *
   * @param global - whether what takes the entry's place, or is below it, is global; of the entry itself that is seen here
   */
  invalidate(slot: EntrySlot<TableAddr>, why: Invalidation['why'], tables: boolean, global = false): void {
    const { format, controls } = this.compiled;
    const inForce = format.architecture.global(controls);
    this.invalidations.add(slot, why, tables, inForce && (global || this.isGlobal(slot)));
  }

  /** The same of a table and everything below it, without looking: pages of any size, global or not. */
  invalidateBelow(slot: EntrySlot<TableAddr>, why: Invalidation['why']): void {
    const { format, controls, granule } = this.compiled;
    this.invalidations.add(slot, why, true, format.architecture.global(controls), granule);
  }

  private isGlobal({ level, base, lo, hi, verdict }: EntrySlot<TableAddr>): boolean {
    const { inheritedLo } = this.compiled;
    if (verdict === TABLE ? (lo & inheritedLo) !== 0 : verdict !== NOT_PRESENT && level.isGlobal(lo, hi))
      return true;
    return inheritedLo !== 0 && this.inheritsGlobal(level, base);
  }

  /** Whether a table above says of everything below it that it is global (RISC-V). */
  private inheritsGlobal(level: Level, base: number): boolean {
    const key = Math.floor(base / level.tableSpan / 2 ** level.format.indexBits) * 8 + level.slot / 2;
    if (key === this.globalKey) return this.globalAbove;
    this.globalKey = key;
    this.globalAbove = false;
    let table = this.tables.rootTable();
    let at = this.compiled.top;
    for (let tableBase = 0; at !== level && !this.globalAbove; at = at.next) {
      const slot = this.slot(at, table, true, tableBase, Math.floor((base - tableBase) / at.tableSpan));
      if (slot.verdict !== TABLE) break;
      this.globalAbove = (slot.lo & this.compiled.inheritedLo) !== 0;
      table = this.target(slot);
      tableBase = slot.base;
    }
    return this.globalAbove;
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
    const [gpaLo, gpaHi] = halvesOf(gpa);
    const lo = tableAddress.entryLo(gpaLo, gpaHi);
    const hi = tableAddress.entryHi(gpaHi);
    const kept = physical(tableAddress.addressLo(lo), tableAddress.addressHi(lo, hi));
    if (kept !== gpa || gpa >= 2 ** physicalBits) {
      throw this.error('invalid', `a table cannot be at ${hex(gpa)} in this format`, base);
    }
    return table;
  }

  /** Makes an entry point to a new table through which everything is allowed. */
  link(slot: EntrySlot<TableAddr>, table: TableAddr, broken = false): void {
    const { newTable } = slot.level.format;
    const { tableAddress } = this.compiled;
    const [gpaLo, gpaHi] = halvesOf(this.tables.toPhys(table));
    const lo = newTable.lo | tableAddress.entryLo(gpaLo, gpaHi);
    const hi = newTable.hi | tableAddress.entryHi(gpaHi);
    this.write(slot, entryOf(lo, hi), { broken, links: true });
  }

  /** Whether something else may take the place of a table, for this address space alone. */
  mayReplace(slot: EntrySlot<TableAddr>, table: TableAddr): boolean {
    return (!slot.shared || this.changeShared) && !this.references.hasOthers(table);
  }

  /** Adds a reference to a table, which goes back if the edit fails. */
  retain(table: TableAddr): void {
    this.tables.retainTable?.(table);
    this.retained.push(table);
  }

  /** Takes away the reference of an entry that led to a table. */
  release(slot: EntrySlot<TableAddr>): void {
    this.references.drop(this.placed(slot, this.target(slot)));
  }

  private placed({ level, base }: EntrySlot<TableAddr>, table: TableAddr): PlacedTable<TableAddr> {
    return { level: level.next, table, base };
  }

  /** The tables that a table's entries lead to. */
  *tablesBelow({ level, table, base }: PlacedTable<TableAddr>): Generator<PlacedTable<TableAddr>> {
    for (let index = 0; index < 2 ** level.format.indexBits; index++) {
      const slot = this.slot(level, table, true, base, index);
      if (slot.verdict === TABLE) yield this.placed(slot, this.target(slot));
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
    this.leaves.fill(below, table, 0, level.tableSpan / below.tableSpan, base, gpa, attributes, rest);
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

  /** The error for an entry that is neither a table nor a leaf. */
  unusable(slot: EntrySlot<TableAddr>): PagingError {
    return this.entryError('malformed', 'it has reserved bits set', slot);
  }

  private unwritable(slot: EntrySlot<TableAddr>, cause?: unknown): PagingError {
    return this.entryError('table-unwritable', 'it cannot be written', slot, cause);
  }

  entryError(
    code: PagingErrorCode,
    why: string,
    { level, address, base }: EntrySlot<TableAddr>,
    cause?: unknown,
  ): PagingError {
    return this.error(code, why, base, level, this.tables.toPhys(address), cause);
  }

  error(
    code: PagingErrorCode,
    why: string,
    page: number,
    level?: Level,
    entryAddress?: number,
    cause?: unknown,
  ): PagingError {
    const gva = addressOf(this.compiled.format, page);
    const entry =
      entryAddress === undefined ? '' : `${level?.format.entry ?? 'entry'} at ${hex(entryAddress)}: `;
    const facts = { gva, level: level?.format.level, entryAddress, cause };
    return new PagingError(code, `${this.subject}, stopped at ${hex(gva)}: ${entry}${why}`, facts);
  }
}
