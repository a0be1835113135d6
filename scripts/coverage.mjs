// npm run coverage: how many lines of the core its tests run, on the newest Node that the tests run on; fails below 98 %.
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { mergeLcov } from './lib/lcov.mjs';
import { ROOT } from './lib/paths.mjs';
import { prepare } from './lib/prepare.mjs';
import { run } from './lib/run.mjs';
import { fetchRuntime, RUNTIMES } from './lib/runtimes.mjs';
import { indent, main, Stop, say } from './lib/say.mjs';
import { tell } from './lib/tally.mjs';
import { portableTests } from './lib/test-files.mjs';

const WANTED = 98;

await main(async () => {
  await prepare();
  // Node 20 has no lcov of compiled tests worth the name; 24 counts lines as they are in the compiled files.
  const runtime = RUNTIMES.find(({ kind, version }) => kind === 'node' && version.startsWith('24.'));
  if (runtime === undefined) throw new Stop('Cannot measure coverage: no Node 24 among the runtimes');
  const program = await fetchRuntime(runtime);
  const report = path.join(ROOT, '.cache/core.lcov');
  mkdirSync(path.dirname(report), { recursive: true });
  const files = portableTests(ROOT).filter((file) => file.startsWith('dist/test/core/'));
  const { status, output } = await run(
    program,
    [
      '--expose-gc',
      '--test',
      '--experimental-test-coverage',
      '--test-coverage-include=dist/src/core/**',
      '--test-reporter=dot',
      '--test-reporter-destination=stdout',
      '--test-reporter=lcov',
      `--test-reporter-destination=${report}`,
      ...files,
    ],
    { cwd: ROOT, timeoutMs: 580_000 },
  );
  if (status !== 0)
    throw new Stop(`Cannot measure coverage: the tests of the core failed\n${indent(output)}`);
  const covered = mergeLcov(readFileSync(report, 'utf8'));
  const lines = covered.reduce((sum, file) => sum + file.lines, 0);
  const hit = covered.reduce((sum, file) => sum + file.hit, 0);
  const percent = (100 * hit) / lines;
  for (const { file, missed } of covered)
    if (missed.length > 0) say(`  ${file}: not run: ${missed.join(', ')}`);
  say(`${percent.toFixed(2)} % of ${lines} lines of the core are run by its tests; wanted ${WANTED} %`);
  tell(percent >= WANTED ? 1 : 0, percent >= WANTED ? 0 : 1);
  if (percent < WANTED) process.exitCode = 1;
});
