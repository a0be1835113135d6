import { hex } from '../core/index.ts';
import { fromHalves } from './bits.ts';
import { CompiledFormat } from './compiled-format.ts';
import { encodeLeaf, type LeafAttributes, leafAddress } from './entry-codec.ts';
import type { PagingFormat } from './format.ts';
import type { Level } from './level.ts';
import { checkRequest, type MapRequest, subject } from './map-request.ts';
import { PagingError, type PagingErrorCode, type PagingErrorFacts } from './paging-error.ts';
import { EXECUTE, USER, WRITE } from './rights.ts';
import type { TableOps } from './table-ops.ts';
import { addressOf, pageOf } from './virtual-range.ts';

/** What {@link map} did. x86 needs no invalidation for an entry that was not present before (SDM 3A, 5.10.4.3). */
export interface MapResult {
  /** Leaves written. */
  readonly leaves: number;
  /** Tables allocated. */
  readonly tables: number;
  /** PAE keeps the four root entries in registers: the processor has to load CR3 again to see a new one. */
  readonly reloadRoot: boolean;
}

/**
 * Allocates an empty root table and makes it the current one.
 *
 * @throws PagingError `no-frames`; `invalid` where the frame is too high for the root register (above 4 GiB for PAE
 * and 32-bit x86)
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { BufferTables, createRoot, X86_PAE } from 'guestmem/paging';
 *
 * const tables = new BufferTables(new Uint8Array(0x2000), 0x1000);
 * assert.equal(createRoot(tables, X86_PAE), 0x1000);
 * assert.equal(tables.rootTable(), 0x1000);
 * ```
 */
export function createRoot<TableAddr>(tables: TableOps<TableAddr>, format: PagingFormat): TableAddr {
  const root = tables.allocTable();
  if (root === undefined) throw new PagingError('no-frames', 'Cannot create a root table: no frame is left');
  const gpa = tables.toPhys(root);
  if ((BigInt(gpa) & ~fromHalves(format.root.lo, format.root.hi)) !== 0n) {
    tables.freeTable(root);
    throw new PagingError(
      'invalid',
      `Cannot create a root table at ${hex(gpa)}: the root of ${format.title} cannot be there`,
    );
  }
  tables.updateRoot(root);
  return root;
}

/**
 * Maps a range of virtual addresses to a range of physical ones, with the largest pages that fit.
 *
 * All or nothing: where anything stands in the way the tables are as they were. New tables are filled before
 * anything points to them, and allow everything, so that the leaves decide.
 *
 * @throws PagingError
 * - `invalid`: a number is out of range, or asks for what the format cannot express
 * - `misaligned`: an address or the length is not a multiple of 4 KiB
 * - `not-canonical`: the range is not in the address space, or spans the hole in its middle
 * - `taken`: a page of the range is mapped already
 * - `restricted`: an existing table entry above the range does not allow what is asked
 * - `malformed`: an existing table entry has reserved bits set
 * - `table-unreadable`: an existing table cannot be read
 * - `no-frames`: there are not enough frames for the tables
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { createRoot, FrameRange, GuestTables, map, X86_4LEVEL } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x10_0000);
 * const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
 * createRoot(tables, X86_4LEVEL);
 * const result = map(tables, {
 *   format: X86_4LEVEL,
 *   gva: 0xffff_8000_0000_0000n,
 *   gpa: 0,
 *   length: 0x4020_1000,
 *   write: true,
 * });
 * assert.deepEqual(result, { leaves: 3, tables: 3, reloadRoot: false }); // 1 GiB, 2 MiB and 4 KiB
 * ```
 */
export function map<TableAddr>(tables: TableOps<TableAddr>, request: MapRequest): MapResult {
  const compiled = new CompiledFormat(request.format, request.controls);
  checkRequest(compiled, request);
  return new Mapping(tables, compiled, request).run();
}

/** One call of {@link map}. */
class Mapping<TableAddr> {
  private readonly tables: TableOps<TableAddr>;
  private readonly compiled: CompiledFormat;
  private readonly request: MapRequest;
  private readonly attributes: LeafAttributes;
  private readonly maxPageSize: number;
  private readonly first: number;
  private readonly last: number;
  /** New tables: nothing points to them yet, so they are filled at once. */
  private readonly created: TableAddr[] = [];
  /** Entries of existing tables, by physical address: written last, when nothing can fail any more. */
  private readonly links: Map<number, { readonly address: TableAddr; readonly entry: bigint }> = new Map();
  private leaves = 0;
  private reloadRoot = false;

  constructor(tables: TableOps<TableAddr>, compiled: CompiledFormat, request: MapRequest) {
    const { write = false, execute = false, user = false, global = false } = request;
    this.tables = tables;
    this.compiled = compiled;
    this.request = request;
    this.attributes = {
      rights: (write ? WRITE : 0) | (user ? USER : 0) | (execute ? EXECUTE : 0),
      memoryType: request.memoryType ?? 0,
      global: Number(global),
      accessed: Number(request.accessed ?? true),
      dirty: Number(request.dirty ?? write),
      protectionKey: request.protectionKey ?? 0,
    };
    this.maxPageSize = request.maxPageSize ?? Number.POSITIVE_INFINITY;
    this.first = pageOf(compiled.format, request.gva);
    this.last = this.first + request.length / 4096 - 1;
  }

  run(): MapResult {
    try {
      this.fill(this.compiled.top, this.tables.rootTable(), true, 0);
    } catch (error) {
      for (const table of this.created) this.tables.freeTable(table);
      throw error;
    }
    const { entrySize } = this.compiled.format;
    for (const { address, entry } of this.links.values()) this.tables.writeEntry(address, entry, entrySize);
    return { leaves: this.leaves, tables: this.created.length, reloadRoot: this.reloadRoot };
  }

  /**
   * Maps the part of the range that lies below one table.
   *
   * @param base - page number of the first address that the table covers
   */
  private fill(level: Level, table: TableAddr, exists: boolean, base: number): void {
    const span = level.pageSize / 4096;
    const top = base + span * 2 ** level.format.indexBits - 1;
    for (let page = Math.max(this.first, base); page <= Math.min(this.last, top); ) {
      const index = Math.floor((page - base) / span);
      const entryBase = base + index * span;
      const address = this.tables.entryAddr(table, index * this.compiled.format.entrySize);
      this.fillEntry(level, address, exists, page, entryBase);
      page = entryBase + span;
    }
  }

  /** Makes one entry a leaf where that fits, else maps what lies below it. */
  private fillEntry(
    level: Level,
    address: TableAddr,
    exists: boolean,
    page: number,
    entryBase: number,
  ): void {
    const current = exists ? this.read(level, address, page) : 0n;
    if ((current & PRESENT) !== 0n) {
      this.checkTable(level, address, current, page);
      const below = this.tables.fromPhys(Number(current & this.addressMask()));
      this.fill(level.next, below, true, entryBase);
      return;
    }
    const gpa = this.request.gpa + (page - this.first) * 4096;
    const size = level.pageSize;
    const whole = page === entryBase && page + size / 4096 - 1 <= this.last;
    if (level.leafMask !== 0 && whole && gpa % size === 0 && size <= this.maxPageSize) {
      this.write(address, exists, this.encode(level, gpa, page));
      this.leaves++;
      return;
    }
    const below = this.create(page);
    this.fill(level.next, below, false, entryBase);
    this.write(address, exists, BigInt(this.tables.toPhys(below)) | BigInt(level.presentTable));
    if (exists && level.format.loadedWithRoot) this.reloadRoot = true;
  }

  private read(level: Level, address: TableAddr, page: number): bigint {
    const gpa = this.tables.toPhys(address);
    const entry =
      this.links.get(gpa)?.entry ?? this.tables.readEntry(address, this.compiled.format.entrySize);
    if (entry === undefined) throw this.error('table-unreadable', 'it cannot be read', level, gpa, page);
    return entry;
  }

  /** An existing entry has to be a table through which everything that is asked for is allowed. */
  private checkTable(level: Level, address: TableAddr, entry: bigint, page: number): void {
    const gpa = this.tables.toPhys(address);
    const lo = Number(entry & 0xffff_ffffn);
    const hi = Number(entry >> 32n);
    if ((lo & level.leafMask) !== 0) throw this.error('taken', 'it maps a page already', level, gpa, page);
    if ((((lo & level.tableTestLo) ^ level.tableTestValue) | (hi & level.tableTestHi)) !== 0) {
      throw this.error('malformed', 'it has reserved bits set', level, gpa, page);
    }
    if ((this.attributes.rights & ~this.compiled.rights(lo | level.noRights, hi)) !== 0) {
      throw this.error('restricted', 'it does not allow what is asked', level, gpa, page);
    }
  }

  private create(page: number): TableAddr {
    const table = this.tables.allocTable();
    if (table === undefined) {
      throw this.error(
        'no-frames',
        `no frame is left for a table, after ${this.created.length}`,
        undefined,
        undefined,
        page,
      );
    }
    this.created.push(table);
    const gpa = BigInt(this.tables.toPhys(table));
    if ((gpa & ~this.addressMask()) !== 0n || gpa >> BigInt(this.compiled.controls.maxPhyAddr) !== 0n) {
      throw this.error(
        'invalid',
        `a table cannot be at ${hex(gpa)} in this format`,
        undefined,
        undefined,
        page,
      );
    }
    return table;
  }

  private write(address: TableAddr, exists: boolean, entry: bigint): void {
    if (exists) this.links.set(this.tables.toPhys(address), { address, entry });
    else this.tables.writeEntry(address, entry, this.compiled.format.entrySize);
  }

  /** A leaf, checked by reading it back: an address that the format has no bits for does not survive. */
  private encode(level: Level, gpa: number, page: number): bigint {
    const gpaHi = Math.floor(gpa / 0x1_0000_0000);
    const { lo, hi } = encodeLeaf(level, gpa % 0x1_0000_0000, gpaHi, this.attributes);
    const reserved = ((lo & level.leafReservedLo) | (hi & level.leafReservedHi)) !== 0;
    if (reserved || leafAddress(level, lo, hi) !== gpa) {
      throw this.error(
        'invalid',
        `a page of ${hex(level.pageSize)} bytes cannot be at ${hex(gpa)}`,
        level,
        undefined,
        page,
      );
    }
    return fromHalves(lo, hi);
  }

  private addressMask(): bigint {
    return fromHalves(this.compiled.tableAddressLo, this.compiled.tableAddressHi);
  }

  private error(
    code: PagingErrorCode,
    why: string,
    level: Level | undefined,
    entryAddress: number | undefined,
    page: number,
  ): PagingError {
    const gva = addressOf(this.compiled.format, page);
    const entry =
      entryAddress === undefined ? '' : `${level?.format.entry ?? 'entry'} at ${hex(entryAddress)}: `;
    const facts: PagingErrorFacts = { gva, level: level?.format.level, entryAddress };
    return new PagingError(code, `${subject(this.request)}, stopped at ${hex(gva)}: ${entry}${why}`, facts);
  }
}

const PRESENT = 1n;
