import type { GuestMemory, MemoryView } from '../core/index.ts';
import { QueueError } from './queue-error.ts';
import type { GuestBuffer, SplitDriverQueueOptions } from './split-driver-queue.ts';
import { DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE, DESCRIPTOR_SIZE } from './split-layout.ts';

/**
 * The driver's descriptors: which are free, which chain uses which, and how they are written into guest memory. The
 * links and lengths kept here are private; the table in guest memory is only ever written, for a hostile device
 * could have changed it.
 */
export class DriverDescriptors {
  /** Descriptors that are free. */
  free: number;
  private readonly size: number;
  private readonly table32: Uint32Array;
  private readonly indirectTables: number;
  private readonly indirectCapacity: number;
  private readonly indirect32: Uint32Array;
  private readonly indirectView: MemoryView | undefined;
  /** The next descriptor of the same chain, or of the free list. */
  private readonly links: Uint16Array;
  private firstFree: number;
  /** For the head of a chain: its last descriptor. */
  private readonly tails: Uint16Array;
  private readonly counts: Uint16Array;
  /** For the head of a chain: bytes that the device may write. */
  private readonly room: Float64Array;
  /** For the head of a chain: 1 once the device may have it. */
  private readonly lent: Uint8Array;
  /** Heads of chains that the device has not been shown yet. */
  private readonly added: Uint16Array;
  private addedCount: number;

  constructor(memory: GuestMemory, table32: Uint32Array, size: number, options: SplitDriverQueueOptions) {
    const { indirectTables, indirectCapacity = 0 } = options;
    this.size = size;
    this.table32 = table32;
    this.free = size;
    this.firstFree = 0;
    this.links = Uint16Array.from({ length: size }, (_, i) => i + 1);
    this.tails = new Uint16Array(size);
    this.counts = new Uint16Array(size);
    this.room = new Float64Array(size);
    this.lent = new Uint8Array(size);
    this.added = new Uint16Array(size);
    this.addedCount = 0;
    this.indirectTables = indirectTables ?? 0;
    this.indirectCapacity = indirectTables === undefined ? 0 : indirectCapacity;
    this.indirectView = undefined;
    this.indirect32 = new Uint32Array(0);
    if (this.indirectCapacity > 0) {
      const length = size * this.indirectCapacity * DESCRIPTOR_SIZE;
      this.indirectView = viewTables(memory, this.indirectTables, length);
      const { bytes } = this.indirectView;
      this.indirect32 = new Uint32Array(bytes.buffer, bytes.byteOffset, length / 4);
    }
  }

  /** Writes a chain into free descriptors; its head. */
  place(out: readonly GuestBuffer[], into: readonly GuestBuffer[], indirect: boolean): number {
    const count = out.length + into.length;
    const longest = indirect ? Math.min(this.indirectCapacity, this.size) : this.size;
    if (count > longest) {
      throw new QueueError(
        'chain-too-long',
        `Cannot add a chain: current length ${count}, wanted at most ${longest}`,
        {
          value: count,
          limit: longest,
        },
      );
    }
    const needed = indirect ? 1 : count;
    if (needed > this.free) {
      throw new QueueError(
        'queue-full',
        `Cannot add a chain: ${this.free} descriptors are free, wanted ${needed}`,
        {
          value: this.free,
          limit: needed,
        },
      );
    }
    const head = this.firstFree;
    const tail = indirect ? this.placeIndirect(head, out, into) : this.placeDirect(head, out, into);
    this.firstFree = this.links[tail] as number;
    this.free -= needed;
    this.tails[head] = tail;
    this.counts[head] = needed;
    this.added[this.addedCount++] = head;
    let room = 0;
    for (const { length } of into) room += length;
    this.room[head] = room;
    return head;
  }

  /** The chains placed since the last time are the device's from now on. */
  lend(): void {
    for (let i = 0; i < this.addedCount; i++) this.lent[this.added[i] as number] = 1;
    this.addedCount = 0;
  }

  /** True where `id` heads a chain that the device has. */
  isLent(id: number): boolean {
    return id < this.size && this.lent[id] === 1;
  }

  /** Frees the chain at `head`; the bytes that its device might have written. */
  release(head: number): number {
    const tail = this.tails[head] as number;
    this.lent[head] = 0;
    this.links[tail] = this.firstFree;
    this.firstFree = head;
    this.free += this.counts[head] as number;
    return this.room[head] as number;
  }

  close(): void {
    this.indirectView?.release();
  }

  private placeDirect(head: number, out: readonly GuestBuffer[], into: readonly GuestBuffer[]): number {
    const count = out.length + into.length;
    let index = head;
    let tail = head;
    for (let i = 0; i < count; i++) {
      const next = this.links[index] as number;
      const last = i === count - 1;
      writeDescriptor(this.table32, index, bufferAt(out, into, i), i >= out.length, last, next);
      tail = index;
      index = next;
    }
    return tail;
  }

  private placeIndirect(head: number, out: readonly GuestBuffer[], into: readonly GuestBuffer[]): number {
    const count = out.length + into.length;
    const first = head * this.indirectCapacity;
    for (let i = 0; i < count; i++) {
      writeDescriptor(
        this.indirect32,
        first + i,
        bufferAt(out, into, i),
        i >= out.length,
        i === count - 1,
        i + 1,
      );
    }
    const table = { gpa: this.indirectTables + first * DESCRIPTOR_SIZE, length: count * DESCRIPTOR_SIZE };
    writeDescriptor(this.table32, head, table, false, true, 0);
    this.table32[head * 4 + 3] = DESC_F_INDIRECT;
    return head;
  }
}

function bufferAt(out: readonly GuestBuffer[], into: readonly GuestBuffer[], i: number): GuestBuffer {
  return (i < out.length ? out[i] : into[i - out.length]) as GuestBuffer;
}

function writeDescriptor(
  table32: Uint32Array,
  index: number,
  buffer: GuestBuffer,
  writable: boolean,
  last: boolean,
  next: number,
): void {
  const word = index * 4;
  const high = Math.floor(buffer.gpa / 2 ** 32);
  table32[word] = buffer.gpa - high * 2 ** 32;
  table32[word + 1] = high;
  table32[word + 2] = buffer.length;
  const flags = (writable ? DESC_F_WRITE : 0) + (last ? 0 : DESC_F_NEXT);
  table32[word + 3] = flags + (last ? 0 : next * 0x1_0000);
}

function viewTables(memory: GuestMemory, gpa: number, length: number): MemoryView {
  if (gpa % DESCRIPTOR_SIZE !== 0) {
    throw new QueueError('ring-misaligned', `Cannot use indirect tables at ${gpa}: wanted a multiple of 16`, {
      value: gpa,
      limit: DESCRIPTOR_SIZE,
    });
  }
  try {
    return memory.view(gpa, length, 'write');
  } catch (cause) {
    throw new QueueError(
      'ring-unmapped',
      `Cannot use indirect tables: no contiguous memory for ${length} bytes at ${gpa}`,
      {
        value: gpa,
        limit: length,
        cause,
      },
    );
  }
}
