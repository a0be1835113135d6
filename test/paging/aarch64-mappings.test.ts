import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  aarch64Stage1Format,
  aarch64Stage2Format,
  formatRights,
  type MappingRecord,
  mappings,
  type OneStageTranslation,
  type PagingFormat,
  Translator,
} from '../../src/paging/index.ts';
import { RandomTables } from './support/aarch64.ts';

// Address spaces small enough to ask for every page of them.
const FORMATS: readonly PagingFormat[] = [
  aarch64Stage1Format({ granule: 4096, inputBits: 23 }),
  aarch64Stage1Format({ granule: 4096, inputBits: 23, half: 'upper', wide: true }),
  aarch64Stage1Format({ granule: 16384, inputBits: 26, half: 'upper' }),
  aarch64Stage1Format({ granule: 65536, inputBits: 30, wide: true }),
  aarch64Stage2Format({ granule: 4096, inputBits: 24, startLevel: 3 }),
  aarch64Stage2Format({ granule: 16384, inputBits: 26, startLevel: 2 }),
];

describe('listing AArch64 pages side by side', () => {
  const format = aarch64Stage1Format({ granule: 4096, inputBits: 20 });
  const DBM = 1n << 51n;
  const ranges = (leaves: readonly bigint[], hd: boolean): string[] => {
    const memory = GuestMemory.allocate(0x2000);
    for (const [i, leaf] of leaves.entries())
      memory.writeU64(0x1000 + 8 * i, leaf | 0x403n | BigInt(0x5_0000 + i * 0x1000));
    return [...mappings(new Translator({ memory, root: 0x1000, format, controls: { hd } }))].map((record) => {
      assert(record.kind === 'mapped');
      return `${record.gva}+${record.size / 4096} ${formatRights(record.rights)}`;
    });
  };

  it('T6: pages that differ in who may write them by DBM alone are ranges of their own', () => {
    const leaves = [0x80n, 0x80n | DBM, DBM, 0n, 0x80n];
    assert.deepEqual(ranges(leaves, true), ['0+1 r-xs', '4096+3 rwxs', '16384+1 r-xs']);
    assert.deepEqual(ranges(leaves, false), ['0+2 r-xs', '8192+2 rwxs', '16384+1 r-xs']);
  });

  it('T6: marks, software’s bits and shareability make no difference', () => {
    assert.deepEqual(ranges([0n, 0x400n, 5n << 55n, 3n << 8n, 1n << 52n], false), ['0+5 rwxs']);
  });
});

describe('listing AArch64 tables full of anything', () => {
  for (const format of FORMATS) {
    for (const coalesce of [true, false]) {
      it(`T6: ${format.name}, ${coalesce ? 'joined' : 'leaf by leaf'}: says of every page what a translation says`, () => {
        const kinds = new Map<string, number>();
        for (const [seed, physicalBits] of [
          [1, 48],
          [2, 40],
          [3, 32],
        ] as const) {
          const tables = new RandomTables(0x4000_0000, seed, 46);
          const translator = new Translator({ tables, format, controls: { physicalBits, hd: seed === 1 } });
          const records = [...mappings(translator, { coalesce, expandAliases: true })];
          const start = format.upperBits === 'ones' ? 2n ** 64n - 2n ** BigInt(format.addressBits) : 0n;
          const end = start + 2n ** BigInt(format.addressBits);
          let at = 0;
          for (let gva = start; gva < end; gva += BigInt(format.tableSize)) {
            while (at < records.length && endOf(records[at]) <= gva) at++;
            const record = records[at];
            const told = record !== undefined && record.gva <= gva ? record : undefined;
            const wanted = translator.translate(gva);
            assert.equal(tellRecord(told, gva, wanted), tellTranslation(wanted), gva.toString(16));
            const kind = wanted.kind === 'page-fault' ? wanted.reason : wanted.kind;
            kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
          }
        }
        assert((kinds.get('mapped') ?? 0) > 50, JSON.stringify([...kinds]));
        assert((kinds.get('not-present') ?? 0) > 10 && (kinds.get('address-size') ?? 0) > 10);
      });
    }
  }
});

function endOf(record: MappingRecord | undefined): bigint {
  if (record === undefined || record.kind === 'budget') return 2n ** 64n;
  return record.gva + BigInt(record.size);
}

/** What a translation says, as far as a listing can say it too. */
function tellTranslation(translation: OneStageTranslation): string {
  if (translation.kind === 'mapped') {
    const { gpa, pageSize, rights, memoryType, global } = translation;
    return `mapped to ${gpa.toString(16)}, page of ${pageSize}, ${formatRights(rights)} ${rights.supervisorExecute} ${memoryType} ${global}`;
  }
  if (translation.kind !== 'page-fault') return translation.kind;
  const { reason, rights } = translation;
  if (reason === 'not-present') return 'nothing';
  return reason === 'rights' && rights !== undefined ? formatRights(rights) : 'reserved';
}

/** What a record says of an address, as far as the translation says it too. */
function tellRecord(
  record: MappingRecord | undefined,
  gva: bigint,
  translation: OneStageTranslation,
): string {
  if (record === undefined) return 'nothing';
  if (record.kind !== 'mapped') return record.kind;
  if (translation.kind !== 'mapped') return formatRights(record.rights);
  const { rights, memoryType, pageSize, global } = record;
  const gpa = record.gpa + Number(gva - record.gva);
  return tellTranslation({ ...translation, rights, memoryType, pageSize, global, gva, gpa });
}
