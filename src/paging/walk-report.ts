import { fromHalves, physical } from './bits.ts';
import type { CompiledFormat } from './compiled-format.ts';
import { decodeLeaf } from './entry-codec.ts';
import type { Level } from './level.ts';
import { rightsOf } from './rights.ts';
import type { MappedTranslation, Translation, WalkStep } from './translation.ts';
import type { WalkFault } from './walk-fault.ts';

/**
 * The entries that a traced walk read: two halves at each level's slot. What is reported about a walk comes from
 * here, for reading the tables a second time could tell another story than the one that was acted on.
 */
export interface WalkTrace {
  readonly compiled: CompiledFormat;
  /** Physical address of the root table: bits 31:0 and 63:32. */
  readonly root: Int32Array;
  readonly entries: Uint32Array;
}

/** A traced walk as the caller of `translate` gets it; `gpa` is -1 for one that failed. */
export function reportWalk(trace: WalkTrace, gva: bigint, gpa: number, fault: WalkFault): Translation {
  if (gpa >= 0) return reportMapped(trace, gva, gpa);
  const { level, entryAddress, errorCode, reason } = fault;
  switch (fault.kind) {
    case 'page-fault': {
      const rights = fault.rights < 0 ? undefined : rightsOf(fault.rights);
      const levels = stepsOfWalk(trace, gva, level);
      return { kind: 'page-fault', gva, errorCode, reason, level, entryAddress, rights, levels };
    }
    case 'table-unreadable':
      return {
        kind: 'table-unreadable',
        gva,
        level,
        address: entryAddress,
        levels: stepsOfWalk(trace, gva, level + 1),
      };
    default:
      return { kind: 'not-canonical', gva, levels: [] };
  }
}

function reportMapped(trace: WalkTrace, gva: bigint, gpa: number): MappedTranslation {
  const { compiled, entries } = trace;
  const leaf = leafOfWalk(trace);
  const [lo = 0, hi = 0] = entries.subarray(leaf.slot);
  const { memoryType, protectionKey } = decodeLeaf(leaf, lo, hi);
  return {
    kind: 'mapped',
    gva,
    gpa,
    pageSize: leaf.pageSize,
    rights: rightsOf(rightsOfWalk(trace, leaf)),
    memoryType,
    global: isGlobal(trace, leaf),
    protectionKey: compiled.keyed ? protectionKey : undefined,
    levels: stepsOfWalk(trace, gva, leaf.format.level),
  };
}

/** Whether the leaf of a walk is global, and that means something. */
export function isGlobal({ compiled, entries }: WalkTrace, leaf: Level): boolean {
  const [lo = 0, hi = 0] = entries.subarray(leaf.slot);
  return compiled.controls.pge && decodeLeaf(leaf, lo, hi).global !== 0;
}

/** The leaf at which a walk ended; for walks that reached one. */
export function leafOfWalk({ compiled, entries }: WalkTrace): Level {
  let level = compiled.top;
  while (((entries[level.slot] ?? 0) & level.leafMask) === 0) level = level.next;
  return level;
}

/** Rights of a walk, all levels down to its leaf taken together. */
export function rightsOfWalk({ compiled, entries }: WalkTrace, leaf: Level): number {
  let andLo = -1;
  let orHi = 0;
  for (let level = compiled.top; ; level = level.next) {
    andLo &= (entries[level.slot] ?? 0) | level.noRights;
    orHi |= entries[level.slot + 1] ?? 0;
    if (level === leaf) return compiled.rights(andLo, orHi);
  }
}

/** The entries that a walk read, root first, down to `lastLevel`. */
function stepsOfWalk({ compiled, root, entries }: WalkTrace, gva: bigint, lastLevel: number): WalkStep[] {
  const steps: WalkStep[] = [];
  const { entrySize } = compiled.format;
  let table = physical((root[0] ?? 0) & compiled.rootLo, (root[1] ?? 0) & compiled.rootHi);
  let level = compiled.top;
  for (let number = level.format.level; number >= lastLevel; number--) {
    const { entry: name, indexBit, indexBits } = level.format;
    const [lo = 0, hi = 0] = entries.subarray(level.slot);
    const index = Number(BigInt.asUintN(indexBits, gva >> BigInt(indexBit)));
    steps.push({ level: number, name, entryAddress: table + index * entrySize, entry: fromHalves(lo, hi) });
    table = physical(lo & compiled.tableAddressLo, hi & compiled.tableAddressHi);
    level = level.next;
  }
  return steps;
}
