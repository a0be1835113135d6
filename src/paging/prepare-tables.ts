import { hex } from '../core/index.ts';
import { compileForEdit } from './compile-format.ts';
import type { PageSpan } from './edit-range.ts';
import type { Level } from './level.ts';
import type { MapResult } from './map.ts';
import { checkTableRange, type ShareRequest } from './share-tables.ts';
import { TableEditor } from './table-editor.ts';
import type { TableOps } from './table-ops.ts';
import { NOT_PRESENT, TABLE } from './verdict.ts';

/**
 * Makes an empty table for every entry that has none, of those below which a range covers everything, as far up as there
 * are such entries: what {@link shareTables} is to share before anything is mapped there. Whatever is mapped in these tables
 * later is then mapped in all address spaces that have them.
 *
 * @throws PagingError as {@link map}
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { BufferTables, createRoot, prepareTables, X86_4LEVEL } from 'guestmem/paging';
 *
 * const tables = new BufferTables(new Uint8Array(0x1000 + 256 * 0x1000), 0x10_0000);
 * createRoot(tables, X86_4LEVEL);
 * const kernel = { format: X86_4LEVEL, gva: 0xffff_8000_0000_0000n, length: 2 ** 47 };
 * assert.equal(prepareTables(tables, kernel).tables, 256); // 1 MiB
 * ```
 */
export function prepareTables<TableAddr>(
  tables: TableOps<TableAddr>,
  request: ShareRequest,
): Omit<MapResult, 'leaves'> {
  const subject = `Cannot prepare tables for ${hex(request.length)} bytes at ${hex(request.gva)}`;
  const compiled = compileForEdit(request.format, request.controls);
  const span = checkTableRange(compiled, request, subject);
  const editor = new TableEditor(tables, compiled, subject, request);
  const {
    freed: _freed,
    steps: _steps,
    ...outcome
  } = editor.run((root) => prepare(editor, span, compiled.top, root, true, 0), undefined);
  return outcome;
}

function prepare<TableAddr>(
  editor: TableEditor<TableAddr>,
  span: PageSpan,
  level: Level,
  table: TableAddr,
  exists: boolean,
  base: number,
): void {
  const { first, last } = span;
  for (const slot of editor.slots(level, table, exists, base, first, last)) {
    const whole = slot.base >= first && slot.base + level.tableSpan - 1 <= last;
    if (slot.verdict === NOT_PRESENT) {
      const created = editor.create(Math.max(first, slot.base));
      if (!whole) prepare(editor, span, level.next, created, false, slot.base);
      editor.link(slot, created);
      if (exists && editor.compiled.format.remembersAbsence === true) editor.invalidate(slot, 'added', true);
    } else if (!whole && slot.verdict === TABLE) {
      prepare(editor, span, level.next, editor.below(slot), true, slot.base);
    }
  }
}
