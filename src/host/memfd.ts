import type { Closable } from '../core/index.ts';
import { closeDescriptor, describeDescriptor } from './descriptor.ts';
import { HostError, systemError } from './host-error.ts';
import { libc } from './libc.ts';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;

/** Bits of the seals, memfd_create(2). */
const SEALS = { seal: 1, shrink: 2, grow: 4, write: 8 } as const;

/** What can be forbidden for ever: further seals, shrinking, growing, writing. */
export type Seal = keyof typeof SEALS;

/**
 * A file that lives in memory and has no name: RAM that can be handed to another process as a descriptor.
 */
export class Memfd implements Closable {
  /** The descriptor. It belongs to this object. */
  readonly fd: number;
  #open = true;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * Makes one, zeroed.
   *
   * @param size - bytes
   * @param options.name - shown as `/memfd:NAME` in `/proc`, at most 249 bytes
   * @param options.seals - seals to set once it has its size; by default it can neither shrink nor grow
   * @throws {@link HostError} `invalid` for a size that is none, `system` where the kernel refuses
   */
  static create(size: number, options: { name?: string; seals?: readonly Seal[] } = {}): Memfd {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new HostError('invalid', `Cannot make a memfd of ${size} bytes: want a whole number`, {
        operation: 'memfd_create',
      });
    }
    const c = libc();
    const fd = c.memfd_create(options.name ?? 'guestmem', MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) throw systemError('memfd_create', 'make a memfd', c.errno());
    const memfd = new Memfd(fd);
    try {
      if (c.ftruncate(fd, size) < 0) throw systemError('ftruncate', `give a memfd ${size} bytes`, c.errno());
      memfd.addSeals(options.seals ?? ['shrink', 'grow']);
    } catch (error) {
      memfd.close();
      throw error;
    }
    return memfd;
  }

  /** Bytes in the file. */
  get size(): number {
    return describeDescriptor(this.fd).size;
  }

  /** The seals in force. */
  get seals(): Seal[] {
    const c = libc();
    const bits = c.fcntl(this.fd, F_GET_SEALS, 0);
    if (bits < 0) throw systemError('fcntl', `read the seals of descriptor ${this.fd}`, c.errno());
    return sealNames().filter((name) => (bits & SEALS[name]) !== 0);
  }

  /**
   * Forbids something for ever, to everybody who has the file.
   *
   * @throws {@link HostError} `system`, EPERM where sealing was forbidden, EBUSY for `write` while it is mapped writable
   */
  addSeals(seals: readonly Seal[]): void {
    const bits = seals.reduce((sum, name) => sum | SEALS[name], 0);
    const c = libc();
    if (c.fcntl(this.fd, F_ADD_SEALS, bits) < 0) {
      throw systemError('fcntl', `seal descriptor ${this.fd} (${seals.join(', ')})`, c.errno());
    }
  }

  /** Gives the descriptor back. Mappings of it stay. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeDescriptor(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function sealNames(): Seal[] {
  return ['seal', 'shrink', 'grow', 'write'];
}
