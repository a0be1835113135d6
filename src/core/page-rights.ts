import type { Access } from './access.ts';
import { isGpa, PAGE_SIZE } from './addresses.ts';
import { GuestMemoryError } from './errors.ts';
import { newWords, PageBits } from './page-bits.ts';

/** What may be done with a page: `''` for nothing, else any of r, w and x in this order. */
export type Rights = '' | 'r' | 'w' | 'x' | 'rw' | 'rx' | 'wx' | 'rwx';

/** The state of a {@link PageRights}, to be handed to a Worker. */
export interface SharedPageRights {
  readonly size: number;
  readonly buffer: ArrayBufferLike;
}

/** Bits that other threads were given. */
const handedOut = new WeakSet<ArrayBufferLike>();

/**
 * What may be done with each page of 4 KiB of a range: one bit for reading, one for writing, one for execution. The
 * bits are live: an access that is checked after a change sees it, in every thread that shares them.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { PageRights } from 'guestmem';
 *
 * const rights = new PageRights(0x4000, { initial: 'rw' });
 * rights.set(0x1000, 0x1000, 'r');
 * assert.equal(rights.reach(0, 0x4000, 'write'), 0x1000);
 * assert.equal(rights.get(0x1fff), 'r');
 * ```
 */
export class PageRights {
  /** Bytes covered. */
  readonly size: number;
  private readonly buffer: ArrayBufferLike;
  private readonly bits: Readonly<Record<Access, PageBits>>;

  /**
   * @param size - bytes covered; the last page may be a part of one
   * @param options - `initial`: rights of all pages, default none; `shared`: the bits can be handed to Workers; `buffer`:
   * bits that are there already (see {@link PageRights.attach})
   * @throws GuestMemoryError `invalid` for a size that is none, `too-large` where the engine has no room for the bits
   */
  constructor(
    size: number,
    options: { readonly initial?: Rights; readonly shared?: boolean; readonly buffer?: ArrayBufferLike } = {},
  ) {
    if (!isGpa(size) || size === 0)
      throw invalid(`current size ${size}, wanted a whole number of at least 1`);
    const words = Math.ceil(size / PAGE_SIZE / 32) * LETTERS.length;
    this.size = size;
    this.buffer = options.buffer ?? newWords(words, options.shared === true).buffer;
    if (this.buffer.byteLength !== words * 4)
      throw invalid(`current buffer of ${this.buffer.byteLength} bytes, wanted ${words * 4}`);
    this.bits = splitBits(this.buffer);
    if (options.initial !== undefined && options.initial !== '') this.set(0, size, options.initial);
  }

  /** The same bits in another thread. */
  static attach({ size, buffer }: SharedPageRights): PageRights {
    return new PageRights(size, { buffer });
  }

  /** What {@link PageRights.attach} takes; the buffer is shared only where it was made so. */
  share(): SharedPageRights {
    handedOut.add(this.buffer);
    return { size: this.size, buffer: this.buffer };
  }

  /** For functions of this package: the same bits as another object, for who keeps the book and does not use the region. */
  twin(): PageRights {
    return new PageRights(this.size, { buffer: this.buffer });
  }

  /** For functions of this package: true once {@link PageRights.share} was asked, of whichever object on these bits. */
  get isHandedOut(): boolean {
    return handedOut.has(this.buffer);
  }

  /**
   * Gives the pages of a range exactly these rights. Of several bits each changes at its own time: rights that are
   * taken away go before those that are added.
   *
   * @throws GuestMemoryError `invalid` for a range outside, or not of whole pages
   */
  set(offset: number, length: number, rights: Rights): void {
    const whole = offset % PAGE_SIZE === 0 && (length % PAGE_SIZE === 0 || offset + length === this.size);
    if (!isGpa(offset) || !isGpa(length) || !whole || length > this.size - offset) {
      throw invalid(`current range ${offset}+${length}, wanted whole pages inside ${this.size} bytes`);
    }
    if (length === 0) return;
    const first = offset / PAGE_SIZE;
    const last = Math.ceil((offset + length) / PAGE_SIZE) - 1;
    for (const [letter, access] of LETTERS)
      if (!rights.includes(letter)) this.bits[access].clear(first, last);
    for (const [letter, access] of LETTERS) if (rights.includes(letter)) this.bits[access].set(first, last);
  }

  /** The rights of the page that `offset` lies in. */
  get(offset: number): Rights {
    const page = Math.floor(offset / PAGE_SIZE);
    return LETTERS.map(([letter, access]) => (this.bits[access].has(page) ? letter : '')).join('') as Rights;
  }

  /** How many bytes from `offset` on may be accessed so, at most `length`. The range is inside. */
  reach(offset: number, length: number, access: Access): number {
    const first = Math.floor(offset / PAGE_SIZE);
    const end = Math.ceil((offset + length) / PAGE_SIZE);
    const pages = this.bits[access].run(first, end);
    return Math.max(0, Math.min(length, (first + pages) * PAGE_SIZE - offset));
  }
}

const LETTERS: readonly (readonly ['r' | 'w' | 'x', Access])[] = [
  ['r', 'read'],
  ['w', 'write'],
  ['x', 'execute'],
];

function splitBits(buffer: ArrayBufferLike): Readonly<Record<Access, PageBits>> {
  const words = buffer.byteLength / 12;
  const part = (i: number): PageBits => new PageBits(new Int32Array(buffer, i * words * 4, words));
  return { read: part(0), write: part(1), execute: part(2) };
}

function invalid(reason: string): GuestMemoryError {
  return new GuestMemoryError('invalid', reason, { operation: 'set page rights' });
}
