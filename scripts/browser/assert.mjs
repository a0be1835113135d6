// node:assert/strict for a page: what the portable tests use of it, with the same verdicts. test/scripts compares them with
// Node's own. What is not here is no function, and a test that calls it fails.
import { sameDeep } from './same-deep.mjs';
import { show } from './show.mjs';

export class AssertionError extends Error {
  /** @param {{ message: string, actual?: unknown, expected?: unknown, operator: string }} facts */
  constructor({ message, actual, expected, operator }) {
    super(message);
    this.name = 'AssertionError';
    this.code = 'ERR_ASSERTION';
    this.actual = actual;
    this.expected = expected;
    this.operator = operator;
  }
}

/** @typedef {string | Error | undefined} Message */

/**
 * @param {boolean} holds
 * @param {string} operator
 * @param {Message} message what the test says about it; an error is thrown as it is
 * @param {() => string} otherwise
 * @param {{ actual?: unknown, expected?: unknown }} [values]
 */
function demand(holds, operator, message, otherwise, values = {}) {
  if (holds) return;
  if (message instanceof Error) throw message;
  throw new AssertionError({ ...values, operator, message: message ?? otherwise() });
}

/** @type {(value: unknown, message?: Message) => void} */
function ok(value, message) {
  demand(Boolean(value), '==', message, () => `${show(value)} is not truthy`, { actual: value });
}

/** @type {(actual: unknown, expected: unknown, message?: Message) => void} */
function equal(actual, expected, message) {
  demand(Object.is(actual, expected), 'strictEqual', message, () => `${show(actual)} !== ${show(expected)}`, {
    actual,
    expected,
  });
}

/** @type {(actual: unknown, expected: unknown, message?: Message) => void} */
function notEqual(actual, expected, message) {
  demand(!Object.is(actual, expected), 'notStrictEqual', message, () => `Both are ${show(actual)}`, {
    actual,
    expected,
  });
}

/** @type {(actual: unknown, expected: unknown, message?: Message) => void} */
function deepEqual(actual, expected, message) {
  demand(
    sameDeep(actual, expected),
    'deepStrictEqual',
    message,
    () => `Not deeply equal:\n${show(actual)}\nwanted\n${show(expected)}`,
    { actual, expected },
  );
}

/** @type {(actual: unknown, expected: unknown, message?: Message) => void} */
function notDeepEqual(actual, expected, message) {
  demand(!sameDeep(actual, expected), 'notDeepStrictEqual', message, () => `Both are ${show(actual)}`, {
    actual,
    expected,
  });
}

/** @type {(actual: unknown, expected: RegExp, message?: Message) => void} */
function match(actual, expected, message) {
  demand(
    typeof actual === 'string' && expected.test(actual),
    'match',
    message,
    () => `${show(actual)} does not match ${expected}`,
    { actual, expected },
  );
}

/** @type {(actual: unknown, expected: RegExp, message?: Message) => void} */
function doesNotMatch(actual, expected, message) {
  demand(
    typeof actual === 'string' && !expected.test(actual),
    'doesNotMatch',
    message,
    () => `${show(actual)} matches ${expected}`,
    { actual, expected },
  );
}

/** @type {(message?: Message) => never} */
function fail(message) {
  if (message instanceof Error) throw message;
  throw new AssertionError({ operator: 'fail', message: message ?? 'Failed' });
}

/** @typedef {{ thrown: unknown } | undefined} Outcome */

/** @type {(fn: () => unknown, expected?: unknown, message?: Message) => void} */
function throws(fn, expected, message) {
  /** @type {Outcome} */
  let outcome;
  try {
    fn();
  } catch (thrown) {
    outcome = { thrown };
  }
  judge('throws', outcome, expected, message);
}

/** @type {(work: Promise<unknown> | (() => Promise<unknown>), expected?: unknown, message?: Message) => Promise<void>} */
async function rejects(work, expected, message) {
  // What a function throws instead of rejecting goes through, as in Node.
  const promise = typeof work === 'function' ? work() : work;
  if (typeof promise?.then !== 'function')
    throw new TypeError('rejects wants a promise or a function that gives one');
  /** @type {Outcome} */
  let outcome;
  try {
    await promise;
  } catch (thrown) {
    outcome = { thrown };
  }
  judge('rejects', outcome, expected, message);
}

/**
 * @param {string} operator
 * @param {Outcome} outcome
 * @param {unknown} expected a pattern for the whole error, an object of its properties, a class, or a judge
 * @param {Message} message
 */
function judge(operator, outcome, expected, message) {
  if (expected === null || !['undefined', 'string', 'object', 'function'].includes(typeof expected))
    throw new TypeError(`${operator} cannot compare with ${show(expected)}`);
  if (typeof expected === 'string' && message !== undefined)
    throw new TypeError(`${operator} takes one message, not ${show(expected)} and another`);
  const said = typeof expected === 'string' ? expected : message;
  demand(outcome !== undefined, operator, said, () => 'Nothing was thrown', { expected });
  if (outcome === undefined || expected === undefined || typeof expected === 'string') return;
  const { thrown } = outcome;
  const values = { actual: thrown, expected };
  if (typeof expected === 'function') {
    if (expected.prototype !== undefined && thrown instanceof expected) return;
    if (Object.prototype.isPrototypeOf.call(Error, expected)) {
      demand(false, operator, said, () => `${show(thrown)} is no ${expected.name}`, values);
    }
    const verdict = Reflect.apply(expected, {}, [thrown]);
    demand(
      verdict === true,
      operator,
      said,
      () => `${show(thrown)} was not accepted: ${show(verdict)}`,
      values,
    );
  } else if (expected instanceof RegExp) {
    demand(
      expected.test(String(thrown)),
      operator,
      said,
      () => `${show(thrown)} does not match ${expected}`,
      values,
    );
  } else {
    if (!isObject(thrown))
      return demand(false, operator, said, () => `${show(thrown)} has no properties`, values);
    for (const key of keysOf(expected)) {
      const wanted = Reflect.get(expected, key);
      const there = key in thrown ? { value: Reflect.get(thrown, key) } : undefined;
      const holds =
        there !== undefined &&
        ((wanted instanceof RegExp && typeof there.value === 'string' && wanted.test(there.value)) ||
          sameDeep(there.value, wanted));
      demand(
        holds,
        operator,
        said,
        () => `${key} is ${show(there?.value)}, not ${show(wanted)}: ${show(thrown)}`,
        values,
      );
    }
  }
}

/** @param {object} expected */
function keysOf(expected) {
  const keys = Object.keys(expected);
  if (expected instanceof Error) keys.push('name', 'message');
  else if (keys.length === 0) throw new TypeError('An empty object demands nothing of an error');
  return keys;
}

/**
 * @param {unknown} value
 * @returns {value is object}
 */
function isObject(value) {
  return typeof value === 'object' && value !== null;
}

const assert = Object.assign(
  (/** @type {unknown} */ value, /** @type {Message} */ message) => ok(value, message),
  {
    AssertionError,
    ok,
    equal,
    notEqual,
    deepEqual,
    notDeepEqual,
    match,
    doesNotMatch,
    fail,
    throws,
    rejects,
  },
);

export default assert;
