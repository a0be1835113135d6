import type { GuestMemory } from '../core/index.ts';
import { halvesOfAddress, splitAddress } from './address-halves.ts';
import type { CompiledFormat } from './compiled-format.ts';
import type { PagingControls } from './controls.ts';
import { type EntryReader, OpsEntryReader } from './entry-reader.ts';
import type { PagingFormat } from './format.ts';
import { GuestTables } from './guest-tables.ts';
import { MemoryEntryReader } from './memory-entry-reader.ts';
import type { TableReadOps } from './table-ops.ts';

/** Tables in guest memory: `root` is the root register (CR3) as the processor holds it, flags and PCID included. */
export interface MemoryTranslatorInit {
  readonly memory: GuestMemory;
  readonly format: PagingFormat;
  readonly root: bigint | number;
  readonly controls?: PagingControls;
}

/** Tables wherever a {@link TableReadOps} reaches them; the root is what it says. */
export interface TablesTranslatorInit<TableAddr> {
  readonly tables: TableReadOps<TableAddr>;
  readonly format: PagingFormat;
  readonly controls?: PagingControls;
}

/** Entries as something else of this room reads them. */
export interface ReaderTranslatorInit {
  readonly reader: EntryReader;
  readonly format: PagingFormat;
  readonly controls?: PagingControls | undefined;
}

/** What a translator is made from: whose tables, and of which format. */
export type TranslatorInit<TableAddr> =
  | MemoryTranslatorInit
  | TablesTranslatorInit<TableAddr>
  | ReaderTranslatorInit;

/** The walker's way to the entries. */
export function readerFor<TableAddr>(init: TranslatorInit<TableAddr>, compiled: CompiledFormat): EntryReader {
  const { entrySize } = compiled.format;
  if ('reader' in init) return init.reader;
  if ('tables' in init) {
    const { tables } = init;
    return tables instanceof GuestTables
      ? tables.entryReader(entrySize)
      : new OpsEntryReader(tables, entrySize);
  }
  // SDM 3A, 2.5: CR3 holds flags or the PCID below the address, and LAM bits above it.
  splitAddress(BigInt(init.root));
  const [lo = 0, hi = 0] = halvesOfAddress;
  // RISC-V's satp can hold an address beyond all memory: what becomes of that is the walk's to say.
  const root = Int32Array.of(lo & compiled.rootLo, hi & compiled.rootHi);
  return new MemoryEntryReader(init.memory, root, entrySize);
}
