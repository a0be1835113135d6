import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { countCases } from './junit.mjs';
import { isMissing, ROOT } from './paths.mjs';
import { run } from './run.mjs';
import { duration, indent } from './say.mjs';

/**
 * @typedef {object} Result of one test file
 * @property {string} file
 * @property {number} passed
 * @property {number} failed
 * @property {string[]} skipped each with its reason, where the runtime tells
 * @property {string} output what there is to read about a failure
 * @property {number} ms
 *
 * @typedef {import('./report.mjs').Report} Report
 */

const REPORTER = fileURLToPath(new URL('./node-reporter.mjs', import.meta.url));

/**
 * Runs one test file in a process of its own, on any runtime.
 *
 * @param {'node' | 'bun' | 'deno'} kind
 * @param {string} program
 * @param {string} file relative to the project
 * @param {{ timeoutMs: number, root?: string }} options
 * @returns {Promise<Result>}
 */
export async function runTestFile(kind, program, file, { timeoutMs, root = ROOT }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'guestmem-test-'));
  try {
    const start = performance.now();
    const to = path.join(folder, 'report');
    // Where a test runs tests, the inner run must not take itself for a part of the outer.
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const env = { ...environment, NO_COLOR: '1' };
    const { status, output } = await run(program, argumentsOf(kind, to, file), { cwd: root, env, timeoutMs });
    const result = { file, ...read(kind, to), ms: performance.now() - start };
    if (result.failed > 0) return kind === 'node' ? result : { ...result, output };
    // What no report tells of: a file that does not load, that leaves early, or that tests nothing.
    const nothing = result.passed + result.skipped.length === 0;
    if (status === 0 && !nothing) return result;
    const why = status === 0 ? 'The file has no tests' : `The file itself failed with status ${status}`;
    return { ...result, failed: 1, output: [why, result.output, output].join('\n') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * What waits for garbage to be collected can ask for it on all of them: to give the engine reason to takes half a minute.
 *
 * @param {'node' | 'bun' | 'deno'} kind
 * @param {string} to
 * @param {string} file
 * @returns {string[]}
 */
function argumentsOf(kind, to, file) {
  switch (kind) {
    case 'node':
      return ['--expose-gc', `--test-reporter=${REPORTER}`, `--test-reporter-destination=${to}`, file];
    case 'bun':
      return ['test', '--timeout=120000', '--reporter=junit', `--reporter-outfile=${to}`, `./${file}`];
    case 'deno':
      return [
        'test',
        ...['--allow-all', '--no-check', '--no-lock', '--quiet', '--v8-flags=--expose-gc'],
        ...[`--junit-path=${to}`, file],
      ];
    default:
      throw new Error(`There is no runtime ${kind}`);
  }
}

/**
 * @param {'node' | 'bun' | 'deno'} kind
 * @param {string} report
 * @returns {{ passed: number, failed: number, skipped: string[], output: string }}
 */
function read(kind, report) {
  const nothing = { passed: 0, failed: 0, skipped: [], output: '' };
  try {
    const text = readFileSync(report, 'utf8');
    if (text === '') return nothing;
    if (kind !== 'node') return { ...countCases(text), output: '' };
    /** @type {Report} */
    const found = JSON.parse(text);
    const { passed, failed, skipped } = found;
    return { passed, failed: failed.length, skipped, output: reportText(found) };
  } catch (error) {
    if (!isMissing(error)) throw error;
    return nothing;
  }
}

/**
 * @param {Report} report
 * @returns {string} what there is to read about a failure
 */
export function reportText({ failed, diagnostics }) {
  return [...failed.map(({ name, why }) => `FAILED ${name}\n${indent(why)}`), ...diagnostics].join('\n');
}

/**
 * @param {Result} result
 * @returns {string} one line, and more where something failed or was skipped
 */
export function describeResult({ file, passed, failed, skipped, output, ms }) {
  const counts = [`${passed} ok`];
  if (failed > 0) counts.push(`${failed} FAILED`);
  if (skipped.length > 0) counts.push(`${skipped.length} skipped`);
  const lines = [`${file.padEnd(56)} ${counts.join(', ')} (${duration(ms)})`];
  if (failed > 0) lines.push(indent(output));
  for (const skip of skipped) lines.push(`  skipped ${skip}`);
  return lines.join('\n');
}
