/**
 * The read side of translation tables, wherever they are: the one thing the walker needs from a memory. Implement it
 * to walk tables that {@link GuestTables} and {@link BufferTables} cannot reach.
 *
 * `TableAddr` is whatever says where an entry is: an address, an offset, a pair. It is only passed back.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { type TableReadOps, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * // Entries in a Map, where everything that is missing cannot be read.
 * const entries = new Map([[0x1000, 0x2003n], [0x2000, 0x3003n], [0x3000, 0x83n]]);
 * const tables: TableReadOps<number> = {
 *   entryAddr: (addr, byteOffset) => addr + byteOffset,
 *   readEntry: (addr) => entries.get(addr),
 *   toPhys: (addr) => addr,
 *   fromPhys: (gpa) => gpa,
 *   rootTable: () => 0x1000,
 * };
 * const translator = new Translator({ tables, format: X86_4LEVEL });
 * const mapped = translator.translate(0x1234n);
 * assert(mapped.kind === 'mapped');
 * assert.equal(mapped.gpa, 0x1234);
 * assert.equal(mapped.pageSize, 0x20_0000);
 * assert.equal(translator.translate(0x20_0000n).kind, 'table-unreadable');
 * ```
 */
export interface TableReadOps<TableAddr> {
  /** The address `byteOffset` bytes (not entries) into the table at `addr`. */
  entryAddr(addr: TableAddr, byteOffset: number): TableAddr;
  /**
   * The entry at `addr`, fetched whole: 64 bits never come from two reads. `size` is 4 for 32-bit x86, else 8.
   * `undefined` where it cannot be read, which is not the same as an entry of 0: that one is "not present".
   */
  readEntry(addr: TableAddr, size: 4 | 8): bigint | undefined;
  /**
   * The same without a bigint: bits 31:0 to `halves[0]` and 63:32 to `halves[1]` (0 for an entry of 4 bytes); false
   * where the entry cannot be read. Used instead of `readEntry` where it is there.
   */
  readEntryInto?(addr: TableAddr, size: 4 | 8, halves: Uint32Array): boolean;
  /**
   * Puts `desired` in the place of the entry at `addr` if that is still `expected`, in one atomic step. False where it is
   * another by now; `undefined` where it cannot be written. Needed only where a walk is to mark entries as accessed and
   * dirty.
   */
  compareExchangeEntry?(addr: TableAddr, expected: bigint, desired: bigint, size: 4 | 8): boolean | undefined;
  /** The guest-physical address of a table, as it stands in an entry. */
  toPhys(addr: TableAddr): number;
  /**
   * The inverse of `toPhys`, for the address of a table that came from an entry: whatever a guest put there, below 2^53. It
   * is a multiple of the table's size, be that 32 bytes (the root of PAE) or 64 KiB (AArch64), and never an address within
   * a table.
   */
  fromPhys(gpa: number): TableAddr;
  /** The root table in force. Asked for at the start of every walk. */
  rootTable(): TableAddr;
}

/**
 * Both sides: what {@link map}, {@link unmap}, {@link protect}, {@link merge} and {@link shareTables} work on. Nobody else may write the tables while it works.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { BufferTables, createRoot, map, type TableOps, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const tables: TableOps<number> = new BufferTables(new Uint8Array(0x4000), 0x8000);
 * createRoot(tables, X86_4LEVEL);
 * map(tables, { format: X86_4LEVEL, gva: 0x40_0000n, gpa: 0x1000, length: 0x1000 });
 * const mapped = new Translator({ tables, format: X86_4LEVEL }).translate(0x40_0010n);
 * assert(mapped.kind === 'mapped');
 * assert.equal(mapped.gpa, 0x1010);
 * ```
 */
export interface TableOps<TableAddr> extends TableReadOps<TableAddr> {
  /** Stores an entry as one write of `size` bytes; throws where it cannot, with the entry as it was. */
  writeEntry(addr: TableAddr, entry: bigint, size: 4 | 8): void;
  /**
   * A zeroed table of `size` bytes, aligned to its size; `undefined` where there is none left. The size is 4 KiB but for
   * AArch64's larger granules and the roots of RISC-V's guest stages.
   */
  allocTable(size: number): TableAddr | undefined;
  /**
   * Takes back one reference to a table of `size` bytes that {@link TableOps.allocTable} gave; the last one frees it. A table
   * has one reference when it is allocated, and then as many as entries and root registers lead to it.
   */
  freeTable(table: TableAddr, size: number): void;
  /** Adds a reference: another entry or root register leads to the table. Without it tables cannot be shared. */
  retainTable?(table: TableAddr): void;
  /**
   * How many references a table has; 0 where it did not come from {@link TableOps.allocTable}. Without it that is the answer
   * for all tables. Those without references are left as they are when they are no longer needed; where a table can have no
   * second reference, `1` is a good answer for each that was allocated.
   */
  tableReferences?(table: TableAddr): number;
  /**
   * False where it is known that an entry cannot be written, so that an edit is refused before its first write. Without it,
   * `writeEntry` throws and what was written before is undone.
   */
  canWriteEntry?(addr: TableAddr, size: 4 | 8): boolean;
  /** Makes another table the root. */
  updateRoot(root: TableAddr): void;
}
