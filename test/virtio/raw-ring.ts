import { GuestMemory } from '../../src/core/index.ts';
import {
  DescriptorChain,
  layoutSplitQueue,
  SplitQueue,
  type SplitQueueOptions,
  type SplitQueueSpace,
} from '../../src/virtio/index.ts';

export const NEXT = 1;
export const WRITE = 2;
export const INDIRECT = 4;

/** One descriptor, as a driver that keeps to no rule may write it. */
export interface RawDescriptor {
  readonly addr?: number | bigint;
  readonly len?: number;
  readonly flags?: number;
  readonly next?: number;
}

export interface RawRingOptions extends SplitQueueOptions {
  readonly size?: number;
  readonly start?: number;
  readonly memory?: GuestMemory;
}

/** A ring whose driver side is written byte by byte, so that every rule can be broken. */
export class RawRing {
  readonly memory: GuestMemory;
  readonly layout: SplitQueueSpace;
  readonly queue: SplitQueue;
  readonly chain: DescriptorChain = new DescriptorChain(1);
  availIndex: number;

  constructor(options: RawRingOptions = {}) {
    this.memory = options.memory ?? GuestMemory.allocate(0x10_0000, { name: 'test' });
    this.layout = layoutSplitQueue(options.start ?? 0, options.size ?? 16);
    this.availIndex = options.nextAvail ?? 0;
    this.memory.writeU16(this.layout.availableRing + 2, this.availIndex);
    this.queue = new SplitQueue(this.memory, this.layout, options);
  }

  /** Writes descriptor `index` of the table at `table`. */
  describe(index: number, descriptor: RawDescriptor, table: number = this.layout.descriptorTable): void {
    const at = table + index * 16;
    this.memory.writeU64(at, BigInt(descriptor.addr ?? 0x8000));
    this.memory.writeU32(at + 8, descriptor.len ?? 0x100);
    this.memory.writeU16(at + 12, descriptor.flags ?? 0);
    this.memory.writeU16(at + 14, descriptor.next ?? 0);
  }

  /** Writes descriptors 0, 1, 2 ... each linked to the one after it. */
  describeChain(descriptors: readonly RawDescriptor[], table?: number): void {
    descriptors.forEach((descriptor, i) => {
      const link = i + 1 < descriptors.length ? NEXT : 0;
      this.describe(i, { ...descriptor, flags: (descriptor.flags ?? 0) | link, next: i + 1 }, table);
    });
  }

  /** Puts a head into the available ring, and shows it to the device. */
  offer(head: number): void {
    this.memory.writeU16(this.layout.availableRing + 4 + (this.availIndex % this.layout.size) * 2, head);
    this.availIndex = (this.availIndex + 1) & 0xffff;
    this.memory.writeU16(this.layout.availableRing + 2, this.availIndex);
  }

  /** One chain offered and popped. */
  take(head: number): DescriptorChain {
    this.offer(head);
    this.queue.fetchAvailable();
    if (!this.queue.pop(this.chain)) throw new Error('The queue had no chain');
    return this.chain;
  }

  get usedIndex(): number {
    return this.memory.readU16(this.layout.usedRing + 2);
  }

  usedElement(position: number): { id: number; length: number } {
    const at = this.layout.usedRing + 4 + (position % this.layout.size) * 8;
    return { id: this.memory.readU32(at), length: this.memory.readU32(at + 4) };
  }

  get usedFlags(): number {
    return this.memory.readU16(this.layout.usedRing);
  }

  get availEvent(): number {
    return this.memory.readU16(this.layout.usedRing + 4 + 8 * this.layout.size);
  }

  setAvailFlags(flags: number): void {
    this.memory.writeU16(this.layout.availableRing, flags);
  }

  setUsedEvent(event: number): void {
    this.memory.writeU16(this.layout.availableRing + 4 + 2 * this.layout.size, event);
  }
}
