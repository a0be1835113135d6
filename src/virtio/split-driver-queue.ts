import { type Closable, type GuestMemory, isGpa } from '../core/index.ts';
import { DriverDescriptors } from './driver-descriptors.ts';
import { needsEvent } from './need-event.ts';
import { QueueError } from './queue-error.ts';
import { checkQueueSize, RING_F_SILENT, type SplitQueueLayout } from './split-layout.ts';
import { AVAIL_ENTRIES, RING_FLAGS, RING_INDEX, SplitRings, USED_ELEMENTS } from './split-rings.ts';

/** A contiguous piece of guest memory that a driver lends to a device. */
export interface GuestBuffer {
  readonly gpa: number;
  /** Bytes, at most 2^32-1. */
  readonly length: number;
}

/** What was negotiated, and room for indirect tables: {@link layoutSplitQueue} answers the latter two. */
export interface SplitDriverQueueOptions {
  /** `VIRTIO_F_EVENT_IDX` was negotiated. Default false. */
  readonly eventIndex?: boolean;
  /** gpa of the indirect tables, a multiple of 16. Without it no chain can be indirect. */
  readonly indirectTables?: number | undefined;
  /** Descriptors in each of the `size` indirect tables. */
  readonly indirectCapacity?: number | undefined;
}

/** A chain that the device is done with. */
export interface UsedBuffer {
  /** What `add` returned for it. */
  readonly id: number;
  /** Bytes that the device says it wrote, from the first writable one on. */
  readonly written: number;
}

/**
 * The driver's side of a split virtqueue (virtio 1.2 and 1.3, section 2.7): for guests written in TypeScript, and
 * for testing devices.
 *
 * The device is not trusted either. What the driver has to remember it keeps in private memory, and everything the
 * device writes is checked: a used element that names a chain not with the device, or claims more bytes than the
 * chain has room for, is an error, and it is passed over.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { layoutSplitQueue, SplitDriverQueue } from 'guestmem/virtio';
 *
 * const memory = GuestMemory.allocate(0x10000);
 * const layout = layoutSplitQueue(0, 8, { indirectCapacity: 4 });
 * const driver = new SplitDriverQueue(memory, layout, { ...layout, eventIndex: false });
 * driver.add([{ gpa: 0x8000, length: 16 }], [{ gpa: 0x9000, length: 512 }]);
 * assert.equal(driver.freeDescriptors, 6);
 * driver.add([{ gpa: 0x8000, length: 16 }], [{ gpa: 0x9000, length: 512 }], { indirect: true });
 * assert.equal(driver.freeDescriptors, 5);
 * assert.equal(driver.publish(), true); // nobody has asked us not to kick
 * ```
 */
export class SplitDriverQueue implements Closable {
  readonly layout: SplitQueueLayout;
  readonly size: number;
  readonly eventIndex: boolean;
  private readonly rings: SplitRings;
  private readonly descriptors: DriverDescriptors;
  private readonly mask: number;
  private availNext: number;
  private availPublished: number;
  private usedNext: number;
  /** Where the used index stood when it was last loaded. */
  private usedIndex: number;
  /** Chains that the device may have. */
  private lent: number;
  private isClosed: boolean;

  /**
   * Zeroes the rings, as a driver must before it tells the device of them.
   *
   * @throws QueueError `queue-size`, `ring-misaligned`, `ring-unmapped`
   */
  constructor(memory: GuestMemory, layout: SplitQueueLayout, options: SplitDriverQueueOptions = {}) {
    const { size, descriptorTable, availableRing, usedRing } = layout;
    checkQueueSize(size);
    this.layout = { size, descriptorTable, availableRing, usedRing };
    this.size = size;
    this.mask = size - 1;
    this.eventIndex = options.eventIndex ?? false;
    this.rings = new SplitRings(memory, this.layout, 'driver');
    this.descriptors = new DriverDescriptors(memory, this.rings.table32, size, options);
    this.rings.avail.fill(0);
    memory.fillAt(usedRing, 0, 6 + 8 * size);
    this.availNext = 0;
    this.availPublished = 0;
    this.usedNext = 0;
    this.usedIndex = 0;
    this.lent = 0;
    this.isClosed = false;
  }

  /** Descriptors of the main table that are free. */
  get freeDescriptors(): number {
    return this.descriptors.free;
  }

  /** Chains added and not yet collected. */
  get outstanding(): number {
    return this.lent + ((this.availNext - this.availPublished) & 0xffff);
  }

  /**
   * Offers buffers to the device, which sees them after the next {@link SplitDriverQueue.publish}.
   *
   * @param out - for the device to read
   * @param into - for the device to write
   * @param options - `indirect`: put the descriptors into a table of their own, at the price of one in the ring
   * @returns the id under which {@link SplitDriverQueue.collect} gives them back
   * @throws QueueError `queue-full` where there are too few free descriptors for now; `chain-too-long`,
   * `too-many-bytes` or `invalid` where it could never be added
   */
  add(
    out: readonly GuestBuffer[],
    into: readonly GuestBuffer[],
    options: { readonly indirect?: boolean } = {},
  ): number {
    this.open();
    checkBuffers(out, into);
    const id = this.descriptors.place(out, into, options.indirect === true);
    this.rings.avail[AVAIL_ENTRIES + (this.availNext & this.mask)] = id;
    this.availNext = (this.availNext + 1) & 0xffff;
    return id;
  }

  /**
   * Shows the device what was added: one atomic store of the available index, then one atomic load of the word in
   * which the device says whether it wants a kick (virtio 1.3, 2.7.10.1).
   *
   * @returns true where the device is to be kicked
   */
  publish(): boolean {
    this.open();
    const { rings } = this;
    const next = this.availNext;
    const previous = this.availPublished;
    if (next === previous) return false;
    Atomics.store(rings.avail, RING_INDEX, next);
    this.descriptors.lend();
    this.lent += (next - previous) & 0xffff;
    this.availPublished = next;
    if (!this.eventIndex) return (Atomics.load(rings.used16, RING_FLAGS) & RING_F_SILENT) === 0;
    return needsEvent(Atomics.load(rings.used16, rings.availEvent), next, previous);
  }

  /**
   * Loads the used index, once and atomically.
   *
   * @returns how many chains came back; `collect` will give as many
   * @throws QueueError `used-index` where the device claims more chains than it has
   */
  fetchUsed(): number {
    this.open();
    return this.take(Atomics.load(this.rings.used16, RING_INDEX));
  }

  /**
   * Takes the next of the chains that {@link SplitDriverQueue.fetchUsed} found, and frees its descriptors.
   *
   * @returns `undefined` where none of them is left
   * @throws QueueError `used-id`, `used-length` for what the device wrote wrongly; the element is passed over, and
   * in the second case the chain was freed
   */
  collect(): UsedBuffer | undefined {
    this.open();
    if (this.usedNext === this.usedIndex) return undefined;
    const element = USED_ELEMENTS + (this.usedNext & this.mask) * 2;
    const id = this.rings.used32[element] as number;
    const written = this.rings.used32[element + 1] as number;
    this.usedNext = (this.usedNext + 1) & 0xffff;
    if (!this.descriptors.isLent(id)) throw badId(id);
    const room = this.descriptors.release(id);
    this.lent--;
    if (written > room) throw badLength(id, written, room);
    return { id, written };
  }

  /** Asks the device not to notify. A hint: notifications may still come. */
  disableNotifications(): void {
    this.open();
    if (!this.eventIndex) Atomics.store(this.rings.avail, RING_FLAGS, RING_F_SILENT);
  }

  /**
   * Asks the device to notify for the next chain it is done with, then looks whether one came back meanwhile: one
   * atomic store, then one atomic load (virtio 1.3, 2.7.7.1 and 2.7.14).
   *
   * @returns true where chains wait already; no notification will come for those
   * @throws QueueError `used-index`
   */
  enableNotifications(): boolean {
    this.open();
    const { rings } = this;
    if (this.eventIndex) Atomics.store(rings.avail, rings.usedEvent, this.usedNext);
    else Atomics.store(rings.avail, RING_FLAGS, 0);
    return this.take(Atomics.load(rings.used16, RING_INDEX)) > 0;
  }

  /** Ends the use of the rings. Every other call then throws `closed`. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.descriptors.close();
    this.rings.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private take(index: number): number {
    const waiting = (index - this.usedNext) & 0xffff;
    if (waiting > this.lent) throw badIndex(waiting, this.lent);
    this.usedIndex = index;
    return waiting;
  }

  private open(): void {
    if (this.isClosed) throw new QueueError('closed', 'Cannot use the queue: it is closed');
  }
}

function checkBuffers(out: readonly GuestBuffer[], into: readonly GuestBuffer[]): void {
  let total = 0;
  for (const list of [out, into]) {
    for (const { gpa, length } of list) {
      if (!isGpa(gpa) || length >>> 0 !== length || length > Number.MAX_SAFE_INTEGER - gpa) {
        throw new QueueError(
          'invalid',
          `Cannot add a buffer: current value ${length} bytes at ${gpa}, wanted a gpa and a u32`,
        );
      }
      total += length;
    }
  }
  if (out.length + into.length === 0)
    throw new QueueError('invalid', 'Cannot add a chain: it has no buffers');
  if (total > 2 ** 32) {
    throw new QueueError(
      'too-many-bytes',
      `Cannot add a chain: current length ${total}, wanted at most 2^32`,
      {
        value: total,
        limit: 2 ** 32,
      },
    );
  }
}

function badIndex(waiting: number, lent: number): QueueError {
  return new QueueError(
    'used-index',
    `Cannot collect: the device claims ${waiting} chains are done, wanted at most ${lent}`,
    { value: waiting, limit: lent },
  );
}

function badId(id: number): QueueError {
  return new QueueError('used-id', `Cannot collect: chain ${id} is not with the device`, { value: id });
}

function badLength(id: number, written: number, room: number): QueueError {
  return new QueueError(
    'used-length',
    `Cannot collect chain ${id}: the device claims ${written} bytes, wanted at most ${room}`,
    { head: id, value: written, limit: room },
  );
}
