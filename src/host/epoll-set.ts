import { closeDescriptor } from './descriptor.ts';
import { isInterrupted } from './errno.ts';
import { HostError, systemError } from './host-error.ts';
import { libc } from './libc.ts';
import type { Interest, Watch } from './poller.ts';

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 0x1;
const EPOLLOUT = 0x4;

/** struct epoll_event: events (4 bytes), then 8 bytes of ours; packed on x86-64 only. */
const DATA = process.arch === 'x64' ? 4 : 8;
const EVENT = DATA + 8;
/** Events taken in one system call. */
const BATCH = 64;

/** The descriptors that a poller watches: a set in the kernel, epoll(7), and the callbacks that belong to it. */
export class EpollSet {
  /** Readable while a watched descriptor is ready. It belongs to this object. */
  readonly fd: number;
  /** By a number that is never used again: a descriptor's own may be, while an old event for it is still in the batch. */
  readonly #ready = new Map<number, () => void>();
  readonly #events = new DataView(new ArrayBuffer(EVENT * BATCH));
  readonly #eventBytes = new Uint8Array(this.#events.buffer);
  #lastKey = 0;
  #open = true;

  /** @throws {@link HostError} `system` where there is no descriptor left */
  constructor() {
    const c = libc();
    this.fd = c.epoll_create1(EPOLL_CLOEXEC);
    if (this.fd < 0) throw systemError('epoll_create1', 'make an epoll descriptor', c.errno());
  }

  /** How many descriptors are watched. */
  get size(): number {
    return this.#ready.size;
  }

  add(fd: number, interest: Interest, ready: () => void): Watch {
    this.check();
    const events = (interest.readable === true ? EPOLLIN : 0) | (interest.writable === true ? EPOLLOUT : 0);
    if (events === 0) {
      const message = `Cannot poll descriptor ${fd}: nothing to wait for`;
      throw new HostError('invalid', message, { operation: 'poll' });
    }
    this.#lastKey += 1;
    const key = this.#lastKey;
    const event = new DataView(new ArrayBuffer(EVENT));
    event.setUint32(0, events, true);
    event.setFloat64(DATA, key, true);
    const c = libc();
    if (c.epoll_ctl(this.fd, EPOLL_CTL_ADD, fd, new Uint8Array(event.buffer)) < 0) {
      throw systemError('epoll_ctl', `poll descriptor ${fd}`, c.errno());
    }
    this.#ready.set(key, ready);
    return makeWatch(() => {
      // Not left to close(fd): the file may live on in another process, and with it the registration.
      if (!this.#ready.delete(key) || !this.#open) return;
      if (c.epoll_ctl(this.fd, EPOLL_CTL_DEL, fd, null) < 0) {
        throw systemError('epoll_ctl', `stop polling descriptor ${fd}`, c.errno());
      }
    });
  }

  /**
   * Waits at most so many milliseconds (-1: for ever), then calls back for what is ready, as long as `goOn` says so.
   * What a callback throws comes out; events not delivered then are found again by the next call.
   */
  dispatch(timeout: number, goOn: () => boolean): void {
    this.check();
    const c = libc();
    const count = c.epoll_wait(this.fd, this.#eventBytes, BATCH, timeout);
    if (count < 0) {
      const errno = c.errno();
      if (isInterrupted(errno)) return;
      throw systemError('epoll_wait', 'wait for descriptors', errno);
    }
    for (let i = 0; i < count && goOn(); i++) {
      this.#ready.get(this.#events.getFloat64(i * EVENT + DATA, true))?.();
    }
  }

  /** @throws {@link HostError} `closed` */
  check(): void {
    if (!this.#open)
      throw new HostError('closed', 'Cannot use a poller: it is closed', { operation: 'poll' });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#ready.clear();
    closeDescriptor(this.fd);
  }
}

/** A {@link Watch} of one function. */
export function makeWatch(close: () => void): Watch {
  return { close, [Symbol.dispose]: close };
}
