import { type Closable, MAX_PIECE, type MemoryBacking, type WasmWindow } from '../core/index.ts';
import { describeDescriptor, descriptorName, isSealedAgainstShrinking } from './descriptor.ts';
import { HostError } from './host-error.ts';
import { hostPageSize, type Overlay, type OverlayTarget, overlay } from './overlay.ts';
import { newOverlayTarget } from './overlay-target.ts';

/** What part of a file to map, and how. */
export interface MapFileOptions {
  /** First byte of the file, a multiple of 8; default 0. */
  readonly offset?: number;
  /** Bytes to map; default: up to the end of the file. */
  readonly length?: number;
  /** `rw` needs a descriptor opened for both. `r` maps privately, and core refuses writes. Default `rw`. */
  readonly access?: 'rw' | 'r';
  /** Refuse a file that can shrink: an access past its new end would kill this process (SIGBUS). */
  readonly requireSealed?: boolean;
  /** Told, once, where the file can shrink; default `process.emitWarning`. */
  readonly warn?: (message: string) => void;
}

/** A mapped file, or part of one, as backing of a guest memory region. */
export interface FileBacking extends MemoryBacking, Closable {
  readonly kind: 'file' | 'memfd';
  readonly mapped: readonly Uint8Array[];
  onClose(listener: () => void): void;
}

/**
 * Maps a file into a buffer of its own, which Workers can share. The descriptor may be closed afterwards.
 *
 * @throws {@link HostError} `wrong-kind` for a descriptor of no file, `invalid` or `misaligned` for offsets and lengths
 * that are none, `too-short` where the file ends before, `unsealed` with `requireSealed`, `too-large` where the engine has no
 * room, `system` where the kernel refuses
 */
export function mapFile(fd: number, options: MapFileOptions = {}): FileBacking {
  const { offset = 0, access = 'rw', requireSealed = false, warn = emitWarning } = options;
  const file = describeDescriptor(fd);
  const name = descriptorName(fd);
  if (file.kind !== 'file') throw refuse('wrong-kind', name, `it is of kind "${file.kind}", wanted a file`);
  const length = options.length ?? file.size - offset;
  checkRange(name, file.size, offset, length);
  if (!isSealedAgainstShrinking(fd)) {
    if (requireSealed) throw refuse('unsealed', name, 'it is not sealed against shrinking');
    warn(
      `${name} is not sealed against shrinking: if somebody truncates it while it is mapped, this process dies`,
    );
  }
  return new MappedFile(name.startsWith('/memfd:') ? 'memfd' : 'file', fd, offset, length, access);
}

class MappedFile implements FileBacking {
  readonly kind: 'file' | 'memfd';
  readonly size: number;
  readonly mapped: readonly Uint8Array[];
  readonly readOnly: boolean;
  declare readonly wasm?: WasmWindow;
  readonly #overlays: Overlay[] = [];
  readonly #listeners: (() => void)[] = [];
  #open = true;

  constructor(kind: 'file' | 'memfd', fd: number, offset: number, length: number, access: 'rw' | 'r') {
    this.kind = kind;
    this.size = length;
    this.readOnly = access === 'r';
    // Mappings start on a page; the bytes before `offset` are mapped too, but not shown.
    const lead = offset % hostPageSize();
    const mapped: Uint8Array[] = [];
    const total = lead + length;
    let window: OverlayTarget | undefined;
    try {
      for (let at = 0; at < total; at += MAX_PIECE) {
        const piece = Math.min(MAX_PIECE, total - at);
        const target = newOverlayTarget(piece);
        window = target;
        const laid = overlay(target, fd, { offset: offset - lead + at, length: piece, access });
        this.#overlays.push(laid);
        mapped.push(at === 0 ? laid.bytes.subarray(lead) : laid.bytes);
      }
    } catch (error) {
      this.close();
      throw error;
    }
    this.mapped = mapped;
    if (mapped.length === 1 && window !== undefined && !(window instanceof SharedArrayBuffer)) {
      this.wasm = { memory: window, offset: lead };
    }
  }

  onClose(listener: () => void): void {
    if (this.#open) this.#listeners.push(listener);
    else listener();
  }

  /** Lays zero pages over the mapping; from then on the library answers `closed`. Safe to call twice. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const listener of this.#listeners.splice(0)) listener();
    for (const laid of this.#overlays.splice(0)) laid.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function checkRange(name: string, fileSize: number, offset: number, length: number): void {
  for (const [what, value] of Object.entries({ offset, length })) {
    if (!Number.isSafeInteger(value) || value < 0) throw refuse('invalid', name, `the ${what} is ${value}`);
  }
  // An element of 8 bytes must lie in one piece, at an address it is aligned to (SPEC M1).
  if (offset % 8 !== 0) throw refuse('misaligned', name, `the offset is ${offset}, wanted a multiple of 8`);
  if (length === 0) throw refuse('invalid', name, 'there are no bytes to map');
  if (offset > fileSize || length > fileSize - offset) {
    throw refuse('too-short', name, `it has ${fileSize} bytes, wanted ${length} at ${offset}`);
  }
}

function emitWarning(message: string): void {
  process.emitWarning(message, { code: 'GUESTMEM_UNSEALED' });
}

function refuse(
  code: 'wrong-kind' | 'invalid' | 'misaligned' | 'too-short' | 'unsealed',
  name: string,
  why: string,
): HostError {
  return new HostError(code, `Cannot map ${name}: ${why}`, { operation: 'mapFile' });
}
