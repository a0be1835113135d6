import type { Invalidation } from './invalidation.ts';

/**
 * One step of an edit of tables in use, on architectures that want a leaf broken before another takes its place (AArch64;
 * Arm ARM, DDI 0487, D8.16 "Using break-before-make when updating translation table entries").
 *
 * - `break`: the entry becomes nothing;
 * - `write`: the entry is changed in place, which the architecture allows;
 * - `invalidate`: the hardware's caches forget, and everybody waits until they did (TLBI, then DSB);
 * - `make`: an entry that was broken becomes what it is to be.
 */
export type EditStep =
  | { readonly kind: 'break'; readonly entryAddress: number }
  | { readonly kind: 'write' | 'make'; readonly entryAddress: number; readonly entry: bigint }
  | { readonly kind: 'invalidate'; readonly invalidations: readonly Invalidation[] };
