import type { EntryReader } from './entry-reader.ts';
import type { Marks } from './format.ts';
import type { Level } from './level.ts';
import { leafOfWalk, type WalkTrace } from './walk-report.ts';

/** What became of marking: done, an entry was changed meanwhile, or one cannot be written. */
export type Marked = 'done' | 'changed' | 'unwritable';

/** Marks the entries of a traced walk as accessed and dirty, by compare-and-swap, as a processor does. */
export class Marker {
  /** The entry that could not be written: its level and address. */
  level: Level;
  lo = 0;
  hi = 0;
  private readonly trace: WalkTrace;
  private readonly reader: EntryReader;
  private readonly marks: Marks;

  constructor(trace: WalkTrace, reader: EntryReader, marks: Marks) {
    this.level = trace.compiled.top;
    this.trace = trace;
    this.reader = reader;
    this.marks = marks;
  }

  /** Whether a leaf has every mark that an access needs. */
  isMarked(lo: number, hi: number, write: boolean): boolean {
    return this.leafLo(lo, hi, write) === lo;
  }

  /** Whether writing through the leaf of the walk would have to mark it. */
  lacksDirty(leaf: Level): boolean {
    const { entries } = this.trace;
    return !this.isMarked((entries[leaf.slot] ?? 0) | 0, entries[leaf.slot + 1] ?? 0, true);
  }

  /** Marks every entry of the walk of `hi:lo`. */
  mark(lo: number, hi: number, write: boolean): Marked {
    const { trace, reader, marks } = this;
    const { compiled, entries, root } = trace;
    const leaf = leafOfWalk(trace);
    let tableLo = (root[0] ?? 0) & compiled.rootLo;
    let tableHi = (root[1] ?? 0) & compiled.rootHi;
    for (let level = compiled.top; ; level = level.next) {
      const entryLo = (entries[level.slot] ?? 0) | 0;
      const entryHi = (entries[level.slot + 1] ?? 0) | 0;
      const isLeaf = level.slot === leaf.slot;
      const marked = isLeaf
        ? this.leafLo(entryLo, entryHi, write)
        : marks.tables && level.noRights === 0
          ? entryLo | (1 << marks.accessed)
          : entryLo;
      if (marked !== entryLo) {
        const at = tableLo | level.offsetOf(lo, hi);
        const done = reader.replace(at, tableHi, entryLo, entryHi, marked, entryHi);
        if (done === false) return 'changed';
        if (done === undefined) {
          this.level = level;
          this.lo = at;
          this.hi = tableHi;
          return 'unwritable';
        }
        entries[level.slot] = marked;
      }
      if (isLeaf) return 'done';
      tableLo = compiled.tableAddress.addressLo(entryLo);
      tableHi = compiled.tableAddress.addressHi(entryLo, entryHi);
    }
  }

  /** The lower half of a leaf with its marks: those of every architecture are there. */
  private leafLo(lo: number, hi: number, write: boolean): number {
    const { accessed, dirty } = this.marks;
    const used = lo | (1 << accessed);
    if (!write || dirty === undefined) return used;
    const { bit, inverted = false, where } = dirty;
    if (where !== undefined && ((where < 32 ? lo >>> where : hi >>> (where - 32)) & 1) === 0) return used;
    return inverted ? used & ~(1 << bit) : used | (1 << bit);
  }
}
