// A reporter for `node --test`: one line per file, what failed or was skipped in full. For whoever started the run, the
// counts go as JSON to the file that GUESTMEM_TALLY names.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';
import { duration, indent } from './say.mjs';

/**
 * @typedef {object} TestEvent the part of node's events that is used here, the same from Node 20 to 26
 * @property {string} type
 * @property {{
 *   name?: string, file?: string, nesting?: number, skip?: string | boolean, todo?: string | boolean, message?: string,
 *   details?: { duration_ms?: number, type?: string, error?: unknown },
 * }} data
 *
 * @typedef {object} Tally
 * @property {number} passed
 * @property {number} failed
 * @property {string[]} skipped each with its reason
 * @property {Record<string, { passed: number, failed: number, skipped: number }>} perFile
 */

/** @param {AsyncIterable<TestEvent>} source */
export default async function* briefReporter(source) {
  /** @type {Map<string, FileTally>} */
  const files = new Map();
  /** @type {FileTally | undefined} */
  let current;
  for await (const { type, data } of source) {
    if (data.file === undefined) continue;
    const tally = files.get(data.file) ?? new FileTally(data.file);
    files.set(data.file, tally);
    tally.take(type, data);
    // Results come file after file, whatever order the files ran in.
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (current !== undefined && current !== tally) yield current.report();
    current = tally;
  }
  if (current !== undefined) yield current.report();

  const tallies = [...files.values()];
  /** @type {Tally} */
  const total = {
    passed: tallies.reduce((sum, { passed }) => sum + passed, 0),
    failed: tallies.reduce((sum, { failed }) => sum + failed, 0),
    skipped: tallies.flatMap(({ skipped }) => skipped),
    perFile: Object.fromEntries(
      tallies.map(({ name, passed, failed, skipped }) => [name, { passed, failed, skipped: skipped.length }]),
    ),
  };
  const to = process.env['GUESTMEM_TALLY'];
  if (to !== undefined) writeFileSync(to, JSON.stringify(total));
}

/** What happened in one test file. */
class FileTally {
  passed = 0;
  failed = 0;
  /** @type {string[]} */
  skipped = [];
  #ms = 0;
  /** @type {string[]} */
  #failures = [];
  #noise = '';
  /** Names of the suites and the test that is running, outermost first. @type {string[]} */
  #names = [];
  /** @type {string} */
  #file;

  /** @param {string} file */
  constructor(file) {
    this.#file = file;
  }

  /**
   * @param {string} type
   * @param {TestEvent['data']} data
   */
  take(type, data) {
    if (type === 'test:stdout' || type === 'test:stderr') this.#noise += data.message ?? '';
    if (type === 'test:start') {
      this.#names.length = data.nesting ?? 0;
      this.#names.push(data.name ?? '');
    }
    if (type === 'test:pass' || type === 'test:fail') this.#count(type, data);
  }

  /**
   * @param {'test:pass' | 'test:fail'} type
   * @param {TestEvent['data']} data
   */
  #count(type, data) {
    const { details, skip, todo } = data;
    const isSuite = details?.type === 'suite';
    const isFile = data.nesting === 0 && path.resolve(data.name ?? '') === this.#file;
    const name = [...this.#names.slice(0, data.nesting ?? 0), data.name ?? ''].join(' > ');
    if (data.nesting === 0) this.#ms += details?.duration_ms ?? 0;
    if (type === 'test:fail') {
      // A suite that failed only because of a test in it is counted at that test.
      if (failureType(details?.error) === 'subtestsFailed') return;
      this.#fail(isFile ? 'The file itself failed' : name, isFile ? this.#noise : show(details?.error));
    } else if (skipOf(skip) ?? skipOf(todo)) {
      this.skipped.push(`${this.name}: ${name}: ${skipOf(skip) ?? skipOf(todo)}`);
    } else if (isFile) {
      this.#fail('The file has no tests', this.#noise);
    } else if (!isSuite) {
      this.passed++;
    }
  }

  /**
   * @param {string} name
   * @param {string} why
   */
  #fail(name, why) {
    this.failed++;
    this.#failures.push(`  FAILED ${name}\n${indent(why)}\n`);
  }

  /** Path of the file as it was asked for. */
  get name() {
    return path.relative(process.cwd(), this.#file);
  }

  /** @returns {string} */
  report() {
    const parts = [`${this.passed} ok`];
    if (this.failed > 0) parts.push(`${this.failed} FAILED`);
    if (this.skipped.length > 0) parts.push(`${this.skipped.length} skipped`);
    const head = `${this.name.padEnd(56)} ${parts.join(', ')}, ${duration(this.#ms)}\n`;
    return [head, ...this.#failures, ...this.skipped.map((skip) => `  skipped ${skip}\n`)].join('');
  }
}

/**
 * @param {string | boolean | undefined} mark of a skip or a todo; the reason may be empty
 * @returns {string | undefined}
 */
function skipOf(mark) {
  if (mark === undefined || mark === false) return undefined;
  return mark === true || mark === '' ? 'no reason given' : mark;
}

/** @param {unknown} error */
function failureType(error) {
  return error instanceof Error && 'failureType' in error ? error.failureType : undefined;
}

/**
 * @param {unknown} error node's wrapper; what the test threw is its cause
 * @returns {string}
 */
function show(error) {
  const thrown = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return typeof thrown === 'string' ? thrown : inspect(thrown, { depth: 4 });
}
