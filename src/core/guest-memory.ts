import type { Access } from './access.ts';
import { isGpa, PAGE_SIZE } from './addresses.ts';
import { AtomicAccess } from './atomic-access.ts';
import type { MemoryBacking } from './backing.ts';
import { heap, shared } from './backings.ts';
import { GuestMemoryError, isGuestMemoryError } from './errors.ts';
import type { GuestAddressSpace } from './guest-address-space.ts';
import type { HostRun, HostTranslator } from './host-run.ts';
import type { Layout } from './layout.ts';
import {
  type EntryChange,
  type GuestRegion,
  type MapEntry,
  MemoryMap,
  type RegionInit,
} from './memory-map.ts';
import { type HostBytes, MemoryView, MemoryViews } from './memory-view.ts';
import { multiRegionInits } from './multi-region.ts';
import type { Region } from './region.ts';
import { scratch } from './scratch.ts';
import { subrangeInits } from './subrange.ts';
import { translatorBacking } from './translator-backing.ts';

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
export class GuestMemory extends AtomicAccess implements HostTranslator, GuestAddressSpace<GuestMemory> {
  private constructor(map: MemoryMap, name: string, origin = 0) {
    super(map, name, origin);
  }

  /** A memory without a region. */
  static empty(): GuestMemory {
    return new GuestMemory(new MemoryMap([]), 'empty');
  }

  /**
   * Zeroed memory at 0, its size rounded up to the page.
   *
   * @param size - bytes, at least 1
   * @throws GuestMemoryError `invalid`, `too-large`, `unsupported` (see {@link heap} and {@link shared})
   */
  static allocate(size: number, options: AllocateOptions = {}): GuestMemory {
    const rounded = isGpa(size) ? Math.ceil(size / PAGE_SIZE) * PAGE_SIZE : size;
    return GuestMemory.from(allocated(rounded, options), { name: options.name ?? 'heap' });
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
    return new GuestMemory(this.map.insert(region, 'insert a region'), this.name, this.origin);
  }

  /**
   * A memory without the region of exactly this start and size; this one stays as it is.
   *
   * @throws GuestMemoryError `unmapped` where there is no such region
   */
  removeRegion(start: number, size: number): GuestMemory {
    return new GuestMemory(this.map.remove(start, size, 'remove a region'), this.name, this.origin);
  }

  /**
   * The part from `offset` on, as a memory of its own whose address 0 is there. It shares the bytes. Errors name
   * addresses of both memories.
   *
   * @throws GuestMemoryError `invalid`; `unmapped` for a part that ends past the last region
   */
  subrange(offset: number, length: number): GuestMemory {
    const operation = 'take a subrange';
    this.checkNumbers(offset, length, operation);
    if (length > this.map.end - offset) {
      throw this.error('unmapped', `the memory ends at 0x${this.map.end.toString(16)}`, {
        operation,
        gpa: offset,
        length,
        failedAt: Math.max(offset, this.map.end),
      });
    }
    return new GuestMemory(
      new MemoryMap(subrangeInits(this.map, offset, length)),
      this.name,
      this.origin + offset,
    );
  }

  /** See {@link HostTranslator}. Answers for mapped memory; a region of calls has no host bytes. */
  translateAndGetLimit(gpa: number, access: Access = 'read'): HostRun | undefined {
    this.checkNumbers(gpa, 0, 'translate');
    const piece = this.map.pieces[this.map.indexOf(gpa)];
    if (piece === undefined) return undefined;
    const offset = gpa - piece.start;
    const limit = piece.reach(offset, translatable(piece, offset, access), access);
    const bytes = limit === 0 ? undefined : piece.direct(offset, limit, access);
    if (bytes === undefined) return undefined;
    if (access === 'write') piece.mark(offset, limit);
    return { buffer: bytes.buffer, byteOffset: bytes.byteOffset + offset, limit };
  }

  /** All of the memory as host bytes, where it is one mapped, writable region of one piece without any rules; else `undefined`. */
  fullMapping(): Uint8Array | undefined {
    const [piece, second] = this.map.pieces;
    return piece === undefined || second !== undefined || !piece.unruled ? undefined : piece.bytes();
  }

  /** Where a device that goes through no IOMMU reaches `gpa`, if the backing says; else `undefined`. */
  iova(gpa: number): number | undefined {
    this.checkNumbers(gpa, 0, 'find the IO address');
    const piece = this.map.pieces[this.map.indexOf(gpa)];
    const base = piece?.backing.iova;
    return piece === undefined || base === undefined || piece.closed
      ? undefined
      : base + piece.backingOffset + gpa - piece.start;
  }

  /** Reads a value by its layout. One of 1, 2, 4 or 8 bytes that is aligned never tears. */
  readPlain<T>(type: Layout<T>, gpa: number): T {
    if (isScalarSize(type.size)) {
      this.fetch(gpa, type.size);
      return type.decode(scratch.view, 0);
    }
    const bytes = new Uint8Array(type.size);
    this.readAt(gpa, bytes);
    return type.decode(new DataView(bytes.buffer), 0);
  }

  /** Writes a value by its layout. One of 1, 2, 4 or 8 bytes that is aligned never tears. */
  writePlain<T>(type: Layout<T>, gpa: number, value: T): void {
    if (isScalarSize(type.size)) {
      type.encode(scratch.view, 0, value);
      this.put(gpa, type.size);
      return;
    }
    const bytes = new Uint8Array(type.size);
    type.encode(new DataView(bytes.buffer), 0, value);
    this.writeAt(gpa, bytes);
  }

  /**
   * Lends the host bytes of one contiguous run. Release the view when done.
   *
   * @throws GuestMemoryError `unsupported` on a region of calls, or where the range has a seam (take {@link views});
   * else as {@link readAt}
   */
  view(gpa: number, length: number, access: Access): MemoryView {
    const runs = this.runs(gpa, length, access);
    if (runs.length > 1) {
      throw this.error('unsupported', `the range lies in ${runs.length} runs on the host; take views()`, {
        operation: 'view',
        gpa,
        length,
      });
    }
    return new MemoryView(gpa, length, access, runs);
  }

  /**
   * Lends the host bytes of a range as a list of runs, for `fs.readv`, `fs.writev` and their like: a file reaches the
   * guest with no copy between. Release the views when done.
   *
   * @throws GuestMemoryError `unsupported` on a region of calls; else as {@link readAt}
   */
  views(gpa: number, length: number, access: Access): MemoryViews {
    return new MemoryViews(gpa, length, access, this.runs(gpa, length, access));
  }

  private runs(gpa: number, length: number, access: Access): HostBytes[] {
    const runs: HostBytes[] = [];
    this.eachPiece(gpa, length, access, 'view', (piece, offset, count) => {
      // A view needs pages of its own, even to read memory that is copied on write.
      const bytes =
        piece.direct(offset, count, access) ??
        (piece.reach(offset, count, 'write') < count ? undefined : piece.direct(offset, count, 'write'));
      if (bytes === undefined) {
        throw this.error('unsupported', `a ${piece.backing.kind} region has no host bytes`, {
          operation: 'view',
          gpa,
          length,
        });
      }
      runs.push({ piece, offset, length: count, bytes: bytes.subarray(offset, offset + count) });
    });
    return runs;
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
        throw this.failure(cause, gpa, length, gpa + done + movedBy(cause), 'copy');
      }
    }
  }

  /** The pieces that a range lies in. */
  private touches(gpa: number, length: number): readonly Region[] {
    return this.map.pieces.filter((piece) => piece.start < gpa + length && piece.end > gpa);
  }

  /** Throws as a one-byte access to the first page that is not there would. */
  probeGpns(gpns: Iterable<number>, access: Access = 'read'): void {
    for (const gpn of gpns) {
      if (!isGpa(gpn) || !isGpa(gpn * PAGE_SIZE)) {
        throw this.error('invalid', `current page number ${gpn}, wanted one below 2^41`, {
          operation: 'probe',
        });
      }
      this.settle(gpn * PAGE_SIZE, 1, access, 'probe');
    }
  }

  /** True where the byte at `gpa` can be read. */
  checkGpaReadable(gpa: number): boolean {
    return this.checkRange(gpa, 1, 'read');
  }

  /** True where the byte at `gpa` can be written. */
  checkGpaWritable(gpa: number): boolean {
    return this.checkRange(gpa, 1, 'write');
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

function allocated(size: number, options: AllocateOptions, start = 0): MemoryBacking {
  const make = options.shared === true ? shared : heap;
  const skew = start % 8;
  if (skew === 0 || !isGpa(size) || size === 0) return make(size);
  // SPEC M1: the bytes must lie congruent to the start, so the allocation begins up to 7 bytes early.
  const whole = make(size + skew);
  if (whole.mapped?.length !== 1) {
    throw new GuestMemoryError('misaligned', 'a range of more than 4 GiB has to start at a multiple of 8', {
      operation: 'allocate memory',
      gpa: start,
      length: size,
    });
  }
  const { wasm } = whole;
  return {
    ...whole,
    size,
    mapped: whole.mapped.map((view) => view.subarray(skew)),
    ...(wasm && { wasm: { memory: wasm.memory, offset: wasm.offset + skew } }),
  };
}

function movedBy(error: unknown): number {
  return isGuestMemoryError(error) ? error.done : 0;
}

/**
 * How many bytes from `offset` on one translation answers at most. Rules change and logs are kept by pages, so that under
 * rules it ends with the page, or, where only rights are to be looked at, after 512 pages.
 */
function translatable(piece: Region, offset: number, access: Access): number {
  const rest = piece.size - offset;
  const { guards, marks } = piece.extras;
  if (piece.presence !== undefined || (access === 'write' && marks.length > 0)) {
    return Math.min(rest, PAGE_SIZE - ((piece.start + offset) % PAGE_SIZE));
  }
  return guards.length > 0 ? Math.min(rest, 512 * PAGE_SIZE) : rest;
}

function isScalarSize(size: number): boolean {
  return size === 8 || size === 4 || size === 2 || size === 1;
}
