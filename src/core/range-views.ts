import type { Access } from './access.ts';
import type { Releasable } from './disposable.ts';
import { GuestMemoryError } from './errors.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { MemoryViews } from './memory-view.ts';
import type { PagedRange } from './paged-range.ts';

/**
 * The host bytes of guest memory that is scattered over runs, lent as one list for `fs.readv`, `fs.writev` and their
 * like. {@link rangeViews} makes them. Give them back with {@link RangeViews.release}, or a `using` declaration.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, PagedRange, rangeViews } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x4000);
 * const views = rangeViews(memory, new PagedRange(0x800, 0x1000, [3, 1]), 'write');
 * assert.equal(views.iovecs.length, 2);
 * views.iovecs[1]?.fill(7);
 * views.release();
 * assert.equal(memory.readU8(0x1000), 7);
 * assert.throws(() => views.iovecs, { code: 'closed' });
 * ```
 */
export class RangeViews implements Releasable {
  /** Bytes in all. */
  readonly length: number;
  readonly access: Access;
  private readonly parts: readonly MemoryViews[];
  private released = false;

  /** Not for users: {@link rangeViews} makes them. */
  constructor(length: number, access: Access, parts: readonly MemoryViews[]) {
    this.length = length;
    this.access = access;
    this.parts = parts;
  }

  /**
   * The host bytes, in order: one array for each run that is contiguous in the guest and on the host.
   *
   * @throws GuestMemoryError `closed` after the release, or once a mapping has gone
   */
  get iovecs(): readonly Uint8Array[] {
    if (this.released) {
      throw new GuestMemoryError('closed', 'the views were released', {
        operation: 'use the views of a range of',
        length: this.length,
      });
    }
    return this.parts.flatMap((part) => part.iovecs);
  }

  /** Gives the bytes back. Safe to call twice. */
  release(): void {
    this.released = true;
    for (const part of this.parts) part.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * Lends the host bytes of a range: one view for each contiguous run, in order. Where one run is refused, nothing is
 * lent.
 *
 * @throws GuestMemoryError as `views`: `unsupported` on a region of calls, `unmapped`, `denied`, `closed`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, PagedRange, rangeViews } from 'guestmem';
 *
 * const memory = GuestMemory.fromRanges([[0, 0x1000], [0x1000, 0x1000]]);
 * const views = rangeViews(memory, new PagedRange(0, 0x2000, [0, 1]), 'read');
 * assert.deepEqual(views.iovecs.map((bytes) => bytes.length), [0x1000, 0x1000]);
 * views.release();
 * ```
 */
export function rangeViews(memory: GuestMemory, range: PagedRange, access: Access): RangeViews {
  const parts: MemoryViews[] = [];
  try {
    for (const { gpa, length } of range.runs()) parts.push(memory.views(gpa, length, access));
  } catch (error) {
    for (const part of parts) part.release();
    throw error;
  }
  return new RangeViews(range.length, access, parts);
}
