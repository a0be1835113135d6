import type { DirtyLog, SharedDirtyLog } from '../../src/core/dirty-log.ts';
import { withLog } from '../../src/core/dirty-tracking.ts';
import { bytes, GuestMemory, type SharedPageRights } from '../../src/core/index.ts';

/** Bytes a mark stands for: pages that share lines of the cache with their neighbours. */
export const LOG_PAGE = 8;
/** Pages of a race. With few, a drain meets the writers at every page; with many, they write undisturbed in between. */
export const PAGES = { tight: 64, wide: 2048 } as const;
export type Width = keyof typeof PAGES;
/** Pages in one write of the range writer: some words of the log whole, others by parts. */
export const RANGE_PAGES = 100;

/** What all sides of the races about pages are given. */
export interface PageRaceData {
  readonly ram: SharedArrayBuffer;
  readonly logs: Readonly<Record<Width, SharedDirtyLog>>;
  readonly rights: SharedPageRights;
  /** States of pages that come on demand, and how often each was brought. */
  readonly states: Int32Array;
  readonly brought: Int32Array;
  readonly control: Int32Array;
  /** Which of the two Workers this is. */
  readonly side: 0 | 1;
}

/** Cells of {@link PageRaceData.control}. */
export const ROUND = 0;
export const DONE = 1;
export const SEEN = 2;

/** How a Worker writes its share of all pages once. */
export type PageWriter = 'scalars' | 'atomics' | 'ranges' | 'planted: mark first';

export type PageTask =
  | { readonly kind: 'write'; readonly writer: PageWriter; readonly width: Width; readonly rounds: number }
  | { readonly kind: 'bring' }
  | { readonly kind: 'obey' };

/** The shared bytes, every write of which is noted in the log. */
export function tracked(ram: SharedArrayBuffer, log: DirtyLog): GuestMemory {
  return GuestMemory.from(bytes(new Uint8Array(ram))).derive((entry) => withLog(entry, log));
}
