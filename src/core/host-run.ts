import type { Access } from './access.ts';

/** Host bytes behind a guest-physical address. */
export interface HostRun {
  /** The buffer they lie in. */
  readonly buffer: ArrayBufferLike;
  /** Where the addressed byte is in the buffer. */
  readonly byteOffset: number;
  /** How many bytes follow contiguously, the addressed one included; at least 1. */
  readonly limit: number;
}

/**
 * The narrow door: what a device asks for when all it needs is "what host bytes are behind this address, and how many
 * follow?" {@link GuestMemoryAccessor} builds reads and writes on it, {@link GuestMemory.from} everything.
 */
export interface HostTranslator {
  /**
   * Answers what host bytes are behind an address, and how many follow.
   *
   * @param gpa - guest-physical address
   * @param access - `'write'` counts as a write for dirty tracking
   * @returns `undefined` where nothing is there, or the access is denied
   */
  translateAndGetLimit(gpa: number, access?: Access): HostRun | undefined;
}
