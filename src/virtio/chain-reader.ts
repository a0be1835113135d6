import type { Layout } from '../core/index.ts';
import { ChainCursor } from './chain-cursor.ts';
import { type ChainViews, takeViews } from './chain-views.ts';
import type { DescriptorChain } from './descriptor-chain.ts';
import { QueueError } from './queue-error.ts';

const word = new Uint8Array(8);
const wordView = new DataView(word.buffer);

/**
 * The device-readable bytes of a chain as one stream, however the driver cut them into descriptors. Every call moves
 * exactly what it names or throws `chain-too-short` and moves nothing.
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
 * memory.writeU32(0x8000, 0x12345678);
 * // One 32-bit number in two descriptors.
 * driver.add([{ gpa: 0x8000, length: 1 }, { gpa: 0x8001, length: 3 }], []);
 * driver.publish();
 *
 * const chain = new DescriptorChain();
 * device.fetchAvailable();
 * assert(device.pop(chain));
 * assert.equal(chain.reader.readU32(), 0x12345678);
 * assert.throws(() => chain.reader.readU8(), { code: 'chain-too-short' });
 * ```
 */
export class ChainReader {
  /** @internal */
  readonly cursor: ChainCursor;

  /** @internal */
  constructor(chain: DescriptorChain) {
    this.cursor = new ChainCursor(chain, 'read');
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.cursor.remaining;
  }

  /** Bytes read or skipped. */
  get consumed(): number {
    return this.cursor.passed;
  }

  /**
   * Fills `length` bytes of `dest` from `destOffset` on.
   *
   * @throws QueueError `chain-too-short`, or `invalid` where `dest` has no room for them
   */
  read(dest: Uint8Array, destOffset: number = 0, length: number = dest.length - destOffset): void {
    const { cursor } = this;
    cursor.require(length);
    checkWindow(dest, destOffset, length);
    const { memory } = cursor.chain;
    while (length > 0) {
      const piece = cursor.piece(length);
      memory.readAt(cursor.gpa, dest, destOffset, piece);
      cursor.advance(piece);
      destOffset += piece;
      length -= piece;
    }
  }

  /** Reads one byte. @throws QueueError `chain-too-short` */
  readU8(): number {
    this.read(word, 0, 1);
    return wordView.getUint8(0);
  }

  /** Reads a little-endian u16. @throws QueueError `chain-too-short` */
  readU16(): number {
    this.read(word, 0, 2);
    return wordView.getUint16(0, true);
  }

  /** Reads a little-endian u32. @throws QueueError `chain-too-short` */
  readU32(): number {
    this.read(word, 0, 4);
    return wordView.getUint32(0, true);
  }

  /** Reads a little-endian u64. @throws QueueError `chain-too-short` */
  readU64(): bigint {
    this.read(word, 0, 8);
    return wordView.getBigUint64(0, true);
  }

  /** Reads a value of any layout of the core. @throws QueueError `chain-too-short` */
  readPlain<T>(type: Layout<T>): T {
    const bytes = new Uint8Array(type.size);
    this.read(bytes);
    return type.decode(new DataView(bytes.buffer), 0);
  }

  /** Moves over bytes without reading them. @throws QueueError `chain-too-short` */
  skip(length: number): void {
    this.cursor.skip(length);
  }

  /** Ends this reader after `at` more bytes; the result reads what followed. @throws QueueError `chain-too-short` */
  split(at: number): ChainReader {
    const rest = new ChainReader(this.cursor.chain);
    this.cursor.split(at, rest.cursor);
    return rest;
  }

  /** Ends this reader `length` bytes before its end; the result reads those. @throws QueueError `chain-too-short` */
  splitEnd(length: number): ChainReader {
    this.cursor.require(length);
    return this.split(this.remaining - length);
  }

  /**
   * Takes the next `length` bytes as views over guest memory, for `writev`. Release them when the request is done.
   *
   * @throws QueueError `chain-too-short`; GuestMemoryError `unsupported` where the bytes are behind callbacks
   */
  views(length: number = this.remaining): ChainViews {
    return takeViews(this.cursor, length);
  }
}

/** Throws `invalid` unless `[offset, offset + length)` is inside `bytes`. */
export function checkWindow(bytes: Uint8Array, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0 || length > bytes.length - offset) {
    throw new QueueError(
      'invalid',
      `Cannot use ${length} bytes at ${offset} of a buffer: it has ${bytes.length} bytes`,
    );
  }
}
