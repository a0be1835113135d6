import { hex } from '../core/index.ts';
import { fromHalves } from './bits.ts';
import { compileFormat } from './compile-format.ts';
import type { PagingControls } from './controls.ts';
import type { PagingFormat } from './format.ts';
import { PagingError } from './paging-error.ts';
import { TableEditor } from './table-editor.ts';
import type { TableOps } from './table-ops.ts';
import { rootSize } from './table-references.ts';

/**
 * Allocates an empty root table and makes it the current one.
 *
 * @throws PagingError `no-frames`; `table-unwritable` where the frame is not in memory; `invalid` where it is too high for
 * the root register (above 4 GiB for PAE and 32-bit x86)
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
  const size = rootSize(format);
  const root = tables.allocTable(size);
  if (root === undefined) throw new PagingError('no-frames', 'Cannot create a root table: no frame is left');
  try {
    const gpa = tables.toPhys(root);
    if ((BigInt(gpa) & ~fromHalves(format.root.lo, format.root.hi)) !== 0n)
      throw new PagingError(
        'invalid',
        `Cannot create a root table at ${hex(gpa)}: the root of ${format.title} cannot be there`,
      );
    tables.updateRoot(root);
  } catch (error) {
    tables.freeTable(root, size);
    throw error;
  }
  return root;
}

/**
 * Gives back the root table and every table that only it leads to: the end of an address space. Nothing is written, and
 * tables that other address spaces share stay as they are. No processor may use the root any more, or have cached any of
 * it; it is no root until {@link createRoot} makes another.
 *
 * @returns how many tables went
 *
 * @throws PagingError `invalid` where there is no root; `table-unreadable` where a table cannot be read: then none went
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { BufferTables, createRoot, destroyRoot, map, X86_4LEVEL } from 'guestmem/paging';
 *
 * const tables = new BufferTables(new Uint8Array(0x4000), 0x1000);
 * createRoot(tables, X86_4LEVEL);
 * map(tables, { format: X86_4LEVEL, gva: 0n, gpa: 0, length: 0x1000 });
 * assert.equal(destroyRoot(tables, X86_4LEVEL), 4);
 * ```
 */
export function destroyRoot<TableAddr>(
  tables: TableOps<TableAddr>,
  format: PagingFormat,
  controls?: PagingControls,
): number {
  const compiled = compileFormat(format, controls);
  const editor = new TableEditor(tables, compiled, 'Cannot give back the tables of an address space');
  const { references } = editor;
  const root = { level: compiled.top, table: tables.rootTable(), base: 0 };
  const gpa = tables.toPhys(root.table);
  // Entries that lead from the root to itself go with it.
  const selves = [...editor.tablesBelow(root)].filter(({ table }) => tables.toPhys(table) === gpa);
  for (const { table } of [root, ...selves]) references.drop({ ...root, table });
  return references.commit();
}
