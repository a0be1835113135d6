// npm run test:runtimes: the compiled tests of the portable rooms on every runtime. Arguments choose runtimes: node-22,
// bun, deno, chromium. The same files, with the same number of tests in each, must pass everywhere.
import { IN_CI, ROOT } from './lib/paths.mjs';
import { prepare } from './lib/prepare.mjs';
import { eachAtOnce } from './lib/run.mjs';
import { fetchRuntime, RUNTIMES } from './lib/runtimes.mjs';
import { duration, indent, main, Stop, say } from './lib/say.mjs';
import { tell } from './lib/tally.mjs';
import { describeResult, runTestFile } from './lib/test-file.mjs';
import { portableTests, runsAlone } from './lib/test-files.mjs';

/**
 * @typedef {import('./lib/runtimes.mjs').Runtime} Fetched
 * @typedef {import('./lib/test-file.mjs').Result} Result
 * @typedef {{ kind: 'chromium', version: string }} Installed one that is not ours to fetch
 * @typedef {Fetched | Installed} Runtime
 *
 * @typedef {object} Started
 * @property {string} name
 * @property {(file: string) => Promise<Result>} test
 * @property {() => Promise<void>} close
 */

/** Any version that the system has. @type {Installed} */
const CHROMIUM = { kind: 'chromium', version: '' };

/**
 * Files that a runtime cannot run, and why.
 *
 * @type {readonly { kind: Runtime['kind'], file: string, why: string }[]}
 */
const CANNOT = [
  {
    kind: 'bun',
    file: 'dist/test/core/allocation.node.test.js',
    why: 'its heapUsed does not count each object as it is made, as that of V8 does',
  },
  {
    kind: 'chromium',
    file: 'dist/test/core/allocation.node.test.js',
    why: 'a page cannot see the size of its heap to the byte',
  },
];

const FILE_TIMEOUT_MS = 180_000;

await main(async () => {
  await prepare();
  // Only now: it uses packages that had to be installed first.
  const { startChromium, whyNoChromium } = await import('./lib/chromium.mjs');
  const files = portableTests(ROOT);
  if (files.length === 0) throw new Stop('There are no tests of portable rooms');
  const filters = process.argv.slice(2);
  const chosen = [...RUNTIMES, CHROMIUM].filter(
    ({ kind, version }) =>
      filters.length === 0 || filters.some((part) => `${kind}-${version}`.startsWith(part)),
  );
  if (chosen.length === 0) throw new Stop(`No runtime matches ${filters.join(', ')}`);
  say(`${files.length} test files of the portable rooms, on ${chosen.length} runtimes`);

  const beginning = performance.now();
  const total = { passed: 0, failed: 0 };
  /** How many tests each file has, as the first runtime found. @type {Map<string, { count: number, by: string }>} */
  const expected = new Map();
  for (const runtime of chosen) {
    const began = performance.now();
    const missing = runtime.kind === 'chromium' ? whyNoChromium() : undefined;
    if (missing !== undefined) {
      say(`${IN_CI ? 'NOT OK' : 'skip  '}  ${runtime.kind.padEnd(22)} ${missing}`);
      if (IN_CI) total.failed++;
      continue;
    }
    const { name, test: runFile, close } = await start(runtime, startChromium);
    const left = files.filter(
      (file) => !CANNOT.some((entry) => entry.kind === runtime.kind && entry.file === file),
    );
    /** @type {Result[]} */
    const results = [];
    /** @param {string} file */
    const test = async (file) => {
      results.push(await runFile(file));
    };
    await eachAtOnce(
      left.filter((file) => !runsAlone(file)),
      test,
    );
    for (const file of left.filter(runsAlone)) await test(file);
    await close();
    for (const result of results) compareCounts(result, name, expected);
    const passed = results.reduce((sum, result) => sum + result.passed, 0);
    const skipped = results.reduce((sum, result) => sum + result.skipped.length, 0);
    const failed = results.reduce((sum, result) => sum + result.failed, 0) + (IN_CI ? skipped : 0);
    total.passed += passed;
    total.failed += failed;
    const counts = `${passed} ok, ${failed} not ok, ${skipped} skipped`;
    say(
      `${failed === 0 ? 'ok    ' : 'NOT OK'}  ${name.padEnd(22)} ${counts} (${duration(performance.now() - began)})`,
    );
    for (const { kind, file, why } of CANNOT)
      if (kind === runtime.kind) say(`          ${file} left out: ${why}`);
    for (const result of results) {
      if (result.failed + result.skipped.length > 0) say(indent(describeResult(result)));
    }
  }
  tell(total.passed, total.failed);
  say(`Runtimes: ${total.passed} ok, ${total.failed} not ok (${duration(performance.now() - beginning)})`);
  return total.failed === 0 ? 0 : 1;
});

/**
 * @param {Runtime} runtime
 * @param {typeof import('./lib/chromium.mjs').startChromium} startChromium
 * @returns {Promise<Started>}
 */
async function start(runtime, startChromium) {
  const options = { timeoutMs: FILE_TIMEOUT_MS };
  if (runtime.kind === 'chromium') {
    const { version, runTestFile, close } = await startChromium();
    return { name: `chromium ${version}`, test: (file) => runTestFile(file, options), close };
  }
  const { kind, version } = runtime;
  const program = await fetchRuntime(runtime);
  return {
    name: `${kind} ${version}`,
    test: (file) => runTestFile(kind, program, file, options),
    close: async () => undefined,
  };
}

/**
 * A test that silently does not run on one runtime is seen by its absence.
 *
 * @param {Result} result
 * @param {string} runtime
 * @param {Map<string, { count: number, by: string }>} expected
 */
function compareCounts(result, runtime, expected) {
  const count = result.passed + result.failed + result.skipped.length;
  const wanted = expected.get(result.file);
  if (wanted === undefined) {
    expected.set(result.file, { count, by: runtime });
  } else if (wanted.count !== count && result.failed === 0) {
    result.failed = 1;
    result.output = `${count} tests ran here, ${wanted.count} on ${wanted.by}`;
  }
}
