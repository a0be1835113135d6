import { isGpa } from './addresses.ts';
import { type FallbackAccess, MAX_PIECE, type MemoryBacking, type WasmMemory } from './backing.ts';
import { GuestMemoryError } from './errors.ts';
import { newSharedBytes } from './shared-bytes.ts';

/**
 * Zeroed memory private to this thread. Large sizes cost memory only where touched.
 *
 * The engine decides where on the host it lies: 8-byte aligned at least, not page-aligned; take {@link shared},
 * of 1 MiB or more and in whole 64 KiB, where the page alignment matters.
 *
 * @param size - bytes, at least 1
 * @throws GuestMemoryError `invalid` for a size that is none, `too-large` where the engine has no room
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, heap } from 'guestmem';
 *
 * const memory = GuestMemory.fromRegions([{ start: 0x10_0000, backing: heap(0x4000) }]);
 * assert.equal(memory.readU32(0x10_0000), 0);
 * ```
 */
export function heap(size: number): MemoryBacking {
  checkSize('heap', size);
  checkRoom(size);
  return {
    kind: 'heap',
    size,
    exclusive: true,
    mapped: pieces(size, (length) => new Uint8Array(allocate(length))),
  };
}

/**
 * Zeroed memory that Workers can share. From 1 MiB on, and in whole 64 KiB, it is the memory of a WebAssembly
 * module where the engine grants one: page-aligned, and filled and copied by the engine's own instructions, which
 * are 7 to 20 times faster than the methods of typed arrays on shared memory.
 *
 * @param size - bytes, at least 1
 * @throws GuestMemoryError `invalid` for a size that is none, `too-large` where the engine has no room,
 * `unsupported` where there is no SharedArrayBuffer (a page that is not cross-origin isolated)
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, shared } from 'guestmem';
 *
 * const memory = GuestMemory.from(shared(0x10_0000), { name: 'ram' });
 * memory.fillAt(0, 0xff, 0x10_0000);
 * assert(memory.view(0, 16, 'read').bytes.buffer instanceof SharedArrayBuffer);
 * ```
 */
export function shared(size: number): MemoryBacking {
  checkSize('shared', size);
  checkRoom(size);
  let window: WasmMemory | undefined;
  const mapped = pieces(size, (length) => {
    const made = newSharedBytes(length);
    window = made.wasm;
    return made.bytes;
  });
  return {
    kind: 'shared',
    size,
    mapped,
    ...(window !== undefined && mapped.length === 1 ? { wasm: { memory: window, offset: 0 } } : {}),
  };
}

/**
 * Bytes that are already there: any typed array's memory, private or shared. They are not copied.
 *
 * @throws GuestMemoryError `invalid` for an empty view
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { bytes, GuestMemory } from 'guestmem';
 *
 * const rom = Uint8Array.of(0x90, 0x90, 0xf4, 0);
 * const memory = GuestMemory.fromRegions([{ start: 0xffff_fff0, backing: bytes(rom, { readOnly: true }) }]);
 * assert.equal(memory.readU8(0xffff_fff2), 0xf4);
 * assert.throws(() => memory.writeU8(0xffff_fff2, 0), { code: 'denied' });
 * ```
 */
export function bytes(view: Uint8Array, options: { readOnly?: boolean } = {}): MemoryBacking {
  checkSize('bytes', view.byteLength);
  let at = view.byteOffset;
  return {
    kind: 'bytes',
    size: view.byteLength,
    readOnly: options.readOnly ?? false,
    mapped: pieces(view.byteLength, (length) => {
      const piece = new Uint8Array(view.buffer, at, length);
      at += length;
      return piece;
    }),
  };
}

/**
 * A window of a WebAssembly.Memory. It survives `memory.grow()`: a private memory's views are made anew when its
 * buffer has been replaced, which costs each access a comparison; a shared one's never need to be.
 *
 * @param offset - first byte of the window
 * @param size - bytes, at least 1; default: up to the memory's present end
 * @throws GuestMemoryError `invalid` for a window that is not inside the memory
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, wasm } from 'guestmem';
 *
 * const module = new WebAssembly.Memory({ initial: 1, maximum: 4 });
 * const memory = GuestMemory.from(wasm(module, 0x100, 0x1000));
 * memory.writeU32(0, 42);
 * module.grow(1);
 * assert.equal(memory.readU32(0), 42);
 * assert.equal(new Uint8Array(module.buffer)[0x100], 42);
 * ```
 */
export function wasm(
  memory: WasmMemory,
  offset = 0,
  size: number = memory.buffer.byteLength - offset,
): MemoryBacking {
  checkSize('wasm', size);
  if (!isGpa(offset) || size > memory.buffer.byteLength - offset) {
    throw new GuestMemoryError(
      'invalid',
      `current window of ${size} bytes at ${offset}, wanted one inside the memory's ${memory.buffer.byteLength} bytes`,
      { operation: 'make a wasm backing' },
    );
  }
  let at = offset;
  const mapped = pieces(size, (length) => {
    const piece = new Uint8Array(memory.buffer, at, length);
    at += length;
    return piece;
  });
  return { kind: 'wasm', size, mapped, wasm: { memory, offset } };
}

/**
 * Memory made of calls: device registers, a dump on disk, a machine elsewhere. See {@link FallbackAccess} for what
 * each call must do.
 *
 * @throws GuestMemoryError `invalid` for a size that is none
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { callbacks, GuestMemory, heap } from 'guestmem';
 *
 * const sent: number[] = [];
 * const uart = callbacks({
 *   size: 8,
 *   read: (_offset, dest) => dest.fill(0),
 *   write: (_offset, src) => sent.push(...src),
 * });
 * const machine = GuestMemory.fromRegions([
 *   { start: 0, backing: heap(0x1000) },
 *   { start: 0x1000_0000, backing: uart },
 * ]);
 * machine.writeU8(0x1000_0000, 0x41);
 * assert.deepEqual(sent, [0x41]);
 * ```
 */
export function callbacks(
  options: FallbackAccess & { readonly size: number; readonly kind?: string },
): MemoryBacking {
  checkSize('callbacks', options.size);
  return {
    kind: options.kind ?? 'callbacks',
    size: options.size,
    fallback: options,
    readOnly: options.write === undefined,
  };
}

/** Cuts `size` bytes into pieces of at most {@link MAX_PIECE}, each made by `make`. */
function pieces(size: number, make: (length: number) => Uint8Array): Uint8Array[] {
  const made: Uint8Array[] = [];
  for (let left = size; left > 0; left -= MAX_PIECE) made.push(make(Math.min(left, MAX_PIECE)));
  return made;
}

/** No process has more: the user half of a 48-bit address space. Piece by piece, the engine would say so after hours. */
const LARGEST = 2 ** 47;

function checkRoom(size: number): void {
  if (size > LARGEST) {
    throw new GuestMemoryError('too-large', `current size ${size}, wanted at most ${LARGEST}`, {
      operation: 'allocate memory',
    });
  }
}

function allocate(length: number): ArrayBuffer {
  try {
    return new ArrayBuffer(length);
  } catch (cause) {
    throw new GuestMemoryError('too-large', `the engine has no room for ${length} bytes`, {
      operation: 'allocate memory',
      cause,
    });
  }
}

function checkSize(kind: string, size: number): void {
  if (!isGpa(size) || size === 0) {
    throw new GuestMemoryError('invalid', `current size ${size}, wanted a whole number of at least 1`, {
      operation: `make a ${kind} backing`,
    });
  }
}
