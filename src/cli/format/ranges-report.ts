import type { ImageRange } from '../../image/index.ts';
import type { Colors } from '../action.ts';
import { textTable } from './text-table.ts';
import { formatSize, hex, padHex } from './units.ts';

/** The physical memory map as a table; what cannot be read stands out. Ends are inclusive, as in `/proc/iomem`. */
export function rangesReport(ranges: readonly ImageRange[], colors: Colors): string[] {
  const top = ranges.reduce((highest, { end }) => Math.max(highest, end - 1), 0);
  const digits = Math.max(8, top.toString(16).length);
  const rows = ranges.map(({ start, end, kind, offset, block, note }) => [
    padHex(start, digits),
    padHex(end - 1, digits),
    formatSize(end - start),
    kind,
    offset === undefined ? '' : hex(offset),
    block ?? '',
    note ?? '',
  ]);
  const columns = [
    { title: 'start' },
    { title: 'end' },
    { title: 'size', align: 'right' as const },
    { title: 'kind' },
    { title: 'offset' },
    { title: 'block' },
    { title: 'note' },
  ];
  // A column nobody fills is left out, heading and all.
  const used = columns.map((_, index) => index < 4 || rows.some((row) => row[index] !== ''));
  const keep = <T>(cells: readonly T[]): T[] => cells.filter((_, index) => used[index] === true);
  const [head = '', ...body] = textTable(keep(columns), rows.map(keep));
  return [
    colors.dim(head),
    ...body.map((line, index) => {
      const kind = ranges[index]?.kind;
      if (kind === 'truncated' || kind === 'unreachable') return colors.red(line);
      return kind === 'filtered' || kind === 'device' ? colors.dim(line) : line;
    }),
  ];
}

/** The physical memory map as the JSON of `ranges` and `info`; ends are exclusive. */
export function rangesJson(ranges: readonly ImageRange[]): { start: string; end: string; kind: string }[] {
  return ranges.map(({ start, end, kind }) => ({ start: hex(start), end: hex(end), kind }));
}
