import { DirtyLog } from './dirty-log.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { MapEntry } from './memory-map.ts';

/** How written pages are noted. */
export interface DirtyTrackingOptions {
  /** Bytes a mark stands for, a power of two; default 4096. */
  readonly pageSize?: number;
  /** Keep the logs in memory that Workers share. Default: where the region's bytes are shared. */
  readonly shared?: boolean;
}

/** A stretch of pages that were written. */
export interface DirtyRange {
  readonly gpa: number;
  readonly length: number;
}

/**
 * Tracking of written pages: use {@link DirtyTracking.memory} in place of the memory it was made from, and ask
 * {@link DirtyTracking.drain} what was written through it, or through what was derived from it since: subranges, and
 * memories with regions inserted later.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, heap, trackDirty } from 'guestmem';
 *
 * const tracking = trackDirty(GuestMemory.allocate(0x1000));
 * const grown = tracking.memory.insertRegion({ start: 0x10_0000, backing: heap(0x1000) });
 * grown.writeU8(0x10_0000, 1);
 * assert.deepEqual(tracking.drain(), [{ gpa: 0x10_0000, length: 0x1000 }]);
 * ```
 */
export class DirtyTracking {
  /** The memory whose writes are noted. */
  readonly memory: GuestMemory;
  private readonly books: DirtyBook[];

  /** Not for users: {@link trackDirty} makes them. */
  constructor(memory: GuestMemory, books: DirtyBook[]) {
    this.memory = memory;
    this.books = books;
  }

  /**
   * The pages written since the last call, by address, adjoining ones joined. No page is lost: one that is written
   * meanwhile is in this answer or in the next, and one under a writable view is in every answer until the view is
   * released. The log of a region that nobody has any more is forgotten after it was drained once more.
   */
  drain(): DirtyRange[] {
    const found: DirtyRange[] = [];
    // Judged before the logs are read: what was written until then is in this answer, and nothing comes after it.
    const closed = this.books.filter(isClosed);
    for (const { start, log } of this.books) {
      for (const offset of log.drain()) {
        found.push({ gpa: start + offset, length: Math.min(log.pageSize, log.size - offset) });
      }
    }
    for (const book of closed) this.books.splice(this.books.indexOf(book), 1);
    return joined(found);
  }
}

/** The log of a region, and where the region lies. */
export interface DirtyBook {
  readonly start: number;
  readonly log: DirtyLog;
  /** The log's object that the region and its parts mark in; absent where it is not known how long that may go on. */
  readonly inUse?: WeakRef<DirtyLog>;
}

/** True where nobody can write to the region any more: it was removed, and no map, view or lock has it. */
function isClosed({ log, inUse }: DirtyBook): boolean {
  return inUse !== undefined && inUse.deref() === undefined && !log.isHandedOut;
}

/**
 * Begins to note which pages are written.
 *
 * Marks are made after the write, by every path that writes: scalars, bulk, atomics, views, copies. Reads make none.
 *
 * @returns the tracking, whose `memory` is to be used from now on; writes through the memory that was given are not seen
 * @throws GuestMemoryError `invalid` for a page size that is no power of two; `too-large` for regions too large to keep
 * book on, as a translator's without end: track a subrange of it
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, trackDirty } from 'guestmem';
 *
 * const tracking = trackDirty(GuestMemory.allocate(0x10_0000));
 * const { memory } = tracking;
 * memory.writeU32(0x1234, 1);
 * memory.fillAt(0x3000, 0xff, 0x2000);
 * assert.deepEqual(tracking.drain(), [{ gpa: 0x1000, length: 0x1000 }, { gpa: 0x3000, length: 0x2000 }]);
 * assert.deepEqual(tracking.drain(), []);
 * ```
 */
export function trackDirty(memory: GuestMemory, options: DirtyTrackingOptions = {}): DirtyTracking {
  const books: DirtyBook[] = [];
  const tracked = memory.derive((entry, origin) => {
    const shared = options.shared ?? entry.pieces.some((piece) => piece.shared);
    const log = DirtyLog.create(entry.region.size, { ...options, shared });
    books.push({ start: origin + entry.region.start, log: log.twin(), inUse: new WeakRef(log) });
    return withLog(entry, log);
  });
  return new DirtyTracking(tracked, books);
}

/** By address, and what adjoins or overlaps as one: a region may stand where one that was removed had been. */
function joined(ranges: DirtyRange[]): DirtyRange[] {
  const result: { gpa: number; length: number }[] = [];
  for (const { gpa, length } of ranges.sort((a, b) => a.gpa - b.gpa)) {
    const last = result.at(-1);
    if (last === undefined || last.gpa + last.length < gpa) result.push({ gpa, length });
    else last.length = Math.max(last.length, gpa + length - last.gpa);
  }
  return result;
}

/** The region with every piece under a log that covers it whole. */
export function withLog(entry: MapEntry, log: DirtyLog): MapEntry {
  const { region, pieces } = entry;
  return {
    region,
    pieces: pieces.map((piece) =>
      piece.with({ guards: [], marks: [{ log, offset: piece.start - region.start }] }),
    ),
  };
}
