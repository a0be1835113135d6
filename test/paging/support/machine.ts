import assert from 'node:assert/strict';
import type { GuestMemory } from '../../../src/core/index.ts';
import {
  accessCode,
  formatRights,
  type OneStageTranslation,
  type PagingFormat,
  Translator,
  X86_FORMATS,
} from '../../../src/paging/index.ts';
import {
  DEFAULT_CONTROLS,
  NAIVE_MODES,
  type NaiveAccess,
  type NaiveControls,
  type NaiveMachine,
  type NaiveMode,
  type NaiveOutcome,
  naiveTranslate,
} from './naive-walk.ts';

export const ALL_ACCESSES: readonly NaiveAccess[] = (['read', 'write', 'execute'] as const).flatMap(
  (kind) => [
    { kind, user: false, ac: false },
    { kind, user: false, ac: true },
    { kind, user: true, ac: false },
    { kind, user: false, ac: false, implicit: true },
    ...(kind === 'execute'
      ? []
      : [false, true].map((user) => ({ kind, user, ac: false, shadowStack: true }))),
  ],
);

/** The same tables, seen by the library and by the naive walker. */
export function machinePair(
  memory: GuestMemory,
  format: PagingFormat,
  cr3: bigint,
  controls: Partial<NaiveControls> = {},
): { readonly translator: Translator; readonly naive: NaiveMachine } {
  const all = { ...DEFAULT_CONTROLS, ...controls };
  return {
    translator: new Translator({ memory, format, root: cr3, controls: all }),
    naive: {
      mode: modeOf(format),
      cr3,
      controls: all,
      read(address, bytes) {
        if (!memory.checkRange(Number(address), bytes)) return undefined;
        return bytes === 8 ? memory.readU64(Number(address)) : BigInt(memory.readU32(Number(address)));
      },
    },
  };
}

function modeOf({ name }: PagingFormat): NaiveMode {
  const mode = NAIVE_MODES.find((candidate) => candidate === name);
  if (mode === undefined) throw new Error(`The naive walker does not know ${name}`);
  return mode;
}

/** A translation in the naive walker's terms. */
export function plain(translation: OneStageTranslation): NaiveOutcome {
  const entries = translation.levels.map(({ entry }) => entry);
  switch (translation.kind) {
    case 'mapped':
      return {
        kind: 'mapped',
        gpa: BigInt(translation.gpa),
        pageSize: BigInt(translation.pageSize),
        rights: formatRights(translation.rights),
        memoryType: translation.memoryType,
        global: translation.global,
        shadowStack: translation.shadowStack,
        entries,
      };
    case 'page-fault': {
      const { errorCode, level, entryAddress } = translation;
      return { kind: 'page-fault', errorCode, level, entryAddress: BigInt(entryAddress), entries };
    }
    case 'not-canonical':
      return { kind: 'not-canonical' };
    case 'table-unreadable':
      return {
        kind: 'table-unreadable',
        level: translation.level,
        address: BigInt(translation.address),
        entries,
      };
  }
}

/** Both walkers give the same answer, to all forms of the question. */
export function assertSame(
  pair: { readonly translator: Translator; readonly naive: NaiveMachine },
  gva: bigint,
  access: NaiveAccess,
  message: string,
): NaiveOutcome {
  const expected = naiveTranslate(pair.naive, gva, access);
  const translation = pair.translator.translate(gva, access);
  assert.deepEqual(plain(translation), expected, message);
  // The form that allocates nothing walks by itself where it can.
  const gpa = pair.translator.resolveGva(gva, accessCode(access));
  const found = 'entries' in expected ? expected.entries.length : 0;
  const reads = expected.kind === 'table-unreadable' ? found + 1 : found;
  assert.deepEqual(
    [gpa, pair.translator.reads],
    [expected.kind === 'mapped' ? Number(expected.gpa) : -1, reads],
    `${message}, resolved`,
  );
  return expected;
}

/** Where the tables of a chain stand: one table for each level, below 1 MiB. */
export const TABLES = 0x1_0000;

/** One valid chain of entries for an address, down to a leaf at `leafLevel`. Returns the address of each entry. */
export function buildChain(
  memory: GuestMemory,
  format: PagingFormat,
  gva: bigint,
  leafLevel: number,
  leafEntry: bigint,
): readonly number[] {
  const addresses: number[] = [];
  let table = TABLES;
  for (const level of format.levels) {
    const index = Number((gva >> BigInt(level.indexBit)) & ((1n << BigInt(level.indexBits)) - 1n));
    const address = table + index * format.entrySize;
    addresses.push(address);
    const next = table + 0x1000;
    const pointer = format.name === 'x86-pae' && level.level === 3 ? 0x1n : 0x27n;
    const entry = level.level === leafLevel ? leafEntry : BigInt(next) | pointer;
    if (format.entrySize === 8) memory.writeU64(address, entry);
    else memory.writeU32(address, Number(entry));
    if (level.level === leafLevel) return addresses;
    table = next;
  }
  return addresses;
}

/** Every format with every level at which it can have a leaf, and a leaf entry for it. */
export const LEAVES: readonly {
  readonly format: PagingFormat;
  readonly leafLevel: number;
  readonly leaf: bigint;
}[] = X86_FORMATS.flatMap((format) =>
  format.levels
    .filter(({ table }) => table !== 'always')
    .map(({ level, indexBit }) => {
      const flags = level === 1 ? 0x67n : 0xe7n;
      return { format, leafLevel: level, leaf: (1n << BigInt(Math.min(indexBit + 1, 31))) | flags };
    }),
);
