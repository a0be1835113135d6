import { closeDescriptor } from './descriptor.ts';
import { isInterrupted } from './errno.ts';
import { HostError, systemError } from './host-error.ts';
import { libc } from './libc.ts';
import type { Interest, Poller, Watch } from './poller.ts';

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

interface Timer {
  readonly interval: number;
  readonly tick: () => void;
  due: number;
}

/**
 * Polls by blocking its thread in epoll(7): for a Worker that does nothing else, where it costs one system call per
 * round and no event loop. `run()` returns when a callback calls `stop()`; to stop it from another thread, watch an
 * {@link EventFd} and signal that.
 */
export class BlockingPoller implements Poller {
  readonly #epoll: number;
  /** By a number that is never used again: a descriptor's own may be, while an old event for it is still in the batch. */
  readonly #ready = new Map<number, () => void>();
  readonly #timers = new Set<Timer>();
  readonly #events = new DataView(new ArrayBuffer(EVENT * BATCH));
  readonly #eventBytes = new Uint8Array(this.#events.buffer);
  #lastKey = 0;
  #running = false;
  #open = true;

  /** @throws {@link HostError} `system` where the kernel has no descriptor left */
  constructor() {
    const c = libc();
    this.#epoll = c.epoll_create1(EPOLL_CLOEXEC);
    if (this.#epoll < 0) throw systemError('epoll_create1', 'make an epoll descriptor', c.errno());
  }

  add(fd: number, interest: Interest, ready: () => void): Watch {
    this.#check('add');
    const events = (interest.readable === true ? EPOLLIN : 0) | (interest.writable === true ? EPOLLOUT : 0);
    if (events === 0) {
      throw new HostError('invalid', `Cannot poll descriptor ${fd}: nothing to wait for`, {
        operation: 'poll',
      });
    }
    this.#lastKey += 1;
    const key = this.#lastKey;
    const event = new DataView(new ArrayBuffer(EVENT));
    event.setUint32(0, events, true);
    event.setFloat64(DATA, key, true);
    const c = libc();
    if (c.epoll_ctl(this.#epoll, EPOLL_CTL_ADD, fd, new Uint8Array(event.buffer)) < 0) {
      throw systemError('epoll_ctl', `poll descriptor ${fd}`, c.errno());
    }
    this.#ready.set(key, ready);
    return watch(() => {
      // Not left to close(fd): the file may live on in another process, and with it the registration.
      if (!this.#ready.delete(key) || !this.#open) return;
      if (c.epoll_ctl(this.#epoll, EPOLL_CTL_DEL, fd, null) < 0) {
        throw systemError('epoll_ctl', `stop polling descriptor ${fd}`, c.errno());
      }
    });
  }

  every(milliseconds: number, tick: () => void): Watch {
    this.#check('every');
    const timer: Timer = { interval: milliseconds, tick, due: performance.now() + milliseconds };
    this.#timers.add(timer);
    return watch(() => this.#timers.delete(timer));
  }

  /** Waits and calls back until {@link BlockingPoller.stop}. What a callback throws comes out here. */
  run(): void {
    this.#check('run');
    this.#running = true;
    while (this.#running) {
      const count = this.#wait();
      for (let i = 0; i < count && this.#running; i++) {
        this.#ready.get(this.#events.getFloat64(i * EVENT + DATA, true))?.();
      }
      this.#tick();
    }
  }

  /** Lets `run()` return after the present callback. Call it on the same thread, from a callback. */
  stop(): void {
    this.#running = false;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#running = false;
    this.#ready.clear();
    this.#timers.clear();
    closeDescriptor(this.#epoll);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Blocks until something is ready or a timer is due; answers how many events there are. */
  #wait(): number {
    const c = libc();
    const count = c.epoll_wait(this.#epoll, this.#eventBytes, BATCH, this.#timeout());
    if (count >= 0) return count;
    const errno = c.errno();
    if (isInterrupted(errno)) return 0;
    throw systemError('epoll_wait', 'wait for descriptors', errno);
  }

  #timeout(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const timer of this.#timers) next = Math.min(next, timer.due);
    return next === Number.POSITIVE_INFINITY
      ? -1
      : Math.min(0x7fff_ffff, Math.max(0, Math.ceil(next - performance.now())));
  }

  #tick(): void {
    if (this.#timers.size === 0) return;
    const now = performance.now();
    for (const timer of this.#timers) {
      if (!this.#running || timer.due > now) continue;
      timer.due = now + timer.interval;
      timer.tick();
    }
  }

  #check(operation: string): void {
    if (!this.#open) throw new HostError('closed', 'Cannot use a poller: it is closed', { operation });
  }
}

function watch(close: () => void): Watch {
  return { close, [Symbol.dispose]: close };
}
