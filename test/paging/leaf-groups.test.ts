import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  aarch64Stage1Format,
  aarch64Stage2Format,
  BufferTables,
  createRoot,
  type EditStep,
  type Invalidation,
  map,
  mappings,
  merge,
  type PagingFormat,
  prepareTables,
  protect,
  RISCV_SV39,
  Translator,
  unmap,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const CONTIGUOUS = 1n << 52n;
const NAPOT = 1n << 63n;
const DBM = 1n << 51n;
const ACCESSED = 1n << 10n;
const READ_ONLY = 1n << 7n;
const FOUR_K = aarch64Stage1Format({ granule: 4096, inputBits: 39 });

/** Tables that tell what is written to entries that are there, and when the hardware is told to forget. */
class Watched extends BufferTables {
  readonly events: (readonly [address: number, before: bigint, after: bigint] | 'invalidate')[] = [];
  override writeEntry(address: number, entry: bigint, size: 4 | 8): void {
    this.events.push([address, super.readEntry(address, size) ?? 0n, entry]);
    super.writeEntry(address, entry, size);
  }
}

interface Scene {
  readonly tables: Watched;
  /** The leaf of an address: where it is, and what it says. */
  leaf(gva: bigint): { readonly at: number; readonly entry: bigint; readonly level: number };
  /** Sets bits in leaves, so many from an address on. */
  mark(gva: bigint, count: number, bits: bigint, pageSize?: number): void;
}

function sceneOf(format: PagingFormat, pages = 64): Scene {
  const tables = new Watched(new Uint8Array(pages * format.tableSize), 0x100_0000);
  createRoot(tables, format);
  const leaf = (gva: bigint): { at: number; entry: bigint; level: number } => {
    const last = new Translator({ tables, format }).translate(gva).levels.at(-1);
    assert(last !== undefined);
    return { at: last.entryAddress, entry: last.entry, level: last.level };
  };
  return {
    tables,
    leaf,
    mark(gva, count, bits, pageSize = format.tableSize) {
      for (let i = 0; i < count; i++) {
        const { at, entry } = leaf(gva + BigInt(i * pageSize));
        tables.writeEntry(at, entry | bits, 8);
      }
      tables.events.length = 0;
    },
  };
}

describe('AArch64 contiguous groups', () => {
  const shapes: readonly (readonly [format: PagingFormat, pageSize: number, entries: number])[] = [
    [FOUR_K, 0x1000, 16],
    [FOUR_K, 0x20_0000, 16],
    [aarch64Stage1Format({ granule: 4096, inputBits: 48 }), 0x4000_0000, 16],
    [aarch64Stage1Format({ granule: 16384, inputBits: 47 }), 0x4000, 128],
    [aarch64Stage1Format({ granule: 16384, inputBits: 47 }), 0x200_0000, 32],
    [aarch64Stage1Format({ granule: 65536, inputBits: 42 }), 0x1_0000, 32],
    [aarch64Stage2Format({ granule: 65536, inputBits: 42 }), 0x2000_0000, 32],
  ];
  for (const [format, pageSize, entries] of shapes) {
    it(`T7: ${format.name}, pages of ${pageSize}: a group ends as a whole before one of it is changed`, () => {
      const size = pageSize * entries;
      const start = BigInt(size);
      for (const edit of ['protect', 'unmap'] as const) {
        const { tables, leaf, mark } = sceneOf(format);
        map(tables, { format, gva: start, gpa: 0, length: 2 * size, write: true, maxPageSize: pageSize });
        mark(start, 2 * entries, CONTIGUOUS, pageSize);
        const first = leaf(start);
        const page = { format, gva: start + BigInt(3 * pageSize), length: pageSize };
        const { steps, invalidations } =
          edit === 'unmap' ? unmap(tables, page) : protect(tables, { ...page, write: false });

        for (let i = 0; i < entries; i++) {
          const found = new Translator({ tables, format }).translate(start + BigInt(i * pageSize));
          if (i === 3 && edit === 'unmap') {
            assert.equal(found.kind, 'page-fault');
            continue;
          }
          assert(found.kind === 'mapped');
          assert.deepEqual([found.gpa, found.rights.write], [i * pageSize, i !== 3]);
          assert.equal((found.levels.at(-1)?.entry ?? 0n) & CONTIGUOUS, 0n);
        }
        assert.equal(leaf(start + BigInt(size)).entry & CONTIGUOUS, CONTIGUOUS, 'the next group stays');

        const kinds = steps.map(({ kind }) => kind);
        const made = edit === 'unmap' ? entries - 1 : entries;
        assert.deepEqual(kinds, [
          ...Array.from({ length: entries }, () => 'break'),
          'invalidate',
          ...Array.from({ length: made }, () => 'make'),
        ]);
        assert.deepEqual(steps[0], { kind: 'break', entryAddress: first.at });
        assert.deepEqual(steps[entries], { kind: 'invalidate', invalidations });
        assert.deepEqual(steps[entries + 1], {
          kind: 'make',
          entryAddress: first.at,
          entry: first.entry & ~CONTIGUOUS,
        });
        // All of the group's pages, as the single pages that may be cached.
        const resized = invalidations.filter(({ why }) => why === 'resized');
        assert.deepEqual(
          resized.map(({ gva, size: bytes, pageSize: each }) => [gva, bytes, each]),
          [[start, size, pageSize]],
        );
      }
    });
  }

  it('T7: a whole group is changed as one, and stays one', () => {
    const { tables, leaf, mark } = sceneOf(FOUR_K);
    const range = { format: FOUR_K, gva: 0x1_0000n, length: 0x2_0000 };
    map(tables, { ...range, gpa: 0x1_0000, write: true, maxPageSize: 4096 });
    mark(0x1_0000n, 32, CONTIGUOUS);
    const group = { ...range, length: 0x1_0000 };
    const narrower = protect(tables, { ...group, write: false, software: 3 });
    assert.deepEqual(narrower.steps, []);
    for (let i = 0; i < 16; i++) assert.notEqual(leaf(0x1_0000n + BigInt(i * 0x1000)).entry & CONTIGUOUS, 0n);
    // Another type is another kind of page: each of them is broken.
    const other = protect(tables, { ...group, memoryType: 1 });
    assert.equal(other.steps.length, 33);
    assert.notEqual(leaf(0x1_5000n).entry & CONTIGUOUS, 0n);
    const { unmapped, steps } = unmap(tables, group);
    assert.deepEqual([unmapped, steps], [0x1_0000, []]);
    assert.notEqual(leaf(0x2_0000n).entry & CONTIGUOUS, 0n);
  });

  it('T7: what was used or written of a group is not forgotten when it ends', () => {
    const { tables, leaf, mark } = sceneOf(FOUR_K);
    const page = { format: FOUR_K, gva: 0x2000n, length: 0x1000 };
    map(tables, { ...page, gva: 0n, gpa: 0, length: 0x1_0000, accessed: false, maxPageSize: 4096 });
    // Clean, but for one page; and one that the hardware does not look after.
    mark(0n, 16, CONTIGUOUS | DBM);
    const at = (i: number): number => leaf(BigInt(i * 4096)).at;
    tables.writeEntry(at(7), (leaf(0x7000n).entry & ~READ_ONLY) | ACCESSED, 8);
    tables.writeEntry(at(9), leaf(0x9000n).entry & ~DBM, 8);
    protect(tables, { ...page, controls: { hd: true }, software: 1 });
    for (let i = 0; i < 16; i++) {
      const { entry } = leaf(BigInt(i * 4096));
      assert.equal(entry & (CONTIGUOUS | ACCESSED), ACCESSED, `page ${i} counts as used`);
      assert.equal(entry & READ_ONLY, i === 9 ? READ_ONLY : 0n, `page ${i} counts as written`);
    }
  });

  it('T7: marks of second stages count as well; what nobody used or wrote stays so', () => {
    const format = aarch64Stage2Format({ granule: 4096, inputBits: 40 });
    for (const written of [false, true]) {
      const { tables, leaf, mark } = sceneOf(format);
      const page = { format, gva: 0x2000n, length: 0x1000 };
      map(tables, { ...page, gva: 0n, gpa: 0, length: 0x1_0000, accessed: false, maxPageSize: 4096 });
      mark(0n, 16, CONTIGUOUS | DBM);
      // S2AP[1] is set when the hardware writes through the page; AP[2] of stage 1 is cleared.
      if (written) mark(0x7000n, 1, 0x80n);
      protect(tables, { ...page, controls: { hd: true }, software: 1 });
      for (let i = 0; i < 16; i++) {
        const { entry } = leaf(BigInt(i * 4096));
        assert.equal(entry & (0x80n | ACCESSED), written ? 0x80n : 0n, `page ${i}`);
      }
    }
    const { tables, leaf, mark } = sceneOf(FOUR_K);
    map(tables, { format: FOUR_K, gva: 0n, gpa: 0, length: 0x1_0000, maxPageSize: 4096 });
    mark(0n, 16, CONTIGUOUS | DBM);
    unmap(tables, { format: FOUR_K, gva: 0xf000n, length: 0x1000 });
    assert.equal(leaf(0n).entry & (READ_ONLY | ACCESSED), READ_ONLY | ACCESSED, 'clean');
  });

  it('T7: a format without marks has groups too, and what is no leaf is of none', () => {
    const { marks: _, ...format } = FOUR_K;
    const { tables, leaf, mark } = sceneOf(format);
    const page = { format, gva: 0x3000n, length: 0x1000 };
    map(tables, { ...page, gva: 0n, gpa: 0, length: 0x1_0000, maxPageSize: 4096 });
    mark(0n, 16, CONTIGUOUS);
    const { at } = leaf(0x3000n);
    unmap(tables, page);
    assert.equal(leaf(0x4000n).entry & CONTIGUOUS, 0n);
    // What is left in an entry that is not valid says nothing.
    tables.writeEntry(at, CONTIGUOUS, 8);
    assert.deepEqual(unmap(tables, page).steps, []);
    assert.equal(tables.readEntry(at, 8), CONTIGUOUS);
  });

  it('T7: without hardware that keeps dirty state, a read-only page of a group stays one', () => {
    const { tables, leaf, mark } = sceneOf(FOUR_K);
    const page = { format: FOUR_K, gva: 0x2000n, length: 0x1000 };
    map(tables, { ...page, gva: 0n, gpa: 0, length: 0x1_0000, maxPageSize: 4096 });
    mark(0n, 16, CONTIGUOUS | DBM);
    tables.writeEntry(leaf(0x7000n).at, leaf(0x7000n).entry & ~READ_ONLY, 8);
    protect(tables, { ...page, software: 1 });
    assert.deepEqual([leaf(0n).entry & READ_ONLY, leaf(0x7000n).entry & READ_ONLY], [READ_ONLY, 0n]);
  });

  it('T7: neither a split nor a merge carries the bit to leaves of another size', () => {
    const { tables, leaf, mark } = sceneOf(FOUR_K);
    const large = 0x20_0000;
    const whole = { format: FOUR_K, gva: BigInt(16 * large), length: 16 * large };
    map(tables, { ...whole, gpa: 0 });
    mark(whole.gva, 16, CONTIGUOUS, large);
    unmap(tables, { ...whole, gva: whole.gva + 0x5000n, length: 0x1000 });
    assert.equal(leaf(whole.gva + 0x6000n).level, 3);
    assert.equal(leaf(whole.gva + 0x6000n).entry & CONTIGUOUS, 0n);
    assert.equal(leaf(whole.gva + BigInt(large)).entry & CONTIGUOUS, 0n, 'the blocks are no group any more');

    map(tables, { ...whole, gva: whole.gva + 0x5000n, gpa: 0x5000, length: 0x1000 });
    // Half of its pages in groups: the same memory all the same.
    mark(whole.gva, 256, CONTIGUOUS);
    const { merged } = merge(tables, whole);
    assert.equal(merged, 1);
    const block = leaf(whole.gva);
    assert.deepEqual([block.level, block.entry & CONTIGUOUS], [2, 0n]);
  });

  it('T7: a root that is shorter than a group is one', () => {
    const format = aarch64Stage1Format({ granule: 4096, inputBits: 33 });
    const { tables, leaf, mark } = sceneOf(format);
    const gigabyte = 0x4000_0000;
    map(tables, { format, gva: 0n, gpa: 0, length: 8 * gigabyte });
    mark(0n, 8, CONTIGUOUS, gigabyte);
    const { steps } = protect(tables, { format, gva: 0n, length: gigabyte, write: true });
    assert.equal(steps.length, 17);
    assert.equal(leaf(BigInt(7 * gigabyte)).entry & CONTIGUOUS, 0n);
    mark(0n, 8, CONTIGUOUS, gigabyte);
    assert.deepEqual(protect(tables, { format, gva: 0n, length: 8 * gigabyte, write: true }).steps, []);
  });

  it('T7: any sequence of edits leaves whole groups, and breaks before it makes', () => {
    const pages = 64;
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            what: fc.constantFrom('map', 'unmap', 'write', 'type', 'global', 'merge', 'group', 'group'),
            page: fc.nat(pages - 1),
            count: fc.integer({ min: 1, max: 40 }),
            flag: fc.boolean(),
          }),
          { maxLength: 12 },
        ),
        (edits) => {
          const { tables } = sceneOf(FOUR_K, 16);
          const format = FOUR_K;
          const invalidate = (): void => {
            tables.events.push('invalidate');
          };
          /** The pages that are mapped, with what a walk says of them. */
          const seen = (): Map<bigint, string> =>
            new Map(
              Array.from(mappings(new Translator({ tables, format }), { coalesce: false }), (record) => {
                assert(record.kind === 'mapped');
                const { gva, gpa, rights, memoryType, global } = record;
                return [gva, `${gpa} ${rights.write} ${memoryType} ${global}`];
              }),
            );
          for (const { what, page, count, flag } of edits) {
            const range = { format, gva: BigInt(page * 4096), length: count * 4096, invalidate };
            const before = seen();
            tables.events.length = 0;
            const covered = Array.from({ length: count }, (_, i) => BigInt((page + i) * 4096));
            const all = covered.every((gva) => before.has(gva));
            switch (what) {
              case 'map':
                if (covered.some((gva) => before.has(gva))) continue;
                map(tables, {
                  format,
                  gva: range.gva,
                  gpa: page * 4096,
                  length: range.length,
                  maxPageSize: 4096,
                });
                break;
              case 'unmap':
                unmap(tables, range);
                break;
              case 'merge':
                merge(tables, { ...range, gva: 0n, length: 0x20_0000 });
                break;
              case 'group':
                groupWhatCanBe(tables);
                tables.events.length = 0;
                break;
              default:
                if (!all) continue;
                if (what === 'write') protect(tables, { ...range, write: flag });
                if (what === 'type') protect(tables, { ...range, memoryType: Number(flag) });
                if (what === 'global') protect(tables, { ...range, global: flag });
            }
            assertBroken(tables.events);
            const after = seen();
            for (const [gva, told] of before)
              if (!covered.includes(gva)) assert.equal(after.get(gva), told, `${what}: ${gva} is none of it`);
            assertWholeGroups(tables);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  /** The entries of the one table of pages. */
  function pageTable(tables: BufferTables): { at: number; entries: bigint[] } | undefined {
    const last = new Translator({ tables, format: FOUR_K }).translate(0x1f_f000n).levels.at(-1);
    if (last?.level !== 3) return undefined;
    const at = last.entryAddress - 511 * 8;
    return { at, entries: Array.from({ length: 512 }, (_, i) => tables.readEntry(at + i * 8, 8) ?? 0n) };
  }

  /** As an operating system does: aligned pages that are alike become a group. */
  function groupWhatCanBe(tables: BufferTables): void {
    const table = pageTable(tables);
    for (let first = 0; table !== undefined && first < 512; first += 16) {
      const [head = 0n, ...others] = table.entries.slice(first, first + 16);
      const alike = others.every((entry, i) => entry === head + BigInt((i + 1) * 4096));
      if ((head & 1n) === 0n || !alike || (head >> 12n) % 16n !== 0n) continue;
      for (let i = first; i < first + 16; i++)
        tables.writeEntry(table.at + i * 8, (table.entries[i] ?? 0n) | CONTIGUOUS, 8);
    }
  }

  function assertWholeGroups(tables: BufferTables): void {
    const entries = pageTable(tables)?.entries ?? [];
    for (let first = 0; first < entries.length; first += 16) {
      const group = entries.slice(first, first + 16);
      const bits = group.filter((entry) => (entry & CONTIGUOUS) !== 0n).length;
      assert(bits === 0 || bits === 16, `${bits} of 16`);
      if (bits === 16)
        assert(
          group.every((entry, i) => entry === (group[0] ?? 0n) + BigInt(i * 4096)),
          'all alike',
        );
    }
  }

  /** DDI 0487, D8.16: which changes of a live entry need break-before-make; here those that edits make. */
  function assertBroken(events: Watched['events']): void {
    const broken = new Set<number>();
    const whatCounts = 0x0000_ffff_ffff_f000n | CONTIGUOUS | (7n << 2n) | 2n;
    for (const event of events) {
      if (event === 'invalidate') {
        broken.clear();
        continue;
      }
      const [address, before, after] = event;
      if ((after & 1n) === 0n) {
        if ((before & 1n) !== 0n) broken.add(address);
        continue;
      }
      assert(!broken.has(address), 'made before it was invalidated');
      if ((before & 1n) === 0n) continue;
      assert.equal((before ^ after) & whatCounts, 0n, 'changed in place');
      const becomesGlobal = (before & 2n) !== 0n && (before & 0x800n) !== 0n && (after & 0x800n) === 0n;
      assert(!becomesGlobal, 'made global in place');
    }
    assert.equal(broken.size, 0, 'nothing is left that was not invalidated');
  }
});

describe('break before make, as steps', () => {
  const whole = { format: FOUR_K, gva: 0x20_0000n, length: 0x20_0000 };

  it('T7: a page becomes global by way of nothing, and stops being so in place', () => {
    const { tables, leaf } = sceneOf(FOUR_K);
    const page = { ...whole, length: 0x1000 };
    map(tables, { ...page, gpa: 0 });
    const { at, entry } = leaf(page.gva);
    const global = protect(tables, { ...page, global: true });
    assert.deepEqual(global.steps, [
      { kind: 'break', entryAddress: at },
      { kind: 'invalidate', invalidations: global.invalidations },
      { kind: 'make', entryAddress: at, entry: entry & ~0x800n },
    ] satisfies EditStep[]);
    assert.deepEqual(protect(tables, { ...page, global: false }).steps, []);
    assert.equal(leaf(page.gva).entry, entry);
  });

  it('T7: what is changed in place is written before the invalidation as well', () => {
    const { tables, leaf } = sceneOf(FOUR_K);
    map(tables, { ...whole, gpa: 0, length: 0x20_2000, write: true });
    const block = leaf(whole.gva);
    const pages = [leaf(0x40_0000n), leaf(0x40_1000n)];
    let during: (bigint | undefined)[] = [];
    const { steps, invalidations } = protect(tables, {
      ...whole,
      gva: 0x3f_f000n,
      length: 0x3000,
      write: false,
      invalidate: () => {
        during = [block, ...pages].map(({ at }) => tables.readEntry(at, 8));
      },
    });
    const after = [block, ...pages].map(({ at }) => tables.readEntry(at, 8));
    assert.deepEqual(during, [0n, ...after.slice(1)]);
    assert.deepEqual(steps, [
      { kind: 'break', entryAddress: block.at },
      ...pages.map(({ at }, i) => ({ kind: 'write', entryAddress: at, entry: after[i + 1] })),
      { kind: 'invalidate', invalidations },
      { kind: 'make', entryAddress: block.at, entry: after[0] },
    ]);
  });

  it('T7: steps are for architectures that need them', () => {
    for (const format of [FOUR_K, RISCV_SV39]) {
      const { tables } = sceneOf(format);
      map(tables, { ...whole, format, gpa: 0, write: true });
      const { steps } = protect(tables, { ...whole, format, length: 0x1000, write: false });
      assert.equal(steps.length, format === FOUR_K ? 3 : 0);
    }
  });

  it('T7: an invalidation tells whether a page was global, or is now', () => {
    for (const format of [FOUR_K, RISCV_SV39]) {
      const { tables, leaf } = sceneOf(format);
      const told = (list: readonly Invalidation[]): boolean[] => list.map(({ global }) => global);
      const page = { format, gva: 0x20_0000n, length: 0x1000 };
      map(tables, { ...page, gpa: 0, global: true });
      map(tables, { ...page, gva: 0x20_1000n, gpa: 0 });
      const both = { ...page, length: 0x2000 };
      assert.deepEqual(told(protect(tables, { ...both, write: true }).invalidations), [true, false]);
      assert.deepEqual(told(protect(tables, { ...both, global: false, software: 1 }).invalidations), [
        true,
        false,
      ]);
      assert.deepEqual(told(protect(tables, { ...page, global: true }).invalidations), [true]);
      const added = map(tables, { ...page, gva: 0x20_2000n, gpa: 0, global: true }).invalidations;
      assert.deepEqual(told(added), format === RISCV_SV39 ? [true] : []);
      if (format === RISCV_SV39) {
        // A table that is global makes everything below it so.
        const upper = new Translator({ tables, format }).translate(0x20_1000n).levels[1];
        assert(upper !== undefined);
        tables.writeEntry(upper.entryAddress, upper.entry | 0x20n, 8);
        assert.equal(leaf(0x20_1000n).entry & 0x20n, 0n);
        assert.deepEqual(told(protect(tables, { ...both, software: 2 }).invalidations), [true]);
        assert.deepEqual(told(map(tables, { ...page, gva: 0x20_3000n, gpa: 0 }).invalidations), [true]);
      }
      const removed = unmap(tables, { ...page, length: 0x20_0000 }).invalidations;
      assert.equal(removed[0]?.global, true);
      const large = { format, gva: 0x4000_0000n, length: 0x20_0000 };
      for (const global of [true, false]) {
        map(tables, { ...large, gpa: 0, global, maxPageSize: 4096 });
        assert.deepEqual(told(merge(tables, large).invalidations), [global]);
        unmap(tables, large);
      }
    }
  });
});

describe('RISC-V pages of 64 KiB', () => {
  const format = RISCV_SV39;
  const whole = { format, gva: 0x1_0000n, length: 0x1_0000 };
  /** One page of 64 KiB at 0x12_8001_0000, between small ones. */
  function scene(): Scene {
    const made = sceneOf(format);
    map(made.tables, {
      ...whole,
      gva: 0n,
      gpa: 0x12_8000_0000,
      length: 0x3_0000,
      write: true,
      accessed: false,
      dirty: false,
    });
    for (let i = 0; i < 16; i++) {
      const { at } = made.leaf(whole.gva + BigInt(i * 4096));
      made.tables.writeEntry(at, NAPOT | (BigInt(0x12_8001_8000) >> 2n) | 7n, 8);
    }
    return made;
  }
  const pageOf = (
    tables: BufferTables,
    gva: bigint,
  ): readonly [gpa: number, pageSize: number, write: boolean] => {
    const found = new Translator({ tables, format }).translate(gva);
    assert(found.kind === 'mapped');
    return [found.gpa, found.pageSize, found.rights.write];
  };

  it('T7: is unmapped and protected whole, and stays one page', () => {
    const { tables, leaf } = scene();
    assert.deepEqual(pageOf(tables, 0x1_3000n), [0x12_8001_3000, 0x1_0000, true]);
    const { leaves, invalidations } = protect(tables, { ...whole, write: false });
    assert.equal(leaves, 16);
    assert.deepEqual(
      invalidations.map(({ gva, size, why }) => [gva, size, why]),
      [[0x1_0000n, 0x1_0000, 'changed']],
    );
    assert.deepEqual(pageOf(tables, 0x1_3000n), [0x12_8001_3000, 0x1_0000, false]);
    assert.equal(
      new Set(Array.from({ length: 16 }, (_, i) => leaf(whole.gva + BigInt(i * 4096)).entry)).size,
      1,
    );
    assert.equal(unmap(tables, whole).unmapped, 0x1_0000);
    assert.equal(new Translator({ tables, format }).translate(0x1_3000n).kind, 'page-fault');
    assert.deepEqual(pageOf(tables, 0xf000n), [0x12_8000_f000, 0x1000, true]);
  });

  it('T7: becomes sixteen pages where a part of it is changed, and marks hold for all of them', () => {
    for (const edit of ['protect', 'unmap'] as const) {
      const { tables, leaf, mark } = scene();
      // The hardware marked the entry that it read.
      mark(0x1_8000n, 1, 0xc0n);
      const part = { format, gva: 0x1_f000n, length: 0x2000 };
      const { invalidations } =
        edit === 'unmap' ? unmap(tables, part) : protect(tables, { ...part, write: false });
      for (let i = 0; i < 16; i++) {
        const gva = 0x1_0000n + BigInt(i * 4096);
        if (i === 15 && edit === 'unmap') {
          assert.equal(new Translator({ tables, format }).translate(gva).kind, 'page-fault');
          continue;
        }
        assert.deepEqual(pageOf(tables, gva), [0x12_8001_0000 + i * 4096, 0x1000, i !== 15]);
        assert.equal(leaf(gva).entry & 0xc0n, 0xc0n);
      }
      assert.deepEqual(
        invalidations.map(({ gva, size, why }) => [gva, size, why]),
        [
          [0x1_0000n, 0x1_0000, 'resized'],
          [0x1_f000n, 0x2000, edit === 'unmap' ? 'removed' : 'changed'],
        ],
      );
    }
  });

  it('T7: sixteen of a kind among them make a page of 2 MiB', () => {
    const { tables, leaf } = sceneOf(format);
    const large = { format, gva: 0x20_0000n, length: 0x20_0000 };
    map(tables, { ...large, gpa: 0x8020_0000, maxPageSize: 4096, write: true });
    for (let i = 0; i < 16; i++) {
      const { at, entry } = leaf(large.gva + BigInt(i * 4096));
      tables.writeEntry(at, NAPOT | (BigInt(0x8020_8000) >> 2n) | (entry & 0x3ffn), 8);
    }
    assert.equal(merge(tables, large).merged, 1);
    assert.deepEqual(pageOf(tables, 0x21_3000n), [0x8021_3000, 0x20_0000, true]);
    assert.equal(leaf(large.gva).entry & NAPOT, 0n);
  });
});

describe('groups that are mapped', () => {
  /** Which pages from an address on have a bit set in their leaf: as runs of so many, with `-` for those that have not. */
  function runs(scene: Scene, gva: bigint, count: number, bit: bigint): string {
    const flags = Array.from({ length: count }, (_, i) =>
      (scene.leaf(gva + BigInt(i * 4096)).entry & bit) === 0n ? '-' : 'x',
    ).join('');
    return flags.replaceAll(/x+|-+/g, (run) => `${run.length}${run[0]} `).trim();
  }

  it('T7: contiguous leaves are made where address, memory and length fit, in new tables and in those in use', () => {
    for (const inUse of [false, true]) {
      const scene = sceneOf(FOUR_K);
      const { tables } = scene;
      if (inUse) map(tables, { format: FOUR_K, gva: 0x1f_f000n, gpa: 0, length: 0x1000 });
      const request = { format: FOUR_K, gva: 0x5000n, gpa: 0x8000_5000, length: 0x4_7000, contiguous: true };
      assert.equal(map(tables, request).leaves, 0x47);
      assert.equal(runs(scene, 0x5000n, 0x47, CONTIGUOUS), '11- 48x 12-');
      const ranges = [...mappings(new Translator({ tables, format: FOUR_K }), { last: 0x10_0000n })];
      assert.equal(ranges.length, 1, 'it is one range of memory');
      // The same memory at addresses that are not aligned with it; and without being asked.
      map(tables, { ...request, gva: 0x6_0000n, gpa: 0x9000_1000 });
      assert.equal(runs(scene, 0x6_0000n, 0x47, CONTIGUOUS), '71-');
      map(tables, { ...request, gva: 0xc_0000n, gpa: 0x9000_0000, contiguous: false });
      assert.equal(runs(scene, 0xc_0000n, 0x47, CONTIGUOUS), '71-');
    }
  });

  it('T7: blocks are contiguous too, but not where a table stands among them', () => {
    const { tables, leaf } = sceneOf(FOUR_K);
    const large = 0x20_0000;
    const whole = { format: FOUR_K, gva: BigInt(32 * large), length: 32 * large };
    prepareTables(tables, { ...whole, gva: whole.gva + BigInt(large), length: large });
    map(tables, { ...whole, gpa: 32 * large, contiguous: true });
    const grouped = (block: number): readonly [level: number, contiguous: boolean] => {
      const { level, entry } = leaf(whole.gva + BigInt(block * large));
      return [level, (entry & CONTIGUOUS) !== 0n];
    };
    assert.deepEqual(
      [grouped(0), grouped(1), grouped(2), grouped(15)],
      [
        [2, false],
        [3, true],
        [2, false],
        [2, false],
      ],
    );
    assert.deepEqual(
      [grouped(16), grouped(31)],
      [
        [2, true],
        [2, true],
      ],
    );
  });

  it('T7: pages of 64 KiB are made on RISC-V, where the hart has them', () => {
    for (const inUse of [false, true]) {
      for (const svnapot of [true, false]) {
        const format = RISCV_SV39;
        const controls = { svnapot };
        const { tables, leaf } = sceneOf(format);
        if (inUse) map(tables, { format, gva: 0x1f_f000n, gpa: 0, length: 0x1000 });
        const request = { format, controls, gva: 0xf000n, gpa: 0x8000_f000, length: 0x2_2000, write: true };
        map(tables, { ...request, contiguous: true });
        const translator = new Translator({ tables, format, controls });
        for (let at = 0xf000; at < 0x3_1000; at += 0x800) {
          const found = translator.translate(BigInt(at), { kind: 'write' });
          assert(found.kind === 'mapped');
          const within = svnapot && at >= 0x1_0000 && at < 0x3_0000;
          assert.deepEqual([found.gpa, found.pageSize], [0x8000_0000 + at, within ? 0x1_0000 : 0x1000]);
        }
        assert.equal(leaf(0x1_0000n).entry === leaf(0x1_f000n).entry, svnapot);
        // Nothing beyond the last group.
        const end = { ...request, gva: 0x40_0000n, gpa: 0x8_0000, length: 0x1_0000 };
        map(tables, { ...end, contiguous: true });
        assert.equal(translator.translate(0x41_0000n).kind, 'page-fault');
        // None where pages are to be smaller.
        const small = { ...request, gva: 0x10_0000n, gpa: 0x10_0000, contiguous: true, maxPageSize: 0x8000 };
        map(tables, small);
        const found = translator.translate(0x10_0000n);
        assert(found.kind === 'mapped' && found.pageSize === 0x1000);
      }
    }
  });

  it('T7: a page that is as large as a group needs no neighbours', () => {
    const [, directory, last] = RISCV_SV39.levels;
    assert(directory !== undefined && last !== undefined);
    const format: PagingFormat = {
      ...RISCV_SV39,
      addressBits: 32,
      upperBits: 'zeros',
      levels: [
        { ...directory, level: 1, indexBit: 24, indexBits: 8 },
        { ...last, level: 0, indexBit: 16, indexBits: 8 },
      ],
    };
    const { tables, leaf } = sceneOf(format);
    map(tables, { format, gva: 0n, gpa: 0, length: 0x4_0000, contiguous: true });
    assert.equal(leaf(0x1_0000n).entry & NAPOT, 0n);
  });

  it('T7: a group is no matter to formats without any', () => {
    const { tables } = sceneOf(X86_4LEVEL);
    const request = { format: X86_4LEVEL, gva: 0n, gpa: 0, length: 0x1_0000, contiguous: true };
    assert.equal(map(tables, request).leaves, 16);
  });
});
