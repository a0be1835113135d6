import type { ImageRange, MemoryImage } from '../image/index.ts';

/** What a range that cannot be read is called on the screen. Memory that was never there is `not RAM`. */
export const ABSENCE: Readonly<Partial<Record<ImageRange['kind'], string>>> = {
  truncated: 'truncated: the file ends before it',
  filtered: 'filtered out: left out by whoever wrote the dump',
  unreachable: 'unreachable: the machine has it, there is no way to it',
  device: 'device, not RAM',
};

/**
 * Whether some of the target's memory was lost: the file ends early, or there is no way to it. A dump that was filtered
 * on purpose is whole: it holds what it was asked to hold.
 */
export function isPartial(image: MemoryImage): boolean {
  return image.ranges.some(({ kind }) => kind === 'truncated' || kind === 'unreachable');
}
