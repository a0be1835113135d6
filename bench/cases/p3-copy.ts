import { bytes, GuestMemory, heap, type MemoryBacking, shared } from 'guestmem';
import type { BenchCase, Budget, Measurement } from '../harness/measurement.ts';
import { pollute } from '../harness/pollute.ts';

const START = 0x1_0000_0000;
const BLOCK = 4096;
const BLOCKS = 8;

type Loop = (memory: GuestMemory, gpa: number, blocks: number) => () => number;

const read: Loop = (memory, gpa, blocks) => {
  const dest = new Uint8Array(BLOCK);
  return () => {
    let sum = 0;
    for (let block = 0; block < blocks; block++) {
      memory.readAt(gpa + block * BLOCK, dest);
      sum = (sum + (dest[block] as number)) | 0;
    }
    return sum;
  };
};

const write: Loop = (memory, gpa, blocks) => {
  const src = Uint8Array.from({ length: BLOCK }, (_, i) => i * 7);
  return () => {
    for (let block = 0; block < blocks; block++) memory.writeAt(gpa + block * BLOCK, src);
    return memory.readU8(gpa + blocks * BLOCK - 1);
  };
};

/** The reference is always a copy between two private buffers. */
const rawRead = (view: Uint8Array): (() => number) => {
  const dest = new Uint8Array(BLOCK);
  return () => {
    let sum = 0;
    for (let block = 0; block < BLOCKS; block++) {
      dest.set(view.subarray(block * BLOCK, (block + 1) * BLOCK));
      sum = (sum + (dest[block] as number)) | 0;
    }
    return sum;
  };
};

const rawWrite = (view: Uint8Array): (() => number) => {
  const src = Uint8Array.from({ length: BLOCK }, (_, i) => i * 7);
  return () => {
    for (let block = 0; block < BLOCKS; block++) view.subarray(block * BLOCK, (block + 1) * BLOCK).set(src);
    return view[BLOCKS * BLOCK - 1] as number;
  };
};

function measure(name: string, backing: () => MemoryBacking, writes: boolean, budget?: Budget): Measurement {
  return {
    name,
    ...(budget === undefined ? {} : { budget }),
    prepare() {
      pollute();
      const memory = GuestMemory.fromRegions([{ start: START, backing: backing() }]);
      const view = Uint8Array.from({ length: BLOCKS * BLOCK }, (_, i) => i * 13);
      memory.writeAt(START, view);
      const loop = writes ? write : read;
      return {
        operations: BLOCKS,
        bytes: BLOCK,
        ours: loop(memory, START, BLOCKS),
        raw: (writes ? rawWrite : rawRead)(view),
      };
    },
  };
}

const SIZE = BLOCKS * BLOCK;
const sharedView = (): MemoryBacking => bytes(new Uint8Array(new SharedArrayBuffer(SIZE)));
const privateBudget: Budget = { figure: 'ratio', atMost: 1.3 };
const sharedBudget: Budget = { figure: 'ratio', atMost: 1.5, onNode20: 2.2 };

const benchCase: BenchCase = {
  id: 'p3',
  title: '4 KiB copies, beside set(subarray) between private buffers',
  measurements: [
    measure('read 4 KiB, private', () => heap(SIZE), false, privateBudget),
    measure('write 4 KiB, private', () => heap(SIZE), true, privateBudget),
    measure('read 4 KiB, shared', () => shared(SIZE), false, sharedBudget),
    measure('write 4 KiB, shared', () => shared(SIZE), true, sharedBudget),
    measure('read 4 KiB, shared, not allocated by us', sharedView, false, sharedBudget),
    measure('write 4 KiB, shared, not allocated by us', sharedView, true, sharedBudget),
  ],
};

export default benchCase;
