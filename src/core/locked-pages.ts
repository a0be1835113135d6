import type { Access } from './access.ts';
import type { Releasable } from './disposable.ts';
import { GuestMemoryError } from './errors.ts';
import type { HostBytes } from './memory-view.ts';
import { unlockPages } from './page-locks.ts';

/**
 * Pages that stay where they are until they are released: their region cannot be removed, nor their rights be taken away.
 * One view for each page asked for, in that order; pages locked for writing are dirty until released.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, heap } from 'guestmem';
 *
 * const memory = GuestMemory.fromRegions([{ start: 0x10_0000, backing: heap(0x4000) }]);
 * const locked = memory.lockGpns([0x101]);
 * locked.pages[0]?.fill(0xff);
 * assert.throws(() => memory.removeRegion(0x10_0000, 0x4000), { code: 'locked', failedAt: 0x10_1000 });
 * locked.release();
 * assert.equal(memory.removeRegion(0x10_0000, 0x4000).regions.length, 0);
 * ```
 */
export class LockedPages implements Releasable {
  /** The page numbers, as asked for. */
  readonly gpns: readonly number[];
  readonly access: Access;
  private readonly held: readonly HostBytes[];
  private readonly bytes: readonly Uint8Array[];
  private readonly memory: string;
  private released = false;

  /** Not for users: {@link GuestMemory.lockGpns} makes them. */
  constructor(memory: string, gpns: readonly number[], access: Access, held: readonly HostBytes[]) {
    this.memory = memory;
    this.gpns = gpns;
    this.access = access;
    this.held = held;
    this.bytes = held.map((page) => page.bytes);
    if (access === 'write') for (const { piece, offset, length } of held) piece.hold(offset, length);
  }

  /**
   * The bytes of each page.
   *
   * @throws GuestMemoryError `closed` after the release, or once the mapping has gone
   */
  get pages(): readonly Uint8Array[] {
    // The growth of a WebAssembly.Memory detaches the bytes.
    const gone = this.held.some(({ piece }, i) => piece.closed || this.bytes[i]?.length === 0);
    if (this.released || gone) {
      throw new GuestMemoryError('closed', 'the pages were released, or the mapping behind them closed', {
        operation: 'use locked pages',
        memory: this.memory,
      });
    }
    return this.bytes;
  }

  /**
   * Unlocks the pages. Safe to call twice.
   *
   * @throws GuestMemoryError `fault` where a backing's hook threw, which is the cause; all pages are unlocked then as well
   */
  release(): void {
    if (this.released) return;
    this.released = true;
    if (this.access === 'write')
      for (const { piece, offset, length } of this.held) piece.unhold(offset, length);
    const errors = unlockPages(this.held, this.access);
    if (errors.length === 0) return;
    throw new GuestMemoryError('fault', `a backing failed at ${errors.length} of ${this.held.length} pages`, {
      operation: 'unlock pages',
      memory: this.memory,
      cause: errors.length === 1 ? errors[0] : new AggregateError(errors),
    });
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
