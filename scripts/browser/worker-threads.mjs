// node:worker_threads for a page and its Workers, as far as the races of the portable tests use it. A page has
// Worker of it; in a Worker, worker-entry.mjs has put there what this file hands on.

import { Listeners } from './listeners.mjs';

/**
 * @typedef {{ url: string, workerData: unknown }} Start the first message to a Worker
 * @typedef {{ message: unknown } | { broken: unknown }} Sent what a Worker sends
 */

/** A module Worker with the manners of Node's. It lives until it is terminated or the page goes. */
export class Worker extends Listeners {
  /**
   * @param {URL} url
   * @param {{ workerData?: unknown }} [options]
   */
  constructor(url, { workerData } = {}) {
    super();
    this.inner = new globalThis.Worker(new URL('./worker-entry.mjs', import.meta.url), { type: 'module' });
    this.inner.onmessage = ({ data }) => {
      const sent = /** @type {Sent} */ (data);
      if ('broken' in sent) this.#fail(sent.broken);
      else this.emit('message', sent.message);
    };
    this.inner.onerror = (event) => {
      event.preventDefault();
      this.#fail(event.error ?? new Error(`The Worker failed: ${event.message}`));
    };
    this.inner.onmessageerror = () => this.#fail(new Error('What the Worker sent cannot be read'));
    /** @type {Start} */
    const start = { url: url.href, workerData };
    this.inner.postMessage(start);
  }

  /**
   * @param {unknown} message
   * @param {Transferable[]} [transfer]
   */
  postMessage(message, transfer = []) {
    this.inner.postMessage(message, transfer);
  }

  /** @returns {Promise<number>} the exit code, as Node gives it */
  async terminate() {
    this.inner.terminate();
    this.emit('exit', 1);
    return 1;
  }

  /** @param {unknown} error */
  #fail(error) {
    // Nobody listens: it is the page's own, and fails the file.
    if (!this.emit('error', error)) reportError(error);
    this.inner.terminate();
    this.emit('exit', 1);
  }
}

/** What worker-entry.mjs left. @type {{ workerData: unknown, parentPort: unknown } | undefined} */
const given = Reflect.get(globalThis, 'guestmemWorker');

export const workerData = given?.workerData;
export const parentPort = given?.parentPort ?? null;

/** A page cannot take a message without yielding: there is never one. */
export function receiveMessageOnPort() {
  return undefined;
}
