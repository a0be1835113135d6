import { hex } from '../core/index.ts';
import { fromHalves, physical } from './bits.ts';
import { CompiledFormat } from './compiled-format.ts';
import { encodeLeaf, type LeafAttributes, leafAddress } from './entry-codec.ts';
import type { PagingFormat } from './format.ts';
import type { Level } from './level.ts';
import { checkRequest, type MapRequest, subject } from './map-request.ts';
import { PagingError, type PagingErrorCode, type PagingErrorFacts } from './paging-error.ts';
import { EXECUTE, READ, SUPERVISOR_EXECUTE, USER, WRITE } from './rights.ts';
import type { TableOps } from './table-ops.ts';
import { LEAF, NOT_PRESENT, SPECIAL_LEAF, TABLE } from './verdict.ts';
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
    const { write = false, global = false } = request;
    this.tables = tables;
    this.compiled = compiled;
    this.request = request;
    this.attributes = {
      rights: rightsCode(compiled, request),
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
    const lo = Number(current & 0xffff_ffffn) | 0;
    const hi = Number(current >> 32n) | 0;
    const verdict = level.judge(lo, hi);
    if (verdict !== NOT_PRESENT) {
      this.checkTable(level, address, verdict, lo, hi, page);
      const { tableAddress } = this.compiled;
      const below = this.tables.fromPhys(
        physical(tableAddress.addressLo(lo), tableAddress.addressHi(lo, hi)),
      );
      this.fill(level.next, below, true, entryBase);
      return;
    }
    const gpa = this.request.gpa + (page - this.first) * 4096;
    const size = level.pageSize;
    const whole = page === entryBase && page + size / 4096 - 1 <= this.last;
    if (level.hasLeaves && whole && gpa % size === 0 && size <= this.maxPageSize) {
      this.write(address, exists, this.encode(level, gpa, page));
      this.leaves++;
      return;
    }
    const below = this.create(page);
    this.fill(level.next, below, false, entryBase);
    this.write(address, exists, this.encodeTable(level, this.tables.toPhys(below)));
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
  private checkTable(
    level: Level,
    address: TableAddr,
    verdict: number,
    lo: number,
    hi: number,
    page: number,
  ): void {
    const gpa = this.tables.toPhys(address);
    if (verdict === LEAF || verdict === SPECIAL_LEAF)
      throw this.error('taken', 'it maps a page already', level, gpa, page);
    if (verdict !== TABLE) throw this.error('malformed', 'it has reserved bits set', level, gpa, page);
    if ((this.attributes.rights & ~this.compiled.inherited(lo | level.noRights, hi)) !== 0) {
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
    const gpa = this.tables.toPhys(table);
    const { tableAddress, physicalBits } = this.compiled;
    const [gpaLo, gpaHi] = halves(gpa);
    const entryLo = tableAddress.entryLo(gpaLo, gpaHi);
    const entryHi = tableAddress.entryHi(gpaHi);
    const kept = physical(tableAddress.addressLo(entryLo), tableAddress.addressHi(entryLo, entryHi));
    if (kept !== gpa || gpa >= 2 ** physicalBits) {
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
    const [gpaLo, gpaHi] = halves(gpa);
    const { lo, hi } = encodeLeaf(level, gpaLo, gpaHi, this.attributes);
    if (level.judge(lo, hi) !== LEAF || leafAddress(level, lo, hi) !== gpa) {
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

  private encodeTable(level: Level, gpa: number): bigint {
    const { newTable } = level.format;
    const { tableAddress } = this.compiled;
    const [gpaLo, gpaHi] = halves(gpa);
    return fromHalves(
      newTable.lo | tableAddress.entryLo(gpaLo, gpaHi),
      newTable.hi | tableAddress.entryHi(gpaHi),
    );
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

/** What is asked for, as a rights code of what the format has bits for. */
function rightsCode(compiled: CompiledFormat, { write, execute, user }: MapRequest): number {
  const code =
    READ | (write === true ? WRITE : 0) | (execute === true ? EXECUTE : 0) | (user === true ? USER : 0);
  return compiled.expressible(execute === true ? code | SUPERVISOR_EXECUTE : code);
}

/** A physical address as two 32-bit halves. */
function halves(gpa: number): [number, number] {
  return [(gpa % 0x1_0000_0000) | 0, Math.floor(gpa / 0x1_0000_0000)];
}
