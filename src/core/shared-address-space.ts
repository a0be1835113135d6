import type { MemoryBacking } from './backing.ts';
import { type DirtyTracking, trackDirty } from './dirty-tracking.ts';
import type { Closable } from './disposable.ts';
import { GuestMemoryError } from './errors.ts';
import type { GuestAddressSpace } from './guest-address-space.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { MapEntry } from './memory-map.ts';
import { AttachedAddressSpace, type AttachOptions } from './shared-address-space-attached.ts';
import type {
  RegionMessage,
  RegionPort,
  SharedSpaceHandle,
  SpacePort,
} from './shared-address-space-handle.ts';
import { WorkerSlots } from './shared-address-space-slots.ts';
import {
  CARVED_KINDS,
  SpaceTable,
  type SpaceTableShape,
  type TableRow,
} from './shared-address-space-table.ts';
import { isSharedBuffer, type SharedBufferHandle, shareBuffer } from './shared-buffer.ts';
import { type SharedRegionHandle, shareRegion } from './sharing-region.ts';

/** How a shared address space is laid out; none of it can be changed later. */
export interface SharedAddressSpaceOptions {
  /**
   * Shared memory that regions will be carved from, by `bytes(view.subarray(...))` say: it is handed to each Worker when that
   * attaches, so that these regions are seen at its next `memory()`.
   */
  readonly pools?: readonly MemoryBacking[];
  /** Default 256. */
  readonly maxRegions?: number;
  /** Workers attached at one time; default 64. */
  readonly maxWorkers?: number;
}

/** A region as it was published: by its row alone, or also by message. */
interface Published {
  readonly row: TableRow;
  readonly message: RegionMessage | undefined;
}

declare const MessageChannel: new () => { readonly port1: RegionPort; readonly port2: SpacePort };

/**
 * One memory map seen from many Workers. Its owner changes it; each Worker sees a change whole, at its next `memory()`, and
 * the owner can wait until no Worker uses what was there before, to give that memory back.
 *
 * A region that was carved from a pool and has no rules of its own is in the table that all share. Any other goes to the
 * Workers by message, which a Worker gets when it yields to its event loop (see {@link AttachOptions.receive}); until
 * then it sees the whole previous map.
 *
 * In the owner's thread {@link SharedAddressSpace.memory} is the present map, and not counted by `quiesced`: attach in
 * this thread too where a snapshot is kept over an `await`.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { bytes, GuestMemory, shared, SharedAddressSpace } from 'guestmem';
 *
 * const pool = shared(0x20_0000);
 * const [ram = new Uint8Array()] = pool.mapped ?? [];
 * const space = new SharedAddressSpace(
 *   GuestMemory.fromRegions([{ start: 0, backing: bytes(ram.subarray(0, 0x10_0000)) }]),
 *   { pools: [pool] },
 * );
 * const handle = space.share(); // worker.postMessage(handle, [handle.port])
 * const there = SharedAddressSpace.attach(handle); // in the Worker
 *
 * const hot = ram.subarray(0x10_0000);
 * await space.update((memory) => memory.insertRegion({ start: 0x1_0000_0000, backing: bytes(hot) }));
 * there.memory().writeU32(0x1_0000_0000, 7);
 *
 * const unplugged = await space.update((memory) => memory.removeRegion(0x1_0000_0000, hot.length));
 * assert.deepEqual(space.holders(unplugged), [handle.slot]); // it may still use what memory() returned
 * there.idle();
 * await space.quiesced(unplugged);
 * hot.fill(0); // nobody sees this
 * there.close();
 * space.close();
 * ```
 */
export class SharedAddressSpace implements GuestAddressSpace<GuestMemory>, Closable {
  private readonly shape: SpaceTableShape;
  private readonly table: SpaceTable;
  private readonly slots: WorkerSlots;
  private readonly pools: readonly SharedBufferHandle[];
  private readonly ports = new Map<number, RegionPort>();
  private current: GuestMemory;
  private published: ReadonlyMap<MapEntry, Published> = new Map();
  private nextId = 1;
  private changing = false;
  private closed = false;

  /**
   * @throws GuestMemoryError `unsupported` for a region or pool that cannot be shared; `too-large` for more regions than
   * `maxRegions`; `invalid` for a number that is none
   */
  constructor(initial: GuestMemory, options: SharedAddressSpaceOptions = {}) {
    const { pools = [], maxRegions = 256, maxWorkers = 64 } = options;
    for (const [name, value] of Object.entries({ maxRegions, maxWorkers })) {
      if (!Number.isInteger(value) || value < 1 || value > 2 ** 20)
        throw refuse('invalid', `current ${name} ${value}, wanted a whole number from 1 to 2^20`);
    }
    this.shape = { maxRegions, maxWorkers };
    this.table = SpaceTable.create(this.shape);
    this.slots = new WorkerSlots(this.table, maxWorkers);
    this.pools = pools.flatMap(poolBuffers);
    this.current = initial;
    this.publish(initial);
  }

  /** The address space of a handle, in this thread. */
  static attach(handle: SharedSpaceHandle, options: AttachOptions = {}): AttachedAddressSpace {
    return new AttachedAddressSpace(handle, options);
  }

  /** The present map, in the owner's thread. */
  memory(): GuestMemory {
    return this.current;
  }

  /** Number of the present map, for {@link SharedAddressSpace.quiesced}. */
  get generation(): number {
    return this.table.generation;
  }

  /**
   * Changes the map as one exclusive read-modify-write: `change` gets the present memory and returns the next one. Where it
   * throws, or the next memory cannot be published, nothing has changed.
   *
   * @returns resolves to the generation of the new map when it is in the table
   * @throws GuestMemoryError (the promise rejects) `unsupported` for a region that cannot be shared, `too-large` for too
   * many regions, `locked` for an update from within an update, `closed`
   */
  async update(change: (memory: GuestMemory) => GuestMemory): Promise<number> {
    this.checkOpen();
    if (this.changing) throw refuse('locked', 'an update is under way');
    this.changing = true;
    try {
      const next = change(this.current);
      const generation = this.publish(next);
      this.current = next;
      return generation;
    } finally {
      this.changing = false;
    }
  }

  /** The Workers, by slot, that still use a map from before a generation. */
  holders(generation: number = this.generation): readonly number[] {
    return this.slots.holders(generation);
  }

  /**
   * Resolves once no Worker uses a map from before a generation, by what `memory()` returned last or by a pin. What was
   * removed by then can be given back. A Worker that ended without closing has to be {@link evict}ed.
   */
  quiesced(generation: number = this.generation): Promise<void> {
    return this.slots.quiesced(generation);
  }

  /**
   * A handle for one Worker, with a slot of its own: `worker.postMessage(handle, [handle.port])`.
   *
   * @throws GuestMemoryError `too-large` where all slots are taken; `closed`
   */
  share(): SharedSpaceHandle {
    this.checkOpen();
    const { index, ticket } = this.slots.claim();
    const { port1, port2 } = new MessageChannel();
    this.ports.get(index)?.close();
    this.ports.set(index, port1);
    return {
      name: this.current.name,
      words: this.table.words,
      shape: this.shape,
      slot: index,
      ticket,
      pools: this.pools,
      regions: [...this.published.values()].flatMap(({ message }) => message ?? []),
      port: port2,
    };
  }

  /**
   * Takes the slot away from a Worker that has ended, so that `quiesced` does not wait for it. One that still runs loses
   * its claim on what it borrowed, and fails with `closed` when it next looks for a change.
   *
   * @param slot - of the handle that the Worker was given
   */
  evict(slot: number): void {
    if (!this.ports.has(slot)) return;
    this.ports.get(slot)?.close();
    this.ports.delete(slot);
    this.slots.free(slot);
  }

  /**
   * Begins to note which pages are written, in all threads (see {@link trackDirty}).
   *
   * @returns resolves once every attached Worker writes through the tracked map only, or will at its next `memory()`
   */
  async startTracking(options: { readonly pageSize?: number } = {}): Promise<DirtyTracking> {
    const tracking = trackDirty(this.current, { ...options, shared: true });
    await this.quiesced(await this.update(() => tracking.memory));
    return tracking;
  }

  /** Ends all connections. Attached Workers keep the last map. */
  close(): void {
    this.closed = true;
    for (const port of this.ports.values()) port.close();
    this.ports.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private publish(next: GuestMemory): number {
    this.table.checkRoom(next.entries.length);
    const firstNew = this.nextId;
    const published = new Map<MapEntry, Published>();
    for (const entry of next.entries)
      published.set(entry, this.published.get(entry) ?? this.describe(entry, next.name));
    const all = [...published.values()];
    // Before the table: a Worker that reads there of a region finds it among its messages.
    for (const { message } of all) {
      if (message === undefined || message.id < firstNew) continue;
      for (const port of this.ports.values()) port.postMessage(message);
    }
    this.published = published;
    return this.table.publish(
      all.map(({ row }) => row),
      this.nextId,
    );
  }

  private describe(entry: MapEntry, name: string): Published {
    const region = shareRegion(entry, name);
    const id = this.nextId++;
    const { start, size, access } = region;
    const carved = this.carved(region);
    if (carved !== undefined) return { row: { id, start, size, access, ...carved }, message: undefined };
    return {
      row: { id, start, size, access, pool: -1, offset: 0, kind: 'shared' },
      message: { id, region },
    };
  }

  /** Where in a pool a region lies, if that is all there is to say of it. */
  private carved(region: SharedRegionHandle): Pick<TableRow, 'pool' | 'offset' | 'kind'> | undefined {
    const [piece, second] = region.pieces;
    const kind = CARVED_KINDS.find((known) => known === region.kind);
    if (piece === undefined || second !== undefined || kind === undefined || region.iova !== undefined)
      return undefined;
    if (piece.guards.length > 0 || piece.marks.length > 0) return undefined;
    const pool = this.pools.findIndex(({ id }) => id === piece.source.id);
    return pool < 0 ? undefined : { pool, offset: piece.offset, kind };
  }

  private checkOpen(): void {
    if (this.closed) throw refuse('closed', 'the address space was closed');
  }
}

function poolBuffers({ kind, mapped = [], wasm }: MemoryBacking): SharedBufferHandle[] {
  if (mapped.length === 0) throw refuse('unsupported', `a pool of kind ${kind} has no mapped bytes`);
  return mapped.map(({ buffer }) => {
    if (isSharedBuffer(buffer)) return shareBuffer(buffer, wasm?.memory);
    throw refuse('unsupported', `a pool of kind ${kind} is private to this thread`);
  });
}

function refuse(code: 'invalid' | 'unsupported' | 'locked' | 'closed', reason: string): GuestMemoryError {
  return new GuestMemoryError(code, reason, { operation: 'share an address space' });
}
