import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  openSync,
  readvSync,
  type Stats,
  writevSync,
} from 'node:fs';
import type { BlockStorage } from '../virtio/index.ts';
import { CliError } from './cli-error.ts';
import { isSystemError, systemReason } from './system-error.ts';
import { transferAll } from './transfer-all.ts';

/** How a {@link FileStorage} is opened. */
export interface FileStorageOptions {
  /** Opens the file for reading only; writes are then refused. Default false. */
  readonly readOnly?: boolean;
}

/**
 * A disk over a regular file: what the guest reads goes from the page cache straight into guest memory, and back, by
 * `preadv` and `pwritev` on the iovecs of the chain. Its size is the file's size when it was opened.
 */
export class FileStorage implements BlockStorage {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  #fd: number | undefined;

  private constructor(path: string, fd: number, size: number, readOnly: boolean) {
    this.path = path;
    this.size = size;
    this.readOnly = readOnly;
    this.#fd = fd;
  }

  /**
   * Opens a regular file.
   *
   * @throws {CliError} `input` when it cannot be opened, or is no regular file.
   */
  static open(path: string, options: FileStorageOptions = {}): FileStorage {
    const readOnly = options.readOnly ?? false;
    const { fd, stats } = openFile(path, readOnly);
    if (!stats.isFile()) {
      closeSync(fd);
      throw new CliError('input', `Cannot open the disk ${path}: it is no regular file`);
    }
    return new FileStorage(path, fd, stats.size, readOnly);
  }

  /**
   * Fills every iovec from `position` on.
   *
   * @throws {CliError} `input` when the file ends before that, or was closed, or when the system refuses.
   */
  readv(position: number, iovecs: readonly Uint8Array[]): void {
    const fd = this.#open();
    transferAll(position, iovecs, (batch, at) => {
      const count = this.#try('read', at, () => readvSync(fd, batch, at));
      if (count === 0) throw new CliError('input', `Cannot read ${this.path} at ${at}: the file ends there`);
      return count;
    });
  }

  /**
   * Writes every iovec from `position` on.
   *
   * @throws {CliError} `input` when opened for reading only, or closed, or when the system refuses.
   */
  writev(position: number, iovecs: readonly Uint8Array[]): void {
    const fd = this.#open();
    if (this.readOnly)
      throw new CliError('input', `Cannot write ${this.path}: it was opened for reading only`);
    transferAll(position, iovecs, (batch, at) => {
      const count = this.#try('write', at, () => writevSync(fd, batch, at));
      if (count === 0) throw new CliError('input', `Cannot write ${this.path} at ${at}: nothing was taken`);
      return count;
    });
  }

  /**
   * Waits until the disk below has the data (`fdatasync`).
   *
   * @throws {CliError} `input` when closed, or when the system refuses.
   */
  flush(): void {
    const fd = this.#open();
    this.#try('flush', 0, () => fdatasyncSync(fd));
  }

  /** Closes the file; safe to call twice. */
  close(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) closeSync(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Makes a system call; a refusal says which file and where. */
  #try<Result>(verb: string, position: number, call: () => Result): Result {
    try {
      return call();
    } catch (error) {
      if (!isSystemError(error)) throw error;
      const message = `Cannot ${verb} ${this.path} at ${position}: ${systemReason(error)}`;
      throw new CliError('input', message, { cause: error });
    }
  }

  #open(): number {
    if (this.#fd === undefined) throw new CliError('input', `Cannot use ${this.path}: it was closed`);
    return this.#fd;
  }
}

function openFile(path: string, readOnly: boolean): { fd: number; stats: Stats } {
  // O_NONBLOCK: opening a FIFO by mistake must not hang; on regular files it changes nothing.
  const flags = (readOnly ? constants.O_RDONLY : constants.O_RDWR) | constants.O_NONBLOCK;
  try {
    const fd = openSync(path, flags);
    return { fd, stats: fstatSync(fd) };
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new CliError('input', `Cannot open the disk ${path}: ${systemReason(error)}`, { cause: error });
  }
}
