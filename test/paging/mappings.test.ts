import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  createRoot,
  FrameRange,
  formatRights,
  GuestTables,
  isPagingError,
  type MappingRecord,
  map,
  mappings,
  Translator,
  X86_4LEVEL,
  X86_5LEVEL,
  X86_32,
  X86_PAE,
} from '../../src/paging/index.ts';

function tablesIn(memory: GuestMemory): GuestTables {
  return new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
}

function brief(records: Iterable<MappingRecord>): unknown[] {
  return Array.from(records, (record) =>
    record.kind === 'mapped'
      ? [record.gva, record.size, record.gpa, record.pageSize, formatRights(record.rights)]
      : record,
  );
}

describe('mappings', () => {
  it('T6: joins neighbours, and splits where rights, page size, memory type, global bit or contiguity change', () => {
    const memory = GuestMemory.allocate(0x10_0000);
    const tables = tablesIn(memory);
    createRoot(tables, X86_4LEVEL);
    const at = (gva: bigint, gpa: number, length: number, more: object = {}): void => {
      map(tables, { format: X86_4LEVEL, gva, gpa, length, ...more });
    };
    at(0x1f_e000n, 0x1f_e000, 0x2000);
    at(0x20_0000n, 0x20_0000, 0x40_0000); // contiguous, but in large pages
    at(0x60_0000n, 0x60_0000, 0x1000);
    at(0x60_1000n, 0x60_1000, 0x1000, { write: true });
    at(0x60_2000n, 0x60_2000, 0x1000, { write: true, memoryType: 3 });
    at(0x60_3000n, 0x60_3000, 0x1000, { write: true, memoryType: 3, global: true });
    at(0x60_4000n, 0x70_0000, 0x1000, { write: true, memoryType: 3, global: true });
    const translator = new Translator({ tables, format: X86_4LEVEL });
    assert.deepEqual(brief(mappings(translator)), [
      [0x1f_e000n, 0x2000, 0x1f_e000, 0x1000, 'r--s'],
      [0x20_0000n, 0x40_0000, 0x20_0000, 0x20_0000, 'r--s'],
      [0x60_0000n, 0x1000, 0x60_0000, 0x1000, 'r--s'],
      [0x60_1000n, 0x1000, 0x60_1000, 0x1000, 'rw-s'],
      [0x60_2000n, 0x1000, 0x60_2000, 0x1000, 'rw-s'],
      [0x60_3000n, 0x1000, 0x60_3000, 0x1000, 'rw-s'],
      [0x60_4000n, 0x1000, 0x70_0000, 0x1000, 'rw-s'],
    ]);
    const single = [...mappings(translator, { coalesce: false })];
    assert.equal(single.length, 2 + 2 + 5);
    assert(single.every((record) => record.kind === 'mapped' && record.size === record.pageSize));
  });

  it('T6: the effective rights are those of all levels', () => {
    const memory = GuestMemory.allocate(0x10_0000);
    memory.writeU64(0x1000, 0x2005n); // PML4E: read-only, user
    memory.writeU64(0x2000, 0x8000_0000_0000_3003n); // PDPTE: writable, supervisor, no execution
    memory.writeU64(0x3000, 0x0087n); // PDE: everything
    const [range] = mappings(new Translator({ memory, format: X86_4LEVEL, root: 0x1000 }));
    assert(range?.kind === 'mapped');
    assert.equal(formatRights(range.rights), 'r--s');
  });

  it('T6: the two halves of the address space do not join, in 48 and in 57 bits', () => {
    for (const format of [X86_4LEVEL, X86_5LEVEL]) {
      const memory = GuestMemory.allocate(0x10_0000);
      const tables = tablesIn(memory);
      createRoot(tables, format);
      const half = 2n ** BigInt(format.addressBits - 1);
      map(tables, { format, gva: half - 0x1000n, gpa: 0x1000, length: 0x1000 });
      map(tables, { format, gva: 2n ** 64n - half, gpa: 0x2000, length: 0x1000 });
      map(tables, { format, gva: 2n ** 64n - 0x1000n, gpa: 0x3000, length: 0x1000 });
      assert.deepEqual(brief(mappings(new Translator({ tables, format }))), [
        [half - 0x1000n, 0x1000, 0x1000, 0x1000, 'r--s'],
        [2n ** 64n - half, 0x1000, 0x2000, 0x1000, 'r--s'],
        [2n ** 64n - 0x1000n, 0x1000, 0x3000, 0x1000, 'r--s'],
      ]);
    }
  });

  it('T6: any first and last address: ranges are cut there, within large pages too', () => {
    const memory = GuestMemory.allocate(0x10_0000);
    const tables = tablesIn(memory);
    createRoot(tables, X86_4LEVEL);
    map(tables, { format: X86_4LEVEL, gva: 0x4000_0000n, gpa: 0x4000_0000, length: 0x4000_0000 });
    const translator = new Translator({ tables, format: X86_4LEVEL });
    const cut = (first: bigint, last: bigint): unknown[] => brief(mappings(translator, { first, last }));
    assert.deepEqual(cut(0x4012_3456n, 0x4012_5000n), [
      [0x4012_3000n, 0x3000, 0x4012_3000, 0x4000_0000, 'r--s'],
    ]);
    assert.deepEqual(cut(0x7fff_f000n, 2n ** 64n - 1n), [
      [0x7fff_f000n, 0x1000, 0x7fff_f000, 0x4000_0000, 'r--s'],
    ]);
    assert.deepEqual(cut(0n, 0x3fff_ffffn), []);
    assert.deepEqual(cut(0x5000n, 0x4000n), []);
    // Bounds in the hole of the address space stand for its edges.
    map(tables, { format: X86_4LEVEL, gva: 0xffff_8000_0000_0000n, gpa: 0x5000, length: 0x1000 });
    assert.deepEqual(cut(0x8000_0000_0000n, 0xffff_0000_0000_0000n), []);
    assert.equal(cut(0x7000_0000n, 0x8000_0000_0000n).length, 1);
    assert.equal(cut(0x7000_0000n, 0xffff_8000_0000_0000n).length, 2);
    assert.equal(cut(0x9000_0000_0000_0000n, 2n ** 64n - 1n).length, 1);
  });

  it('T6: bounds beyond 4 GiB in a 32-bit format stand for its end', () => {
    for (const format of [X86_32, X86_PAE]) {
      const memory = GuestMemory.allocate(0x10_0000);
      const tables = tablesIn(memory);
      createRoot(tables, format);
      map(tables, { format, gva: 0xffff_f000n, gpa: 0x5000, length: 0x1000, execute: true });
      const translator = new Translator({ tables, format });
      assert.deepEqual(brief(mappings(translator)), [[0xffff_f000n, 0x1000, 0x5000, 0x1000, 'r-xs']]);
      assert.deepEqual(brief(mappings(translator, { first: 2n ** 32n })), []);
    }
  });

  it('T6: a table met again under other rights is no alias; under the same it is, and can be expanded', () => {
    const memory = GuestMemory.allocate(0x10_0000);
    memory.writeU64(0x1000, 0x2003n);
    memory.writeU64(0x2000, 0x3003n);
    memory.writeU64(0x2008, 0x3001n); // the same directory, read-only
    memory.writeU64(0x2010, 0x3003n); // and again as the first time
    memory.writeU64(0x3008, 0x4003n);
    memory.writeU64(0x4010, 0x9003n);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0x1000 });
    assert.deepEqual(brief(mappings(translator)), [
      [0x20_2000n, 0x1000, 0x9000, 0x1000, 'rwxs'],
      [0x4020_2000n, 0x1000, 0x9000, 0x1000, 'r-xs'],
      { kind: 'alias', gva: 0x8000_0000n, size: 0x4000_0000, of: 0n, level: 2, table: 0x3000 },
    ]);
    assert.deepEqual(brief(mappings(translator, { expandAliases: true })).at(-1), [
      0x8020_2000n,
      0x1000,
      0x9000,
      0x1000,
      'rwxs',
    ]);
    // A listing that begins within the first of them does not refer to what it has not listed.
    const cut = brief(mappings(translator, { first: 0x20_2000n }));
    assert.deepEqual(cut.at(-1), [0x8020_2000n, 0x1000, 0x9000, 0x1000, 'rwxs']);
    // One that ends within an alias cuts it.
    const [alias] = [...mappings(translator, { last: 0x8020_2fffn })].slice(-1);
    assert.deepEqual(alias, {
      kind: 'alias',
      gva: 0x8000_0000n,
      size: 0x20_3000,
      of: 0n,
      level: 2,
      table: 0x3000,
    });
  });

  it('T6: an enumeration that ran out of budget goes on where it stopped', () => {
    const memory = GuestMemory.allocate(0x10_0000);
    const tables = tablesIn(memory);
    createRoot(tables, X86_4LEVEL);
    map(tables, { format: X86_4LEVEL, gva: 0x1000n, gpa: 0x1000, length: 0x3000 });
    map(tables, { format: X86_4LEVEL, gva: 0xffff_8000_0000_0000n, gpa: 0, length: 0x40_3000 });
    const translator = new Translator({ tables, format: X86_4LEVEL });
    const whole = [...mappings(translator, { coalesce: false })];
    const pieces: MappingRecord[] = [];
    let first: bigint | undefined = 0n;
    for (let rounds = 0; first !== undefined && rounds < 1000; rounds++) {
      const records: MappingRecord[] = [...mappings(translator, { first, coalesce: false, budget: 100 })];
      const end: MappingRecord | undefined = records.at(-1);
      first = end?.kind === 'budget' ? end.gva : undefined;
      pieces.push(...records.filter(({ kind }) => kind !== 'budget'));
    }
    assert.deepEqual(pieces, whole);
  });

  it('T6: is lazy: what is not asked for is not read', () => {
    const memory = GuestMemory.allocate(0x10_0000);
    const tables = tablesIn(memory);
    createRoot(tables, X86_4LEVEL);
    map(tables, { format: X86_4LEVEL, gva: 0n, gpa: 0, length: 0x1000 });
    map(tables, { format: X86_4LEVEL, gva: 0x10_0000_0000n, gpa: 0, length: 0x1000 });
    const iterator = mappings(new Translator({ tables, format: X86_4LEVEL }))[Symbol.iterator]();
    const first = iterator.next();
    assert.equal(first.value?.kind, 'mapped');
    memory.fillAt(0x8_0000, 0, 0x8_0000);
    assert.equal(iterator.next().done, true);
    assert.equal(iterator.next().done, true);
  });

  it('T6: refuses a budget or an address that is none', () => {
    const translator = new Translator({ memory: GuestMemory.allocate(0x1000), format: X86_4LEVEL, root: 0 });
    for (const options of [{ budget: 0 }, { budget: 1.5 }, { first: -1n }, { last: 2n ** 64n }]) {
      assert.throws(
        () => mappings(translator, options),
        (error) => isPagingError(error) && error.code === 'invalid',
      );
    }
  });
});
