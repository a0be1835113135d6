import { ADDRESS_SPACE_SIZE, isGpa, PAGE_SIZE } from './addresses.ts';
import type { MemoryBacking } from './backing.ts';
import { GuestMemoryError } from './errors.ts';
import type { GuestAddressSpace } from './guest-address-space.ts';
import type { GuestMemory } from './guest-memory.ts';
import { hex } from './hex.ts';
import type { MapEntry } from './memory-map.ts';
import { type LockPlace, lockedPages } from './page-locks.ts';
import { PageRights, type Rights } from './page-rights.ts';

/** How a protected view begins. */
export interface ProtectionOptions {
  /** Rights of all pages to begin with, also of regions inserted later; default `rwx`. */
  readonly initial?: Rights;
  /** Keep the rights in memory that Workers share. Default false. */
  readonly shared?: boolean;
}

/**
 * A view of a memory with rights of its own for every page of 4 KiB. The rights are live: they hold for every access that
 * is checked after a change, through this view's memory and all that was derived from it; other views of the same
 * memory have their own, or none.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, ProtectedView } from 'guestmem';
 *
 * const ram = GuestMemory.allocate(0x10000);
 * const view = new ProtectedView(ram);
 * view.protect(0x2000, 0x1000, 'r');
 * const guest = view.memory();
 * assert.equal(guest.readU32(0x2000), 0);
 * assert.throws(() => guest.writeAt(0x1ff8, new Uint8Array(16)), { code: 'denied', failedAt: 0x2000 });
 * assert.equal(guest.readU32(0x1ff8), 0); // nothing was written
 * ram.writeU32(0x2000, 7); // the memory itself is not protected
 * ```
 */
export class ProtectedView implements GuestAddressSpace<GuestMemory> {
  private readonly view: GuestMemory;
  private readonly parts: ProtectedPart[] = [];

  constructor(memory: GuestMemory, options: ProtectionOptions = {}) {
    const { initial = 'rwx', shared = false } = options;
    this.view = memory.derive((entry, origin) => {
      const rights = new PageRights(entry.region.size, { initial, shared });
      this.forget();
      this.parts.push(partOf(entry, origin, rights));
      return withRights(entry, rights);
    });
  }

  /** The memory on which the rights hold. */
  memory(): GuestMemory {
    return this.view;
  }

  /**
   * Gives the pages of a range exactly these rights. Holes in the range have none to give.
   *
   * @throws GuestMemoryError `invalid` for a range that is none, or not of whole pages, counted from the start of each
   * region; `locked` where a right would be taken from a locked page; nothing has changed then
   */
  protect(gpa: number, length: number, rights: Rights): void {
    if (!isGpa(gpa) || !isGpa(length) || length > ADDRESS_SPACE_SIZE - gpa)
      throw refuse('invalid', 'wanted a range of the 2^53 space', gpa, length);
    const touched = this.parts.flatMap((part) => {
      const { size } = part.rights;
      const from = Math.max(0, gpa - part.start);
      const to = Math.min(size, gpa + length - part.start);
      if (from >= to) return [];
      if (from % PAGE_SIZE !== 0 || (to % PAGE_SIZE !== 0 && to !== size))
        throw refuse('invalid', `wanted whole pages, counted from ${hex(part.start)}`, gpa, length);
      return [{ ...part, from, to }];
    });
    for (const { places, start, from, to } of touched) {
      const locked = lockedPages(presentPlaces(places), start + from, start + to).find(({ accesses }) =>
        accesses.some((access) => !rights.includes(access === 'write' ? 'w' : 'r')),
      );
      if (locked !== undefined)
        throw refuse('locked', `the page at ${hex(locked.gpa)} is locked`, gpa, length);
    }
    for (const part of touched) part.rights.set(part.from, part.to - part.from, rights);
  }

  /** Lets go of regions that nobody can access any more, in this thread or another. */
  private forget(): void {
    const kept = this.parts.filter(({ rights, inUse }) => inUse.deref() !== undefined || rights.isHandedOut);
    if (kept.length < this.parts.length) this.parts.splice(0, this.parts.length, ...kept);
  }

  /**
   * The rights of the page at `gpa`; none where no region has been. Of regions that followed one another, the last one's; of
   * one that no memory has any more its last ones, or none.
   */
  rightsAt(gpa: number): Rights {
    const part = this.parts.findLast(({ start, rights }) => gpa >= start && gpa < start + rights.size);
    return part === undefined ? '' : part.rights.get(gpa - part.start);
  }
}

/**
 * The rights of a region, and where it stands in the view that was protected. It keeps neither the region nor its bytes: once
 * nobody has the region, its part is forgotten.
 */
interface ProtectedPart {
  readonly start: number;
  readonly rights: PageRights;
  /** The object of the rights that the region and its parts look at. */
  readonly inUse: WeakRef<PageRights>;
  readonly places: readonly WeakPlace[];
}

/** Where a piece lies, in the addresses of the view and in its backing. */
interface WeakPlace {
  readonly backing: WeakRef<MemoryBacking>;
  readonly start: number;
  readonly end: number;
  readonly backingOffset: number;
}

function partOf({ region, pieces }: MapEntry, origin: number, rights: PageRights): ProtectedPart {
  const places = pieces.map(({ backing, start, end, backingOffset }) => ({
    backing: new WeakRef(backing),
    start: origin + start,
    end: origin + end,
    backingOffset,
  }));
  return { start: origin + region.start, rights: rights.twin(), inUse: new WeakRef(rights), places };
}

/** Those whose backing somebody still has: no page of the others can be locked. */
function presentPlaces(places: readonly WeakPlace[]): LockPlace[] {
  return places.flatMap(({ backing, ...place }) => {
    const present = backing.deref();
    return present === undefined ? [] : [{ ...place, backing: present }];
  });
}

/** The region with every piece under rights that cover it whole. */
export function withRights(entry: MapEntry, rights: PageRights): MapEntry {
  const { region, pieces } = entry;
  return {
    region,
    pieces: pieces.map((piece) =>
      piece.with({ guards: [{ rights, offset: piece.start - region.start }], marks: [] }),
    ),
  };
}

function refuse(code: 'invalid' | 'locked', reason: string, gpa: number, length: number): GuestMemoryError {
  return new GuestMemoryError(code, reason, { operation: 'protect', gpa, length });
}
