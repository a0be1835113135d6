import type { Access } from './access.ts';

/**
 * What lies behind a region of guest memory: host bytes that are mapped here, or calls that stand in for them.
 *
 * Everything but `kind` and `size` is optional, and read once, when the region is made. A backing has `mapped`
 * bytes or a `fallback`, never neither. Ready ones: {@link heap}, {@link shared}, {@link bytes}, {@link wasm},
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
   * For a backing that can go away: calls `listener` once, after its bytes are gone. From then on every access
   * through the library is `closed`.
   */
  onClose?(listener: () => void): void;
}

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
}

/** The longest mapped piece: 4 GiB, the longest view of Node 20 and Bun. */
export const MAX_PIECE: number = 2 ** 32;
