// npm test: installs, builds and runs the tests. Arguments choose the files whose path contains one of them.
import { runNodeTests } from './lib/node-tests.mjs';
import { IN_CI, ROOT } from './lib/paths.mjs';
import { prepare } from './lib/prepare.mjs';
import { duration, main, Stop, say } from './lib/say.mjs';
import { tell } from './lib/tally.mjs';
import { allTests } from './lib/test-files.mjs';

const TIMEOUT_MS = 900_000;

await main(async () => {
  await prepare();
  const filters = process.argv.slice(2);
  const files = allTests(ROOT).filter(
    (file) => filters.length === 0 || filters.some((part) => file.includes(part)),
  );
  if (files.length === 0) throw new Stop(`No test file matches ${filters.join(', ') || 'anything'}`);

  const start = performance.now();
  const { passed, failed, skipped, output } = await runNodeTests(process.execPath, files, {
    show: true,
    timeoutMs: TIMEOUT_MS,
  });
  if (output !== '') say(output);
  // Continuous integration can install everything, so there a test that did not run has failed.
  const bad = failed + (IN_CI ? skipped.length : 0);
  if (bad > failed) say(`In CI nothing may be skipped: ${skipped.length} counted as failed`);
  tell(passed, bad);
  const took = duration(performance.now() - start);
  say(
    `Tests on Node ${process.versions.node}: ${passed} ok, ${bad} not ok, ${skipped.length} skipped (${took})`,
  );
  return bad === 0 ? 0 : 1;
});
