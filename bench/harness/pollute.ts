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
 * Shows the library's call sites, and those in `use`, every kind of page that a real program has, a thousand times
 * each: what is measured afterwards is the code of a program that has been running, not of a fresh one.
 *
 * Closures made at one place share what the engine learnt about it. So let `use` call a closure that comes from the
 * very place where the measured one is made.
 */
export function pollute(use: (page: Page) => void): void {
  const pages = everyKind();
  for (let round = 0; round < ROUNDS; round++) {
    for (const page of pages) use(page);
  }
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
