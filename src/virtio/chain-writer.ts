import type { Layout } from '../core/index.ts';
import { ChainCursor } from './chain-cursor.ts';
import { checkWindow } from './chain-reader.ts';
import { type ChainViews, takeViews } from './chain-views.ts';
import type { DescriptorChain } from './descriptor-chain.ts';

const word = new Uint8Array(8);
const wordView = new DataView(word.buffer);

/**
 * The device-writable bytes of a chain as one stream, however the driver cut them into descriptors. Every call moves
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
 * driver.add([], [{ gpa: 0x8000, length: 3 }, { gpa: 0x9000, length: 2 }]);
 * driver.publish();
 *
 * const chain = new DescriptorChain();
 * device.fetchAvailable();
 * assert(device.pop(chain));
 * const status = chain.writer.splitEnd(1);
 * chain.writer.writeU32(0xaabbccdd);
 * assert.equal(chain.writer.remaining, 0);
 * status.writeU8(7);
 * assert.deepEqual(memory.readBytes(0x8000, 3), new Uint8Array([0xdd, 0xcc, 0xbb]));
 * assert.deepEqual(memory.readBytes(0x9000, 2), new Uint8Array([0xaa, 7]));
 * ```
 */
export class ChainWriter {
  /** @internal */
  readonly cursor: ChainCursor;

  /** @internal */
  constructor(chain: DescriptorChain) {
    this.cursor = new ChainCursor(chain, 'write');
  }

  /** Bytes of room left. */
  get remaining(): number {
    return this.cursor.remaining;
  }

  /** Bytes written or skipped. */
  get written(): number {
    return this.cursor.passed;
  }

  /**
   * Stores `length` bytes of `src` from `srcOffset` on.
   *
   * @throws QueueError `chain-too-short`, or `invalid` where `src` does not have them
   */
  write(src: Uint8Array, srcOffset: number = 0, length: number = src.length - srcOffset): void {
    const { cursor } = this;
    cursor.require(length);
    checkWindow(src, srcOffset, length);
    const { memory } = cursor.chain;
    while (length > 0) {
      const piece = cursor.piece(length);
      memory.writeAt(cursor.gpa, src, srcOffset, piece);
      cursor.advance(piece);
      srcOffset += piece;
      length -= piece;
    }
  }

  /** Writes one byte. @throws QueueError `chain-too-short` */
  writeU8(value: number): void {
    wordView.setUint8(0, value);
    this.write(word, 0, 1);
  }

  /** Writes a little-endian u16. @throws QueueError `chain-too-short` */
  writeU16(value: number): void {
    wordView.setUint16(0, value, true);
    this.write(word, 0, 2);
  }

  /** Writes a little-endian u32. @throws QueueError `chain-too-short` */
  writeU32(value: number): void {
    wordView.setUint32(0, value, true);
    this.write(word, 0, 4);
  }

  /** Writes a little-endian u64. @throws QueueError `chain-too-short` */
  writeU64(value: bigint): void {
    wordView.setBigUint64(0, value, true);
    this.write(word, 0, 8);
  }

  /** Writes a value of any layout of the core. @throws QueueError `chain-too-short` */
  writePlain<T>(type: Layout<T>, value: T): void {
    const bytes = new Uint8Array(type.size);
    type.encode(new DataView(bytes.buffer), 0, value);
    this.write(bytes);
  }

  /** Writes one byte `length` times. @throws QueueError `chain-too-short` */
  fill(value: number, length: number): void {
    const { cursor } = this;
    cursor.require(length);
    const { memory } = cursor.chain;
    while (length > 0) {
      const piece = cursor.piece(length);
      memory.fillAt(cursor.gpa, value, piece);
      cursor.advance(piece);
      length -= piece;
    }
  }

  /** Moves over bytes without writing them. @throws QueueError `chain-too-short` */
  skip(length: number): void {
    this.cursor.skip(length);
  }

  /** Ends this writer after `at` more bytes; the result writes what followed. @throws QueueError `chain-too-short` */
  split(at: number): ChainWriter {
    const rest = new ChainWriter(this.cursor.chain);
    this.cursor.split(at, rest.cursor);
    return rest;
  }

  /** Ends this writer `length` bytes before its end; the result writes those. @throws QueueError `chain-too-short` */
  splitEnd(length: number): ChainWriter {
    this.cursor.require(length);
    return this.split(this.remaining - length);
  }

  /**
   * Takes the next `length` bytes as views over guest memory, for `readv`. They count as dirty until released.
   *
   * @throws QueueError `chain-too-short`; GuestMemoryError `unsupported` where the bytes are behind callbacks
   */
  views(length: number = this.remaining): ChainViews {
    return takeViews(this.cursor, length);
  }
}
