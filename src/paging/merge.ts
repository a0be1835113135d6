import { hex } from '../core/index.ts';
import { compileForEdit } from './compile-format.ts';
import type { CompiledFormat } from './compiled-format.ts';
import { checkRange, type EditRange, type PageSpan } from './edit-range.ts';
import type { EditStep } from './edit-step.ts';
import { decodeLeaf, type LeafAttributes, leafAddress, residue } from './entry-codec.ts';
import type { EntrySlot } from './entry-slot.ts';
import type { Invalidation } from './invalidation.ts';
import { ungrouped } from './leaf-group.ts';
import type { Level } from './level.ts';
import { TableEditor } from './table-editor.ts';
import type { TableOps } from './table-ops.ts';
import { LEAF, SPECIAL_LEAF, TABLE } from './verdict.ts';

/** What {@link merge} did. */
export interface MergeResult {
  /** Large pages that took the place of a table. */
  readonly merged: number;
  /** Tables given back. */
  readonly freed: number;
  /** What has to go from the hardware's caches. */
  readonly invalidations: readonly Invalidation[];
  /** Where entries had to be broken first (AArch64): everything that was done, in its order. Else empty. */
  readonly steps: readonly EditStep[];
  readonly reloadRoot: boolean;
}

/** A table's leaves, if they say together what one leaf of the level above could say. */
interface Union {
  readonly gpa: number;
  readonly attributes: LeafAttributes;
  readonly rest: bigint;
}

/**
 * Puts large pages in the place of tables whose leaves map one aligned range with the same rights and attributes: the
 * reverse of what `unmap` and `protect` do to large pages. Only tables that lie within the range are looked at, and those that
 * other entries lead to stay. A large page is accessed, or dirty, where any of its parts was.
 *
 * All or nothing: where anything stands in the way the tables are as they were.
 *
 * @throws PagingError
 * - `invalid`, `misaligned`, `not-canonical`: the range is none of this format
 * - `table-unreadable`: an existing table cannot be read
 * - `table-unwritable`: an existing table cannot be written
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { BufferTables, createRoot, map, merge, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const tables = new BufferTables(new Uint8Array(0x8000), 0x1000);
 * createRoot(tables, X86_4LEVEL);
 * map(tables, { format: X86_4LEVEL, gva: 0n, gpa: 0x20_0000, length: 0x20_0000, maxPageSize: 4096 });
 * const { merged, freed } = merge(tables, { format: X86_4LEVEL, gva: 0n, length: 0x20_0000 });
 * assert.deepEqual([merged, freed], [1, 1]);
 * const mapped = new Translator({ tables, format: X86_4LEVEL }).translate(0x1234n);
 * assert(mapped.kind === 'mapped');
 * assert.deepEqual([mapped.gpa, mapped.pageSize], [0x20_1234, 0x20_0000]);
 * ```
 */
export function merge<TableAddr>(tables: TableOps<TableAddr>, range: EditRange): MergeResult {
  const compiled = compileForEdit(range.format, range.controls);
  const subject = `Cannot merge ${hex(range.length)} bytes at ${hex(range.gva)}`;
  const span = checkRange(compiled, range, subject);
  const editor = new TableEditor(tables, compiled, subject, range);
  const merging = new Merging(editor, compiled, span);
  const { tables: _, ...outcome } = editor.run(
    (root) => merging.descend(compiled.top, root, 0),
    range.invalidate,
  );
  return { merged: merging.merged, ...outcome };
}

/** One call of {@link merge}. */
class Merging<TableAddr> {
  merged = 0;
  private readonly editor: TableEditor<TableAddr>;
  private readonly compiled: CompiledFormat;
  private readonly first: number;
  private readonly last: number;

  constructor(editor: TableEditor<TableAddr>, compiled: CompiledFormat, { first, last }: PageSpan) {
    this.editor = editor;
    this.compiled = compiled;
    this.first = first;
    this.last = last;
  }

  /** From the last level up, so that what was merged can be merged again. */
  descend(level: Level, table: TableAddr, base: number): void {
    const { editor, first, last } = this;
    for (const slot of editor.slots(level, table, true, base, first, last)) {
      if (slot.verdict !== TABLE || editor.leadsBack(slot)) continue;
      const below = editor.below(slot);
      this.descend(level.next, below, slot.base);
      const whole = slot.base >= first && slot.base + level.tableSpan - 1 <= last;
      if (whole && level.hasLeaves && editor.mayReplace(slot, below)) this.join(slot, below);
    }
  }

  /** Makes an entry the one leaf that says what all of its table's leaves say. */
  private join(slot: EntrySlot<TableAddr>, table: TableAddr): void {
    const { editor } = this;
    const union = this.unionOf(slot, table);
    if (union === undefined) return;
    const entry = editor.leaves.encode(slot.level, union.gpa, union.attributes, slot.base, union.rest);
    editor.write(slot, entry, { broken: this.compiled.format.breakBeforeMake === true });
    editor.invalidate(slot, 'resized', true, union.attributes.global !== 0);
    editor.release(slot);
    this.merged++;
  }

  private unionOf(slot: EntrySlot<TableAddr>, table: TableAddr): Union | undefined {
    const { editor, compiled } = this;
    const { level, lo, hi, base } = slot;
    const below = level.next;
    const inherited = compiled.inherited(lo | level.noRights, hi);
    let union: Union | undefined;
    for (const part of editor.slots(below, table, true, base, base, base + level.tableSpan - 1)) {
      if (part.verdict !== LEAF && part.verdict !== SPECIAL_LEAF) return undefined;
      const { lo: partLo, hi: partHi } = ungrouped(part);
      const own = decodeLeaf(below, partLo, partHi);
      // What the table's entry takes away from all of them, the large leaf takes away.
      const attributes = { ...own, rights: own.rights & inherited };
      const gpa = leafAddress(below, partLo, partHi);
      const rest = residue(below, partLo, partHi);
      if (union === undefined) {
        if (gpa % level.pageSize !== 0) return undefined;
        union = { gpa, attributes, rest };
        continue;
      }
      const next = union.gpa + (part.base - base) * 4096;
      const { accessed, dirty } = union.attributes;
      const same = { ...attributes, accessed, dirty };
      if (gpa !== next || rest !== union.rest || !equal(same, union.attributes)) return undefined;
      union = {
        ...union,
        attributes: { ...same, accessed: accessed | attributes.accessed, dirty: dirty | attributes.dirty },
      };
    }
    return union;
  }
}

function equal(a: LeafAttributes, b: LeafAttributes): boolean {
  return (Object.keys(a) as (keyof LeafAttributes)[]).every((name) => a[name] === b[name]);
}
