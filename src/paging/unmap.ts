import { hex } from '../core/index.ts';
import { compileForEdit } from './compile-format.ts';
import { checkRange, type EditRange, type PageSpan } from './edit-range.ts';
import type { EditStep } from './edit-step.ts';
import type { EntrySlot } from './entry-slot.ts';
import type { Invalidation } from './invalidation.ts';
import type { Level } from './level.ts';
import { TableEditor } from './table-editor.ts';
import type { TableOps } from './table-ops.ts';
import { LEAF, NOT_PRESENT, SPECIAL_LEAF, TABLE } from './verdict.ts';

/** What {@link unmap} did. */
export interface UnmapResult {
  /** Bytes that were mapped and are not any more. */
  readonly unmapped: number;
  /** Tables allocated for the rest of large pages of which a part was taken. */
  readonly tables: number;
  /** Tables given back. */
  readonly freed: number;
  /** What has to go from the hardware's caches. */
  readonly invalidations: readonly Invalidation[];
  /** Where entries had to be broken first (AArch64): everything that was done, in its order. Else empty. */
  readonly steps: readonly EditStep[];
  /** PAE keeps the four root entries in registers: the processor has to load CR3 again. */
  readonly reloadRoot: boolean;
}

/**
 * Unmaps a range of virtual addresses. What is not mapped stays so; a large page that the range cuts is split, and its rest
 * stays mapped; pages that the hardware may take for one (AArch64's contiguous bit, RISC-V's Svnapot) are single ones then.
 *
 * A table below which the range covers everything is cut off at its entry and not written: others may lead to it, and see it
 * as it was ({@link shareTables}). It is given back with its last reference, and so are the tables below it and those that
 * become empty. An entry that somebody wrote by hand is no reference until that is told ({@link TableOps.retainTable}); but
 * the root and whatever else the edit came by stay in any case.
 *
 * All or nothing: where anything stands in the way the tables are as they were.
 *
 * @throws PagingError
 * - `invalid`, `misaligned`, `not-canonical`: the range is none of this format
 * - `malformed`: an existing table entry has reserved bits set
 * - `table-unreadable`: an existing table cannot be read
 * - `table-unwritable`: an existing table, or the frame for a new one, cannot be written
 * - `shared`: other entries lead to a table that would be changed: see {@link EditRange.changeShared}
 * - `no-frames`: there are not enough frames to split a page
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { BufferTables, createRoot, map, Translator, unmap, X86_4LEVEL } from 'guestmem/paging';
 *
 * const tables = new BufferTables(new Uint8Array(0x8000), 0x1000);
 * createRoot(tables, X86_4LEVEL);
 * map(tables, { format: X86_4LEVEL, gva: 0x20_0000n, gpa: 0x40_0000, length: 0x20_0000 });
 * const result = unmap(tables, { format: X86_4LEVEL, gva: 0x20_1000n, length: 0x1000 });
 * assert.deepEqual([result.unmapped, result.tables], [0x1000, 1]); // the page of 2 MiB was split
 *
 * const translator = new Translator({ tables, format: X86_4LEVEL });
 * assert.equal(translator.translate(0x20_1000n).kind, 'page-fault');
 * assert.equal(translator.translate(0x20_2000n).kind, 'mapped');
 * ```
 */
export function unmap<TableAddr>(tables: TableOps<TableAddr>, range: EditRange): UnmapResult {
  const compiled = compileForEdit(range.format, range.controls);
  const subject = `Cannot unmap ${hex(range.length)} bytes at ${hex(range.gva)}`;
  const span = checkRange(compiled, range, subject);
  const editor = new TableEditor(tables, compiled, subject, range);
  const unmapping = new Unmapping(editor, span);
  const outcome = editor.run((root) => unmapping.clear(compiled.top, root, true, 0), range.invalidate);
  return { unmapped: unmapping.pages * 4096, ...outcome };
}

/** One call of {@link unmap}. */
class Unmapping<TableAddr> {
  pages = 0;
  /** Pages below tables that go, by table and level. */
  private readonly counted: Map<number, number> = new Map();
  private readonly editor: TableEditor<TableAddr>;
  private readonly first: number;
  private readonly last: number;

  constructor(editor: TableEditor<TableAddr>, { first, last }: PageSpan) {
    this.editor = editor;
    this.first = first;
    this.last = last;
  }

  clear(level: Level, table: TableAddr, exists: boolean, base: number): void {
    for (const slot of this.editor.slotsToChange(level, table, exists, base, this.first, this.last))
      this.clearSlot(slot);
  }

  private clearSlot(slot: EntrySlot<TableAddr>): void {
    const { editor, first, last } = this;
    const { level, base, exists, verdict } = slot;
    const whole = base >= first && base + level.tableSpan - 1 <= last;
    switch (verdict) {
      case NOT_PRESENT:
        return;
      case TABLE: {
        if (whole) {
          this.pages += this.count(slot);
          editor.write(slot, 0n);
          editor.release(slot);
          return;
        }
        const below = editor.belowOnce(slot);
        this.clear(level.next, below, exists, base);
        if (exists && editor.references.isLast(below) && editor.isEmpty(level.next, below, base))
          editor.unlink(slot);
        return;
      }
      case LEAF:
      case SPECIAL_LEAF:
        if (!whole) {
          this.clear(level.next, editor.split(slot), false, base);
          return;
        }
        this.pages += level.tableSpan;
        editor.write(slot, 0n);
        if (exists) editor.invalidate(slot, 'removed', false);
        return;
      default:
        throw editor.unusable(slot);
    }
  }

  /**
   * Counts the pages below an entry that goes as a whole, and notes what is to be invalidated. Its table stays as it is: others
   * may lead to it. One that was counted before is not read again, however many entries lead to it, and noted as a whole.
   */
  private count(slot: EntrySlot<TableAddr>): number {
    const { editor } = this;
    const { base, shared } = slot;
    const level = slot.level.next;
    const table = editor.target(slot);
    const key = editor.tables.toPhys(table) + level.slot / 2;
    const before = this.counted.get(key);
    if (before !== undefined) {
      editor.invalidateBelow(slot, 'removed');
      return before;
    }
    let pages = 0;
    for (const part of editor.slots(level, table, true, base, base, Number.POSITIVE_INFINITY)) {
      if (part.verdict === NOT_PRESENT) continue;
      // What goes from a table that is shared goes for all who share it.
      const below = shared ? { ...part, shared } : part;
      if (part.verdict === TABLE) pages += this.count(below);
      else if (part.verdict === LEAF || part.verdict === SPECIAL_LEAF) pages += level.tableSpan;
      else throw editor.unusable(part);
      if (part.verdict !== TABLE) editor.invalidate(below, 'removed', false);
    }
    editor.invalidate(slot, 'removed', true);
    this.counted.set(key, pages);
    return pages;
  }
}
