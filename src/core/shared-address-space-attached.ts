import type { Closable, Releasable } from './disposable.ts';
import { GuestMemoryError } from './errors.ts';
import type { GuestAddressSpace } from './guest-address-space.ts';
import { GuestMemory } from './guest-memory.ts';
import type { MapEntry } from './memory-map.ts';
import {
  isRegionPort,
  type RegionMessage,
  type RegionPort,
  type SharedSpaceHandle,
  type SpacePort,
} from './shared-address-space-handle.ts';
import { WorkerSlot } from './shared-address-space-slots.ts';
import { GENERATION, SpaceTable, type TableRow, type TableSnapshot } from './shared-address-space-table.ts';
import type { SharedBufferHandle } from './shared-buffer.ts';
import type { AttachMemoryOptions } from './sharing.ts';
import { attachRegion, type SharedRegionHandle, type SourceOfRegion } from './sharing-region.ts';

/** How a Worker attaches. */
export interface AttachOptions extends AttachMemoryOptions {
  /**
   * Takes the next message from the port without waiting, or answers `undefined`: with it also regions that come by message are
   * seen at the next `memory()`. In Node: `(port) => receiveMessageOnPort(port)?.message`.
   */
  readonly receive?: (port: SpacePort) => unknown;
}

/** No generation: nothing is borrowed. */
const NOTHING = -1;

/**
 * A {@link SharedAddressSpace} as one Worker sees it. What {@link AttachedAddressSpace.memory} returned is lent until the next
 * call of it, or of {@link AttachedAddressSpace.idle}: call that before waiting for something, or nobody can take memory
 * away meanwhile.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, SharedAddressSpace } from 'guestmem';
 *
 * const space = new SharedAddressSpace(GuestMemory.allocate(0x10_0000, { shared: true }));
 * const there = SharedAddressSpace.attach(space.share()); // in a Worker
 * const pin = there.pin();
 * const emptied = await space.update(() => GuestMemory.empty());
 * assert.equal(there.memory().regions.length, 0);
 * assert.equal(pin.memory.readU8(0), 0); // still there
 * pin.release();
 * await space.quiesced(emptied);
 * there.close();
 * space.close();
 * ```
 */
export class AttachedAddressSpace implements GuestAddressSpace<GuestMemory>, Closable {
  private readonly words: Int32Array;
  /** The generation of `current`; {@link NOTHING} where that is not lent. */
  private seen: number;
  /** The generation of `current`, lent or not. */
  private built: number;
  private current: GuestMemory;
  private readonly table: SpaceTable;
  private readonly slot: WorkerSlot;
  private readonly name: string;
  private readonly pools: readonly SharedBufferHandle[];
  private readonly port: RegionPort;
  private readonly receive: () => unknown;
  private readonly sourceOf: SourceOfRegion | undefined;
  /** Regions of the map that was read last, by number, and those that came by message for a later one. */
  private regions = new Map<number, KnownRegion>();
  /** A generation of which a region has not come yet. */
  private incomplete: number;
  private arrival: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  /** Not for users: {@link SharedAddressSpace.attach} makes them. */
  constructor(handle: SharedSpaceHandle, options: AttachOptions) {
    this.name = handle.name;
    if (!isRegionPort(handle.port))
      throw this.error('invalid', 'its handle has no port; was that in the transfer list?');
    this.port = handle.port;
    this.table = new SpaceTable(handle.words, handle.shape);
    this.words = handle.words;
    this.slot = new WorkerSlot(this.table, handle.slot, handle.ticket);
    this.pools = handle.pools;
    this.sourceOf = options.source;
    this.receive = () => options.receive?.(handle.port);
    this.seen = NOTHING;
    this.built = NOTHING;
    this.incomplete = NOTHING;
    this.current = GuestMemory.empty();
    for (const message of handle.regions) this.arrived(message);
    this.port.onmessage = ({ data }) => this.arrived(data);
    this.port.unref?.();
  }

  /**
   * The map in force. While a region of it is still on its way by message, the whole map before, if that is still lent.
   *
   * @throws GuestMemoryError `pending` where a region is on its way and no map is lent: `await settle(() => space.memory())`;
   * `closed` once closed or evicted
   */
  memory(): GuestMemory {
    return Atomics.load(this.words, GENERATION) === this.seen ? this.current : this.reload();
  }

  /** Says that nothing that `memory()` returned is used any more; pins stay. */
  idle(): void {
    this.seen = NOTHING;
    this.slot.idle();
  }

  /**
   * Keeps the map in force, over an `await` say, until it is released.
   *
   * @throws GuestMemoryError as {@link AttachedAddressSpace.memory}
   */
  pin(): PinnedMemory {
    const memory = this.memory();
    const generation = this.seen;
    this.slot.pin(generation);
    return new PinnedMemory(memory, () => this.slot.unpin(generation));
  }

  /** Gives back the slot and all that is lent or pinned. */
  close(): void {
    this.seen = NOTHING;
    this.slot.leave();
    this.port.onmessage = null;
    this.port.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private reload(): GuestMemory {
    for (;;) {
      if (!this.slot.held) throw this.error('closed', 'this Worker has no slot in it any more');
      const lent = this.seen !== NOTHING;
      if (lent && this.incomplete === this.table.generation && !this.takeMessage()) return this.current;
      const table = this.table.read();
      const next = this.built === table.generation ? this.current : this.mapOf(table);
      if (next === undefined) {
        if (this.takeMessage()) continue;
        if (!lent) throw this.onItsWay();
        this.incomplete = table.generation;
        return this.current;
      }
      this.slot.borrow(table.generation);
      // Where a snapshot is lent all along, the slot has said so, and nothing of this one was given back either. Else the
      // owner may have looked at the slot just before, and found nobody: what changed since then was not held for us.
      if (!lent && this.table.generation !== table.generation) {
        this.slot.idle();
        continue;
      }
      this.seen = table.generation;
      this.built = table.generation;
      this.current = next;
      this.forget(table);
      return next;
    }
  }

  /** The map of a table; `undefined` while a region has not come. */
  private mapOf({ rows }: TableSnapshot): GuestMemory | undefined {
    const entries: MapEntry[] = [];
    for (const row of rows) {
      const known = this.regions.get(row.id) ?? this.carve(row);
      if (known === undefined) return undefined;
      entries.push(known.entry);
    }
    return GuestMemory.fromEntries(entries, this.name, 0);
  }

  private carve(row: TableRow): KnownRegion | undefined {
    const source = this.pools[row.pool];
    if (source === undefined) return undefined;
    const { start, size, kind, access, offset } = row;
    return this.know(row.id, {
      start,
      size,
      kind,
      access,
      pieces: [{ size, source, offset, guards: [], marks: [] }],
    });
  }

  private know(id: number, handle: SharedRegionHandle): KnownRegion {
    // Regions tell by their buffers whether they overlap, and a buffer that came in two messages is two objects.
    const buffers = [...this.pools, ...[...this.regions.values()].flatMap((known) => known.buffers)];
    const used: SharedBufferHandle[] = [];
    const bufferOf = (wanted: SharedBufferHandle): SharedBufferHandle => {
      const buffer = [...buffers, ...used].find((known) => known.id === wanted.id) ?? wanted;
      used.push(buffer);
      return buffer;
    };
    const entry = attachRegion(handle, bufferOf, this.sourceOf);
    const known = { entry, buffers: used };
    this.regions.set(id, known);
    return known;
  }

  /** Lets go of regions that are gone from the map. */
  private forget({ rows, nextId }: TableSnapshot): void {
    const present = new Set(rows.map(({ id }) => id));
    for (const id of this.regions.keys()) if (id < nextId && !present.has(id)) this.regions.delete(id);
  }

  private takeMessage(): boolean {
    const message = this.receive();
    if (message === undefined) return false;
    this.arrived(message as RegionMessage);
    return true;
  }

  private arrived({ id, region }: RegionMessage): void {
    this.know(id, region);
    this.incomplete = NOTHING;
    this.arrival?.resolve();
    this.arrival = undefined;
    this.port.unref?.();
  }

  private onItsWay(): GuestMemoryError {
    this.port.ref?.();
    this.arrival ??= newArrival();
    return this.error('pending', 'a region is on its way; call it within settle()', this.arrival.promise);
  }

  private error(
    code: 'closed' | 'pending' | 'invalid',
    reason: string,
    ready?: Promise<void>,
  ): GuestMemoryError {
    return new GuestMemoryError(code, reason, {
      operation: 'look at the address space',
      memory: this.name,
      ready,
    });
  }
}

/** A region that this Worker has, and the buffers it lies in. */
interface KnownRegion {
  readonly entry: MapEntry;
  readonly buffers: readonly SharedBufferHandle[];
}

/**
 * A map that is kept until it is released.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, SharedAddressSpace } from 'guestmem';
 *
 * const space = new SharedAddressSpace(GuestMemory.allocate(0x10_0000, { shared: true }));
 * const there = SharedAddressSpace.attach(space.share()); // in a Worker
 * const pin = there.pin();
 * there.idle();
 * await Promise.resolve(); // a request that takes its time
 * pin.memory.writeU32(0x1000, 1);
 * pin.release();
 * assert.deepEqual(space.holders(await space.update(() => GuestMemory.empty())), []);
 * there.close();
 * space.close();
 * ```
 */
export class PinnedMemory implements Releasable {
  readonly memory: GuestMemory;
  private unpin: (() => void) | undefined;

  /** Not for users: {@link AttachedAddressSpace.pin} makes them. */
  constructor(memory: GuestMemory, unpin: () => void) {
    this.memory = memory;
    this.unpin = unpin;
  }

  release(): void {
    this.unpin?.();
    this.unpin = undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

function newArrival(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
