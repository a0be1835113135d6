import { GuestMemory, heap } from 'guestmem';
import type { BenchCase, Budget, Measurement } from '../harness/measurement.ts';
import { type Page, pollute } from '../harness/pollute.ts';

const START = 0x1_0000_0000;
const SIZE = 64 * 1024 * 1024;
/** One page a call, so that the first-level cache serves both sides. */
const BYTES = 4096;

type Loop = (memory: GuestMemory, gpa: number) => () => number;
type RawLoop = (words: Uint32Array) => () => number;

const readU32: Loop = (memory, gpa) => () => {
  let sum = 0;
  for (let at = 0; at < BYTES; at += 4) sum = (sum + memory.readU32(gpa + at)) | 0;
  return sum;
};

const rawReadU32: RawLoop = (words) => () => {
  let sum = 0;
  for (let i = 0; i < BYTES / 4; i++) sum = (sum + (words[i] as number)) | 0;
  return sum;
};

const writeU32: Loop = (memory, gpa) => () => {
  for (let at = 0; at < BYTES; at += 4) memory.writeU32(gpa + at, at);
  return memory.readU32(gpa + BYTES - 4);
};

const rawWriteU32: RawLoop = (words) => () => {
  for (let at = 0; at < BYTES; at += 4) words[at / 4] = at;
  return words[BYTES / 4 - 1] as number;
};

const readU64: Loop = (memory, gpa) => {
  const halves = new Uint32Array(2);
  return () => {
    let sum = 0;
    for (let at = 0; at < BYTES; at += 8) {
      memory.readU64Into(gpa + at, halves);
      sum = (sum + (halves[0] as number) + (halves[1] as number)) | 0;
    }
    return sum;
  };
};

const rawReadU64: RawLoop = (words) => () => {
  let sum = 0;
  for (let i = 0; i < BYTES / 4; i += 2) sum = (sum + (words[i] as number) + (words[i + 1] as number)) | 0;
  return sum;
};

const writeU64: Loop = (memory, gpa) => () => {
  for (let at = 0; at < BYTES; at += 8) memory.writeU64Halves(gpa + at, at, ~at);
  return memory.readU32(gpa + BYTES - 8);
};

const rawWriteU64: RawLoop = (words) => () => {
  for (let at = 0; at < BYTES; at += 8) {
    words[at / 4] = at;
    words[at / 4 + 1] = ~at;
  }
  return words[BYTES / 4 - 2] as number;
};

function measure(
  name: string,
  width: number,
  loop: Loop,
  rawLoop: RawLoop,
  writes: boolean,
  budget: Budget,
): Measurement {
  return {
    name,
    budget,
    prepare() {
      const memory = GuestMemory.fromRegions([{ start: START, backing: heap(SIZE) }]);
      const words = new Uint32Array(SIZE / 4);
      const pattern = Uint32Array.from({ length: BYTES / 4 }, (_, i) => i * 0x9e3779b1);
      memory.writeAt(START, new Uint8Array(pattern.buffer));
      words.set(pattern);
      pollute(({ memory: polluting, gpa, writable }: Page) => {
        if (writable || !writes) loop(polluting, gpa)();
      });
      return { operations: BYTES / width, ours: loop(memory, START), raw: rawLoop(words) };
    },
  };
}

const u32: Budget = { figure: 'ratio', atMost: 2 };
const u64: Budget = { figure: 'ratio', atMost: 4 };

const benchCase: BenchCase = {
  id: 'p1',
  title: 'Aligned scalar, one region above 4 GiB, polluted call sites',
  measurements: [
    measure('read u32', 4, readU32, rawReadU32, false, u32),
    measure('write u32', 4, writeU32, rawWriteU32, true, u32),
    measure('read u64 as halves', 8, readU64, rawReadU64, false, u64),
    measure('write u64 as halves', 8, writeU64, rawWriteU64, true, u64),
  ],
};

export default benchCase;
