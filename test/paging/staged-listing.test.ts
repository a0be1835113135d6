import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory } from '../../src/core/index.ts';
import {
  AArch64Translator,
  ACCESS,
  aarch64Stage1Format,
  aarch64Stage1FromRegisters,
  aarch64Stage2Format,
  BufferTables,
  createRoot,
  EPT_4LEVEL,
  eptFormat,
  FrameRange,
  formatRights,
  GuestTables,
  isPagingError,
  type ListedTranslator,
  type MappingsOptions,
  map,
  mappings,
  NPT_4LEVEL,
  ReverseMap,
  RISCV_SV39,
  RISCV_SV39X4,
  reverseLookup,
  type StagedMappingRecord,
  type TableReadOps,
  Tlb,
  Translator,
  TwoStageTranslator,
  X86_4LEVEL,
  X86_32,
} from '../../src/paging/index.ts';
import { StagedListing } from '../../src/paging/staged-listing.ts';

const PAGE = 0x1000;
/** Pages of the guest. */
const PAGES = 16;
/** Where the second stage's tables are, one after the other, and where it puts the guest's pages. */
const TABLES = 0x1_0000;
const SIZE = 0x2_0000;

interface Second {
  readonly name: string;
  readonly format: typeof EPT_4LEVEL;
  /** An entry of a table, and of a leaf that allows everything, without the address. */
  readonly table: bigint;
  readonly leaf: bigint;
  /** Others: read-only, write and read, no user, absent, reserved. */
  readonly others: readonly bigint[];
}

const SECONDS: readonly Second[] = [
  { name: 'EPT', format: EPT_4LEVEL, table: 7n, leaf: 0x37n, others: [0x31n, 0x33n, 0x34n, 0n, 0x32n] },
  {
    name: 'EPT with mode-based execute control',
    format: eptFormat({ levels: 4, modeBasedExecute: true }),
    table: 0x407n,
    leaf: 0x437n,
    others: [0x31n, 0x433n, 0x37n, 0n, 0x402n],
  },
  {
    name: 'NPT',
    format: NPT_4LEVEL,
    table: 7n,
    leaf: 7n,
    others: [5n, (1n << 63n) | 7n, 3n, 0n, (1n << 51n) | 6n],
  },
];

interface Recipe {
  readonly second: Second;
  /** For each page of the guest where it is, in pages, and which of the others its leaf is, if any. */
  readonly places: readonly (readonly [number, number])[];
  /** Entries of the guest's tables 0 to 3: index, page of the guest or beyond, flags. */
  readonly entries: readonly (readonly [number, number, number, bigint])[];
  readonly accessedDirty: 'off' | 'update';
}

/** The guest's root is its page 0, which leads on to the pages 1, 2 and 3. */
function machineOf({ second: kind, places, entries, accessedDirty }: Recipe): {
  memory: GuestMemory;
  both: TwoStageTranslator;
} {
  const memory = GuestMemory.allocate(SIZE);
  for (const table of [0, 1, 2])
    memory.writeU64(TABLES + table * PAGE, BigInt(TABLES + (table + 1) * PAGE) | kind.table);
  for (const [page, [place, other]] of places.entries()) {
    const flags = kind.others[other] ?? kind.leaf;
    memory.writeU64(TABLES + 3 * PAGE + page * 8, BigInt(place * PAGE) | flags);
  }
  for (const [table, index, target, flags] of entries) {
    const at = (places[table] ?? [0])[0] * PAGE;
    memory.writeU64(at + index * 8, BigInt(target * PAGE) | flags);
  }
  const controls = { accessedDirty };
  const second = new Translator({ memory, format: kind.format, root: TABLES, controls });
  return { memory, both: new TwoStageTranslator({ memory, format: X86_4LEVEL, root: 0, second, controls }) };
}

const recipe: fc.Arbitrary<Recipe> = fc.record({
  second: fc.constantFrom(...SECONDS),
  // All pages apart, so that an entry is in one table only.
  places: fc
    .tuple(
      fc.shuffledSubarray(
        Array.from({ length: PAGES }, (_, i) => i),
        { minLength: PAGES, maxLength: PAGES },
      ),
      fc.array(fc.oneof({ weight: 9, arbitrary: fc.constant(-1) }, { weight: 2, arbitrary: fc.nat(4) }), {
        minLength: PAGES,
        maxLength: PAGES,
      }),
    )
    .map(([places, others]) => places.map((place, i) => [place, i === 0 ? -1 : (others[i] ?? -1)] as const)),
  entries: fc
    .array(
      fc.tuple(
        fc.nat(3),
        fc.constantFrom(0, 1, 2, 3, 511),
        fc.oneof({ weight: 9, arbitrary: fc.nat(PAGES - 1) }, { weight: 1, arbitrary: fc.nat(PAGES + 4) }),
        fc.constantFrom(7n, 7n, 7n, 3n, 5n, 0x87n, 0x107n, 0n, (1n << 63n) | 7n, (1n << 51n) | 1n),
      ),
      { maxLength: 24 },
    )
    .map((entries) => [[0, 0, 1, 7n] as const, [1, 0, 2, 7n] as const, [2, 0, 3, 7n] as const, ...entries]),
  accessedDirty: fc.constantFrom('off', 'update'),
});

/** What a record says of an address. */
function told(records: readonly StagedMappingRecord[], gva: bigint): string {
  const record = records.find(
    (candidate) =>
      candidate.kind !== 'budget' && gva >= candidate.gva && gva < candidate.gva + BigInt(candidate.size),
  );
  if (record === undefined || record.kind === 'budget' || record.kind === 'alias') return 'nothing';
  const offset = Number(gva - record.gva);
  switch (record.kind) {
    case 'mapped': {
      const { gpa, pageSize, secondStage } = record;
      assert(secondStage !== undefined);
      assert.deepEqual([secondStage.gpa, secondStage.size], [gpa, record.size]);
      return `${gpa + offset} through ${secondStage.gva + BigInt(offset)}, ${pageSize}`;
    }
    case 'second-stage':
      return `second ${record.why} ${record.gpa + offset}`;
    case 'table-unreadable':
      return `table ${record.secondStage ?? 'not here'}`;
    case 'reserved':
      return 'reserved';
  }
}

/** The same from a walk with the rights that the record says there are. */
function walked(both: TwoStageTranslator, gva: bigint): string {
  for (const user of [false, true])
    for (const kind of ['read', 'write', 'execute'] as const) {
      const found = both.translate(gva, { kind, user });
      if (found.kind === 'mapped') return `${found.gpa} through ${found.secondStage?.gva}, ${found.pageSize}`;
    }
  const found = both.translate(gva, { kind: 'read', user: true });
  switch (found.kind) {
    case 'page-fault':
      return found.reason === 'not-present' ? 'nothing' : found.reason;
    case 'table-unreadable':
      return 'table not here';
    case 'second-stage-fault': {
      const { fault, gpa } = found;
      const reason = fault.kind === 'page-fault' ? fault.reason : fault.kind;
      const why = reason === 'misconfigured' ? 'reserved' : reason;
      return found.during === 'table-walk' ? `table ${why}` : `second ${why} ${gpa}`;
    }
    default:
      return found.kind;
  }
}

/** Addresses in every stretch that the recipes make: four indices at each of four levels. */
function addresses(): bigint[] {
  const all: bigint[] = [];
  const indices = [0n, 1n, 2n, 3n, 511n];
  for (const a of indices)
    for (const b of indices)
      for (const c of indices)
        for (const d of indices) {
          const gva = (a << 39n) | (b << 30n) | (c << 21n) | (d << 12n);
          all.push(a === 511n ? gva | (0xffffn << 48n) : gva);
        }
  return all;
}

const ADDRESSES = addresses();

function list(translator: ListedTranslator, options: MappingsOptions = {}): StagedMappingRecord[] {
  return [...mappings(translator, options)];
}

describe('listing through two stages', () => {
  it('T6: every address has what a walk through both stages finds, and no table is written', () => {
    fc.assert(
      fc.property(recipe, fc.boolean(), (made, coalesce) => {
        const { memory, both } = machineOf(made);
        const before = memory.readBytes(0, SIZE);
        const records = list(both, { expandAliases: true, coalesce });
        assert.deepEqual(memory.readBytes(0, SIZE), before, 'nothing was marked');
        assert.notEqual(records.at(-1)?.kind, 'budget');
        for (const gva of ADDRESSES.filter((_, i) => i % 3 === 0)) {
          const found = told(records, gva);
          const expected = walked(both, gva);
          memory.writeAt(0, before);
          // Where nobody may do anything the walk has no more to say than that.
          if (!expected.endsWith('rights') && !/rights \d+$/.test(expected))
            assert.equal(found, expected, `${made.second.name} at ${gva.toString(16)}`);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('T6 T2: rights are those that both stages leave', () => {
    fc.assert(
      fc.property(recipe, (recipe) => {
        const made: Recipe = { ...recipe, accessedDirty: 'off' };
        const { both } = machineOf(made);
        for (const record of list(both, { expandAliases: true })) {
          if (record.kind !== 'mapped') continue;
          const { rights } = record;
          const lo = Number(record.gva & 0xffff_ffffn);
          const hi = Number(record.gva >> 32n);
          const may = (code: number): boolean => both.resolve(lo, hi, code) >= 0;
          const { read, write, execute } = rights.user
            ? { read: may(ACCESS.userRead), write: may(ACCESS.userWrite), execute: may(ACCESS.userExecute) }
            : { read: may(ACCESS.read), write: may(ACCESS.write), execute: may(ACCESS.execute) };
          assert.equal(rights.supervisorExecute, rights.execute, 'one bit for both modes');
          // CR0.WP is set by default, and neither SMEP nor SMAP.
          assert.deepEqual(
            [rights.read, rights.write, rights.execute],
            [read, write, execute],
            `${made.second.name} at ${record.gva.toString(16)}: ${formatRights(rights)}`,
          );
        }
      }),
      { numRuns: 60 },
    );
  });

  const straight: Recipe = {
    second: SECONDS[0] as Second,
    places: Array.from({ length: PAGES }, (_, i) => [i, -1] as const),
    entries: [
      [0, 0, 1, 7n],
      [1, 0, 2, 7n],
      [2, 0, 3, 7n],
      ...[0, 1, 2, 3].map((i) => [3, i, 8 + i, 7n] as const),
    ],
    accessedDirty: 'off',
  };

  it('T6 T2: tables that stand side by side and are refused for different reasons are told apart', () => {
    const [second] = SECONDS;
    assert(second !== undefined);
    // The table for the first 2 MiB may not be marked, where to read a table is to write it; the next one is not there.
    const { both } = machineOf({
      second,
      places: Array.from({ length: PAGES }, (_, i) => [i, i === 3 ? 0 : i === 4 ? 3 : -1] as const),
      entries: [
        [0, 0, 1, 7n],
        [1, 0, 2, 7n],
        [2, 0, 3, 7n],
        [2, 1, 4, 7n],
      ],
      accessedDirty: 'update',
    });
    const unreadable = { kind: 'table-unreadable', level: 1 };
    assert.deepEqual(list(both), [
      { ...unreadable, gva: 0n, size: 0x20_0000, address: 0x3000, secondStage: 'rights' },
      { ...unreadable, gva: 0x20_0000n, size: 0x20_0000, address: 0x4000, secondStage: 'not-present' },
    ]);
    assert.deepEqual(list(both, { first: 0x1f_f000n, last: 0x20_0fffn }), [
      { ...unreadable, gva: 0x1f_f000n, size: 0x1000, address: 0x3ff8, secondStage: 'rights' },
      { ...unreadable, gva: 0x20_0000n, size: 0x1000, address: 0x4000, secondStage: 'not-present' },
    ]);
  });

  it('T6: one range where both stages go on, and pieces where one of them does not', () => {
    const { memory, both } = machineOf(straight);
    const brief = (options?: MappingsOptions): unknown[] =>
      list(both, options).map((record) =>
        record.kind === 'mapped'
          ? [record.gva, record.size, record.secondStage?.gva, record.gpa, formatRights(record.rights)]
          : record,
      );
    assert.deepEqual(brief(), [[0n, 0x4000, 0x8000n, 0x8000, 'rwxu']]);
    assert.equal(brief({ coalesce: false }).length, 4);
    assert.deepEqual(brief({ first: 0x1000n, last: 0x2fffn }), [[0x1000n, 0x2000, 0x9000n, 0x9000, 'rwxu']]);
    // The second stage puts a page elsewhere, and one nowhere.
    memory.writeU64(TABLES + 3 * PAGE + 9 * 8, 0x4031n);
    memory.writeU64(TABLES + 3 * PAGE + 11 * 8, 0n);
    assert.deepEqual(brief(), [
      [0n, 0x1000, 0x8000n, 0x8000, 'rwxu'],
      [0x1000n, 0x1000, 0x9000n, 0x4000, 'r--u'],
      [0x2000n, 0x1000, 0xa000n, 0xa000, 'rwxu'],
      { kind: 'second-stage', gva: 0x3000n, size: 0x1000, gpa: 0xb000, why: 'not-present' },
    ]);
  });

  it('T6 T2: a table that the second stage refuses, one of its own that is missing, and one outside of memory stay apart', () => {
    const cases = [
      [0n, 'not-present'],
      [0x3032n, 'reserved'],
      [0x3034n, 'rights'],
      [0x7000_0037n, undefined],
    ] as const;
    for (const [entry, why] of cases) {
      const { memory, both } = machineOf(straight);
      memory.writeU64(TABLES + 3 * PAGE + 3 * 8, entry);
      const [record, ...others] = list(both);
      assert(record?.kind === 'table-unreadable' && others.length === 0);
      assert.deepEqual([record.address, record.size, record.secondStage], [0x3000, 0x20_0000, why]);
      assert.equal('secondStage' in record, why !== undefined);
    }
    const { memory, both } = machineOf({
      ...straight,
      entries: [...straight.entries, [2, 1, 0x200, 7n], [2, 2, 0x4_0000, 0x87n], [2, 3, 2 ** 36, 0x87n]],
    });
    memory.writeU64(TABLES + 2 * PAGE + 8, 0x7000_0007n);
    memory.writeU64(TABLES + PAGE + 8, 0x7000_0007n);
    assert.deepEqual(list(both).slice(1), [
      {
        kind: 'table-unreadable',
        gva: 0x20_0000n,
        size: 0x20_0000,
        level: 1,
        address: 0x20_0000,
        secondStage: 'table-unreadable',
      },
      { kind: 'second-stage', gva: 0x40_0000n, size: 0x20_0000, gpa: 0x4000_0000, why: 'table-unreadable' },
      { kind: 'second-stage', gva: 0x60_0000n, size: 0x20_0000, gpa: 2 ** 48, why: 'not-canonical' },
    ]);
  });

  it('T6: a budget counts the entries of both stages, and ends with the place to go on from', () => {
    const { memory, both } = machineOf(straight);
    // The guest's tables lead everywhere to each other, and the second stage has each page elsewhere.
    for (const table of [0, 1, 2, 3])
      for (let i = 0; i < 512; i++)
        memory.writeU64(table * PAGE + i * 8, BigInt(((table + 1 + i) % PAGES) * PAGE) | 7n);
    for (const budget of [1, 5, 30, 500, 5000]) {
      const records = list(both, { budget, expandAliases: true });
      const last = records.at(-1);
      assert(last?.kind === 'budget', `${budget}`);
      assert(last.reads <= budget);
      assert.equal(
        records.filter(({ kind }) => kind === 'table-unreadable').length,
        0,
        'what was not read is not called unreadable',
      );
    }
    const all = list(both, { budget: 2 ** 20 });
    const most = all.filter(({ kind }) => kind === 'alias').length;
    assert(most > 500, 'a table that is met again is an alias through both stages');
    // In parts: the same, by going on where the budget ended.
    const parts: StagedMappingRecord[] = [];
    for (let first = 0n, turns = 0; turns < 200; turns++) {
      const records = list(both, {
        first,
        last: 0x3f_ffffn,
        budget: 300,
        expandAliases: true,
        coalesce: false,
      });
      const last = records.at(-1);
      parts.push(...records.filter(({ kind }) => kind === 'mapped'));
      if (last?.kind !== 'budget') break;
      assert(last.gva > first, 'there is progress');
      first = last.gva;
    }
    const whole = list(both, { last: 0x3f_ffffn, expandAliases: true, coalesce: false });
    assert.deepEqual(parts, whole);
  });

  it('T10: reverse lookup by the address in the end, and an index of several spaces', () => {
    const { memory, both } = machineOf(straight);
    memory.writeU64(TABLES + 3 * PAGE + 9 * 8, 0x4037n);
    memory.writeU64(TABLES + 3 * PAGE + 10 * 8, 0x4037n);
    memory.writeU64(TABLES + 3 * PAGE + 11 * 8, 0n);
    const found = [...reverseLookup(both, 0x4123)];
    assert.deepEqual(
      found.map((record) => record.kind === 'mapped' && [record.gva, record.gpa, record.secondStage?.gva]),
      [
        [0x1000n, 0x4000, 0x9000n],
        [0x2000n, 0x4000, 0xa000n],
      ],
    );
    const index = new ReverseMap([both.second, both]);
    assert.deepEqual(index.unknown, []);
    assert.deepEqual(
      index.lookup(0x4000).map(({ space, gva }) => [space, gva]),
      [
        [0, 0x4000n],
        [0, 0x9000n],
        [0, 0xa000n],
        [1, 0x1000n],
        [1, 0x2000n],
      ],
    );
    // An alias repeats what lies in both stages.
    memory.writeU64(2 * PAGE + 8, 0x3007n);
    assert.deepEqual(
      [...reverseLookup(both, 0x8fff)].map(
        (record) =>
          record.kind === 'mapped' && [record.gva, record.gpa, record.secondStage?.gva, record.size],
      ),
      [
        [0n, 0x8000, 0x8000n, PAGE],
        [0x20_0000n, 0x8000, 0x8000n, PAGE],
      ],
    );
    // Of what the second stage does not have it is only said where nobody can say.
    memory.writeU64(TABLES + 2 * PAGE + 8, 0x7000_0007n);
    memory.writeU64(3 * PAGE, 0x20_0007n);
    const [unknown] = [...reverseLookup(both, 0x8000)];
    assert.deepEqual(unknown, {
      kind: 'second-stage',
      gva: 0n,
      size: PAGE,
      gpa: 0x20_0000,
      why: 'table-unreadable',
      space: 0,
    });
  });

  it('T6: tables of 4-byte entries, and of 64 KiB in pieces that the second stage has put apart', () => {
    const memory = GuestMemory.allocate(0x40_0000);
    const host = new GuestTables(memory, { frames: new FrameRange(0x30_0000, 0x10_0000) });
    createRoot(host, EPT_4LEVEL);
    // Each page of the guest is at its mirror image.
    const mirrored = (gpa: number): number => 0x1f_f000 - gpa + 2 * (gpa % PAGE);
    for (let gpa = 0; gpa < 0x20_0000; gpa += PAGE)
      map(host, { format: EPT_4LEVEL, gva: BigInt(gpa), gpa: mirrored(gpa), length: PAGE, write: true });
    const second = new Translator({ tables: host, format: EPT_4LEVEL });
    const found = (both: TwoStageTranslator): unknown[] =>
      list(both).map((record) =>
        record.kind === 'mapped' ? [record.gva, record.secondStage?.gva, record.gpa, record.size] : record,
      );

    memory.writeU32(mirrored(0x1ffc), 0x2007);
    memory.writeU32(mirrored(0x2008), 0x7007);
    memory.writeU32(mirrored(0x2ffc), 0x5007);
    const x86 = new TwoStageTranslator({ memory, format: X86_32, root: 0x1000, second });
    assert.deepEqual(found(x86), [
      [0xffc0_2000n, 0x7000n, mirrored(0x7000), PAGE],
      [0xffff_f000n, 0x5000n, mirrored(0x5000), PAGE],
    ]);

    memory.fillAt(0, 0, 0x20_0000);
    const format = aarch64Stage1Format({ granule: 65536, inputBits: 42 });
    memory.writeU64(mirrored(0x2_0000), 0x3_0003n);
    memory.writeU64(mirrored(0x2_fff8), 0x4_0003n);
    memory.writeU64(mirrored(0x3_5008), 0x5_0443n);
    memory.writeU64(mirrored(0x4_fff8), 0x6_0443n);
    const arm = new TwoStageTranslator({ memory, format, root: 0x2_0000, second });
    const pages = (gva: bigint, gpa: number): unknown[] =>
      Array.from({ length: 16 }, (_, i) => [
        gva + BigInt(i * PAGE),
        BigInt(gpa + i * PAGE),
        mirrored(gpa + i * PAGE),
        PAGE,
      ]);
    assert.deepEqual(found(arm), [
      ...pages(BigInt(0x5008 / 8) << 16n, 0x5_0000),
      ...pages((1n << 42n) - 0x1_0000n, 0x6_0000),
    ]);
    for (const gva of [0xa01_1234n, (1n << 42n) - 1n]) {
      const walk = arm.translate(gva);
      assert(walk.kind === 'mapped');
      const record = list(arm).find(
        (one) => one.kind === 'mapped' && gva >= one.gva && gva < one.gva + BigInt(one.size),
      );
      assert(record?.kind === 'mapped');
      assert.equal(record.gpa + Number(gva - record.gva), walk.gpa);
    }
  });

  it('T6: what the second stage has left in its entries, where details are asked for', () => {
    const { memory, both } = machineOf(straight);
    memory.writeU64(TABLES + 3 * PAGE + 8 * 8, 0x8337n);
    const [range, others] = list(both, { details: true });
    assert(range?.kind === 'mapped' && others?.kind === 'mapped');
    assert.deepEqual(
      [
        range.size,
        range.details?.dirty,
        range.secondStage?.details?.dirty,
        others.secondStage?.details?.dirty,
      ],
      [PAGE, false, true, false],
    );
  });

  it('T6: counts exactly the entries that it reads, wherever they are, and every budget ends as one', () => {
    const host = new BufferTables(new Uint8Array(0x8000), 0);
    createRoot(host, EPT_4LEVEL);
    // The guest's pages are at their mirror images from 16 MiB on.
    for (let page = 0; page < 16; page++)
      map(host, {
        format: EPT_4LEVEL,
        gva: BigInt(page * PAGE),
        gpa: 0x100_0000 + (15 - page) * PAGE,
        length: PAGE,
        write: true,
      });
    const contents = new Map<number, bigint>();
    const put = (gpa: number, entry: bigint): unknown =>
      contents.set(0x100_0000 + (15 - Math.floor(gpa / PAGE)) * PAGE + (gpa % PAGE), entry);
    put(0x1000, 0x2007n);
    put(0x2000, 0x3007n);
    put(0x2008, 0x2_0007n); // a table where the second stage has nothing
    put(0x2010, 0x3007n); // a table again
    put(0x2018, (1n << 51n) | 7n);
    put(0x3ff8, 0x4007n);
    put(0x4008, 0x8007n);
    put(0x4010, 0x9007n);
    put(0x4ff8, 0x1_0007n); // a page where it has nothing
    let reads = 0;
    const counted = (
      tables: TableReadOps<number>,
      entryOf: (addr: number) => bigint | undefined,
    ): TableReadOps<number> => ({
      entryAddr: (addr, offset) => addr + offset,
      readEntry: (addr) => {
        reads++;
        return entryOf(addr);
      },
      toPhys: (addr) => addr,
      fromPhys: (gpa) => {
        assert.equal(gpa % PAGE, 0, 'tables alone are asked for');
        return gpa;
      },
      rootTable: () => tables.rootTable(),
    });
    const second = new Translator({
      tables: counted(host, (addr) => host.readEntry(addr, 8)),
      format: EPT_4LEVEL,
    });
    const both = new TwoStageTranslator({
      tables: counted(host, (addr) => contents.get(addr) ?? 0n),
      format: X86_4LEVEL,
      root: 0x1000,
      second,
      controls: { maxPhyAddr: 50 },
    });
    const all = list(both);
    // Those of the table that the second stage refuses are looked at, and not read.
    const total = reads + 512;
    const GIB = 0x4000_0000;
    const [one, two, ...others] = all;
    assert(one?.kind === 'mapped' && two?.kind === 'mapped');
    assert.deepEqual(
      [one.gva, one.gpa, two.gva, two.gpa],
      [0x3fe0_1000n, 0x100_7000, 0x3fe0_2000n, 0x100_6000],
    );
    assert.deepEqual(others, [
      { kind: 'second-stage', gva: 0x3fff_f000n, size: PAGE, gpa: 0x1_0000, why: 'not-present' },
      {
        kind: 'table-unreadable',
        gva: BigInt(GIB),
        size: GIB,
        level: 2,
        address: 0x2_0000,
        secondStage: 'not-present',
      },
      { kind: 'alias', gva: BigInt(2 * GIB), size: GIB, of: 0n, level: 2, table: 0x3000 },
      { kind: 'reserved', gva: BigInt(3 * GIB), size: GIB, level: 3, entryAddress: 0x2018 },
    ]);
    reads = 0;
    assert.deepEqual(list(both, { budget: total }), all, 'so many suffice');
    for (let budget = 1; budget < total; budget += budget < 40 ? 1 : 13) {
      reads = 0;
      const records = list(both, { budget });
      const last = records.at(-1);
      assert(last?.kind === 'budget', `${budget} of ${total}`);
      assert(reads <= budget, `${reads} of ${budget}`);
      assert.equal(last.reads, budget);
      // The last range before may have been cut by the end of the budget.
      assert.deepEqual(records.slice(0, -2), all.slice(0, Math.max(0, records.length - 2)), `${budget}`);
      const [before, whole] = [records.at(-2), all[records.length - 2]];
      assert.deepEqual([before?.kind, before?.gva], [whole?.kind, whole?.gva]);
    }
  });

  it('T6: tables are copied at once where they can be, and none is asked for that the second stage refuses', () => {
    const { memory, both } = machineOf(straight);
    const asked = { loads: 0, snapshots: 0, covers: 0 };
    const { entries } = both.source;
    const noted: typeof entries = {
      root: entries.root,
      window: entries.window,
      blocked: false,
      begin: () => entries.begin(),
      load(lo, hi, offset) {
        asked.loads++;
        return entries.load(lo, hi, offset);
      },
      snapshot(lo, hi, words) {
        asked.snapshots++;
        return entries.snapshot(lo, hi, words);
      },
      covers(lo, hi, length) {
        asked.covers++;
        return entries.covers(lo, hi, length);
      },
      replace: () => undefined,
    };
    const pages = {
      first: 0,
      last: 2 ** 36 - 1,
      coalesce: true,
      budget: 2 ** 20,
      expandAliases: false,
      details: false,
    };
    const records = [...new StagedListing({ ...both.source, entries: noted }, pages)];
    assert.equal(records.length, 1);
    assert.deepEqual(asked, { loads: 0, snapshots: 4, covers: 0 });
    memory.writeU64(TABLES + 3 * PAGE + 3 * 8, 0n);
    const [hole] = [...new StagedListing({ ...both.source, entries: noted }, pages)];
    assert.equal(hole?.kind, 'table-unreadable');
    assert.deepEqual(asked, { loads: 0, snapshots: 7, covers: 0 });
  });

  it('T3 T6: MXR of a hypervisor opens pages that can only be executed to loads, and not to walks', () => {
    // Sv39 over Sv39x4: the guest's pages 0, 1, 2 are tables, its virtual page 0 is its page 4.
    const memory = GuestMemory.allocate(SIZE);
    const leaf = (page: number, flags: bigint): void =>
      memory.writeU64(0x1_5000 + page * 8, (BigInt(page) << 10n) | flags);
    memory.writeU64(0x1_0000, (0x14n << 10n) | 1n);
    memory.writeU64(0x1_4000, (0x15n << 10n) | 1n);
    for (let page = 0; page < 8; page++) leaf(page, 0xdfn);
    leaf(4, 0xd9n);
    memory.writeU64(0x0, (1n << 10n) | 1n);
    memory.writeU64(0x1000, (2n << 10n) | 1n);
    memory.writeU64(0x2000, (4n << 10n) | 0xcfn);
    const rights = (mxr: boolean): unknown => {
      const second = new Translator({ memory, format: RISCV_SV39X4, root: 0x1_0000, controls: { mxr } });
      const [record] = list(new TwoStageTranslator({ memory, format: RISCV_SV39, root: 0, second }));
      return record?.kind === 'mapped' ? formatRights(record.rights) : record;
    };
    assert.deepEqual([rights(false), rights(true)], ['--xs', 'r-xs']);
    leaf(2, 0xd9n);
    const [record] = [rights(true)] as [StagedMappingRecord];
    assert(record.kind === 'table-unreadable' && record.secondStage === 'rights');
  });

  it('T6 T10: what has no tables to list is refused with the names of those that have', () => {
    const { both } = machineOf(straight);
    const tlb = new Tlb(both) as unknown;
    assert.throws(
      () => mappings(tlb as Translator),
      (error) => isPagingError(error) && error.code === 'invalid' && /TwoStageTranslator/.test(error.message),
    );
    assert.throws(() => [...reverseLookup(tlb as Translator, 0)], isPagingError);
  });
});

describe('listing both halves of AArch64', () => {
  /** T0SZ and T1SZ 25, 4 KiB granules: three levels. Each half has one page, at the second entry of its last table. */
  function halves(second: boolean): { memory: GuestMemory; translator: AArch64Translator } {
    const memory = GuestMemory.allocate(0x4_0000);
    for (const [root, index] of [
      [0x1000, 0],
      [0x4000, 511],
    ] as const) {
      memory.writeU64(root + index * 8, BigInt(root + 0x1000) | 3n);
      memory.writeU64(root + 0x1000 + index * 8, BigInt(root + 0x2000) | 3n);
      memory.writeU64(root + 0x2000 + index * 8, BigInt(root + 0x8000) | 0x443n);
    }
    // Stage 2, level 1 first: 1 GiB where it is, but for the page that the upper half has.
    memory.writeU64(0x2_0000, 0x2_1003n);
    memory.writeU64(0x2_1000, 0x2_2003n);
    for (let i = 0; i < 64; i++)
      memory.writeU64(0x2_2000 + i * 8, i === 0xc ? 0x9443n : BigInt(i * 0x1000) | 0x4c3n);
    const tcr = 0x2_8019_0019n;
    const modes = aarch64Stage1FromRegisters({ tcr, ttbr0: 0x1000n, ttbr1: 0x4000n });
    const format = aarch64Stage2Format({ granule: 4096, inputBits: 39, startLevel: 1 });
    const stage2 = new Translator({ memory, format, root: 0x2_0000 });
    return {
      memory,
      translator: new AArch64Translator(second ? { ...modes, memory, second: stage2 } : { ...modes, memory }),
    };
  }

  it('T6 T10: the lower one, then the upper one, with one budget', () => {
    const { translator } = halves(false);
    const brief = (records: readonly StagedMappingRecord[]): unknown[] =>
      records.map((record) => (record.kind === 'mapped' ? [record.gva, record.gpa] : record));
    const lower = [0n, 0x9000];
    const upper = [0xffff_ffff_ffff_f000n, 0xc000];
    assert.deepEqual(brief(list(translator)), [lower, upper]);
    assert.deepEqual(brief(list(translator, { first: 0x1000n })), [upper]);
    assert.deepEqual(brief(list(translator, { last: 0xffff_ff00_0000_0000n })), [lower]);
    assert.deepEqual(brief(list(translator, { budget: 3 * 512 })), [
      lower,
      { kind: 'budget', gva: 0xffff_ff80_0000_0000n, reads: 3 * 512 },
    ]);
    const [, short] = list(translator, { budget: 3 * 512 + 100 });
    assert(short?.kind === 'budget' && short.reads === 3 * 512 + 100);
    assert.deepEqual(
      [...reverseLookup(translator, 0xc000)].map(({ gva }) => gva),
      [0xffff_ffff_ffff_f000n],
    );
    assert.equal(new ReverseMap(translator).size, 2);
  });

  it('T5 T6: over a stage 2, walks and listings alike', () => {
    const { translator } = halves(true);
    const found = translator.translate(0x123n);
    assert(found.kind === 'mapped');
    assert.deepEqual([found.gpa, found.secondStage?.gva], [0x9123, 0x9123n]);
    assert.equal(translator.resolveGva(0xffff_ffff_ffff_f123n, ACCESS.read), 0x9123);
    assert.equal(translator.resolveGva(0xffff_ffff_ffff_f123n, ACCESS.write), -1);
    const { kind, secondStage, during, gpa, errorCode, gva } = translator.fault;
    assert.deepEqual(
      [kind, secondStage, during, gpa, errorCode, gva],
      ['second-stage', 'page-fault', 'final-access', 0xc123, 0x0f, 0xffff_ffff_ffff_f123n],
    );
    assert.deepEqual(
      list(translator).map(
        (record) =>
          record.kind === 'mapped' && [record.gva, record.secondStage?.gva, record.gpa, record.rights.write],
      ),
      [
        [0n, 0x9000n, 0x9000, true],
        [0xffff_ffff_ffff_f000n, 0xc000n, 0x9000, false],
      ],
    );
  });

  it('T2 T6: rights are those that both stages leave to either mode, execution and all', () => {
    const root = 0x1000;
    const tcr = 0x2_8019_0019n;
    const modes = aarch64Stage1FromRegisters({ tcr, ttbr0: BigInt(root), ttbr1: 0x4000n });
    const format = aarch64Stage2Format({ granule: 4096, inputBits: 39, startLevel: 1 });
    const seen = new Set<string>();
    // Read-only pages, for of what EL0 may write EL1 executes nothing: AP[1], PXN, UXN; S2AP, XN[1:0].
    for (let stage1 = 0; stage1 < 8; stage1++)
      for (let stage2 = 0; stage2 < 16; stage2++) {
        const { memory } = halves(false);
        const [el0, pxn, uxn] = [stage1 & 1, (stage1 >> 1) & 1, stage1 >> 2].map(BigInt);
        const first = 0x9483n | ((el0 ?? 0n) << 6n) | ((pxn ?? 0n) << 53n) | ((uxn ?? 0n) << 54n);
        memory.writeU64(0x3000, first);
        const leaf = 0x9403n | (BigInt(stage2 & 3) << 6n) | (BigInt(stage2 >> 2) << 53n);
        memory.writeU64(0x2_2000 + 9 * 8, leaf);
        const second = new Translator({ memory, format, root: 0x2_0000 });
        const translator = new AArch64Translator({ ...modes, memory, second });
        const [record] = list(translator);
        assert(record?.kind === 'mapped');
        const { rights } = record;
        const may = (code: number): boolean => translator.resolve(0, 0, code) >= 0;
        const told = [rights.read, rights.write, rights.execute, rights.supervisorExecute];
        const expected = [may(ACCESS.read), may(ACCESS.write), may(ACCESS.userExecute), may(ACCESS.execute)];
        assert.deepEqual(told, expected, `${first.toString(16)} over ${leaf.toString(16)}`);
        assert.equal(rights.user, el0 === 1n);
        seen.add(told.join());
      }
    assert(seen.size >= 8, [...seen].join(' '));
  });
});
