import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import paged from '../../scripts/browser/assert.mjs';

/**
 * @param {() => unknown} call
 * @returns {string} the verdict: held, failed as an assertion, or what was thrown otherwise
 */
function verdict(call) {
  try {
    call();
    return 'holds';
  } catch (error) {
    if (!(error instanceof Error)) return `threw ${String(error)}`;
    return error.name === 'AssertionError' ? 'fails' : `threw ${error.name}`;
  }
}

/** Asks both, which have to agree; answers what they say. @param {(a: typeof assert) => unknown} call */
function both(call) {
  const theirs = verdict(() => call(assert));
  assert.equal(
    verdict(() => call(/** @type {typeof assert} */ (/** @type {unknown} */ (paged)))),
    theirs,
  );
  return theirs;
}

class Special extends Error {
  /** @param {string} code */
  constructor(code) {
    super(`It is ${code}`);
    this.name = 'Special';
    this.code = code;
  }
}

class Empty {}

/** Values that differ in one thing each; made anew at every call. */
const VALUES = () => {
  const cycle = { self: /** @type {unknown} */ (undefined) };
  cycle.self = cycle;
  const withCause = new Error('a', { cause: 1 });
  return [
    ...[undefined, null, 0, -0, 1, NaN, 1n, 0n, '', '1', 'a', true, false, Symbol.iterator],
    ...[[], [1], [1, 2], [undefined], new Array(1), [-0], [[1]], [1n], Object.assign([1], { extra: 1 })],
    ...[{}, { a: 1 }, { a: undefined }, { b: 1 }, { a: 1, b: 2 }, { a: { b: 1n } }, Object.create(null)],
    ...[{ [Symbol.iterator]: 1 }, { [Symbol.iterator]: 2 }, new Empty(), { 0: 1 }, { 0: 1, length: 1 }],
    ...[new Uint8Array(2), new Uint8Array([0, 1]), new Uint8Array(1), new Int8Array(2), new Uint16Array(1)],
    ...[new Uint8Array(new SharedArrayBuffer(2)), new Uint8Array([9, 0, 1]).subarray(1)],
    ...[
      new Float64Array([0]),
      new Float64Array([-0]),
      new Float64Array([NaN]),
      new DataView(new ArrayBuffer(2)),
    ],
    ...[Object.assign(new Uint8Array(2), { extra: 1 }), new BigUint64Array(1), new BigUint64Array([1n])],
    ...[new ArrayBuffer(2), new ArrayBuffer(3), new SharedArrayBuffer(2), new Uint8Array([1, 0]).buffer],
    ...[new Map(), new Map([[1, 2]]), new Map([[1, 3]]), new Map([[{ a: 1 }, 2]]), new Map([[{ a: 2 }, 2]])],
    ...[new Set(), new Set([1]), new Set([2, 1]), new Set([1, 2]), new Set([{ a: 1 }]), new Set([[1]])],
    ...[new Date(0), new Date(1), /a/, /a/g, /b/, Object(1), Object(2), Object('a'), Object(1n)],
    ...[new Error('a'), new Error('b'), new TypeError('a'), withCause, new Special('a'), new Special('b')],
    ...[cycle, VALUES, Empty],
  ];
};

describe('the assertions of a page', () => {
  it('judge every pair of values as those of Node', () => {
    const ones = VALUES();
    const others = VALUES();
    let same = 0;
    for (const a of ones) {
      for (const b of others) {
        both((with_) => with_.equal(a, b));
        both((with_) => with_.notEqual(a, b));
        both((with_) => with_.notDeepEqual(a, b));
        if (both((with_) => with_.deepEqual(a, b)) === 'holds') same++;
      }
    }
    // Each is equal to its like at least, and hardly more.
    assert(same >= ones.length && same < 2 * ones.length, `${same} of ${ones.length}`);
    for (const value of ones) {
      both((with_) => with_(value));
      both((with_) => with_.ok(value, 'said'));
    }
  });

  it('judge whatever fast-check makes as those of Node', () => {
    const anything = fc.anything({
      withBigInt: true,
      withTypedArray: true,
      withMap: true,
      withSet: true,
      maxDepth: 3,
    });
    fc.assert(
      fc.property(fc.oneof(fc.clone(anything, 2), fc.tuple(anything, anything)), ([a, b]) => {
        both((with_) => with_.deepEqual(a, b));
      }),
      { numRuns: 1000, seed: 3 },
    );
  });

  it('judge what was thrown as those of Node', async () => {
    const wanted = () => [
      ...[undefined, 'said', /It is a/, /Special: It is/, /nothing/, /^It/],
      ...[
        { code: 'a' },
        { code: 'b' },
        { message: /is a/ },
        { message: /is b/ },
        { name: 'Special', code: 'a' },
      ],
      ...[{ none: undefined }, { code: 'a', cause: { deep: [1] } }, {}, new Special('a'), new Special('b')],
      ...[Error, TypeError, Special, Empty, () => true, () => false, () => 1, () => undefined],
      (/** @type {unknown} */ error) => error instanceof Special && error.code === 'a',
    ];
    const thrown = [
      new Special('a'),
      Object.assign(new Special('a'), { cause: { deep: [1] } }),
      new Error('a'),
      'a',
      undefined,
    ];
    for (const error of thrown) {
      for (const expected of wanted()) {
        const fn = () => {
          throw error;
        };
        const matcher = /** @type {Error} */ (expected);
        both((with_) => with_.throws(fn, matcher));
        both((with_) => with_.throws(fn, matcher, 'other'));
        both((with_) => with_.throws(() => 0, matcher));
        /** @param {Pick<typeof assert, 'rejects'>} with_ */
        const asked = async (with_) => {
          try {
            await with_.rejects(async () => fn(), matcher);
            return 'holds';
          } catch (failure) {
            return verdict(() => {
              throw failure;
            });
          }
        };
        assert.equal(
          await asked(/** @type {typeof assert} */ (/** @type {unknown} */ (paged))),
          await asked(assert),
        );
      }
    }
  });

  it('refuse what Node lets pass although it demands nothing', () => {
    for (const expected of [null, 1, true])
      assert.throws(() => paged.throws(assert.fail, expected), TypeError);
  });

  it('judge strings as those of Node, and fail when told to', () => {
    for (const text of ['abc', '', 'a\nc']) {
      both((with_) => with_.match(text, /^a.c$/s));
      both((with_) => with_.doesNotMatch(text, /^a.c$/));
    }
    assert.equal(
      both((with_) => with_.fail('said')),
      'fails',
    );
    assert.equal(
      both((with_) => with_.equal(1, 2, new TypeError('mine'))),
      'threw TypeError',
    );
    assert.throws(() => paged.equal(1n, 2, 'said'), {
      message: 'said',
      code: 'ERR_ASSERTION',
      actual: 1n,
      expected: 2,
    });
    assert.throws(
      () => paged.deepEqual({ a: [1n] }, { a: [2n] }),
      /\{ a: \[1n\] \}\s+wanted\s+\{ a: \[2n\] \}/,
    );
  });
});
