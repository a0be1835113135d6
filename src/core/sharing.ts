import { DirtyLog } from './dirty-log.ts';
import { DirtyTracking } from './dirty-tracking.ts';
import { GuestMemoryError } from './errors.ts';
import { GuestMemory } from './guest-memory.ts';
import type { BufferOfHandle, SharedBufferHandle } from './shared-buffer.ts';
import { attachRegion, type SharedRegionHandle, type SourceOfRegion, shareRegion } from './sharing-region.ts';

/** What a thread that attaches has of its own. */
export interface AttachMemoryOptions {
  /** Where it gets the pages of memory on demand; without, it uses those that other threads have brought. */
  readonly source?: SourceOfRegion;
}

/** A memory as plain data that can be posted to a Worker. */
export interface MemoryHandle {
  readonly name: string;
  /** For a subrange: its first address in the memory it was cut from; else 0. */
  readonly origin: number;
  /** One past the last address: a subrange may end with a hole. */
  readonly limit: number;
  readonly regions: readonly SharedRegionHandle[];
}

/**
 * A handle of a memory, for `postMessage`: in a Worker, {@link attach} makes of it a memory on the same bytes, under the
 * same page rights, whose writes are noted in the same dirty logs. Send it as one message, to as many Workers as are
 * wanted.
 *
 * The map is the one of this moment. Regions that are inserted later, on either side, are not known to the other, nor
 * is it told of a backing that closes: where the map changes, use a {@link SharedAddressSpace}.
 *
 * Memory on demand ({@link lazy}, {@link copyOnWrite}) goes along where it is made with `shared: true`: its pages are then
 * brought once, by whichever thread touches one first. Functions cannot be posted, so a thread that attaches gives a source
 * of its own.
 *
 * @throws GuestMemoryError `unsupported` naming a region that other threads cannot reach, or not by its rules: private
 * memory, calls, other backings that answer faults, and private page rights or dirty logs; `closed` for one whose backing was closed
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { attach, GuestMemory, share } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x10_0000, { shared: true, name: 'ram' });
 * const handle = structuredClone(share(memory)); // as worker.postMessage(share(memory)) does
 * const same = attach(handle); // in the Worker
 * same.writeU32(0x1000, 7);
 * assert.equal(memory.readU32(0x1000), 7);
 * assert.throws(() => share(GuestMemory.allocate(0x1000)), { code: 'unsupported', gpa: 0 });
 * ```
 */
export function share(memory: GuestMemory): MemoryHandle {
  return {
    name: memory.name,
    origin: memory.origin,
    limit: memory.limit,
    regions: memory.entries.map((entry) => shareRegion(entry, memory.name)),
  };
}

/**
 * The memory of a handle, in this thread.
 *
 * @param options - `source`: gives for a region on demand where this thread gets pages that no other has brought. It has to
 * supply what the owner's source supplies. Without one, touching such a page is `unsupported`; pages of zeros need none
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { attach, GuestMemory, ProtectedView, share } from 'guestmem';
 *
 * const view = new ProtectedView(GuestMemory.allocate(0x4000, { shared: true }), { shared: true });
 * const same = attach(share(view.memory()));
 * view.protect(0x1000, 0x1000, 'r'); // the rights are live, wherever the memory was attached
 * assert.throws(() => same.writeU8(0x1000, 1), { code: 'denied', failedAt: 0x1000 });
 * ```
 *
 * @example Memory on demand
 * ```ts
 * import assert from 'node:assert/strict';
 * import { attach, GuestMemory, lazy, share } from 'guestmem';
 *
 * const source = (offset: number, dest: Uint8Array): void => void dest.fill(offset / 0x1000);
 * const memory = GuestMemory.from(lazy(0x4000, source, { shared: true }));
 * const same = attach(share(memory), { source: () => source });
 * assert.equal(same.readU8(0x2fff), 2);
 * assert.throws(() => attach(share(memory)).readU8(0x1000), { code: 'unsupported' });
 * ```
 */
export function attach(handle: MemoryHandle, options: AttachMemoryOptions = {}): GuestMemory {
  const bufferOf = buffersByNumber();
  const entries = handle.regions.map((region) => attachRegion(region, bufferOf, options.source));
  return GuestMemory.fromEntries(entries, handle.name, handle.origin, handle.limit);
}

/**
 * The memory of a handle whose writes are tracked, and its log to drain from this thread. Whichever thread drains, it
 * takes the pages that all have written.
 *
 * @param handle - of the `memory` of a {@link DirtyTracking}
 * @throws GuestMemoryError `invalid` where a region of the handle has no dirty log of its own
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { attachTracking, GuestMemory, share, trackDirty } from 'guestmem';
 *
 * const here = trackDirty(GuestMemory.allocate(0x10_0000, { shared: true }));
 * const there = attachTracking(share(here.memory));
 * here.memory.writeU8(0x1000, 1);
 * there.memory.writeU8(0x2000, 1);
 * assert.deepEqual(there.drain(), [{ gpa: 0x1000, length: 0x2000 }]);
 * assert.deepEqual(here.drain(), []);
 * ```
 */
export function attachTracking(handle: MemoryHandle, options: AttachMemoryOptions = {}): DirtyTracking {
  const logs = handle.regions.map(({ start, size, pieces }) => {
    // The tracking that was begun last is the outermost.
    const mark = pieces[0]?.marks.at(-1);
    if (mark?.log.size !== size) {
      throw new GuestMemoryError('invalid', 'the region has no dirty log of its own', {
        operation: 'attach to a tracking',
        memory: handle.name,
        gpa: start,
      });
    }
    return { start, log: new DirtyLog(mark.log) };
  });
  return new DirtyTracking(attach(handle, options), logs);
}

/** Of handles with one number the first one's buffer serves them all: regions tell by it whether they overlap. */
export function buffersByNumber(): BufferOfHandle {
  const known = new Map<number, SharedBufferHandle>();
  return (handle) => {
    const buffer = known.get(handle.id) ?? handle;
    known.set(handle.id, buffer);
    return buffer;
  };
}
