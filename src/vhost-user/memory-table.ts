import { AtomicAddressSpace, type Closable, GuestMemory } from '../core/index.ts';
import { type FileBacking, mapFile } from '../host/index.ts';
import type { WireRegion } from './message.ts';
import { MAX_MEMORY_SLOTS } from './protocol.ts';
import { VhostUserError } from './vhost-user-error.ts';

/** A region of the table that is mapped here. */
interface Slot {
  readonly gpa: number;
  readonly size: number;
  readonly userAddress: bigint;
  readonly backing: FileBacking;
}

/** How the files of a memory table are taken. */
export interface MemoryTableOptions {
  readonly requireSealed: boolean;
  /** Told of every file that can shrink, once. */
  readonly warn: (message: string) => void;
}

/**
 * The front end's memory table: which parts of the guest's memory are mapped here, and where the front end has them.
 *
 * Every change makes a whole new map and swaps it in, or fails and changes nothing. Mappings that are no longer in the map are
 * closed at once: that is sound because devices work synchronously here, on the thread that calls this, so that no request is
 * under way while a message is handled.
 */
export class MemoryTable implements Closable {
  /** What queues and devices see. */
  readonly space: AtomicAddressSpace = new AtomicAddressSpace(GuestMemory.empty());
  readonly #options: MemoryTableOptions;
  #slots: readonly Slot[] = [];

  constructor({ requireSealed, warn }: MemoryTableOptions) {
    // A guest moves its memory about while it boots, and the same file comes again and again.
    const warned = new Set<string>();
    const warnOnce = (message: string): void => {
      if (warned.has(message)) return;
      warned.add(message);
      warn(message);
    };
    this.#options = { requireSealed, warn: warnOnce };
  }

  /**
   * Takes over a whole table, in whatever order its regions are.
   *
   * @param fds - a descriptor per region; they remain the caller's
   * @throws VhostUserError `memory-table` or `invalid`; HostError where a file cannot be mapped
   */
  replace(regions: readonly WireRegion[], fds: readonly number[]): void {
    const made: Slot[] = [];
    try {
      for (const [i, region] of regions.entries()) made.push(this.#map(region, fds[i] ?? -1, made));
      this.#swap(made);
    } catch (error) {
      for (const slot of made) slot.backing.close();
      throw error;
    }
  }

  /** Adds one region. @throws as {@link MemoryTable.replace} */
  add(region: WireRegion, fd: number): void {
    if (this.#slots.length >= MAX_MEMORY_SLOTS) {
      throw refuse(
        'ADD_MEM_REG',
        `there are ${this.#slots.length} regions, wanted at most ${MAX_MEMORY_SLOTS}`,
      );
    }
    const slot = this.#map(region, fd, this.#slots);
    try {
      this.#swap([...this.#slots, slot]);
    } catch (error) {
      slot.backing.close();
      throw error;
    }
  }

  /** Removes the region with exactly this gpa, size and user address. @throws VhostUserError `memory-table` where there is none */
  remove(region: WireRegion): void {
    const left = this.#slots.filter(
      (slot) =>
        BigInt(slot.gpa) !== region.gpa ||
        BigInt(slot.size) !== region.size ||
        slot.userAddress !== region.userAddress,
    );
    if (left.length === this.#slots.length)
      throw refuse('REM_MEM_REG', `no such region: ${describe(region)}`);
    this.#swap(left);
  }

  /** The gpa of an address of the front end, or `undefined` where no region holds it. */
  translate(userAddress: bigint): number | undefined {
    for (const slot of this.#slots) {
      const offset = userAddress - slot.userAddress;
      if (offset >= 0n && offset < BigInt(slot.size)) return slot.gpa + Number(offset);
    }
    return undefined;
  }

  /** Empties the table. */
  close(): void {
    this.#swap([]);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #map(region: WireRegion, fd: number, others: readonly Slot[]): Slot {
    const numbers = { gpa: region.gpa, size: region.size, 'file offset': region.mmapOffset };
    for (const [what, value] of Object.entries(numbers)) {
      if (value > BigInt(Number.MAX_SAFE_INTEGER))
        throw refuse('a memory region', `its ${what} is 0x${value.toString(16)}`);
    }
    if (region.size === 0n) throw refuse('a memory region', `it is empty: ${describe(region)}`);
    if (region.userAddress + region.size > 2n ** 64n) {
      throw refuse('a memory region', `its user addresses wrap: ${describe(region)}`);
    }
    for (const other of others) {
      if (overlaps(region.userAddress, region.size, other.userAddress, BigInt(other.size))) {
        throw refuse('a memory region', `its user addresses overlap those of another: ${describe(region)}`);
      }
    }
    const size = Number(region.size);
    const backing = mapFile(fd, { offset: Number(region.mmapOffset), length: size, ...this.#options });
    return { gpa: Number(region.gpa), size, userAddress: region.userAddress, backing };
  }

  /** Puts a map of these slots in place, and closes the mappings that are not in it. Overlapping gpas are refused by the map. */
  #swap(slots: readonly Slot[]): void {
    const regions = slots.map(({ gpa, backing }) => ({ start: gpa, backing }));
    this.space.replace(
      regions.length === 0 ? GuestMemory.empty() : GuestMemory.fromRegions(regions, { name: 'guest' }),
    );
    const old = this.#slots;
    this.#slots = slots;
    for (const slot of old) if (!slots.includes(slot)) slot.backing.close();
  }
}

function overlaps(a: bigint, aSize: bigint, b: bigint, bSize: bigint): boolean {
  return a < b + bSize && b < a + aSize;
}

function describe(region: WireRegion): string {
  return `gpa 0x${region.gpa.toString(16)}, size 0x${region.size.toString(16)}, user address 0x${region.userAddress.toString(16)}`;
}

function refuse(what: string, why: string): VhostUserError {
  return new VhostUserError('memory-table', `Cannot take ${what}: ${why}`);
}
