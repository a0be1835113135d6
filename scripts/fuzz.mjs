// npm run fuzz [-- WORD ... --seconds N]: every property of the tests, for as long as is wanted instead of the few runs that
// a test makes. Words choose files by their path; by default those of page tables. Nothing is built to find one thing
// quickly: what the tests check, with new random inputs all the time.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './lib/paths.mjs';
import { prepare } from './lib/prepare.mjs';
import { eachAtOnce, run } from './lib/run.mjs';
import { duration, indent, main, Stop, say } from './lib/say.mjs';
import { tell } from './lib/tally.mjs';
import { allTests } from './lib/test-files.mjs';

const LONGER = path.join(ROOT, 'scripts/lib/fuzz-longer.mjs');

await main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seconds: { type: 'string', default: '300' } },
  });
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) throw new Stop(`--seconds wants a positive number, not ${values.seconds}`, 2);
  await prepare();
  const words = positionals.length === 0 ? ['dist/test/paging/'] : positionals;
  const files = allTests(ROOT)
    .filter((file) => words.some((word) => file.includes(word)))
    .map((file) => ({ file, properties: countProperties(readFileSync(path.join(ROOT, file), 'utf8')) }))
    .filter(({ properties }) => properties > 0);
  if (files.length === 0) throw new Stop(`No test file with properties matches ${words.join(', ')}`);

  const began = performance.now();
  let failed = 0;
  await eachAtOnce(files, async ({ file, properties }) => {
    const each = seconds / properties;
    const { status, output } = await run(process.execPath, ['--import', LONGER, '--test', file], {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: '1', GUESTMEM_FUZZ_MS: String(Math.ceil(each * 1000)) },
      // A property that is written once may be checked for each of a dozen formats.
      timeoutMs: seconds * 1000 * 20 + 600_000,
    });
    const runs = [...output.matchAll(/fuzzed (\d+) inputs/g)].reduce(
      (sum, [, count]) => sum + Number(count),
      0,
    );
    say(`${file.padEnd(56)} ${status === 0 ? `${runs} inputs` : 'FAILED'}`);
    if (status === 0) return;
    failed++;
    say(indent(output));
  });
  tell(files.length - failed, failed);
  say(`Fuzzed ${files.length} files for ${duration(performance.now() - began)}: ${failed} with a finding`);
  return failed === 0 ? 0 : 1;
});

/**
 * @param {string} text of a compiled test
 * @returns {number} how many properties it checks, as written
 */
function countProperties(text) {
  return text.split('fc.assert(').length - 1;
}
