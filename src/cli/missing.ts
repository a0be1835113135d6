import type { ImageRange, MemoryImage } from '../image/index.ts';
import type { Console } from './action.ts';
import { formatSize } from './format/units.ts';

/** What a range that cannot be read is called on the screen. Memory that was never there is `not RAM`. */
export const ABSENCE: Readonly<Partial<Record<ImageRange['kind'], string>>> = {
  truncated: 'truncated: the file ends before it',
  filtered: 'filtered out: left out by whoever wrote the dump',
  unreachable: 'unreachable: the machine has it, there is no way to it',
  device: 'device, not RAM',
};

/** Bytes of the target that the guest has as memory and that cannot be read here, by why. */
export function missingBytes(ranges: readonly ImageRange[]): ReadonlyMap<ImageRange['kind'], number> {
  const sums = new Map<ImageRange['kind'], number>();
  for (const { start, end, kind } of ranges) {
    if (kind === 'truncated' || kind === 'filtered' || kind === 'unreachable') {
      sums.set(kind, (sums.get(kind) ?? 0) + (end - start));
    }
  }
  return sums;
}

/** Prints the target's warnings and what of its memory is missing; true when the file or the way in lost something. */
export function noticeMissing(console: Console, image: MemoryImage): boolean {
  for (const warning of image.warnings) console.notice(warning);
  const missing = missingBytes(image.ranges);
  for (const [kind, bytes] of missing)
    console.notice(`${formatSize(bytes)} of its memory is ${ABSENCE[kind]}`);
  // A dump that was filtered on purpose is whole: it holds what it was asked to hold.
  return missing.has('truncated') || missing.has('unreachable');
}
