import { GuestMemory, heap } from 'guestmem';
import type { BenchCase, Budget, Measurement } from '../harness/measurement.ts';
import { pollute } from '../harness/pollute.ts';

const START = 0x1_0000_0000;
const REGION = 4096;
/** Regions do not touch: between two there is a hole of their own size. */
const STRIDE = 2 * REGION;
const OPERATIONS = 1024;

/** Where each operation goes: which region, and which word of it. */
interface Pattern {
  readonly regions: number;
  readonly which: Uint16Array;
  readonly word: Uint16Array;
}

const read =
  (memory: GuestMemory, gpas: Float64Array): (() => number) =>
  () => {
    let sum = 0;
    for (let i = 0; i < OPERATIONS; i++) sum = (sum + memory.readU32(gpas[i] as number)) | 0;
    return sum;
  };

const write =
  (memory: GuestMemory, gpas: Float64Array): (() => number) =>
  () => {
    for (let i = 0; i < OPERATIONS; i++) memory.writeU32(gpas[i] as number, i);
    return memory.readU32(gpas[OPERATIONS - 1] as number);
  };

const rawRead =
  (arrays: readonly Uint32Array[], { which, word }: Pattern): (() => number) =>
  () => {
    let sum = 0;
    for (let i = 0; i < OPERATIONS; i++) {
      const words = arrays[which[i] as number] as Uint32Array;
      sum = (sum + (words[word[i] as number] as number)) | 0;
    }
    return sum;
  };

const rawWrite =
  (arrays: readonly Uint32Array[], { which, word }: Pattern): (() => number) =>
  () => {
    for (let i = 0; i < OPERATIONS; i++) {
      const words = arrays[which[i] as number] as Uint32Array;
      words[word[i] as number] = i;
    }
    const last = arrays[which[OPERATIONS - 1] as number] as Uint32Array;
    return last[word[OPERATIONS - 1] as number] as number;
  };

/** Region after region in turn. */
function alternating(regions: number): Pattern {
  return {
    regions,
    which: Uint16Array.from({ length: OPERATIONS }, (_, i) => i % regions),
    word: Uint16Array.from({ length: OPERATIONS }, (_, i) => Math.floor(i / regions)),
  };
}

/** Any region, any word; the same ones in every run. */
function random(regions: number): Pattern {
  let seed = 1;
  const next = (below: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  return {
    regions,
    which: Uint16Array.from({ length: OPERATIONS }, () => next(regions)),
    word: Uint16Array.from({ length: OPERATIONS }, () => next(REGION / 4)),
  };
}

function measure(name: string, pattern: Pattern, writes: boolean, budget: Budget): Measurement {
  return {
    name,
    budget,
    prepare() {
      pollute();
      const { regions, which, word } = pattern;
      const memory = GuestMemory.fromRegions(
        Array.from({ length: regions }, (_, i) => ({ start: START + i * STRIDE, backing: heap(REGION) })),
      );
      const arrays = Array.from({ length: regions }, () => new Uint32Array(REGION / 4));
      for (const [i, words] of arrays.entries()) {
        for (let at = 0; at < words.length; at++) words[at] = Math.imul(i * 4096 + at, 0x9e3779b1);
        memory.writeAt(START + i * STRIDE, new Uint8Array(words.buffer));
      }
      const gpas = Float64Array.from(which, (region, i) => START + region * STRIDE + 4 * (word[i] as number));
      const loop = writes ? write : read;
      return {
        operations: OPERATIONS,
        ours: loop(memory, gpas),
        raw: (writes ? rawWrite : rawRead)(arrays, pattern),
      };
    },
  };
}

const benchCase: BenchCase = {
  id: 'p2',
  title: 'Aligned u32 over several regions, polluted call sites',
  measurements: [
    measure('read, 4 regions in turn', alternating(4), false, { figure: 'ratio', atMost: 6 }),
    measure('write, 4 regions in turn', alternating(4), true, { figure: 'ratio', atMost: 6 }),
    measure('read, random over 256 regions', random(256), false, { figure: 'ratio', atMost: 7 }),
    measure('write, random over 256 regions', random(256), true, { figure: 'ratio', atMost: 7 }),
  ],
};

export default benchCase;
