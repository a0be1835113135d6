import { physical } from './bits.ts';
import type { FieldMover } from './field-mover.ts';
import type { Level } from './level.ts';
import type { ListingMasks } from './listing-masks.ts';
import type { MappedRange } from './mapping-record.ts';

/**
 * The leaves of one table that map memory in the same way as the one that was listed last: a record for each, from its address
 * alone. Where leaves are listed one by one this is most of the work (120 ns a leaf become 20; case P8 of the benchmark).
 */
export class LeafRun {
  private readonly physicalEnd: number;
  private mover: FieldMover;
  private before: MappedRange | undefined = undefined;
  /** The entry of that leaf. */
  private lo = 0;
  private hi = 0;
  /** What of it the others have to have too. */
  private kindLo = 0;
  private kindHi = 0;
  /** The table's entries, where in it the next one is, and where the last one has to end. */
  private words: Uint32Array = new Uint32Array(0);
  private at = 0;
  private end = 0;
  /** Address of the leaf that was listed last, and its two halves. */
  private readonly gva: BigUint64Array = new BigUint64Array(new ArrayBuffer(8));
  private readonly gvaHalves: Uint32Array = new Uint32Array(this.gva.buffer);

  /** @param physicalEnd - where physical memory ends */
  constructor(level: Level, physicalEnd: number) {
    this.mover = level.leafAddress;
    this.physicalEnd = physicalEnd;
  }

  /**
   * Begins after the leaf `before`, of the entry `hi:lo`. `level` has to know it for a leaf at first sight, as the others
   * will be known; the next entry is `index`, and there may be `count`.
   */
  begin(
    level: Level,
    masks: ListingMasks,
    before: MappedRange,
    lo: number,
    hi: number,
    words: Uint32Array,
    index: number,
    count: number,
  ): void {
    this.mover = level.leafAddress;
    this.before = before;
    this.kindLo = masks.kindLo;
    this.kindHi = masks.kindHi;
    this.lo = lo;
    this.hi = hi;
    this.words = words;
    this.gva[0] = before.gva;
    // A carry into the upper half ends the run; so the middle of a sign-extended address space does, which is one.
    const beforeCarry = (2 ** 32 - (this.gvaHalves[0] as number)) / before.pageSize - 1;
    this.at = 2 * index;
    this.end = 2 * (index + Math.max(0, Math.min(count, beforeCarry)));
  }

  /** The next leaf; `undefined` where the run has ended. */
  next(): MappedRange | undefined {
    const { mover, before, words, at, gvaHalves } = this;
    if (at >= this.end || before === undefined) return undefined;
    const lo = words[at] as number;
    const hi = words[at + 1] as number;
    if ((((lo ^ this.lo) & this.kindLo) | ((hi ^ this.hi) & this.kindHi)) !== 0) return undefined;
    const gpa = physical(mover.addressLo(lo), mover.addressHi(lo, hi));
    if (gpa >= this.physicalEnd) return undefined;
    this.at = at + 2;
    const { size, pageSize, rights, memoryType, global, details } = before;
    gvaHalves[0] = (gvaHalves[0] as number) + pageSize;
    const gva = this.gva[0] as bigint;
    if (details === undefined)
      return { kind: 'mapped', gva, size, gpa, pageSize, rights, memoryType, global };
    return { kind: 'mapped', gva, size, gpa, pageSize, rights, memoryType, global, details };
  }

  /** Which entry comes next. */
  get index(): number {
    return this.at / 2;
  }
}
