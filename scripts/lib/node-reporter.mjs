// A reporter for node's test runner: what passed, failed and was skipped in one file, as JSON for scripts/lib/test-file.mjs.
import { inspect } from 'node:util';

/**
 * @typedef {object} TestEvent the part of node's events that is used here, the same from Node 20 to 26
 * @property {string} type
 * @property {{
 *   message?: string, name?: string, nesting?: number, skip?: string | boolean, todo?: string | boolean,
 *   details?: { type?: string, error?: unknown },
 * }} data
 * @typedef {import('./report.mjs').Report} Report
 */

/** The diagnostics that end every run. */
const COUNT = /^(?:tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

/** @param {AsyncIterable<TestEvent>} source */
export default async function* report(source) {
  /** @type {Report} */
  const found = { passed: 0, failed: [], skipped: [], diagnostics: [] };
  /** The suites around what is being reported, and itself. @type {string[]} */
  const names = [];
  for await (const { type, data } of source) {
    const { nesting = 0, name = '', details } = data;
    if (type === 'test:start') names.splice(nesting, names.length, name);
    if (type === 'test:diagnostic' && !COUNT.test(data.message ?? ''))
      found.diagnostics.push(data.message ?? '');
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const whole = [...names.slice(0, nesting), name].join(' > ');
    const skip = reason(data.skip) ?? reason(data.todo);
    if (type === 'test:fail') {
      // A suite that failed only because of what is in it is counted there.
      if (failureType(details?.error) !== 'subtestsFailed')
        found.failed.push({ name: whole, why: show(details?.error) });
    } else if (skip !== undefined) {
      found.skipped.push(`${whole}: ${skip}`);
    } else if (details?.type !== 'suite') {
      found.passed++;
    }
  }
  yield JSON.stringify(found);
}

/**
 * @param {string | boolean | undefined} mark of a skip or a todo; empty where none was given
 * @returns {string | undefined}
 */
function reason(mark) {
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
