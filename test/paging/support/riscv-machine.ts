import assert from 'node:assert/strict';
import type { GuestMemory } from '../../../src/core/index.ts';
import {
  accessCode,
  formatRights,
  type OneStageTranslation,
  type PagingFormat,
  type RiscvControls,
  Translator,
} from '../../../src/paging/index.ts';
import type { OracleAccess, OracleMemory } from '../../support/oracles/oracle.ts';
import { riscvTranslate, riscvTranslateTwoStage } from '../../support/oracles/riscv.ts';
import type {
  RiscvGuestScheme,
  RiscvHart,
  RiscvResult,
  RiscvScheme,
} from '../../support/oracles/riscv-algorithm.ts';

/** Controls with none left out. */
export type AllControls = Required<RiscvControls>;

export const PLAIN: AllControls = {
  sum: false,
  sse: false,
  userPmlen: 0,
  supervisorPmlen: 0,
  mxr: false,
  svnapot: true,
  svpbmt: true,
  svrsw60t59b: false,
  physicalBits: 53,
  accessedDirty: 'off',
};

export const ACCESSES: readonly OracleAccess[] = (['read', 'write', 'execute'] as const).flatMap((kind) => [
  { kind, user: false },
  { kind, user: true },
  ...(kind === 'execute' ? [] : [false, true].map((user) => ({ kind, user, shadowStack: true }))),
]);

/** The same tables under one control setting, for the library and for the oracle. */
export interface Pair {
  readonly memory: GuestMemory;
  readonly format: PagingFormat;
  readonly root: bigint;
  readonly controls: AllControls;
  readonly translator: Translator;
}

export function pairOf(memory: GuestMemory, format: PagingFormat, root: bigint, controls: AllControls): Pair {
  const { sum: _sum, sse: _sse, userPmlen: _user, supervisorPmlen: _supervisor, ...guest } = controls;
  const own = isGuest(format) ? guest : controls;
  return {
    memory,
    format,
    root,
    controls,
    translator: new Translator({ memory, format, root, controls: own }),
  };
}

export function isGuest({ name }: PagingFormat): boolean {
  return name.endsWith('x4');
}

function schemeOf({ title }: PagingFormat): string {
  return title.replace('RISC-V ', '');
}

function oracleOf(pair: Pair, adue: boolean, va: bigint, access: OracleAccess): RiscvResult {
  const { memory, format, root, controls } = pair;
  const { sum, sse, mxr, svnapot, svpbmt: pbmte, svrsw60t59b, physicalBits } = controls;
  const hart: RiscvHart = { svnapot, svrsw60t59b, physicalBits };
  const read: OracleMemory = (address, size) => {
    if (address >> 53n !== 0n || !memory.checkRange(Number(address), size)) return undefined;
    return size === 8 ? memory.readU64(Number(address)) : BigInt(memory.readU32(Number(address)));
  };
  if (isGuest(format)) {
    const scheme = schemeOf(format) as RiscvGuestScheme;
    const bare = {
      scheme: 'Bare',
      root: 0n,
      sum: false,
      mxr: false,
      adue: false,
      pbmte: true,
      sse: false,
    } as const;
    return riscvTranslateTwoStage(bare, { scheme, root, mxr, adue, pbmte }, hart, read, va, access);
  }
  const scheme = schemeOf(format) as RiscvScheme;
  return riscvTranslate({ scheme, root, sum, mxr, adue, pbmte, sse }, hart, read, va, access);
}

/** An answer as a line of text, in terms that the two have in common. */
function expectedOf(result: RiscvResult): string {
  const { reads } = result;
  const read = reads.join();
  switch (result.kind) {
    case 'mapped': {
      const { pa, pageSize, rights, global, memoryType } = result;
      return `mapped ${pa} of ${pageSize} ${rights.replace(/-$/, 's')} ${global} ${memoryType} by ${read}`;
    }
    case 'fault': {
      const { code, level, entryAddress } = result;
      if (entryAddress === undefined) return `fault ${code}`;
      // The oracle finds a table beyond physical memory when it would read it, the library in the entry that points there.
      const early = reads.at(-1) === entryAddress ? 0 : 1;
      return `fault ${code} level ${level + early} at ${reads.at(-1)} by ${read}`;
    }
    case 'unreadable':
      return `unreadable level ${result.level} at ${result.entryAddress} by ${read}`;
  }
}

function actualOf(translation: OneStageTranslation): string {
  const read = translation.levels.map(({ entryAddress }) => entryAddress).join();
  switch (translation.kind) {
    case 'mapped': {
      const { gpa, pageSize, rights, global, memoryType } = translation;
      return `mapped ${gpa} of ${pageSize} ${formatRights(rights)} ${global} ${memoryType} by ${read}`;
    }
    case 'page-fault': {
      const { errorCode, level, entryAddress } = translation;
      return `fault ${errorCode} level ${level} at ${entryAddress} by ${read}`;
    }
    case 'not-canonical':
      return `fault ${translation.errorCode}`;
    case 'table-unreadable':
      return `unreadable level ${translation.level} at ${translation.address} by ${read}`;
  }
}

/**
 * Both give the same answer, to both forms of the question, and leave the same marks, which are taken back. Returns the
 * answer's first word.
 */
export function assertSame(pair: Pair, va: bigint, access: OracleAccess, message: () => string): string {
  const { memory, translator, controls, format } = pair;
  const { accessedDirty } = controls;
  // Where nothing is marked the oracle may mark: what it would write is left out then.
  const result = oracleOf(pair, accessedDirty !== 'fault', va, access);
  const expected = expectedOf(result);
  const before = result.reads.map((address) => entryAt(memory, format, address));
  for (const form of ['translate', 'resolve'] as const) {
    if (form === 'translate') {
      const actual = actualOf(translator.translate(va, access));
      if (actual !== expected) assert.equal(actual, expected, message());
    } else {
      const pa = translator.resolveGva(va, accessCode(access));
      const wanted = result.kind === 'mapped' ? Number(result.pa) : -1;
      if (pa !== wanted) assert.equal(pa, wanted, `${message()}, resolved`);
    }
    const writes = accessedDirty === 'update' && result.kind === 'mapped' ? result.writes : [];
    for (const [at, address] of result.reads.entries()) {
      const entry = before[at] ?? 0n;
      const marked = writes.find(([written]) => written === address)?.[1] ?? entry;
      const actual = entryAt(memory, format, address);
      if (actual !== marked) assert.equal(actual, marked, `${message()}: marks in the entry at ${address}`);
      if (actual !== entry) setEntry(memory, format, Number(address), entry);
    }
  }
  return result.kind;
}

function entryAt(memory: GuestMemory, { entrySize }: PagingFormat, address: bigint): bigint {
  return entrySize === 8 ? memory.readU64(Number(address)) : BigInt(memory.readU32(Number(address)));
}

export function setEntry(
  memory: GuestMemory,
  { entrySize }: PagingFormat,
  address: number,
  entry: bigint,
): void {
  if (entrySize === 8) memory.writeU64(address, entry);
  else memory.writeU32(address, Number(entry));
}

/** Where the tables of a chain stand: the root of 16 KiB, then one of 4 KiB for each further level. */
export const ROOT = 0x1_0000;

/** One valid chain of entries for an address, down to a leaf at `leafLevel`. Returns the address of each entry. */
export function buildChain(
  memory: GuestMemory,
  format: PagingFormat,
  va: bigint,
  leafLevel: number,
  leaf: bigint,
): readonly number[] {
  const addresses: number[] = [];
  let table = ROOT;
  let next = ROOT + 0x4000;
  for (const { level, indexBit, indexBits } of format.levels) {
    const index = Number((va >> BigInt(indexBit)) & ((1n << BigInt(indexBits)) - 1n));
    const address = table + index * format.entrySize;
    addresses.push(address);
    setEntry(memory, format, address, level === leafLevel ? leaf : (BigInt(next) >> 2n) | 1n);
    if (level === leafLevel) return addresses;
    table = next;
    next += 0x1000;
  }
  return addresses;
}
