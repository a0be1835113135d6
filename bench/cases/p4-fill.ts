import { bytes, GuestMemory, type MemoryBacking, shared } from 'guestmem';
import type { BenchCase, Measurement } from '../harness/measurement.ts';
import { pollute } from '../harness/pollute.ts';

const START = 0x1_0000_0000;
const KIB_4 = 4096;
const MIB = 1024 * 1024;

const fill = (memory: GuestMemory, gpa: number, length: number): (() => number) => {
  const last = gpa + length - 1;
  return () => {
    memory.fillAt(gpa, 0x5a, length);
    return memory.readU8(last);
  };
};

const rawFill =
  (view: Uint8Array): (() => number) =>
  () => {
    view.fill(0x5a);
    return view[view.length - 1] as number;
  };

function measure(
  name: string,
  backing: (size: number) => MemoryBacking,
  length: number,
  atMost: number,
): Measurement {
  return {
    name,
    budget: { figure: 'ratio', atMost },
    prepare() {
      pollute();
      // Shared memory lies in a WebAssembly.Memory from 1 MiB on.
      const memory = GuestMemory.fromRegions([{ start: START, backing: backing(MIB) }]);
      return {
        operations: 1,
        bytes: length,
        ours: fill(memory, START, length),
        raw: rawFill(new Uint8Array(length)),
      };
    },
  };
}

const other = (size: number): MemoryBacking => bytes(new Uint8Array(new SharedArrayBuffer(size)));

const benchCase: BenchCase = {
  id: 'p4',
  title: 'Fill shared memory, beside fill() of a private buffer',
  measurements: [
    measure('fill 4 KiB, shared, wasm-backed', shared, KIB_4, 1.1),
    measure('fill 1 MiB, shared, wasm-backed', shared, MIB, 1.1),
    measure('fill 4 KiB, shared, other', other, KIB_4, 2),
    measure('fill 1 MiB, shared, other', other, MIB, 2),
  ],
};

export default benchCase;
