/** What a budget bounds; see bench/README.md for how each is computed. */
export type Figure = 'ratio' | 'ns' | 'extra ns' | 'M/s' | 'GB/s' | 'ms' | 'kB';

export interface Budget {
  readonly figure: Figure;
  readonly atMost?: number;
  readonly atLeast?: number;
  /** The bound that holds on Node 20 instead. */
  readonly onNode20?: number;
}

/** Closures that are timed by the harness. */
export interface Timed {
  /** Operations done by one call of a closure. */
  readonly operations: number;
  /** Bytes moved by one operation, for GB/s. */
  readonly bytes?: number;
  /** The number returned depends on every operation, so that none can be optimised away. */
  readonly ours: () => number;
  /** The same work on plain typed arrays; its first call returns the number that the first of ours did. */
  readonly raw?: () => number;
  readonly close?: () => void;
}

/** A figure that a case takes by itself. */
export interface Probe {
  readonly probe: () => number | Promise<number>;
}

export interface Measurement {
  readonly name: string;
  readonly budget?: Budget;
  /** Builds the subject. Runs once, in the process of this measurement alone. */
  readonly prepare: () => Timed | Probe | Promise<Timed | Probe>;
}

/** The default export of every file in bench/cases. */
export interface BenchCase {
  /** The id of the budget, such as `p1`. */
  readonly id: string;
  readonly title: string;
  readonly measurements: readonly Measurement[];
}
