import { GuestMemory } from '../core/index.ts';
import { ChainReader } from './chain-reader.ts';
import { ChainWriter } from './chain-writer.ts';
import { QueueError } from './queue-error.ts';

const DEFAULT_CAPACITY = 64;

/**
 * One descriptor chain as the device sees it: checked, flattened out of its tables, and private. What the driver
 * does to the descriptors afterwards changes nothing here.
 *
 * It is made once and filled by each {@link SplitQueue.pop}, for an object per chain would double the cost of a
 * small request. A device needs as many of them as it has requests in flight. Readers, writers and split parts
 * belong to the chain that was popped last; views keep what they show until they are released.
 *
 * Segments `[0, readableCount)` are for the device to read, `[readableCount, count)` for it to write; each lies
 * wholly in {@link DescriptorChain.memory} and allows that access.
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
 * driver.add([{ gpa: 0x8000, length: 16 }], [{ gpa: 0x9000, length: 512 }, { gpa: 0xa000, length: 1 }]);
 * driver.publish();
 *
 * const chain = new DescriptorChain();
 * assert.equal(device.fetchAvailable(), 1);
 * assert(device.pop(chain));
 * assert.equal(chain.readableBytes, 16);
 * assert.equal(chain.writableBytes, 513);
 * assert.equal(chain.address(1), 0x9000);
 * ```
 */
export class DescriptorChain {
  /** Index of the first descriptor: what `push` gives back. */
  head: number;
  /** Segments in the chain. */
  count: number;
  /** Segments that the device reads; the others it writes. */
  readableCount: number;
  /** Bytes that the device may read. */
  readableBytes: number;
  /** Bytes that the device may write. */
  writableBytes: number;
  /** The snapshot of the memory map that the segments were checked against. */
  memory: GuestMemory;
  /** The readable bytes as one stream, rewound by each `pop`. */
  readonly reader: ChainReader;
  /** The writable bytes as one stream, rewound by each `pop`. */
  readonly writer: ChainWriter;
  private addresses: Float64Array;
  private lengths: Uint32Array;

  /** @param capacity - segments to make room for; it grows by itself */
  constructor(capacity: number = DEFAULT_CAPACITY) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > 0xffff) {
      throw new QueueError('invalid', `Cannot make a chain: current capacity ${capacity}, wanted 1 to 65535`);
    }
    this.head = 0;
    this.count = 0;
    this.readableCount = 0;
    this.readableBytes = 0;
    this.writableBytes = 0;
    this.memory = GuestMemory.empty();
    this.addresses = new Float64Array(capacity);
    this.lengths = new Uint32Array(capacity);
    this.reader = new ChainReader(this);
    this.writer = new ChainWriter(this);
  }

  /** gpa of a segment. */
  address(segment: number): number {
    if (segment >= 0 && segment < this.count) return this.addresses[segment] as number;
    throw noSegment(this, segment);
  }

  /** Length of a segment in bytes; it can be 0. */
  length(segment: number): number {
    if (segment >= 0 && segment < this.count) return this.lengths[segment] as number;
    throw noSegment(this, segment);
  }

  /** Forgets the chain before. @internal */
  begin(memory: GuestMemory, head: number): void {
    this.memory = memory;
    this.head = head;
    this.count = 0;
    this.readableCount = 0;
    this.readableBytes = 0;
    this.writableBytes = 0;
    // Streams of a chain that turns out to be malformed have nothing, rather than what the one before had.
    this.rewind();
  }

  /** Adds a segment, which the caller has checked. @internal */
  append(gpa: number, length: number, writable: boolean): void {
    const segment = this.count;
    if (segment === this.lengths.length) this.grow();
    this.addresses[segment] = gpa;
    this.lengths[segment] = length;
    this.count = segment + 1;
    if (writable) this.writableBytes += length;
    else {
      this.readableBytes += length;
      this.readableCount = segment + 1;
    }
  }

  /** Puts both streams at their beginning. @internal */
  rewind(): void {
    this.reader.cursor.rewind(0, this.readableBytes);
    this.writer.cursor.rewind(this.readableCount, this.writableBytes);
  }

  private grow(): void {
    const addresses = new Float64Array(this.addresses.length * 2);
    const lengths = new Uint32Array(this.lengths.length * 2);
    addresses.set(this.addresses);
    lengths.set(this.lengths);
    this.addresses = addresses;
    this.lengths = lengths;
  }
}

function noSegment(chain: DescriptorChain, segment: number): QueueError {
  return new QueueError('invalid', `Cannot read segment ${segment} of a chain: it has ${chain.count}`, {
    value: segment,
    limit: chain.count,
  });
}
