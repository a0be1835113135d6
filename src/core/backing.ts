import type { Access } from './access.ts';
import type { MemoryViews } from './memory-view.ts';
import type { PageRights } from './page-rights.ts';

/**
 * What lies behind a region of guest memory: host bytes that are mapped here, or calls that stand in for them.
 *
 * Everything but `kind` and `size` is optional, and read once, when the region is made. A backing has `mapped`
 * bytes or a `fallback`, or both where `presence` decides between them, never neither. Ready ones: {@link heap}, {@link shared}, {@link bytes}, {@link wasm},
 * {@link callbacks}, {@link alias}, and the file mappings of `guestmem/host`.
 */
export interface MemoryBacking {
  /** What it is, in one word, for listings and messages: `heap`, `shared`, `memfd`, `callbacks` ... */
  readonly kind: string;
  /** Size in bytes, at least 1. */
  readonly size: number;
  /**
   * The host bytes, in order and together `size` long. Each piece but the last has a length that is a multiple of
   * 8, and none is longer than 4 GiB ({@link MAX_PIECE}): Node 20 and Bun have no longer view.
   */
  readonly mapped?: readonly Uint8Array[];
  /** Called where there are no mapped bytes. */
  readonly fallback?: FallbackAccess;
  /** No other agent, inside this process or outside, can reach the mapped bytes. */
  readonly exclusive?: boolean;
  /** Writes are `denied`. */
  readonly readOnly?: boolean;
  /** Address at which a device that goes through no IOMMU reaches the first byte. */
  readonly iova?: number;
  /**
   * For a WebAssembly.Memory: `mapped` lies in it. Bulk fills and copies then use the engine's own instructions,
   * and views are made anew when a growth has detached its buffer.
   */
  readonly wasm?: WasmWindow;
  /**
   * Which of the mapped pages are there, for what: for memory that comes on demand. Where a page is not there for an
   * access, `onFault` is asked; without it the access is a `fault`.
   */
  readonly presence?: PageRights;
  /**
   * Asked for the first page of an access that is not there. `'retry'`: it is there now, look again (at most
   * 1,000 times for one page, then `retry-limit`). `'fallback'`: serve the access by `fallback`, which is
   * then called for ranges of which parts may be present. `'fail'`: the access fails with `fault`; what it throws is the
   * error's cause.
   *
   * @param offset - first byte that is not there, from the start of the backing
   * @param length - bytes from there to the end of the access
   */
  onFault?(offset: number, length: number, access: Access): FaultAnswer;
  /** Called before host bytes of a locked page are handed to the kernel. Throws to refuse. */
  expose?(offset: number, length: number): void;
  /** Called when a page is locked for the first time: it is to stay where it is. Throws to refuse. */
  lock?(offset: number, length: number, access: Access): void;
  /**
   * Called when the last lock of a page is released. What it throws is the cause of the `fault` that the release ends with; the
   * page counts as unlocked all the same, and other pages are unlocked too.
   */
  unlock?(offset: number, length: number): void;
  /**
   * For a backing that can go away: calls `listener` once, after its bytes are gone. From then on every access
   * through the library is `closed`.
   */
  onClose?(listener: () => void): void;
}

/** What became of a page fault; see {@link MemoryBacking.onFault}. */
export type FaultAnswer = 'retry' | 'fallback' | 'fail';

/** How often one page of one access may be answered with `'retry'`. */
export const FAULT_RETRIES = 1000;

/** Where in a WebAssembly.Memory a backing lies. */
export interface WasmWindow {
  readonly memory: WasmMemory;
  readonly offset: number;
}

/** The part of a WebAssembly.Memory that is used here. */
export interface WasmMemory {
  readonly buffer: ArrayBufferLike;
}

/**
 * Access by calls: registers of a device, a dump on disk, a machine elsewhere. Offsets count from the start of the
 * backing and are always in range; an aligned scalar is exactly one call of its width (SPEC M5).
 *
 * A call that cannot be done throws; the access then fails with code `fault` and that as its cause, or with the
 * code of the GuestMemoryError that was thrown. One that has to wait throws {@link pending}.
 */
export interface FallbackAccess {
  /** Fills `dest` with the bytes from `offset` on. */
  read(offset: number, dest: Uint8Array): void;
  /** Stores `src` from `offset` on. Absent: writes are `denied`. */
  write?(offset: number, src: Uint8Array): void;
  /**
   * Replaces 1, 2, 4 or 8 aligned bytes if they equal `expected`, as one indivisible step; else copies the bytes
   * that are there into `expected` and answers false. Absent: compare-exchange is `unsupported`.
   */
  compareExchange?(offset: number, expected: Uint8Array, desired: Uint8Array): boolean;
  /**
   * How many bytes from `offset` on can be accessed, at most `length`. Absent: all. It lets an exact access fail
   * before its first byte, and a partial one say how far it goes.
   */
  probe?(offset: number, length: number, access: Access): number;
  /** Where `probe` answered short: why, to be the `cause` of the error. */
  explain?(offset: number, access: Access): unknown;
  /**
   * Lends the host bytes of a range, in order, where these calls end in mapped memory. Absent: a view is `unsupported`.
   * What is lent stays those bytes, whatever the calls would reach later.
   */
  lend?(offset: number, length: number, access: Access): readonly MemoryViews[];
}

/** The longest mapped piece: 4 GiB, the longest view of Node 20 and Bun. */
export const MAX_PIECE: number = 2 ** 32;
