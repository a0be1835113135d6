// npm run mutants: breaks rooms in every way that Stryker knows, one at a time, and wants their tests to see it. Arguments
// choose groups: map, locks, builder ... A test suite that runs a line need not look at what it did; this one must.
import { EQUIVALENTS } from './lib/mutants/equivalents.mjs';
import { GROUPS } from './lib/mutants/groups.mjs';
import { score } from './lib/mutants/score.mjs';
import { judge } from './lib/mutants/stryker.mjs';
import { prepare } from './lib/prepare.mjs';
import { duration, main, Stop, say } from './lib/say.mjs';
import { table } from './lib/table.mjs';
import { tell } from './lib/tally.mjs';

const WANTED = 90;

await main(async () => {
  await prepare();
  const names = process.argv.slice(2);
  const chosen = GROUPS.filter(({ name }) => names.length === 0 || names.includes(name));
  const unknown = names.filter((name) => !GROUPS.some((group) => group.name === name));
  if (unknown.length > 0)
    throw new Stop(
      `There is no group ${unknown.join(', ')}, only ${GROUPS.map(({ name }) => name).join(', ')}`,
    );
  /** @type {string[][]} */
  const rows = [];
  let failed = 0;
  for (const group of chosen) {
    const { name } = group;
    const began = performance.now();
    const judged = await judge(group);
    const { killed, survived, equivalent, percent, stale } = score(judged, EQUIVALENTS);
    say(
      `${name}: ${killed} of ${killed + survived.length} mutants killed (${duration(performance.now() - began)})`,
    );
    for (const { file, line, was, became } of survived)
      say(`  ${file}:${line}: survived: ${was} -> ${became}`);
    for (const entry of stale) say(`  no equivalent any more: ${entry}`);
    const ok = percent >= WANTED;
    if (!ok) failed++;
    rows.push([
      name,
      ok ? 'ok' : 'NOT OK',
      ...[killed, survived.length, equivalent].map(String),
      `${percent.toFixed(1)} %`,
    ]);
  }
  say(`\n${table(['group', '', 'killed', 'survived', 'equivalent', 'score'], rows, false)}`);
  tell(chosen.length - failed, failed);
  say(`Mutants: ${chosen.length - failed} groups ok, ${failed} not ok; wanted ${WANTED} % of each`);
  return failed === 0 ? 0 : 1;
});
