import { HostError } from './host-error.ts';
import { libc } from './libc.ts';
import type { Interest, Poller, Watch } from './poller.ts';

/**
 * Polls on the runtime's event loop (Node, Deno). Open watches keep the process running.
 *
 * It rests on koffi's binding of libuv, which is undocumented; the package pins the version it was tested with.
 * Bun has no such poll and would abort, so that there `add` answers `unsupported`.
 */
export class EventLoopPoller implements Poller {
  readonly #watches = new Set<Watch>();

  add(fd: number, interest: Interest, ready: () => void): Watch {
    const { readable = false, writable = false } = interest;
    if (!readable && !writable) {
      throw new HostError('invalid', `Cannot poll descriptor ${fd}: nothing to wait for`, {
        operation: 'poll',
      });
    }
    const handle = libc().loopPoll(fd, { readable, writable }, ready);
    return this.#watch(() => handle.close());
  }

  every(milliseconds: number, tick: () => void): Watch {
    const timer = setInterval(tick, milliseconds);
    return this.#watch(() => clearInterval(timer));
  }

  /** Ends every watch. */
  close(): void {
    for (const watch of [...this.#watches]) watch.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #watch(end: () => void): Watch {
    const close = (): void => {
      if (this.#watches.delete(watch)) end();
    };
    const watch: Watch = { close, [Symbol.dispose]: close };
    this.#watches.add(watch);
    return watch;
  }
}
