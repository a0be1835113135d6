import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  aarch64Stage1Format,
  BufferTables,
  createRoot,
  destroyRoot,
  FrameRange,
  type FrameSource,
  GuestTables,
  map,
  merge,
  prepareTables,
  protect,
  RISCV_SV39,
  RISCV_SV39X4,
  RISCV_SV48,
  shareTables,
  type TableOps,
  Translator,
  unmap,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const BASE = 0x10_0000;
const LARGE = 0x20_0000;
const HUGE = 0x4000_0000;

/** Tables whose entries can be written so many times and then no more, or not where it is known. */
class Failing extends BufferTables {
  writes = Number.POSITIVE_INFINITY;
  written = 0;
  refused = -1;
  override canWriteEntry(addr: number, size: 4 | 8): boolean {
    return addr !== this.refused && super.canWriteEntry(addr, size);
  }
  override writeEntry(addr: number, entry: bigint, size: 4 | 8): void {
    if (this.writes === 0) {
      this.writes = Number.POSITIVE_INFINITY;
      throw new Error('no more');
    }
    this.writes--;
    this.written++;
    super.writeEntry(addr, entry, size);
  }
}

function setUp(format = X86_4LEVEL, pages = 32): { readonly first: Failing; readonly second: Failing } {
  const bytes = new Uint8Array(pages * 4096);
  const first = new Failing(bytes, BASE);
  const second = new Failing(bytes, BASE, { frames: first.frames });
  createRoot(first, format);
  createRoot(second, format);
  return { first, second };
}

function inUse(tables: BufferTables): number {
  let count = 0;
  for (let gpa = tables.gpa; gpa < tables.gpa + tables.frames.length; gpa += 4096)
    if (tables.tableReferences(gpa) > 0) count++;
  return count;
}

/** The table that an address's entry of a level stands in, the root being 0. */
function tableAt(tables: BufferTables, gva: bigint, depth: number, format = X86_4LEVEL): number {
  const at = new Translator({ tables, format }).translate(gva).levels[depth]?.entryAddress ?? 0;
  return at - (at % 4096);
}

describe('shareTables, in detail', () => {
  it('A4: what RISC-V may remember of the entries of a part of a table is told, new tables by their entry alone', () => {
    const format = RISCV_SV48;
    const { first, second } = setUp(format);
    map(first, { format, gva: BigInt(HUGE - LARGE), gpa: 0, length: 2 * LARGE, maxPageSize: LARGE });
    map(first, { format, gva: BigInt(HUGE - 2 * LARGE), gpa: 0, length: 0x1000 });
    const range = { format, gva: BigInt(HUGE - 2 * LARGE), length: 3 * LARGE };
    const before = new Map(
      Array.from({ length: 8 }, (_, i) => [BASE + i * 4096, first.tableReferences(BASE + i * 4096)]),
    );
    const made = shareTables(first, second, range);
    assert.deepEqual(made, {
      ...made,
      shared: 3,
      tables: 3,
      reloadRoot: false,
    });
    assert.deepEqual(
      made.invalidations.map(({ gva, size, why, tables }) => [gva, size, why, tables]),
      [[0n, 2 ** 39, 'added', true]],
    );
    const leaves = tableAt(first, range.gva, 3, format);
    for (const [gpa, references] of before)
      if (references > 0) assert.equal(first.tableReferences(gpa), gpa === leaves ? 2 : references);

    // The tables on the way are there now; one entry is of a table, one of a page.
    assert.equal(unmap(second, range).freed, 3);
    map(second, { format, gva: 0n, gpa: 0, length: 0x1000 });
    map(second, { format, gva: BigInt(HUGE + LARGE), gpa: 0, length: 0x1000 });
    const again = shareTables(first, second, range);
    assert.deepEqual(
      again.invalidations.map(({ gva, size, why, tables }) => [gva, size, why, tables]),
      [
        [range.gva, LARGE, 'added', true],
        [range.gva + BigInt(LARGE), 2 * LARGE, 'added', false],
      ],
    );
    // No table on the way in the second one where there is a hole, and x86 remembers nothing.
    const x86 = setUp();
    map(x86.first, { format: X86_4LEVEL, gva: 0n, gpa: 0, length: 0x1000 });
    const result = shareTables(x86.first, x86.second, { format: X86_4LEVEL, gva: 0n, length: HUGE - LARGE });
    assert.deepEqual(result.invalidations, []);
  });

  it('A4: a new table on the way has the address of its own and all other bits of the one it stands for', () => {
    const format = X86_4LEVEL;
    // From below 4 GiB to above it.
    const base = 0xffff_8000;
    const bytes = new Uint8Array(16 * 4096);
    const first = new BufferTables(bytes, base);
    const second = new BufferTables(bytes, base, { frames: first.frames });
    createRoot(first, format);
    createRoot(second, format);
    const low = Array.from({ length: 6 }, () => first.allocTable() ?? 0);
    map(first, { format, gva: BigInt(LARGE), gpa: 0x5000, length: 0x1000, user: true });
    for (const gpa of low) first.freeTable(gpa);
    const entry = first.rootTable();
    const marked = (first.readEntry(entry, 8) ?? 0n) | (1n << 63n) | (1n << 52n) | 0x820n;
    first.writeEntry(entry, marked, 8);
    assert(tableAt(first, BigInt(LARGE), 1) >= 2 ** 32);
    shareTables(first, second, { format, gva: BigInt(LARGE), length: LARGE });
    const copy = second.readEntry(second.rootTable(), 8) ?? 0n;
    const address = 0xf_ffff_ffff_f000n;
    assert.equal(copy & ~address, marked & ~address);
    assert(low.includes(Number(copy & address)));
    assert.equal(new Translator({ tables: second, format }).resolveGva(BigInt(LARGE), 0), 0x5000);
    assert.equal(new Translator({ tables: second, format }).resolveGva(0n, 0), -1);
  });

  it('A4: what is in the way says where, in either address space', () => {
    const format = X86_4LEVEL;
    const { first, second } = setUp(format, 9);
    map(first, { format, gva: BigInt(2 * LARGE), gpa: 0, length: 0x1000 });
    map(first, { format, gva: BigInt(HUGE), gpa: 0, length: HUGE });
    const share = (gva: number, length: number) => () =>
      shareTables(first, second, { format, gva: BigInt(gva), length });
    assert.throws(share(LARGE, 0x1000), { code: 'misaligned', gva: BigInt(LARGE) });
    // The page that is cut begins before the range, or within it.
    for (const [gva, length] of [
      [HUGE + LARGE, LARGE],
      [HUGE, LARGE],
    ] as const)
      assert.throws(share(gva, length), {
        code: 'misaligned',
        gva: BigInt(gva),
        level: undefined,
        message: /cuts a page of 0x40000000 bytes/,
      });
    map(second, { format, gva: 0n, gpa: 0, length: HUGE });
    const taken = { code: 'taken', gva: 0n, level: 3 };
    assert.throws(share(LARGE, 2 * LARGE), taken);
    unmap(second, { format, gva: 0n, length: HUGE });
    const spare: number[] = [];
    for (let gpa = second.allocTable(); gpa !== undefined; gpa = second.allocTable()) spare.push(gpa);
    assert.throws(share(LARGE, 2 * LARGE), { code: 'no-frames', gva: BigInt(LARGE) });
    assert.throws(share(2 * LARGE, LARGE), { code: 'no-frames', gva: BigInt(2 * LARGE) });
    for (const gpa of spare) second.freeTable(gpa);
    assert.equal(share(LARGE, 2 * LARGE)().tables, 2);
  });

  it('A4: a table that one of the two counts and the other cannot is not shared', () => {
    const format = X86_4LEVEL;
    const { first } = setUp(format);
    map(first, { format, gva: 0n, gpa: 0, length: 0x1000 });
    const plain = (inner: BufferTables, more: Partial<TableOps<number>>): TableOps<number> => ({
      entryAddr: (addr, offset) => addr + offset,
      readEntry: (addr, size) => inner.readEntry(addr, size),
      writeEntry: (addr, entry, size) => inner.writeEntry(addr, entry, size),
      toPhys: (addr) => addr,
      fromPhys: (gpa) => gpa,
      rootTable: () => inner.rootTable(),
      updateRoot: (root) => inner.updateRoot(root),
      allocTable: (size) => inner.allocTable(size),
      freeTable: (table) => inner.freeTable(table),
      ...more,
    });
    const counting = { tableReferences: (table: number) => first.tableReferences(table) };
    const range = { format, gva: 0n, length: 2 ** 39 };
    const refused = { code: 'invalid', message: /one FrameSource/ };
    const other = new BufferTables(new Uint8Array(0x4000), 0x50_0000);
    createRoot(other, format);
    // Nothing to count with in one, no way to add in the other.
    for (const more of [{}, counting])
      assert.throws(() => shareTables(first, plain(other, more), range), refused);
    const own = { tableReferences: (table: number) => Number(table < 0x50_0000) };
    assert.throws(() => shareTables(plain(first, {}), plain(other, own), range), refused);
    assert.equal(first.tableReferences(tableAt(first, 0n, 1)), 1);
    const both = plain(other, { ...counting, retainTable: (table) => first.retainTable(table) });
    assert.equal(shareTables(first, both, range).shared, 1);
    assert.equal(first.tableReferences(tableAt(first, 0n, 1)), 2);
  });

  it('T7: references go back with a share that fails, unless the hardware may have met the tables', () => {
    const format = X86_4LEVEL;
    for (const [prepared, writes] of [
      [false, 0],
      [false, 2],
      [false, 4],
      [true, 0],
      [true, 1],
      [true, 2],
    ] as const) {
      const { first, second } = setUp(format);
      map(first, { format, gva: 0n, gpa: 0, length: LARGE });
      map(first, { format, gva: BigInt(LARGE), gpa: 0, length: 0x1000 });
      map(first, { format, gva: BigInt(2 * LARGE), gpa: 0, length: 0x1000 });
      const leaves = tableAt(first, BigInt(LARGE), 3);
      // In a directory that is there the three entries are written last; else they fill a new one, and only the root is.
      if (prepared) map(second, { format, gva: BigInt(HUGE - LARGE), gpa: 0, length: 0x1000 });
      const used = inUse(first);
      second.writes = writes;
      const range = { format, gva: 0n, length: 3 * LARGE };
      assert.throws(() => shareTables(first, second, range), /no more/);
      assert.equal(new Translator({ tables: second, format }).resolveGva(0n, 0), -1);
      const met = prepared && writes === 2;
      assert.equal(first.tableReferences(leaves), met ? 2 : 1, `${prepared} ${writes}`);
      assert.equal(inUse(first), used);
    }
  });
});

describe('prepareTables, in detail', () => {
  it('A4: tables are made as high up as the range covers all below, and what is there stays', () => {
    const format = RISCV_SV39;
    const { first } = setUp(format, 600);
    map(first, { format, gva: BigInt(HUGE), gpa: 0, length: LARGE });
    map(first, { format, gva: BigInt(3 * HUGE), gpa: 0, length: HUGE });
    const range = { format, gva: BigInt(HUGE - LARGE), length: 2 * HUGE + 2 * LARGE };
    const told = ({ invalidations }: ReturnType<typeof prepareTables>): unknown =>
      invalidations.map(({ gva, size, why, tables }) => [gva, size, why, tables]);
    const made = prepareTables(first, range);
    // On the way to the last table below 1 GiB, it, and one for the third GiB: nothing for the second, which has one.
    assert.equal(made.tables, 3);
    assert.deepEqual(told(made), [
      [0n, HUGE, 'added', true],
      [BigInt(2 * HUGE), HUGE, 'added', true],
    ]);
    const next = prepareTables(first, { ...range, length: LARGE, gva: BigInt(HUGE - 3 * LARGE) });
    assert.deepEqual([next.tables, told(next)], [1, [[BigInt(HUGE - 3 * LARGE), LARGE, 'added', true]]]);
    assert.equal(prepareTables(first, { ...range, length: LARGE, gva: BigInt(HUGE - 2 * LARGE) }).tables, 1);
    assert.equal(prepareTables(first, range).tables, 0);
    // A page of 1 GiB has no room for tables, and needs none.
    assert.equal(prepareTables(first, { ...range, gva: BigInt(3 * HUGE), length: LARGE }).tables, 0);
    assert.equal(new Translator({ tables: first, format }).resolveGva(BigInt(3 * HUGE), 0), 0);
    assert.equal(destroyRoot(first, format), 7);
    assert.equal(inUse(first), 1);
  });

  it('A4: what fails leaves nothing, and says where', () => {
    const format = X86_4LEVEL;
    const { first } = setUp(format, 4);
    for (const [gva, length, at] of [
      [LARGE, LARGE, LARGE],
      [0, 3 * 2 ** 39, 2 * 2 ** 39],
    ] as const) {
      const range = { format, gva: BigInt(gva), length };
      assert.throws(() => prepareTables(first, range), { code: 'no-frames', gva: BigInt(at) });
      assert.equal(inUse(first), 2);
    }
    assert.deepEqual(prepareTables(first, { format, gva: 0n, length: 2 ** 40 }), {
      ...prepareTables(first, { format, gva: 0n, length: 2 ** 40 }),
      tables: 2,
      invalidations: [],
    });
    // Inside a table that is shared, it has to be meant.
    first.retainTable(tableAt(first, 0n, 1));
    assert.throws(() => prepareTables(first, { format, gva: 0n, length: HUGE }), { code: 'no-frames' });
    unmap(first, { format, gva: BigInt(2 ** 39), length: 2 ** 39 });
    assert.throws(() => prepareTables(first, { format, gva: 0n, length: HUGE }), { code: 'shared' });
    assert.equal(prepareTables(first, { format, gva: 0n, length: HUGE, changeShared: true }).tables, 1);
  });
});

describe('what tables above say of pages, in detail', () => {
  it('T7: a page is global where a table above says so, at any level (RISC-V), and its neighbour is not', () => {
    const format = RISCV_SV48;
    // The last page below an entry of each level but the last, and the first page below the next one.
    for (const [depth, span] of [2 ** 39, HUGE, LARGE].entries()) {
      for (const which of [0, 1]) {
        const { first } = setUp(format);
        const seam = BigInt(5 * 2 ** 39 + 3 * HUGE + 7 * LARGE);
        const second = (seam / BigInt(span)) * BigInt(span);
        const gva = second - 0x1000n;
        map(first, { format, gva, gpa: 0, length: 0x2000 });
        const page = which === 0 ? gva : second;
        const above = new Translator({ tables: first, format }).translate(page).levels[depth];
        assert(above !== undefined);
        first.writeEntry(above.entryAddress, above.entry | 0x20n, 8);
        const { invalidations } = protect(first, { format, gva, length: 0x2000, write: true });
        assert.deepEqual(
          invalidations.map(({ gva: at, size, global }) => [at, size, global]),
          [
            [gva, 0x1000, which === 0],
            [second, 0x1000, which === 1],
          ],
          `${depth} ${which}`,
        );
      }
    }
  });
});

describe('references, in detail', () => {
  it('T7: nothing is written where it is known that something cannot be', () => {
    const format = X86_4LEVEL;
    const { first } = setUp(format);
    map(first, { format, gva: 0n, gpa: 0, length: 0x3000 });
    first.refused = tableAt(first, 0n, 3) + 16;
    first.written = 0;
    const range = { format, gva: 0n, length: 0x3000 };
    assert.throws(() => unmap(first, range), { code: 'table-unwritable', gva: 0x2000n });
    assert.equal(first.written, 0);
  });

  it('T7: a table that loses one of two entries in an edit is the own one of the other from then on', () => {
    const format = X86_4LEVEL;
    const { first } = setUp(format);
    map(first, { format, gva: 0n, gpa: 0, length: 0x2000 });
    const directory = tableAt(first, 0n, 2);
    const leaves = tableAt(first, 0n, 3);
    first.writeEntry(directory + 8, BigInt(leaves) | 7n, 8);
    first.retainTable(leaves);
    const { unmapped, freed } = unmap(first, { format, gva: 0n, length: LARGE + 0x1000 });
    assert.deepEqual([unmapped, freed], [0x3000, 0]);
    assert.equal(first.tableReferences(leaves), 1);
    const translator = new Translator({ tables: first, format });
    assert.deepEqual(
      [0, 0x1000, LARGE, LARGE + 0x1000].map((gva) => translator.resolveGva(BigInt(gva), 0)),
      [-1, -1, -1, 0x1000],
    );
    assert.equal(unmap(first, { format, gva: BigInt(LARGE), length: LARGE }).freed, 3);
  });

  it('T7: a table whose first entry leads to itself is not given back with that entry', () => {
    const format = X86_4LEVEL;
    const { first } = setUp(format);
    map(first, { format, gva: BigInt(LARGE), gpa: 0x5000, length: 0x1000 });
    const directory = tableAt(first, BigInt(LARGE), 2);
    first.writeEntry(directory, BigInt(directory) | 3n, 8);
    assert.throws(() => unmap(first, { format, gva: 0x1000n, length: 0x1000 }), { code: 'shared' });
    assert.equal(unmap(first, { format, gva: 0n, length: LARGE }).freed, 0);
    assert.equal(new Translator({ tables: first, format }).resolveGva(BigInt(LARGE), 0), 0x5000);
  });

  it('T7: a table that the edit went into by two entries stays when it is empty', () => {
    const format = X86_4LEVEL;
    const { first } = setUp(format);
    map(first, { format, gva: 0n, gpa: 0, length: 0x2000 });
    const directory = tableAt(first, 0n, 2);
    const leaves = tableAt(first, 0n, 3);
    first.writeEntry(directory + 8, BigInt(leaves) | 7n, 8);
    const range = { format, gva: 0x1000n, length: LARGE, changeShared: true };
    assert.deepEqual([unmap(first, range).freed, first.tableReferences(leaves)], [0, 1]);
    map(first, { ...range, gpa: 0x5000, length: 0x1000 });
    assert.equal(new Translator({ tables: first, format }).resolveGva(BigInt(LARGE + 0x1000), 0), 0x5000);
  });

  it('T7: merge leaves alone what other entries lead to, and changes what is below that where it is meant', () => {
    const format = X86_4LEVEL;
    const range = { format, gva: 0n, length: LARGE };
    for (const depth of [1, 3]) {
      const { first } = setUp(format);
      map(first, { ...range, gpa: 0, maxPageSize: 4096 });
      first.retainTable(tableAt(first, 0n, depth));
      assert.equal(merge(first, range).merged, 0);
      const { merged, freed, invalidations } = merge(first, { ...range, changeShared: true });
      assert.deepEqual([merged, freed], depth === 1 ? [1, 1] : [0, 0]);
      assert.deepEqual(
        invalidations.map(({ shared }) => shared),
        depth === 1 ? [true] : [],
      );
    }
  });

  it('T7: an empty table that nobody counts stays where it is', () => {
    const format = X86_4LEVEL;
    const memory = GuestMemory.allocate(0x2_0000);
    const made = new GuestTables(memory, { frames: new FrameRange(0x1_0000, 0x1_0000) });
    const root = createRoot(made, format);
    map(made, { format, gva: 0n, gpa: 0, length: 0x1000 });
    const before = memory.readU64(root);
    const found = new GuestTables(memory, { root });
    assert.deepEqual(
      [unmap(found, { format, gva: 0n, length: 0x1000 }).freed, memory.readU64(root)],
      [0, before],
    );
    assert.equal(found.tableReferences(root), 0);
    assert.equal(map(found, { format, gva: 0n, gpa: 0x3000, length: 0x1000 }).tables, 0);
  });

  it('T7: a table goes back with the size that it was asked for', () => {
    for (const [format, sizes] of [
      [RISCV_SV39X4, [0x4000, 0x1000, 0x1000]],
      [X86_4LEVEL, [0x1000, 0x1000, 0x1000, 0x1000]],
      [aarch64Stage1Format({ granule: 65536, inputBits: 48 }), [0x1000, 0x1_0000, 0x1_0000]],
    ] as const) {
      const memory = GuestMemory.allocate(0x10_0000);
      const range = new FrameRange(0, 0x10_0000);
      const given: (number | undefined)[] = [];
      const freed: (number | undefined)[] = [];
      const frames: FrameSource = {
        alloc(size) {
          given.push(size);
          return range.alloc(size);
        },
        free(gpa, size) {
          freed.push(size);
          range.free(gpa);
        },
        references: (gpa) => range.references(gpa),
      };
      const tables = new GuestTables(memory, { frames });
      createRoot(tables, format);
      map(tables, { format, gva: 0n, gpa: 0, length: 0x1_0000, user: true });
      assert.deepEqual(given, sizes);
      assert.equal(destroyRoot(tables, format), sizes.length);
      assert.deepEqual(freed, sizes);
    }
  });

  it('T7: what is not given out can be neither retained nor taken back', () => {
    const frames = new FrameRange(0x1000, 0x1000);
    assert.throws(() => frames.retain(0x1000), { code: 'invalid', message: /^Cannot retain frame 0x1000/ });
    assert.throws(() => frames.free(0x1000), { code: 'invalid', message: /^Cannot take back frame 0x1000/ });
    assert.equal(frames.references(0x1000), 0);
  });
});
