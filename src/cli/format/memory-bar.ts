import { formatSize, hex } from './units.ts';

/** One stretch of the guest-physical space that has something in it. */
export interface BarSegment {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** What it is, in a word: `ram`, `plugged`. */
  readonly label: string;
  /** The character its stretch of the bar is drawn with. */
  readonly fill: string;
}

const HOLE_FILL = '·';
/** Below 4 KiB one column, then one more for every fourfold: a map of 640 KiB and of 64 GiB stays readable. */
const SMALLEST = 4096;

/**
 * A physical memory map as a bar with two lines of captions: where each stretch starts, and what and how big it is.
 * Widths grow with the logarithm of the size, so that a megabyte and a terabyte fit on one line together. `segments`
 * must be in address order and not overlap.
 */
export function memoryBar(segments: readonly BarSegment[]): string[] {
  const cells: { fill: string; captions: readonly [string, string]; width: number }[] = [];
  let reached = 0;
  for (const { start, end, label, fill } of segments) {
    if (start > reached) cells.push(cell(HOLE_FILL, reached, start, 'hole'));
    cells.push(cell(fill, start, end, label));
    reached = end;
  }
  return [
    cells.map(({ fill, width }) => fill.repeat(width)).join(' '),
    cells
      .map(({ captions, width }) => captions[0].padEnd(width))
      .join(' ')
      .trimEnd(),
    cells
      .map(({ captions, width }) => captions[1].padEnd(width))
      .join(' ')
      .trimEnd(),
  ];
}

function cell(fill: string, start: number, end: number, label: string) {
  const size = end - start;
  const drawn = 1 + Math.max(0, Math.ceil(Math.log2(size / SMALLEST) / 2));
  const captions = [hex(start), `${formatSize(size)} ${label}`] as const;
  return { fill, captions, width: Math.max(drawn, captions[0].length, captions[1].length) };
}
