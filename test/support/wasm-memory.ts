import type { WasmMemory } from '../../src/core/index.ts';

/** The part of WebAssembly.Memory that is used here: neither Node's types nor the es2023 library know it. */
export interface GrowableMemory extends WasmMemory {
  /** Adds so many 64 KiB pages. A private memory gets another buffer; the one before is detached. */
  grow(pages: number): number;
}

/** A WebAssembly.Memory; a shared one has to say how large it may become. */
export function newWasmMemory(limits: {
  initial: number;
  maximum: number;
  shared?: boolean;
}): GrowableMemory {
  const { WebAssembly } = globalThis as {
    WebAssembly?: { Memory: new (limits: object) => GrowableMemory };
  };
  if (WebAssembly === undefined) throw new Error('This runtime has no WebAssembly');
  return new WebAssembly.Memory(limits);
}
