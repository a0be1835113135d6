/**
 * @typedef {object} CoveredFile
 * @property {string} file
 * @property {number} lines lines that can be run
 * @property {number} hit lines that were
 * @property {number[]} missed the others
 */

/**
 * Reads an lcov report. A file that tests loaded several times, as another engine would see it, has several records: a
 * line that any of them ran was run.
 *
 * @param {string} report
 * @returns {CoveredFile[]} by name
 */
export function mergeLcov(report) {
  /** @type {Map<string, Map<number, number>>} */
  const files = new Map();
  /** @type {Map<number, number>} */
  let counts = new Map();
  for (const row of report.split('\n')) {
    const file = /^SF:([^?]*)/.exec(row)?.[1];
    if (file !== undefined) {
      counts = files.get(file) ?? new Map();
      files.set(file, counts);
    }
    const [, line, count] = /^DA:(\d+),(\d+)/.exec(row) ?? [];
    if (line !== undefined) counts.set(Number(line), (counts.get(Number(line)) ?? 0) + Number(count));
  }
  return [...files]
    .map(([file, lines]) => {
      const missed = [...lines].filter(([, count]) => count === 0).map(([line]) => line);
      return {
        file,
        lines: lines.size,
        hit: lines.size - missed.length,
        missed: missed.sort((a, b) => a - b),
      };
    })
    .sort((a, b) => (a.file < b.file ? -1 : 1));
}
