import { GuestMemoryError } from './errors.ts';
import type { GuestAddressSpace } from './guest-address-space.ts';
import type { GuestMemory } from './guest-memory.ts';

/**
 * An address space of this thread whose map is swapped whole: readers keep the snapshot they took, and nobody sees
 * half of a change.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { AtomicAddressSpace, GuestMemory, heap } from 'guestmem';
 *
 * const space = new AtomicAddressSpace(GuestMemory.fromRanges([[0, 0x1000]]));
 * const before = space.memory();
 * space.update((memory) => memory.insertRegion({ start: 0x1_0000_0000, backing: heap(0x1000) }));
 * assert.equal(before.checkRange(0x1_0000_0000, 1), false);
 * assert.equal(space.memory().checkRange(0x1_0000_0000, 1), true);
 * ```
 */
export class AtomicAddressSpace implements GuestAddressSpace<GuestMemory> {
  private current: GuestMemory;
  private updating = false;
  /** Changes of which the listeners have not heard yet. */
  private readonly news: { readonly next: GuestMemory; readonly previous: GuestMemory }[] = [];
  private telling = false;
  private readonly listeners = new Set<(memory: GuestMemory, previous: GuestMemory) => void>();

  constructor(initial: GuestMemory) {
    this.current = initial;
  }

  memory(): GuestMemory {
    return this.current;
  }

  /**
   * Changes the map as one exclusive read-modify-write: `change` gets the present memory and returns the next one.
   * Where it throws, nothing has changed.
   *
   * @returns the new memory
   * @throws GuestMemoryError `locked` for an update from within an update, which would lose one of the two
   */
  update(change: (memory: GuestMemory) => GuestMemory): GuestMemory {
    if (this.updating) {
      throw new GuestMemoryError('locked', 'an update is under way', {
        memory: this.current.name,
        operation: 'update the map',
      });
    }
    this.updating = true;
    let next: GuestMemory;
    try {
      next = change(this.current);
    } finally {
      this.updating = false;
    }
    this.publish(next);
    return next;
  }

  /** Puts another memory in place of the present one. */
  replace(memory: GuestMemory): void {
    this.update(() => memory);
  }

  /**
   * Calls `listener` after each change, with the new memory and the one before. A listener that throws keeps no other
   * from being called; the first error is thrown on when all have been. A change that a listener makes is told after
   * the present one, so that all hear of the changes in their order.
   *
   * @returns a function that ends the subscription
   */
  subscribe(listener: (memory: GuestMemory, previous: GuestMemory) => void): () => void {
    const own = (memory: GuestMemory, previous: GuestMemory): void => listener(memory, previous);
    this.listeners.add(own);
    return () => {
      this.listeners.delete(own);
    };
  }

  private publish(next: GuestMemory): void {
    const previous = this.current;
    this.current = next;
    this.news.push({ next, previous });
    if (!this.telling) this.tell();
  }

  private tell(): void {
    const failures: unknown[] = [];
    this.telling = true;
    for (let change = this.news.shift(); change !== undefined; change = this.news.shift()) {
      for (const listener of [...this.listeners]) {
        try {
          if (this.listeners.has(listener)) listener(change.next, change.previous);
        } catch (error) {
          failures.push(error);
        }
      }
    }
    this.telling = false;
    if (failures.length > 0) throw failures[0];
  }
}
