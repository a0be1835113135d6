import { GuestMemory, heap, type MemoryBacking, shared, trackDirty } from 'guestmem';
import type { BenchCase, Measurement } from '../harness/measurement.ts';
import { pollute } from '../harness/pollute.ts';

const START = 0x1_0000_0000;
const SIZE = 0x4_0000;
/** Scalars of one page a call, as P1 has them. */
const BYTES = 4096;
/** A write of 4 KiB marks 256 pages of so many bytes, as one of 1 MiB would mark pages of 4 KiB. */
const SMALL_PAGE = 16;

const scalars = (memory: GuestMemory) => () => {
  for (let at = 0; at < BYTES; at += 4) memory.writeU32(START + at, at);
  return memory.readU32(START + BYTES - 4);
};

/** The same once more: what the engine learnt of a loop it knows of the place where the loop stands, not of each memory. */
const untracked = (memory: GuestMemory) => () => {
  for (let at = 0; at < BYTES; at += 4) memory.writeU32(START + at, at);
  return memory.readU32(START + BYTES - 4);
};

/** What no shared log can do without, beside an untracked write. */
const scalarsAndOr = (memory: GuestMemory) => {
  const words = new Int32Array(new SharedArrayBuffer(8));
  return () => {
    for (let at = 0; at < BYTES; at += 4) {
      memory.writeU32(START + at, at);
      Atomics.or(words, 0, 1);
    }
    return memory.readU32(START + BYTES - 4);
  };
};

const RANGES = 8;
const ranges = (memory: GuestMemory) => {
  const src = Uint8Array.from({ length: 4096 }, (_, i) => i * 7);
  return () => {
    // Seven pages in: the words of the log at both ends are marked by parts.
    for (let i = 0; i < RANGES; i++) memory.writeAt(START + i * 8192 + 7 * SMALL_PAGE, src);
    return memory.readU8(START + (RANGES - 1) * 8192 + 7 * SMALL_PAGE + 4095);
  };
};

const untrackedRanges = (memory: GuestMemory) => {
  const src = Uint8Array.from({ length: 4096 }, (_, i) => i * 7);
  return () => {
    for (let i = 0; i < RANGES; i++) memory.writeAt(START + i * 8192 + 7 * SMALL_PAGE, src);
    return memory.readU8(START + (RANGES - 1) * 8192 + 7 * SMALL_PAGE + 4095);
  };
};

type Loop = (memory: GuestMemory) => () => number;

/** Ours on tracked memory, the reference on the same kind without tracking. */
function measure(
  name: string,
  backing: (size: number) => MemoryBacking,
  atMost: number | undefined,
  { ours, raw, operations, pageSize }: { ours: Loop; raw: Loop; operations: number; pageSize: number },
): Measurement {
  return {
    name,
    budget: { figure: 'extra ns', ...(atMost !== undefined && { atMost }) },
    prepare() {
      pollute();
      const memory = (): GuestMemory => GuestMemory.fromRegions([{ start: START, backing: backing(SIZE) }]);
      const tracking = trackDirty(memory(), { pageSize });
      const write = ours(tracking.memory);
      return {
        operations,
        ours() {
          const result = write();
          // Now and then somebody asks: marks are made on clean pages too.
          if (--untilDrain === 0) {
            untilDrain = 1000;
            tracking.drain();
          }
          return result;
        },
        raw: raw(memory()),
      };
    },
  };
}

let untilDrain = 1000;
const SCALARS = { ours: scalars, operations: BYTES / 4, pageSize: 4096 };
const RANGED = { ours: ranges, raw: untrackedRanges, operations: RANGES, pageSize: SMALL_PAGE };

const benchCase: BenchCase = {
  id: 'p5',
  title: 'Writes with dirty tracking, beside the same without',
  measurements: [
    measure('write u32, private', heap, 1, { ...SCALARS, raw: untracked }),
    measure('write u32, shared', shared, undefined, { ...SCALARS, raw: untracked }),
    measure('write u32, shared, beside one with an Atomics.or', shared, 2, { ...SCALARS, raw: scalarsAndOr }),
    measure('write that marks 256 pages, private', heap, 40, RANGED),
    measure('write that marks 256 pages, shared', shared, 40, RANGED),
  ],
};

export default benchCase;
