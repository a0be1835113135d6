import type { Closable } from '../core/index.ts';
import { closeDescriptor, descriptorName, setNonBlocking } from './descriptor.ts';
import { isInterrupted, isTryAgain } from './errno.ts';
import { HostError, systemError } from './host-error.ts';
import { libc } from './libc.ts';
import { MAX_DESCRIPTORS, MessageHeader } from './message-header.ts';
import { AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, socketAddress } from './socket-address.ts';

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;

/** What {@link UnixSocket.receive} got. */
export interface Received {
  /** Bytes; 0 where the peer has closed. */
  readonly length: number;
  /** Descriptors that came along. They are the receiver's to close. */
  readonly fds: number[];
}

/** A connected stream socket that carries bytes and descriptors. It never blocks. */
export class UnixSocket implements Closable {
  /** The descriptor. It belongs to this object. */
  readonly fd: number;
  readonly #header = new MessageHeader();
  #open = true;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * Connects to a listening socket.
   *
   * @throws {@link HostError} `too-large` for a path over 107 bytes, `system` where nobody listens
   */
  static connect(path: string): UnixSocket {
    const address = socketAddress(path);
    const c = libc();
    const fd = c.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) throw systemError('socket', 'make a socket', c.errno());
    if (c.connect(fd, address, address.byteLength) < 0) {
      const errno = c.errno();
      closeDescriptor(fd);
      throw systemError('connect', `connect to "${path}"`, errno);
    }
    return new UnixSocket(fd);
  }

  /** Two sockets connected to each other. */
  static pair(): [UnixSocket, UnixSocket] {
    const fds = new Int32Array(2);
    const c = libc();
    if (c.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
      throw systemError('socketpair', 'make a pair of sockets', c.errno());
    }
    const [a = -1, b = -1] = fds;
    return [new UnixSocket(a), new UnixSocket(b)];
  }

  /**
   * Takes over a connected stream socket that came from elsewhere, and makes it non-blocking.
   *
   * @throws {@link HostError} `wrong-kind` where it is no socket
   */
  static adopt(fd: number): UnixSocket {
    const name = descriptorName(fd);
    if (!name.startsWith('socket:')) {
      throw new HostError('wrong-kind', `Cannot use ${name} as a socket`, { operation: 'adopt' });
    }
    setNonBlocking(fd);
    return new UnixSocket(fd);
  }

  /**
   * Sends bytes, and copies of descriptors with the first of them. Does not wait for room.
   *
   * @returns how many bytes went; fewer than asked, or 0, where the peer does not read
   * @throws {@link HostError} `invalid` for descriptors without a byte to carry them, `too-large` for more than 32,
   * `system` where the peer has gone
   */
  send(bytes: Uint8Array, fds: readonly number[] = []): number {
    this.#check('sendmsg');
    if (fds.length > MAX_DESCRIPTORS) {
      throw new HostError(
        'too-large',
        `Cannot send ${fds.length} descriptors: at most ${MAX_DESCRIPTORS} in one message`,
        {
          operation: 'sendmsg',
        },
      );
    }
    if (bytes.byteLength === 0) {
      if (fds.length === 0) return 0;
      throw new HostError('invalid', 'Cannot send descriptors without a byte', { operation: 'sendmsg' });
    }
    this.#header.forSending(bytes, fds);
    const c = libc();
    for (;;) {
      const sent = c.sendmsg(this.fd, this.#header.bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent >= 0) return sent;
      const errno = c.errno();
      if (isTryAgain(errno)) return 0;
      if (!isInterrupted(errno)) throw systemError('sendmsg', `send ${bytes.byteLength} bytes`, errno);
    }
  }

  /**
   * Receives what is there, at most as many bytes as `into` has. The kernel ends it early where other descriptors
   * begin, so that those received always belong to these bytes.
   *
   * @returns `undefined` where nothing is there yet
   * @throws {@link HostError} `invalid` for an empty `into`, `truncated` where more descriptors came than fit (those that did are closed),
   * `system` where the connection broke
   */
  receive(into: Uint8Array): Received | undefined {
    this.#check('recvmsg');
    if (into.byteLength === 0) {
      // It would answer 0, which says that the peer has closed.
      throw new HostError('invalid', 'Cannot receive into 0 bytes', { operation: 'recvmsg' });
    }
    const c = libc();
    for (;;) {
      this.#header.forReceiving(into);
      const length = c.recvmsg(this.fd, this.#header.bytes, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      if (length >= 0) return { length, fds: this.#takeDescriptors() };
      const errno = c.errno();
      if (isTryAgain(errno)) return undefined;
      if (!isInterrupted(errno)) throw systemError('recvmsg', `receive ${into.byteLength} bytes`, errno);
    }
  }

  /** Ends the connection. Take the descriptor out of its poller first. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeDescriptor(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #takeDescriptors(): number[] {
    const fds = this.#header.receivedDescriptors();
    if (!this.#header.isTruncated()) return fds;
    for (const fd of fds) closeDescriptor(fd);
    const message = `Cannot receive a message's descriptors: some were lost, ${fds.length} are closed`;
    throw new HostError('truncated', message, { operation: 'recvmsg' });
  }

  #check(operation: string): void {
    if (!this.#open) throw new HostError('closed', 'Cannot use a socket: it is closed', { operation });
  }
}
