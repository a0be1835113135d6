import { GuestMemoryError } from './errors.ts';

/**
 * One bit for each page of a range, in words of 32, for one thread or for many. Changes of a shared set are atomic
 * word by word, so that neighbours that change at the same time lose nothing.
 */
export class PageBits {
  readonly words: Int32Array;
  private readonly shared: boolean;

  /** @param words - one bit a page, bit 0 of word 0 first; all 0 to begin with */
  constructor(words: Int32Array) {
    this.words = words;
    this.shared = isSharedWords(words);
  }

  /** True where the bit of a page is set. */
  has(page: number): boolean {
    return ((this.words[Math.floor(page / 32)] as number) & (1 << (page & 31))) !== 0;
  }

  /** How many pages from `first` on, up to `end` (exclusive), have their bit set without a gap. */
  run(first: number, end: number): number {
    let page = first;
    while (page < end) {
      const at = Math.floor(page / 32);
      // Atomic where it is shared: the bytes of a page that another thread brought are read after its bit, on Arm too.
      const word = this.shared ? Atomics.load(this.words, at) : (this.words[at] as number);
      if (word === -1 && page % 32 === 0) page += 32;
      else if ((word & (1 << (page & 31))) !== 0) page++;
      else break;
    }
    return Math.min(page, end) - first;
  }

  /** Sets the bits of pages `first` to `last`, both included. */
  set(first: number, last: number): void {
    const from = first >>> 5;
    const to = last >>> 5;
    const head = -1 << (first & 31);
    const tail = -1 >>> (31 - (last & 31));
    if (from === to) {
      this.or(from, head & tail);
      return;
    }
    this.or(from, head);
    // Full words are stored plainly: whatever another thread sets there at the same time is set here as well.
    // A loop, for they are few: the engine's fill costs as much for 8 words as the loop for 60.
    for (let word = from + 1; word < to; word++) this.words[word] = -1;
    this.or(to, tail);
  }

  /** Clears the bits of pages `first` to `last`, both included. */
  clear(first: number, last: number): void {
    for (let page = first; page <= last; ) {
      const word = Math.floor(page / 32);
      const end = Math.min(last, word * 32 + 31);
      const mask = (-1 << (page & 31)) & (-1 >>> (31 - (end & 31)));
      if (this.shared) Atomics.and(this.words, word, ~mask);
      else this.words[word] = (this.words[word] as number) & ~mask;
      page = end + 1;
    }
  }

  /** The bits of one word, and clears them in the same step. */
  take(word: number): number {
    if (this.shared) {
      // A plain look first: most words are 0, and what is set after it is there for the next time.
      return this.words[word] === 0 ? 0 : Atomics.exchange(this.words, word, 0);
    }
    const bits = this.words[word] as number;
    this.words[word] = 0;
    return bits;
  }

  /**
   * Always one atomic or where the set is shared: to look first and skip would lose a page that is taken between the
   * two (72 in 2 million rounds).
   */
  private or(word: number, mask: number): void {
    if (this.shared) Atomics.or(this.words, word, mask);
    else this.words[word] = (this.words[word] as number) | mask;
  }
}

/** True for words that other threads can reach. */
export function isSharedWords(words: Int32Array): boolean {
  return typeof SharedArrayBuffer !== 'undefined' && words.buffer instanceof SharedArrayBuffer;
}

/** Words for so many pages, a bit each. */
export function newPageWords(pages: number, shared: boolean): Int32Array {
  return newWords(Math.ceil(pages / 32), shared);
}

/**
 * So many zeroed words, for the books that are kept on pages.
 *
 * @throws GuestMemoryError `too-large` where the engine has no room
 */
export function newWords(count: number, shared: boolean): Int32Array {
  try {
    return new Int32Array(shared ? new SharedArrayBuffer(count * 4) : new ArrayBuffer(count * 4));
  } catch (cause) {
    throw new GuestMemoryError('too-large', `the engine has no room for ${count} words about its pages`, {
      operation: 'keep book on pages',
      cause,
    });
  }
}
