// What Stryker loads: a runner of our tests, and what is no mutant of ours.
import { readFileSync, writeFileSync } from 'node:fs';
import { register } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { collect, collected } from './node-test.mjs';

/**
 * @typedef {import('./node-test.mjs').Test} Test
 *
 * @typedef {object} Switch what Stryker's instrumented code looks at
 * @property {string} [activeMutant]
 * @property {string} [currentTestId]
 * @property {number} [hitCount]
 * @property {number} [hitLimit]
 * @property {{ static: Record<string, number>, perTest: Known['hits'] }} [mutantCoverage]
 *
 * @typedef {{ activeMutant: { id: string }, testFilter?: string[] }} MutantRun
 * @typedef {{ id: string, name: string, status: number, timeSpentMs: number, failureMessage?: string }} Outcome
 * @typedef {{ testFiles: string[], leftOut?: string }} Options
 *
 * @typedef {object} Known
 * @property {string[]} order names of the tests, the quickest first: most mutants fall to a quick one
 * @property {Record<string, Record<string, number>>} hits how often each test runs the code of each mutant
 */

/** Stryker's numbers for what became of a test. */
const SUCCESS = 0;
const FAILED = 1;

/** What was learned without mutants, in the folder where the tests run: a process that is new knows it too. */
const KNOWN = 'known.json';

/** A test that runs a mutant ten times as often as the code that it stands for, and this often, will not end. */
const SPARE_HITS = 10_000;

/** @type {Switch} */
const now = {};
Object.assign(globalThis, { __stryker__: now });

/**
 * Runs the collected tests in this process, one after another, as often as there are mutants.
 *
 * A mutant may spoil what outlives a test: a buffer that is never returned, a lock that is never released. So a test that
 * fails is run once more without the mutant. If it fails again, the mutant is judged again by a fresh process, and what it
 * spoils is thrown away.
 */
export class Runner {
  /** @param {Options} options */
  constructor({ testFiles, leftOut }) {
    this.files = testFiles;
    this.leftOut = leftOut === undefined ? undefined : new RegExp(leftOut);
    /** By name. @type {Map<string, Test>} */
    this.tests = new Map();
    /** No mutant has run here yet. */
    this.fresh = true;
    this.spoilt = false;
  }

  capabilities() {
    return { reloadEnvironment: false };
  }

  /** @param {{}} _run */
  async dryRun(_run) {
    await this.load();
    /** @type {Outcome[]} */
    const outcomes = [];
    for (const [id, test] of this.tests) {
      now.currentTestId = id;
      const began = performance.now();
      const why = await failure(test);
      const timeSpentMs = performance.now() - began;
      outcomes.push(
        why === undefined
          ? { id, name: id, status: SUCCESS, timeSpentMs }
          : { id, name: id, status: FAILED, timeSpentMs, failureMessage: why },
      );
    }
    delete now.currentTestId;
    outcomes.sort((a, b) => a.timeSpentMs - b.timeSpentMs);
    const { static: loaded, perTest } = now.mutantCoverage ?? { static: {}, perTest: {} };
    // What runs both when a module is loaded and in tests is judged by the tests, and needs no process of its own.
    for (const hits of Object.values(perTest)) for (const id of Object.keys(hits)) delete loaded[id];
    /** @type {Known} */
    const known = { order: outcomes.map(({ id }) => id), hits: perTest };
    writeFileSync(KNOWN, JSON.stringify(known));
    return { status: 'complete', tests: outcomes, mutantCoverage: { static: loaded, perTest } };
  }

  /** @param {MutantRun} run */
  async mutantRun({ activeMutant: { id }, testFilter }) {
    if (this.spoilt) throw new Error('The mutant before this one left its traces');
    await this.load();
    const { order, hits } = this.known();
    const chosen = new Set(testFilter ?? order);
    now.activeMutant = id;
    try {
      let nrOfTests = 0;
      for (const name of order) {
        const test = this.tests.get(name);
        if (test === undefined || !chosen.has(name)) continue;
        nrOfTests++;
        now.hitCount = 0;
        now.hitLimit = SPARE_HITS + (hits[name]?.[id] ?? 0) * 10;
        const failureMessage = await failure(test);
        if (failureMessage === undefined) continue;
        if (now.hitCount > now.hitLimit) return { status: 'timeout', reason: 'It ran its code too often' };
        delete now.activeMutant;
        if ((await failure(test)) !== undefined) {
          this.spoilt = true;
          if (!this.fresh) throw new Error('This mutant, or one before it, left its traces');
        }
        return { status: 'killed', killedBy: [name], failureMessage, nrOfTests };
      }
      return { status: 'survived', nrOfTests };
    } finally {
      delete now.activeMutant;
      this.fresh = false;
    }
  }

  /** @returns {Known} */
  known() {
    return JSON.parse(readFileSync(KNOWN, 'utf8'));
  }

  async load() {
    if (this.tests.size > 0) return;
    register('./hooks.mjs', import.meta.url);
    const { default: fc } = await import('fast-check');
    // The same cases for every mutant, and no search for the smallest: a failure is all that is asked for.
    fc.configureGlobal({ seed: 1, endOnFailure: true });
    for (const file of this.files) {
      const url = pathToFileURL(path.resolve(file)).href;
      await collect(file, () => import(url));
    }
    for (const test of collected()) {
      if (this.leftOut?.test(test.name)) continue;
      const name = `${path.basename(test.file)}: ${test.name}`;
      if (this.tests.has(name)) throw new Error(`Two tests are called ${name}`);
      this.tests.set(name, test);
    }
  }
}

/**
 * @param {Test} test
 * @returns {Promise<string | undefined>} what it failed with
 */
async function failure(test) {
  try {
    await test.run();
    return undefined;
  } catch (why) {
    return why instanceof Error ? why.message : String(why);
  }
}

/**
 * The wording of a message is for people, and no test asks for it: texts of several words, and those that are put together.
 */
class Wording {
  /** @param {{ node: { type: string, value?: unknown } }} path */
  shouldIgnore({ node }) {
    const { type, value } = node;
    return type === 'TemplateLiteral' ||
      (type === 'StringLiteral' && typeof value === 'string' && value.includes(' '))
      ? 'the wording of a message'
      : undefined;
  }
}

/** @param {{ guestmem: Options }} options Stryker's, with ours under the name of the package */
function makeRunner({ guestmem }) {
  return new Runner(guestmem);
}
makeRunner.inject = /** @type {const} */ (['options']);

export const strykerPlugins = [
  { kind: 'TestRunner', name: 'guestmem', factory: makeRunner },
  { kind: 'Ignore', name: 'wording', injectableClass: Wording },
];

/** What Stryker is to know of our options. */
export const strykerValidationSchema = {
  properties: {
    guestmem: { type: 'object', properties: { testFiles: { type: 'array' }, leftOut: { type: 'string' } } },
  },
};
