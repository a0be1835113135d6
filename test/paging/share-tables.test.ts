import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory } from '../../src/core/index.ts';
import {
  aarch64Stage1Format,
  BufferTables,
  createRoot,
  destroyRoot,
  FrameRange,
  type FrameSource,
  GuestTables,
  isPagingError,
  map,
  merge,
  type PagingFormat,
  prepareTables,
  protect,
  RISCV_SV39,
  RISCV_SV39X4,
  shareTables,
  Translator,
  unmap,
  X86_4LEVEL,
  X86_32,
  X86_PAE,
} from '../../src/paging/index.ts';

const FRAMES = 0x8_0000;
const KERNEL = { format: X86_4LEVEL, gva: 0xffff_8000_0000_0000n, length: 2 ** 47 };
const LARGE = 0x20_0000;
const HUGE = 0x4000_0000;

interface Spaces {
  readonly memory: GuestMemory;
  readonly frames: FrameRange;
  readonly first: GuestTables;
  readonly second: GuestTables;
}

function setUp(format: PagingFormat, length = 0x8_0000): Spaces {
  const memory = GuestMemory.allocate(0x10_0000);
  const frames = new FrameRange(FRAMES, length);
  const first = new GuestTables(memory, { frames });
  const second = new GuestTables(memory, { frames });
  createRoot(first, format);
  createRoot(second, format);
  return { memory, frames, first, second };
}

function resolve(tables: GuestTables | BufferTables, format: PagingFormat, gva: bigint, code = 0): number {
  return new Translator({ tables, format }).resolveGva(gva, code);
}

function inUse(frames: FrameRange): number {
  let count = 0;
  for (let gpa = frames.gpa; gpa < frames.gpa + frames.length; gpa += 4096) if (frames.owns(gpa)) count++;
  return count;
}

describe('address spaces that share tables', () => {
  it('A4: a half that is shared is one half: what is mapped in one is mapped in the other', () => {
    const { frames, first, second } = setUp(X86_4LEVEL);
    map(first, { ...KERNEL, gpa: 0x5000, length: 0x1000, global: true });
    const result = shareTables(first, second, KERNEL);
    assert.deepEqual(result, { shared: 1, tables: 0, invalidations: [], reloadRoot: false });
    assert.equal(resolve(second, X86_4LEVEL, KERNEL.gva), 0x5000);

    const page = { ...KERNEL, gva: KERNEL.gva + 0x1000n, length: 0x1000 };
    assert.throws(() => map(second, { ...page, gpa: 0x6000 }), { code: 'shared', level: 1 });
    map(second, { ...page, gpa: 0x6000, changeShared: true });
    assert.equal(resolve(first, X86_4LEVEL, page.gva), 0x6000);
    const { invalidations, freed } = unmap(first, { ...page, changeShared: true });
    assert.deepEqual(invalidations, [
      {
        gva: page.gva,
        size: 0x1000,
        pageSize: 0x1000,
        why: 'removed',
        tables: false,
        global: false,
        shared: true,
      },
    ]);
    assert.equal(freed, 0);
    assert.equal(resolve(second, X86_4LEVEL, page.gva), -1);

    const cut = unmap(first, KERNEL);
    assert.deepEqual([cut.unmapped, cut.freed], [0x1000, 0]);
    assert.equal(resolve(first, X86_4LEVEL, KERNEL.gva), -1);
    assert.equal(resolve(second, X86_4LEVEL, KERNEL.gva), 0x5000);
    // Its own once more.
    map(second, { ...page, gpa: 0x6000 });
    assert.equal(unmap(second, KERNEL).freed, 3);
    assert.equal(inUse(frames), 2);
  });

  it('A4: tables that are prepared are shared before anything is in them, and stay when they are empty', () => {
    const { frames, first, second } = setUp(X86_4LEVEL);
    const range = { ...KERNEL, length: 4 * 2 ** 39 };
    map(first, { ...range, gva: range.gva + BigInt(2 ** 39), gpa: 0, length: 0x1000 });
    assert.equal(prepareTables(first, range).tables, 3);
    assert.equal(prepareTables(first, range).tables, 0);
    assert.equal(shareTables(first, second, range).shared, 4);
    const used = inUse(frames);
    const page = { ...KERNEL, length: 0x1000, changeShared: true };
    map(first, { ...page, gpa: 0x7000 });
    assert.equal(resolve(second, X86_4LEVEL, KERNEL.gva), 0x7000);
    assert.equal(unmap(second, page).freed, 2);
    assert.equal(inUse(frames), used);
    map(second, { ...page, gpa: 0x8000 });
    assert.equal(resolve(first, X86_4LEVEL, KERNEL.gva), 0x8000);
  });

  it('A4: the end of an address space takes what it shares with nobody', () => {
    const { memory, frames, first, second } = setUp(X86_4LEVEL);
    map(first, { ...KERNEL, gpa: 0x5000, length: 0x1000 });
    map(first, { format: X86_4LEVEL, gva: 0n, gpa: 0, length: 0x1000 });
    shareTables(first, second, KERNEL);
    const root = first.rootTable();
    memory.writeU64(root + 8 * 0xed, BigInt(root) | 3n);
    first.retainTable(root);
    assert.equal(destroyRoot(first, X86_4LEVEL), 4);
    assert.equal(frames.owns(root), false);
    assert.equal(resolve(second, X86_4LEVEL, KERNEL.gva), 0x5000);
    assert.equal(destroyRoot(second, X86_4LEVEL), 4);
    assert.equal(inUse(frames), 0);
  });

  it('A4: a range of upper tables is shared as high up as it goes, by tables that allow the same', () => {
    const { memory, frames, first, second } = setUp(X86_4LEVEL);
    const format = X86_4LEVEL;
    const gva = BigInt(HUGE - LARGE);
    map(first, { format, gva, gpa: 0, length: HUGE + 2 * LARGE, maxPageSize: LARGE, user: true });
    map(first, { format, gva: gva - 0x1000n, gpa: 0x3000, length: 0x1000, user: true });
    // The first one's root entry is not for users: nor must be the second one's.
    memory.writeU64(first.rootTable(), memory.readU64(first.rootTable()) & ~4n);
    const result = shareTables(first, second, { format, gva: gva - BigInt(LARGE), length: HUGE + 3 * LARGE });
    // A table of leaves and a large page; a directory; a large page.
    assert.deepEqual([result.shared, result.tables], [4, 3]);
    const translator = new Translator({ tables: second, format });
    for (const [at, gpa] of [
      [gva - 0x1000n, 0x3000],
      [gva, 0],
      [BigInt(HUGE), LARGE],
      [BigInt(2 * HUGE), HUGE + LARGE],
    ] as const) {
      const found = translator.translate(at);
      assert(found.kind === 'mapped');
      assert.deepEqual([found.gpa, found.rights.user], [gpa, false]);
    }
    assert.equal(destroyRoot(first, format) + destroyRoot(second, format), 10);
    assert.equal(inUse(frames), 0);
  });

  it('A4: what stands in the way is told, and nothing is changed', () => {
    const format = X86_4LEVEL;
    const { memory, frames, first, second } = setUp(format);
    map(first, { format, gva: 0n, gpa: 0, length: 0x1000, user: true });
    map(first, { format, gva: BigInt(HUGE), gpa: HUGE, length: HUGE });
    const tables = { format, gva: 0n, length: LARGE };
    for (const [code, request] of [
      ['misaligned', { ...tables, length: 0x1000 }],
      ['misaligned', { ...tables, gva: 0x1000n }],
      ['misaligned', { ...tables, length: HUGE + LARGE }],
      ['invalid', { ...tables, length: 0 }],
      ['not-canonical', { ...tables, length: 2 ** 48 }],
    ] as const) {
      const used = inUse(frames);
      assert.throws(() => shareTables(first, second, request), { name: 'PagingError', code });
      assert.equal(inUse(frames), used);
    }
    const unlike = new GuestTables(memory, { frames: new FrameRange(0x4_0000, 0x2_0000) });
    createRoot(unlike, format);
    const used = inUse(frames);
    for (const [from, to] of [
      [first, unlike],
      [unlike, first],
    ] as const) {
      const request = { ...tables, gva: to === first ? 0x80_0000_0000n : 0n };
      map(unlike, { format, gva: 0x80_0000_0000n, gpa: 0, length: 0x1000 });
      assert.throws(() => shareTables(from, to, request), { code: 'invalid', message: /one FrameSource/ });
      unmap(unlike, { format, gva: 0x80_0000_0000n, length: 0x1000 });
    }
    assert.equal(inUse(frames), used);
    map(second, { format, gva: 0x1000n, gpa: 0, length: 0x1000 });
    assert.throws(() => shareTables(first, second, tables), { code: 'taken', gva: 0n });
    unmap(second, { format, gva: 0x1000n, length: 0x1000 });
    map(second, { format, gva: BigInt(LARGE), gpa: 0, length: 0x1000 });
    memory.writeU64(second.rootTable(), memory.readU64(second.rootTable()) & ~4n);
    assert.throws(() => shareTables(first, second, tables), { code: 'restricted', gva: 0n });
    memory.writeU64(first.rootTable() + 8, 0x80n | 1n);
    assert.throws(() => shareTables(first, second, { ...tables, gva: 0x80_0000_0000n }), {
      code: 'malformed',
    });
    const uncounted: FrameSource = { alloc: () => undefined, free: () => undefined };
    const loaded = new GuestTables(memory, { root: first.rootTable(), frames: uncounted });
    assert.throws(() => loaded.retainTable(FRAMES), { code: 'invalid', message: /no retain\(\)/ });
    // Tables that nobody counts nobody gives back.
    const other = new GuestTables(memory, { root: 0x7_0000, frames: new FrameRange(0x6_0000, 0x1_0000) });
    assert.equal(shareTables(loaded, other, { ...tables, length: 2 ** 39 }).shared, 1);
    assert.equal(resolve(other, format, 0n), 0);
    assert.equal(unmap(other, { ...tables, length: 2 ** 39 }).freed, 0);
  });

  it('A4: a buffer can hold several address spaces', () => {
    const format = RISCV_SV39;
    const bytes = new Uint8Array(0x1_0000);
    const first = new BufferTables(bytes, 0x10_0000, { frames: new FrameRange(0x10_4000, 0xc000) });
    const second = new BufferTables(bytes, 0x10_0000, { frames: first.frames });
    createRoot(first, format);
    createRoot(second, format);
    map(first, { format, gva: 0x1000n, gpa: 0x5000, length: 0x1000 });
    const { invalidations } = shareTables(first, second, { format, gva: 0n, length: HUGE });
    // RISC-V may remember that nothing was there.
    assert.deepEqual(invalidations, [
      { gva: 0n, size: HUGE, pageSize: HUGE, why: 'added', tables: true, global: true },
    ]);
    assert.equal(resolve(second, format, 0x1000n), 0x5000);
    assert.equal(second.used, 0x8000);
    for (const gpa of [0xf_f000, 0x10_5000])
      assert.throws(() => new BufferTables(bytes, 0x10_0000, { frames: new FrameRange(gpa, 0x1_0000) }), {
        code: 'invalid',
      });
  });
});

describe('references over many edits', () => {
  const MODELS: readonly PagingFormat[] = [
    X86_4LEVEL,
    X86_PAE,
    X86_32,
    RISCV_SV39X4,
    aarch64Stage1Format({ granule: 4096, inputBits: 48 }),
  ];

  for (const format of MODELS) {
    it(`A4, T7: ${format.name}: a table has as many references as entries lead to it, whatever was done`, () => {
      const table = 2 ** (format.levels.at(-2)?.indexBit ?? 21);
      const upper = 2 ** (format.levels.at(-3)?.indexBit ?? format.levels.at(-2)?.indexBit ?? 30);
      const places = [0, table, 2 * table, upper - table].filter((at, i, all) => all.indexOf(at) === i);
      const edit = fc.record({
        what: fc.constantFrom(
          'map',
          'map',
          'map',
          'unmap',
          'unmap',
          'protect',
          'merge',
          'share',
          'prepare',
          'end',
        ),
        space: fc.nat(2),
        other: fc.nat(2),
        at: fc.constantFrom(...places),
        offset: fc.nat(3),
        length: fc.constantFrom(0x1000, 0x2000, table, 2 * table, upper),
        changeShared: fc.boolean(),
      });
      fc.assert(
        fc.property(fc.array(edit, { maxLength: 25 }), fc.integer({ min: 12, max: 40 }), (edits, pages) => {
          const memory = GuestMemory.allocate(0x10_0000);
          const frames = new FrameRange(FRAMES, pages * 4096);
          const spaces = [0, 1, 2].map(() => new GuestTables(memory, { frames }));
          const live = new Set<GuestTables>();
          for (const { what, space, other, at, offset, length, changeShared } of edits) {
            const tables = spaces[space] as GuestTables;
            const second = spaces[other] as GuestTables;
            const whole = length >= table;
            const gva = BigInt(at) + (whole ? 0n : BigInt(offset * 4096));
            const range = { format, gva, length, changeShared };
            try {
              if (!live.has(tables)) {
                createRoot(tables, format);
                live.add(tables);
              }
              if (what === 'map') {
                const maxPageSize = whole && offset > 1 ? table : 4096;
                map(tables, {
                  ...range,
                  length: Math.min(length, 2 * table),
                  gpa: 0,
                  execute: true,
                  maxPageSize,
                });
              } else if (what === 'unmap') unmap(tables, range);
              else if (what === 'protect') protect(tables, { ...range, write: true });
              else if (what === 'merge') merge(tables, range);
              else if (what === 'prepare') prepareTables(tables, range);
              else if (what === 'end') {
                destroyRoot(tables, format);
                live.delete(tables);
              } else if (live.has(second) && second !== tables) shareTables(tables, second, range);
            } catch (error) {
              if (!isPagingError(error)) throw error;
            }
            assert.deepEqual(countedBy(frames), countedIn(memory, live, format), what);
          }
          for (const tables of live) destroyRoot(tables, format);
          assert.equal(countedBy(frames).size, 0);
        }),
        { numRuns: 60, seed: 4 },
      );
    });
  }
});

/** References of all frames that are given out. */
function countedBy(frames: FrameRange): Map<number, number> {
  const counts = new Map<number, number>();
  for (let gpa = frames.gpa; gpa < frames.gpa + frames.length; gpa += 4096)
    if (frames.references(gpa) > 0) counts.set(gpa, frames.references(gpa));
  return counts;
}

/** The same by looking: entries that lead to each table from those that some root leads to, and roots. */
function countedIn(memory: GuestMemory, live: Set<GuestTables>, format: PagingFormat): Map<number, number> {
  const counts = new Map<number, number>();
  const visit = (gpa: number, depth: number): void => {
    const before = counts.get(gpa) ?? 0;
    counts.set(gpa, before + 1);
    const level = format.levels[depth];
    if (before > 0 || level === undefined || depth === format.levels.length - 1) return;
    for (let index = 0; index < 2 ** level.indexBits; index++) {
      const at = gpa + index * format.entrySize;
      const entry = format.entrySize === 8 ? memory.readU64(at) : BigInt(memory.readU32(at));
      const below = tableIn(entry, format, depth);
      if (below !== undefined) visit(below, depth + 1);
    }
  };
  for (const tables of live) visit(tables.rootTable(), 0);
  return new Map([...counts].sort(([a], [b]) => a - b));
}

/** What an entry leads to if it is one of a table, told by hand. */
function tableIn(entry: bigint, format: PagingFormat, depth: number): number | undefined {
  if (format.name.startsWith('riscv'))
    return (entry & 0xfn) === 1n ? Number((entry >> 10n) & 0xfff_ffff_ffffn) * 4096 : undefined;
  const address = Number(entry & 0xffff_ffff_f000n);
  if (format.name.startsWith('aarch64')) return (entry & 3n) === 3n ? address : undefined;
  const large = depth > 0 || format === X86_32 ? (entry & 0x80n) !== 0n : false;
  return (entry & 1n) === 1n && !large ? address : undefined;
}
