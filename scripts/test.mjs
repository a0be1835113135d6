// npm test: installs, builds and runs the tests. Arguments choose the files whose path contains one of them.

import { runNodeTests } from './lib/node-tests.mjs';
import { IN_CI, ROOT } from './lib/paths.mjs';
import { prepare } from './lib/prepare.mjs';
import { duration, main, Stop, say } from './lib/say.mjs';
import { tell } from './lib/tally.mjs';
import { allTests, missingTools, needsMachine } from './lib/test-files.mjs';

const TIMEOUT_MS = 900_000;

await main(async () => {
  await prepare();
  const filters = process.argv.slice(2);
  const chosen = allTests(ROOT).filter(
    (file) => filters.length === 0 || filters.some((part) => file.includes(part)),
  );
  if (chosen.length === 0) throw new Stop(`No test file matches ${filters.join(', ') || 'anything'}`);
  const missing = chosen.some(needsMachine) ? missingTools() : [];
  const files = missing.length === 0 ? chosen : chosen.filter((file) => !needsMachine(file));
  const leftOut = chosen.length - files.length;

  const start = performance.now();
  const { passed, failed, skipped } =
    files.length === 0
      ? { passed: 0, failed: 0, skipped: /** @type {string[]} */ ([]) }
      : await runNodeTests(process.execPath, files, { show: true, timeoutMs: TIMEOUT_MS });
  if (leftOut > 0)
    say(`Left out ${leftOut} files that need a virtual machine: ${missing.join(', ')} not installed`);
  // Continuous integration can install everything, so there a test that did not run has failed.
  const lost = IN_CI ? skipped.length + leftOut : 0;
  if (lost > 0) say(`In CI nothing may be skipped: ${lost} counted as failed`);
  tell(passed, failed + lost);
  const rest = IN_CI ? '' : `, ${skipped.length} skipped`;
  say(
    `Tests on Node ${process.versions.node}: ${passed} ok, ${failed + lost} not ok${rest}, ${duration(performance.now() - start)}`,
  );
  return failed + lost === 0 ? 0 : 1;
});
