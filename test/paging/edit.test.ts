import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory } from '../../src/core/index.ts';
import {
  createRoot,
  EPT_4LEVEL,
  FrameRange,
  formatRights,
  GuestTables,
  map,
  mappings,
  merge,
  type PagingFormat,
  protect,
  Translator,
  unmap,
  X86_4LEVEL,
  X86_FORMATS,
} from '../../src/paging/index.ts';

const FORMATS = [...X86_FORMATS, EPT_4LEVEL];
const TABLES = 0x8_0000;

interface Setup {
  readonly memory: GuestMemory;
  readonly frames: FrameRange;
  readonly tables: GuestTables;
}

function setUp(format: PagingFormat, tableBytes = 0x8_0000): Setup {
  const memory = GuestMemory.allocate(0x10_0000);
  const frames = new FrameRange(TABLES, tableBytes);
  const tables = new GuestTables(memory, { frames });
  createRoot(tables, format);
  return { memory, frames, tables };
}

/** Frames given out at the moment. */
function inUse(frames: FrameRange): number {
  let count = 0;
  for (let gpa = frames.gpa; gpa < frames.gpa + frames.length; gpa += 4096) if (frames.owns(gpa)) count++;
  return count;
}

/** What is mapped, page by page: address, rights, memory type. */
function listing(tables: GuestTables, format: PagingFormat): string[] {
  const pages: string[] = [];
  for (const record of mappings(new Translator({ tables, format }), { expandAliases: true })) {
    assert(record.kind === 'mapped', record.kind);
    for (let offset = 0; offset < record.size; offset += 4096) {
      const gva = (record.gva + BigInt(offset)).toString(16);
      pages.push(
        `${gva} ${(record.gpa + offset).toString(16)} ${formatRights(record.rights)} ${record.memoryType}`,
      );
    }
  }
  return pages;
}

/** Pages of 2 MiB where the format has them, of 4 MiB in 32-bit x86. */
function largePage(format: PagingFormat): number {
  return 2 ** (format.levels.at(-2)?.indexBit ?? 21);
}

describe('unmap, protect and merge', () => {
  for (const format of FORMATS) {
    const large = largePage(format);

    it(`T7: ${format.name}: a hole in a large page splits it, and filling and merging undoes that`, () => {
      const { frames, tables } = setUp(format);
      const whole = { format, gva: BigInt(large), length: large };
      map(tables, { ...whole, gpa: large, write: true, execute: true, user: true, memoryType: 5 });
      const before = listing(tables, format);
      const used = inUse(frames);
      const hole = { format, gva: BigInt(large) + 0x3000n, length: 0x2000 };

      const cut = unmap(tables, hole);
      assert.deepEqual([cut.unmapped, cut.tables, cut.freed], [0x2000, 1, 0]);
      assert.deepEqual(cut.invalidations, [
        { gva: BigInt(large), size: large, pageSize: large, why: 'resized', tables: false, global: false },
      ]);
      const pages = before.filter((_, i) => i !== 3 && i !== 4);
      assert.deepEqual(listing(tables, format), pages);
      assert.equal(merge(tables, whole).merged, 0, 'a hole cannot be merged');

      map(tables, { ...hole, gpa: large + 0x3000, write: true, execute: true, user: true, memoryType: 5 });
      const merged = merge(tables, whole);
      assert.deepEqual([merged.merged, merged.freed], [1, 1]);
      assert.equal(merged.invalidations[0]?.why, 'resized');
      assert.deepEqual(listing(tables, format), before);
      assert.equal(inUse(frames), used);
      assert.equal(unmap(tables, whole).unmapped, large);
      assert.equal(inUse(frames), 1, 'only the root is left');
    });

    it(`T7: ${format.name}: protect changes what is asked for and nothing else`, () => {
      const { memory, tables } = setUp(format);
      const range = { format, gva: 0x40_0000n, length: 0x4000 };
      map(tables, { ...range, gpa: 0x1000, write: true, execute: true, user: true, maxPageSize: 4096 });
      const translator = new Translator({ tables, format });
      const leaf = translator.translate(0x40_1000n).levels.at(-1)?.entryAddress ?? 0;
      // A bit of software's own goes along: 9 on x86, 52 in EPT.
      if (format.entrySize === 4) memory.writeU32(leaf, memory.readU32(leaf) | 0x200);
      else memory.writeU64(leaf, memory.readU64(leaf) | (format === EPT_4LEVEL ? 1n << 52n : 0x200n));
      const own = format.entrySize === 4 ? BigInt(memory.readU32(leaf)) : memory.readU64(leaf);

      const narrower = protect(tables, { format, gva: 0x40_1000n, length: 0x2000, write: false });
      assert.deepEqual(narrower, {
        leaves: 2,
        tables: 0,
        invalidations: [
          { gva: 0x40_1000n, size: 0x2000, pageSize: 0x1000, why: 'changed', tables: false, global: false },
        ],
        steps: [],
        reloadRoot: false,
      });
      const writable = [0, 1, 2, 3].map((i) => {
        const found = translator.translate(0x40_0000n + BigInt(i * 4096));
        assert(found.kind === 'mapped');
        return found.rights.write;
      });
      assert.deepEqual(writable, [true, false, false, true]);
      const wider = protect(tables, { format, gva: 0x40_1000n, length: 0x2000, write: true });
      assert.equal(wider.invalidations[0]?.why, 'widened');
      const again = format.entrySize === 4 ? BigInt(memory.readU32(leaf)) : memory.readU64(leaf);
      assert.equal(again, own, 'there and back is the same entry');
      const nothing = protect(tables, { format, gva: 0x40_1000n, length: 0x2000, write: true });
      assert.deepEqual([nothing.leaves, nothing.invalidations.length], [2, 0]);
    });

    it(`T7: ${format.name}: any sequence of edits is what a map of pages says`, () => {
      const pages = 24;
      const base = BigInt(large) - 0x8000n;
      fc.assert(
        fc.property(
          fc.array(
            fc.record({
              what: fc.constantFrom('map', 'unmap', 'protect', 'merge', 'map large'),
              page: fc.nat(pages - 1),
              count: fc.integer({ min: 1, max: 8 }),
              write: fc.boolean(),
              user: fc.boolean(),
            }),
            { maxLength: 14 },
          ),
          (edits) => {
            const { frames, tables } = setUp(format);
            const users = format !== EPT_4LEVEL;
            const writeBack = users ? 0 : 6;
            const model = new Map<bigint, string>();
            const put = (gva: bigint, gpa: number, write: boolean, user: boolean): void => {
              model.set(
                gva,
                `${gva.toString(16)} ${gpa.toString(16)} r${write ? 'w' : '-'}x${user || !users ? 'u' : 's'} ${writeBack}`,
              );
            };
            for (const { what, page, count, write, user } of edits) {
              const gva = base + BigInt(page * 4096);
              const length = count * 4096;
              const range = { format, gva, length };
              const covered = Array.from({ length: count }, (_, i) => gva + BigInt(i * 4096));
              const gpaOf = (at: bigint): number => Number(at) + large;
              const rights = { write, execute: true, user: user && users };
              switch (what) {
                case 'map':
                  if (covered.some((at) => model.has(at))) {
                    assert.throws(() => map(tables, { ...range, gpa: gpaOf(gva), ...rights }), {
                      code: 'taken',
                    });
                    break;
                  }
                  map(tables, { ...range, gpa: gpaOf(gva), ...rights });
                  for (const at of covered) put(at, gpaOf(at), write, user);
                  break;
                case 'map large': {
                  const start = BigInt(large);
                  const all = Array.from({ length: large / 4096 }, (_, i) => start + BigInt(i * 4096));
                  if (all.some((at) => model.has(at))) break;
                  map(tables, { format, gva: start, length: large, gpa: gpaOf(start), ...rights });
                  for (const at of all) put(at, gpaOf(at), write, user);
                  break;
                }
                case 'unmap': {
                  const gone = covered.filter((at) => model.delete(at)).length;
                  assert.equal(unmap(tables, range).unmapped, gone * 4096);
                  break;
                }
                case 'protect': {
                  const wanted = users ? { write, user } : { write };
                  if (covered.some((at) => !model.has(at))) {
                    assert.throws(() => protect(tables, { ...range, ...wanted }), { code: 'not-mapped' });
                    break;
                  }
                  protect(tables, { ...range, ...wanted });
                  for (const at of covered) put(at, gpaOf(at), write, user);
                  break;
                }
                default:
                  merge(tables, { format, gva: 0n, length: large * 4 });
              }
              const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line);
              assert.deepEqual(listing(tables, format), expected, what);
            }
            unmap(tables, { format, gva: 0n, length: large * 4 });
            assert.deepEqual(listing(tables, format), []);
            assert.equal(inUse(frames), 1, 'every table but the root is given back');
          },
        ),
        { numRuns: 40 },
      );
    });
  }

  it('T7: all or nothing: a range that cannot be split, protected or read leaves the tables as they were', () => {
    const { memory, frames, tables } = setUp(X86_4LEVEL, 0x3000);
    const format = X86_4LEVEL;
    map(tables, { format, gva: 0n, gpa: 0, length: 0x40_0000 });
    const before = memory.readBytes(0, 0x10_0000);
    const same = (code: string, edit: () => unknown): void => {
      assert.throws(edit, { name: 'PagingError', code });
      assert.deepEqual(memory.readBytes(0, 0x10_0000), before);
      assert.equal(inUse(frames), 3);
    };
    same('no-frames', () => unmap(tables, { format, gva: 0x1000n, length: 0x1000 }));
    same('no-frames', () => protect(tables, { format, gva: 0n, length: 0x20_1000, write: true }));
    same('not-mapped', () => protect(tables, { format, gva: 0n, length: 0x60_0000, write: true }));
    same('misaligned', () => unmap(tables, { format, gva: 0x10n, length: 0x1000 }));
    same('invalid', () => unmap(tables, { format, gva: 0n, length: 0 }));
    same('not-canonical', () => merge(tables, { format, gva: 0x7fff_ffff_f000n, length: 0x2000 }));
    same('invalid', () => protect(tables, { format, gva: 0n, length: 0x1000, read: false }));
    same('invalid', () => protect(tables, { format, gva: 0n, length: 0x20_0000, memoryType: 8 }));

    // The upper table allows no writing: nothing below it can be made to.
    memory.writeU64(TABLES, memory.readU64(TABLES) & ~2n);
    before.set(memory.readBytes(0, 0x10_0000));
    same('restricted', () => protect(tables, { format, gva: 0n, length: 0x20_0000, write: true }));
    memory.writeU64(TABLES, 0x10_0003n);
    before.set(memory.readBytes(0, 0x10_0000));
    same('table-unreadable', () => unmap(tables, { format, gva: 0n, length: 0x1000 }));
    memory.writeU64(TABLES, 0x8_1083n);
    before.set(memory.readBytes(0, 0x10_0000));
    same('malformed', () => unmap(tables, { format, gva: 0n, length: 0x1000 }));
  });

  it('T7: tables that are not the allocator’s are left alone, and invalidation comes before a table is given back', () => {
    const { memory, frames, tables } = setUp(X86_4LEVEL);
    const format = X86_4LEVEL;
    const range = { format, gva: 0n, length: 0x2000 };
    map(tables, { ...range, gpa: 0x5000 });
    // A last table that somebody else made, somewhere else.
    memory.writeU64(0x1000, 0x7003n);
    const directory = new Translator({ tables, format }).translate(0n).levels.at(-2)?.entryAddress ?? 0;
    memory.writeU64(directory + 8, 0x1003n);
    const seen: number[] = [];
    const { freed, invalidations } = unmap(tables, {
      ...range,
      length: 0x40_0000,
      invalidate: (what) => {
        seen.push(what.length);
        assert.equal(inUse(frames), 4, 'no table is back yet');
      },
    });
    assert.equal(freed, 3);
    assert.deepEqual(seen, [invalidations.length]);
    assert.equal(invalidations.filter(({ tables: upper }) => upper).length, 4);
    assert.equal(inUse(frames), 1);
  });

  it('T7: PAE says when CR3 has to be loaded again', () => {
    const { tables } = setUp(X86_FORMATS[1] ?? X86_4LEVEL);
    const format = X86_FORMATS[1] ?? X86_4LEVEL;
    map(tables, { format, gva: 0n, gpa: 0, length: 0x1000 });
    assert.equal(unmap(tables, { format, gva: 0n, length: 0x1000 }).reloadRoot, true);
  });
});
