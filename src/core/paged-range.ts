import { ADDRESS_SPACE_SIZE, isGpa, PAGE_SIZE } from './addresses.ts';
import { GuestMemoryError } from './errors.ts';

/** Bytes at guest-physical addresses that follow one another. */
export interface GuestRun {
  /** First address. */
  readonly gpa: number;
  /** Bytes, at least 1. */
  readonly length: number;
}

/** Page lists that were checked and copied already: those of ranges that were cut out of others. */
const checked = new WeakSet<object>();

/**
 * OpenVMM's paged range: `length` bytes that begin `offset` bytes into a list of guest pages, which need not follow one
 * another. It is what a guest driver hands over as "a buffer": only its first and its last page may be partial.
 *
 * ```
 *   gpns:      [  7  ][  8  ][  3  ]         offset 0x800, length 0x2000
 *   bytes:         ^^^ ^^^^^^ ^^^            runs: 0x7800 + 0x1800, 0x3000 + 0x800
 * ```
 *
 * A range is a value: it never changes, and cutting one copies no pages. It knows no memory; {@link readRange},
 * {@link writeRange}, {@link fillRange}, {@link zeroRange} and {@link rangeViews} bring the two together,
 * {@link PagedRangeReader} and {@link PagedRangeWriter} go through one step by step.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { PagedRange } from 'guestmem';
 *
 * const range = new PagedRange(0x800, 0x2000, [7, 8, 3]);
 * assert.deepEqual([...range.runs()], [{ gpa: 0x7800, length: 0x1800 }, { gpa: 0x3000, length: 0x800 }]);
 * const [head, tail] = range.split(0x800);
 * assert.deepEqual(head.gpns, [7]);
 * assert.deepEqual([tail.offset, tail.length, tail.gpns], [0, 0x1800, [8, 3]]);
 * assert.throws(() => new PagedRange(0x800, 0x2801, [7, 8, 3]), { code: 'invalid' });
 * ```
 */
export class PagedRange {
  /** Bytes in the range. */
  readonly length: number;
  /** From the first byte of the first page of the list; a cut range may begin pages later. */
  private readonly start: number;
  private readonly pages: readonly number[];

  /**
   * @param offset - bytes from the start of the first page to the first byte of the range; may skip whole pages
   * @param length - bytes; the range has to end inside the pages
   * @param gpns - page numbers (addresses divided by 4096), from 0 to 2^41-1; copied
   * @throws GuestMemoryError `invalid` for numbers that are none, and for a range that its pages do not hold
   */
  constructor(offset: number, length: number, gpns: readonly number[]) {
    const pages = checked.has(gpns) ? gpns : checkPages(gpns);
    const bytes = pages.length * PAGE_SIZE;
    if (!isGpa(offset) || !isGpa(length) || length > bytes - offset) {
      throw invalid(
        `current ${length} bytes from offset ${offset}, wanted a range inside its ${bytes} bytes`,
      );
    }
    this.start = offset;
    this.length = length;
    this.pages = pages;
  }

  /** The range without a byte. */
  static empty(): PagedRange {
    return EMPTY;
  }

  /** Bytes from the start of the first page to the first byte: 0 to 4095. */
  get offset(): number {
    return this.start % PAGE_SIZE;
  }

  /** The pages that hold a byte of the range, in order: none for an empty one. */
  get gpns(): readonly number[] {
    if (this.length === 0) return [];
    const last = Math.floor((this.start + this.length - 1) / PAGE_SIZE);
    return this.pages.slice(Math.floor(this.start / PAGE_SIZE), last + 1);
  }

  /**
   * The part from `offset` on. It shares the page list.
   *
   * @throws GuestMemoryError `invalid` for a part that is not inside
   */
  subrange(offset: number, length: number): PagedRange {
    if (!isGpa(offset) || !isGpa(length) || length > this.length - offset) {
      throw invalid(`current part ${offset}+${length}, wanted one inside its ${this.length} bytes`);
    }
    return new PagedRange(this.start + offset, length, this.pages);
  }

  /**
   * All but the first `count` bytes.
   *
   * @throws GuestMemoryError `invalid` where there are less
   */
  skip(count: number): PagedRange {
    return this.subrange(count, this.length - count);
  }

  /**
   * The first `length` bytes.
   *
   * @throws GuestMemoryError `invalid` where there are less
   */
  truncate(length: number): PagedRange {
    return this.subrange(0, length);
  }

  /**
   * The bytes before `at`, and those from there on.
   *
   * @throws GuestMemoryError `invalid` for a place that is not inside
   */
  split(at: number): [before: PagedRange, after: PagedRange] {
    return [this.truncate(at), this.skip(at)];
  }

  /** The runs of bytes that follow one another in guest memory, in the order of the range, each as long as can be. */
  *runs(): Generator<GuestRun, void, undefined> {
    for (let at = 0; at < this.length; ) {
      const length = this.runAt(at);
      yield { gpa: this.gpaAt(at), length };
      at += length;
    }
  }

  /**
   * The address of the byte at `position`, counted from the first byte of the range.
   *
   * @throws GuestMemoryError `invalid` for a position that is not inside
   */
  gpaAt(position: number): number {
    const at = this.start + this.checkPosition(position);
    return (this.pages[Math.floor(at / PAGE_SIZE)] as number) * PAGE_SIZE + (at % PAGE_SIZE);
  }

  /**
   * How many bytes follow one another in guest memory from `position` on, within the range; at least 1.
   *
   * @throws GuestMemoryError `invalid` for a position that is not inside
   */
  runAt(position: number): number {
    const at = this.start + this.checkPosition(position);
    const end = this.start + this.length;
    let page = Math.floor(at / PAGE_SIZE);
    let reached = (page + 1) * PAGE_SIZE;
    while (reached < end && this.pages[page + 1] === (this.pages[page] as number) + 1) {
      page++;
      reached += PAGE_SIZE;
    }
    return Math.min(reached, end) - at;
  }

  private checkPosition(position: number): number {
    if (isGpa(position) && position < this.length) return position;
    throw invalid(`current position ${position}, wanted one inside its ${this.length} bytes`);
  }
}

const EMPTY = new PagedRange(0, 0, []);

/** A copy that nobody can change. One pass here, and no run of any range can meet a page that is none. */
function checkPages(gpns: readonly number[]): readonly number[] {
  const pages = Object.freeze(Array.from(gpns));
  for (const gpn of pages) {
    if (!isGpa(gpn) || gpn >= ADDRESS_SPACE_SIZE / PAGE_SIZE) {
      throw invalid(`current page number ${gpn}, wanted a whole number from 0 to 2^41-1`);
    }
  }
  checked.add(pages);
  return pages;
}

function invalid(reason: string): GuestMemoryError {
  return new GuestMemoryError('invalid', reason, { operation: 'make a paged range' });
}
