import type { CpuState, ImageRange } from '../../image/index.ts';
import type { PagingMode } from '../../paging/index.ts';
import type { Rung } from '../../qemu/index.ts';
import type { Colors } from '../action.ts';
import { formatSize, padHex, plural } from './units.ts';

/** What {@link infoReport} prints. */
export interface InfoFacts {
  readonly image: {
    readonly format: string;
    readonly reason: string;
    readonly machine?: string;
    readonly ranges: readonly ImageRange[];
    readonly warnings: readonly string[];
  };
  readonly cpus: readonly { readonly cpu: CpuState; readonly mode: PagingMode | undefined }[];
  /** The ways into a live machine, taken and not. */
  readonly rungs: readonly Rung[];
}

const LABEL = 10;

/** What a target is and whether it can be trusted, one fact a line, each with where it came from. */
export function infoReport({ image, cpus, rungs }: InfoFacts, colors: Colors): string[] {
  const line = (label: string, text: string): string => `${colors.dim(label.padEnd(LABEL))} ${text}`;
  return [
    line('format', `${colors.bold(image.format)}: ${image.reason}`),
    ...(image.machine === undefined ? [] : [line('machine', image.machine)]),
    ...rungs.map(({ name, taken, why }) => line(taken ? 'through' : 'not', `${name}: ${why}`)),
    line('memory', memorySummary(image.ranges)),
    ...image.warnings.map((warning) => line('warning', colors.yellow(warning))),
    ...(cpus.length === 0 ? [line('cpus', 'none recorded: give --cr3 to translate')] : []),
    ...cpus.flatMap(({ cpu, mode }) => [
      line(`cpu ${cpu.index}`, [...registers(cpu), colors.bold(mode?.name ?? 'paging not known')].join('  ')),
      line('', [`source: ${cpu.source}`, ...(mode === undefined ? [] : [mode.reason])].join('; ')),
    ]),
  ];
}

function registers(cpu: CpuState): string[] {
  const named: readonly (readonly [string, bigint | undefined])[] = [
    ['rip', cpu.rip],
    ['cr3', cpu.cr3],
    ['cr4', cpu.cr4],
  ];
  return named.flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${padHex(value, 8)}`]));
}

/** `1.02 GiB in 4 ranges`, then what of it cannot be read, kind by kind. */
function memorySummary(ranges: readonly ImageRange[]): string {
  const sums = new Map<ImageRange['kind'], { bytes: number; count: number }>();
  for (const { start, end, kind } of ranges) {
    const sum = sums.get(kind) ?? { bytes: 0, count: 0 };
    sums.set(kind, { bytes: sum.bytes + end - start, count: sum.count + 1 });
  }
  if (sums.size === 0) return 'none';
  return [...sums]
    .map(([kind, { bytes, count }]) => `${formatSize(bytes)} ${kind} in ${plural(count, 'range')}`)
    .join(', ');
}
