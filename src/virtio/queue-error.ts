/** What went wrong, as a value to switch on. The set is closed. */
export type QueueErrorCode =
  /** An argument of the caller is out of range. */
  | 'invalid'
  /** The queue was closed. */
  | 'closed'
  /** The queue size is not a power of two from 1 to 32768. */
  | 'queue-size'
  /** A part of the queue is not aligned to 16, 2 or 4 bytes, in the guest or on the host. */
  | 'ring-misaligned'
  /** A part of the queue is not one contiguous piece of mapped memory. */
  | 'ring-unmapped'
  /** The available index runs further ahead than there are descriptors. */
  | 'avail-index'
  /** A head or a next index is past the end of its table. */
  | 'descriptor-index'
  /** A descriptor's address is above 2^53-1. */
  | 'descriptor-address'
  /** A chain has more links than its table has descriptors, so it comes back to itself. */
  | 'chain-loop'
  /** A chain has more descriptors than allowed. */
  | 'chain-too-long'
  /** The lengths in a chain add up to more than allowed. */
  | 'too-many-bytes'
  /** A device-readable descriptor follows a device-writable one. */
  | 'readable-after-writable'
  /** A buffer is not wholly inside guest memory that allows the access. */
  | 'buffer-unmapped'
  /** An indirect descriptor, though the feature was not negotiated. */
  | 'indirect-not-negotiated'
  /** An indirect descriptor that also has a next one. */
  | 'indirect-and-next'
  /** An indirect descriptor inside an indirect table. */
  | 'indirect-in-indirect'
  /** The length of an indirect table is zero, not a multiple of 16, or more than the longest chain. */
  | 'indirect-length'
  /** An indirect table is not wholly inside guest memory. */
  | 'indirect-unmapped'
  /** A chain has fewer bytes than its device must read or write. */
  | 'chain-too-short'
  /** Driver side: there are not enough free descriptors. */
  | 'queue-full'
  /** Driver side: the used index runs further ahead than there are chains with the device. */
  | 'used-index'
  /** Driver side: a used element names a chain that is not with the device. */
  | 'used-id'
  /** Driver side: a used element claims more bytes than the chain has room for. */
  | 'used-length'
  /** Driver side: a block request came back with a status that is none. */
  | 'block-status';

const SECTIONS: Readonly<Record<QueueErrorCode, string>> = {
  invalid: '',
  closed: '',
  'queue-size': '2.7',
  'ring-misaligned': '2.7',
  'ring-unmapped': '2.7',
  'avail-index': '2.7.6',
  'descriptor-index': '2.7.5',
  'descriptor-address': '2.7.5',
  'chain-loop': '2.7.5.2',
  'chain-too-long': '2.7.5.3.1',
  'too-many-bytes': '2.7.5.2',
  'readable-after-writable': '2.7.4.2',
  'buffer-unmapped': '2.7.5',
  'indirect-not-negotiated': '2.7.5.3.1',
  'indirect-and-next': '2.7.5.3.1',
  'indirect-in-indirect': '2.7.5.3.1',
  'indirect-length': '2.7.5.3',
  'indirect-unmapped': '2.7.5.3',
  'chain-too-short': '2.7.4',
  'queue-full': '2.7.13.1',
  'used-index': '2.7.8',
  'used-id': '2.7.8',
  'used-length': '2.7.8.2',
  'block-status': '5.2.6',
};

/** The numbers of a failure. */
export interface QueueErrorFacts {
  /** Section of virtio 1.2 and 1.3 whose rule was broken, where it is not the usual one of the code. */
  readonly section?: string | undefined;
  /** Head of the chain; a device may return it with `push(head, 0)`. */
  readonly head?: number | undefined;
  /** Index of the descriptor, in the indirect table where there is one. */
  readonly descriptor?: number | undefined;
  /** What was found. */
  readonly value?: number | undefined;
  /** What it had to stay within. */
  readonly limit?: number | undefined;
  /** The GuestMemoryError behind it. */
  readonly cause?: unknown;
}

/**
 * The one error of this room: a literal `code`, the section of the virtio specification (1.2 and 1.3 number alike)
 * whose rule was broken, and the facts.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { isQueueError, SplitQueue } from 'guestmem/virtio';
 *
 * const memory = GuestMemory.allocate(0x1000);
 * try {
 *   new SplitQueue(memory, { size: 3, descriptorTable: 0, availableRing: 0x100, usedRing: 0x200 });
 * } catch (error) {
 *   assert(isQueueError(error));
 *   assert.equal(error.code, 'queue-size');
 *   assert.equal(error.section, '2.7');
 *   assert.equal(error.value, 3);
 * }
 * ```
 */
export class QueueError extends Error {
  override readonly name: 'QueueError' = 'QueueError';
  readonly code: QueueErrorCode;
  /** Section of virtio 1.2 and 1.3, such as `2.7.5.3.1`; empty where the caller, not the peer, is at fault. */
  readonly section: string;
  readonly head: number | undefined;
  readonly descriptor: number | undefined;
  readonly value: number | undefined;
  readonly limit: number | undefined;

  constructor(code: QueueErrorCode, reason: string, facts: QueueErrorFacts = {}) {
    const section = facts.section ?? SECTIONS[code];
    super(
      section === '' ? reason : `${reason} (virtio ${section})`,
      facts.cause === undefined ? undefined : { cause: facts.cause },
    );
    this.code = code;
    this.section = section;
    this.head = facts.head;
    this.descriptor = facts.descriptor;
    this.value = facts.value;
    this.limit = facts.limit;
  }
}

/**
 * Tells a {@link QueueError} from anything else, by its shape: an error of another copy of this package passes too.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { isQueueError, layoutSplitQueue } from 'guestmem/virtio';
 *
 * assert.throws(() => layoutSplitQueue(0x8, 16), isQueueError);
 * assert.equal(isQueueError(new Error('other')), false);
 * ```
 */
export function isQueueError(value: unknown): value is QueueError {
  return (
    value instanceof Error &&
    value.name === 'QueueError' &&
    'code' in value &&
    typeof value.code === 'string' &&
    value.code in SECTIONS
  );
}
