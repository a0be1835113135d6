import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory } from '../../src/core/index.ts';
import { mappings, type PagingFormat, RISCV_FORMATS } from '../../src/paging/index.ts';
import type { OracleAccess } from '../support/oracles/oracle.ts';
import {
  ACCESSES,
  type AllControls,
  assertSame,
  isGuest,
  type Pair,
  pairOf,
  ROOT,
  setEntry,
} from './support/riscv-machine.ts';

// Tables of random entries: a root of 16 KiB and six tables that point to each other, to themselves, to pages, to nowhere.

const TABLES = 6;
const TABLE = (n: number): number => ROOT + 0x4000 + n * 0x1000;
/** Few indices are in use, so that random addresses meet them. */
const INDICES = [0, 1, 2, 511, 1023, 2047, 4095];

const controls: fc.Arbitrary<AllControls> = fc.record({
  sum: fc.boolean(),
  sse: fc.boolean(),
  userPmlen: fc.constant(0 as const),
  supervisorPmlen: fc.constant(0 as const),
  mxr: fc.boolean(),
  svnapot: fc.boolean(),
  svpbmt: fc.boolean(),
  svrsw60t59b: fc.boolean(),
  physicalBits: fc.constantFrom(53, 53, 32, 36, 44),
  accessedDirty: fc.constantFrom('off', 'fault', 'update'),
});

/** An entry of eight bytes; of four, its lower half is used. Mostly sound, now and then with a bit or more that is not. */
const entry: fc.Arbitrary<bigint> = fc
  .record({
    table: fc.nat({ max: TABLES }),
    kind: fc.constantFrom(
      'table',
      'table',
      'table',
      'good',
      'good',
      'good',
      'leaf',
      'leaf',
      'napot',
      'any',
      'zero',
    ),
    sound: fc.constantFrom(0xdfn, 0xdfn, 0xcfn, 0xcfn, 0x5bn, 0xd3n, 0xc9n, 0x1fn),
    base: fc.constantFrom(0n, 0n, 1n << 36n, 1n << 28n),
    flags: fc.nat({ max: 0x3ff }),
    page: fc.constantFrom(0n, 0x1234n, 0x4_0000n, 0x8000_0000n, 0x12_3456_0000n, 0x800_0000_0000n),
    type: fc.constantFrom(0n, 0n, 1n, 2n),
    noise: fc.constantFrom(0n, 0n, 0n, 1n << 4n, 1n << 13n, 1n << 54n, 1n << 59n, 1n << 62n),
    any: fc.bigInt(0n, (1n << 64n) - 1n),
  })
  .map(({ table, kind, sound, base, flags, page, type, noise, any }) => {
    if (kind === 'good') return (base << 10n) | sound;
    if (kind === 'zero') return 0n;
    if (kind === 'any') return any;
    if (kind === 'table')
      return (BigInt(TABLE(table)) >> 2n) ^ BigInt(1 | (flags & 0x300) | (flags & 0x20)) ^ noise;
    if (kind === 'napot')
      return (1n << 63n) | (type << 61n) | (page << 10n) | (1n << 13n) | BigInt(flags | 0x43) | noise;
    return ((type << 61n) | (page << 10n) | BigInt(flags | 1)) ^ noise;
  });

interface Recipe {
  readonly name: string;
  readonly controls: AllControls;
  readonly root: readonly bigint[];
  readonly tables: readonly (readonly bigint[])[];
}

const recipe: fc.Arbitrary<Recipe> = fc.record({
  name: fc.constantFrom(...RISCV_FORMATS.map(({ name }) => name)),
  controls,
  root: fc.array(entry, { minLength: INDICES.length, maxLength: INDICES.length }),
  tables: fc.array(fc.array(entry, { minLength: 4, maxLength: 4 }), { minLength: TABLES, maxLength: TABLES }),
});

/** The tables of a recipe. Recipes, and not these, are what fast-check prints. */
function make({ name, controls, root, tables }: Recipe): Pair {
  const format = RISCV_FORMATS.find((candidate) => candidate.name === name);
  assert(format !== undefined);
  const { entrySize } = format;
  const memory = GuestMemory.allocate(TABLE(TABLES));
  const put = (table: number, bytes: number, index: number, value: bigint): void => {
    if (index * entrySize >= bytes) return;
    setEntry(memory, format, table + index * entrySize, BigInt.asUintN(8 * entrySize, value));
  };
  for (const [at, value] of root.entries()) put(ROOT, 0x4000, INDICES[at] ?? 0, value);
  for (const [number, values] of tables.entries()) {
    for (const [at, value] of values.entries()) put(TABLE(number), 0x1000, INDICES[at] ?? 0, value);
  }
  return pairOf(memory, format, BigInt(ROOT), controls);
}

/** An address whose indices are mostly in use. */
function address(format: PagingFormat, picks: readonly number[], offset: number): bigint {
  let va = BigInt(offset);
  for (const [depth, { indexBit, indexBits }] of format.levels.entries()) {
    const index = BigInt(INDICES[picks[depth] ?? 0] ?? 0) & ((1n << BigInt(indexBits)) - 1n);
    va |= index << BigInt(indexBit);
  }
  return format.upperBits === 'signed' ? BigInt.asUintN(64, BigInt.asIntN(format.addressBits, va)) : va;
}

const picks = fc.array(fc.constantFrom(0, 0, 0, 1, 1, 2, 3), { minLength: 5, maxLength: 5 });
const access: fc.Arbitrary<OracleAccess> = fc.constantFrom(...ACCESSES);

describe('random tables, on RISC-V', () => {
  it('T1 T2 T3 T4: every walk has the outcome that the oracle has', () => {
    const kinds = new Map<string, number>();
    const property = fc.property(
      recipe,
      fc.array(fc.tuple(picks, fc.nat({ max: 4095 }), access), { minLength: 20, maxLength: 20 }),
      (made, walks) => {
        const pair = make(made);
        for (const [indices, offset, how] of walks) {
          const va = address(pair.format, indices, offset);
          const message = (): string => `${made.name}, ${how.kind}, user ${how.user}, at ${va.toString(16)}`;
          const kind = assertSame(pair, va, how, message);
          kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        }
      },
    );
    fc.assert(property, { numRuns: 300 });
    for (const kind of ['mapped', 'fault', 'unreadable'])
      assert((kinds.get(kind) ?? 0) > 20, `${kind} was met`);
  });

  it('T1 T3: any address of 64 bits, canonical or not', () => {
    const property = fc.property(recipe, fc.bigInt(0n, (1n << 64n) - 1n), access, (made, va, how) => {
      assertSame(make(made), va, how, () => `${made.name} at ${va.toString(16)}`);
    });
    fc.assert(property, { numRuns: 300 });
  });

  it('T6: a listing says of an address what a translation of it says', () => {
    let met = 0;
    const property = fc.property(recipe, fc.array(picks, { minLength: 10 }), (made, addresses) => {
      const { translator, format } = make({ ...made, controls: { ...made.controls, accessedDirty: 'off' } });
      for (const indices of addresses) {
        const gva = address(format, indices, 0);
        const [record] = mappings(translator, { first: gva, last: gva + 4095n, expandAliases: true });
        const translation = translator.translate(gva);
        if (record === undefined) {
          assert(translation.kind === 'page-fault' && translation.reason === 'not-present');
        } else if (record.kind !== 'mapped') {
          const unreadable = translation.kind === 'table-unreadable';
          assert.equal(record.kind, unreadable ? 'table-unreadable' : 'reserved');
          assert.notEqual(translation.kind, 'mapped');
        } else if (translation.kind === 'mapped') {
          met++;
          const { gpa, rights, global, memoryType, pageSize } = translation;
          assert.deepEqual(record, {
            kind: 'mapped',
            gva,
            size: 4096,
            gpa,
            rights,
            global,
            memoryType,
            pageSize,
          });
        } else {
          assert(translation.kind === 'page-fault' && translation.reason === 'rights');
          assert.deepEqual(record.rights, translation.rights);
        }
      }
    });
    fc.assert(property, { numRuns: 300 });
    assert(met > 100, `${met} mapped pages were met`);
  });

  it('T6: a listing of the whole of hostile tables ends', () => {
    const property = fc.property(recipe, (made) => {
      const { translator, format } = make(made);
      const records = [...mappings(translator, { budget: 20_000 })];
      assert(records.length <= 20_001);
      assert(records.every(({ gva }) => gva >= 0n));
      if (isGuest(format)) assert(records.every((record) => record.kind !== 'mapped' || !record.global));
    });
    fc.assert(property, { numRuns: 60 });
  });
});
