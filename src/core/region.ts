import type { Access } from './access.ts';
import { type FallbackAccess, MAX_PIECE, type MemoryBacking, type WasmWindow } from './backing.ts';
import { copyBytes, fillShared, isShared } from './bulk.ts';
import { lendCallBuffer, returnCallBuffer } from './call-buffers.ts';
import { closeWith } from './closing.ts';
import type { DirtyLog } from './dirty-log.ts';
import { elements } from './element-views.ts';
import { bringPages } from './page-faults.ts';
import type { PageRights } from './page-rights.ts';
import { NO_EXTRAS, type RegionExtras, type RegionParts } from './region-parts.ts';
import { scratch } from './scratch.ts';
import { SMALL_COPY, SmallCopies } from './small-copies.ts';
import { type WasmBulk, wasmBulk } from './wasm-bulk.ts';

const NO_BYTES = new Uint8Array(0);

const reads = new SmallCopies();
const writes = new SmallCopies();

/**
 * One contiguous piece of the memory map and the host bytes or calls behind it: one class for every kind, so that
 * the hot paths of {@link GuestMemory} see a single shape.
 *
 * The fast paths ask one question, {@link Region.holds} (or its twin for writes), which a region that needs more
 * than a plain access answers with no: its limits are 0. Everything else goes through the methods below, which are
 * the only code that touches guest bytes. Whoever calls them has settled the range first.
 */
export class Region {
  readonly start: number;
  readonly size: number;
  /** Bytes from `start` on that a plain aligned read may touch; 0 sends every read down the slow road. */
  readLimit: number;
  /** The same for writes. */
  writeLimit: number;
  /**
   * The whole pages of {@link Region.readLimit}, and the number of the first, as 32-bit integers: for those who follow
   * page numbers. None where the region does not begin at a page, or ends above 8 TiB.
   */
  readonly firstPage: number;
  readPages: number;
  u8: Uint8Array;
  u16: Uint16Array;
  u32: Uint32Array;
  u64: BigUint64Array;
  /** What the views lie in: the views' own `buffer` costs 9 ns each time. */
  buffer: ArrayBufferLike;
  closed: boolean;
  readonly readOnly: boolean;
  readonly shared: boolean;
  /** No other agent can reach the bytes: 64 bits may then move as two halves, for nobody sees one without the other. */
  readonly exclusive: boolean;
  /** Calls, where the region has no host bytes, or not for every page. */
  readonly fallback: FallbackAccess | undefined;
  readonly backing: MemoryBacking;
  /** Which pages are there, for memory that comes on demand; by offsets of the backing. */
  readonly presence: PageRights | undefined;
  readonly extras: RegionExtras;
  /** The one log that scalar writes mark on the quick road; offsets in it begin at `logOffset`. */
  readonly log: DirtyLog | undefined;
  readonly logOffset: number;
  /** Whether there is any log at all. */
  private readonly marked: boolean;
  /**
   * Bytes from a multiple of 8 to this region's first byte, in its buffer (from the first element of the views) or, of
   * calls, in its backing: 0 but where a region begins unaligned.
   */
  readonly skew: number;
  /** Offset of this region's first byte in its backing. */
  readonly backingOffset: number;
  private readonly mapped: boolean;
  private readonly window: WasmWindow | undefined;
  /** The engine's own fill, on shared WebAssembly memory. */
  private readonly bulk: WasmBulk | undefined;
  /** A private WebAssembly.Memory, whose buffer is replaced when it grows. */
  private readonly growing: boolean;

  constructor({ start, size, backing, piece, backingOffset, readOnly, extras = NO_EXTRAS }: RegionParts) {
    const view = piece ?? NO_BYTES;
    this.start = start;
    this.size = size;
    this.backing = backing;
    this.backingOffset = backingOffset;
    this.readOnly = readOnly || isReadOnly(backing);
    this.shared = isShared(view);
    this.presence = piece === undefined ? undefined : backing.presence;
    this.fallback = piece === undefined || this.presence !== undefined ? backing.fallback : undefined;
    this.mapped = piece !== undefined;
    this.extras = extras;
    this.window =
      piece === undefined || backing.wasm === undefined
        ? undefined
        : { memory: backing.wasm.memory, offset: backing.wasm.offset + backingOffset };
    this.growing = this.window !== undefined && !this.shared;
    this.bulk = this.window !== undefined && this.shared ? wasmBulk(this.window.memory) : undefined;
    this.exclusive = piece !== undefined && backing.exclusive === true && !this.shared;
    this.closed = false;
    this.u8 = view;
    this.skew = (piece === undefined ? backingOffset : view.byteOffset) % 8;
    this.u16 = elements(Uint16Array, view);
    this.u32 = elements(Uint32Array, view);
    this.u64 = elements(BigUint64Array, view);
    this.buffer = view.buffer;
    const [mark, second] = extras.marks;
    this.marked = mark !== undefined;
    // A scalar on the quick road marks one page of one log.
    const logged =
      mark !== undefined && second === undefined && mark.log.pageSize >= 8 && mark.offset % 8 === 0;
    this.log = logged ? mark.log : undefined;
    this.logOffset = logged ? mark.offset : 0;
    const plain =
      piece !== undefined &&
      start % 8 === 0 &&
      this.skew === 0 &&
      !this.growing &&
      extras.guards.length === 0 &&
      this.presence === undefined;
    const paged = start % 4096 === 0 && start + size <= 2 ** 43;
    this.firstPage = paged ? (start / 4096) | 0 : 0;
    this.readPages = plain && paged ? (size / 4096) | 0 : 0;
    this.readLimit = plain ? size : 0;
    this.writeLimit = plain && !this.readOnly && (logged || mark === undefined) ? size : 0;
  }

  /** True where a plain writable array is all there is to it. */
  get unruled(): boolean {
    const { guards, marks } = this.extras;
    return (
      !this.closed &&
      !this.readOnly &&
      this.presence === undefined &&
      guards.length === 0 &&
      marks.length === 0
    );
  }

  /** The same bytes under more rules. */
  with(extras: RegionExtras): Region {
    const guards = [...this.extras.guards, ...extras.guards];
    const marks = [...this.extras.marks, ...extras.marks];
    return this.cut(0, this.size, this.start, { guards, marks });
  }

  /** A part of this region, at an address of its own, under the same rules. */
  cut(skip: number, size: number, start: number, extras?: RegionExtras): Region {
    const made = new Region({
      start,
      size,
      backing: this.backing,
      piece: this.bytes()?.subarray(skip, skip + size),
      backingOffset: this.backingOffset + skip,
      readOnly: this.readOnly,
      extras: extras ?? {
        guards: this.extras.guards.map(({ rights, offset }) => ({ rights, offset: offset + skip })),
        marks: this.extras.marks.map(({ log, offset }) => ({ log, offset: offset + skip })),
      },
    });
    if (this.closed) made.close();
    else closeWith(this.backing, made);
    return made;
  }

  /** One past the last address. */
  get end(): number {
    return this.start + this.size;
  }

  /**
   * True where a naturally aligned read of `width` bytes at `gpa` is a plain element access here. These comparisons
   * refuse NaN, fractions, negatives, overruns and misalignment, above 4 GiB too, for a region is at most 4 GiB.
   */
  holds(gpa: number, width: number): boolean {
    const offset = gpa - this.start;
    const index = offset >>> 0;
    return index === offset && index <= this.readLimit - width && (index & (width - 1)) === 0;
  }

  /** {@link Region.holds} for a write. */
  holdsWritable(gpa: number, width: number): boolean {
    const offset = gpa - this.start;
    const index = offset >>> 0;
    return index === offset && index <= this.writeLimit - width && (index & (width - 1)) === 0;
  }

  /** Bytes from `offset` on that can be accessed, at most `length`; 0 where none can. Pages on demand come in. */
  reach(offset: number, length: number, access: Access): number {
    if (this.closed || (access === 'write' && this.readOnly)) return 0;
    let reached = Math.min(length, this.size - offset);
    for (const guard of this.extras.guards) {
      reached = Math.min(reached, guard.rights.reach(guard.offset + offset, reached, access));
    }
    if (this.presence !== undefined) return this.reachPresent(offset, reached, access);
    return this.fallback === undefined ? reached : this.reachByCalls(offset, reached, access);
  }

  private reachByCalls(offset: number, length: number, access: Access): number {
    if (this.fallback === undefined || (access === 'write' && this.fallback.write === undefined)) return 0;
    if (this.fallback.probe === undefined || length === 0) return length;
    const answer = this.fallback.probe(this.backingOffset + offset, length, access);
    return Math.max(0, Math.min(length, Math.floor(answer) || 0));
  }

  /**
   * Pages of its own for a range that may be accessed: views and atomics need them even only to read memory that is
   * copied on write.
   *
   * @returns bytes from `offset` on that have them
   */
  own(offset: number, length: number, access: Access): number {
    return this.presence === undefined || this.direct(offset, length, access) !== undefined
      ? length
      : this.reachPresent(offset, length, 'write');
  }

  private reachPresent(offset: number, length: number, access: Access): number {
    const base = this.backingOffset + offset;
    return bringPages(this.backing, base, length, access, (at, count) =>
      this.reachByCalls(at - this.backingOffset, count, access),
    );
  }

  /** The host bytes for an access that was settled; `undefined` where it goes by calls. */
  direct(offset: number, length: number, access: Access): Uint8Array | undefined {
    const byCalls =
      this.presence !== undefined &&
      this.presence.reach(this.backingOffset + offset, length, access) < length;
    return byCalls ? undefined : this.bytes();
  }

  /** Notes that bytes were written, in every log. After the write, never before: a drain between the two would lose it. */
  mark(offset: number, length: number): void {
    if (this.marked) this.markInLogs(offset, length);
  }

  /** Not in {@link Region.mark}, which the engine is to take into its callers: with this loop it is too long for that. */
  private markInLogs(offset: number, length: number): void {
    if (this.log !== undefined) this.log.mark(this.logOffset + offset, length);
    else for (const { log, offset: base } of this.extras.marks) log.mark(base + offset, length);
  }

  /** A writable view on these bytes is out; they are dirty until {@link Region.unhold}. */
  hold(offset: number, length: number): void {
    for (const { log, offset: base } of this.extras.marks) log.hold(base + offset, length);
  }

  unhold(offset: number, length: number): void {
    for (const { log, offset: base } of this.extras.marks) log.unhold(base + offset, length);
  }

  /** The host bytes, or `undefined` where there are only calls; fresh ones where a WebAssembly.Memory has grown. */
  bytes(): Uint8Array | undefined {
    if (this.growing) this.follow();
    return this.mapped ? this.u8 : undefined;
  }

  /** Makes the views anew where the memory has grown, and their buffer is gone. */
  private follow(): void {
    if (this.window === undefined || this.buffer === this.window.memory.buffer) return;
    this.u8 = new Uint8Array(this.window.memory.buffer, this.window.offset, this.size);
    this.u16 = elements(Uint16Array, this.u8);
    this.u32 = elements(Uint32Array, this.u8);
    this.u64 = elements(BigUint64Array, this.u8);
    this.buffer = this.u8.buffer;
  }

  /** One aligned element at `offset` from the start of the views into the scratch. */
  load(offset: number, width: number): void {
    if (width === 4) scratch.u32[0] = this.u32[offset >>> 2] as number;
    else if (width === 8) scratch.u64[0] = this.u64[offset >>> 3] as bigint;
    else if (width === 2) scratch.u16[0] = this.u16[offset >>> 1] as number;
    else scratch.u8[0] = this.u8[offset] as number;
  }

  /** One aligned element from the scratch. */
  store(offset: number, width: number): void {
    if (width === 4) this.u32[offset >>> 2] = scratch.u32[0] as number;
    else if (width === 8) this.u64[offset >>> 3] = scratch.u64[0] as bigint;
    else if (width === 2) this.u16[offset >>> 1] = scratch.u16[0] as number;
    else this.u8[offset] = scratch.u8[0] as number;
  }

  /** A scalar of `width` bytes into the scratch: a single element access, or a single call, where it is aligned. */
  fetch(offset: number, width: number): void {
    const u8 = this.direct(offset, width, 'read');
    if (u8 === undefined) this.fetchByCall(offset, width);
    else if (width === 1) scratch.u8[0] = u8[offset] as number;
    else if ((offset + this.skew) % width === 0) this.load(offset + this.skew, width);
    else copyBytes(scratch.u8, 0, u8, offset, width, this.shared);
  }

  /** A scalar of `width` bytes from the scratch, likewise. */
  put(offset: number, width: number): void {
    const u8 = this.direct(offset, width, 'write');
    if (u8 === undefined) this.putByCall(offset, width);
    else if (width === 1) u8[offset] = scratch.u8[0] as number;
    else if ((offset + this.skew) % width === 0) this.store(offset + this.skew, width);
    else copyBytes(u8, offset, scratch.u8, 0, width, this.shared);
    this.mark(offset, width);
  }

  private fetchByCall(offset: number, width: number): void {
    const bytes = lendCallBuffer(width);
    try {
      this.fallback?.read(this.backingOffset + offset, bytes);
      for (let i = 0; i < width; i++) scratch.u8[i] = bytes[i] as number;
    } finally {
      returnCallBuffer();
    }
  }

  private putByCall(offset: number, width: number): void {
    const bytes = lendCallBuffer(width);
    for (let i = 0; i < width; i++) bytes[i] = scratch.u8[i] as number;
    try {
      this.writeByCall(offset, bytes);
    } finally {
      returnCallBuffer();
    }
  }

  private writeByCall(offset: number, src: Uint8Array): void {
    try {
      this.fallback?.write?.(this.backingOffset + offset, src);
    } catch (cause) {
      // A part of it may be written.
      this.mark(offset, src.length);
      throw cause;
    }
  }

  /** Copies bytes out of the region. */
  copyOut(offset: number, dest: Uint8Array, destAt: number, length: number): void {
    const u8 = this.direct(offset, length, 'read');
    if (u8 === undefined)
      this.fallback?.read(this.backingOffset + offset, dest.subarray(destAt, destAt + length));
    else if (length > SMALL_COPY || !reads.read(this, offset, dest, destAt, length))
      copyBytes(dest, destAt, u8, offset, length, this.shared, this.shared && reads.apart(this, dest));
  }

  /** Copies bytes into the region. */
  copyIn(offset: number, src: Uint8Array, srcAt: number, length: number): void {
    const u8 = this.direct(offset, length, 'write');
    if (u8 === undefined) this.writeByCall(offset, src.subarray(srcAt, srcAt + length));
    else if (length > SMALL_COPY || !writes.write(this, offset, src, srcAt, length))
      copyBytes(u8, offset, src, srcAt, length, this.shared, this.shared && writes.apart(this, src));
    this.mark(offset, length);
  }

  /** Sets bytes of the region to one value; where there are only calls, at most {@link FILL_CHUNK} bytes. */
  fill(offset: number, value: number, length: number): void {
    const u8 = this.direct(offset, length, 'write');
    if (u8 === undefined) this.writeByCall(offset, new Uint8Array(length).fill(value));
    else if (!this.shared || length <= SMALL_FILL) u8.fill(value, offset, offset + length);
    else if (this.bulk !== undefined && this.window !== undefined && length < MAX_PIECE) {
      // A length of 4 GiB would be 0 to the instruction.
      this.bulk.fill(this.window.offset + offset, value, length);
    } else fillShared(u8, offset, value, length);
    this.mark(offset, length);
  }

  /** True where the two may have bytes in common; of calls it is known only that most reach no mapped bytes. */
  entangledWith(other: Region): boolean {
    const here = this.bytes();
    const there = other.bytes();
    if (here === undefined && there === undefined) return true;
    if (here === undefined || there === undefined)
      return LOOKS_ELSEWHERE.has(this.backing.kind) || LOOKS_ELSEWHERE.has(other.backing.kind);
    return (
      here.buffer === there.buffer &&
      here.byteOffset < there.byteOffset + there.length &&
      there.byteOffset < here.byteOffset + here.length
    );
  }

  /** Called once the host bytes are gone: every later access fails with `closed`. */
  close(): void {
    this.closed = true;
    this.readPages = 0;
    this.readLimit = 0;
    this.writeLimit = 0;
  }
}

/** True where no write can succeed: said so, or made of calls without one for it. */
export function isReadOnly(backing: MemoryBacking): boolean {
  return backing.readOnly === true || (backing.mapped === undefined && backing.fallback?.write === undefined);
}

/** Kinds whose calls reach the bytes of other regions. */
const LOOKS_ELSEWHERE: ReadonlySet<string> = new Set(['alias', 'translator']);

/** Up to so many bytes `fill` on shared memory costs less than setting up anything better. */
const SMALL_FILL = 64;

/** A region of calls is filled by so many bytes at a time, however long the range. */
export const FILL_CHUNK = 0x1_0000;
