// node:test for a page: suites, tests and hooks, run one after another as Node does. What the portable tests do not use is
// refused, so that nothing passes by being overlooked.
import { show } from './show.mjs';

/**
 * @typedef {() => unknown} Body
 * @typedef {{ skip?: boolean | string }} Options
 * @typedef {{ kind: 'test', name: string, body: Body, skip: string | undefined }} Test
 * @typedef {'before' | 'after' | 'beforeEach' | 'afterEach'} HookName
 * @typedef {{
 *   kind: 'suite', name: string, skip: string | undefined, children: (Test | Suite)[], hooks: Record<HookName, Body[]>,
 *   broken?: { why: unknown },
 * }} Suite
 * @typedef {import('../lib/report.mjs').Report} Report
 */

/** @type {Suite} */
const root = newSuite('', undefined);
/** The suite whose body is running. */
let around = root;
let over = false;

/** @type {(name: string, options: Options | Body, body?: Body) => void} */
export function it(name, options, body) {
  const { skip, run } = read(name, options, body);
  around.children.push({ kind: 'test', name, body: run, skip });
}

/** @type {(name: string, options: Options | Body, body?: Body) => void} */
export function describe(name, options, body) {
  const { skip, run } = read(name, options, body);
  const suite = newSuite(name, skip);
  around.children.push(suite);
  if (skip !== undefined) return;
  const outer = around;
  around = suite;
  try {
    if (run() instanceof Promise) throw new Error('A page runs no asynchronous describe');
  } catch (why) {
    suite.broken = { why };
  } finally {
    around = outer;
  }
}

/** @type {(body: Body) => void} */
export const before = (body) => hook('before', body);
/** @type {(body: Body) => void} */
export const after = (body) => hook('after', body);
/** @type {(body: Body) => void} */
export const beforeEach = (body) => hook('beforeEach', body);
/** @type {(body: Body) => void} */
export const afterEach = (body) => hook('afterEach', body);

/**
 * @param {HookName} name
 * @param {Body} body
 */
function hook(name, body) {
  around.hooks[name].push(checked(name, body));
}

/**
 * @param {string} name
 * @param {string | undefined} skip
 * @returns {Suite}
 */
function newSuite(name, skip) {
  return {
    kind: 'suite',
    name,
    skip,
    children: [],
    hooks: { before: [], after: [], beforeEach: [], afterEach: [] },
  };
}

/**
 * @param {string} name
 * @param {Options | Body} options
 * @param {Body | undefined} body
 * @returns {{ skip: string | undefined, run: Body }}
 */
function read(name, options, body) {
  if (typeof options === 'function') return { skip: undefined, run: checked(name, options) };
  const { skip = false, ...others } = options;
  const unknown = Object.keys(others);
  if (unknown.length > 0) throw new Error(`A page knows no option ${unknown.join(', ')} of ${show(name)}`);
  const reason = skip === true || skip === '' ? 'no reason given' : skip;
  return { skip: reason === false ? undefined : reason, run: checked(name, body) };
}

/**
 * @param {string} name
 * @param {Body | undefined} body
 */
function checked(name, body) {
  if (over) throw new Error(`${show(name)} came after the tests had begun`);
  if (typeof body !== 'function') throw new Error(`${show(name)} has no body`);
  if (body.length > 0) throw new Error(`${show(name)} wants an argument, and a page gives none`);
  return body;
}

/**
 * Runs what was described so far; nothing can be added then.
 *
 * @returns {Promise<Report>}
 */
export async function runTests() {
  over = true;
  /** @type {Report} */
  const report = { passed: 0, failed: [], skipped: [], diagnostics: [] };
  await runSuite(root, [], report);
  return report;
}

/**
 * @param {Suite} suite
 * @param {readonly Suite[]} outer
 * @param {Report} report
 */
async function runSuite(suite, outer, report) {
  const chain = [...outer, suite];
  const name = nameOf(chain);
  /** @param {unknown} why */
  const fail = (why) => report.failed.push({ name, why: show(why) });
  if (suite.broken !== undefined) fail(suite.broken.why);
  try {
    for (const body of suite.hooks.before) await body();
  } catch (why) {
    fail(why);
    return;
  }
  for (const child of suite.children) {
    if (child.skip !== undefined) report.skipped.push(`${nameOf([...chain, child])}: ${child.skip}`);
    else if (child.kind === 'suite') await runSuite(child, chain, report);
    else await runTest(child, chain, report);
  }
  try {
    for (const body of suite.hooks.after) await body();
  } catch (why) {
    fail(why);
  }
}

/**
 * @param {Test} test
 * @param {readonly Suite[]} chain
 * @param {Report} report
 */
async function runTest(test, chain, report) {
  /** @type {unknown[]} */
  const wrong = [];
  try {
    for (const suite of chain) for (const body of suite.hooks.beforeEach) await body();
    await test.body();
  } catch (why) {
    wrong.push(why);
  }
  try {
    for (const suite of chain.toReversed()) for (const body of suite.hooks.afterEach) await body();
  } catch (why) {
    wrong.push(why);
  }
  if (wrong.length === 0) report.passed++;
  else report.failed.push({ name: nameOf([...chain, test]), why: wrong.map(show).join('\n') });
}

/** @param {readonly { name: string }[]} chain from the root on */
function nameOf(chain) {
  return chain.length === 1
    ? 'the file'
    : chain
        .slice(1)
        .map(({ name }) => name)
        .join(' > ');
}
