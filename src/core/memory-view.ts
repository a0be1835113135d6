import type { Access } from './access.ts';
import type { Releasable } from './disposable.ts';
import { GuestMemoryError } from './errors.ts';
import type { Region } from './region.ts';

/** One run of a view: the region it lies in, where, and the host bytes. */
export interface HostBytes {
  readonly piece: Region;
  readonly offset: number;
  readonly length: number;
  readonly bytes: Uint8Array;
}

/**
 * Guest bytes lent as they are: one array for each run that is contiguous on the host, fit for `fs.readv` and
 * `fs.writev`. A writable one is dirty until it is released. Give them back with {@link MemoryViews.release}, or a `using` declaration.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 *
 * const memory = GuestMemory.fromRanges([[0, 0x1000], [0x1000, 0x1000]]);
 * const views = memory.views(0x0f00, 0x200, 'write');
 * for (const bytes of views.iovecs) bytes.fill(1);
 * views.release();
 * assert.equal(memory.readU8(0x10ff), 1);
 * ```
 */
export class MemoryViews implements Releasable {
  /** First guest-physical address. */
  readonly gpa: number;
  /** Bytes in all. */
  readonly length: number;
  readonly access: Access;
  /** For functions of this package: where the bytes are. */
  readonly runs: readonly HostBytes[];
  private readonly bytesOfRuns: readonly Uint8Array[];
  private released = false;

  /** Not for users: {@link GuestMemory.views} makes them. */
  constructor(gpa: number, length: number, access: Access, runs: readonly HostBytes[]) {
    this.gpa = gpa;
    this.length = length;
    this.access = access;
    this.runs = runs;
    this.bytesOfRuns = runs.map(({ bytes }) => bytes);
    if (access === 'write') for (const { piece, offset, length } of runs) piece.hold(offset, length);
  }

  /**
   * The host bytes, in order. A slice of one outlives the handle at its user's own risk.
   *
   * @throws GuestMemoryError `closed` after the release, or once the mapping has gone
   */
  get iovecs(): readonly Uint8Array[] {
    // No run is empty, but one whose buffer the growth of a WebAssembly.Memory has detached.
    const detached = this.bytesOfRuns.some((run) => run.length === 0);
    if (this.released || detached || this.runs.some(({ piece }) => piece.closed)) {
      throw new GuestMemoryError(
        'closed',
        this.released
          ? 'the view was released'
          : `the mapping behind it was ${detached ? 'replaced' : 'closed'}`,
        {
          operation: 'use a view',
          gpa: this.gpa,
          length: this.length,
        },
      );
    }
    return this.bytesOfRuns;
  }

  /** Gives the bytes back. Safe to call twice. */
  release(): void {
    if (this.released) return;
    this.released = true;
    if (this.access !== 'write') return;
    for (const { piece, offset, length } of this.runs) piece.unhold(offset, length);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * Guest bytes lent as one array: a {@link MemoryViews} of a single run.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x1000);
 * const view = memory.view(0x100, 16, 'write');
 * view.bytes[0] = 7;
 * view.release();
 * assert.equal(memory.readU8(0x100), 7);
 * assert.throws(() => view.bytes, { code: 'closed' });
 * ```
 */
export class MemoryView extends MemoryViews {
  /**
   * The host bytes.
   *
   * @throws GuestMemoryError `closed` after the release, or once the mapping has gone
   */
  get bytes(): Uint8Array {
    return this.iovecs[0] ?? new Uint8Array(0);
  }
}
