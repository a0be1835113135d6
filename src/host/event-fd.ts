import type { Closable } from '../core/index.ts';
import { closeDescriptor, descriptorName, setNonBlocking } from './descriptor.ts';
import { isTryAgain } from './errno.ts';
import { HostError, systemError } from './host-error.ts';
import { libc } from './libc.ts';

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

/**
 * A counter in the kernel that another process, or a Worker, can wait for: how a driver kicks a device and a device
 * calls a driver. Neither side ever waits in `signal` or `consume`.
 */
export class EventFd implements Closable {
  /** The descriptor: readable while the counter is not zero. It belongs to this object. */
  readonly fd: number;
  readonly #count = new DataView(new ArrayBuffer(8));
  readonly #countBytes = new Uint8Array(this.#count.buffer);
  readonly #one = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
  #open = true;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** Makes a new one, its counter 0. */
  static create(): EventFd {
    const c = libc();
    const fd = c.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) throw systemError('eventfd', 'make an eventfd', c.errno());
    return new EventFd(fd);
  }

  /**
   * Takes over a descriptor that came from elsewhere, and makes it non-blocking. A refused one stays open, the
   * caller's.
   *
   * @throws {@link HostError} `wrong-kind` where it is no eventfd: another kind could block, or be anything
   */
  static adopt(fd: number): EventFd {
    const name = descriptorName(fd);
    if (name !== 'anon_inode:[eventfd]') {
      throw new HostError('wrong-kind', `Cannot use ${name} as an eventfd`, { operation: 'adopt' });
    }
    setNonBlocking(fd);
    return new EventFd(fd);
  }

  /** Adds 1 to the counter. A counter that is full stays so: whoever waits is woken either way. */
  signal(): void {
    this.#check('signal');
    const c = libc();
    if (c.write(this.fd, this.#one, 8) === 8) return;
    const errno = c.errno();
    if (!isTryAgain(errno)) throw systemError('write', `signal eventfd ${this.fd}`, errno);
  }

  /**
   * Takes the counter back to 0.
   *
   * @returns whether it was signalled since the last time
   */
  consume(): boolean {
    this.#check('consume');
    const c = libc();
    if (c.read(this.fd, this.#countBytes, 8) === 8) return true;
    const errno = c.errno();
    if (isTryAgain(errno)) return false;
    throw systemError('read', `consume eventfd ${this.fd}`, errno);
  }

  /** Gives the descriptor back. Take it out of its poller first. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeDescriptor(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #check(operation: string): void {
    if (!this.#open)
      throw new HostError('closed', `Cannot ${operation} an eventfd: it is closed`, { operation });
  }
}
