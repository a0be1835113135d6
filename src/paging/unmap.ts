import { hex } from '../core/index.ts';
import { compileFormat } from './compile-format.ts';
import { checkRange, type EditRange, type PageSpan } from './edit-range.ts';
import type { Invalidation } from './invalidation.ts';
import type { Level } from './level.ts';
import { type EntrySlot, TableEditor } from './table-editor.ts';
import type { TableOps } from './table-ops.ts';
import { LEAF, NOT_PRESENT, TABLE } from './verdict.ts';

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
  /** PAE keeps the four root entries in registers: the processor has to load CR3 again. */
  readonly reloadRoot: boolean;
}

/**
 * Unmaps a range of virtual addresses. What is not mapped stays so; a large page that the range cuts is split, and its rest
 * stays mapped; tables that become empty are given back, but for the root.
 *
 * All or nothing: where anything stands in the way the tables are as they were.
 *
 * @throws PagingError
 * - `invalid`, `misaligned`, `not-canonical`: the range is none of this format
 * - `malformed`: an existing table entry has reserved bits set, or is one of those of a larger page (RISC-V's Svnapot)
 * - `table-unreadable`: an existing table cannot be read
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
  const compiled = compileFormat(range.format, range.controls);
  const subject = `Cannot unmap ${hex(range.length)} bytes at ${hex(range.gva)}`;
  const span = checkRange(compiled, range, subject);
  const editor = new TableEditor(tables, compiled, subject);
  const unmapping = new Unmapping(editor, span);
  const outcome = editor.run(
    () => unmapping.clear(compiled.top, tables.rootTable(), true, 0),
    range.invalidate,
  );
  return { unmapped: unmapping.pages * 4096, ...outcome };
}

/** One call of {@link unmap}. */
class Unmapping<TableAddr> {
  pages = 0;
  private readonly editor: TableEditor<TableAddr>;
  private readonly first: number;
  private readonly last: number;

  constructor(editor: TableEditor<TableAddr>, { first, last }: PageSpan) {
    this.editor = editor;
    this.first = first;
    this.last = last;
  }

  clear(level: Level, table: TableAddr, exists: boolean, base: number): void {
    for (const slot of this.editor.slots(level, table, exists, base, this.first, this.last))
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
        const below = editor.below(slot);
        this.clear(level.next, below, exists, base);
        if (!exists || !editor.isEmpty(level.next, below, base)) return;
        editor.write(slot, 0n);
        editor.invalidate(slot, 'removed', true);
        editor.release(below);
        return;
      }
      case LEAF:
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
}
