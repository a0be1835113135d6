// fast-check with properties that run for a time instead of a number of runs, and say how many inputs that were.
import fc from 'fast-check';

const limit = Number(process.env['GUESTMEM_FUZZ_MS']);

/**
 * @param {import('fast-check').IRawProperty<unknown>} property
 * @param {import('fast-check').Parameters<unknown>} [options]
 * @returns {void | Promise<void>}
 */
function assert(property, options) {
  const outcome = fc.check(property, {
    ...options,
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: limit,
    markInterruptAsFailure: false,
  });
  return outcome instanceof Promise ? outcome.then(settle) : settle(outcome);
}

/** @param {import('fast-check').RunDetails<unknown>} details */
function settle(details) {
  if (details.failed)
    throw new Error(fc.defaultReportMessage(details) ?? 'A property failed', {
      cause: details.errorInstance,
    });
  console.log(`fuzzed ${details.numRuns} inputs`);
}

export default { ...fc, assert };
