import { EpollSet, makeWatch } from './epoll-set.ts';
import type { Interest, Poller, Watch } from './poller.ts';

interface Timer {
  readonly interval: number;
  readonly tick: () => void;
  due: number;
}

/**
 * Polls by blocking its thread in the kernel: for a Worker that does nothing else, where it costs one system call per
 * round and no event loop. `run()` returns when a callback calls `stop()`; to stop it from another thread, watch an
 * `EventFd` and signal that.
 */
export class BlockingPoller implements Poller {
  readonly #set: EpollSet;
  readonly #timers = new Set<Timer>();
  #running = false;

  /** @throws HostError `system` where the process has no descriptor left, `no-ffi`, `unsupported` */
  constructor() {
    this.#set = new EpollSet();
  }

  add(fd: number, interest: Interest, ready: () => void): Watch {
    return this.#set.add(fd, interest, ready);
  }

  every(milliseconds: number, tick: () => void): Watch {
    this.#set.check();
    const timer: Timer = { interval: milliseconds, tick, due: performance.now() + milliseconds };
    this.#timers.add(timer);
    return makeWatch(() => this.#timers.delete(timer));
  }

  /** Waits and calls back until {@link BlockingPoller.stop}. What a callback throws comes out here. */
  run(): void {
    this.#set.check();
    this.#running = true;
    const goOn = (): boolean => this.#running;
    while (this.#running) {
      this.#set.dispatch(this.#timeout(), goOn);
      this.#tick();
    }
  }

  /** Lets `run()` return after the present callback. Call it on the same thread, from a callback. */
  stop(): void {
    this.#running = false;
  }

  /** Ends the polling and closes what it holds. */
  close(): void {
    this.#running = false;
    this.#timers.clear();
    this.#set.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Milliseconds until the next timer is due; -1 where there is none. */
  #timeout(): number {
    if (this.#timers.size === 0) return -1;
    let next = Number.POSITIVE_INFINITY;
    for (const { due } of this.#timers) next = Math.min(next, due);
    return Math.min(0x7fff_ffff, Math.max(0, Math.ceil(next - performance.now())));
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
}
