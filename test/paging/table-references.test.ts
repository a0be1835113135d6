import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  createRoot,
  FrameRange,
  type FrameSource,
  GuestTables,
  map,
  merge,
  protect,
  Translator,
  unmap,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const format = X86_4LEVEL;
const FRAMES = 0x40_0000;
const LARGE = 0x20_0000;
const TOP = 0x80_0000_0000;

interface Setup {
  readonly memory: GuestMemory;
  readonly frames: FrameRange;
  readonly tables: GuestTables;
  readonly translator: Translator<number>;
  /** Address of the entry of a level, the root's first, on the way to an address. */
  entry(gva: bigint, depth: number): number;
}

function setUp(): Setup {
  const memory = GuestMemory.allocate(0x80_0000);
  const frames = new FrameRange(FRAMES, 0x40_0000);
  const tables = new GuestTables(memory, { frames });
  createRoot(tables, format);
  const translator = new Translator({ tables, format });
  const entry = (gva: bigint, depth: number): number => {
    const found = translator.translate(gva).levels[depth];
    assert(found !== undefined);
    return found.entryAddress;
  };
  return { memory, frames, tables, translator, entry };
}

function tableOf(entry: number): number {
  return entry - (entry % 4096);
}

function inUse({ gpa }: FrameRange, frames: FrameRange, length = 0x10_0000): number[] {
  const used: number[] = [];
  for (let at = gpa; at < gpa + length; at += 4096) if (frames.owns(at)) used.push(at);
  return used;
}

describe('tables that more than one entry leads to', () => {
  it('T7: a table that was retained for a second entry outlives the first, and goes with the last', () => {
    const { memory, frames, tables, translator, entry } = setUp();
    map(tables, { format, gva: 0x1000n, gpa: 0x5000, length: 0x1000, write: true });
    const directory = tableOf(entry(0x1000n, 2));
    const leaves = tableOf(entry(0x1000n, 3));
    memory.writeU64(directory + 8, BigInt(leaves) | 7n);
    tables.retainTable(leaves);
    assert.equal(tables.tableReferences(leaves), 2);

    const first = unmap(tables, { format, gva: 0n, length: LARGE });
    assert.deepEqual([first.unmapped, first.freed], [0x1000, 0]);
    assert.equal(translator.translate(0x1000n).kind, 'page-fault');
    assert.equal(translator.resolveGva(BigInt(LARGE) + 0x1000n, 0), 0x5000);
    map(tables, { format, gva: BigInt(TOP), gpa: 0x7000, length: 0x1000 });
    assert.equal(translator.resolveGva(BigInt(LARGE) + 0x1000n, 0), 0x5000);

    const second = unmap(tables, { format, gva: BigInt(LARGE), length: LARGE });
    assert.deepEqual([second.unmapped, second.freed], [0x1000, 3]);
    assert.equal(frames.owns(leaves), false);
  });

  it('T7: a change inside such a table is refused unless it is asked for, and then named', () => {
    const { memory, frames, tables, translator, entry } = setUp();
    map(tables, { format, gva: 0x1000n, gpa: 0x5000, length: 0x3000, write: true });
    const directory = tableOf(entry(0x1000n, 2));
    const leaves = tableOf(entry(0x1000n, 3));
    memory.writeU64(directory + 8, BigInt(leaves) | 7n);
    tables.retainTable(leaves);
    const range = { format, gva: 0x1000n, length: 0x1000 };
    const used = inUse(frames, frames);
    const refused = { name: 'PagingError', code: 'shared', gva: 0x1000n, level: 1, entryAddress: leaves + 8 };
    assert.throws(() => unmap(tables, range), refused);
    assert.throws(() => protect(tables, { ...range, write: false }), refused);
    assert.throws(() => map(tables, { ...range, gva: 0n, gpa: 0 }), {
      ...refused,
      gva: 0n,
      entryAddress: leaves,
    });
    assert.equal(merge(tables, { ...range, gva: 0n, length: LARGE }).merged, 0);
    assert.deepEqual(inUse(frames, frames), used);
    assert.equal(translator.resolveGva(0x1000n, 1), 0x5000);

    const { invalidations } = protect(tables, { ...range, write: false, changeShared: true });
    assert.deepEqual(
      invalidations.map(({ gva, shared }) => [gva, shared]),
      [[0x1000n, true]],
    );
    assert.equal(translator.translate(BigInt(LARGE) + 0x1000n, { kind: 'write' }).kind, 'page-fault');
    assert.equal(map(tables, { ...range, gva: 0n, gpa: 0, changeShared: true }).leaves, 1);
    // Empty, but still the table of both.
    const emptied = unmap(tables, { ...range, gva: 0n, length: 0x4000, changeShared: true });
    assert.deepEqual([emptied.unmapped, emptied.freed], [0x4000, 0]);
    assert.equal(tables.tableReferences(leaves), 2);
    map(tables, { ...range, gpa: 0x9000, changeShared: true });
    assert.equal(translator.resolveGva(BigInt(LARGE) + 0x1000n, 0), 0x9000);
  });

  it('T7: below a shared table nothing is changed either, and what is empty there goes for all', () => {
    const { memory, tables, translator, entry } = setUp();
    map(tables, { format, gva: 0x1000n, gpa: 0x5000, length: 0x1000 });
    const top = entry(0x1000n, 0);
    memory.writeU64(top + 8, memory.readU64(top));
    const pointers = tableOf(entry(0x1000n, 1));
    tables.retainTable(pointers);
    const range = { format, gva: 0x1000n, length: 0x1000 };
    assert.throws(() => unmap(tables, range), { code: 'shared' });
    assert.throws(() => unmap(tables, { ...range, gva: 0n, length: LARGE }), { code: 'shared' });
    const { unmapped, freed, invalidations } = unmap(tables, { ...range, changeShared: true });
    assert.deepEqual([unmapped, freed], [0x1000, 2]);
    assert(invalidations.every(({ shared }) => shared === true));
    assert.equal(translator.translate(BigInt(TOP) + 0x1000n).kind, 'page-fault');
    assert.equal(tables.tableReferences(pointers), 2);
    // Whole, it goes from one place alone.
    assert.equal(unmap(tables, { format, gva: 0n, length: TOP }).freed, 0);
    assert.equal(tables.tableReferences(pointers), 1);
  });

  it('T7: a table that two entries of one range lead to is given back once, whoever counts', () => {
    for (const counts of [true, false]) {
      const memory = GuestMemory.allocate(0x80_0000);
      const freed: number[] = [];
      const given = new Set<number>();
      let next = FRAMES;
      const frames: FrameSource = {
        alloc(size = 4096) {
          next += size;
          given.add(next - size);
          return next - size;
        },
        free: (gpa) => freed.push(gpa),
        ...(counts && { references: (gpa) => Number(given.has(gpa)) }),
      };
      const tables = new GuestTables(memory, { frames });
      createRoot(tables, format);
      map(tables, { format, gva: 0n, gpa: 0x20_0000, length: 0x1000 });
      const { levels } = new Translator({ tables, format }).translate(0n);
      const [, , directory = 0, leaves = 0] = levels.map(({ entryAddress }) => tableOf(entryAddress));
      memory.writeU64(directory + 8, BigInt(leaves) | 7n);
      for (const length of [2 * LARGE, LARGE]) {
        assert.equal(unmap(tables, { format, gva: 0n, length }).unmapped, length === LARGE ? 0 : 0x2000);
        assert.deepEqual(freed, counts ? [leaves, directory, FRAMES + 0x1000] : []);
      }
      assert.throws(() => tables.retainTable(leaves), { name: 'PagingError', code: 'invalid' });
    }
  });

  it('T7: a table that another part of the range still needs stays, and none is entered that goes', () => {
    const { memory, frames, tables, translator, entry } = setUp();
    map(tables, { format, gva: 0n, gpa: 0x5000, length: 0x3000 });
    const directory = tableOf(entry(0n, 2));
    const leaves = tableOf(entry(0n, 3));
    // Nobody was told of the second entry.
    memory.writeU64(directory + 8, BigInt(leaves) | 7n);
    const cut = unmap(tables, { format, gva: 0x2000n, length: 2 * LARGE - 0x2000 });
    assert.deepEqual([cut.unmapped, cut.freed], [0x3000, 0]);
    assert.equal(translator.resolveGva(0x1000n, 0), 0x6000);
    assert.equal(frames.owns(leaves), true);
    memory.writeU64(directory + 8, BigInt(leaves) | 7n);
    assert.throws(() => unmap(tables, { format, gva: 0n, length: LARGE + 0x1000 }), { code: 'malformed' });
    assert.equal(translator.resolveGva(0x1000n, 0), 0x6000);
    assert.throws(() => unmap(tables, { format, gva: 0x1000n, length: LARGE }), { code: 'shared' });
    assert.equal(translator.resolveGva(0x1000n, 0), 0x6000);
  });
});

describe('tables that lead to each other in every entry', () => {
  /** Four tables of which all 512 entries lead to the next one, the last one's to a page; or one that leads to itself. */
  function bomb(pages: number): GuestTables {
    const memory = GuestMemory.allocate(0x1_0000);
    for (let table = 1; table <= pages; table++)
      for (let at = table * 4096; at < table * 4096 + 4096; at += 8)
        memory.writeU64(
          at,
          table < pages ? BigInt((table + 1) * 4096) | 7n : pages === 1 ? 0x1007n : 0x9007n,
        );
    return new GuestTables(memory, { root: 0x1000, frames: new FrameRange(0x8000, 0x4000) });
  }
  const whole = { format, gva: 0n, length: 2 ** 47 };

  for (const pages of [4, 1]) {
    it(`T7: an edit of ${pages} of them reads each once a level`, () => {
      const tables = bomb(pages);
      const shared = { code: 'shared' };
      assert.throws(() => protect(tables, { ...whole, write: true }), shared);
      assert.throws(() => protect(tables, { ...whole, write: false }), shared);
      assert.throws(() => unmap(tables, { ...whole, gva: 0x1000n, length: 2 ** 47 - 0x2000 }), shared);
      assert.throws(() => map(tables, { ...whole, gpa: 0 }), { code: 'taken' });
      assert.equal(merge(tables, whole).merged, 0);
      const { unmapped, freed, invalidations } = unmap(tables, whole);
      assert.deepEqual([unmapped, freed], [2 ** 47, 0]);
      assert(invalidations.length < 20);
      const covered = new Set<bigint>();
      for (const { gva, size, pageSize } of invalidations) {
        if (pageSize > 4096) continue;
        for (let at = gva; at < gva + BigInt(size); at += 2n ** 39n) covered.add(at >> 39n);
      }
      assert.equal(covered.size, 256);
      assert.equal(new Translator({ tables, format }).resolveGva(0n, 0), -1);
    });
  }
});

describe('tables that lead back to the root', () => {
  const SLOT = 0x1ed;
  const SELF = 0xffff_f680_0000_0000n;

  for (const told of [true, false]) {
    it(`T7: unmapping a self-map ${told ? 'that was' : 'that nobody was'} told of takes its entry and nothing else`, () => {
      const { memory, frames, tables, translator } = setUp();
      const root = tables.rootTable();
      memory.writeU64(root + 8 * SLOT, BigInt(root) | 3n);
      if (told) tables.retainTable(root);
      map(tables, { format, gva: 0x1000n, gpa: 0x5000, length: 0x1000 });
      const used = inUse(frames, frames);
      // Inside the self-map lie the tables of everything else.
      assert.throws(() => unmap(tables, { format, gva: SELF, length: 0x1000 }), { code: 'shared' });
      assert.equal(translator.resolveGva(0x1000n, 0), 0x5000);

      const { unmapped, freed, invalidations } = unmap(tables, { format, gva: SELF, length: TOP });
      // The table of leaves, of directories, of pointers, and the root twice: as the page that slot 0x1ed of all four
      // levels leads to, it goes first.
      assert.deepEqual([unmapped / 4096, freed], [4, 0]);
      assert(invalidations.length > 0);
      assert.equal(memory.readU64(root + 8 * SLOT), 0n);
      assert.equal(translator.resolveGva(0x1000n, 0), 0x5000);
      assert.deepEqual(inUse(frames, frames), used);
      assert.equal(tables.tableReferences(root), 1);
    });
  }

  it('T7: a table on the way that leads to itself is not given back with its entry', () => {
    const { memory, frames, tables, translator, entry } = setUp();
    map(tables, { format, gva: 0x1000n, gpa: 0x5000, length: 0x1000 });
    const directory = tableOf(entry(0x1000n, 2));
    memory.writeU64(directory + 8, BigInt(directory) | 3n);
    const { freed } = unmap(tables, { format, gva: BigInt(LARGE), length: LARGE });
    assert.equal(freed, 0);
    assert.equal(frames.owns(directory), true);
    assert.equal(translator.resolveGva(0x1000n, 0), 0x5000);
  });
});
