import type { ImageRange } from '../image/index.ts';
import { formatSize } from './format/units.ts';

/** What a range that cannot be read is called on the screen. Memory that was never there is `not RAM`. */
export const ABSENCE: Readonly<Partial<Record<ImageRange['kind'], string>>> = {
  truncated: 'truncated: the file ends before it',
  filtered: 'filtered out: left out by whoever wrote the dump',
  unreachable: 'unreachable: the machine has it, there is no way to it',
  device: 'device, not RAM',
};

/**
 * What was lost of the target's memory, in one line; undefined when nothing was. A dump that was filtered on purpose is
 * whole: it holds what it was asked to hold.
 */
export function describeLoss(ranges: readonly ImageRange[]): string | undefined {
  const sums = new Map<string, number>();
  for (const { start, end, kind } of ranges) {
    const why = kind === 'truncated' || kind === 'unreachable' ? ABSENCE[kind] : undefined;
    if (why !== undefined) sums.set(why, (sums.get(why) ?? 0) + (end - start));
  }
  const parts = [...sums].map(([why, bytes]) => `${formatSize(bytes)} of the target's memory is ${why}`);
  return parts.length === 0 ? undefined : parts.join('; ');
}
