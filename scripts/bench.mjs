// npm run bench [-- ID ... --node PATH --markdown --json --rounds N]: see bench/README.md.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ask, machineName } from './lib/ask.mjs';
import { summarise } from './lib/bench-figures.mjs';
import { filesUnder, ROOT } from './lib/paths.mjs';
import { prepare } from './lib/prepare.mjs';
import { newestFetchedNode } from './lib/runtimes.mjs';
import { main, Stop, say } from './lib/say.mjs';
import { table } from './lib/table.mjs';

/**
 * @typedef {import('./lib/bench-figures.mjs').Sample} Sample
 * @typedef {import('./lib/bench-figures.mjs').Outcome} Outcome
 *
 * @typedef {{ id: string, title: string, measurements: { name: string, budget?: import('./lib/bench-figures.mjs').Budget }[] }} Listing
 */

const RUNNER = path.join(ROOT, 'dist/bench/harness/run-measurement.js');

await main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      node: { type: 'string' },
      markdown: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '3' },
    },
  });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Stop(`--rounds wants a positive whole number, not ${values.rounds}`, 2);
  const quiet = values.json || values.markdown;
  await prepare();
  const node = values.node ?? newestFetchedNode() ?? process.execPath;
  const engine = await ask(node, ['-p', 'JSON.stringify(process.versions)']);
  const versions = /** @type {Record<string, string>} */ (engine);

  /** @type {Outcome[]} */
  const outcomes = [];
  const files = filesUnder(ROOT, 'dist/bench/cases', (file) => file.endsWith('.js')).sort(byNumber);
  const chosen = files.filter((file) => positionals.length === 0 || positionals.includes(idOf(file)));
  if (chosen.length === 0)
    throw new Stop(`No case is called ${positionals.join(', ')}; there are ${files.map(idOf).join(', ')}`, 2);
  for (const file of chosen) {
    const listing = /** @type {Listing} */ (await ask(node, [RUNNER, path.join(ROOT, file)]));
    for (const [index, { name, budget }] of listing.measurements.entries()) {
      /** @type {Sample[]} */
      const samples = [];
      for (let round = 0; round < rounds; round++) {
        samples.push(/** @type {Sample} */ (await ask(node, [RUNNER, path.join(ROOT, file), String(index)])));
      }
      outcomes.push({
        id: listing.id,
        title: listing.title,
        name,
        ...summarise(samples, budget, versions['node'] ?? ''),
      });
      if (!quiet && process.stderr.isTTY) process.stderr.write(`\r\u001b[K${listing.id} ${name}`);
    }
  }
  if (!quiet && process.stderr.isTTY) process.stderr.write('\r\u001b[K');

  const machine = machineName();
  const engineName = `Node ${versions['node']} (V8 ${versions['v8']})`;
  const date = new Date().toISOString().slice(0, 10);
  if (values.json) {
    say(
      JSON.stringify(
        { machine, node: versions['node'], v8: versions['v8'], date, rounds, outcomes },
        null,
        2,
      ),
    );
  } else {
    const rows = outcomes.map(({ id, name, ours, raw, figure, budget, verdict }) => [
      id.toUpperCase(),
      name,
      ours,
      raw,
      figure,
      budget,
      verdict,
    ]);
    say(table(['id', 'what', 'ours', 'raw', 'figure', 'budget', ''], rows, values.markdown));
    say(`\n${engineName}, ${machine}, ${date}; best of ${rounds} processes each`);
  }
  return outcomes.some(({ verdict }) => verdict === 'missed') ? 1 : 0;
});

/** @param {string} file */
function idOf(file) {
  return path.basename(file).split('-')[0] ?? '';
}

/**
 * @param {string} a
 * @param {string} b
 */
function byNumber(a, b) {
  return Number(idOf(a).slice(1)) - Number(idOf(b).slice(1));
}
