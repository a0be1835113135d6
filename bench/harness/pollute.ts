import { bytes, callbacks, GuestMemory, heap, type MemoryBacking, shared, wasm } from 'guestmem';

/** One page of some kind, behind another of ordinary RAM, in a memory that has both. */
export interface Page {
  readonly memory: GuestMemory;
  readonly gpa: number;
  readonly writable: boolean;
}

const PAGE = 4096;
const ROUNDS = 1_000;

/** The part of WebAssembly.Memory that is used here: neither Node's types nor the es2023 library know it. */
interface WasmMemory {
  readonly buffer: ArrayBufferLike;
}

/**
 * Shows every method of a memory every kind of page that a real program has, a thousand times each: what is measured
 * afterwards is the library's code in a program that has been running, not in a fresh one.
 *
 * `use` is called on every page as well. Closures made at one place share what the engine learnt about it, so a closure
 * from the very place where the measured one is made takes from it what the engine would else know: that it is always
 * the same memory.
 */
export function pollute(use?: (page: Page) => void): void {
  const pages = everyKind();
  for (let round = 0; round < ROUNDS; round++) {
    for (const page of pages) {
      touch(page, round);
      use?.(page);
    }
  }
}

const block = new Uint8Array(PAGE);
const halves = new Uint32Array(2);

function touch({ memory, gpa, writable }: Page, round: number): void {
  for (let at = gpa; at < gpa + 128; at += 8) {
    memory.readU8(at);
    memory.readU16(at);
    memory.readU32(at);
    memory.readU64Into(at, halves);
    if (!writable) continue;
    memory.writeU8(at, round);
    memory.writeU16(at, round);
    memory.writeU32(at, round);
    memory.writeU64Halves(at, round, round);
  }
  memory.readAt(gpa, block);
  if (!writable) return;
  memory.writeAt(gpa, block);
  memory.fillAt(gpa, round % 256, PAGE);
}

function everyKind(): Page[] {
  const { WebAssembly } = globalThis as {
    WebAssembly?: { Memory: new (limits: { initial: number }) => WasmMemory };
  };
  if (WebAssembly === undefined) throw new Error('This runtime has no WebAssembly');
  const store = new Uint8Array(PAGE);
  const kinds: { backing: MemoryBacking; writable: boolean }[] = [
    { backing: heap(PAGE), writable: true },
    { backing: shared(PAGE), writable: true },
    { backing: bytes(new Uint8Array(new SharedArrayBuffer(PAGE))), writable: true },
    { backing: wasm(new WebAssembly.Memory({ initial: 1 }), 0, PAGE), writable: true },
    { backing: bytes(new Uint8Array(PAGE), { readOnly: true }), writable: false },
    {
      backing: callbacks({
        size: PAGE,
        read: (offset, dest) => dest.set(store.subarray(offset, offset + dest.length)),
        write: (offset, src) => store.set(src, offset),
      }),
      writable: true,
    },
  ];
  return kinds.map(({ backing, writable }) => ({
    memory: GuestMemory.fromRegions([
      { start: 0, backing: heap(PAGE) },
      { start: PAGE, backing },
    ]),
    gpa: PAGE,
    writable,
  }));
}
