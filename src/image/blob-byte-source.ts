import { pending } from '../core/index.ts';
import type { ByteSource } from './byte-source.ts';
import { ImageError } from './image-error.ts';
import { PageCache, type PageCacheOptions } from './page-cache.ts';

/** What is used of a browser's `Blob` or `File`. */
export interface BlobLike {
  readonly size: number;
  readonly name?: string;
  /** The part from `start` to `end` (exclusive), whose bytes come when they are asked for. */
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

/**
 * A `Blob` or `File` as a source: what is not in its page cache is fetched, and the read that wanted it throws the
 * core's `pending`. Everything that reads has to run within `settle`, which waits and runs it again.
 *
 * One run must not need more than the cache holds (16 MiB unless told otherwise): read big ranges piece by piece.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { settle } from 'guestmem';
 * import { BlobByteSource, openImage } from 'guestmem/image';
 *
 * const blob = new Blob([new Uint8Array(8192).fill(7)]);
 * const image = await settle(() => openImage(new BlobByteSource(blob), { format: 'raw' }));
 * assert.equal(await settle(() => image.memory.readU8(0x1234)), 7);
 * ```
 */
export class BlobByteSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #blob: BlobLike;
  readonly #cache: PageCache;
  #failure: unknown;

  constructor(blob: BlobLike, options: PageCacheOptions & { readonly name?: string } = {}) {
    this.name = options.name ?? blob.name ?? 'blob';
    this.size = blob.size;
    this.#blob = blob;
    this.#cache = new PageCache(this.name, options);
  }

  read(position: number, dest: Uint8Array): number {
    const total = Math.max(0, Math.min(dest.length, this.size - position));
    if (total === 0) return 0;
    const { pageSize } = this.#cache;
    const first = Math.floor(position / pageSize);
    const last = Math.floor((position + total - 1) / pageSize);
    this.#demand(first, last);
    for (let index = first, done = 0; index <= last; index++) {
      const page = this.#cache.get(index);
      if (page === undefined) throw this.#tooBig(last - first + 1);
      const skip = position + done - index * pageSize;
      const piece = page.subarray(skip, skip + total - done);
      dest.set(piece, done);
      done += piece.length;
    }
    return total;
  }

  close(): void {
    this.#cache.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Throws `pending` unless every page from `first` to `last` is there. Asking keeps those that are from being dropped. */
  #demand(first: number, last: number): void {
    if (this.#failure !== undefined) throw this.#takeFailure();
    if (last - first + 1 > this.#cache.capacity) throw this.#tooBig(last - first + 1);
    let from = first;
    while (from <= last && this.#cache.get(from) !== undefined) from++;
    if (from > last) return;
    let to = last;
    while (this.#cache.get(to) !== undefined) to--;
    throw pending(this.#fetch(from, to));
  }

  /** Never rejects: what went wrong is told by the read that comes after. */
  async #fetch(from: number, to: number): Promise<void> {
    const { pageSize } = this.#cache;
    try {
      const start = from * pageSize;
      const end = Math.min(this.size, (to + 1) * pageSize);
      const bytes = new Uint8Array(await this.#blob.slice(start, end).arrayBuffer());
      if (bytes.length !== end - start) throw new Error(`${bytes.length} bytes came, wanted ${end - start}`);
      for (let index = from; index <= to; index++) {
        this.#cache.put(index, bytes.slice((index - from) * pageSize, (index - from + 1) * pageSize));
      }
    } catch (error) {
      this.#failure = error ?? new Error('unknown reason');
    }
  }

  #takeFailure(): ImageError {
    const cause = this.#failure;
    this.#failure = undefined;
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new ImageError('io', `Cannot read ${this.name}: ${reason}`, { source: this.name, cause });
  }

  #tooBig(pages: number): ImageError {
    return new ImageError(
      'invalid',
      `Cannot read ${pages} pages of ${this.name} at once: the cache holds ${this.#cache.capacity}`,
      { source: this.name },
    );
  }
}
