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

  constructor(words: Int32Array) {
    this.words = words;
  }

  /**
   * Brings a page by `bring`, unless it is there or another thread brings it; then waits for that one.
   *
   * @returns once the page is there, or the other thread has been waited for long enough to look again
   */
  bring(page: number, bring: () => void): void {
    if (Atomics.compareExchange(this.words, page, ABSENT, COMING) !== ABSENT) {
      this.await(page);
      return;
    }
    let state = ABSENT;
    try {
      bring();
      state = PRESENT;
    } finally {
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
    if (Atomics.load(this.words, page) !== COMING || !(this.words.buffer instanceof SharedArrayBuffer))
      return;
    try {
      Atomics.wait(this.words, page, COMING, WAIT_MS);
    } catch (error) {
      // A browser's main thread may not wait; it looks again at once.
      if (!(error instanceof TypeError)) throw error;
    }
  }
}
