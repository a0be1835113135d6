import { lstatSync, unlinkSync } from 'node:fs';
import type { Closable } from '../core/index.ts';
import { closeDescriptor } from './descriptor.ts';
import { isInterrupted, isTryAgain } from './errno.ts';
import { HostError, isHostError, systemError } from './host-error.ts';
import { libc } from './libc.ts';
import { AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, socketAddress } from './socket-address.ts';
import { UnixSocket } from './unix-socket.ts';

/** A listening socket at a path of the file system. It never blocks. */
export class UnixListener implements Closable {
  /** The descriptor: readable while a connection waits. It belongs to this object. */
  readonly fd: number;
  /** Where it listens. */
  readonly path: string;
  /** The socket file that was made here, so that nobody else's is removed at the end. */
  readonly #made: FileIdentity | undefined;
  #open = true;

  private constructor(fd: number, path: string) {
    this.fd = fd;
    this.path = path;
    this.#made = identify(path);
  }

  /**
   * Listens at `path`. A socket file whose server has gone is replaced; nothing else is.
   *
   * @param options.backlog - connections that may wait, default 16
   * @throws {@link HostError} `in-use` where a live server listens there, `wrong-kind` where something else is in the way,
   * `too-large` for a path over 107 bytes, `system` where the system refuses
   */
  static bind(path: string, options: { backlog?: number } = {}): UnixListener {
    const address = socketAddress(path);
    removeStale(path);
    const c = libc();
    const fd = c.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) throw systemError('socket', 'make a socket', c.errno());
    if (c.bind(fd, address, address.byteLength) < 0 || c.listen(fd, options.backlog ?? 16) < 0) {
      const errno = c.errno();
      closeDescriptor(fd);
      throw systemError('bind', `listen at "${path}"`, errno);
    }
    return new UnixListener(fd, path);
  }

  /** The next connection that waits, or `undefined`. */
  accept(): UnixSocket | undefined {
    if (!this.#open)
      throw new HostError('closed', 'Cannot accept: the listener is closed', { operation: 'accept' });
    const c = libc();
    for (;;) {
      const fd = c.accept4(this.fd, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0) return UnixSocket.adopt(fd);
      const errno = c.errno();
      if (isTryAgain(errno)) return undefined;
      if (!isInterrupted(errno)) throw systemError('accept4', `accept a connection at "${this.path}"`, errno);
    }
  }

  /** Stops listening and removes the socket file, where it is still the one made here. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    const there = identify(this.path);
    if (there !== undefined && there.dev === this.#made?.dev && there.ino === this.#made.ino)
      unlinkSync(this.path);
    closeDescriptor(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
  isSocket(): boolean;
}

function identify(path: string): FileIdentity | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

function removeStale(path: string): void {
  const there = identify(path);
  if (there === undefined) return;
  if (!there.isSocket()) {
    throw new HostError('wrong-kind', `Cannot listen at "${path}": there is a file that is no socket`, {
      operation: 'bind',
    });
  }
  if (isAnswered(path)) {
    throw new HostError('in-use', `Cannot listen at "${path}": a live server listens there`, {
      operation: 'bind',
    });
  }
  unlinkSync(path);
}

/** A server is live where a connection is not refused; EAGAIN says that it is, with too many waiting. */
function isAnswered(path: string): boolean {
  try {
    UnixSocket.connect(path).close();
    return true;
  } catch (error) {
    if (isHostError(error) && error.errno === 'ECONNREFUSED') return false;
    if (isHostError(error) && error.errno === 'EAGAIN') return true;
    throw error;
  }
}
