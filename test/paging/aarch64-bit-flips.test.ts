import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AArch64Controls, Translator } from '../../src/paging/index.ts';
import { libraryText, oracleText, SIX_ACCESSES, SparseTables } from './support/aarch64.ts';
import { oracleFor, type Subject, stage1, stage2 } from './support/aarch64-subjects.ts';

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
          const ask = oracleFor(subject, tables.memory, BigInt(tables.root), ps, controls);
          wanted += chain.length * 64 * SIX_ACCESSES.length;
          for (const [address, valid] of chain) {
            for (let bit = 0; bit < 64; bit++) {
              for (const access of SIX_ACCESSES) {
                for (const [other, entry] of chain) tables.entries.set(other, entry);
                tables.entries.set(address, valid ^ (1n << BigInt(bit)));
                tables.writes.length = 0;
                const expected = ask(va, access);
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
