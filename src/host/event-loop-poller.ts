import { EpollSet, makeWatch } from './epoll-set.ts';
import { type LoopPoll, libc } from './libc.ts';
import type { Interest, Poller, Watch } from './poller.ts';

/**
 * Polls on the runtime's event loop (Node, Deno). Open watches keep the process running.
 *
 * The event loop watches one descriptor only: that of a set in the kernel which has all others. For koffi's binding of libuv is
 * undocumented, and ends the process where the loop refuses a descriptor (one that is closed, a regular file, one that is
 * watched already); the set reports these as errors. Bun has no such binding, and `add` answers `unsupported` there.
 */
export class EventLoopPoller implements Poller {
  readonly #set: EpollSet;
  readonly #timers = new Set<NodeJS.Timeout>();
  #loop: LoopPoll | undefined;
  #immediate: NodeJS.Immediate | undefined;

  /** @throws HostError `system` where the process has no descriptor left, `no-ffi`, `unsupported` */
  constructor() {
    this.#set = new EpollSet();
  }

  add(fd: number, interest: Interest, ready: () => void): Watch {
    const watch = this.#set.add(fd, interest, ready);
    try {
      // Not called from within koffi's own callback: what is thrown there aborts the process at the next garbage collection, and
      // promises settled there are not looked at until something else happens (Node 26, Deno).
      this.#loop ??= libc().loopPoll(this.#set.fd, () => {
        this.#immediate ??= setImmediate(() => this.#dispatch());
      });
    } catch (error) {
      watch.close();
      throw error;
    }
    return makeWatch(() => {
      watch.close();
      if (this.#set.size === 0) this.#leaveLoop();
    });
  }

  every(milliseconds: number, tick: () => void): Watch {
    this.#set.check();
    const timer = setInterval(tick, milliseconds);
    this.#timers.add(timer);
    return makeWatch(() => {
      clearInterval(timer);
      this.#timers.delete(timer);
    });
  }

  /** Ends every watch. */
  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers.clear();
    this.#leaveLoop();
    this.#set.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #dispatch(): void {
    this.#immediate = undefined;
    // A callback may end all watches, and with them the loop's.
    try {
      this.#set.dispatch(0, () => this.#loop !== undefined);
    } finally {
      this.#loop?.rearm();
    }
  }

  #leaveLoop(): void {
    this.#loop?.close();
    this.#loop = undefined;
    clearImmediate(this.#immediate);
    this.#immediate = undefined;
  }
}
