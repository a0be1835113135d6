/**
 * The overlay: a file's pages laid over the pages of a buffer that JavaScript already has, so that guest RAM that
 * lives in another process is a real SharedArrayBuffer here. Growable SharedArrayBuffers and WebAssembly memories
 * have page-aligned pages of their own, and the engine never moves or reuses them while the buffer lives
 * (measured on Node 20 to 26, Bun and Deno; no engine promises it).
 *
 * The mapping is never taken away under a view that somebody may hold: `close()` lays zero pages over it.
 */
import { constants } from 'node:buffer';
import type { Closable } from '../core/index.ts';
import { HostError, isHostError, systemError } from './host-error.ts';
import { libc } from './libc.ts';

const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const SC_PAGESIZE = 30;

/** A buffer that a file can be laid over: a growable SharedArrayBuffer, or a shared WebAssembly.Memory. */
export type OverlayTarget = SharedArrayBuffer | { readonly buffer: ArrayBufferLike };

/** Where to lay what. */
export interface OverlayOptions {
  /** First byte of the file, a multiple of the host's page; default 0. */
  readonly offset?: number;
  /** Bytes to map, at least 1. */
  readonly length: number;
  /** First byte of the buffer, a multiple of the host's page; default 0. */
  readonly at?: number;
  /** `rw`: stores reach the file. `r`: they stay in this process (the mapping is private). Default `rw`. */
  readonly access?: 'rw' | 'r';
}

/** A file laid over a buffer, until {@link Overlay.close}. */
export interface Overlay extends Closable {
  /** The mapped bytes: a view of fixed length. After `close()` it reads as zeros. */
  readonly bytes: Uint8Array;
}

let pageSizeKnown: number | undefined;

/** The host's page in bytes: 4 KiB on x86, up to 64 KiB on Arm. */
export function hostPageSize(): number {
  pageSizeKnown ??= libc().sysconf(SC_PAGESIZE);
  return pageSizeKnown;
}

/**
 * Lays a file over a buffer. It is the caller who sees to it that the file is long enough and stays so; see
 * `mapFile`, which checks that and makes a fitting buffer.
 *
 * @throws {@link HostError} `wrong-kind` for a buffer whose pages are not its own, `misaligned` or `too-large` for
 * offsets and lengths that do not fit, `system` where the kernel refuses
 */
export function overlay(target: OverlayTarget, fd: number, options: OverlayOptions): Overlay {
  const { offset = 0, length, at = 0, access = 'rw' } = options;
  const { buffer, reserved } = pagesOf(target);
  const page = hostPageSize();
  for (const [what, value] of Object.entries({ 'file offset': offset, 'buffer offset': at })) {
    if (!Number.isSafeInteger(value) || value < 0) throw refuse('invalid', `its ${what} is ${value}`);
    if (value % page !== 0)
      throw refuse('misaligned', `its ${what} is ${value}, wanted a multiple of ${page}`);
  }
  if (!Number.isSafeInteger(length) || length < 1) throw refuse('invalid', `its length is ${length}`);
  if (length > constants.MAX_LENGTH) {
    throw refuse(
      'too-large',
      `its length is ${length}, and this engine's views end at ${constants.MAX_LENGTH}`,
    );
  }
  // MAP_FIXED replaces whatever lies in the way: whole pages, so the last one has to be the buffer's own as well.
  if (length > buffer.byteLength - at || roundUp(length, page) > reserved - at) {
    throw refuse(
      'too-large',
      `${length} bytes at ${at} do not fit into a buffer of ${buffer.byteLength} bytes`,
    );
  }
  const bytes = new Uint8Array(buffer, at, length);
  const address = libc().addressOf(bytes);
  if (address % BigInt(page) !== 0n)
    throw refuse('misaligned', `the engine has put the buffer at 0x${address.toString(16)}`);
  const sharing = access === 'rw' ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE;
  try {
    mapFixed(address, length, sharing, fd, offset);
  } catch (error) {
    // Out of memory (huge pages, above all) can show after the old pages were taken away: no hole may stay in a buffer.
    if (isHostError(error) && error.errno === 'ENOMEM') mapZeros(address, length);
    throw error;
  }
  return new FileOverlay(bytes);
}

class FileOverlay implements Overlay {
  /** Keeps the buffer alive as well, so that its pages are not given to anybody else under the mapping. */
  readonly bytes: Uint8Array;
  #open = true;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  close(): void {
    if (!this.#open) return;
    mapZeros(libc().addressOf(this.bytes), this.bytes.byteLength);
    this.#open = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function mapZeros(address: bigint, length: number): void {
  mapFixed(address, length, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

function mapFixed(address: bigint, length: number, flags: number, fd: number, offset: number): void {
  const c = libc();
  const mapped = c.mmap(address, length, PROT_READ_WRITE, flags | MAP_FIXED, fd, offset);
  if (mapped !== address) throw systemError('mmap', `map ${length} bytes of descriptor ${fd}`, c.errno());
}

/** The buffer, and how many bytes from its start are pages of its own. */
function pagesOf(target: OverlayTarget): { buffer: SharedArrayBuffer; reserved: number } {
  const buffer = target instanceof SharedArrayBuffer ? target : target.buffer;
  if (!(buffer instanceof SharedArrayBuffer))
    throw refuse('wrong-kind', 'the WebAssembly.Memory is not shared');
  if (buffer !== target) return { buffer, reserved: buffer.byteLength };
  // Not in TypeScript's es2023 library. A buffer that cannot grow may share its pages with other things.
  const { growable, maxByteLength } = buffer as SharedArrayBuffer & {
    growable?: boolean;
    maxByteLength?: number;
  };
  if (growable !== true || maxByteLength === undefined) {
    throw refuse('wrong-kind', 'the SharedArrayBuffer is not growable, so its pages are not its own');
  }
  return { buffer, reserved: roundUp(maxByteLength, hostPageSize()) };
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function refuse(code: 'invalid' | 'misaligned' | 'too-large' | 'wrong-kind', why: string): HostError {
  return new HostError(code, `Cannot lay a file over this buffer: ${why}`, { operation: 'overlay' });
}
