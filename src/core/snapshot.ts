import { PAGE_SIZE } from './addresses.ts';
import { compareBytes, isZeroBytes } from './bulk-scan.ts';
import type { DirtyRange } from './dirty-tracking.ts';
import { GuestMemoryError } from './errors.ts';
import { GuestMemory } from './guest-memory.ts';
import { hex } from './hex.ts';
import type { GuestRegion } from './memory-map.ts';
import { copyOnWrite } from './on-demand.ts';
import type { PageSource } from './pages-on-demand.ts';

/** One region of a snapshot: its place, whether it may be written, and its pages of 4 KiB that are not all zeros, by offset. */
export interface SnapshotRegion {
  readonly start: number;
  readonly size: number;
  readonly access: 'rw' | 'r';
  readonly pages: ReadonlyMap<number, Uint8Array>;
}

/** What a memory held at one moment: its mapped regions. Pages of zeros take no room. */
export interface Snapshot {
  readonly name: string;
  readonly regions: readonly SnapshotRegion[];
}

/**
 * Copies what a memory holds. Regions of calls (devices) are left out: what a device holds is the device's to save. Nothing
 * else should write meanwhile; what other threads write while it runs may be in the snapshot or not.
 *
 * @throws GuestMemoryError as a read of every mapped region
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { capture, difference, GuestMemory, restore } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x10_0000);
 * memory.writeU32(0x5000, 1);
 * const before = capture(memory);
 * memory.writeU32(0x5000, 2);
 * memory.writeU32(0x9000, 3);
 * assert.deepEqual(difference(memory, before), [{ gpa: 0x5000, length: 0x1000 }, { gpa: 0x9000, length: 0x1000 }]);
 * restore(memory, before);
 * assert.equal(memory.readU32(0x5000), 1);
 * assert.equal(memory.readU32(0x9000), 0);
 * ```
 */
export function capture(memory: GuestMemory): Snapshot {
  const regions = mappedRegions(memory).map(({ start, size, access }) => {
    const pages = new Map<number, Uint8Array>();
    eachPage(memory, start, size, (offset, bytes) => {
      if (!isZeroBytes(bytes)) pages.set(offset, bytes.slice());
    });
    return { start, size, access, pages };
  });
  return { name: memory.name, regions };
}

/**
 * Puts back what a snapshot holds. Pages that are equal already are not written, so that they do not become dirty.
 *
 * @throws GuestMemoryError `unmapped` where the memory has not the snapshot's regions, before anything is written; else as
 * a write
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { capture, GuestMemory, restore } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x1000);
 * const empty = capture(memory);
 * memory.writeU8(0, 1);
 * restore(memory, empty);
 * assert.equal(memory.readU8(0), 0);
 * ```
 */
export function restore(memory: GuestMemory, snapshot: Snapshot): void {
  checkRegions(memory, snapshot);
  for (const { region, offset, wanted } of changedPages(memory, snapshot))
    memory.writeAt(region.start + offset, wanted);
}

/**
 * The pages of 4 KiB that differ from a snapshot, by address, adjoining ones joined.
 *
 * @throws GuestMemoryError `unmapped` where the memory has not the snapshot's regions; else as a read
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { capture, difference, GuestMemory } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x2000);
 * const before = capture(memory);
 * memory.writeU8(0x1fff, 1);
 * assert.deepEqual(difference(memory, before), [{ gpa: 0x1000, length: 0x1000 }]);
 * ```
 */
export function difference(memory: GuestMemory, snapshot: Snapshot): DirtyRange[] {
  checkRegions(memory, snapshot);
  const ranges: { gpa: number; length: number }[] = [];
  for (const { region, offset, wanted } of changedPages(memory, snapshot)) {
    const gpa = region.start + offset;
    const last = ranges.at(-1);
    if (last !== undefined && last.gpa + last.length === gpa) last.length += wanted.length;
    else ranges.push({ gpa, length: wanted.length });
  }
  return ranges;
}

/**
 * A memory that begins as a snapshot and shares its pages: only what is written is copied. Any number of forks of one
 * snapshot can live side by side. What could not be written in the memory captured cannot be written in a fork.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { capture, fork, GuestMemory } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x10_0000);
 * memory.writeU32(0x5000, 1);
 * const image = capture(memory);
 * const first = fork(image);
 * const second = fork(image);
 * first.writeU32(0x5000, 2);
 * assert.equal(second.readU32(0x5000), 1);
 * ```
 *
 * @param options - `shared`: in memory that Workers can share (see {@link share}, {@link snapshotSource})
 */
export function fork(snapshot: Snapshot, options: { readonly shared?: boolean } = {}): GuestMemory {
  const regions = snapshot.regions.map((region) => ({
    start: region.start,
    access: region.access,
    backing: copyOnWrite(region.size, snapshotSource(region), {
      start: region.start,
      shared: options.shared === true,
    }),
  }));
  return GuestMemory.fromRegions(regions, { name: snapshot.name });
}

/**
 * Where the pages of a region of a snapshot come from: for a Worker that attaches to a fork, and has a copy of the snapshot.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { attach, capture, fork, GuestMemory, share, snapshotSource } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x4000);
 * memory.writeU32(0x1000, 7);
 * const image = capture(memory);
 * const handle = share(fork(image, { shared: true }));
 * const there = attach(handle, { source: () => image.regions[0] && snapshotSource(image.regions[0]) });
 * assert.equal(there.readU32(0x1000), 7);
 * ```
 */
export function snapshotSource({ pages }: SnapshotRegion): PageSource {
  return (offset, dest) => readPages(pages, offset, dest);
}

/** Fills `dest` from a snapshot's pages, across their borders. */
function readPages(pages: SnapshotRegion['pages'], offset: number, dest: Uint8Array): void {
  for (let done = 0; done < dest.length; ) {
    const inPage = (offset + done) % PAGE_SIZE;
    const count = Math.min(dest.length - done, PAGE_SIZE - inPage);
    const page = pages.get(offset + done - inPage);
    if (page === undefined) dest.fill(0, done, done + count);
    else dest.set(page.subarray(inPage, inPage + count), done);
    done += count;
  }
}

const ZEROS = new Uint8Array(PAGE_SIZE);

function* changedPages(
  memory: GuestMemory,
  snapshot: Snapshot,
): Generator<{ region: SnapshotRegion; offset: number; wanted: Uint8Array }> {
  const now = new Uint8Array(PAGE_SIZE);
  for (const region of snapshot.regions) {
    for (let offset = 0; offset < region.size; offset += PAGE_SIZE) {
      const length = Math.min(PAGE_SIZE, region.size - offset);
      const wanted = region.pages.get(offset) ?? ZEROS.subarray(0, length);
      memory.readAt(region.start + offset, now, 0, length);
      if (!equal(now, wanted, length)) yield { region, offset, wanted };
    }
  }
}

function eachPage(
  memory: GuestMemory,
  start: number,
  size: number,
  step: (offset: number, bytes: Uint8Array) => void,
): void {
  const page = new Uint8Array(PAGE_SIZE);
  for (let offset = 0; offset < size; offset += PAGE_SIZE) {
    const length = Math.min(PAGE_SIZE, size - offset);
    memory.readAt(start + offset, page, 0, length);
    step(offset, page.subarray(0, length));
  }
}

function mappedRegions(memory: GuestMemory): GuestRegion[] {
  return memory.regions.filter(({ backing }) => backing.mapped !== undefined);
}

function checkRegions(memory: GuestMemory, snapshot: Snapshot): void {
  const regions = mappedRegions(memory);
  for (const { start, size } of snapshot.regions) {
    if (regions.some((region) => region.start === start && region.size === size)) continue;
    throw new GuestMemoryError('unmapped', `the memory has no region of ${size} bytes at ${hex(start)}`, {
      memory: memory.name,
      operation: 'use a snapshot',
      gpa: start,
      length: size,
    });
  }
}

function equal(a: Uint8Array, b: Uint8Array, length: number): boolean {
  return compareBytes(a.subarray(0, length), b) === 0;
}
