import { GuestMemory, heap } from 'guestmem';
import type { BenchCase, Measurement } from '../harness/measurement.ts';
import { pollute } from '../harness/pollute.ts';

const START = 0x1_0000_0000;
const SIZE = 64 * 1024 * 1024;
/** One page a call, so that the first-level cache serves both sides. */
const BYTES = 4096;

type Loop = (memory: GuestMemory, gpa: number) => () => number;
/** Takes byte addresses too, as every emulator does on its one big array. */
type RawLoop = (words: Uint32Array) => () => number;

const readU32: Loop = (memory, gpa) => () => {
  let sum = 0;
  for (let at = 0; at < BYTES; at += 4) sum = (sum + memory.readU32(gpa + at)) | 0;
  return sum;
};

const rawReadU32: RawLoop = (words) => () => {
  let sum = 0;
  for (let at = 0; at < BYTES; at += 4) sum = (sum + (words[at >>> 2] as number)) | 0;
  return sum;
};

const writeU32: Loop = (memory, gpa) => () => {
  for (let at = 0; at < BYTES; at += 4) memory.writeU32(gpa + at, at);
  return memory.readU32(gpa + BYTES - 4);
};

const rawWriteU32: RawLoop = (words) => () => {
  for (let at = 0; at < BYTES; at += 4) words[at >>> 2] = at;
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
  for (let at = 0; at < BYTES; at += 8) {
    sum = (sum + (words[at >>> 2] as number) + (words[(at >>> 2) + 1] as number)) | 0;
  }
  return sum;
};

const writeU64: Loop = (memory, gpa) => () => {
  for (let at = 0; at < BYTES; at += 8) memory.writeU64Halves(gpa + at, at, ~at);
  return memory.readU32(gpa + BYTES - 8);
};

const rawWriteU64: RawLoop = (words) => () => {
  for (let at = 0; at < BYTES; at += 8) {
    words[at >>> 2] = at;
    words[(at >>> 2) + 1] = ~at;
  }
  return words[BYTES / 4 - 2] as number;
};

interface Access {
  readonly name: string;
  readonly width: number;
  readonly loop: Loop;
  readonly rawLoop: RawLoop;
  readonly writes: boolean;
  readonly atMost: number;
}

const ACCESSES: readonly Access[] = [
  { name: 'read u32', width: 4, loop: readU32, rawLoop: rawReadU32, writes: false, atMost: 2 },
  { name: 'write u32', width: 4, loop: writeU32, rawLoop: rawWriteU32, writes: true, atMost: 2 },
  { name: 'read u64 as halves', width: 8, loop: readU64, rawLoop: rawReadU64, writes: false, atMost: 4 },
  { name: 'write u64 as halves', width: 8, loop: writeU64, rawLoop: rawWriteU64, writes: true, atMost: 4 },
];

/** The code of the library has seen every kind of page; the loop that is measured always has the same memory. */
function oneMemory({ name, width, loop, rawLoop, atMost }: Access): Measurement {
  return {
    name,
    budget: { figure: 'ratio', atMost },
    prepare() {
      pollute();
      const { memory, words } = subject();
      return { operations: BYTES / width, ours: loop(memory, START), raw: rawLoop(words) };
    },
  };
}

/** The loop too has seen every kind of page, and the raw loop other arrays: nothing is a constant to the compiler. */
function anyMemory({ name, width, loop, rawLoop, writes }: Access): Measurement {
  return {
    name: `${name}, the loop has seen every kind too`,
    prepare() {
      pollute(({ memory, gpa, writable }) => {
        if (writable || !writes) loop(memory, gpa)();
      });
      const others = [new Uint32Array(BYTES), new Uint32Array(new SharedArrayBuffer(BYTES))].map(rawLoop);
      for (let round = 0; round < 1_000; round++) for (const other of others) other();
      const { memory, words } = subject();
      return { operations: BYTES / width, ours: loop(memory, START), raw: rawLoop(words) };
    },
  };
}

function subject(): { memory: GuestMemory; words: Uint32Array } {
  const memory = GuestMemory.fromRegions([{ start: START, backing: heap(SIZE) }]);
  const words = new Uint32Array(SIZE / 4);
  for (let i = 0; i < BYTES / 4; i++) words[i] = Math.imul(i, 0x9e3779b1);
  memory.writeAt(START, new Uint8Array(words.buffer, 0, BYTES));
  return { memory, words };
}

const benchCase: BenchCase = {
  id: 'p1',
  title: 'Aligned scalar, one region above 4 GiB, polluted call sites',
  measurements: [...ACCESSES.map(oneMemory), ...ACCESSES.map(anyMemory)],
};

export default benchCase;
