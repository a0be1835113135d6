import { NONE } from './bits.ts';
import type { CompiledFormat } from './compiled-format.ts';
import { addressBits, encodeLeaf, type LeafAttributes, leafAddress, whyNoLeaf } from './entry-codec.ts';
import { entryOf, halvesOf } from './entry-halves.ts';
import { groupsOf, type LeafGroup } from './leaf-group.ts';
import type { Level } from './level.ts';
import type { TableOps } from './table-ops.ts';
import { LEAF, SPECIAL_LEAF } from './verdict.ts';

/** Makes leaves, each of them one that the hardware takes for what was asked for. */
export class LeafEncoder<TableAddr> {
  private readonly tables: TableOps<TableAddr>;
  private readonly compiled: CompiledFormat;
  /** The error for a leaf that cannot be. */
  private readonly fail: (why: string, page: number, level: Level) => Error;
  /** What a leaf gets that was not there before. */
  private readonly freshLeaf: bigint;

  constructor(
    tables: TableOps<TableAddr>,
    compiled: CompiledFormat,
    fail: (why: string, page: number, level: Level) => Error,
  ) {
    this.tables = tables;
    this.compiled = compiled;
    this.fail = fail;
    const { lo, hi } = compiled.format.freshLeaf ?? NONE;
    this.freshLeaf = entryOf(lo, hi);
  }

  /**
   * A leaf, checked by reading it back: an address that the format has no bits for does not survive.
   *
   * @param page - that it is for
   */
  encode(
    level: Level,
    gpa: number,
    attributes: LeafAttributes,
    page: number,
    rest: bigint = this.freshLeaf,
  ): bigint {
    const [gpaLo, gpaHi] = halvesOf(gpa);
    const { lo, hi } = encodeLeaf(level, gpaLo, gpaHi, attributes);
    if (level.judge(lo, hi) !== LEAF || leafAddress(level, lo, hi) !== gpa)
      throw this.noLeaf(level, gpa, attributes, page);
    // What a large leaf has where a small one has its address is no part of the address.
    return entryOf(lo, hi) | (rest & ~addressBits(level));
  }

  /**
   * Makes `count` entries of a table that nothing points to leaves of one run of memory, each checked as in
   * {@link encode}. Of a leaf that was encoded once only the address changes: 20 ns a leaf, where reading, encoding and
   * checking each by itself takes 700.
   *
   * @param index - of the first entry, which covers page `page` and shall lead to `gpa`
   */
  fill(
    level: Level,
    table: TableAddr,
    index: number,
    count: number,
    page: number,
    gpa: number,
    attributes: LeafAttributes,
    rest: bigint = this.freshLeaf,
  ): void {
    const { tables } = this;
    const { entrySize } = this.compiled.format;
    const { leafAddress: mover, leafTestLo, leafTestHi, leafTestValue, pageSize } = level;
    const plain = encodeLeaf(level, 0, 0, attributes);
    const kept = rest & ~addressBits(level);
    const keptLo = Number(kept & 0xffff_ffffn) | 0;
    const keptHi = Number(kept >> 32n) | 0;
    for (let i = 0; i < count; i++) {
      const at = gpa + i * pageSize;
      const atLo = (at % 0x1_0000_0000) | 0;
      const atHi = Math.floor(at / 0x1_0000_0000) | 0;
      const lo = plain.lo | mover.entryLo(atLo, atHi);
      const hi = plain.hi | mover.entryHi(atHi);
      const quick = (lo & leafTestLo) === leafTestValue && (hi & leafTestHi) === 0;
      const isLeaf = quick || level.judge(lo, hi) === LEAF;
      if (!isLeaf || mover.addressLo(lo) !== atLo || mover.addressHi(lo, hi) !== atHi)
        throw this.noLeaf(level, at, attributes, page + i * level.tableSpan);
      const address = tables.entryAddr(table, (index + i) * entrySize);
      tables.writeEntry(address, entryOf(lo | keptLo, hi | keptHi), entrySize);
    }
  }

  /** The groups that leaves of a level can be of, by this processor. */
  groupsOf(level: Level, attributes: LeafAttributes): LeafGroup | undefined {
    const group = groupsOf(level);
    if (group === undefined) return undefined;
    const { lo, hi } = encodeLeaf(level, 0, 0, attributes);
    const entry = entryOf(lo, hi) | group.marks;
    const verdict = level.judge(Number(entry & 0xffff_ffffn) | 0, Number(entry >> 32n) | 0);
    return verdict === (group.uniform ? SPECIAL_LEAF : LEAF) ? group : undefined;
  }

  /** As {@link fill}, of whole groups. */
  fillGroups(
    level: Level,
    group: LeafGroup,
    table: TableAddr,
    index: number,
    count: number,
    page: number,
    gpa: number,
    attributes: LeafAttributes,
  ): void {
    if (!group.uniform) {
      this.fill(level, table, index, count, page, gpa, attributes, this.freshLeaf | group.marks);
      return;
    }
    const { tables } = this;
    const { entrySize } = this.compiled.format;
    for (let i = 0; i < count; i += group.entries) {
      const at = gpa + i * level.pageSize;
      const entry = this.encode(level, at, attributes, page + i * level.tableSpan) | group.marks;
      for (let k = i; k < i + group.entries; k++)
        tables.writeEntry(tables.entryAddr(table, (index + k) * entrySize), entry, entrySize);
    }
  }

  private noLeaf(level: Level, gpa: number, attributes: LeafAttributes, page: number): Error {
    const { writeBack = 0 } = this.compiled.format;
    return this.fail(whyNoLeaf(level, gpa, attributes, writeBack), page, level);
  }
}
