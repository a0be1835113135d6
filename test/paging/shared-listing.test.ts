import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory, heap, shared } from '../../src/core/index.ts';
import {
  createRoot,
  FrameRange,
  GuestTables,
  map,
  mappings,
  type PagingFormat,
  Translator,
  X86_FORMATS,
} from '../../src/paging/index.ts';

/** A guest whose tables are not where its memory begins, in memory of one kind. */
function listed(format: PagingFormat, kind: 'heap' | 'shared'): unknown[] {
  const backing = kind === 'heap' ? heap(0x40_0000) : shared(0x40_0000);
  const memory = GuestMemory.fromRegions([
    { start: 0, backing: heap(0x10_0000) },
    { start: 0x80_0000, backing },
  ]);
  const tables = new GuestTables(memory, { frames: new FrameRange(0x90_0000, 0x20_0000) });
  createRoot(tables, format);
  map(tables, { format, gva: 0x1000n, gpa: 0x5000, length: 0x20_3000, execute: true, maxPageSize: 4096 });
  map(tables, { format, gva: 0x4000_0000n, gpa: 0x40_0000, length: 0x80_0000, write: true, execute: true });
  // A table at the very end of the memory, and an entry that leads out of it.
  const last = new Translator({ tables, format }).translate(0x1000n).levels.at(-2)?.entryAddress ?? 0;
  if (format.entrySize === 8) memory.writeU64(last + 16, 0xc0_0003n);
  else memory.writeU32(last + 8, 0xc0_0003);
  return [...mappings(new Translator({ tables, format }))];
}

describe('listing tables in memory that others may write', () => {
  for (const format of X86_FORMATS) {
    it(`T6: ${format.name}: says what it says of the same tables in private memory`, () => {
      const records = listed(format, 'shared');
      assert.deepEqual(records, listed(format, 'heap'));
      assert(records.length >= 3);
    });
  }
});
