// Stands in for node:test while mutants run: suites and tests are collected once, and each test can then be run alone and
// again, in the same process. Starting a process for each file and each of thousands of mutants would take hours.

/**
 * @typedef {() => unknown} Body
 * @typedef {'before' | 'after' | 'beforeEach' | 'afterEach'} HookName
 * @typedef {{ name: string, hooks: Record<HookName, Body[]> }} Suite
 * @typedef {{ name: string, file: string, run: () => Promise<void> }} Test
 */

/** The suites whose bodies are running, the file first. @type {Suite[]} */
let chain = [];
let file = '';
/** @type {Test[]} */
const tests = [];

/**
 * Loads a file of tests.
 *
 * @param {string} name
 * @param {() => Promise<unknown>} load
 */
export async function collect(name, load) {
  file = name;
  chain = [newSuite('')];
  await load();
}

/** Every test that was collected, in order. */
export function collected() {
  return tests;
}

/** @type {(name: string, body: Body) => void} */
export function describe(name, body) {
  chain = [...chain, newSuite(name)];
  try {
    checked(body)();
  } finally {
    chain = chain.slice(0, -1);
  }
}

/** @type {(name: string, body: Body) => void} */
export function it(name, body) {
  const suites = chain;
  const whole = [...suites.map((suite) => suite.name), name].filter((part) => part !== '').join(' > ');
  tests.push({ name: whole, file, run: () => runAlone(suites, checked(body)) });
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
  chain.at(-1)?.hooks[name].push(checked(body));
}

/**
 * A test with everything that its suites prepare, as if it were the only one in them.
 *
 * @param {readonly Suite[]} suites
 * @param {Body} body
 */
async function runAlone(suites, body) {
  for (const name of /** @type {const} */ (['before', 'beforeEach']))
    for (const { hooks } of suites) for (const step of hooks[name]) await step();
  try {
    await body();
  } finally {
    for (const name of /** @type {const} */ (['afterEach', 'after']))
      for (const { hooks } of suites.toReversed()) for (const step of hooks[name]) await step();
  }
}

/**
 * @param {string} name
 * @returns {Suite}
 */
function newSuite(name) {
  return { name, hooks: { before: [], after: [], beforeEach: [], afterEach: [] } };
}

/**
 * @param {unknown} body
 * @returns {Body}
 */
function checked(body) {
  // Options (a test that is left out) and arguments (a test that goes on after its return) have no meaning here.
  if (typeof body !== 'function' || body.length > 0)
    throw new Error(`A test here is a name and a function without parameters; in ${file} one is not`);
  return /** @type {Body} */ (body);
}
