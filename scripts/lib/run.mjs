import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';

/**
 * @typedef {object} Ran
 * @property {number} status exit status; 128 + signal number as shells do, 127 if it could not be started
 * @property {string} output standard output and error together, empty if they were shown
 * @property {boolean} timedOut
 */

const SIGNALS = /** @type {const} */ ({
  SIGHUP: 1,
  SIGINT: 2,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
});

/** What is running now and is not in our process group. @type {Set<import('node:child_process').ChildProcess>} */
const apart = new Set();

for (const signal of /** @type {const} */ (['SIGHUP', 'SIGINT', 'SIGTERM'])) {
  process.once(signal, () => {
    for (const child of apart) killGroup(child);
    process.exit(128 + SIGNALS[signal]);
  });
}

/**
 * Runs a program to its end. It gets no input, and when its time is over it goes with everything it started.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, show?: boolean, timeoutMs?: number }} [options]
 *   `show` lets its output through instead of collecting it
 * @returns {Promise<Ran>}
 */
export function run(command, args, { cwd, env, show = false, timeoutMs = 600_000 } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: env ?? process.env,
      stdio: ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'],
      // A group of its own, so that the whole family can be ended. Shown programs stay in ours: Ctrl-C reaches them.
      detached: !show && process.platform !== 'win32',
    });
    if (!show) apart.add(child);
    let output = '';
    let timedOut = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    const timer = setTimeout(() => {
      timedOut = true;
      if (show) child.kill('SIGKILL');
      else killGroup(child);
    }, timeoutMs);
    child.on('error', (error) => {
      clearTimeout(timer);
      apart.delete(child);
      resolve({ status: 127, output: `${output}Cannot start ${command}: ${error.message}\n`, timedOut });
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      apart.delete(child);
      if (timedOut) output += `Stopped after ${timeoutMs / 1000} s\n`;
      resolve({ status: code ?? 128 + signalNumber(signal), output, timedOut });
    });
  });
}

/**
 * Ends a program and everything that it started.
 *
 * @param {import('node:child_process').ChildProcess} child
 */
function killGroup(child) {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // It ended by itself a moment ago.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** @param {NodeJS.Signals | null} signal */
function signalNumber(signal) {
  return Object.entries(SIGNALS).find(([name]) => name === signal)?.[1] ?? 0;
}

/**
 * Works through a list, as many items at once as there are processors.
 *
 * @template T
 * @param {readonly T[]} items
 * @param {(item: T) => Promise<void>} work
 */
export async function eachAtOnce(items, work) {
  const left = items.values();
  await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      for (const item of left) await work(item);
    }),
  );
}
