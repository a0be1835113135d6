import type { TableReadOps, Translation } from '../../../src/paging/index.ts';
import type { AArch64Result } from '../../support/oracles/aarch64.ts';
import type { OracleAccess, OracleMemory } from '../../support/oracles/oracle.ts';

export const SIX_ACCESSES: readonly OracleAccess[] = [false, true].flatMap((user) =>
  (['read', 'write', 'execute'] as const).map((kind) => ({ kind, user })),
);

/** Tables anywhere in 52 bits: entries by address, zeros between them, and nothing to be read from `end` up. */
export class SparseTables implements TableReadOps<number> {
  readonly entries: Map<number, bigint> = new Map();
  /** What was written since it was last emptied, as the oracle keeps it. */
  readonly writes: [bigint, bigint][] = [];
  readonly root: number;
  private readonly end: number;

  constructor(root: number, end: number = 2 ** 47) {
    this.root = root;
    this.end = end;
  }

  entryAddr(addr: number, byteOffset: number): number {
    return addr + byteOffset;
  }

  readEntry(addr: number): bigint | undefined {
    return addr >= this.end ? undefined : (this.entries.get(addr) ?? this.untouched(addr));
  }

  /** What an entry is that nobody wrote. */
  protected untouched(_addr: number): bigint {
    return 0n;
  }

  compareExchangeEntry(addr: number, expected: bigint, desired: bigint): boolean | undefined {
    if (this.readEntry(addr) !== expected) return false;
    this.entries.set(addr, desired);
    this.writes.push([BigInt(addr), desired]);
    return true;
  }

  toPhys(addr: number): number {
    return addr;
  }

  fromPhys(gpa: number): number {
    return gpa;
  }

  rootTable(): number {
    return this.root;
  }

  get memory(): OracleMemory {
    return (address) => this.readEntry(Number(address));
  }
}

/**
 * Tables that are full of entries, a function of address and seed: mostly tables and pages, mostly accessed, with
 * addresses of all widths and any rights.
 */
export class RandomTables extends SparseTables {
  private readonly seed: number;
  private readonly width: bigint;

  constructor(root: number, seed: number, width: number) {
    super(root, 2 ** 51);
    this.seed = seed;
    this.width = (1n << BigInt(width)) - 1n;
  }

  protected override untouched(addr: number): bigint {
    const words = [1, 2, 3, 4].map((n) => mix(this.seed + n, addr));
    const [type = 0, low = 0, high = 0, rest = 0] = words;
    let entry = (((BigInt(high) << 32n) | BigInt(low)) & this.width & 0xffff_ffff_f000n) | 1n;
    // Address bits of small pages, and of the 52-bit form of large ones.
    if (high % 2 === 0) entry &= ~0xf000n;
    if (type % 8 !== 0) entry |= 2n;
    if (type % 31 === 1) entry &= ~1n;
    if (type % 7 !== 2) entry |= 1n << 10n;
    // AP, S2AP; DBM; PXN and UXN, XN; now and then the tables' own restrictions; bits that the 52-bit forms use.
    entry |= BigInt(rest % 4) << 6n;
    if (rest % 5 === 0) entry |= 1n << 51n;
    if (rest % 3 === 0) entry |= BigInt((rest >>> 4) % 4) << 53n;
    if (rest % 11 === 0) entry |= BigInt((rest >>> 6) % 16) << 59n;
    if (rest % 13 === 0) entry |= BigInt((rest >>> 8) % 16) << 12n;
    if (rest % 17 === 0) entry |= BigInt((rest >>> 12) % 4) << 8n;
    if (rest % 19 === 0) entry |= BigInt((rest >>> 14) % 4) << 48n;
    return entry;
  }
}

function mix(seed: number, addr: number): number {
  let h =
    seed ^
    Math.imul((addr % 0x1_0000_0000) | 0, 0x9e37_79b1) ^
    Math.imul((addr / 0x1_0000_0000) | 0, 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b_3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a_2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

/** What both sides can say of a translation, as text that differs where they do: the library's answer. */
export function libraryText(translation: Translation): string {
  const reads = translation.levels.map(({ entryAddress }) => BigInt(entryAddress));
  switch (translation.kind) {
    case 'mapped': {
      const { gpa, pageSize, levels } = translation;
      return mappedText(BigInt(gpa), BigInt(pageSize), levels.at(-1)?.level, reads);
    }
    case 'page-fault': {
      const { errorCode, level, entryAddress } = translation;
      return faultText(errorCode, level, BigInt(entryAddress), reads);
    }
    case 'not-canonical':
      return faultText(translation.errorCode, 0, undefined, reads);
    case 'table-unreadable':
      return unreadableText(translation.level, BigInt(translation.address), reads);
    case 'second-stage-fault':
      throw new RangeError('There is no second stage here');
  }
}

/** The oracle's answer. */
export function oracleText(result: AArch64Result): string {
  const { reads, level } = result;
  switch (result.kind) {
    case 'mapped':
      return mappedText(result.pa, result.pageSize, level, reads);
    case 'fault':
      return faultText(result.fsc, level, result.entryAddress, reads);
    case 'unreadable':
      return unreadableText(level, result.entryAddress, reads);
  }
}

function mappedText(pa: bigint, pageSize: bigint, level: number | undefined, reads: bigint[]): string {
  return `mapped to ${pa.toString(16)}, page of ${pageSize} at level ${level}, read ${hexes(reads)}`;
}

function faultText(fsc: number, level: number, entry: bigint | undefined, reads: bigint[]): string {
  return `fault ${fsc.toString(16)} at level ${level}, entry ${entry?.toString(16)}, read ${hexes(reads)}`;
}

function unreadableText(level: number, entry: bigint, reads: bigint[]): string {
  return `unreadable at level ${level}, entry ${entry.toString(16)}, read ${hexes(reads)}`;
}

function hexes(numbers: bigint[]): string {
  return numbers.map((number) => number.toString(16)).join(' ');
}
