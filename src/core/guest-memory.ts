import { isGpa, PAGE_SIZE } from './addresses.ts';
import { allocated } from './allocated.ts';
import type { MemoryBacking } from './backing.ts';
import { GuestMemoryError, isGuestMemoryError } from './errors.ts';
import type { GuestAddressSpace } from './guest-address-space.ts';
import { hex } from './hex.ts';
import type { HostTranslator } from './host-run.ts';
import {
  type EntryChange,
  type GuestRegion,
  type MapEntry,
  MemoryMap,
  type RegionInit,
} from './memory-map.ts';
import { multiRegionInits } from './multi-region.ts';
import { lockedPages } from './page-locks.ts';
import type { Region } from './region.ts';
import { subrangeInits } from './subrange.ts';
import { translatorBacking } from './translator-backing.ts';
import { ViewAccess } from './view-access.ts';

/** What a memory is called in errors and listings. */
export interface MemoryOptions {
  /** Default: what it is made of, `heap` for example. */
  readonly name?: string;
}

/** How memory is allocated. */
export interface AllocateOptions extends MemoryOptions {
  /** In memory that Workers can share (see {@link shared}); default: private to this thread. */
  readonly shared?: boolean;
}

/**
 * The physical memory of a guest: regions at guest-physical addresses, and every way to read and write them.
 *
 * A memory is immutable as a map: {@link GuestMemory.insertRegion} and {@link GuestMemory.removeRegion} return new
 * ones that share the bytes. Put one behind an {@link AtomicAddressSpace} to change the map under running devices.
 * Addresses are whole numbers from 0 to 2^53-1. Scalars are little-endian; an aligned one never tears. Exact calls
 * are all-or-nothing, partial calls return counts, and every failure is a {@link GuestMemoryError}.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 *
 * const memory = GuestMemory.fromRanges([[0, 0x10_0000], [0x1_0000_0000, 0x20_0000]], { name: 'ram' });
 * memory.writeU32(0x1_0000_0010, 0xcafe_f00d);
 * assert.equal(memory.readU32(0x1_0000_0010), 0xcafe_f00d);
 * assert.throws(() => memory.readU8(0x20_0000), { code: 'unmapped', failedAt: 0x20_0000 });
 * assert.equal(memory.read(0xf_fff0, new Uint8Array(64)), 16);
 * ```
 */
export class GuestMemory extends ViewAccess implements HostTranslator, GuestAddressSpace<GuestMemory> {
  private constructor(map: MemoryMap, name: string, origin = 0) {
    super(map, name, origin);
  }

  /** A memory without a region. */
  static empty(): GuestMemory {
    return new GuestMemory(new MemoryMap([]), 'empty');
  }

  /**
   * Zeroed memory at 0, its size rounded up to the page. On the host it is page-aligned where {@link shared} memory is.
   *
   * @param size - bytes, at least 1
   * @throws GuestMemoryError `invalid`, `too-large`, `unsupported` (see {@link heap} and {@link shared})
   */
  static allocate(size: number, options: AllocateOptions = {}): GuestMemory {
    const rounded = isGpa(size) ? Math.ceil(size / PAGE_SIZE) * PAGE_SIZE : size;
    return GuestMemory.from(allocated(rounded, options, 0), { name: options.name ?? 'heap' });
  }

  /** A memory of one region at 0, or of everything a translator answers. */
  static from(source: MemoryBacking | HostTranslator, options: MemoryOptions = {}): GuestMemory {
    const backing = 'translateAndGetLimit' in source ? translatorBacking(source) : source;
    return GuestMemory.fromRegions([{ start: 0, backing }], { name: options.name ?? backing.kind });
  }

  /**
   * A memory of zeroed ranges, each `[start, size]` in bytes, in any order.
   *
   * @throws GuestMemoryError `invalid`, `overlap`, `too-large`, `unsupported`
   */
  static fromRanges(
    ranges: Iterable<readonly [start: number, size: number]>,
    options: AllocateOptions = {},
  ): GuestMemory {
    const regions = Array.from(ranges, ([start, size]) => ({
      start,
      backing: allocated(size, options, start),
    }));
    return GuestMemory.fromRegions(regions, { name: options.name ?? 'ranges' });
  }

  /**
   * A memory of regions, in any order. They may touch, and mix kinds.
   *
   * @throws GuestMemoryError `overlap` with both regions named; `misaligned` where a start is not congruent to its
   * bytes' offset modulo 8; `invalid`, `too-large`
   */
  static fromRegions(regions: Iterable<RegionInit>, options: MemoryOptions = {}): GuestMemory {
    return new GuestMemory(MemoryMap.fromRegions(regions, 'make a memory'), options.name ?? 'regions');
  }

  /**
   * A memory of equal slots, one backing at the start of each; `undefined` leaves a slot empty.
   *
   * @param regionSize - size of a slot: a power of two, at least a page
   * @throws GuestMemoryError `invalid` for a slot size that is not a power of two, or is less than a page;
   * `too-large` for too many slots for the 2^53 space, or a backing larger than its slot
   */
  static multiRegion(
    regionSize: number,
    backings: readonly (MemoryBacking | undefined)[],
    options: MemoryOptions = {},
  ): GuestMemory {
    return GuestMemory.fromRegions(multiRegionInits(regionSize, backings), {
      name: options.name ?? 'multi-region',
    });
  }

  /** The regions, by address. */
  get regions(): readonly GuestRegion[] {
    return this.map.entries.map((entry) => entry.region);
  }

  /**
   * For functions of this package: a memory on the same bytes, whose regions are what `change` makes of these. Regions
   * that are inserted later go through `change` as well.
   */
  derive(change: EntryChange): GuestMemory {
    return new GuestMemory(this.map.derive(change), this.name, this.origin);
  }

  /** For functions of this package: a memory of regions that are made, sorted and apart. */
  static fromEntries(entries: readonly MapEntry[], name: string, origin: number, limit = 0): GuestMemory {
    return new GuestMemory(new MemoryMap(entries, [], limit), name, origin);
  }

  /** For functions of this package: one past the last address; of a subrange its length, though it may end with a hole. */
  get limit(): number {
    return this.map.limit;
  }

  /** For functions of this package: the regions with the pieces they are made of. */
  get entries(): readonly MapEntry[] {
    return this.map.entries;
  }

  /** A memory is its own address space: one whose map never changes. */
  memory(): this {
    return this;
  }

  /**
   * A memory with one region more; this one stays as it is.
   *
   * @throws GuestMemoryError `overlap`, `misaligned`, `invalid`, `too-large`
   */
  insertRegion(region: RegionInit): GuestMemory {
    return new GuestMemory(
      this.map.insert(region, { operation: 'insert a region', memory: this.name }),
      this.name,
      this.origin,
    );
  }

  /**
   * A memory without the region of exactly this start and size; this one stays as it is.
   *
   * @throws GuestMemoryError `unmapped` where there is no such region; `locked` with the list of its locked pages
   */
  removeRegion(start: number, size: number): GuestMemory {
    const locked = this.entries
      .filter(({ region }) => region.start === start && region.size === size)
      .flatMap(({ pieces }) => lockedPages(pieces, start, start + size));
    if (locked.length > 0) {
      const list = locked.map(({ gpa }) => hex(gpa)).join(', ');
      const facts = { operation: 'remove a region', gpa: start, length: size, failedAt: locked[0]?.gpa };
      throw this.error('locked', `pages are locked: ${list}`, facts);
    }
    return new GuestMemory(
      this.map.remove(start, size, { operation: 'remove a region', memory: this.name }),
      this.name,
      this.origin,
    );
  }

  /**
   * The part from `offset` on, as a memory of its own whose address 0 is there. It shares the bytes. Errors name
   * addresses of both memories. It may begin and end with a hole.
   *
   * @throws GuestMemoryError `invalid`; `unmapped` for a part that ends past the last region
   */
  subrange(offset: number, length: number): GuestMemory {
    const operation = 'take a subrange';
    this.checkNumbers(offset, length, operation);
    const { limit } = this.map;
    if (length > limit - offset) {
      throw this.error('unmapped', `the memory ends at ${hex(limit)}`, {
        operation,
        gpa: offset,
        length,
        failedAt: Math.max(offset, limit),
      });
    }
    return new GuestMemory(
      this.map.part(subrangeInits(this.map, offset, length), offset, length),
      this.name,
      this.origin + offset,
    );
  }

  /**
   * Copies `length` bytes from another memory, or from this one; the ranges may overlap.
   *
   * @throws GuestMemoryError as {@link readAt} for the source and {@link writeAt} for the destination
   */
  copyFrom(source: GuestMemory, sourceGpa: number, gpa: number, length: number): void {
    source.settle(sourceGpa, length, 'read', 'copy');
    this.settle(gpa, length, 'write', 'copy');
    const from = source.nearRange(sourceGpa, length);
    const to = this.nearWritableRange(gpa, length);
    if (from !== undefined && to !== undefined)
      to.copyIn(gpa - to.start, from.u8, sourceGpa - from.start, length);
    else this.copyByChunks(source, sourceGpa, gpa, length);
  }

  /**
   * Through a buffer, chunk by chunk; where the ranges have host bytes in common, under whatever addresses, the buffer
   * takes all of it first.
   */
  private copyByChunks(source: GuestMemory, sourceGpa: number, gpa: number, length: number): void {
    const entangled = source
      .touches(sourceGpa, length)
      .some((a) => this.touches(gpa, length).some((b) => a.entangledWith(b)));
    const chunk = this.newBytes(entangled ? length : Math.min(length, COPY_CHUNK), 'copy', gpa);
    for (let done = 0; done < length; done += chunk.length) {
      const count = Math.min(chunk.length, length - done);
      try {
        source.readAt(sourceGpa + done, chunk, 0, count);
      } catch (cause) {
        throw source.failure(cause, sourceGpa, length, sourceGpa + done + movedBy(cause), 'copy', done);
      }
      try {
        this.writeAt(gpa + done, chunk, 0, count);
      } catch (cause) {
        throw this.failure(cause, gpa, length, gpa + done, 'copy');
      }
    }
  }

  /** The pieces that a range lies in. */
  private touches(gpa: number, length: number): readonly Region[] {
    return this.map.pieces.filter((piece) => piece.start < gpa + length && piece.end > gpa);
  }

  /** The map, one line a region. */
  override toString(): string {
    const lines = this.regions.map(
      (r) => `  0x${r.start.toString(16)}-0x${r.end.toString(16)} ${r.access} ${r.kind}`,
    );
    return [`GuestMemory "${this.name}"`, ...lines].join('\n');
  }
}

// What Node's and Bun's console show; all fields of all regions would be 50 kB. Isolated declarations have no way to
// write a method of that name.
Object.defineProperty(GuestMemory.prototype, Symbol.for('nodejs.util.inspect.custom'), {
  value(this: GuestMemory): string {
    return this.toString();
  },
});

const COPY_CHUNK = 0x10_0000;

function movedBy(error: unknown): number {
  return isGuestMemoryError(error) ? error.done : 0;
}
