import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { GuestMemoryError } from '../core/index.ts';
import {
  type ByteSource,
  CachedByteSource,
  ImageError,
  type MemoryImage,
  type OpenImageOptions,
  openImage,
} from '../image/index.ts';

/**
 * A regular file as a source: plain `pread`, no cache, so that a file that changes (the RAM of a running machine) is
 * seen as it is. Put a `CachedByteSource` in front of one that does not.
 */
export class FileByteSource implements ByteSource {
  readonly name: string;
  /** Size when it was opened. */
  readonly size: number;
  #fd: number | undefined;

  private constructor(name: string, fd: number, size: number) {
    this.name = name;
    this.#fd = fd;
    this.size = size;
  }

  /**
   * Opens a file for reading. Opening never blocks, and never makes a terminal our own.
   *
   * @param name - for messages; default the path
   * @throws ImageError `io` where it cannot be opened or is not a regular file
   */
  static open(path: string, name: string = path): FileByteSource {
    const fd = openForReading(path, name);
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile()) throw cannotOpen(name, 'it is not a regular file');
      return new FileByteSource(name, fd, stat.size);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  read(position: number, dest: Uint8Array): number {
    if (this.#fd === undefined) {
      throw new GuestMemoryError('closed', 'the file was closed', { memory: this.name, operation: 'read' });
    }
    return readSync(this.#fd, dest, 0, dest.length, position);
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Opens a memory image that is a file, with a page cache in front of it.
 *
 * @throws ImageError as `openImage`, or `io` where the file cannot be opened
 *
 * @example
 * ```ts no-run
 * import { openImageFile } from 'guestmem/qemu';
 *
 * const image = openImageFile('/var/tmp/guest.elf');
 * console.log(image.reason, image.ranges, image.cpus);
 * image.close();
 * ```
 */
export function openImageFile(path: string, options: OpenImageOptions = {}): MemoryImage {
  const source = new CachedByteSource(FileByteSource.open(path));
  try {
    return openImage(source, options);
  } catch (error) {
    source.close();
    throw error;
  }
}

function openForReading(path: string, name: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (cause) {
    throw cannotOpen(name, reasonOf(cause), cause);
  }
}

function cannotOpen(name: string, reason: string, cause?: unknown): ImageError {
  return new ImageError('io', `Cannot open ${name}: ${reason}`, { source: name, cause });
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  switch (code) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
    case 'EPERM':
      return 'permission denied';
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}
