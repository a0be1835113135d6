import type { Interest, Poller, Watch } from '../../src/host/index.ts';

/** A poller that a test turns by hand, so that a whole conversation is synchronous. */
export class ManualPoller implements Poller {
  readonly #callbacks = new Set<() => void>();

  add(_fd: number, _interest: Interest, ready: () => void): Watch {
    return this.#watch(ready);
  }

  every(_milliseconds: number, tick: () => void): Watch {
    return this.#watch(tick);
  }

  /** Calls everybody, as if all were ready: nobody may mind being called for nothing. */
  turn(): void {
    for (const callback of [...this.#callbacks]) if (this.#callbacks.has(callback)) callback();
  }

  /** How many watches are open. */
  get size(): number {
    return this.#callbacks.size;
  }

  close(): void {
    this.#callbacks.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #watch(callback: () => void): Watch {
    const own = (): void => callback();
    this.#callbacks.add(own);
    const close = (): void => {
      this.#callbacks.delete(own);
    };
    return { close, [Symbol.dispose]: close };
  }
}
