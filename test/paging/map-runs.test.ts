import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  BufferTables,
  createRoot,
  FORMATS,
  isPagingError,
  type MapRequest,
  map,
  mappings,
  type PagingFormat,
  Translator,
  unmap,
  X86_4LEVEL,
  X86_32,
} from '../../src/paging/index.ts';

const TABLES = 0x10_0000;

function setUp(format: PagingFormat, bytes = 0x10_0000): BufferTables {
  const tables = new BufferTables(new Uint8Array(bytes), TABLES);
  createRoot(tables, format);
  return tables;
}

/** Bytes that a leaf of the last level maps, and that a table of such leaves does. */
function sizes({ levels, entrySize }: PagingFormat): { page: number; table: number } {
  const last = levels.at(-1);
  assert(last !== undefined && entrySize > 0);
  return { page: 2 ** last.indexBit, table: 2 ** (last.indexBit + last.indexBits) };
}

function leavesOf(tables: BufferTables, format: PagingFormat): readonly unknown[] {
  const translator = new Translator({ tables, format });
  return [...mappings(translator, { coalesce: false })].map((record) => {
    assert(record.kind === 'mapped');
    const found = translator.translate(record.gva, { kind: 'read', user: record.rights.user });
    const { gva, gpa, pageSize, rights, memoryType } = record;
    return { gva, gpa, pageSize, rights, memoryType, entry: found.levels.at(-1)?.entry };
  });
}

describe('map of many pages at once', () => {
  for (const format of FORMATS) {
    it(`T7: new tables get the same leaves as tables that are there get one by one: ${format.name}`, () => {
      const { page, table } = sizes(format);
      const gva = BigInt(table) - BigInt(3 * page);
      const request: MapRequest = {
        format,
        gva,
        gpa: 0x123_0000 - (0x123_0000 % page) + page,
        length: 9 * page,
        maxPageSize: page,
        write: true,
        execute: true,
      };
      const atOnce = setUp(format, 0x20_0000);
      assert.equal(map(atOnce, request).leaves, 9);
      const oneByOne = setUp(format, 0x20_0000);
      // The tables are made beforehand, so that every page goes into one that is in use.
      for (const place of [gva - BigInt(page), BigInt(table + 8 * page)])
        map(oneByOne, { ...request, gva: place, length: page });
      for (let i = 0; i < 9; i++) {
        const change = { gva: gva + BigInt(i * page), gpa: request.gpa + i * page, length: page };
        assert.equal(map(oneByOne, { ...request, ...change }).tables, 0);
      }
      for (const place of [gva - BigInt(page), BigInt(table + 8 * page)])
        unmap(oneByOne, { format, gva: place, length: page });
      const leaves = leavesOf(atOnce, format);
      assert.equal(leaves.length, 9);
      assert.deepEqual(leaves, leavesOf(oneByOne, format));
    });
  }

  it('T7: a range of every page size fills new tables from the first leaf that fits to the last', () => {
    const tables = setUp(X86_4LEVEL);
    const first = 0x1_4000_0000n - 0x40_2000n;
    const length = 0x40_2000 + 3 * 0x4000_0000 + 0x60_3000;
    const result = map(tables, { format: X86_4LEVEL, gva: first, gpa: 0x1_0000_0000 - 0x40_2000, length });
    const found = [...mappings(new Translator({ tables, format: X86_4LEVEL }), { coalesce: false })];
    let gva = first;
    const counts = new Map<number, number>();
    for (const record of found) {
      assert(record.kind === 'mapped');
      assert.equal(record.gva, gva);
      assert.equal(BigInt(record.gpa), gva - 0x4000_0000n);
      counts.set(record.pageSize, (counts.get(record.pageSize) ?? 0) + 1);
      gva += BigInt(record.size);
    }
    assert.equal(gva, first + BigInt(length));
    assert.deepEqual(
      [...counts],
      [
        [0x1000, 5],
        [0x20_0000, 5],
        [0x4000_0000, 3],
      ],
    );
    assert.equal(result.leaves, 13);
  });

  it('T7: the leaf of a run that the format has no bits for is named, and nothing is mapped', () => {
    // PSE-36 has physical addresses above 4 GiB for pages of 4 MiB alone (SDM 3A, 5.3).
    const tables = setUp(X86_32);
    const request: MapRequest = {
      format: X86_32,
      gva: 0x40_0000n,
      gpa: 2 ** 32 - 0x3000,
      length: 0x5000,
      execute: true,
    };
    assert.throws(
      () => map(tables, request),
      (error) => isPagingError(error) && error.code === 'invalid' && error.gva === 0x40_3000n,
    );
    assert.deepEqual([...mappings(new Translator({ tables, format: X86_32 }))], []);
    assert.equal(map(tables, { ...request, length: 0x3000 }).leaves, 3);
  });
});
