// npm run test:runtimes: the compiled tests of the portable rooms on every runtime. Arguments choose runtimes: node-22,
// bun, deno. The same files, and the same number of tests in each, must pass everywhere.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { countCases } from './lib/junit.mjs';
import { runNodeTests } from './lib/node-tests.mjs';
import { IN_CI, isMissing, ROOT } from './lib/paths.mjs';
import { prepare } from './lib/prepare.mjs';
import { eachAtOnce, run } from './lib/run.mjs';
import { fetchRuntime, RUNTIMES } from './lib/runtimes.mjs';
import { duration, indent, main, Stop, say } from './lib/say.mjs';
import { tell } from './lib/tally.mjs';
import { portableTests } from './lib/test-files.mjs';

/**
 * @typedef {import('./lib/runtimes.mjs').Runtime} Runtime
 *
 * @typedef {object} FileResult
 * @property {string} file
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {string} output what the runtime said, if something failed
 */

/**
 * Files that a runtime cannot run, and why.
 *
 * @type {readonly { kind: Runtime['kind'], file: string, why: string }[]}
 */
const CANNOT = [];

const NODE_TIMEOUT_MS = 600_000;
const FILE_TIMEOUT_MS = 180_000;

await main(async () => {
  await prepare();
  const files = portableTests(ROOT);
  if (files.length === 0) throw new Stop('There are no tests of portable rooms');
  const filters = process.argv.slice(2);
  const chosen = RUNTIMES.filter(
    ({ kind, version }) =>
      filters.length === 0 || filters.some((part) => `${kind}-${version}`.startsWith(part)),
  );
  if (chosen.length === 0) throw new Stop(`No runtime matches ${filters.join(', ')}`);
  say(`${files.length} test files of the portable rooms, on ${chosen.length} runtimes`);

  const start = performance.now();
  let passed = 0;
  let failed = 0;
  /** The number of tests in each file, as the first runtime counted them. @type {Map<string, { count: number, by: string }>} */
  const expected = new Map();
  for (const runtime of chosen) {
    const name = `${runtime.kind} ${runtime.version}`;
    const began = performance.now();
    const program = await fetchRuntime(runtime);
    const left = files.filter(
      (file) => !CANNOT.some((entry) => entry.kind === runtime.kind && entry.file === file),
    );
    const results =
      runtime.kind === 'node' ? await onNode(program, left) : await onOther(runtime.kind, program, left);
    for (const result of results) compareCounts(result, name, expected);
    const ok = sum(results, 'passed');
    const skipped = sum(results, 'skipped');
    const bad = sum(results, 'failed') + (IN_CI ? skipped : 0);
    passed += ok;
    failed += bad;
    say(
      `${bad === 0 ? 'ok    ' : 'NOT OK'}  ${name.padEnd(14)} ${ok} ok, ${bad} not ok, ${skipped} skipped (${duration(performance.now() - began)})`,
    );
    for (const { kind, file, why } of CANNOT)
      if (kind === runtime.kind) say(`          ${file} left out: ${why}`);
    for (const { output } of results) if (output !== '') say(indent(output));
  }
  tell(passed, failed);
  say(`Runtimes: ${passed} ok, ${failed} not ok, ${duration(performance.now() - start)}`);
  return failed === 0 ? 0 : 1;
});

/**
 * @param {string} program
 * @param {readonly string[]} files
 * @returns {Promise<FileResult[]>}
 */
async function onNode(program, files) {
  const { failed, output, perFile } = await runNodeTests(program, files, { timeoutMs: NODE_TIMEOUT_MS });
  const results = files.map((file) => ({
    ...(perFile[file] ?? { passed: 0, failed: 1, skipped: 0 }),
    file,
    output: '',
  }));
  const known = sum(results, 'failed');
  // What failed beside the files, such as the run as a whole, counts too.
  return failed === 0 && known === 0
    ? results
    : [...results, { file: '', passed: 0, failed: Math.max(0, failed - known), skipped: 0, output }];
}

/**
 * Bun and Deno run one file per process, as Node does by itself.
 *
 * @param {'bun' | 'deno'} kind
 * @param {string} program
 * @param {readonly string[]} files
 * @returns {Promise<FileResult[]>}
 */
async function onOther(kind, program, files) {
  const folder = mkdtempSync(path.join(tmpdir(), 'guestmem-runtime-'));
  /** @type {Map<string, FileResult>} */
  const results = new Map();
  try {
    await eachAtOnce(files, async (file) => {
      const report = path.join(folder, `${file.replace(/\W+/g, '_')}.xml`);
      const args =
        kind === 'bun'
          ? ['test', '--timeout=60000', '--reporter=junit', `--reporter-outfile=${report}`, `./${file}`]
          : ['test', '-A', '--no-check', '--no-lock', '--quiet', `--junit-path=${report}`, file];
      const env = { ...process.env, NO_COLOR: '1' };
      const { status, output } = await run(program, args, { cwd: ROOT, env, timeoutMs: FILE_TIMEOUT_MS });
      const { passed, failed, skipped } = countCases(readReport(report));
      // A file that could not even be loaded is in no report.
      const bad = status !== 0 && failed === 0 ? 1 : failed;
      results.set(file, {
        file,
        passed,
        failed: bad,
        skipped,
        output: bad === 0 ? '' : `${file}\n${output}`,
      });
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return files.flatMap((file) => results.get(file) ?? []);
}

/** @param {string} file */
function readReport(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return '';
    throw error;
  }
}

/**
 * A test that silently does not run on one runtime is seen by its absence.
 *
 * @param {FileResult} result
 * @param {string} runtime
 * @param {Map<string, { count: number, by: string }>} expected
 */
function compareCounts(result, runtime, expected) {
  const count = result.passed + result.failed + result.skipped;
  const wanted = expected.get(result.file);
  if (wanted === undefined) {
    expected.set(result.file, { count, by: runtime });
  } else if (wanted.count !== count && result.file !== '') {
    result.output += `${result.file}: ${count} tests ran here, ${wanted.count} on ${wanted.by}\n`;
    if (result.failed === 0) result.failed = 1;
  }
}

/**
 * @param {readonly FileResult[]} results
 * @param {'passed' | 'failed' | 'skipped'} field
 */
function sum(results, field) {
  return results.reduce((total, result) => total + result[field], 0);
}
