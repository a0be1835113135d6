// npm run bench:peers [-- PART ... --node PATH --markdown --json --rounds N]: see bench/README.md.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { answer, ask, machineName } from './lib/ask.mjs';
import { filesUnder, ROOT } from './lib/paths.mjs';
import { bestOf, parseListing, parseSample, peerTables } from './lib/peers.mjs';
import { prepare } from './lib/prepare.mjs';
import { run } from './lib/run.mjs';
import { newestFetchedNode } from './lib/runtimes.mjs';
import { duration, indent, main, note, Stop, say } from './lib/say.mjs';

/**
 * @typedef {object} Entry one contender at one work
 * @property {string} who
 * @property {string} work
 * @property {string} program
 * @property {string[]} args
 */

const RUNNER = path.join(ROOT, 'dist/bench/harness/run-measurement.js');
const FLAGS = 'release, lto = "fat", codegen-units = 1, opt-level = 3';
const TARGET = path.join(ROOT, '.cache/peers');
const BUILD_TIMEOUT_MS = 1_200_000;
const NO_CARGO = 3;

await main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      node: { type: 'string' },
      markdown: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '2' },
    },
  });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Stop(`--rounds wants a positive whole number, not ${values.rounds}`, 2);
  const rust = await rustVersion();
  await prepare();
  const peers = await buildPeers();

  const start = performance.now();
  const node = values.node ?? newestFetchedNode() ?? process.execPath;
  const versions = /** @type {Record<string, string>} */ (
    await ask(node, ['-p', 'JSON.stringify(process.versions)'])
  );
  const works = byWork([...(await ourEntries(node)), ...peers], positionals);
  /** @type {import('./lib/peers.mjs').Sample[]} */
  const samples = [];
  for (let round = 0; round < rounds; round++) {
    for (const [work, entries] of works) {
      if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${round + 1}/${rounds} ${work}`);
      for (const { who, program, args } of entries) {
        samples.push({ who, work, ...parseSample(await ask(program, args)) });
      }
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  note(`Measured in ${duration(performance.now() - start)}`);

  const best = bestOf(samples);
  const machine = machineName();
  const date = new Date().toISOString().slice(0, 10);
  if (values.json) {
    const { node: nodeVersion, v8 } = versions;
    say(
      JSON.stringify({ machine, node: nodeVersion, v8, rust, flags: FLAGS, date, rounds, samples }, null, 2),
    );
  } else {
    say(peerTables(best, values.markdown));
    say(
      `\nNode ${versions['node']} (V8 ${versions['v8']}); ${rust} (${FLAGS}); ${machine}; ${date}; best of ${rounds} processes each`,
    );
  }
});

/** @returns {Promise<string>} the version of the compiler that cargo will use */
async function rustVersion() {
  const cargo = await run('cargo', ['--version'], { timeoutMs: 30_000 });
  const { status, output } = await run('rustc', ['--version'], { timeoutMs: 30_000 });
  if (cargo.status !== 0 || status !== 0)
    throw new Stop('The peers are Rust programs: cargo and rustc are wanted (https://rustup.rs)', NO_CARGO);
  return output.trim().split(' ').slice(0, 2).join(' ');
}

/**
 * Builds the programs and asks each what it measures.
 *
 * @returns {Promise<Entry[]>}
 */
async function buildPeers() {
  const start = performance.now();
  const { status, output } = await run(
    'cargo',
    ['build', '--release', '--manifest-path', 'bench/peers/Cargo.toml', '--target-dir', TARGET],
    { cwd: ROOT, timeoutMs: BUILD_TIMEOUT_MS },
  );
  if (status !== 0) throw new Stop(`Cannot build the peers: cargo said\n${indent(output)}`);
  note(`Built the peers in ${duration(performance.now() - start)}`);
  /** @type {Entry[]} */
  const entries = [];
  for (const file of filesUnder(ROOT, 'bench/peers/src/bin', (source) => source.endsWith('.rs'))) {
    const program = path.join(TARGET, 'release', path.basename(file, '.rs'));
    for (const { peer, work } of parseListing(await answer(program, ['list']))) {
      entries.push({ who: peer, work, program, args: ['run', peer, work] });
    }
  }
  return entries;
}

/**
 * @param {string} node
 * @returns {Promise<Entry[]>}
 */
async function ourEntries(node) {
  /** @type {Entry[]} */
  const entries = [];
  for (const file of filesUnder(ROOT, 'dist/bench/peers/cases', (compiled) => compiled.endsWith('.js'))) {
    const listing = await ask(node, [RUNNER, path.join(ROOT, file)]);
    const { id, measurements } = /** @type {{ id: string, measurements: { name: string }[] }} */ (listing);
    for (const [index, { name }] of measurements.entries()) {
      entries.push({
        who: id,
        work: name,
        program: node,
        args: [RUNNER, path.join(ROOT, file), String(index)],
      });
    }
  }
  return entries;
}

/**
 * @param {readonly Entry[]} entries
 * @param {readonly string[]} parts of the names that are wanted; all if none
 * @returns {Map<string, Entry[]>} who measures each work
 */
function byWork(entries, parts) {
  /** @type {Map<string, Entry[]>} */
  const works = new Map();
  for (const entry of entries) {
    if (parts.length > 0 && !parts.some((part) => entry.work.includes(part))) continue;
    works.set(entry.work, [...(works.get(entry.work) ?? []), entry]);
  }
  if (works.size === 0)
    throw new Stop(
      `No work is called ${parts.join(', ')}; there are:\n${[...new Set(entries.map(({ work }) => work))].join('\n')}`,
      2,
    );
  return works;
}
