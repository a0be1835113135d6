import type { PagingFormat } from './format.ts';
import type { Level } from './level.ts';
import type { TableOps } from './table-ops.ts';

/** A table that an entry leads to, and where that entry puts it. */
export interface PlacedTable<TableAddr> {
  readonly level: Level;
  readonly table: TableAddr;
  /** Page number of the first address that it covers. */
  readonly base: number;
}

/** References of one table that were taken away. */
interface Dropped<TableAddr> {
  readonly table: TableAddr;
  readonly size: number;
  count: number;
}

/**
 * References to tables in one edit. Those that it takes away are counted here and given back when everything is written;
 * that, too, is all or nothing, and no table goes twice. A table goes with its last reference, and then those that its
 * entries had go as well.
 */
export class TableReferences<TableAddr> {
  private readonly tables: TableOps<TableAddr>;
  private readonly format: PagingFormat;
  /** The tables that an entry of another leads to, with everything that the edit has not written yet. */
  private readonly childrenOf: (parent: PlacedTable<TableAddr>) => Iterable<PlacedTable<TableAddr>>;
  /** References taken away, by address of the table. */
  private readonly dropped: Map<number, Dropped<TableAddr>> = new Map();
  /** Where each table was met that the edit went into. */
  private readonly places: Map<number, { readonly level: Level; readonly base: number }> = new Map();
  /** Tables that were met a second time, somewhere else. */
  private readonly aliased: Set<number> = new Set();
  /** Tables that more than the one entry on the way lead to, and what lies below them. */
  private readonly shared: Set<number> = new Set();

  constructor(
    tables: TableOps<TableAddr>,
    format: PagingFormat,
    childrenOf: (parent: PlacedTable<TableAddr>) => Iterable<PlacedTable<TableAddr>>,
  ) {
    this.tables = tables;
    this.format = format;
    this.childrenOf = childrenOf;
  }

  /** References that a table will have after the edit. */
  left(table: TableAddr): number {
    const { tables } = this;
    const all = tables.tableReferences?.(table) ?? 0;
    return all - (this.dropped.get(tables.toPhys(table))?.count ?? 0);
  }

  /**
   * Notes that the edit goes into a table.
   *
   * @param below - whether a table above it is shared
   */
  enter(placed: PlacedTable<TableAddr>, below: boolean): void {
    const { level, table, base } = placed;
    const gpa = this.tables.toPhys(table);
    if (this.isElsewhere(placed)) this.aliased.add(gpa);
    if (below || this.hasOthers(table)) this.shared.add(gpa);
    this.places.set(gpa, { level, base });
  }

  /** Whether the edit gives a table back. */
  isGone(table: TableAddr): boolean {
    return this.dropped.has(this.tables.toPhys(table)) && this.left(table) === 0;
  }

  /** Whether the edit has been in a table at another place: for the second time, or forever. */
  isElsewhere({ level, table, base }: PlacedTable<TableAddr>): boolean {
    const place = this.places.get(this.tables.toPhys(table));
    return place !== undefined && (place.level !== level || place.base !== base);
  }

  /** Notes the root, which is no part of another table, whatever leads to it. */
  enterRoot(level: Level, root: TableAddr): void {
    this.places.set(this.tables.toPhys(root), { level, base: 0 });
  }

  /** Whether what is written to a table may be seen at other addresses or in other address spaces than those of the edit. */
  isShared(table: TableAddr): boolean {
    return this.shared.has(this.tables.toPhys(table));
  }

  /** Whether other entries than the one that the edit came by lead to a table. */
  hasOthers(table: TableAddr): boolean {
    return this.left(table) > 1 || this.aliased.has(this.tables.toPhys(table));
  }

  /** Whether a table goes with the entry that the edit came by. */
  isLast(table: TableAddr): boolean {
    return this.left(table) === 1 && !this.hasOthers(table);
  }

  /** Takes the reference of one entry away. */
  drop(placed: PlacedTable<TableAddr>): void {
    const { level, table } = placed;
    const gpa = this.tables.toPhys(table);
    const left = this.left(table);
    if (left === 0) return;
    // Somebody wrote an entry that leads back to a table on the way, or to one that stays elsewhere, and did not say so.
    if (left === 1 && this.isElsewhere(placed)) return;
    const before = this.dropped.get(gpa);
    if (before === undefined) this.dropped.set(gpa, { table, size: tableSize(this.format, level), count: 1 });
    else before.count++;
    if (left > 1) return;
    for (const child of this.childrenOf(placed)) this.drop(child);
  }

  /** Gives back what was taken away; answers how many tables went. */
  commit(): number {
    let freed = 0;
    for (const { table, size, count } of this.dropped.values()) {
      if (this.left(table) === 0) freed++;
      for (let i = 0; i < count; i++) this.tables.freeTable(table, size);
    }
    return freed;
  }
}

/** Bytes of the root table that is allocated: a page at least, which the roots of some formats do not fill. */
export function rootSize(format: PagingFormat): number {
  return Math.max(4096, 2 ** (format.levels[0]?.indexBits ?? 0) * format.entrySize);
}

function tableSize(format: PagingFormat, { format: level }: Level): number {
  return level === format.levels[0] ? rootSize(format) : format.tableSize;
}
