import { PAGE_SIZE } from './addresses.ts';
import { GuestMemoryError } from './errors.ts';
import { isSharedWords, newPageWords, newWords, PageBits } from './page-bits.ts';

/** The state of a {@link DirtyLog}, to be handed to a Worker. */
export interface SharedDirtyLog {
  readonly size: number;
  readonly pageSize: number;
  readonly words: Int32Array;
  readonly holds: Int32Array;
}

/** Marks of logs that other threads were given. */
const handedOut = new WeakSet<Int32Array>();

/**
 * Which pages of a range were written: a bit for each, set after the write, and a count of the writable views that
 * are out on each.
 *
 * {@link DirtyLog.drain} loses nothing: a page written while it runs is in this answer or in the next, and one under
 * a writable view is in every answer until the view is released.
 */
export class DirtyLog {
  /** Bytes covered. */
  readonly size: number;
  /** Bytes a bit stands for, a power of two. */
  readonly pageSize: number;
  private readonly bits: PageBits;
  /** Element 0: writable views out in all; then, for each page, those on it. */
  private readonly holds: Int32Array;
  private readonly shared: boolean;
  private readonly words: Int32Array;

  constructor({ size, pageSize, words, holds }: SharedDirtyLog) {
    this.size = size;
    this.pageSize = pageSize;
    this.words = words;
    this.bits = new PageBits(words);
    this.holds = holds;
    this.shared = isSharedWords(words);
  }

  /**
   * An empty log.
   *
   * @throws GuestMemoryError `invalid` for a size that is none, or a page size that is no power of two up to 1 GiB;
   * `too-large` where the engine has no room for the log
   */
  static create(
    size: number,
    options: { readonly pageSize?: number; readonly shared?: boolean } = {},
  ): DirtyLog {
    const pageSize = options.pageSize ?? PAGE_SIZE;
    if (!(size > 0) || !Number.isInteger(Math.log2(pageSize)) || pageSize < 1 || pageSize > 2 ** 30) {
      throw new GuestMemoryError(
        'invalid',
        `current size ${size} and page size ${pageSize}, wanted a power of two`,
        {
          operation: 'make a dirty log',
        },
      );
    }
    const pages = Math.ceil(size / pageSize);
    const shared = options.shared === true;
    const words = newPageWords(pages, shared);
    const holds = newWords(pages + 1, shared);
    return new DirtyLog({ size, pageSize, words, holds });
  }

  /** The same log as another object, for who keeps the book and does not use the region. */
  twin(): DirtyLog {
    return new DirtyLog(this.state());
  }

  /** The same log for another thread, which may mark in it from now on. */
  share(): SharedDirtyLog {
    handedOut.add(this.words);
    return this.state();
  }

  /** True once {@link DirtyLog.share} was asked, of whichever object on these marks. */
  get isHandedOut(): boolean {
    return handedOut.has(this.words);
  }

  private state(): SharedDirtyLog {
    return { size: this.size, pageSize: this.pageSize, words: this.words, holds: this.holds };
  }

  /** Marks the page of one offset: for scalars that lie in one page. */
  markOne(offset: number): void {
    const page = (offset / this.pageSize) >>> 0;
    const word = page >>> 5;
    const bit = 1 << (page & 31);
    if (this.shared) Atomics.or(this.words, word, bit);
    else if (((this.words[word] as number) & bit) === 0)
      this.words[word] = (this.words[word] as number) | bit;
  }

  /** Marks the pages of a range that was written. */
  mark(offset: number, length: number): void {
    if (length > 0) this.bits.set(this.page(offset), this.page(offset + length - 1));
  }

  /** A writable view was lent on a range: its pages are dirty until {@link DirtyLog.unhold}. */
  hold(offset: number, length: number): void {
    this.count(offset, length, 1);
  }

  /** The view was given back; what it wrote is marked first. */
  unhold(offset: number, length: number): void {
    this.mark(offset, length);
    this.count(offset, length, -1);
  }

  private count(offset: number, length: number, by: 1 | -1): void {
    if (length === 0) return;
    if (by > 0) Atomics.add(this.holds, 0, 1);
    const last = this.page(offset + length - 1);
    for (let page = this.page(offset); page <= last; page++) Atomics.add(this.holds, page + 1, by);
    if (by < 0) Atomics.add(this.holds, 0, -1);
  }

  /** Offsets of the pages written since the last call, in order; they are clean from then on. */
  drain(): number[] {
    const dirty: number[] = [];
    for (let word = 0; word < this.words.length; word++) {
      let bits = this.bits.take(word);
      if (Atomics.load(this.holds, 0) !== 0) bits |= this.heldBits(word);
      for (; bits !== 0; bits &= bits - 1) {
        dirty.push((word * 32 + 31 - Math.clz32(bits & -bits)) * this.pageSize);
      }
    }
    return dirty;
  }

  private heldBits(word: number): number {
    let bits = 0;
    const first = word * 32;
    const end = Math.min(first + 32, this.holds.length - 1);
    for (let page = first; page < end; page++) {
      if (Atomics.load(this.holds, page + 1) > 0) bits |= 1 << (page - first);
    }
    return bits;
  }

  private page(offset: number): number {
    return Math.floor(offset / this.pageSize);
  }
}
