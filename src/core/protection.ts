import { PAGE_SIZE } from './addresses.ts';
import { GuestMemoryError } from './errors.ts';
import type { GuestAddressSpace } from './guest-address-space.ts';
import type { GuestMemory } from './guest-memory.ts';
import { hex } from './hex.ts';
import type { MapEntry } from './memory-map.ts';
import { lockedPages } from './page-locks.ts';
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
  private readonly parts: { readonly entry: MapEntry; readonly rights: PageRights }[] = [];

  constructor(memory: GuestMemory, options: ProtectionOptions = {}) {
    const { initial = 'rwx', shared = false } = options;
    this.view = memory.derive((entry) => {
      const rights = new PageRights(entry.region.size, { initial, shared });
      this.parts.push({ entry, rights });
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
   * @throws GuestMemoryError `invalid` for a range that is not of whole pages, or of a region that does not begin at one;
   * `locked` where a right would be taken from a locked page; nothing has changed then
   */
  protect(gpa: number, length: number, rights: Rights): void {
    const touched = this.within(gpa, length);
    for (const { entry, start, end } of touched) {
      if (start % PAGE_SIZE !== entry.region.start % PAGE_SIZE)
        throw refuse('invalid', 'wanted whole pages', gpa, length);
      const locked = lockedPages(entry, start, end).filter(
        ({ access }) => !rights.includes(access === 'write' ? 'w' : 'r'),
      );
      const [first] = locked;
      if (first !== undefined) throw refuse('locked', `the page at ${hex(first.gpa)} is locked`, gpa, length);
    }
    for (const { entry, rights: bits, start, end } of touched)
      bits.set(start - entry.region.start, end - start, rights);
  }

  /** The rights of the page at `gpa`; none where there is no region. */
  rightsAt(gpa: number): Rights {
    const part = this.parts.find(({ entry: { region } }) => gpa >= region.start && gpa < region.end);
    return part === undefined ? '' : part.rights.get(gpa - part.entry.region.start);
  }

  private within(
    gpa: number,
    length: number,
  ): { entry: MapEntry; rights: PageRights; start: number; end: number }[] {
    return this.parts.flatMap(({ entry, rights }) => {
      const start = Math.max(gpa, entry.region.start);
      const end = Math.min(gpa + length, entry.region.end);
      return start < end ? [{ entry, rights, start, end }] : [];
    });
  }
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
