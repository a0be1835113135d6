import {
  describeTranslation,
  formatRights,
  type PagingFormat,
  type Translation,
} from '../../paging/index.ts';
import type { Colors } from '../action.ts';
import { formatSize, padHex } from './units.ts';

/** The flags that a reader looks for, in the order of their bits, by the architecture's name. */
const FLAGS: Readonly<Record<string, readonly (readonly [bit: bigint, name: string])[]>> = {
  // Intel SDM vol. 3A, 5.5.
  x86: [
    [0n, 'P'],
    [1n, 'W'],
    [2n, 'U'],
    [3n, 'PWT'],
    [4n, 'PCD'],
    [5n, 'A'],
    [6n, 'D'],
    [7n, 'PS'],
    [8n, 'G'],
    [63n, 'NX'],
  ],
  // Intel SDM vol. 3C, 29.3.2.
  ept: [
    [0n, 'R'],
    [1n, 'W'],
    [2n, 'X'],
    [6n, 'IPAT'],
    [7n, 'PS'],
    [8n, 'A'],
    [9n, 'D'],
    [10n, 'XU'],
    [63n, 'SVE'],
  ],
  // RISC-V privileged specification, "Sv39: Page-Based 39-bit Virtual-Memory System".
  riscv: [
    [0n, 'V'],
    [1n, 'R'],
    [2n, 'W'],
    [3n, 'X'],
    [4n, 'U'],
    [5n, 'G'],
    [6n, 'A'],
    [7n, 'D'],
    [63n, 'N'],
  ],
  // Arm ARM, DDI 0487, D8.3 "Translation table descriptor formats": bit 1 tells tables and pages from blocks.
  aarch64: [
    [0n, 'V'],
    [1n, 'T'],
    [6n, 'EL0'],
    [7n, 'RO'],
    [10n, 'AF'],
    [11n, 'nG'],
    [51n, 'DBM'],
    [52n, 'CONT'],
    [53n, 'PXN'],
    [54n, 'UXN'],
  ],
  'aarch64-stage2': [
    [0n, 'V'],
    [1n, 'T'],
    [6n, 'R'],
    [7n, 'W'],
    [10n, 'AF'],
    [51n, 'DBM'],
    [52n, 'CONT'],
    [54n, 'XN'],
  ],
};
const SAME_AS: Readonly<Record<string, string>> = { npt: 'x86', 'riscv-gstage': 'riscv' };

/** The flags that are set in an entry, by name; bit 7 of a last-level entry of x86 is PAT, of others PS. */
export function entryFlags(entry: bigint, level: number, architecture: string): string {
  const names = (FLAGS[SAME_AS[architecture] ?? architecture] ?? [])
    .filter(([bit]) => ((entry >> bit) & 1n) === 1n)
    .map(([, name]) => name);
  return names.map((name) => (name === 'PS' && level === 1 ? 'PAT' : name)).join(' ');
}

/** One translation, level by level: the entry's name, index, address, value and flags; then where it ends. */
export function walkReport(translation: Translation, format: PagingFormat, colors: Colors): string[] {
  const lines = translation.levels.map(({ level, name, entryAddress, entry }) => {
    const shape = format.levels.find((candidate) => candidate.level === level);
    const mask = (1n << BigInt(shape?.indexBits ?? 9)) - 1n;
    const index = (translation.gva >> BigInt(shape?.indexBit ?? 12)) & mask;
    const value = padHex(entry, format.entrySize * 2);
    const place = `[${index.toString().padStart(4)}] @${padHex(entryAddress, 12)}`;
    return `${name.padEnd(5)} ${colors.dim(place)} = ${value}  ${entryFlags(entry, level, format.architecture.name)}`.trimEnd();
  });
  return [...lines, conclusion(translation, colors)];
}

function conclusion(translation: Translation, colors: Colors): string {
  if (translation.kind !== 'mapped') return colors.red(describeTranslation(translation));
  const page = `${formatSize(translation.pageSize)} page`;
  return `${colors.bold(`gpa   ${padHex(translation.gpa, 12)}`)}  ${page}  ${formatRights(translation.rights)}`;
}
