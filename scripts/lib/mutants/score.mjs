/**
 * @typedef {import('./stryker.mjs').Judged} Judged
 *
 * @typedef {object} Equivalent changes that no test can see
 * @property {string} file
 * @property {string} why
 * @property {readonly string[][]} changes the line of the source, without the spaces around it; what is changed there; and
 *   what each of these changes makes of it
 *
 * @typedef {object} Score
 * @property {number} killed
 * @property {readonly Judged[]} survived
 * @property {number} equivalent how many more survived, as they must
 * @property {number} percent killed of all that are not equivalent
 * @property {string[]} stale what the list of equivalents says that is not so
 */

/**
 * @param {readonly Judged[]} judged
 * @param {readonly Equivalent[]} equivalents
 * @returns {Score}
 */
export function score(judged, equivalents) {
  const killed = judged.filter(({ state }) => state === 'killed');
  const alive = judged.filter(({ state }) => state === 'survived');
  const files = new Set(judged.map(({ file }) => file));
  /** @type {string[]} */
  const stale = [];
  /** @type {Set<Judged>} */
  const excused = new Set();
  const changes = equivalents
    .filter(({ file }) => files.has(file))
    .flatMap((entry) =>
      entry.changes.map(([text, was, ...became]) => ({ file: entry.file, text, was, became })),
    );
  for (const { file, text, was, became } of changes) {
    for (const wanted of became) {
      /** @param {Judged} mutant */
      const isMeant = (mutant) =>
        mutant.file === file && mutant.text === text && mutant.was === was && mutant.became === wanted;
      const found = alive.filter(isMeant);
      for (const mutant of found) excused.add(mutant);
      if (found.length === 0 || killed.some(isMeant))
        stale.push(
          `${file}: ${was} -> ${wanted}: ${killed.some(isMeant) ? 'a test sees it' : 'there is no such mutant'}`,
        );
    }
  }
  const survived = alive.filter((mutant) => !excused.has(mutant));
  return {
    killed: killed.length,
    survived,
    equivalent: excused.size,
    percent: (100 * killed.length) / Math.max(1, killed.length + survived.length),
    stale,
  };
}
