import type { EntryReader } from './entry-reader.ts';
import type { Marks } from './format.ts';
import type { Level } from './level.ts';
import { leafOfWalk, type WalkTrace } from './walk-report.ts';

/** Marks the entries of a traced walk as accessed and dirty, by compare-and-swap, as a processor does. */
export class Marker {
  /** The entry that could not be written: its level and address. */
  level: Level;
  lo = 0;
  hi = 0;
  private readonly trace: WalkTrace;
  private readonly reader: EntryReader;
  /** Bits that use sets in a leaf, and in a table; all marks are in the lower half. */
  private readonly accessed: number;
  private readonly accessedTable: number;
  /** The bit of a leaf that writing changes, and what it becomes. */
  private readonly dirty: number;
  private readonly written: number;

  constructor(trace: WalkTrace, reader: EntryReader, { accessed, tables, dirty }: Marks) {
    this.level = trace.compiled.top;
    this.trace = trace;
    this.reader = reader;
    this.accessed = 1 << accessed;
    this.accessedTable = tables ? this.accessed : 0;
    this.dirty = 1 << dirty.bit;
    this.written = dirty.inverted === true ? 0 : this.dirty;
  }

  /** Whether a leaf, by its lower half, has every mark that an access needs. */
  isMarked(lo: number, write: boolean): boolean {
    return this.leafLo(lo, write) === (lo | 0);
  }

  /** Whether writing through the leaf of the walk would have to mark it. */
  lacksDirty(leaf: Level): boolean {
    return !this.isMarked(this.trace.entries[leaf.slot] as number, true);
  }

  /**
   * Marks every entry of the walk of `hi:lo`, as far as it is not marked. False where somebody changed one meanwhile;
   * `undefined` where one cannot be written.
   */
  mark(lo: number, hi: number, write: boolean): boolean | undefined {
    const { trace, reader } = this;
    const { compiled, entries, root } = trace;
    const leaf = leafOfWalk(trace);
    let tableLo = (root[0] as number) & compiled.rootLo;
    let tableHi = (root[1] as number) & compiled.rootHi;
    for (let level = compiled.top; ; level = level.next) {
      const entryLo = (entries[level.slot] as number) | 0;
      const entryHi = (entries[level.slot + 1] as number) | 0;
      const isLeaf = level.slot === leaf.slot;
      const marked = isLeaf ? this.leafLo(entryLo, write) : entryLo | (this.accessedTable & ~level.noRights);
      if (marked !== entryLo) {
        const offset = level.offsetOf(lo, hi);
        const at = tableLo | offset;
        const done = reader.replace(at, tableHi, offset, entryLo, entryHi, marked, entryHi);
        if (done !== true) {
          this.level = level;
          this.lo = at;
          this.hi = tableHi;
          return done;
        }
        entries[level.slot] = marked;
      }
      if (isLeaf) return true;
      tableLo = compiled.tableAddress.addressLo(entryLo);
      tableHi = compiled.tableAddress.addressHi(entryLo, entryHi);
    }
  }

  /** The lower half of a leaf with its marks. */
  private leafLo(lo: number, write: boolean): number {
    const used = lo | this.accessed;
    return write ? (used & ~this.dirty) | this.written : used;
  }
}
