import { type Access, type GuestMemory, hex, type MemoryView } from '../core/index.ts';
import { QueueError } from './queue-error.ts';
import {
  availableRingSize,
  descriptorTableSize,
  type SplitQueueLayout,
  usedRingSize,
} from './split-layout.ts';

/** Index of `flags` in either ring, in 16-bit elements. */
export const RING_FLAGS = 0;
/** Index of `idx` in either ring, in 16-bit elements. */
export const RING_INDEX = 1;
/** Index of the first entry of the available ring, in 16-bit elements. */
export const AVAIL_ENTRIES = 2;
/** Index of the first element of the used ring, in 32-bit elements: id, then length. */
export const USED_ELEMENTS = 1;

/**
 * The three parts of a split queue, resolved once in one snapshot of the memory map to typed arrays that begin where
 * the part begins. Reading ring entries through addresses instead costs two and a half times as much for each chain
 * (measured with 16 chains a batch).
 *
 * The writable part is held as a writable view: it counts as dirty until it is released, so that stores through
 * these arrays need no mark each.
 */
export class SplitRings {
  readonly memory: GuestMemory;
  readonly layout: SplitQueueLayout;
  /** The descriptor table by words: address low, address high, length, flags and next. */
  readonly table32: Uint32Array;
  /** The same table by 64 bits: an address is fetched whole. */
  readonly table64: BigUint64Array;
  /** The available ring: flags, idx, entries, used_event. */
  readonly avail: Uint16Array;
  /** Index of `used_event` in `avail`. */
  readonly usedEvent: number;
  /** The used ring by 16 bits: flags, idx, elements, avail_event. */
  readonly used16: Uint16Array;
  /** Index of `avail_event` in `used16`. */
  readonly availEvent: number;
  /** The used ring by 32 bits. */
  readonly used32: Uint32Array;
  private readonly views: readonly MemoryView[];

  /**
   * @param side - whose rings they are: the device writes the used ring, the driver the two others
   * @throws QueueError `ring-misaligned`, `ring-unmapped`
   */
  constructor(memory: GuestMemory, layout: SplitQueueLayout, side: 'device' | 'driver') {
    const { size } = layout;
    const driverWrites: Access = side === 'driver' ? 'write' : 'read';
    const deviceWrites: Access = side === 'device' ? 'write' : 'read';
    const views: MemoryView[] = [];
    const resolve = (
      part: string,
      gpa: number,
      length: number,
      align: number,
      access: Access,
    ): Uint8Array => {
      checkAlignment(part, gpa, align);
      const view = viewOf(memory, part, gpa, length, access);
      views.push(view);
      // A translator may put an aligned address at an unaligned place on the host, where no element view fits.
      checkAlignment(`${part} on the host`, view.bytes.byteOffset, align === 16 ? 8 : align);
      return view.bytes;
    };
    try {
      const table = resolve(
        'descriptor table',
        layout.descriptorTable,
        descriptorTableSize(size),
        16,
        driverWrites,
      );
      const avail = resolve('available ring', layout.availableRing, availableRingSize(size), 2, driverWrites);
      const used = resolve('used ring', layout.usedRing, usedRingSize(size), 4, deviceWrites);
      this.table32 = new Uint32Array(table.buffer, table.byteOffset, size * 4);
      this.table64 = new BigUint64Array(table.buffer, table.byteOffset, size * 2);
      this.avail = new Uint16Array(avail.buffer, avail.byteOffset, AVAIL_ENTRIES + size + 1);
      this.used16 = new Uint16Array(used.buffer, used.byteOffset, 2 + 4 * size + 1);
      this.used32 = new Uint32Array(used.buffer, used.byteOffset, USED_ELEMENTS + 2 * size);
    } catch (error) {
      for (const view of views) view.release();
      throw error;
    }
    this.usedEvent = AVAIL_ENTRIES + size;
    this.availEvent = 2 + 4 * size;
    this.memory = memory;
    this.layout = layout;
    this.views = views;
  }

  /**
   * True while the arrays are the memory they were resolved to: a private WebAssembly.Memory that grew has detached
   * them, and a backing that was closed has put other pages in their place.
   */
  get intact(): boolean {
    const { size, descriptorTable, availableRing, usedRing } = this.layout;
    return (
      this.avail.length !== 0 &&
      this.used16.length !== 0 &&
      this.table32.length !== 0 &&
      this.memory.checkRange(descriptorTable, descriptorTableSize(size)) &&
      this.memory.checkRange(availableRing, availableRingSize(size)) &&
      this.memory.checkRange(usedRing, usedRingSize(size))
    );
  }

  /** Gives the views back; the arrays are not to be used any more. */
  release(): void {
    for (const view of this.views) view.release();
  }
}

function checkAlignment(part: string, address: number, align: number): void {
  if (!Number.isSafeInteger(address) || address < 0 || address % align !== 0) {
    throw new QueueError(
      'ring-misaligned',
      `Cannot use the queue: current ${part} at ${hex(address)}, wanted a multiple of ${align}`,
      { value: address, limit: align },
    );
  }
}

function viewOf(memory: GuestMemory, part: string, gpa: number, length: number, access: Access): MemoryView {
  try {
    return memory.view(gpa, length, access);
  } catch (cause) {
    throw new QueueError(
      'ring-unmapped',
      `Cannot use the queue: no contiguous memory for the ${length} bytes of the ${part} at ${hex(gpa)}`,
      { value: gpa, limit: length, cause },
    );
  }
}
