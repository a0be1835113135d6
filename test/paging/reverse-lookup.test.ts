import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { bytes, GuestMemory } from '../../src/core/index.ts';
import {
  ACCESS,
  createRoot,
  FrameRange,
  formatRights,
  GuestTables,
  isPagingError,
  map,
  mappings,
  type PagingFormat,
  ReverseMap,
  type ReverseRecord,
  reverseLookup,
  Translator,
  X86_4LEVEL,
  X86_32,
  X86_PAE,
} from '../../src/paging/index.ts';

const PAGE = 4096;
const GIB = 0x4000_0000;

function brief(records: Iterable<ReverseRecord>): unknown[] {
  return Array.from(records, (record) =>
    record.kind === 'mapped'
      ? [record.space, record.gva, record.gpa, record.size, record.pageSize, formatRights(record.rights)]
      : record,
  );
}

/** Virtual page numbers, by physical page number, of everything that was found. */
function pagesByGpn(records: Iterable<ReverseRecord>): Map<number, number[]> {
  const pages = new Map<number, number[]>();
  for (const record of records) {
    assert(record.kind === 'mapped' || record.kind === 'table-unreadable', 'no budget was used up');
    if (record.kind !== 'mapped') continue;
    for (let at = 0; at < record.size; at += PAGE) {
      const gpn = (record.gpa + at) / PAGE;
      const list = pages.get(gpn) ?? [];
      list.push(Number(record.gva >> 12n) + at / PAGE);
      pages.set(gpn, list);
    }
  }
  return pages;
}

/** Pages of the stretch of the address space that is looked at: a few tables of the last level. */
const STRETCH = 2 ** 13;

/** The same from asking the walker for every page of a stretch. */
function bruteForce(translator: Translator, first: number): Map<number, number[]> {
  const pages = new Map<number, number[]>();
  for (let page = first; page < first + STRETCH; page++) {
    const gpa = translator.resolve(page * PAGE, 0, ACCESS.read);
    if (gpa < 0) continue;
    const list = pages.get(gpa / PAGE) ?? [];
    list.push(page);
    pages.set(gpa / PAGE, list);
  }
  return pages;
}

/** Tables that a guest wrote at random, into a few pages that refer to each other. */
const seed = fc.array(
  fc.record({ page: fc.nat(7), flags: fc.constantFrom(0, 0, 0x1, 0x3, 0x7, 0x83, 0x87, 0x63) }),
  { minLength: 3, maxLength: 12 },
);

function randomTables(entries: readonly { page: number; flags: number }[], format: PagingFormat): Translator {
  const memory = GuestMemory.allocate(8 * PAGE);
  for (let gpa = 0, i = 0; gpa < 8 * PAGE; gpa += format.entrySize * (1 + (i % 5)), i++) {
    const { page = 0, flags = 0 } = entries[(i * 7 + (i >> 4)) % entries.length] ?? {};
    if (format.entrySize === 8) memory.writeU64(gpa, BigInt(page * PAGE + flags));
    else memory.writeU32(gpa, page * PAGE + flags);
  }
  return new Translator({ memory, format, root: 0x2000 });
}

describe('reverse lookup', () => {
  it('T10: finds the page in every space that maps it, and of large pages the part', () => {
    const memory = GuestMemory.allocate(0x20_0000);
    const space = (frames: number): { tables: GuestTables; translator: Translator } => {
      const tables = new GuestTables(memory, { frames: new FrameRange(frames, 0x8_0000) });
      createRoot(tables, X86_4LEVEL);
      return { tables, translator: new Translator({ tables, format: X86_4LEVEL }) };
    };
    const one = space(0x8_0000);
    const two = space(0x10_0000);
    const format = X86_4LEVEL;
    map(one.tables, { format, gva: 0x40_0000n, gpa: 0x60_5000, length: PAGE, user: true });
    map(one.tables, { format, gva: 0xffff_8880_0000_0000n, gpa: 0, length: GIB, write: true });
    map(two.tables, { format, gva: 0x7000n, gpa: 0x60_4000, length: 3 * PAGE, execute: true });
    const spaces = [one.translator, two.translator];
    const wanted = [
      [0, 0x40_0000n, 0x60_5000, PAGE, PAGE, 'r--u'],
      [0, 0xffff_8880_0060_5000n, 0x60_5000, PAGE, GIB, 'rw-s'],
      [1, 0x8000n, 0x60_5000, PAGE, PAGE, 'r-xs'],
    ];
    assert.deepEqual(brief(reverseLookup(spaces, 0x60_5678)), wanted);
    assert.deepEqual(brief(new ReverseMap(spaces).lookup(0x60_5678)), wanted);
    const two_pages = [
      [0, 0x40_0000n, 0x60_5000, PAGE, PAGE, 'r--u'],
      [0, 0xffff_8880_0060_4000n, 0x60_4000, 2 * PAGE, GIB, 'rw-s'],
      [1, 0x7000n, 0x60_4000, 2 * PAGE, PAGE, 'r-xs'],
    ];
    assert.deepEqual(brief(reverseLookup(spaces, 0x60_4fff, 2)), two_pages);
    assert.deepEqual(brief(new ReverseMap(new Set(spaces)).lookup(0x60_4fff, 2)), two_pages);
    assert.deepEqual(brief(reverseLookup(one.translator, GIB)), []);
    assert.deepEqual(brief(reverseLookup(spaces, 0x60_5000, 1, { first: 0x8000n, last: 0x4f_ffffn })), [
      wanted[0],
      wanted[2],
    ]);
  });

  it('T10: every page of random tables, against asking for every page of the space', () => {
    for (const format of [X86_32, X86_PAE]) {
      fc.assert(
        fc.property(seed, fc.nat(2 ** 20 - STRETCH), (entries, first) => {
          const translator = randomTables(entries, format);
          const expected = bruteForce(translator, first);
          const within = { first: BigInt(first) << 12n, last: (BigInt(first + STRETCH) << 12n) - 1n };
          const all = pagesByGpn(reverseLookup(translator, 0, 2 ** 40, within));
          assert.deepEqual([...all.keys()].sort(), [...expected.keys()].sort());
          for (const [gpn, pages] of expected) {
            assert.deepEqual(all.get(gpn), pages);
            // Of the pages of large ones, some.
            if (gpn < 12 || gpn % 97 === 0)
              assert.deepEqual(pagesByGpn(reverseLookup(translator, gpn * PAGE, 1, within)).get(gpn), pages);
          }
          const index = new ReverseMap(translator, within);
          for (const [gpn, pages] of expected) {
            assert.deepEqual(pagesByGpn(index.lookup(gpn * PAGE + 5)).get(gpn), pages);
          }
          assert.deepEqual(index.lookup(0x30_0000_0000), []);
        }),
        { numRuns: 4 },
      );
    }
  });

  it('T10: aliases within aliases, taken over without a second walk, are those that a second walk finds', () => {
    const memory = GuestMemory.allocate(0x8000);
    // Root 0: three times the same PDPT, which has twice the same PD, which has twice the same PT and a large page.
    for (const index of [0, 1, 256]) memory.writeU64(index * 8, 0x1007n);
    for (const index of [0, 5]) memory.writeU64(0x1000 + index * 8, 0x2007n);
    for (const index of [0, 1, 3]) memory.writeU64(0x2000 + index * 8, 0x3007n);
    memory.writeU64(0x2000 + 2 * 8, 0x87n);
    for (const index of [0, 1, 2, 511])
      memory.writeU64(0x3000 + index * 8, BigInt(index % 3) * 0x1000n + 0x5007n);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0 });
    for (const gpa of [0x5000, 0x6000, 0x7000, 0x1f_f000]) {
      const walked: unknown[] = [];
      for (const record of mappings(translator, { expandAliases: true, coalesce: false })) {
        if (record.kind !== 'mapped' || gpa < record.gpa || gpa >= record.gpa + record.size) continue;
        walked.push(record.gva + BigInt(gpa - record.gpa));
      }
      assert(walked.length >= 3 * 2, 'there are many');
      const found = [...reverseLookup(translator, gpa)];
      assert.deepEqual(
        found.map((record) => record.gva),
        walked,
      );
      assert(
        found.every((record) => record.kind === 'mapped' && record.gpa === gpa && record.size === PAGE),
        'each the page alone',
      );
      assert.deepEqual(
        new ReverseMap(translator).lookup(gpa).map((record) => record.gva),
        walked,
      );
    }
  });

  it('T10: an alias repeats its own part only of a range that is longer than the table', () => {
    const memory = GuestMemory.allocate(0x6000);
    memory.writeU64(0, 0x1007n);
    memory.writeU64(0x1000, 0x2007n);
    // Two tables in a row map 4 MiB without a gap; then the second one again.
    memory.writeU64(0x2000, 0x3007n);
    memory.writeU64(0x2008, 0x4007n);
    memory.writeU64(0x2010, 0x4007n);
    for (let i = 0; i < 1024; i++) memory.writeU64(0x3000 + i * 8, BigInt(i) * 0x1000n + 0x100_0007n);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0 });
    assert.deepEqual(brief(reverseLookup(translator, 0x100_0000, 0x40_0000)), [
      [0, 0n, 0x100_0000, 0x40_0000, PAGE, 'rwxu'],
      [0, 0x40_0000n, 0x120_0000, 0x20_0000, PAGE, 'rwxu'],
    ]);
    assert.deepEqual(brief(reverseLookup(translator, 0x11f_f000, 0x2000)), [
      [0, 0x1f_f000n, 0x11f_f000, 0x2000, PAGE, 'rwxu'],
      [0, 0x40_0000n, 0x120_0000, 0x1000, PAGE, 'rwxu'],
    ]);
  });

  it('T10: what is kept has an end, that of its own for each address space or one for an index of several', () => {
    // Four pages of tables that map one page everywhere.
    const memory = GuestMemory.allocate(0x8000);
    for (const table of [0x1000, 0x2000, 0x3000, 0x4000])
      for (let i = 0; i < 512; i++) memory.writeU64(table + 8 * i, BigInt(table + 0x1000) | 7n);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0x1000 });
    const found = [...reverseLookup([translator, translator], 0x5000, 1, { ranges: 700 })];
    assert.equal(found.length, 2 * 701);
    assert.deepEqual(found[700], { kind: 'budget', gva: 700n * 0x1000n, space: 0 });
    assert.deepEqual(found[1401], { kind: 'budget', gva: 700n * 0x1000n, space: 1 });
    const [on] = reverseLookup(translator, 0x5000, 1, { first: 700n * 0x1000n, ranges: 1 });
    assert(on?.kind === 'mapped');
    assert.equal(on.gva, 700n * 0x1000n);

    const index = new ReverseMap([translator, translator], { ranges: 700 });
    assert.equal(index.size, 700);
    assert.deepEqual(index.unknown, [
      { kind: 'budget', gva: 700n * 0x1000n, space: 0 },
      { kind: 'budget', gva: 0n, space: 1 },
    ]);
    for (const ranges of [0, -1, 1.5]) {
      assert.throws(() => [...reverseLookup(translator, 0, 1, { ranges })], isPagingError);
      assert.throws(() => new ReverseMap(translator, { ranges }), isPagingError);
    }
  });

  it('T10: tables that all refer to themselves end within the budget, in any case lazily', () => {
    const memory = GuestMemory.allocate(PAGE);
    for (let i = 0; i < 512; i++) memory.writeU64(i * 8, 7n);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0 });
    // 2^36 virtual pages map page 0. The first ones come at once ...
    const lookup = reverseLookup(translator, 0);
    assert.equal(lookup.next().value?.gva, 0n);
    assert.equal(lookup.next().value?.gva, 0x1000n);
    // ... and a budget ends it, with the place to go on from.
    const found = [...reverseLookup(translator, 0, 1, { budget: 5000 })];
    const last = found.pop();
    assert(last?.kind === 'budget');
    assert.equal(found.length, 512 + 5000);
    assert.equal(last.gva, BigInt(found.length) << 12n);
    const index = new ReverseMap(translator, { budget: 5000 });
    assert.equal(index.size, 512 + 5000);
    assert.deepEqual(index.unknown, [last]);
    const [on] = reverseLookup(translator, 0, 1, { first: last.gva, budget: 5000 });
    assert.equal(on?.gva, last.gva);
    // A budget of entries ends it as well.
    const short = [...reverseLookup(translator, 0, 1, { budget: 100 })];
    assert.equal(short.at(-1)?.kind, 'budget');
    // No page but that one is mapped: nothing is found, and nothing repeated.
    assert.deepEqual([...reverseLookup(translator, 0x1000)], []);
  });

  it('T10: tables that cannot be read are said, for nobody knows what they map; reserved entries map nothing', () => {
    const memory = GuestMemory.fromRegions([{ start: 0, backing: bytes(new Uint8Array(0x4000)) }]);
    memory.writeU64(0, 0x1007n);
    memory.writeU64(0x1000, 0x2007n);
    memory.writeU64(0x1008, 0x70_0000_0007n);
    memory.writeU64(0x2000, 0x3007n);
    memory.writeU64(0x3000, 0x9007n);
    memory.writeU64(0x2008, 0x0020_2087n); // a reserved bit of a large page
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0 });
    const records = [...reverseLookup(translator, 0x9000)];
    assert.deepEqual(
      records.map(({ kind, gva, space }) => [kind, gva, space]),
      [
        ['mapped', 0n, 0],
        ['table-unreadable', 0x4000_0000n, 0],
      ],
    );
    const index = new ReverseMap([translator, translator]);
    assert.deepEqual(
      index.unknown.map(({ kind, space }) => [kind, space]),
      [
        ['table-unreadable', 0],
        ['table-unreadable', 1],
      ],
    );
    assert.deepEqual(brief(index.lookup(0x20_0000)), []);
  });

  it('T10: the index finds every range among long and short ones that overlap in memory', () => {
    const memory = GuestMemory.allocate(0x20_0000);
    fc.assert(
      fc.property(
        fc.array(fc.record({ gpn: fc.nat(200), pages: fc.integer({ min: 1, max: 60 }) }), { maxLength: 30 }),
        fc.array(fc.record({ gpn: fc.nat(260), pages: fc.integer({ min: 1, max: 30 }) }), { maxLength: 20 }),
        (ranges, questions) => {
          memory.fillAt(0, 0, 0x20_0000);
          const tables = new GuestTables(memory, { frames: new FrameRange(0, 0x20_0000) });
          createRoot(tables, X86_4LEVEL);
          for (const [i, { gpn, pages }] of ranges.entries()) {
            const request = { gva: BigInt(i) << 21n, gpa: gpn * PAGE, length: pages * PAGE };
            map(tables, { format: X86_4LEVEL, maxPageSize: PAGE, ...request });
          }
          const translator = new Translator({ tables, format: X86_4LEVEL });
          const index = new ReverseMap(translator);
          assert.equal(index.size, ranges.length);
          for (const { gpn, pages } of questions) {
            const expected = ranges.flatMap((range, i) => {
              const from = Math.max(range.gpn, gpn);
              const to = Math.min(range.gpn + range.pages, gpn + pages);
              const gva = (BigInt(i) << 21n) + BigInt((from - range.gpn) * PAGE);
              return from < to ? [[0, gva, from * PAGE, (to - from) * PAGE, PAGE, 'r--s']] : [];
            });
            assert.deepEqual(brief(index.lookup(gpn * PAGE, pages * PAGE)), expected);
            assert.deepEqual(brief(reverseLookup(translator, gpn * PAGE, pages * PAGE)), expected);
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('T10: refuses numbers that are none', () => {
    const translator = new Translator({ memory: GuestMemory.allocate(PAGE), format: X86_4LEVEL, root: 0 });
    for (const [gpa, length] of [
      [-1, 1],
      [0.5, 1],
      [Number.NaN, 1],
      [2 ** 53, 1],
      [0, 0],
      [0, -1],
      [2 ** 53 - 1, 2],
    ] as const) {
      assert.throws(() => reverseLookup(translator, gpa, length), isPagingError);
      assert.throws(() => new ReverseMap(translator).lookup(gpa, length), isPagingError);
    }
    assert.throws(() => [...reverseLookup(translator, 0, 1, { budget: 0 })], isPagingError);
    assert.throws(() => new ReverseMap(translator, { first: -1n }), isPagingError);
    assert.deepEqual(new ReverseMap([]).lookup(0), []);
  });
});
