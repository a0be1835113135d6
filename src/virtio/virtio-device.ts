import { isQueueError } from './queue-error.ts';
import type { SplitQueue } from './split-queue.ts';

/**
 * A virtio device as every transport sees it: plugged in here, behind a register block, or over vhost-user, it is
 * the same object.
 */
export interface VirtioDevice {
  /** Device ID (virtio 1.3, section 5): 2 is a block device. */
  readonly deviceType: number;
  /** Features offered: the device's own and those of the ring. A transport adds what is its own. */
  readonly features: bigint;
  readonly queueCount: number;
  /** Bytes of configuration space. */
  readonly configSize: number;
  /** The longest chain that a driver may build by what the configuration space tells it. */
  readonly maxChainLength: number;
  /** True once a ring was found malformed beyond repair: DEVICE_NEEDS_RESET (virtio 1.3, 2.1). No queue is processed. */
  readonly needsReset: boolean;
  /**
   * Tells what was negotiated.
   *
   * @throws QueueError `invalid` where something was accepted that was not offered
   */
  acceptFeatures(features: bigint): void;
  /** Fills `dest` from the configuration space; what is past its end reads as zero. */
  readConfig(offset: number, dest: Uint8Array): void;
  /** A driver's write to the configuration space; what is not writable stays as it is. */
  writeConfig(offset: number, src: Uint8Array): void;
  /**
   * Works off chains that wait, one budget of them at most.
   *
   * Nothing that a guest did makes this throw.
   *
   * @returns true where the driver is to be notified
   */
  processQueue(index: number, queue: SplitQueue): boolean;
  /** A ring turned out to be malformed: reports it, and sets {@link VirtioDevice.needsReset}. */
  fail(index: number, error: unknown): void;
  /** Back to the state before {@link VirtioDevice.acceptFeatures}. */
  reset(): void;
}

/** What is left to do after a queue was serviced. */
export interface ServiceResult {
  /** Notify the driver. */
  readonly notify: boolean;
  /** Service the queue again soon: chains wait, and no kick will come for them. */
  readonly more: boolean;
}

/**
 * What to do on a kick, the same for every transport: ask for silence, work, and ask for the next kick in the one
 * order in which none is lost.
 *
 * Where the result says `more`, let others have their turn and call it again. A ring that the driver broke is the
 * device's to report; it throws nothing.
 *
 * @throws QueueError only for a queue that was closed
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { BlockDevice, BlockDriver, layoutSplitQueue, MemoryStorage, serviceQueue, SplitDriverQueue, SplitQueue } from 'guestmem/virtio';
 *
 * const memory = GuestMemory.allocate(0x10000);
 * const layout = layoutSplitQueue(0, 16);
 * const disk = new BlockDriver(memory, new SplitDriverQueue(memory, layout), 0x4000);
 * const device = new BlockDevice({ storage: new MemoryStorage(new Uint8Array(4096).fill(7)) });
 * const queue = new SplitQueue(memory, layout);
 *
 * const id = disk.read(1, [{ gpa: 0x8000, length: 512 }]);
 * disk.queue.publish();
 * assert.deepEqual(serviceQueue(device, 0, queue), { notify: true, more: false });
 * disk.queue.fetchUsed();
 * assert.deepEqual(disk.collect(), { id, status: 'ok', written: 513 });
 * assert.equal(memory.readU8(0x8000), 7);
 * ```
 */
export function serviceQueue(device: VirtioDevice, index: number, queue: SplitQueue): ServiceResult {
  if (device.needsReset) return { notify: false, more: false };
  let notify = false;
  let more = false;
  try {
    queue.disableNotifications();
    notify = device.processQueue(index, queue);
    more = !device.needsReset && queue.enableNotifications();
  } catch (error) {
    if (!isQueueError(error) || error.code === 'closed') throw error;
    device.fail(index, error);
  }
  return { notify, more };
}
