import { compare, GuestMemory, isZero } from 'guestmem';
import type { BenchCase, Budget } from '../harness/measurement.ts';

const START = 0x1_0000_0000;
const SIZE = 0x4000_0000;
/** What one call looks at: a short one, so that other programs rarely come between. The next call takes what follows. */
const STEP = 0x80_0000;

const budget: Budget = { figure: 'GB/s', atLeast: 15 };

/** A gibibyte of shared memory, every page of it there. */
function zeroed(): GuestMemory {
  const memory = GuestMemory.fromRanges([[START, SIZE]], { shared: true });
  memory.fillAt(START, 1, SIZE);
  memory.fillAt(START, 0, SIZE);
  return memory;
}

/** Goes through `length` bytes, a step a call, and begins again at the end: nothing of it is still in a cache then. */
function inSteps(length: number, look: (at: number) => number): () => number {
  let at = 0;
  return () => {
    const answer = look(at);
    at = (at + STEP) % length;
    return answer;
  };
}

const benchCase: BenchCase = {
  id: 'p11',
  title: 'A look at every byte of 1 GiB of shared memory',
  measurements: [
    {
      name: 'zero-test of 1 GiB, shared, per 8 MiB',
      budget,
      prepare() {
        const memory = zeroed();
        const ours = inSteps(SIZE, (at) => Number(isZero(memory, START + at, STEP)));
        return { operations: 1, bytes: STEP, ours };
      },
    },
    {
      name: 'compare 512 MiB with 512 MiB, shared, per 8 MiB',
      budget,
      prepare() {
        const memory = zeroed();
        const half = SIZE / 2;
        const ours = inSteps(half, (at) => compare(memory, START + at, memory, START + half + at, STEP));
        // A step of each half.
        return { operations: 1, bytes: 2 * STEP, ours };
      },
    },
  ],
};

export default benchCase;
