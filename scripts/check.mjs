// npm run check: everything about the sources that can be judged without running the tests. Every check runs, even when
// an earlier one failed. Arguments choose checks by name.
import { compile } from './lib/build.mjs';
import { ROOT } from './lib/paths.mjs';
import { prepareTools } from './lib/prepare.mjs';
import { duration, indent, main, Stop, say } from './lib/say.mjs';
import { tell } from './lib/tally.mjs';

await main(async () => {
  await prepareTools();
  // Only now: the checks use packages that had to be installed first.
  const { CHECKS } = await import('./checks/all.mjs');
  const chosen = process.argv.slice(2);
  for (const name of chosen) {
    if (CHECKS[name] === undefined)
      throw new Stop(`There is no check ${name}; there are ${Object.keys(CHECKS).join(', ')}`, 2);
  }
  // Errors of the compiler are the first check's to tell; what could be compiled is there for the others.
  await compile();
  const start = performance.now();
  let ok = 0;
  let bad = 0;
  for (const [name, check] of Object.entries(CHECKS)) {
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    const began = performance.now();
    const { problems, summary } = await attempt(check);
    const took = duration(performance.now() - began);
    if (problems.length === 0) {
      ok++;
      say(`ok      ${name.padEnd(13)} ${summary} (${took})`);
    } else {
      bad++;
      say(`NOT OK  ${name.padEnd(13)} ${problems.length} found (${took})`);
      for (const problem of problems) say(indent(problem));
    }
  }
  tell(ok, bad);
  say(`Checks: ${ok} ok, ${bad} not ok, ${duration(performance.now() - start)}`);
  return bad === 0 ? 0 : 1;
});

/**
 * A check that breaks has found something: the others go on.
 *
 * @param {(root: string) => import('./lib/checking.mjs').Finding | Promise<import('./lib/checking.mjs').Finding>} check
 * @returns {Promise<import('./lib/checking.mjs').Finding>}
 */
async function attempt(check) {
  try {
    return await check(ROOT);
  } catch (error) {
    return {
      problems: [error instanceof Error ? (error.stack ?? error.message) : String(error)],
      summary: '',
    };
  }
}
