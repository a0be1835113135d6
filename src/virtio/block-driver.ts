import type { GuestMemory } from '../core/index.ts';
import {
  BLK_HEADER_SIZE,
  BLK_S_IOERR,
  BLK_S_OK,
  BLK_S_UNSUPP,
  BLK_T_FLUSH,
  BLK_T_GET_ID,
  BLK_T_IN,
  BLK_T_OUT,
} from './block-protocol.ts';
import { isQueueError, QueueError } from './queue-error.ts';
import type { GuestBuffer, SplitDriverQueue, UsedBuffer } from './split-driver-queue.ts';

/** How a block request ended, as its status byte says (virtio 1.3, 5.2.6). */
export type BlockStatus = 'ok' | 'ioerr' | 'unsupp';

/** A block request that the device is done with. */
export interface BlockCompletion {
  /** What `read`, `write`, `flush` or `getId` returned for it. */
  readonly id: number;
  readonly status: BlockStatus;
  /** Bytes that the device says it wrote, the status byte included. */
  readonly written: number;
}

/** Bytes of the request area for each request: the header, then the status byte. */
const SLOT_SIZE = 32;
/** No status of the specification: shows a request that the device returned without an answer. */
const UNANSWERED = 0xff;

/**
 * The guest's side of a block device: writes request headers, and reads status bytes, in a piece of guest memory of
 * its own. Requests reach the device with `queue.publish()`.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { BlockDevice, BlockDriver, layoutSplitQueue, MemoryStorage, serviceQueue, SplitDriverQueue, SplitQueue } from 'guestmem/virtio';
 *
 * const memory = GuestMemory.allocate(0x10000);
 * const layout = layoutSplitQueue(0, 16);
 * const driver = new BlockDriver(memory, new SplitDriverQueue(memory, layout), 0x4000);
 * const storage = new MemoryStorage(0x10000);
 * const device = new BlockDevice({ storage });
 * const queue = new SplitQueue(memory, layout);
 *
 * memory.fillAt(0x8000, 0x5a, 1024);
 * const id = driver.write(3, [{ gpa: 0x8000, length: 1024 }]);
 * driver.queue.publish();
 * serviceQueue(device, 0, queue);
 *
 * driver.queue.fetchUsed();
 * assert.deepEqual(driver.collect(), { id, status: 'ok', written: 1 });
 * assert.equal(storage.bytes[3 * 512], 0x5a);
 * ```
 */
export class BlockDriver {
  readonly queue: SplitDriverQueue;
  private readonly memory: GuestMemory;
  private readonly indirect: boolean;
  /** Addresses of slots that are free. */
  private readonly free: number[];
  /** Address of the slot of each request with the device, by id. */
  private readonly slots: Float64Array;

  /** Bytes of guest memory that the request area takes. */
  static requestAreaSize(queueSize: number): number {
    return queueSize * SLOT_SIZE;
  }

  /**
   * @param requestArea - gpa of {@link BlockDriver.requestAreaSize} bytes
   * @param options - `indirect`: each request takes one descriptor of the ring
   */
  constructor(
    memory: GuestMemory,
    queue: SplitDriverQueue,
    requestArea: number,
    options: { readonly indirect?: boolean } = {},
  ) {
    if (!memory.checkRange(requestArea, BlockDriver.requestAreaSize(queue.size), 'write')) {
      throw new QueueError(
        'invalid',
        `Cannot make a block driver: no memory for its requests at ${requestArea}`,
        {
          value: requestArea,
        },
      );
    }
    this.memory = memory;
    this.queue = queue;
    this.indirect = options.indirect ?? false;
    this.free = Array.from({ length: queue.size }, (_, i) => requestArea + i * SLOT_SIZE);
    this.slots = new Float64Array(queue.size);
  }

  /**
   * Reads sectors of 512 bytes from `sector` on into the buffers.
   *
   * @throws QueueError as {@link SplitDriverQueue.add}
   */
  read(sector: number, into: readonly GuestBuffer[]): number {
    return this.submit(BLK_T_IN, sector, [], into);
  }

  /**
   * Writes the buffers to the sectors of 512 bytes from `sector` on.
   *
   * @throws QueueError as {@link SplitDriverQueue.add}
   */
  write(sector: number, out: readonly GuestBuffer[]): number {
    return this.submit(BLK_T_OUT, sector, out, []);
  }

  /** Makes completed writes stable. @throws QueueError as {@link SplitDriverQueue.add} */
  flush(): number {
    return this.submit(BLK_T_FLUSH, 0, [], []);
  }

  /** Reads the device ID string, 20 bytes, into a buffer. @throws QueueError as {@link SplitDriverQueue.add} */
  getId(into: GuestBuffer): number {
    return this.submit(BLK_T_GET_ID, 0, [], [into]);
  }

  /**
   * Sends a request of any type.
   *
   * @throws QueueError as {@link SplitDriverQueue.add}
   */
  submit(type: number, sector: number, out: readonly GuestBuffer[], into: readonly GuestBuffer[]): number {
    const slot = this.free.at(-1);
    if (slot === undefined)
      throw new QueueError('queue-full', 'Cannot send a block request: all of them are in use');
    const { memory } = this;
    const high = Math.floor(sector / 2 ** 32);
    memory.writeU32(slot, type);
    memory.writeU32(slot + 4, 0);
    memory.writeU64Halves(slot + 8, sector - high * 2 ** 32, high);
    memory.writeU8(slot + BLK_HEADER_SIZE, UNANSWERED);
    const id = this.queue.add(
      [{ gpa: slot, length: BLK_HEADER_SIZE }, ...out],
      [...into, { gpa: slot + BLK_HEADER_SIZE, length: 1 }],
      { indirect: this.indirect },
    );
    this.free.pop();
    this.slots[id] = slot;
    return id;
  }

  /**
   * Takes the next of the requests that `queue.fetchUsed()` found done.
   *
   * @returns `undefined` where none of them is left
   * @throws QueueError `block-status` for a request that came back without a status; `used-id`, `used-length` as
   * {@link SplitDriverQueue.collect}
   */
  collect(): BlockCompletion | undefined {
    const used = this.collectUsed();
    if (used === undefined) return undefined;
    const slot = this.freeSlot(used.id);
    const byte = this.memory.readU8(slot + BLK_HEADER_SIZE);
    return { id: used.id, status: statusOf(byte, used.id), written: used.written };
  }

  private collectUsed(): UsedBuffer | undefined {
    try {
      return this.queue.collect();
    } catch (error) {
      // A chain that came back with a wrong length is free again, and so is its slot.
      if (isQueueError(error) && error.head !== undefined) this.freeSlot(error.head);
      throw error;
    }
  }

  private freeSlot(id: number): number {
    const slot = this.slots[id] as number;
    this.free.push(slot);
    return slot;
  }
}

function statusOf(byte: number, id: number): BlockStatus {
  switch (byte) {
    case BLK_S_OK:
      return 'ok';
    case BLK_S_IOERR:
      return 'ioerr';
    case BLK_S_UNSUPP:
      return 'unsupp';
    default:
      throw new QueueError(
        'block-status',
        `Cannot tell how block request ${id} ended: current status ${byte}, wanted 0 to 2`,
        {
          head: id,
          value: byte,
          limit: 2,
        },
      );
  }
}
