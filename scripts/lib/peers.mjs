import { Stop } from './say.mjs';
import { table } from './table.mjs';

/**
 * @typedef {object} Sample one process: one contender at one work
 * @property {string} who
 * @property {string} work
 * @property {number} ns per operation
 * @property {number} checksum what the first call returned
 *
 * @typedef {ReadonlyMap<string, number>} Best nanoseconds by contender
 */

/** The columns of the first table, by contender. The rest stand in a table of pairs. */
const OURS = 'guestmem';
const MEMORY_COLUMNS = [
  { who: OURS, title: 'guestmem' },
  { who: 'guestmem-shared', title: 'guestmem, shared' },
  { who: 'typed-arrays', title: 'raw arrays' },
  { who: 'fresh-views', title: 'fresh views' },
  { who: 'vm-memory 0.18.0', title: 'vm-memory 0.18' },
  { who: 'vm-memory 0.16.2', title: 'vm-memory 0.16.2' },
];
const RATIO_COLUMNS = [
  { who: 'vm-memory 0.18.0', title: 'ours / 0.18' },
  { who: 'vm-memory 0.16.2', title: 'ours / 0.16.2' },
];

/**
 * The measurements that a peer's program says it has.
 *
 * @param {string} output a JSON object a line
 * @returns {{ peer: string, work: string }[]}
 */
export function parseListing(output) {
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const { peer, work } = /** @type {Record<string, unknown>} */ (JSON.parse(line));
      if (typeof peer !== 'string' || typeof work !== 'string')
        throw new Stop(`A listing wants a peer and a work, not ${line}`);
      return { peer, work };
    });
}

/**
 * @param {unknown} answer of one process, ours or a peer's
 * @returns {{ ns: number, checksum: number }}
 */
export function parseSample(answer) {
  const { ns, ours, checksum, result } = /** @type {Record<string, unknown>} */ (answer);
  const [time, sum] = [ns ?? ours, checksum ?? result];
  if (typeof time !== 'number' || !(time > 0) || typeof sum !== 'number')
    throw new Stop(`A sample wants a time and a checksum, not ${JSON.stringify(answer)}`);
  return { ns: time, checksum: sum };
}

/**
 * The best time of each contender at each work, in the order in which the works came.
 *
 * @param {readonly Sample[]} samples
 * @returns {Map<string, Map<string, number>>} by work, then by contender
 */
export function bestOf(samples) {
  /** @type {Map<string, Map<string, number>>} */
  const works = new Map();
  /** @type {Map<string, Sample>} */
  const first = new Map();
  for (const sample of samples) {
    const { who, work, ns, checksum } = sample;
    const other = first.get(work) ?? sample;
    if (other.checksum !== checksum)
      throw new Stop(
        `${who} and ${other.who} do different work at "${work}": ${checksum} and ${other.checksum}`,
      );
    first.set(work, other);
    const best = works.get(work) ?? new Map();
    best.set(who, Math.min(ns, best.get(who) ?? Number.POSITIVE_INFINITY));
    works.set(work, best);
  }
  return works;
}

/**
 * @param {ReadonlyMap<string, Best>} works
 * @param {boolean} markdown
 * @returns {string} memory beside vm-memory in one table, all other peers in one of pairs
 */
export function peerTables(works, markdown) {
  /** @type {string[][]} */
  const memory = [];
  /** @type {string[][]} */
  const pairs = [];
  for (const [work, best] of works) {
    if (RATIO_COLUMNS.some(({ who }) => best.has(who))) {
      memory.push([
        work,
        ...MEMORY_COLUMNS.map(({ who }) => time(best.get(who))),
        ...RATIO_COLUMNS.map(({ who }) => ratio(best.get(OURS), best.get(who))),
      ]);
      continue;
    }
    for (const [who, ns] of best) {
      if (who === OURS) continue;
      pairs.push([work, who, time(best.get(OURS)), time(ns), ratio(best.get(OURS), ns)]);
    }
  }
  const titles = [...MEMORY_COLUMNS, ...RATIO_COLUMNS].map(({ title }) => title);
  return [
    { head: ['nanoseconds per operation', ...titles], rows: memory },
    { head: ['what', 'peer', 'guestmem', 'peer', 'ours / peer'], rows: pairs },
  ]
    .filter(({ rows }) => rows.length > 0)
    .map(({ head, rows }) => table(head, rows, markdown))
    .join('\n\n');
}

/** @param {number | undefined} ns */
function time(ns) {
  return ns === undefined ? '-' : digits(ns);
}

/**
 * @param {number | undefined} ours
 * @param {number | undefined} theirs
 * @returns {string} with a word where we are slower
 */
function ratio(ours, theirs) {
  if (ours === undefined || theirs === undefined) return '-';
  return ours > theirs ? `${digits(ours / theirs)}x slower` : `${digits(ours / theirs)}x`;
}

/** @param {number} value */
function digits(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
