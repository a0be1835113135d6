// Where every Worker of a test begins: takes its data, then runs the test's own module.
import { Listeners } from './listeners.mjs';
import { show } from './show.mjs';

const self = /** @type {DedicatedWorkerGlobalScope} */ (/** @type {unknown} */ (globalThis));

class ParentPort extends Listeners {
  /** @param {unknown} message */
  postMessage(message) {
    self.postMessage({ message });
  }
}

// A page does not hear of these; Node counts them among what a Worker throws.
addEventListener('unhandledrejection', (event) => {
  event.preventDefault();
  fail(event.reason);
});

/** @param {unknown} why */
function fail(why) {
  try {
    self.postMessage({ broken: why });
  } catch {
    // Not everything can be posted.
    self.postMessage({ broken: new Error(show(why)) });
  }
}

/** Messages that came while the module was still loading. @type {unknown[]} */
const early = [];

self.onmessage = async ({ data }) => {
  const { url, workerData } = /** @type {import('./worker-threads.mjs').Start} */ (data);
  const parentPort = new ParentPort();
  self.onmessage = ({ data: message }) => early.push(message);
  Object.assign(globalThis, { guestmemWorker: { workerData, parentPort } });
  try {
    await import(url);
  } catch (broken) {
    fail(broken);
    return;
  }
  self.onmessage = ({ data: message }) => parentPort.emit('message', message);
  for (const message of early) parentPort.emit('message', message);
};
