import type { WasmMemory } from './backing.ts';

/** The part of WebAssembly that is used here, declared by hand: the core is compiled without browser or Node types. */
interface WebAssemblyLike {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: boolean }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Record<string, Record<string, unknown>>,
  ) => { readonly exports: Record<string, unknown> };
}

export const webAssembly: WebAssemblyLike | undefined = (globalThis as { WebAssembly?: WebAssemblyLike })
  .WebAssembly;

/** The engine's own bulk instructions on one WebAssembly.Memory; offsets are below 2^32. */
export interface WasmBulk {
  fill(offset: number, value: number, length: number): void;
  copy(to: number, from: number, length: number): void;
}

/**
 * A module of two functions on an imported memory, `m.m`, which is shared or not:
 *
 *     (func (export "fill") (param i32 i32 i32) local.get 0  local.get 1  local.get 2  memory.fill)
 *     (func (export "copy") (param i32 i32 i32) local.get 0  local.get 1  local.get 2  memory.copy)
 */
function moduleBytes(shared: boolean): Uint8Array {
  // Limits of the import: a shared memory states a maximum (65,536 pages, LEB128 80 80 04), a private one need not.
  const limits = shared ? [0x03, 0x00, 0x80, 0x80, 0x04] : [0x00, 0x00];
  const imported = [0x01, 0x01, 0x6d, 0x01, 0x6d, 0x02, ...limits];
  const body = (instruction: number[]): number[] => {
    const code = [0x00, 0x20, 0x00, 0x20, 0x01, 0x20, 0x02, 0xfc, ...instruction, 0x0b];
    return [code.length, ...code];
  };
  const bodies = [0x02, ...body([0x0b, 0x00]), ...body([0x0a, 0x00, 0x00])];
  const name = (text: string): number[] => [text.length, ...Array.from(text, (c) => c.charCodeAt(0))];
  const exported = [0x02, ...name('fill'), 0x00, 0x00, ...name('copy'), 0x00, 0x01];
  const section = (id: number, content: number[]): number[] => [id, content.length, ...content];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [0x01, 0x60, 0x03, 0x7f, 0x7f, 0x7f, 0x00]),
    ...section(2, imported),
    ...section(3, [0x02, 0x00, 0x00]),
    ...section(7, exported),
    ...section(10, bodies),
  ]);
}

const modules = new Map<boolean, object>();
const instances = new WeakMap<WasmMemory, WasmBulk | undefined>();

/**
 * Bulk instructions for a memory, made at its first use; `undefined` where the engine refuses the module (64-bit
 * memories, engines without bulk instructions), and the typed array's methods have to do.
 */
export function wasmBulk(memory: WasmMemory): WasmBulk | undefined {
  if (!instances.has(memory)) instances.set(memory, instantiate(memory));
  return instances.get(memory);
}

function instantiate(memory: WasmMemory): WasmBulk | undefined {
  if (webAssembly === undefined) return undefined;
  const shared = typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer;
  try {
    const module = modules.get(shared) ?? new webAssembly.Module(moduleBytes(shared));
    modules.set(shared, module);
    const { fill, copy } = new webAssembly.Instance(module, { m: { m: memory } }).exports;
    return isBulkFunction(fill) && isBulkFunction(copy) ? { fill, copy } : undefined;
  } catch (error) {
    // CompileError and LinkError: this engine or this memory has no such instructions.
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function isBulkFunction(value: unknown): value is (a: number, b: number, c: number) => void {
  return typeof value === 'function';
}
