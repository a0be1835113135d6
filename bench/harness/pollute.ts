import { bytes, callbacks, GuestMemory, heap, shared, wasm } from 'guestmem';

const PAGE = 4096;

/** The part of WebAssembly.Memory that is used here: neither Node's types nor the es2023 library know it. */
interface WasmMemory {
  readonly buffer: ArrayBufferLike;
}

/**
 * Shows the library's call sites every kind of region that a real program has, thousands of times each, so that what
 * is measured afterwards is the code of a program that has been running, not of a fresh one.
 */
export function pollute(): void {
  const { WebAssembly } = globalThis as { WebAssembly?: { Memory: new (limits: { initial: number }) => WasmMemory } };
  if (WebAssembly === undefined) throw new Error('This runtime has no WebAssembly');
  const wasmMemory = new WebAssembly.Memory({ initial: 1 });
  const store = new Uint8Array(PAGE);
  const memories = [
    GuestMemory.fromRegions([{ start: 0, backing: heap(2 * PAGE) }]),
    GuestMemory.fromRegions([{ start: 0, backing: shared(2 * PAGE) }]),
    GuestMemory.fromRegions([{ start: 0, backing: wasm(wasmMemory, 0, 2 * PAGE) }]),
    GuestMemory.fromRegions([
      { start: 0, backing: heap(PAGE) },
      {
        start: PAGE,
        backing: callbacks({
          size: PAGE,
          read: (offset, dest) => dest.set(store.subarray(offset, offset + dest.length)),
          write: (offset, src) => store.set(src, offset),
        }),
      },
    ]),
    GuestMemory.fromRegions([
      { start: 0, backing: shared(PAGE) },
      { start: PAGE, backing: bytes(new Uint8Array(PAGE), { readOnly: true }) },
    ]),
  ];
  const block = new Uint8Array(PAGE);
  const halves = new Uint32Array(2);
  for (let round = 0; round < 2_000; round++) {
    for (const memory of memories) {
      const readOnly =
        memory.regions.at(-1)?.access === 'r' || memory.regions.at(-1)?.backing.readOnly === true;
      for (const gpa of [8 * (round % 256), PAGE + 8 * (round % 256)]) {
        memory.readU32(gpa);
        memory.readU64Into(gpa, halves);
        if (gpa < PAGE || !readOnly) {
          memory.writeU32(gpa, round);
          memory.writeU64Halves(gpa, round, round);
        }
      }
      if (round % 16 === 0) {
        memory.readAt(0, block);
        memory.readAt(PAGE / 2, block);
        memory.writeAt(0, block);
        memory.fillAt(0, round & 0xff, PAGE);
        if (!readOnly) {
          memory.writeAt(PAGE / 2, block);
          memory.fillAt(PAGE / 2, round & 0xff, PAGE);
        }
      }
    }
  }
}
