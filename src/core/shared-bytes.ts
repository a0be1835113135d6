import type { WasmMemory } from './backing.ts';
import { GuestMemoryError } from './errors.ts';
import { webAssembly } from './wasm-bulk.ts';

const WASM_PAGE = 0x1_0000;

/** Each memory of a module takes 4 to 10 GiB of address space for its guards: too dear for small ones. */
const SMALLEST_WASM = 0x10_0000;

/** Zeroed shared bytes, in a WebAssembly.Memory where size and engine allow it. */
export function newSharedBytes(length: number): { bytes: Uint8Array; wasm: WasmMemory | undefined } {
  if (typeof SharedArrayBuffer === 'undefined') {
    throw new GuestMemoryError(
      'unsupported',
      'no SharedArrayBuffer here (a page has to be cross-origin isolated)',
      {
        operation: 'allocate shared memory',
        length,
      },
    );
  }
  const wasm =
    length >= SMALLEST_WASM && length % WASM_PAGE === 0 ? newWasmMemory(length / WASM_PAGE) : undefined;
  if (wasm !== undefined) return { bytes: new Uint8Array(wasm.buffer), wasm };
  try {
    return { bytes: new Uint8Array(new SharedArrayBuffer(length)), wasm: undefined };
  } catch (cause) {
    throw new GuestMemoryError('too-large', 'the engine has no room for it', {
      operation: 'allocate shared memory',
      length,
      cause,
    });
  }
}

/** A shared WebAssembly.Memory of exactly so many pages, or `undefined` where the engine refuses one. */
function newWasmMemory(pages: number): WasmMemory | undefined {
  try {
    return webAssembly === undefined
      ? undefined
      : new webAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (error) {
    // Out of address space for guards (a RangeError): a plain SharedArrayBuffer needs none.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
