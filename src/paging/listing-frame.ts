import type { CompiledFormat } from './compiled-format.ts';
import type { Level } from './level.ts';

/** Where the enumeration stands in the table of one level. */
export interface ListingFrame {
  readonly level: Level;
  /** Pages that an entry covers. */
  readonly span: number;
  /** Page number of the first address that the table covers. */
  base: number;
  tableLo: number;
  tableHi: number;
  /** What the entries above leave: the AND of their lower halves, and the OR of the upper ones. */
  andLo: number;
  orHi: number;
  /** Bits of lower halves that hold for everything below. */
  handedDown: number;
  /** Every entry can be read; otherwise each is asked for before. */
  whole: boolean;
  /** The table's entries, where they could be read at once; `taken` says whether they could. */
  readonly words: Uint32Array;
  taken: boolean;
  index: number;
  lastIndex: number;
}

/** One for each level of a format, the root's first. */
export function makeFrames(compiled: CompiledFormat): ListingFrame[] {
  const frames: ListingFrame[] = [];
  let level = compiled.top;
  for (const { indexBit, indexBits } of compiled.format.levels) {
    const span = 2 ** (indexBit - 12);
    frames.push({
      level,
      span,
      base: 0,
      tableLo: 0,
      tableHi: 0,
      andLo: 0,
      orHi: 0,
      handedDown: 0,
      whole: false,
      words: new Uint32Array((2 ** indexBits * compiled.format.entrySize) / 4),
      taken: false,
      index: 0,
      lastIndex: 0,
    });
    level = level.next;
  }
  return frames;
}
