import { pending } from './errors.ts';
import { nextChange } from './next-change.ts';
import { isSharedWords } from './page-bits.ts';

/** A page of memory that comes on demand. */
const ABSENT = 0;
const COMING = 1;
const PRESENT = 2;

/** How long one look at a page that another thread brings may take; then it is looked at again. */
const WAIT_MS = 10;

/**
 * Who brings which page: a word for each, claimed by compare-exchange, so that threads that fault on one page at the same
 * time bring it once (SPEC M10).
 */
export class PageStates {
  /** One word a page; shared with other threads where its buffer is. */
  readonly words: Int32Array;
  /** Pages that this thread brings just now: it must not wait for itself. */
  private readonly bringing = new Set<number>();

  constructor(words: Int32Array) {
    this.words = words;
  }

  /**
   * Brings a page by `bring`, unless it is there or another thread brings it; then waits for that one.
   *
   * @returns once the page is there, or the other thread has been waited for long enough to look again
   * @throws GuestMemoryError `pending` where this thread may not block, as a page's main thread; and what `bring` throws
   */
  bring(page: number, bring: () => void): void {
    if (Atomics.compareExchange(this.words, page, ABSENT, COMING) !== ABSENT) {
      this.await(page);
      return;
    }
    let state = ABSENT;
    this.bringing.add(page);
    try {
      bring();
      state = PRESENT;
    } finally {
      this.bringing.delete(page);
      // A page that could not be brought may be tried again, by anybody.
      Atomics.store(this.words, page, state);
      Atomics.notify(this.words, page);
    }
  }

  /** How many pages are there. */
  count(): number {
    return this.words.reduce((count, state) => count + (state === PRESENT ? 1 : 0), 0);
  }

  private await(page: number): void {
    if (this.bringing.has(page) || !isSharedWords(this.words)) return;
    if (Atomics.load(this.words, page) !== COMING) return;
    try {
      Atomics.wait(this.words, page, COMING, WAIT_MS);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw pending(nextChange(this.words, page, COMING, WAIT_MS));
    }
  }
}
