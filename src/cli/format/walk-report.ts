import {
  describeTranslation,
  formatRights,
  type PagingFormat,
  type Translation,
} from '../../paging/index.ts';
import type { Colors } from '../action.ts';
import { formatSize, padHex } from './units.ts';

/** The flags of an x86 entry that a reader looks for, in the order of their bits (Intel SDM vol. 3A, 5.5). */
const X86_FLAGS: readonly (readonly [bit: bigint, name: string])[] = [
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
];

/** The flags that are set in an entry, by name; bit 7 of a last-level entry is PAT, of others PS. */
export function entryFlags(entry: bigint, level: number): string {
  const names = X86_FLAGS.filter(([bit]) => ((entry >> bit) & 1n) === 1n).map(([, name]) => name);
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
    return `${name.padEnd(5)} ${colors.dim(place)} = ${value}  ${entryFlags(entry, level)}`.trimEnd();
  });
  return [...lines, conclusion(translation, colors)];
}

function conclusion(translation: Translation, colors: Colors): string {
  if (translation.kind !== 'mapped') return colors.red(describeTranslation(translation));
  const page = `${formatSize(translation.pageSize)} page`;
  return `${colors.bold(`gpa   ${padHex(translation.gpa, 12)}`)}  ${page}  ${formatRights(translation.rights)}`;
}
