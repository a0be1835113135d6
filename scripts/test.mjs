// npm test: installs, builds and runs the tests. Arguments choose the files whose path contains one of them.
import { IN_CI, ROOT } from './lib/paths.mjs';
import { prepare } from './lib/prepare.mjs';
import { eachAtOnce } from './lib/run.mjs';
import { duration, main, Stop, say } from './lib/say.mjs';
import { tell } from './lib/tally.mjs';
import { describeResult, runTestFile } from './lib/test-file.mjs';
import { allTests, runsAlone } from './lib/test-files.mjs';

const FILE_TIMEOUT_MS = 1_500_000;

await main(async () => {
  await prepare();
  const filters = process.argv.slice(2);
  const files = allTests(ROOT).filter(
    (file) => filters.length === 0 || filters.some((part) => file.includes(part)),
  );
  if (files.length === 0) throw new Stop(`No test file matches ${filters.join(', ') || 'anything'}`);

  const start = performance.now();
  const total = { passed: 0, failed: 0, skipped: 0 };
  /** Said once more at the end. @type {string[]} */
  const notOk = [];
  /** @param {string} file */
  const test = async (file) => {
    const result = await runTestFile('node', process.execPath, file, { timeoutMs: FILE_TIMEOUT_MS });
    const description = describeResult(result);
    say(description);
    if (result.failed + result.skipped.length > 0) notOk.push(description);
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped += result.skipped.length;
  };
  await eachAtOnce(
    files.filter((file) => !runsAlone(file)),
    test,
  );
  for (const file of files.filter(runsAlone)) await test(file);

  // Continuous integration can install everything, so there a test that did not run has failed.
  const failed = total.failed + (IN_CI ? total.skipped : 0);
  if (failed > total.failed) say(`In CI nothing may be skipped: ${total.skipped} counted as failed`);
  tell(total.passed, failed);
  if (notOk.length > 0) say(`\nNot ok:\n${notOk.join('\n')}`);
  const took = duration(performance.now() - start);
  say(
    `Tests on Node ${process.versions.node}: ${total.passed} ok, ${failed} not ok, ${total.skipped} skipped (${took})`,
  );
  return failed === 0 ? 0 : 1;
});
