import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  AArch64Translator,
  aarch64Stage1FromRegisters,
  aarch64Stage2FromRegisters,
  accessCode,
  Translator,
} from '../../src/paging/index.ts';
import {
  type AArch64Processor,
  type AArch64Result,
  aarch64Stage1,
  aarch64Stage2,
} from '../support/oracles/aarch64.ts';
import {
  decodeTcrEl1,
  decodeTtbrEl1,
  decodeVtcrEl2,
  decodeVttbrEl2,
} from '../support/oracles/aarch64-registers.ts';
import { libraryText, oracleText, RandomTables, SIX_ACCESSES, type SparseTables } from './support/aarch64.ts';

const PA_MAX = [52, 52, 48, 44, 42, 40, 36, 32] as const;
const PROCESSOR: fc.Arbitrary<AArch64Processor> = fc
  .record({
    paMax: fc.constantFrom(...PA_MAX),
    lva: fc.boolean(),
    lpa2: fc.boolean(),
    ttst: fc.boolean(),
    xnx: fc.boolean(),
  })
  // FEAT_LPA is what makes 52 bits of physical address.
  .map((processor) => ({ ...processor, lpa: processor.paMax === 52 }));

const SIZES = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(12, 16, 17, 22, 24, 25, 28, 32, 39, 47, 48) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 63 }) },
);
const NOW_AND_THEN = fc.integer({ min: 0, max: 15 }).map((n) => n === 0);
const TABLES = fc.record({ seed: fc.integer(), width: fc.constantFrom(30, 34, 40, 46, 48) });
const ACCESS = fc.constantFrom(...SIX_ACCESSES);
const RUNS = { numRuns: 1500, includeErrorInReport: true };

function word(...fields: readonly [value: number | boolean | bigint, at: number][]): bigint {
  return fields.reduce((sum, [value, at]) => sum | (BigInt(value) << BigInt(at)), 0n);
}

const FAULTS = ['address size', 'translation', 'access flag', 'permission'];

function count(outcomes: Map<string, number>, result: AArch64Result): void {
  let outcome: string = result.kind;
  if (result.kind === 'fault' && result.entryAddress === undefined) outcome = 'fault without an entry';
  else if (result.kind === 'fault') outcome = FAULTS[result.fsc >> 2] ?? 'level -1';
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
}

/** The tables and registers are random, but not so that some rule is hardly ever met. */
function assertAllMet(outcomes: ReadonlyMap<string, number>): void {
  for (const outcome of ['mapped', 'unreadable', 'fault without an entry', ...FAULTS])
    assert((outcomes.get(outcome) ?? 0) > 0, `${outcome} of ${JSON.stringify([...outcomes])}`);
  assert((outcomes.get('mapped') ?? 0) > 50, JSON.stringify([...outcomes]));
}

const OUTPUT = fc.constantFrom(0, 1, 2, 3, 4, 5, 5, 5, 5, 6, 6, 6, 6, 6, 7);

/** A base register whose address is as wide as it says. */
const BASE = fc
  .record({
    width: fc.constantFrom(30, 30, 30, 30, 36, 44, 48),
    bits: fc.bigInt(0n, (1n << 48n) - 1n),
    above: fc.bigInt(0n, 0xffffn),
  })
  .map(({ width, bits, above }) => (bits & ((1n << BigInt(width)) - 1n)) | (above << 48n));

describe('AArch64 stage 1 from any registers, in tables full of anything', () => {
  it('T1 T2 T3 T4: agrees with the oracle', () => {
    const outcomes = new Map<string, number>();
    fc.assert(
      fc.property(
        fc.record({
          t0sz: SIZES,
          t1sz: SIZES,
          tg0: fc.integer({ min: 0, max: 3 }),
          tg1: fc.integer({ min: 0, max: 3 }),
          ips: OUTPUT,
          epd0: NOW_AND_THEN,
          epd1: NOW_AND_THEN,
          tbi0: fc.boolean(),
          tbi1: fc.boolean(),
          ha: fc.boolean(),
          hd: fc.boolean(),
          hpd0: fc.boolean(),
          hpd1: fc.boolean(),
          tbid0: fc.boolean(),
          tbid1: fc.boolean(),
          e0pd0: NOW_AND_THEN,
          e0pd1: NOW_AND_THEN,
          ds: fc.boolean(),
        }),
        fc.record({
          ttbr0: BASE,
          ttbr1: BASE,
          wxn: fc.boolean(),
          pan: fc.boolean(),
          epan: fc.boolean(),
          processor: PROCESSOR,
        }),
        TABLES,
        fc.record({
          upper: fc.boolean(),
          bits: fc.bigInt(0n, (1n << 64n) - 1n),
          inRange: fc.integer({ min: 0, max: 9 }),
          tag: fc.constantFrom(0n, 0n, 0n, 0x5an),
        }),
        ACCESS,
        (fields, { ttbr0, ttbr1, wxn, pan, epan, processor }, { seed, width }, address, access) => {
          const tcr = word(
            [fields.t0sz, 0],
            [fields.epd0, 7],
            [fields.tg0, 14],
            [fields.t1sz, 16],
            [fields.epd1, 23],
            [fields.tg1, 30],
            [fields.ips, 32],
            [fields.tbi0, 37],
            [fields.tbi1, 38],
            [fields.ha, 39],
            [fields.hd, 40],
            [fields.hpd0, 41],
            [fields.hpd1, 42],
            [fields.tbid0, 51],
            [fields.tbid1, 52],
            [fields.e0pd0, 55],
            [fields.e0pd1, 56],
            [fields.ds, 59],
          );
          const tsz = BigInt(address.upper ? fields.t1sz : fields.t0sz);
          const below = (1n << (64n - tsz)) - 1n;
          const clipped = address.upper
            ? address.bits | (below ^ 0xffff_ffff_ffff_ffffn)
            : address.bits & below;
          const va = (address.inRange > 0 ? clipped : address.bits) ^ (address.tag << 56n);
          const ask = (tables: SparseTables, ha: boolean, hd: boolean) =>
            aarch64Stage1(
              tables.memory,
              {
                tcr: { ...decodeTcrEl1(tcr), ha, hd },
                ttbr0: decodeTtbrEl1(ttbr0),
                ttbr1: decodeTtbrEl1(ttbr1),
                wxn,
                pan,
                epan,
                processor,
              },
              va,
              access,
            );
          const { paMax: physicalBits, lva, lpa2, ttst } = processor;
          const modes = aarch64Stage1FromRegisters({
            tcr,
            ttbr0,
            ttbr1,
            sctlr: word([true, 0], [wxn, 19], [epan, 57]),
            pan,
            processor: { physicalBits, lva, lpa2, ttst },
          });
          const expected = ask(new RandomTables(0, seed, width), fields.ha, fields.hd);
          const mode = ((va >> 55n) & 1n) === 1n ? modes.upper : modes.lower;
          // The library looks at a base register that is too large before it looks at the address.
          if (mode.faultCode === 0 && expected.kind === 'fault' && expected.fsc === 4) return;

          const made: RandomTables[] = [];
          const tables = (root: number): RandomTables => {
            const one = new RandomTables(root, seed, width);
            made.push(one);
            return one;
          };
          const translator = new AArch64Translator({ ...modes, tables, accessedDirty: mode.marking });
          const actual = translator.translate(va, access);
          assert.equal(libraryText(actual), oracleText(expected));
          const writes = expected.kind === 'mapped' ? expected.writes : [];
          assert.deepEqual(
            made.flatMap((one) => one.writes),
            writes,
          );
          for (const one of made) one.entries.clear();
          const gpa = translator.resolveGva(va, accessCode(access));
          assert.equal(gpa, expected.kind === 'mapped' ? Number(expected.pa) : -1);
          if (expected.kind === 'fault') assert.equal(translator.fault.errorCode, expected.fsc);
          if (gpa < 0) assert.equal(translator.fault.gva, va);

          // Only looking is as if the processor marked entries, without the marks.
          const looking = new AArch64Translator({ ...modes, tables });
          const seen = ask(new RandomTables(0, seed, width), true, fields.ha && fields.hd);
          assert.equal(libraryText(looking.translate(va, access)), oracleText(seen));
          count(outcomes, expected);
        },
      ),
      RUNS,
    );
    assertAllMet(outcomes);
  });
});

/** T0SZ, SL0 and TG0 as they go together: SL0 counts up from the granule's latest start, and each start has its inputs. */
const GO_TOGETHER = fc.constantFrom(
  ...(
    [
      [0, 12, 2],
      [2, 14, 3],
      [1, 16, 3],
    ] as const
  ).flatMap(([tg0, granuleBits, latest]) =>
    [0, 1, 2].flatMap((sl0) => {
      const below = granuleBits + (granuleBits - 3) * (3 - latest + sl0);
      const inputs = Array.from({ length: granuleBits + 1 }, (_, i) => below + 1 + i);
      return inputs.filter((bits) => bits >= 16 && bits <= 52).map((bits) => ({ t0sz: 64 - bits, sl0, tg0 }));
    }),
  ),
);
const ANY_THREE = fc.record({
  t0sz: SIZES,
  sl0: fc.integer({ min: 0, max: 3 }),
  tg0: fc.integer({ min: 0, max: 3 }),
});

describe('AArch64 stage 2 from any registers, in tables full of anything', () => {
  it('T1 T2 T3 T4: agrees with the oracle', () => {
    const outcomes = new Map<string, number>();
    fc.assert(
      fc.property(
        fc.oneof({ weight: 6, arbitrary: GO_TOGETHER }, { weight: 1, arbitrary: ANY_THREE }),
        fc.record({
          ps: OUTPUT,
          ha: fc.boolean(),
          hd: fc.boolean(),
          ds: fc.boolean(),
          sl2: fc.boolean(),
        }),
        fc.record({ vttbr: BASE, processor: PROCESSOR }),
        TABLES,
        fc.record({ bits: fc.bigInt(0n, (1n << 52n) - 1n), inRange: fc.integer({ min: 0, max: 9 }) }),
        ACCESS,
        (three, two, { vttbr, processor }, { seed, width }, address, access) => {
          const fields = { ...three, ...two };
          const vtcr = word(
            [fields.t0sz, 0],
            [fields.sl0, 6],
            [fields.tg0, 14],
            [fields.ps, 16],
            [fields.ha, 21],
            [fields.hd, 22],
            [fields.ds, 32],
            [fields.sl2, 33],
          );
          const below = (1n << BigInt(64 - fields.t0sz)) - 1n;
          const ipa = address.inRange > 0 ? address.bits & below : address.bits;
          const expected = aarch64Stage2(
            new RandomTables(0, seed, width).memory,
            { vtcr: decodeVtcrEl2(vtcr), vttbr: decodeVttbrEl2(vttbr), processor },
            ipa,
            access,
          );
          const { paMax: physicalBits, lpa2, ttst, xnx } = processor;
          const mode = aarch64Stage2FromRegisters({
            vtcr,
            vttbr,
            hcr: 1,
            processor: { physicalBits, lpa2, ttst, xnx },
          });
          if (mode.format === undefined) {
            assert.equal(mode.name, 'faults');
            if (mode.faultCode === 0 && expected.kind === 'fault' && expected.fsc === 4) return;
            const wanted = `fault ${mode.faultCode?.toString(16)} at level 0, entry undefined, read `;
            assert.equal(oracleText(expected), wanted);
            count(outcomes, expected);
            return;
          }
          const tables = new RandomTables(Number(mode.root), seed, width);
          const controls = { ...mode.controls, accessedDirty: mode.marking };
          const { wxn: _wxn, pan: _pan, ...stage2Controls } = { wxn: false, pan: false, ...controls };
          const translator = new Translator({ tables, format: mode.format, controls: stage2Controls });
          assert.equal(libraryText(translator.translate(ipa, access)), oracleText(expected));
          assert.deepEqual(tables.writes, expected.kind === 'mapped' ? expected.writes : []);
          count(outcomes, expected);
        },
      ),
      RUNS,
    );
    assertAllMet(outcomes);
  });
});
