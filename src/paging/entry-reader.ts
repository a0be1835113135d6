import type { PageWindow } from '../core/index.ts';
import { fromHalves } from './bits.ts';
import { PagingError } from './paging-error.ts';
import type { TableReadOps } from './table-ops.ts';

/**
 * How the walker reaches entries: physical addresses as two 32-bit halves, which stay integers in optimised code
 * where one number above 2^31 would be a double to be carried (and boxed between calls).
 */
export interface EntryReader {
  /** Physical address of the root table: bits 31:0 and 63:32. */
  readonly root: Int32Array;
  /** Called once before a walk. */
  begin(): void;
  /**
   * Reads the entry at `hi:lo` into {@link entryHalves}; false where it cannot be read. The entry is `offset` bytes into its
   * table, so that the table itself begins at `hi:lo - offset`.
   */
  load(lo: number, hi: number, offset: number): boolean;
  /** Entries are at addresses that a second stage translates. */
  readonly staged?: boolean;
  /** `replace` cannot be asked at all. */
  readonly readOnly?: boolean;
  /** Pages whose entries of 8 bytes may be read without {@link load}. */
  readonly window: PageWindow;
  /** Whether the last `load` failed because a second stage refused the address, and not because nothing is there. */
  readonly blocked: boolean;
  /**
   * Puts `newHi:newLo` in the place of the entry at `hi:lo` if that is still `oldHi:oldLo`, in one step. False where it is
   * another by now; `undefined` where it cannot be written.
   */
  replace(
    lo: number,
    hi: number,
    offset: number,
    oldLo: number,
    oldHi: number,
    newLo: number,
    newHi: number,
  ): boolean | undefined;
  /**
   * Reads a whole table at once, each entry whole, where that is cheaper than one by one: false where it is not to be had,
   * which says nothing about the entries.
   */
  snapshot(lo: number, hi: number, words: Uint32Array): boolean;
  /** False where it is known without reading that some of the `length` bytes at `hi:lo` cannot be read. */
  covers(lo: number, hi: number, length: number): boolean;
}

/** No page. */
export const NO_WINDOW: PageWindow = {
  firstPage: 0,
  readPages: 0,
  u32: new Uint32Array(2),
  u64: new BigUint64Array(1),
  exclusive: true,
};

/**
 * The entry that was read last: bits 31:0, then 63:32. One for the thread, and used before anything else can run. On a
 * buffer of its own, for small typed arrays live in the engine's heap, where their address is no constant: 8
 * instructions less per level.
 */
export const entryHalves: Uint32Array = new Uint32Array(new ArrayBuffer(8));

/** Stores a physical address as two halves. */
export function storePhysical(halves: Int32Array, gpa: number): void {
  halves[0] = gpa % 0x1_0000_0000;
  halves[1] = Math.floor(gpa / 0x1_0000_0000);
}

/** Reads through anybody's {@link TableReadOps}. */
export class OpsEntryReader<TableAddr> implements EntryReader {
  readonly root: Int32Array = new Int32Array(2);
  readonly window: PageWindow = NO_WINDOW;
  readonly blocked: boolean = false;
  readonly readOnly: boolean;
  private readonly tables: TableReadOps<TableAddr>;
  private readonly size: 4 | 8;

  constructor(tables: TableReadOps<TableAddr>, size: 4 | 8) {
    this.tables = tables;
    this.readOnly = tables.compareExchangeEntry === undefined;
    this.size = size;
  }

  begin(): void {
    storePhysical(this.root, this.tables.toPhys(this.tables.rootTable()));
  }

  load(lo: number, hi: number, offset: number): boolean {
    const { tables, size } = this;
    const address = tables.entryAddr(tables.fromPhys(tableOf(lo, hi, offset)), offset);
    if (tables.readEntryInto !== undefined) return tables.readEntryInto(address, size, entryHalves);
    const entry = tables.readEntry(address, size);
    if (entry === undefined) return false;
    entryHalves[0] = Number(entry & 0xffff_ffffn);
    entryHalves[1] = Number((entry >> 32n) & 0xffff_ffffn);
    return true;
  }

  replace(
    lo: number,
    hi: number,
    offset: number,
    oldLo: number,
    oldHi: number,
    newLo: number,
    newHi: number,
  ): boolean | undefined {
    const { tables, size } = this;
    if (tables.compareExchangeEntry === undefined) {
      throw new PagingError('invalid', 'Cannot mark entries: these tables have no compareExchangeEntry');
    }
    const address = tables.entryAddr(tables.fromPhys(tableOf(lo, hi, offset)), offset);
    return tables.compareExchangeEntry(address, fromHalves(oldLo, oldHi), fromHalves(newLo, newHi), size);
  }

  snapshot(): boolean {
    return false;
  }

  covers(): boolean {
    return true;
  }
}

/** Physical address of a table, from that of an entry. Tables are aligned to their size, so that no borrow can occur. */
function tableOf(lo: number, hi: number, offset: number): number {
  return (hi >>> 0) * 0x1_0000_0000 + ((lo - offset) >>> 0);
}
