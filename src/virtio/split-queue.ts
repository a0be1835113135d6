import type { Closable, GuestAddressSpace, GuestMemory } from '../core/index.ts';
import { ChainLoader } from './chain-loader.ts';
import type { DescriptorChain } from './descriptor-chain.ts';
import { needsEvent } from './need-event.ts';
import { QueueError } from './queue-error.ts';
import { checkQueueSize, RING_F_SILENT, type SplitQueueLayout } from './split-layout.ts';
import { AVAIL_ENTRIES, RING_FLAGS, RING_INDEX, SplitRings, USED_ELEMENTS } from './split-rings.ts';

/** What was negotiated for a queue, where it goes on, and what its chains may be at most. */
export interface SplitQueueOptions {
  /** `VIRTIO_F_EVENT_IDX` was negotiated. Default false. */
  readonly eventIndex?: boolean;
  /** `VIRTIO_F_INDIRECT_DESC` was negotiated. Default false. */
  readonly indirect?: boolean;
  /** Index of the next available entry, 0 to 65535. Default 0; vhost-user's SET_VRING_BASE. */
  readonly nextAvail?: number;
  /** Index of the next used entry, 0 to 65535; `'ring'` reads it from the used ring. Default: `nextAvail`. */
  readonly nextUsed?: number | 'ring';
  /**
   * Descriptors in one chain at most. Default: the queue size, the limit of the specification. Drivers that use
   * indirect tables go by what the device's configuration invites instead (Linux takes a block device's `seg_max`
   * whatever the queue size), so give `Math.max(size, device.maxChainLength)` for a device.
   */
  readonly maxChainLength?: number;
  /** Bytes in one chain at most. Default 2^32, the limit of the specification. */
  readonly maxChainBytes?: number;
}

/**
 * The device's side of a split virtqueue (virtio 1.2 and 1.3, section 2.7).
 *
 * A queue object is one configuration of a ring, from its activation to its reset: to reset or reconfigure, close it
 * and make a new one, so that no state can be left over. Where the address space has a new memory map, the rings are
 * looked up again before they are next used.
 *
 * Work goes in batches, each with one atomic load of the available index, one atomic store of the used index and one
 * atomic load of the word that says whether to notify:
 *
 * ```text
 * fetchAvailable()  pop() pop() pop() ...  push() push() push() ...  publish()
 * ```
 *
 * and before waiting for a kick, `enableNotifications()`, which answers true where work came in meanwhile.
 *
 * Nothing the driver wrote makes `pop` do more than bounded work, or fail otherwise than with a QueueError. A
 * malformed chain is passed over, so that the caller may go on with the next; whether to go on or to stop is the
 * device's choice.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { DescriptorChain, layoutSplitQueue, SplitDriverQueue, SplitQueue } from 'guestmem/virtio';
 *
 * const memory = GuestMemory.allocate(0x10000);
 * const layout = layoutSplitQueue(0, 16);
 * const driver = new SplitDriverQueue(memory, layout);
 * const device = new SplitQueue(memory, layout);
 *
 * const id = driver.add([], [{ gpa: 0x8000, length: 4 }]);
 * assert(driver.publish());
 *
 * const chain = new DescriptorChain();
 * device.fetchAvailable();
 * while (device.pop(chain)) {
 *   chain.writer.writeU32(42);
 *   device.push(chain.head, chain.writer.written);
 * }
 * assert(device.publish());
 *
 * driver.fetchUsed();
 * assert.deepEqual(driver.collect(), { id, written: 4 });
 * assert.equal(memory.readU32(0x8000), 42);
 * ```
 */
export class SplitQueue implements Closable {
  readonly layout: SplitQueueLayout;
  readonly size: number;
  readonly eventIndex: boolean;
  readonly indirect: boolean;
  readonly maxChainLength: number;
  readonly maxChainBytes: number;
  private readonly space: GuestAddressSpace<GuestMemory>;
  private readonly loader: ChainLoader;
  private readonly mask: number;
  private rings: SplitRings | undefined;
  /** Where the available index stood when it was last loaded. */
  private availIndex: number;
  private availNext: number;
  private usedNext: number;
  /** What the driver has been shown of `usedNext`. */
  private usedPublished: number;
  /** False where the ring was in use before: nobody knows what its driver was told, so the first time it is told. */
  private synchronised: boolean;
  private popped: number;

  /**
   * @throws QueueError `queue-size`, `ring-misaligned`, `ring-unmapped` for a layout that cannot be used; `invalid`
   * for an option out of range
   */
  constructor(
    space: GuestAddressSpace<GuestMemory>,
    layout: SplitQueueLayout,
    options: SplitQueueOptions = {},
  ) {
    const { size, descriptorTable, availableRing, usedRing } = layout;
    checkQueueSize(size);
    this.space = space;
    this.layout = { size, descriptorTable, availableRing, usedRing };
    this.size = size;
    this.mask = size - 1;
    this.eventIndex = options.eventIndex ?? false;
    this.indirect = options.indirect ?? false;
    this.maxChainLength = inRange('maximum chain length', options.maxChainLength ?? size, 1, 0xffff);
    this.maxChainBytes = inRange(
      'maximum chain bytes',
      options.maxChainBytes ?? 2 ** 32,
      1,
      Number.MAX_SAFE_INTEGER,
    );
    this.availNext = inRange('next available index', options.nextAvail ?? 0, 0, 0xffff);
    this.loader = new ChainLoader({
      indirect: this.indirect,
      maxLength: this.maxChainLength,
      maxBytes: this.maxChainBytes,
    });
    this.rings = new SplitRings(space.memory(), this.layout, 'device');
    this.usedNext =
      options.nextUsed === 'ring'
        ? Atomics.load(this.rings.used16, RING_INDEX)
        : inRange('next used index', options.nextUsed ?? this.availNext, 0, 0xffff);
    this.availIndex = this.availNext;
    this.usedPublished = this.usedNext;
    this.synchronised = options.nextAvail === undefined && options.nextUsed === undefined;
    this.popped = 0;
  }

  /** Index of the available entry that the next `pop` takes: vhost-user's GET_VRING_BASE. */
  get nextAvail(): number {
    return this.availNext;
  }

  /** Index of the used entry that the next `push` fills. */
  get nextUsed(): number {
    return this.usedNext;
  }

  /** Chains popped here and not yet pushed. */
  get inFlight(): number {
    return this.popped;
  }

  /**
   * Loads the available index, once and atomically: what the driver wrote before it is visible after it.
   *
   * @returns how many chains wait; `pop` will give as many
   * @throws QueueError `avail-index` where the driver claims more chains than there are descriptors, and with that
   * again on every call until the queue is reset; `ring-unmapped`, `closed`
   */
  fetchAvailable(): number {
    const rings = this.current();
    return this.take(Atomics.load(rings.avail, RING_INDEX));
  }

  /**
   * Takes the next of the chains that {@link SplitQueue.fetchAvailable} found.
   *
   * @returns false where none of them is left
   * @throws QueueError for a malformed chain: `descriptor-index`, `descriptor-address`, `chain-loop`,
   * `chain-too-long`, `too-many-bytes`, `readable-after-writable`, `buffer-unmapped` or one of the `indirect-` codes.
   * The position is already past it. `head` is that of the chain, which may be returned by `push(head, 0)`, unless
   * the head itself was out of range
   */
  pop(chain: DescriptorChain): boolean {
    const rings = this.rings;
    if (rings === undefined) throw closed();
    const position = this.availNext;
    if (position === this.availIndex) return false;
    const head = rings.avail[AVAIL_ENTRIES + (position & this.mask)] as number;
    this.availNext = (position + 1) & 0xffff;
    if (head >= this.size) throw badHead(head, this.size);
    this.popped++;
    this.loader.load(rings, head, chain);
    return true;
  }

  /**
   * Gives a chain back. The driver sees it after the next {@link SplitQueue.publish}.
   *
   * @param head - {@link DescriptorChain.head}
   * @param written - bytes written from the beginning of the writable ones on, at most 2^32-1; rather too few than
   * too many (virtio 1.3, 2.7.8.2)
   * @throws QueueError `invalid` where nothing is in flight or a number is out of range; `ring-unmapped`, `closed`
   */
  push(head: number, written: number): void {
    // A batch of used entries and the index that publishes them go through one snapshot of the map.
    const rings = this.usedNext === this.usedPublished ? this.current() : this.rings;
    if (rings === undefined) throw closed();
    if (this.popped === 0 || head >>> 0 !== head || head >= this.size || written >>> 0 !== written) {
      throw badPush(head, written, this.popped);
    }
    const element = USED_ELEMENTS + (this.usedNext & this.mask) * 2;
    rings.used32[element] = head;
    rings.used32[element + 1] = written;
    this.usedNext = (this.usedNext + 1) & 0xffff;
    this.popped--;
  }

  /**
   * Shows the driver what was pushed: one atomic store of the used index, then one atomic load of the word in which
   * the driver says whether it wants to know (virtio 1.3, 2.7.7.2).
   *
   * @returns true where the driver is to be notified
   * @throws QueueError `closed`
   */
  publish(): boolean {
    const rings = this.rings;
    if (rings === undefined) throw closed();
    const next = this.usedNext;
    const previous = this.usedPublished;
    if (next === previous) return false;
    Atomics.store(rings.used16, RING_INDEX, next);
    this.usedPublished = next;
    if (!this.eventIndex) return (Atomics.load(rings.avail, RING_FLAGS) & RING_F_SILENT) === 0;
    const event = Atomics.load(rings.avail, rings.usedEvent);
    const synchronised = this.synchronised;
    this.synchronised = true;
    return !synchronised || needsEvent(event, next, previous);
  }

  /**
   * Asks the driver not to kick while work is going on. A hint: kicks may still come. With the event index there is
   * nothing to write, for the driver only kicks when it passes the index last asked for.
   *
   * @throws QueueError `ring-unmapped`, `closed`
   */
  disableNotifications(): void {
    const rings = this.current();
    if (!this.eventIndex) Atomics.store(rings.used16, RING_FLAGS, RING_F_SILENT);
  }

  /**
   * Asks the driver to kick for the next chain, then looks whether one came in meanwhile: one atomic store, then one
   * atomic load. Were the load a plain one, a processor with weak ordering could do it first, and a chain added
   * between the two would wait for a kick that never comes.
   *
   * @returns true where chains wait already; no kick will come for those
   * @throws QueueError `avail-index`, `ring-unmapped`, `closed`
   */
  enableNotifications(): boolean {
    const rings = this.current();
    if (this.eventIndex) {
      // `flags` must be 0 with the event index (virtio 1.3, 2.7.10.2); the driver zeroed it and nobody set it since.
      Atomics.store(rings.used16, rings.availEvent, this.availNext);
    } else {
      Atomics.store(rings.used16, RING_FLAGS, 0);
    }
    return this.take(Atomics.load(rings.avail, RING_INDEX)) > 0;
  }

  /** Ends the use of the rings. Every other call then throws `closed`, but the positions can still be read. */
  close(): void {
    this.rings?.release();
    this.rings = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Checks an available index just loaded, and keeps it. */
  private take(index: number): number {
    const waiting = (index - this.availNext) & 0xffff;
    // A chain takes at least one descriptor, so those here and those waiting are together at most `size`.
    const limit = this.size - this.popped;
    if (waiting > limit) throw badIndex(waiting, limit);
    this.availIndex = index;
    return waiting;
  }

  /** The rings in the map as it is now. */
  private current(): SplitRings {
    const { rings } = this;
    if (rings === undefined) throw closed();
    const memory = this.space.memory();
    return memory === rings.memory && rings.intact ? rings : this.resolveAgain(memory);
  }

  private resolveAgain(memory: GuestMemory): SplitRings {
    const fresh = new SplitRings(memory, this.layout, 'device');
    this.rings?.release();
    this.rings = fresh;
    return fresh;
  }
}

function inRange(what: string, value: number, low: number, high: number): number {
  if (Number.isSafeInteger(value) && value >= low && value <= high) return value;
  throw new QueueError('invalid', `Cannot make a queue: current ${what} ${value}, wanted ${low} to ${high}`, {
    value,
    limit: high,
  });
}

function closed(): QueueError {
  return new QueueError('closed', 'Cannot use the queue: it is closed');
}

function badHead(head: number, size: number): QueueError {
  return new QueueError(
    'descriptor-index',
    `Cannot follow chain ${head}: the queue has ${size} descriptors`,
    {
      value: head,
      limit: size,
    },
  );
}

function badIndex(waiting: number, limit: number): QueueError {
  return new QueueError(
    'avail-index',
    `Cannot take chains: the driver claims ${waiting} are waiting, wanted at most ${limit}`,
    { value: waiting, limit },
  );
}

function badPush(head: number, written: number, inFlight: number): QueueError {
  return new QueueError(
    'invalid',
    `Cannot push chain ${head} with ${written} bytes: ${inFlight} chains are in flight`,
    {
      head,
      value: written,
    },
  );
}
