import type { Closable } from '../core/index.ts';

/** What to wait for on a descriptor. */
export interface Interest {
  readonly readable?: boolean;
  readonly writable?: boolean;
}

/** A registration with a poller. Close it before its descriptor. */
export type Watch = Closable;

/**
 * Calls back when descriptors are ready. It is level-triggered: a callback that does not take what is there is called
 * again. An end of file, a hang-up or an error counts as ready, and the next read or write says which it is.
 *
 * Two forms: `EventLoopPoller` on the runtime's event loop, and `BlockingPoller` for a thread that does nothing else.
 */
export interface Poller extends Closable {
  /**
   * Calls `ready` whenever `fd` is.
   *
   * @throws HostError `system` where the descriptor cannot be polled (regular files cannot)
   */
  add(fd: number, interest: Interest, ready: () => void): Watch;
  /** Calls `tick` about every so many milliseconds. */
  every(milliseconds: number, tick: () => void): Watch;
}
