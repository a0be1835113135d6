import type { WasmMemory } from './backing.ts';

/** A buffer that several regions may lie in. Whoever gets two handles of one buffer knows it by its number. */
export interface SharedBufferHandle {
  readonly id: number;
  readonly buffer: SharedArrayBuffer;
  /** The WebAssembly.Memory whose buffer it is: fills and copies are then the engine's own instructions. */
  readonly wasm?: WasmMemory;
}

const numbers = new WeakMap<SharedArrayBuffer, number>();
let lastNumber = 0;

/** The handle of a buffer; of one buffer always with the same number. */
export function shareBuffer(buffer: SharedArrayBuffer, wasm: WasmMemory | undefined): SharedBufferHandle {
  const id = numbers.get(buffer) ?? ++lastNumber;
  numbers.set(buffer, id);
  return wasm?.buffer === buffer ? { id, buffer, wasm } : { id, buffer };
}

/** The buffer to use for a handle: the one that is here already under that number, or the handle's own. */
export type BufferOfHandle = (handle: SharedBufferHandle) => SharedBufferHandle;

export function isSharedBuffer(buffer: ArrayBufferLike): buffer is SharedArrayBuffer {
  return typeof SharedArrayBuffer !== 'undefined' && buffer instanceof SharedArrayBuffer;
}
