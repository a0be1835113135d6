/**
 * @typedef {object} Sample what one process of a measurement answered
 * @property {number} [ours] nanoseconds per operation
 * @property {number} [raw]
 * @property {number} [bytes] per operation
 * @property {number} [value] of a probe
 *
 * @typedef {object} Budget
 * @property {'ratio' | 'ns' | 'extra ns' | 'M/s' | 'GB/s' | 'ms' | 'kB'} figure
 * @property {number} [atMost]
 * @property {number} [atLeast]
 * @property {number} [onNode20]
 *
 * @typedef {object} Summary
 * @property {string} ours
 * @property {string} raw
 * @property {string} figure
 * @property {string} budget
 * @property {'met' | 'missed' | ''} verdict
 * @property {readonly Sample[]} samples
 *
 * @typedef {Summary & { id: string, title: string, name: string }} Outcome
 */

/**
 * The best of several processes, against the budget. Ours and raw each get their best, so that neither is favoured.
 *
 * @param {readonly Sample[]} samples
 * @param {Budget | undefined} budget
 * @param {string} node version
 * @returns {Summary}
 */
export function summarise(samples, budget, node) {
  const best = {
    ours: least(samples.map(({ ours }) => ours)),
    raw: least(samples.map(({ raw }) => raw)),
    bytes: samples[0]?.bytes,
    value: least(samples.map(({ value }) => value)),
  };
  const figure = figureOf(budget?.figure ?? (best.raw === undefined ? 'ns' : 'ratio'), best);
  return {
    ours: best.ours === undefined ? '' : time(best.ours),
    raw: best.raw === undefined ? '' : time(best.raw),
    figure: figure.text,
    ...judge(figure.value, budget, node),
    samples,
  };
}

/**
 * @param {Budget['figure']} figure
 * @param {{ ours: number | undefined, raw: number | undefined, bytes: number | undefined, value: number | undefined }} best
 * @returns {{ value: number, text: string }}
 */
function figureOf(figure, { ours = Number.NaN, raw = Number.NaN, bytes = Number.NaN, value = Number.NaN }) {
  switch (figure) {
    case 'ratio':
      return { value: ours / raw, text: `${digits(ours / raw)}x` };
    case 'ns':
      return { value: ours, text: `${digits(ours)} ns` };
    case 'extra ns':
      return { value: ours - raw, text: `+${digits(ours - raw)} ns` };
    case 'M/s':
      return { value: 1e3 / ours, text: `${digits(1e3 / ours)} M/s` };
    case 'GB/s':
      return { value: bytes / ours, text: `${digits(bytes / ours)} GB/s` };
    case 'ms':
    case 'kB':
      return { value, text: `${digits(value)} ${figure}` };
    default:
      throw new Error(`There is no figure ${figure}`);
  }
}

/**
 * @param {number} value
 * @param {Budget | undefined} budget
 * @param {string} node
 * @returns {{ budget: string, verdict: 'met' | 'missed' | '' }}
 */
function judge(value, budget, node) {
  if (budget === undefined) return { budget: '', verdict: '' };
  const unit = budget.figure === 'ratio' ? 'x' : ` ${budget.figure.replace('extra ', '')}`;
  const special = node.startsWith('20.') ? budget.onNode20 : undefined;
  const most = budget.atMost === undefined ? undefined : (special ?? budget.atMost);
  const least = budget.atLeast === undefined ? undefined : (special ?? budget.atLeast);
  if (most === undefined && least === undefined) return { budget: '', verdict: '' };
  // Not "worse than": a figure that is not a number has missed.
  const met = (most === undefined || value <= most) && (least === undefined || value >= least);
  return {
    budget: most === undefined ? `>= ${least}${unit}` : `<= ${most}${unit}`,
    verdict: met ? 'met' : 'missed',
  };
}

/**
 * @param {readonly (number | undefined | null)[]} values
 * @returns {number | undefined}
 */
function least(values) {
  const numbers = values.filter((value) => typeof value === 'number');
  return numbers.length === 0 ? undefined : Math.min(...numbers);
}

/** @param {number} ns */
function time(ns) {
  return ns < 1e4 ? `${digits(ns)} ns` : `${digits(ns / 1e3)} us`;
}

/**
 * @param {number} value
 * @returns {string} with three digits that count
 */
function digits(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
