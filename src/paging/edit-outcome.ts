import type { EditStep } from './edit-step.ts';
import type { Invalidation } from './invalidation.ts';

/** What an edit came to. */
export interface EditOutcome {
  readonly tables: number;
  readonly freed: number;
  readonly invalidations: readonly Invalidation[];
  /** What was done in which order, where entries had to be broken first; else empty. */
  readonly steps: readonly EditStep[];
  readonly reloadRoot: boolean;
}

/** What an edit may do, of what is refused otherwise. */
export interface EditOptions {
  /** Change tables that other entries lead to as well. */
  readonly changeShared?: boolean | undefined;
}
