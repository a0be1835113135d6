import { DirtyLog, type SharedDirtyLog } from '../../src/core/dirty-log.ts';

/** Bytes that a mark stands for: a line of the cache, so that each page is on its way alone. */
export const LINE = 64;
/** All in one word of the log. */
export const PAGES = 32;
/** Lines behind the pages, whose stores those of the pages have to wait for. */
export const BALLAST = 24;

export interface MarkRaceData {
  readonly ram: SharedArrayBuffer;
  readonly log: SharedDirtyLog;
  readonly control: Int32Array;
  readonly side: 0 | 1;
}

/** Cells of {@link MarkRaceData.control}, each on a line of its own. */
export const ARRIVED = 0;
export const STOP = 16;
export const LOST = 32;
/** Rounds in all, and those in which neither side had to wait for the other to be given a processor. */
export const ROUNDS = 48;
export const RACED = 64;
export const CELLS = 80;

/** How pages are written and marked. */
export type Marker = 'scalars' | 'atomics' | 'ranges' | 'planted: test and skip' | 'planted: plain or';

export interface MarkTask {
  /**
   * `drain`: one Worker writes pages that are marked already while the other drains and copies them. `neighbours`: both
   * mark pages of one word at once, and nobody drains.
   */
  readonly kind: 'drain' | 'neighbours';
  readonly marker: Marker;
  /** It ends after so long, or so many rounds that were raced, or when a page was lost. */
  readonly ms: number;
  readonly raced: number;
}

/** The defect that lost 72 pages in 2 million rounds: a mark is not made where it seems to be there. */
export class TestAndSkip extends DirtyLog {
  private readonly marks: Int32Array;

  constructor(log: SharedDirtyLog) {
    super(log);
    this.marks = log.words;
  }

  override markOne(offset: number): void {
    const page = offset / LINE;
    const bit = 1 << (page & 31);
    if (((this.marks[page >>> 5] as number) & bit) === 0) Atomics.or(this.marks, page >>> 5, bit);
  }
}

/** The defect that loses what another thread marks in the same word meanwhile. */
export class PlainOr extends DirtyLog {
  private readonly marks: Int32Array;

  constructor(log: SharedDirtyLog) {
    super(log);
    this.marks = log.words;
  }

  override markOne(offset: number): void {
    const page = offset / LINE;
    this.marks[page >>> 5] = (this.marks[page >>> 5] as number) | (1 << (page & 31));
  }
}
