import type { Releasable } from './disposable.ts';
import { GuestMemoryError } from './errors.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { LockedPages } from './locked-pages.ts';
import type { PagedRange } from './paged-range.ts';
import { type RangeViews, rangeViews } from './range-views.ts';

/**
 * A scattered range whose pages stay where they are until it is released. {@link lockRange} makes it.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, lockRange, PagedRange } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x4000);
 * const locked = lockRange(memory, new PagedRange(0, 0x1000, [2]), { access: 'write' });
 * locked.iovecs[0]?.fill(7); // or fs.readvSync(file, locked.iovecs)
 * locked.release();
 * assert.equal(memory.readU8(0x2fff), 7);
 * ```
 */
export class LockedRange implements Releasable {
  private readonly pages: LockedPages;
  private readonly views: RangeViews;

  /** Not for users: {@link lockRange} makes them. */
  constructor(pages: LockedPages, views: RangeViews) {
    this.pages = pages;
    this.views = views;
  }

  /**
   * The host bytes, in order: one array for each run that is contiguous in the guest and on the host.
   *
   * @throws GuestMemoryError `closed` after the release, or once a mapping has gone
   */
  get iovecs(): readonly Uint8Array[] {
    return this.views.iovecs;
  }

  /** Gives the bytes back and unlocks the pages. Safe to call twice. */
  release(): void {
    this.views.release();
    this.pages.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * Pins the pages of a range (see `lockGpns`) and lends its bytes, one array for each contiguous run, for a kernel or
 * another agent to work on. Where one page or run is refused, nothing stays locked.
 *
 * @param options - `access`: what is going to be done, default `write`
 * @throws GuestMemoryError as `lockGpns` and `views`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, lockRange, PagedRange } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x4000);
 * const locked = lockRange(memory, new PagedRange(0x800, 0x1000, [3, 1]));
 * assert.equal(locked.iovecs.length, 2);
 * assert.throws(() => memory.removeRegion(0, 0x4000), { code: 'locked' });
 * locked.release();
 * ```
 */
export function lockRange(
  memory: GuestMemory,
  range: PagedRange,
  options: { readonly access?: 'read' | 'write' } = {},
): LockedRange {
  const access = options.access ?? 'write';
  const pages = memory.lockGpns(range.gpns, { access, kernelAccess: true });
  try {
    return new LockedRange(pages, rangeViews(memory, range, access));
  } catch (error) {
    try {
      pages.release();
    } catch (second) {
      throw new GuestMemoryError('fault', 'it cannot be lent, and then a backing failed to unlock it', {
        operation: 'lock a range of',
        memory: memory.name,
        length: range.length,
        cause: new AggregateError([error, second]),
      });
    }
    throw error;
  }
}
