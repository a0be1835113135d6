import { QueueError } from './queue-error.ts';

/** Where the three parts of a split queue lie in guest memory (virtio 1.3, 2.7). */
export interface SplitQueueLayout {
  /** Entries: a power of two from 1 to 32768. */
  readonly size: number;
  /** gpa of the descriptor table: a multiple of 16, `16 * size` bytes. */
  readonly descriptorTable: number;
  /** gpa of the available ring: a multiple of 2, `6 + 2 * size` bytes. */
  readonly availableRing: number;
  /** gpa of the used ring: a multiple of 4, `6 + 8 * size` bytes. */
  readonly usedRing: number;
}

/** A layout and the piece of guest memory that it takes. */
export interface SplitQueueSpace extends SplitQueueLayout {
  /** First address. */
  readonly start: number;
  /** One past the last address. */
  readonly end: number;
  /** gpa of the driver's indirect tables, one for each entry; `undefined` if none were asked for. */
  readonly indirectTables: number | undefined;
  /** Descriptors in each indirect table; 0 if none were asked for. */
  readonly indirectCapacity: number;
}

/** The largest queue: the highest power of two in 16 bits. */
export const MAX_QUEUE_SIZE = 32768;
/** Bytes in a descriptor: le64 addr, le32 len, le16 flags, le16 next. */
export const DESCRIPTOR_SIZE = 16;

/** Descriptor flag: the chain goes on at `next`. */
export const DESC_F_NEXT = 1;
/** Descriptor flag: the device writes this buffer. */
export const DESC_F_WRITE = 2;
/** Descriptor flag: the buffer is a table of descriptors. */
export const DESC_F_INDIRECT = 4;
/** Bit 0 of `flags` in both rings: "do not notify me". */
export const RING_F_SILENT = 1;

/** Bytes in a descriptor table. */
export function descriptorTableSize(size: number): number {
  return DESCRIPTOR_SIZE * size;
}

/** Bytes in an available ring, `used_event` included. */
export function availableRingSize(size: number): number {
  return 6 + 2 * size;
}

/** Bytes in a used ring, `avail_event` included. */
export function usedRingSize(size: number): number {
  return 6 + 8 * size;
}

/** Throws `queue-size` where `size` is not one that a split queue may have. */
export function checkQueueSize(size: number): void {
  // The order matters: `&` is only asked of what is known to be a small integer.
  if (!Number.isInteger(size) || size < 1 || size > MAX_QUEUE_SIZE || (size & (size - 1)) !== 0) {
    throw new QueueError(
      'queue-size',
      `Cannot make a queue: current size ${size}, wanted a power of two from 1 to ${MAX_QUEUE_SIZE}`,
      { value: size, limit: MAX_QUEUE_SIZE },
    );
  }
}

/**
 * Packs a split queue into guest memory from `start` on: descriptor table, available ring, used ring, and, if
 * asked for, an indirect table for each entry.
 *
 * @param start - gpa, a multiple of 16
 * @param size - entries: a power of two from 1 to 32768
 * @throws QueueError `queue-size`, `ring-misaligned`, or `invalid` for an indirect capacity that is not 0 to 65535
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { layoutSplitQueue } from 'guestmem/virtio';
 *
 * const space = layoutSplitQueue(0x1_0000_0000, 256);
 * assert.equal(space.availableRing, 0x1_0000_1000);
 * assert.equal(space.usedRing, 0x1_0000_1208);
 * assert.equal(space.end, 0x1_0000_1a10);
 * ```
 */
export function layoutSplitQueue(
  start: number,
  size: number,
  options: { readonly indirectCapacity?: number } = {},
): SplitQueueSpace {
  checkQueueSize(size);
  const indirectCapacity = options.indirectCapacity ?? 0;
  if (!Number.isInteger(indirectCapacity) || indirectCapacity < 0 || indirectCapacity > 0xffff) {
    throw new QueueError(
      'invalid',
      `Cannot lay out a queue: current indirect capacity ${indirectCapacity}, wanted 0 to 65535`,
    );
  }
  if (!Number.isSafeInteger(start) || start < 0 || start % DESCRIPTOR_SIZE !== 0) {
    throw new QueueError(
      'ring-misaligned',
      `Cannot lay out a queue: current start ${start}, wanted an address that is a multiple of 16`,
      { value: start, limit: DESCRIPTOR_SIZE },
    );
  }
  const availableRing = start + descriptorTableSize(size);
  const usedRing = alignUp(availableRing + availableRingSize(size), 4);
  const tables = alignUp(usedRing + usedRingSize(size), DESCRIPTOR_SIZE);
  return {
    size,
    descriptorTable: start,
    availableRing,
    usedRing,
    start,
    end: tables + size * indirectCapacity * DESCRIPTOR_SIZE,
    indirectTables: indirectCapacity === 0 ? undefined : tables,
    indirectCapacity,
  };
}

function alignUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}
