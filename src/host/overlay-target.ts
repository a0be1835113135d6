import { HostError } from './host-error.ts';
import type { OverlayTarget } from './overlay.ts';

const WASM_PAGE = 0x1_0000;

/** Declared by hand: neither TypeScript's es2023 library nor the types of Node 20 have them. */
type WasmMemoryConstructor = new (limits: {
  initial: number;
  maximum: number;
  shared: true;
}) => { readonly buffer: ArrayBufferLike };
type GrowableConstructor = new (length: number, options: { maxByteLength: number }) => SharedArrayBuffer;

/**
 * A buffer with pages of its own, at least `length` bytes, at most 4 GiB. It is a WebAssembly memory where one can be had: the
 * engine's bulk instructions then work on guest RAM (4 KiB filled in 49 ns against 1140 ns on Node 24). That takes
 * 10 GiB of address space for its guards, so that a process with a limit on it gets a growable SharedArrayBuffer.
 *
 * @throws {@link HostError} `too-large` where the engine has no room
 */
export function newOverlayTarget(length: number): OverlayTarget {
  const { WebAssembly } = globalThis as { WebAssembly?: { Memory: WasmMemoryConstructor } };
  if (WebAssembly !== undefined) {
    const pages = Math.ceil(length / WASM_PAGE);
    try {
      return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  try {
    return new (SharedArrayBuffer as GrowableConstructor)(length, { maxByteLength: length });
  } catch (cause) {
    const message = `Cannot map ${length} bytes: the engine has no room for a buffer of that size`;
    throw new HostError('too-large', message, { operation: 'mapFile', cause });
  }
}
