import { ADDRESS_SPACE_SIZE, PAGE_SIZE } from './addresses.ts';
import type { MemoryBacking } from './backing.ts';
import { GuestMemoryError } from './errors.ts';
import type { RegionInit } from './memory-map.ts';

/** OpenVMM's multi-region layout: equal slots of a power of two, one backing at the start of each. */
export function multiRegionInits(
  regionSize: number,
  backings: readonly (MemoryBacking | undefined)[],
): RegionInit[] {
  const fail = (code: 'invalid' | 'too-large', reason: string): GuestMemoryError =>
    new GuestMemoryError(code, reason, { operation: 'make a multi-region memory' });
  // The logarithm of 2^49+1 is rounded to 49: only the way back tells.
  if (
    !(regionSize >= 1) ||
    regionSize === Infinity ||
    2 ** Math.round(Math.log2(regionSize)) !== regionSize
  ) {
    throw fail('invalid', `not a power of two: current region size ${regionSize}`);
  }
  if (regionSize < PAGE_SIZE)
    throw fail('invalid', `region size too small: current ${regionSize}, wanted at least ${PAGE_SIZE}`);
  const slots = 2 ** Math.ceil(Math.log2(Math.max(1, backings.length)));
  if (regionSize * slots > ADDRESS_SPACE_SIZE) {
    throw fail(
      'too-large',
      `too many regions: current ${backings.length} of ${regionSize} bytes, wanted at most ${ADDRESS_SPACE_SIZE / regionSize}`,
    );
  }
  return backings.flatMap((backing, i) => {
    if (backing === undefined) return [];
    if (backing.size > regionSize) {
      throw fail(
        'too-large',
        `backing too large: current ${backing.size} bytes in slot ${i}, wanted at most ${regionSize}`,
      );
    }
    return [{ start: i * regionSize, backing }];
  });
}
