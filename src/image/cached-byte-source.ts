import { type ByteSource, readUpTo } from './byte-source.ts';
import { PageCache, type PageCacheOptions } from './page-cache.ts';

/**
 * A page cache in front of a synchronous source: page-table walks over a dump ask for the same few pages again and
 * again, eight bytes at a time. Not for a live machine, whose bytes change.
 *
 * Reads of a page or more go past the cache.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { bytesSource, CachedByteSource } from 'guestmem/image';
 *
 * let reads = 0;
 * const slow = { ...bytesSource(new Uint8Array(8192).fill(5)) };
 * const counted = { ...slow, read: (at: number, dest: Uint8Array) => (reads++, slow.read(at, dest)) };
 * const cached = new CachedByteSource(counted, { pageSize: 4096 });
 * const dest = new Uint8Array(8);
 * for (let i = 0; i < 100; i++) cached.read(i * 8, dest);
 * assert.equal(dest[7], 5);
 * assert(reads <= 2);
 * ```
 */
export class CachedByteSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #source: ByteSource;
  readonly #cache: PageCache;

  constructor(source: ByteSource, options: PageCacheOptions = {}) {
    this.name = source.name;
    this.size = source.size;
    this.#source = source;
    this.#cache = new PageCache(source.name, options);
  }

  read(position: number, dest: Uint8Array): number {
    if (dest.length >= this.#cache.pageSize) return this.#source.read(position, dest);
    const index = Math.floor(position / this.#cache.pageSize);
    const page = this.#cache.get(index) ?? this.#fill(index);
    const skip = position - index * this.#cache.pageSize;
    const count = Math.max(0, Math.min(dest.length, page.length - skip));
    dest.set(page.subarray(skip, skip + count));
    return count;
  }

  close(): void {
    this.#cache.clear();
    this.#source.close?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #fill(index: number): Uint8Array {
    const bytes = new Uint8Array(this.#cache.pageSize);
    const page = bytes.subarray(0, readUpTo(this.#source, index * this.#cache.pageSize, bytes));
    this.#cache.put(index, page);
    return page;
  }
}
