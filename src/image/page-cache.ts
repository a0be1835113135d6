import { ImageError } from './image-error.ts';

/** How a caching source keeps pages. */
export interface PageCacheOptions {
  /** Bytes fetched at once, a power of two. Default 64 KiB. */
  readonly pageSize?: number;
  /** Pages kept. Default 256. */
  readonly cachedPages?: number;
}

/**
 * A bounded number of equally long pages of one source, the least recently used one dropped first. Filling is the
 * owner's business: the cache only keeps.
 */
export class PageCache {
  readonly pageSize: number;
  readonly capacity: number;
  // A Map iterates in the order of insertion: the first key is the one used longest ago.
  readonly #pages: Map<number, Uint8Array> = new Map();

  constructor(name: string, options: PageCacheOptions) {
    this.pageSize = options.pageSize ?? 0x1_0000;
    this.capacity = options.cachedPages ?? 256;
    if (!isPowerOfTwo(this.pageSize) || !Number.isSafeInteger(this.capacity) || this.capacity < 1) {
      throw new ImageError(
        'invalid',
        `Cannot cache ${name}: current page size ${this.pageSize} and count ${this.capacity}, ` +
          'wanted a power of two and at least 1',
        { source: name },
      );
    }
  }

  get(index: number): Uint8Array | undefined {
    const page = this.#pages.get(index);
    if (page !== undefined) {
      this.#pages.delete(index);
      this.#pages.set(index, page);
    }
    return page;
  }

  put(index: number, page: Uint8Array): void {
    this.#pages.delete(index);
    this.#pages.set(index, page);
    if (this.#pages.size > this.capacity) {
      for (const oldest of this.#pages.keys()) {
        this.#pages.delete(oldest);
        break;
      }
    }
  }

  clear(): void {
    this.#pages.clear();
  }
}

function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && Number.isInteger(Math.log2(value));
}
