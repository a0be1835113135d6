import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory } from '../../src/core/index.ts';
import {
  accessCode,
  formatRights,
  type OneStageTranslation,
  type PagingFormat,
  RISCV_FORMATS,
  type Translation,
  Translator,
  TwoStageTranslator,
} from '../../src/paging/index.ts';
import type { OracleAccess, OracleMemory } from '../support/oracles/oracle.ts';
import { riscvTranslateTwoStage } from '../support/oracles/riscv.ts';
import type {
  RiscvGuestScheme,
  RiscvGuestStage,
  RiscvResult,
  RiscvScheme,
  RiscvStage,
} from '../support/oracles/riscv-algorithm.ts';
import { ACCESSES, setEntry } from './support/riscv-machine.ts';

// A guest's tables at guest-physical addresses below 64 KiB, which the G-stage's tables put somewhere in as many bytes of
// memory; those tables lie above.

const PAGES = 16;
const G_ROOT = 0x1_0000;
const G_TABLES = G_ROOT + 0x4000;
const SIZE = G_TABLES + 0x4000;

interface Stages {
  readonly vs: RiscvScheme;
  readonly g: RiscvGuestScheme;
}
const STAGES: readonly Stages[] = [
  { vs: 'Sv32', g: 'Sv32x4' },
  { vs: 'Sv39', g: 'Sv39x4' },
  { vs: 'Sv48', g: 'Sv39x4' },
  { vs: 'Sv39', g: 'Sv48x4' },
  { vs: 'Sv57', g: 'Sv57x4' },
];

function formatOf(scheme: string): PagingFormat {
  const format = RISCV_FORMATS.find(({ title }) => title === `RISC-V ${scheme}`);
  assert(format !== undefined);
  return format;
}

interface Recipe {
  readonly stages: Stages;
  readonly vs: Pick<RiscvStage, 'sum' | 'mxr' | 'adue' | 'pbmte'>;
  readonly g: Pick<RiscvGuestStage, 'mxr' | 'adue' | 'pbmte'>;
  /** For each page of the guest, its place and the flags of the G-stage's leaf. */
  readonly places: readonly (readonly [number, number])[];
  /** The first four entries of each of the guest's tables: a page of the guest and flags. */
  readonly tables: readonly (readonly (readonly [number, number])[])[];
}

const ALL = 0xdf;
const LEAVES = [0xdf, 0xcf, 0x5f, 0xcf];
const place = fc.tuple(
  fc.nat({ max: PAGES - 1 }),
  fc.oneof(
    { arbitrary: fc.constant(ALL), weight: 8 },
    { arbitrary: fc.constantFrom(0x1f, 0x5f, 0xd3, 0xd9, 0xcf, 0x00, 0xd5), weight: 1 },
  ),
);
/** A page number up to 20, of which the G-stage does not know the last ones, and flags; 0 for what suits the level. */
const entry = fc.tuple(
  fc.nat({ max: PAGES + 4 }),
  fc.oneof(
    { arbitrary: fc.constant(0), weight: 8 },
    { arbitrary: fc.constantFrom(0x01, 0x21, 0xdf, 0xcf, 0x4f, 0x0f, 0x1f, 0xd9, 0xc3, 0xd5), weight: 2 },
  ),
);
const recipe: fc.Arbitrary<Recipe> = fc.record({
  stages: fc.constantFrom(...STAGES),
  vs: fc.record({ sum: fc.boolean(), mxr: fc.boolean(), adue: fc.boolean(), pbmte: fc.boolean() }),
  g: fc.record({ mxr: fc.boolean(), adue: fc.boolean(), pbmte: fc.boolean() }),
  places: fc.array(place, { minLength: PAGES, maxLength: PAGES }),
  tables: fc.array(fc.array(entry, { minLength: 4, maxLength: 4 }), { minLength: PAGES, maxLength: PAGES }),
});

/** The memory of a recipe. The last level of the G-stage is where the recipe speaks; above it all is well. */
function memoryOf({ stages, places, tables }: Recipe): GuestMemory {
  const memory = GuestMemory.allocate(SIZE);
  const g = formatOf(stages.g);
  let table = G_ROOT;
  for (const [depth, { level }] of g.levels.entries()) {
    const next = G_TABLES + depth * 0x1000;
    if (level > 0) setEntry(memory, g, table, (BigInt(next) >> 2n) | 1n);
    else
      for (const [page, [at, flags]] of places.entries())
        setEntry(memory, g, table + page * g.entrySize, (BigInt(at) << 10n) | BigInt(flags));
    table = next;
  }
  const vs = formatOf(stages.vs);
  for (const [page, entries] of tables.entries()) {
    // Pages 0, 5, 10 and 15 are tables of the root's level, 1, 6 and 11 of the next one ...
    const depth = page % 5;
    const last = depth === vs.levels.length - 1;
    for (const [index, [target, flags]] of entries.entries()) {
      const suited = last ? target : depth + 1 + 5 * (target % 3);
      const [to, bits] = flags === 0 ? [suited, last ? (LEAVES[target % 4] ?? 0) : 1] : [target, flags];
      setEntry(memory, vs, page * 0x1000 + index * vs.entrySize, (BigInt(to) << 10n) | BigInt(bits));
    }
  }
  return memory;
}

function oneStage(found: OneStageTranslation): string {
  switch (found.kind) {
    case 'mapped':
      return 'mapped';
    case 'page-fault':
      return `fault ${found.errorCode} level ${found.level} at ${found.entryAddress}`;
    case 'not-canonical':
      return `fault ${found.errorCode}`;
    case 'table-unreadable':
      return `unreadable level ${found.level} at ${found.address}`;
  }
}

function actualOf(found: Translation): string {
  if (found.kind === 'second-stage-fault')
    return `G ${found.during} of ${found.gpa}: ${oneStage(found.fault)}`;
  if (found.kind !== 'mapped') return `VS ${oneStage(found)}`;
  const { gpa, pageSize, rights, global, memoryType } = found;
  return `mapped ${gpa} of ${pageSize} ${formatRights(rights)} ${global} ${memoryType}`;
}

function expectedOf(result: RiscvResult, va: bigint): string {
  switch (result.kind) {
    case 'mapped':
      return `mapped ${result.pa} of ${result.pageSize}`;
    case 'fault': {
      const { stage, code, level, entryAddress, htval, implicit } = result;
      const fault =
        entryAddress === undefined ? `fault ${code}` : `fault ${code} level ${level} at ${entryAddress}`;
      if (stage !== 'G') return `VS ${fault}`;
      // htval has no bits 1:0; those of a table's entry are 0, those of the page are the address's own.
      const gpa = (htval << 2n) | (implicit === 'none' ? va & 3n : 0n);
      return `G ${implicit === 'none' ? 'final-access' : 'table-walk'} of ${gpa}: ${fault}`;
    }
    case 'unreadable': {
      const where = `unreadable level ${result.level} at ${result.entryAddress}`;
      return result.stage === 'G' ? `G: ${where}` : `VS ${where}`;
    }
  }
}

const walk = fc.record({
  indices: fc.array(fc.nat({ max: 3 }), { minLength: 5, maxLength: 5 }),
  offset: fc.nat({ max: 4095 }),
  access: fc.constantFrom(...ACCESSES),
});

describe('two stages of RISC-V', () => {
  it('T5: random tables: every walk has the outcome, the marks and the count of reads that the oracle has', () => {
    const kinds = new Map<string, number>();
    const property = fc.property(recipe, fc.array(walk, { minLength: 10, maxLength: 10 }), (made, walks) => {
      const vs = formatOf(made.stages.vs);
      const g = formatOf(made.stages.g);
      const marking = (adue: boolean): 'update' | 'fault' => (adue ? 'update' : 'fault');
      for (const { indices, offset, access } of walks) {
        const va = vs.levels.reduce(
          (address, { indexBit }, depth) => address | (BigInt(indices[depth] ?? 0) << BigInt(indexBit)),
          BigInt(offset),
        );
        for (const form of ['translate', 'resolve'] as const) {
          const memory = memoryOf(made);
          const second = new Translator({
            memory,
            format: g,
            root: G_ROOT,
            controls: { mxr: made.g.mxr, svpbmt: made.g.pbmte, accessedDirty: marking(made.g.adue) },
          });
          const { sum, mxr, pbmte, adue } = made.vs;
          const both = new TwoStageTranslator({
            memory,
            format: vs,
            root: 0,
            controls: { sum, mxr: mxr || made.g.mxr, svpbmt: pbmte, accessedDirty: marking(adue) },
            second,
          });
          const bytes = memory.readBytes(0, SIZE);
          const result = oracle(made, memory, va, access);
          const expected = expectedOf(result, va);
          const message = `${made.stages.vs} over ${made.stages.g}, ${access.kind}, user ${access.user}, at ${va.toString(16)}`;
          if (form === 'translate') {
            const actual = actualOf(both.translate(va, access));
            // The page's rights and type are those of the guest's leaf: only its place and size are of both stages.
            const [first] = actual.split(/ [r-][w-][x-][us] /);
            assert.equal(first, expected, message);
            const kind = expected.replace(/ .*fault (\d+).*/, ' $1').replace(/^mapped.*/, 'mapped');
            kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
          } else {
            const pa = both.resolveGva(va, accessCode(access));
            assert.equal(pa, result.kind === 'mapped' ? Number(result.pa) : -1, `${message}, resolved`);
          }
          if (result.kind === 'mapped') assert.equal(both.reads, result.reads.length, `${message}, reads`);
          const view = new DataView(bytes.buffer, bytes.byteOffset);
          for (const [address, value] of result.writes) {
            if (vs.entrySize === 8) view.setBigUint64(Number(address), value, true);
            else view.setUint32(Number(address), Number(value), true);
          }
          assert.deepEqual(memory.readBytes(0, SIZE), bytes, `${message}, marks`);
        }
      }
    });
    fc.assert(property, { numRuns: 150 });
    // Every cause of a guest page fault, in a walk of tables and at its end, and every one of the first stage was met.
    for (const kind of ['mapped', 'G 20', 'G 21', 'G 23', 'VS 12', 'VS 13', 'VS 15'])
      assert((kinds.get(kind) ?? 0) > 5, `${kind} was met, ${[...kinds]}`);
  });

  it('T5: counts 15 reads for Sv39 over Sv39x4, 24 for four levels over four, 35 for five over five', () => {
    const counts = (['Sv39', 'Sv48', 'Sv57'] as const).map((vs) => {
      const g = `${vs}x4` as const;
      const made: Recipe = {
        stages: { vs, g },
        vs: { sum: false, mxr: false, adue: false, pbmte: true },
        g: { mxr: false, adue: false, pbmte: true },
        places: Array.from({ length: PAGES }, (_, page) => [page, ALL] as const),
        // Each table points to the next one; the last one to page 9.
        tables: Array.from({ length: PAGES }, (_, page) => [
          [
            page + 1 === formatOf(vs).levels.length ? 9 : page + 1,
            page + 1 === formatOf(vs).levels.length ? 0xcf : 1,
          ],
        ]),
      };
      const memory = memoryOf(made);
      const second = new Translator({ memory, format: formatOf(g), root: G_ROOT });
      const both = new TwoStageTranslator({ memory, format: formatOf(vs), root: 0, second });
      const found = both.translate(0x123n);
      assert(found.kind === 'mapped');
      assert.equal(found.gpa, 0x9123);
      return both.reads;
    });
    assert.deepEqual(counts, [15, 24, 35]);
  });

  it('T3 T5: an address of the guest that is too wide for the G-stage is a guest-page fault, of a table too', () => {
    const made: Recipe = {
      stages: { vs: 'Sv48', g: 'Sv39x4' },
      vs: { sum: false, mxr: false, adue: false, pbmte: true },
      g: { mxr: false, adue: false, pbmte: true },
      places: Array.from({ length: PAGES }, (_, page) => [page, ALL] as const),
      tables: [[[1, 1]], [[2, 1]], ...Array.from({ length: PAGES - 2 }, () => [])],
    };
    const memory = memoryOf(made);
    const second = new Translator({ memory, format: formatOf('Sv39x4'), root: G_ROOT });
    const both = new TwoStageTranslator({ memory, format: formatOf('Sv48'), root: 0, second });
    const ask = (va: bigint, access: OracleAccess): string => {
      const actual = actualOf(both.translate(va, access));
      assert.equal(actual, expectedOf(oracle(made, memory, va, access), va));
      return actual;
    };
    const tooWide = (1n << 41n) >> 2n;
    memory.writeU64(0x2000, tooWide | 1n);
    assert.equal(
      ask(0x3_5678n, { kind: 'execute', user: false }),
      `G table-walk of ${2 ** 41 + 0x35 * 8}: fault 20`,
    );
    memory.writeU64(0x2000, tooWide | 0xcfn);
    assert.equal(
      ask(0x3_5678n, { kind: 'write', user: false }),
      `G final-access of ${2 ** 41 + 0x3_5678}: fault 23`,
    );
  });

  it('T3 T5: MXR of the hypervisor opens pages that can only be executed to loads, not to walks', () => {
    const made = (tablePage: number, dataPage: number): Recipe => ({
      stages: { vs: 'Sv39', g: 'Sv39x4' },
      vs: { sum: false, mxr: false, adue: false, pbmte: true },
      g: { mxr: true, adue: false, pbmte: true },
      places: Array.from(
        { length: PAGES },
        (_, page) => [page, page === 2 ? tablePage : page === 9 ? dataPage : ALL] as const,
      ),
      tables: [[[1, 1]], [[2, 1]], [[9, 0xcf]], ...Array.from({ length: PAGES - 3 }, () => [])],
    });
    const ask = (recipe: Recipe): string => {
      const memory = memoryOf(recipe);
      const second = new Translator({
        memory,
        format: formatOf('Sv39x4'),
        root: G_ROOT,
        controls: { mxr: true },
      });
      const both = new TwoStageTranslator({
        memory,
        format: formatOf('Sv39'),
        root: 0,
        second,
        controls: { mxr: true },
      });
      return actualOf(both.translate(0x123n));
    };
    const executeOnly = 0xd9;
    assert.match(ask(made(ALL, executeOnly)), /^mapped 37155 /);
    assert.equal(
      ask(made(executeOnly, ALL)),
      `G table-walk of ${0x2000}: fault 21 level 0 at ${G_TABLES + 0x1010}`,
    );
  });
});

function oracle(made: Recipe, memory: GuestMemory, va: bigint, access: OracleAccess): RiscvResult {
  const { stages } = made;
  const read: OracleMemory = (address, size) => {
    if (address >= BigInt(SIZE)) return undefined;
    return size === 8 ? memory.readU64(Number(address)) : BigInt(memory.readU32(Number(address)));
  };
  const hart = { svnapot: true, svrsw60t59b: false, physicalBits: 53 };
  const vs: RiscvStage = { scheme: stages.vs, root: 0n, ...made.vs };
  const g: RiscvGuestStage = { scheme: stages.g, root: BigInt(G_ROOT), ...made.g };
  return riscvTranslateTwoStage(vs, g, hart, read, va, access);
}
