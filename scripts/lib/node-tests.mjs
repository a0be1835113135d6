import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMissing, ROOT } from './paths.mjs';
import { run } from './run.mjs';

/**
 * @typedef {import('./brief-reporter.mjs').Tally} Tally
 * @typedef {Tally & { output: string }} TestRun
 */

const REPORTER = fileURLToPath(new URL('./brief-reporter.mjs', import.meta.url));
const TEST_TIMEOUT_MS = 300_000;

/**
 * Runs test files under `node --test` and counts.
 *
 * @param {string} node path of the runtime
 * @param {readonly string[]} files relative to the project
 * @param {{ show?: boolean, timeoutMs: number, cwd?: string }} options
 * @returns {Promise<TestRun>}
 */
export async function runNodeTests(node, files, { show = false, timeoutMs, cwd = ROOT }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'guestmem-tests-'));
  try {
    const tallyFile = path.join(folder, 'tally.json');
    // Node 20 knows no globs: the files are listed.
    const args = ['--test', `--test-timeout=${TEST_TIMEOUT_MS}`, `--test-reporter=${REPORTER}`, ...files];
    // Where a test starts a test run, the inner one must not take itself for a part of the outer.
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const env = { ...environment, GUESTMEM_TALLY: tallyFile };
    const { status, output } = await run(node, args, { cwd, env, show, timeoutMs });
    const tally = readTally(tallyFile);
    if (tally === undefined) {
      return {
        passed: 0,
        failed: 1,
        skipped: [],
        perFile: {},
        output: `${output}The test run itself ended early (status ${status})\n`,
      };
    }
    // Node's own verdict counts too: it may know of a failure that no test reported.
    if (status !== 0 && tally.failed === 0) {
      return { ...tally, failed: 1, output: `${output}The test run itself failed (status ${status})\n` };
    }
    return { ...tally, output };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param {string} file
 * @returns {Tally | undefined}
 */
function readTally(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
