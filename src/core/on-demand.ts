import {
  newPages,
  type OnDemandBacking,
  type OnDemandOptions,
  onDemand,
  type PageSource,
  ZEROS,
} from './pages-on-demand.ts';

/**
 * Memory whose pages come when they are first touched: zeroed ones, or what `source` fills in. Threads that touch one page
 * at the same time ask for it once.
 *
 * @param size - bytes, at least 1
 * @param source - fills a page; what it throws fails the access (throw {@link pending} where the bytes are on their way)
 * @throws GuestMemoryError `invalid`, `too-large`, `unsupported`, as {@link heap} and {@link shared}
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, lazy } from 'guestmem';
 *
 * const asked: number[] = [];
 * const memory = GuestMemory.from(lazy(0x10_0000, (offset, dest) => {
 *   asked.push(offset);
 *   dest.fill(offset / 4096);
 * }));
 * assert.equal(memory.readU8(0x5fff), 5);
 * assert.equal(memory.readU8(0x5000), 5);
 * assert.deepEqual(asked, [0x5000]);
 * ```
 */
export function lazy(size: number, source?: PageSource, options: OnDemandOptions = {}): OnDemandBacking {
  return onDemand(newPages('lazy', size, source === undefined, options), source ?? ZEROS);
}

/**
 * A copy of an image that shares what neither side changes: reads of pages that were not written go to `image`, and the
 * first write to a page copies it. A fork costs memory only for what it changes. The image must not change.
 *
 * @param size - bytes, at least 1
 * @param image - reads the image: any number of bytes from any offset
 * @throws GuestMemoryError `invalid`, `too-large`, `unsupported`, as {@link heap} and {@link shared}
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { copyOnWrite, GuestMemory } from 'guestmem';
 *
 * const image = new Uint8Array(0x10_0000).fill(7);
 * const backing = copyOnWrite(image.length, (offset, dest) => dest.set(image.subarray(offset, offset + dest.length)));
 * const fork = GuestMemory.from(backing);
 * fork.writeU8(0x5123, 1);
 * assert.equal(fork.readU32(0x5120), 0x0107_0707);
 * assert.equal(image[0x5123], 7);
 * assert.equal(backing.presentPages(), 1);
 * ```
 */
export function copyOnWrite(size: number, image: PageSource, options: OnDemandOptions = {}): OnDemandBacking {
  return onDemand(newPages('copy-on-write', size, false, options), image);
}
