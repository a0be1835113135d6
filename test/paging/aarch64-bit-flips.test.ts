import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type AArch64Controls,
  aarch64Stage1Format,
  aarch64Stage2Format,
  type PagingFormat,
  Translator,
} from '../../src/paging/index.ts';
import {
  type AArch64Result,
  aarch64Stage1,
  aarch64Stage2,
  EVERY_FEATURE,
} from '../support/oracles/aarch64.ts';
import {
  decodeTcrEl1,
  decodeTtbrEl1,
  decodeVtcrEl2,
  decodeVttbrEl2,
} from '../support/oracles/aarch64-registers.ts';
import type { OracleAccess } from '../support/oracles/oracle.ts';
import { libraryText, oracleText, SIX_ACCESSES, SparseTables } from './support/aarch64.ts';

type Granule = 4096 | 16384 | 65536;

/** A format and the registers that ask the oracle for the same. */
interface Subject {
  readonly stage: 1 | 2;
  readonly format: PagingFormat;
  /** Without IPS or PS, HA and HD. */
  readonly register: bigint;
  readonly wide: boolean;
  readonly va: bigint;
}

const TG0: Readonly<Record<Granule, bigint>> = { 4096: 0b00n, 16384: 0b10n, 65536: 0b01n };
const TG1: Readonly<Record<Granule, bigint>> = { 4096: 0b10n, 16384: 0b01n, 65536: 0b11n };

/** Stage 1: all of an address's bits differ from their neighbours, so that no index is taken from a wrong place. */
function stage1(
  granule: Granule,
  inputBits: number,
  half: 'lower' | 'upper',
  wide: boolean,
  hpd = false,
): Subject {
  const format = aarch64Stage1Format({ granule, inputBits, half, wide, hierarchyDisabled: hpd });
  const ds = wide && granule !== 65536 ? 1n << 59n : 0n;
  const tsz = BigInt(64 - inputBits);
  const register =
    ds |
    (hpd ? 3n << 41n : 0n) |
    (half === 'lower' ? tsz | (TG0[granule] << 14n) : (tsz << 16n) | (TG1[granule] << 30n));
  const low = 0xa_5a5a_5a5a_5a5an & ((1n << BigInt(inputBits)) - 1n);
  const va = half === 'lower' ? low : low | (0xffff_ffff_ffff_ffffn & ~((1n << BigInt(inputBits)) - 1n));
  return { stage: 1, format, register, wide, va };
}

function stage2(granule: Granule, inputBits: number, startLevel: number, wide: boolean): Subject {
  const format = aarch64Stage2Format({ granule, inputBits, startLevel, wide });
  const ds = wide && granule !== 65536 ? 1n << 32n : 0n;
  const sl2 = startLevel === -1 ? 1n << 33n : 0n;
  const sl0 =
    startLevel === -1
      ? 0n
      : granule === 4096
        ? startLevel === 3
          ? 3n
          : BigInt(2 - startLevel)
        : BigInt(3 - startLevel);
  const register = ds | sl2 | (sl0 << 6n) | BigInt(64 - inputBits) | (TG0[granule] << 14n);
  return { stage: 2, format, register, wide, va: 0xa_5a5a_5a5a_5a5an & ((1n << BigInt(inputBits)) - 1n) };
}

const SUBJECTS: readonly Subject[] = [
  stage1(4096, 48, 'lower', false),
  stage1(4096, 39, 'upper', false),
  stage1(4096, 52, 'upper', true),
  stage1(4096, 25, 'lower', false, true),
  stage1(16384, 48, 'upper', false),
  stage1(16384, 47, 'lower', false),
  stage1(16384, 52, 'lower', true),
  stage1(65536, 42, 'upper', false),
  stage1(65536, 52, 'lower', true),
  stage1(65536, 48, 'lower', false, true),
  stage2(4096, 40, 1, false),
  stage2(4096, 48, 0, false),
  stage2(4096, 52, -1, true),
  stage2(16384, 40, 2, false),
  stage2(16384, 48, 1, false),
  stage2(16384, 52, 0, true),
  stage2(65536, 42, 2, false),
  stage2(65536, 52, 1, true),
];

/** Output widths by IPS or PS, and which half of the controls goes with them. */
const SETTINGS: readonly {
  readonly ps: bigint;
  readonly bits: number;
  readonly controls: AArch64Controls;
}[] = [
  { ps: 5n, bits: 48, controls: { accessedDirty: 'fault' } },
  { ps: 2n, bits: 40, controls: { accessedDirty: 'fault', wxn: true, pan: true } },
  { ps: 6n, bits: 52, controls: { accessedDirty: 'update', hd: true, pan: true } },
  { ps: 0n, bits: 32, controls: { accessedDirty: 'update', wxn: true } },
];

const STAGE1_LEAVES = [
  // AF; then AP, UXN and PXN in different ways.
  0x400n,
  0x440n,
  0x4c0n | (1n << 53n),
  0x480n | (1n << 51n),
  0x4c0n | (1n << 51n) | (3n << 53n),
];
const STAGE2_LEAVES = [0x4c0n, 0x440n | (1n << 51n), 0x480n | (1n << 54n), 0x4c0n | (3n << 53n)];

/** Where the tables stand: far enough apart for sixteen tables of 64 KiB side by side. */
const tableAt = (i: number): number => 0x4000_0000 + i * 0x100_0000;

/** One valid chain of entries down to a leaf, with the addresses of all. The page lies as high as the output reaches. */
function chainOf(subject: Subject, bits: number, leafLevel: number, leaf: bigint): [number, bigint][] {
  const { format, va, wide } = subject;
  const chain: [number, bigint][] = [];
  for (const [i, { level, indexBit, indexBits }] of format.levels.entries()) {
    const index = (va >> BigInt(indexBit)) & ((1n << BigInt(indexBits)) - 1n);
    const address = tableAt(i) + Number(index) * 8;
    if (level !== leafLevel) {
      chain.push([address, BigInt(tableAt(i + 1)) | 3n]);
      continue;
    }
    const size = 1n << BigInt(indexBit);
    const page = 0xa_5a5a_5a5a_5a5an & ((1n << BigInt(bits)) - 1n) & ~(size - 1n);
    // D8.3: bits 51:48 of the 64 KiB granule in 15:12, bits 51:50 of the others in 9:8.
    const upper = format.tableSize === 65536 ? (page >> 48n) << 12n : (page >> 50n) << 8n;
    const inPlace = page & ((1n << (format.tableSize === 65536 || !wide ? 48n : 50n)) - 1n);
    chain.push([address, inPlace | (wide ? upper : 0n) | leaf | (level === 3 ? 3n : 1n)]);
    return chain;
  }
  throw new Error(`${format.name} has no level ${leafLevel}`);
}

function oracleFor(
  { stage, register, format, wide, va }: Subject,
  tables: SparseTables,
  ps: bigint,
  controls: AArch64Controls,
): (access: OracleAccess) => AArch64Result {
  const ha = controls.accessedDirty === 'update' ? 1n : 0n;
  const hd = controls.hd === true ? 1n : 0n;
  const processor =
    wide || format.tableSize !== 65536 ? EVERY_FEATURE : { ...EVERY_FEATURE, lpa: false, paMax: 48 };
  const root = BigInt(tables.root);
  if (stage === 2) {
    const vtcr = decodeVtcrEl2(register | (ps << 16n) | (ha << 21n) | (hd << 22n));
    const registers = { vtcr, vttbr: decodeVttbrEl2(root), processor };
    return (access) => aarch64Stage2(tables.memory, registers, va, access);
  }
  const tcr = decodeTcrEl1(register | (ps << 32n) | (ha << 39n) | (hd << 40n));
  const ttbr = decodeTtbrEl1(root);
  const { wxn = false, pan = false } = controls;
  const registers = { tcr, ttbr0: ttbr, ttbr1: ttbr, wxn, pan, processor };
  return (access) => aarch64Stage1(tables.memory, registers, va, access);
}

describe('every single-bit flip of a valid AArch64 entry', () => {
  for (const subject of SUBJECTS) {
    const { format, stage, va } = subject;
    for (const [setting, { ps, bits, controls }] of SETTINGS.entries()) {
      it(`T2 T3 T4: ${format.name}, ${bits}-bit output, ${JSON.stringify(controls)}: the oracle’s outcome, exactly`, () => {
        const leafLevels = format.levels.filter(({ leafAddress }) => leafAddress.length > 0);
        const kinds = new Set<string>();
        let outcomes = 0;
        let wanted = 0;
        for (const [at, { level }] of leafLevels.entries()) {
          // Another leaf at each level and in each setting, each of them somewhere.
          const leaves = stage === 1 ? STAGE1_LEAVES : STAGE2_LEAVES;
          const leaf = leaves[(at + setting) % leaves.length] as bigint;
          const tables = new SparseTables(tableAt(0));
          const chain = chainOf(subject, bits, level, leaf);
          const { accessedDirty = 'off', hd = false } = controls;
          const mine = stage === 1 ? controls : { accessedDirty, hd };
          const translator = new Translator({
            tables,
            format,
            controls: { ...mine, physicalBits: Math.min(bits, format.physicalBits) },
          });
          const ask = oracleFor(subject, tables, ps, controls);
          wanted += chain.length * 64 * SIX_ACCESSES.length;
          for (const [address, valid] of chain) {
            for (let bit = 0; bit < 64; bit++) {
              for (const access of SIX_ACCESSES) {
                for (const [other, entry] of chain) tables.entries.set(other, entry);
                tables.entries.set(address, valid ^ (1n << BigInt(bit)));
                tables.writes.length = 0;
                const expected = ask(access);
                const actual = translator.translate(va, access);
                const writes = expected.kind === 'mapped' ? expected.writes : [];
                if (
                  libraryText(actual) !== oracleText(expected) ||
                  String(tables.writes) !== String(writes)
                ) {
                  const message = `bit ${bit} of the entry at 0x${address.toString(16)}, ${JSON.stringify(access)}`;
                  assert.equal(libraryText(actual), oracleText(expected), message);
                  assert.deepEqual(tables.writes, writes, message);
                }
                outcomes++;
                kinds.add(expected.kind);
              }
            }
          }
        }
        assert.equal(outcomes, wanted);
        assert(kinds.has('fault') && kinds.has('mapped'));
      });
    }
  }
});
