import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { callbacks, GuestMemory, heap, type MemoryBacking } from '../../src/core/index.ts';
import {
  type MappingRecord,
  type MappingsOptions,
  mappings,
  type PagingFormat,
  RISCV_SV39,
  Translator,
  X86_4LEVEL,
  X86_32,
} from '../../src/paging/index.ts';

const GIB = 0x4000_0000;
const PAGE = 4096;

/** An entry of RISC-V for a physical address: its page number from bit 10 on. */
const pte = (gpa: number, flags: bigint): bigint => (BigInt(gpa / PAGE) << 10n) | flags;
const POINTER = 0x01n;
const RWXAD = 0xcfn;

type Entries = readonly (readonly [gpa: number, entry: bigint])[];

function memoryOf(entries: Entries, memory: GuestMemory = GuestMemory.allocate(0x1_0000)): GuestMemory {
  for (const [gpa, entry] of entries) memory.writeU64(gpa, entry);
  return memory;
}

/** The root at 0x1000, then 0x2000 and 0x3000: down to the table of the last level, at 0x4000. */
const X86_CHAIN: Entries = [
  [0x1000, 0x2003n],
  [0x2000, 0x3003n],
  [0x3000, 0x4003n],
];
const SV39_CHAIN: Entries = [
  [0x1000, pte(0x2000, POINTER)],
  [0x2000, pte(0x4000, POINTER)],
];

/** A row of entries in the table at 0x4000. */
const leaves = (...row: readonly bigint[]): Entries => row.map((entry, i) => [0x4000 + 8 * i, entry]);

/** Ranges as [gva, size, gpa], what else there is as its record. */
function brief(records: Iterable<MappingRecord>): unknown[] {
  return Array.from(records, (record) =>
    record.kind === 'mapped' ? [record.gva, record.size, record.gpa] : record,
  );
}

function list(
  entries: Entries,
  options: MappingsOptions = {},
  format: PagingFormat = X86_4LEVEL,
  controls: object = {},
): unknown[] {
  return brief(
    mappings(new Translator({ memory: memoryOf(entries), format, root: 0x1000, controls }), options),
  );
}

describe('runs of leaves', () => {
  const large: Entries = Array.from({ length: 512 }, (_, i) => [
    0x3000 + 8 * i,
    BigInt(i * 0x20_0000) | 0x83n,
  ]);
  const small: Entries = Array.from({ length: 512 }, (_, i) => [0x4000 + 8 * i, BigInt(i * PAGE) | 3n]);

  it('T6: end where the bounds end, within a large page too', () => {
    const entries = [...X86_CHAIN, ...large];
    for (const [first, last] of [
      [0x20_1000, 0x20_1fff],
      [0x20_1000, 0x3f_ffff],
      [0x20_1000, 0x40_0fff],
      [0x20_1000, 0x60_2fff],
      [0, 0x3fdf_ffff],
      [0x3fff_f000, 0x3fff_ffff],
    ] as const) {
      const wanted = [[BigInt(first), last + 1 - first, first]];
      assert.deepEqual(list(entries, { first: BigInt(first), last: BigInt(last) }), wanted);
    }
  });

  it('T6: each leaf of a run counts for the budget', () => {
    const entries = [...X86_CHAIN, ...small];
    const budget = (gva: bigint, reads: number): unknown => ({ kind: 'budget', gva, reads });
    // One entry in each of three tables, then leaves.
    assert.deepEqual(list(entries, { budget: 4 }), [[0n, PAGE, 0], budget(0x1000n, 4)]);
    assert.deepEqual(list(entries, { budget: 13 }), [[0n, 10 * PAGE, 0], budget(0xa000n, 13)]);
    assert.deepEqual(list(entries, { budget: 515 }), [[0n, 512 * PAGE, 0], budget(0x20_0000n, 515)]);
    assert.deepEqual(list(entries, { last: 0x1f_ffffn, budget: 515 }), [[0n, 512 * PAGE, 0]]);
  });

  it('T6: end before the upper half of the address space, and another begins there', () => {
    const upper = 0xffff_ffc0_0000_0000n;
    // Pages of 1 GiB, 8 GiB further up than their addresses in the lower half.
    const rows = (from: number, to: number): Entries =>
      Array.from({ length: to - from + 1 }, (_, i) => [
        0x1000 + 8 * (from + i),
        pte((from + i + 8) * GIB, RWXAD),
      ]);
    assert.deepEqual(list(rows(253, 258), {}, RISCV_SV39), [
      [253n << 30n, 3 * GIB, 261 * GIB],
      [upper, 3 * GIB, 264 * GIB],
    ]);
    assert.deepEqual(list(rows(255, 256), {}, RISCV_SV39), [
      [255n << 30n, GIB, 263 * GIB],
      [upper, GIB, 264 * GIB],
    ]);
    assert.deepEqual(list(rows(257, 511), {}, RISCV_SV39), [[upper + (1n << 30n), 255 * GIB, 265 * GIB]]);
  });

  it('T6: go on above 4 GiB, and do not begin again at 0', () => {
    for (const rights of [1n, 3n]) {
      const row = (...gpas: readonly bigint[]): Entries => [
        ...X86_CHAIN,
        ...leaves(...gpas.map((gpa) => gpa | rights)),
      ];
      assert.deepEqual(list(row(0xffff_e000n, 0xffff_f000n, 0x1_0000_0000n, 0x1_0000_1000n)), [
        [0n, 4 * PAGE, 0xffff_e000],
      ]);
      assert.deepEqual(list(row(0xffff_e000n, 0xffff_f000n, 0n, 0x1000n)), [
        [0n, 2 * PAGE, 0xffff_e000],
        [0x2000n, 2 * PAGE, 0],
      ]);
    }
  });

  it('T6: end with physical memory: an access to what lies beyond is a fault', () => {
    for (const physicalBits of [32, 33, 34, 35]) {
      const end = 2 ** physicalBits;
      const row = [-2, -1, 0, 1].map((page) => pte(end + page * PAGE, RWXAD));
      const entries = [...SV39_CHAIN, ...leaves(...row)];
      const beyond = { kind: 'reserved', gva: 0x2000n, size: 2 * PAGE, level: 0, entryAddress: 0x4010 };
      assert.deepEqual(list(entries, {}, RISCV_SV39, { physicalBits }), [
        [0n, 2 * PAGE, end - 2 * PAGE],
        beyond,
      ]);
      assert.deepEqual(list(entries, {}, RISCV_SV39), [[0n, 4 * PAGE, end - 2 * PAGE]]);
    }
  });

  it('T6: pages that lie wholly beyond physical memory are one range that is not mapped, in a row or not', () => {
    for (const physicalBits of [32, 35]) {
      const row = [0, 1, 2, 5, 9].map((page) => pte(2 ** physicalBits + page * PAGE, RWXAD));
      assert.deepEqual(list([...SV39_CHAIN, ...leaves(...row)], {}, RISCV_SV39, { physicalBits }), [
        { kind: 'reserved', gva: 0n, size: 5 * PAGE, level: 0, entryAddress: 0x4000 },
      ]);
    }
  });

  it('T6: are of pages that follow each other, neither backwards nor with pages between', () => {
    const alone = (...gpas: readonly number[]): unknown[] =>
      gpas.map((gpa, i) => [BigInt(i * PAGE), PAGE, gpa]);
    for (const gpas of [
      [0x9000, 0x8000, 0x7000],
      [0x9000, 0x9000, 0x9000],
      [0x9000, 0xb000, 0xd000],
      [0x1_0000, 0x2_0000, 0x3_0000],
    ]) {
      const row = leaves(...gpas.map((gpa) => BigInt(gpa) | 3n));
      assert.deepEqual(list([...X86_CHAIN, ...row]), alone(...gpas));
      const rowOfRiscv = leaves(...gpas.map((gpa) => pte(gpa, RWXAD)));
      assert.deepEqual(list([...SV39_CHAIN, ...rowOfRiscv], {}, RISCV_SV39), alone(...gpas));
    }
  });

  it('T6: of a table that could not be read at once owe nothing to one that could', () => {
    const second = new Uint8Array(PAGE);
    const calls = callbacks({
      size: PAGE,
      read: (offset, dest) => dest.set(second.subarray(offset, offset + dest.length)),
    });
    const backings: [number, MemoryBacking][] = [
      [0, heap(0x8000)],
      [0x8000, calls],
    ];
    const memory = GuestMemory.fromRegions(backings.map(([start, backing]) => ({ start, backing })));
    memoryOf([...X86_CHAIN, ...small, [0x3008, 0x8003n]], memory);
    // Its one page is the first one of the other table.
    new DataView(second.buffer).setBigUint64(0, 3n, true);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0x1000 });
    assert.deepEqual(brief(mappings(translator)), [
      [0n, 512 * PAGE, 0],
      [0x20_0000n, PAGE, 0],
    ]);
    assert.equal([...mappings(translator, { coalesce: false })].length, 513);
  });
});

describe('leaves one by one', () => {
  /** Pages of 1 GiB, from 5 GiB on, at 0. */
  const large: Entries = Array.from({ length: 12 }, (_, i) => [
    0x2000 + 8 * i,
    BigInt((5 + i) * GIB) | 0x83n,
  ]);
  const single = (options: MappingsOptions): unknown[] =>
    list([...X86_CHAIN, ...large], { coalesce: false, ...options });
  const page = (i: number): unknown[] => [BigInt(i) << 30n, GIB, (5 + i) * GIB];

  it('T6: go on above 4 GiB', () => {
    assert.deepEqual(
      single({}),
      large.map((_, i) => page(i)),
    );
    const second = single({ first: 0x4000_0000n });
    assert.deepEqual(
      second,
      large.slice(1).map((_, i) => page(1 + i)),
    );
  });

  it('T6: are cut by the bounds, the first and the last', () => {
    assert.deepEqual(single({ first: 0x7fff_f000n, last: 0x1_0000_0fffn }), [
      [0x7fff_f000n, PAGE, 6 * GIB + 0x3fff_f000],
      page(2),
      page(3),
      [0x1_0000_0000n, PAGE, 9 * GIB],
    ]);
    assert.deepEqual(single({ first: 0x4000_1000n, last: 0x4000_1fffn }), [
      [0x4000_1000n, PAGE, 6 * GIB + PAGE],
    ]);
  });

  it('T6: count for the budget each', () => {
    const budget = (i: number, reads: number): unknown => ({ kind: 'budget', gva: BigInt(i) << 30n, reads });
    assert.deepEqual(single({ budget: 2 }), [page(0), budget(1, 2)]);
    assert.deepEqual(single({ budget: 4 }), [page(0), page(1), page(2), budget(3, 4)]);
    assert.deepEqual(single({ budget: 12 }).slice(-2), [page(10), budget(11, 12)]);
  });

  it('T6: end with physical memory', () => {
    for (const physicalBits of [32, 35]) {
      const end = 2 ** physicalBits;
      const row = [-2, -1, 0, 1].map((i) => pte(end + i * PAGE, RWXAD));
      const found = list([...SV39_CHAIN, ...leaves(...row)], { coalesce: false }, RISCV_SV39, {
        physicalBits,
      });
      const reserved = { kind: 'reserved', size: PAGE, level: 0 };
      assert.deepEqual(found, [
        [0n, PAGE, end - 2 * PAGE],
        [0x1000n, PAGE, end - PAGE],
        { ...reserved, gva: 0x2000n, entryAddress: 0x4010 },
        { ...reserved, gva: 0x3000n, entryAddress: 0x4018 },
      ]);
    }
  });
});

describe('what a listing says of leaves', () => {
  it('T6: RISC-V: a page of the last level is one of 4 KiB, beside one of 64 KiB', () => {
    const napot = (1n << 63n) | pte(0x3_8000, RWXAD);
    const row = [
      pte(0x7000, RWXAD),
      ...Array.from({ length: 15 }, () => 0n),
      ...Array.from({ length: 16 }, () => napot),
    ];
    assert.deepEqual(list([...SV39_CHAIN, ...leaves(...row)], {}, RISCV_SV39), [
      [0n, PAGE, 0x7000],
      [0x1_0000n, 0x1_0000, 0x3_0000],
    ]);
  });

  it('T6: the memory type of each, where the lower halves are the same', () => {
    const type = (value: bigint): bigint => (value << 61n) | pte(0x7000, RWXAD);
    const memory = memoryOf([...SV39_CHAIN, ...leaves(type(1n), type(2n), type(0n))]);
    const records = mappings(new Translator({ memory, format: RISCV_SV39, root: 0x1000 }));
    assert.deepEqual(
      Array.from(records, (record) => record.kind === 'mapped' && record.memoryType),
      [1, 2, 0],
    );
  });

  it('T6: looks at each by itself where no first look knows them, joined or not', () => {
    // Bit 58 has to be set, which is none for a quick look, and bit 57 clear.
    const rules = [
      { reason: 'reserved' as const, pattern: { mask: { lo: 0, hi: 1 << 26 }, value: { lo: 0, hi: 0 } } },
      { reason: 'reserved' as const, anyOf: { lo: 0, hi: 1 << 25 } },
    ];
    const levels = X86_4LEVEL.levels.map((level) =>
      level.level === 1 ? { ...level, leafRules: rules } : level,
    );
    const row = leaves(...[4n, 4n, 6n, 4n, 0n].map((high, i) => (high << 56n) | BigInt(i * PAGE) | 3n));
    for (const coalesce of [true, false]) {
      const found = list([...X86_CHAIN, ...row], { coalesce }, { ...X86_4LEVEL, levels });
      const reserved = (i: number): unknown => ({
        kind: 'reserved',
        gva: BigInt(i * PAGE),
        size: PAGE,
        level: 1,
        entryAddress: 0x4000 + 8 * i,
      });
      const good = coalesce
        ? [[0n, 2 * PAGE, 0]]
        : [
            [0n, PAGE, 0],
            [0x1000n, PAGE, PAGE],
          ];
      assert.deepEqual(found, [...good, reserved(2), [0x3000n, PAGE, 3 * PAGE], reserved(4)]);
    }
  });

  it('T6: a range of one page, and none where the last address lies before the first', () => {
    // The root, from which everything leads back to it; an entry that breaks a rule; and one that leads nowhere.
    for (const entry of [3n, 3n | (1n << 51n), 0x77_7777_7003n]) {
      const memory = memoryOf([[0, entry]]);
      const translator = new Translator({
        memory,
        format: X86_4LEVEL,
        root: 0,
        controls: { maxPhyAddr: 40 },
      });
      const within = (first: bigint, last: bigint): unknown[] =>
        Array.from(mappings(translator, { first, last }), (record) => 'size' in record && record.size);
      assert.deepEqual(within(0n, 0n), [PAGE]);
      assert.deepEqual(within(0x1000n, 0n), []);
      assert.deepEqual(within(0x5000n, 0x1000n), []);
    }
  });

  it('T6: nothing of entries behind the last address', () => {
    // The second entry of each table leads on; behind it is what would be listed.
    for (const entry of [0x4003n, 0x77_7777_7003n, 3n | (1n << 51n)]) {
      const tables = [0x1000, 0x2000, 0x3000];
      const entries: Entries = [
        ...tables.flatMap(
          (table): Entries => [
            [table + 8, BigInt(table + 0x1003)],
            [table + 16, entry],
          ],
        ),
        [0x4008, 0x9003n],
        [0x4010, entry],
      ];
      const gva = (1n << 39n) + (1n << 30n) + (1n << 21n) + 0x1000n;
      const found = list(entries, { last: gva + 0xfffn }, X86_4LEVEL, { maxPhyAddr: 40 });
      assert.deepEqual(found, [[gva, PAGE, 0x9000]]);
    }
  });

  it('T6: entries that break a rule, and such as cannot be read, are told apart and where they stand', () => {
    // The last table begins in a page of which only the second half is there.
    const memory = memoryOf(
      [...X86_CHAIN, [0x4800, 1n | (1n << 51n)], [0x4808, 1n | (1n << 51n)], [0x4810, 0x9001n]],
      GuestMemory.fromRanges([
        [0, 0x4000],
        [0x4800, 0x800],
      ]),
    );
    const translator = new Translator({
      memory,
      format: X86_4LEVEL,
      root: 0x1000,
      controls: { maxPhyAddr: 40 },
    });
    const wanted = [
      { kind: 'table-unreadable', gva: 0n, size: 0x10_0000, level: 1, address: 0x4000 },
      { kind: 'reserved', gva: 0x10_0000n, size: 0x2000, level: 1, entryAddress: 0x4800 },
      [0x10_2000n, PAGE, 0x9000],
    ];
    assert.deepEqual(brief(mappings(translator)), wanted);
    // Leaf by leaf what cannot be read is one range still, for it has no leaves.
    const [unreadable, ...rest] = brief(mappings(translator, { coalesce: false }));
    assert.deepEqual(unreadable, wanted[0]);
    assert.equal(rest.length, 3);
  });

  it('T6: 32-bit x86: each entry, where four bytes of it are all there is', () => {
    const memory = GuestMemory.fromRanges([[0x1000, 0x1004]]);
    memory.writeU32(0x1000, 0x2003);
    memory.writeU32(0x2000, 0x9003);
    const translator = new Translator({ memory, format: X86_32, root: 0x1000 });
    assert.deepEqual(brief(mappings(translator)), [
      [0n, PAGE, 0x9000],
      { kind: 'table-unreadable', gva: 0x1000n, size: 0x40_0000 - PAGE, level: 1, address: 0x2004 },
    ]);
  });
});
