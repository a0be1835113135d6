import { compileForEdit } from './compile-format.ts';
import type { CompiledFormat } from './compiled-format.ts';
import type { PageSpan } from './edit-range.ts';
import type { LeafAttributes } from './entry-codec.ts';
import type { EntrySlot } from './entry-slot.ts';
import type { Invalidation } from './invalidation.ts';
import type { LeafGroup } from './leaf-group.ts';
import type { Level } from './level.ts';
import { checkRequest, type MapRequest, rightsCode, subject } from './map-request.ts';
import { TableEditor } from './table-editor.ts';
import type { TableOps } from './table-ops.ts';
import { LEAF, NOT_PRESENT, SPECIAL_LEAF, TABLE } from './verdict.ts';

/** What {@link map} did. */
export interface MapResult {
  /** Leaves written. */
  readonly leaves: number;
  /** Tables allocated. */
  readonly tables: number;
  /** Empty but on RISC-V: other hardware does not remember that an entry was not present (SDM 3A, 5.10.4.3). */
  readonly invalidations: readonly Invalidation[];
  /** PAE keeps the four root entries in registers: the processor has to load CR3 again to see a new one. */
  readonly reloadRoot: boolean;
}

/**
 * Maps a range of virtual addresses to a range of physical ones, with the largest pages that fit.
 *
 * All or nothing: where anything stands in the way the tables are as they were. New tables are filled before
 * anything points to them, and allow everything, so that the leaves decide.
 *
 * @throws PagingError
 * - `invalid`: a number is out of range, or asks for what the format cannot express
 * - `misaligned`: an address or the length is not a multiple of the smallest page
 * - `not-canonical`: the range is not in the address space, or spans the hole in its middle
 * - `taken`: a page of the range is mapped already
 * - `restricted`: an existing table entry above the range does not allow what is asked
 * - `malformed`: an existing table entry has reserved bits set
 * - `table-unreadable`: an existing table cannot be read
 * - `table-unwritable`: an existing table, or the frame for a new one, cannot be written
 * - `shared`: other entries lead to a table that would be changed: see {@link MapRequest.changeShared}
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
 * assert.deepEqual([result.leaves, result.tables], [3, 3]); // 1 GiB, 2 MiB and 4 KiB
 * ```
 */
export function map<TableAddr>(tables: TableOps<TableAddr>, request: MapRequest): MapResult {
  const compiled = compileForEdit(request.format, request.controls);
  const span = checkRequest(compiled, request);
  const editor = new TableEditor(tables, compiled, subject(request), request);
  const mapping = new Mapping(editor, compiled, request, span);
  const {
    tables: created,
    freed: _freed,
    steps: _steps,
    ...outcome
  } = editor.run((root) => mapping.fill(compiled.top, root, 0), undefined);
  return { leaves: mapping.leaves, tables: created, ...outcome };
}

/** One call of {@link map}. */
class Mapping<TableAddr> {
  leaves = 0;
  private readonly editor: TableEditor<TableAddr>;
  private readonly compiled: CompiledFormat;
  private readonly gpa: number;
  private readonly attributes: LeafAttributes;
  private readonly maxPageSize: number;
  private readonly first: number;
  private readonly last: number;
  /** The groups that leaves of each level are to be of. */
  private readonly groups: ReadonlyMap<Level, LeafGroup>;
  /** Last page of the group that is being made in a table in use. */
  private groupEnd = -1;

  constructor(
    editor: TableEditor<TableAddr>,
    compiled: CompiledFormat,
    request: MapRequest,
    { first, last }: PageSpan,
  ) {
    const { write = false, global = false } = request;
    this.editor = editor;
    this.compiled = compiled;
    this.gpa = request.gpa;
    this.attributes = {
      rights: rightsCode(compiled, request),
      memoryType: request.memoryType ?? compiled.format.writeBack ?? 0,
      global: Number(global),
      accessed: Number(request.accessed ?? true),
      dirty: Number(request.dirty ?? write),
      protectionKey: request.protectionKey ?? 0,
      software: request.software ?? 0,
    };
    this.maxPageSize = request.maxPageSize ?? Number.POSITIVE_INFINITY;
    this.first = first;
    this.last = last;
    this.groups = request.contiguous === true ? this.groupsOfLevels() : new Map();
  }

  private groupsOfLevels(): Map<Level, LeafGroup> {
    const groups = new Map<Level, LeafGroup>();
    for (const level of this.compiled.levels) {
      const group = level.hasLeaves ? this.editor.leaves.groupsOf(level, this.attributes) : undefined;
      // A page of 64 KiB is one; sixteen contiguous ones of 4 KiB are not.
      const size = group?.uniform === true ? group.entries * level.pageSize : level.pageSize;
      if (group !== undefined && size <= this.maxPageSize) groups.set(level, group);
    }
    return groups;
  }

  /** Maps the part of the range that lies below a table that is in use, whose first address is page `base`. */
  fill(level: Level, table: TableAddr, base: number): void {
    const { editor } = this;
    const to = editor.lastIndex(level, base, this.last);
    for (let index = editor.firstIndex(level, base, this.first); index <= to; index++) {
      const slot = editor.slot(level, table, true, base, index);
      const leaves = Math.min(this.leavesAt(level, slot.base), to - index + 1);
      const { group } = this.runFrom(level, slot.base, index, leaves);
      if (group !== undefined) {
        const groupEnd = slot.base + group.entries * level.tableSpan - 1;
        const members = [...editor.slots(level, table, true, base, slot.base, groupEnd)];
        if (members.every(({ verdict }) => verdict === NOT_PRESENT)) this.groupEnd = groupEnd;
      }
      this.fillSlot(slot);
    }
  }

  /** How many leaves, of so many from a page on, are all of groups, or all not. */
  private runFrom(
    level: Level,
    page: number,
    index: number,
    leaves: number,
  ): { readonly count: number; readonly group: LeafGroup | undefined } {
    const plain = { count: leaves, group: undefined };
    const group = this.groups.get(level);
    if (group === undefined) return plain;
    const { entries } = group;
    const pages = entries * level.tableSpan;
    // The group begins where the memory that it maps is aligned to its size.
    if ((this.target(page) / 4096 - page) % pages !== 0) return plain;
    if (index % entries !== 0) return { ...plain, count: Math.min(leaves, entries - (index % entries)) };
    return leaves < entries ? plain : { count: leaves - (leaves % entries), group };
  }

  /** The leaf for a page, in a table in use. */
  private leafFor(level: Level, page: number): bigint {
    const { leaves } = this.editor;
    const group = page <= this.groupEnd ? this.groups.get(level) : undefined;
    if (group === undefined) return leaves.encode(level, this.target(page), this.attributes, page);
    const first = group.uniform ? page - (page % (group.entries * level.tableSpan)) : page;
    return leaves.encode(level, this.target(first), this.attributes, page) | group.marks;
  }

  /** Makes one entry a leaf where that fits, else maps what lies below it. */
  private fillSlot(slot: EntrySlot<TableAddr>): void {
    const { editor } = this;
    const { level, base } = slot;
    if (slot.verdict !== NOT_PRESENT) {
      this.checkTable(slot);
      this.fill(level.next, editor.below(slot), base);
      return;
    }
    const leaf = this.leavesAt(level, base) > 0;
    if (leaf) {
      editor.write(slot, this.leafFor(level, base));
      this.leaves++;
    } else {
      editor.link(slot, this.create(level.next, base));
    }
    if (this.compiled.format.remembersAbsence === true)
      editor.invalidate(slot, 'added', !leaf, this.attributes.global !== 0);
  }

  /** A new table with the part of the range that lies below it. Nothing has to be read, for it is empty. */
  private create(level: Level, base: number): TableAddr {
    const { editor } = this;
    const table = editor.create(Math.max(this.first, base));
    const to = editor.lastIndex(level, base, this.last);
    let index = editor.firstIndex(level, base, this.first);
    while (index <= to) {
      const page = base + index * level.tableSpan;
      const leaves = Math.min(this.leavesAt(level, page), to - index + 1);
      if (leaves > 0) {
        const { count, group } = this.runFrom(level, page, index, leaves);
        const target = this.target(page);
        if (group === undefined)
          editor.leaves.fill(level, table, index, count, page, target, this.attributes);
        else editor.leaves.fillGroups(level, group, table, index, count, page, target, this.attributes);
        this.leaves += count;
        index += count;
      } else {
        editor.link(editor.emptySlot(level, table, base, index), this.create(level.next, page));
        index++;
      }
    }
    return table;
  }

  /** How many leaves of a level, one after the other from `page` on, the range has room for; 0 where none fits. */
  private leavesAt(level: Level, page: number): number {
    const { pageSize } = level;
    if (!level.hasLeaves || page < this.first || pageSize > this.maxPageSize) return 0;
    return this.target(page) % pageSize === 0 ? Math.floor((this.last + 1 - page) / level.tableSpan) : 0;
  }

  /** Where a page of the range is to lead. */
  private target(page: number): number {
    return this.gpa + (page - this.first) * 4096;
  }

  /** An existing entry has to be a table through which everything that is asked for is allowed. */
  private checkTable(slot: EntrySlot<TableAddr>): void {
    const { editor, compiled } = this;
    const { level, address, verdict, lo, hi } = slot;
    const page = Math.max(this.first, slot.base);
    const gpa = editor.tables.toPhys(address);
    if (verdict === LEAF || verdict === SPECIAL_LEAF)
      throw editor.error('taken', 'it maps a page already', page, level, gpa);
    if (verdict !== TABLE) throw editor.error('malformed', 'it has reserved bits set', page, level, gpa);
    if ((this.attributes.rights & ~compiled.inherited(lo | level.noRights, hi)) !== 0) {
      throw editor.error('restricted', 'it does not allow what is asked', page, level, gpa);
    }
  }
}
