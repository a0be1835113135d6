import { fromHalves, physical } from './bits.ts';
import type { CompiledFormat } from './compiled-format.ts';
import { decodeLeaf } from './entry-codec.ts';
import type { Level } from './level.ts';
import { rightsOf } from './rights.ts';
import type { MappedTranslation, OneStageTranslation, WalkStep } from './translation.ts';
import { LEAF, SPECIAL_LEAF, TABLE } from './verdict.ts';
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
  /** How many of them the walk read. */
  reads: number;
}

/** A traced walk as the caller of `translate` gets it; `gpa` is below 0 for one that failed. */
export function reportWalk(
  trace: WalkTrace,
  gva: bigint,
  gpa: number,
  fault: WalkFault,
): OneStageTranslation {
  if (gpa >= 0) return reportMapped(trace, gva, gpa);
  const { level, entryAddress, errorCode, reason } = fault;
  switch (fault.kind) {
    case 'page-fault': {
      const rights = fault.rights < 0 ? undefined : rightsOf(fault.rights);
      const levels = trace.reads === 0 ? [] : stepsOfWalk(trace, gva, level, true);
      return { kind: 'page-fault', gva, errorCode, reason, level, entryAddress, rights, levels };
    }
    case 'second-stage':
    case 'table-unreadable':
      return {
        kind: 'table-unreadable',
        gva,
        level,
        address: entryAddress,
        levels: stepsOfWalk(trace, gva, level, false),
      };
    default:
      return { kind: 'not-canonical', gva, errorCode, levels: [] };
  }
}

function reportMapped(trace: WalkTrace, gva: bigint, gpa: number): MappedTranslation {
  const { compiled, entries } = trace;
  const leaf = leafOfWalk(trace);
  const [lo = 0, hi = 0] = entries.subarray(leaf.slot);
  const { memoryType, protectionKey, software } = decodeLeaf(leaf, lo, hi);
  return {
    kind: 'mapped',
    gva,
    gpa,
    pageSize: leaf.pageSize,
    rights: rightsOf(compiled.complete(rightsOfWalk(trace, leaf))),
    memoryType,
    global: isGlobal(trace, leaf),
    protectionKey: compiled.keys === undefined ? undefined : protectionKey,
    software,
    shadowStack: compiled.shadowStacks?.has(tablesOfWalk(trace, leaf), lo, hi) === true,
    levels: stepsOfWalk(trace, gva, leaf.format.level, true),
  };
}

/** Whether a page stays in a TLB when the root changes: its leaf or a table says so, and global pages are in force. */
export function isGlobal({ compiled, entries }: WalkTrace, leaf: Level): boolean {
  // One bit, and not all that a leaf says: a TLB asks at every miss.
  if (!compiled.format.architecture.global(compiled.controls)) return false;
  let lo = entries[leaf.slot] as number;
  for (let slot = 0; slot < leaf.slot; slot += 2) lo |= (entries[slot] as number) & compiled.inheritedLo;
  const hi = entries[leaf.slot + 1] as number;
  return leaf.isGlobal(lo, hi);
}

/** The leaf at which a walk ended; for walks that reached one. */
export function leafOfWalk({ compiled, entries }: WalkTrace): Level {
  for (let level = compiled.top; ; level = level.next) {
    const verdict = level.judge(entries[level.slot] as number, entries[level.slot + 1] as number);
    if (verdict === LEAF) return level;
    if (verdict === SPECIAL_LEAF) return level.special;
    if (verdict !== TABLE) throw new RangeError('The walk did not reach a leaf');
  }
}

/** The AND of the lower halves of a walk's tables: which rights they leave. */
export function tablesOfWalk({ compiled, entries }: WalkTrace, leaf: Level): number {
  let andLo = -1;
  for (let level = compiled.top; level.slot < leaf.slot; level = level.next)
    andLo &= (entries[level.slot] as number) | level.noRights;
  return andLo;
}

/** Rights of a walk, all levels down to its leaf taken together. */
export function rightsOfWalk(trace: WalkTrace, leaf: Level): number {
  const { compiled, entries } = trace;
  let orHi = 0;
  for (let slot = 0; slot < leaf.slot; slot += 2) orHi |= entries[slot + 1] as number;
  const andLo = tablesOfWalk(trace, leaf);
  return compiled.rights(andLo, orHi, entries[leaf.slot] as number, entries[leaf.slot + 1] as number);
}

/** The entries that a walk read, root first, up to the one of a level or the one before it. */
export function stepsOfWalk(
  { compiled, root, entries }: WalkTrace,
  gva: bigint,
  lastLevel: number,
  inclusive: boolean,
): WalkStep[] {
  const steps: WalkStep[] = [];
  const { entrySize } = compiled.format;
  let table = physical((root[0] as number) & compiled.rootLo, (root[1] as number) & compiled.rootHi);
  for (let level = compiled.top; ; level = level.next) {
    const { level: number, entry: name, indexBit, indexBits } = level.format;
    if (number === lastLevel && !inclusive) return steps;
    const [lo = 0, hi = 0] = entries.subarray(level.slot);
    const index = Number(BigInt.asUintN(indexBits, gva >> BigInt(indexBit)));
    steps.push({ level: number, name, entryAddress: table + index * entrySize, entry: fromHalves(lo, hi) });
    if (number === lastLevel) return steps;
    table = physical(compiled.tableAddress.addressLo(lo), compiled.tableAddress.addressHi(lo, hi));
  }
}
