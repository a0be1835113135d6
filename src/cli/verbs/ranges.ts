import type { Command } from 'commander';
import { type Console, setAction, type VerbResult } from '../action.ts';
import { ExitStatus } from '../exit-status.ts';
import { jsonArray } from '../format/json.ts';
import { rangesReport } from '../format/ranges-report.ts';
import { hex } from '../format/units.ts';
import { noticeMissing } from '../missing.ts';
import { openTarget } from '../target.ts';
import { addTarget, type CommonOptions } from '../target-options.ts';

const EXAMPLE = `
Example:
  $ guestmem ranges vm.elf
  start     end             size  kind  file offset
  00000000  0009ffff     640 KiB  ram   0x540`;

/** `guestmem ranges TARGET`: the physical memory map. */
export function registerRanges(program: Command): void {
  const command = program.command('ranges').description('physical memory map');
  setAction(addTarget(command).addHelpText('after', EXAMPLE), ranges);
}

async function ranges(
  console: Console,
  args: readonly string[],
  options: CommonOptions,
): Promise<VerbResult> {
  const image = await openTarget(args[0] ?? '', options);
  try {
    if (options.json === true) {
      const items = image.ranges.map(({ start, end, kind }) => ({ start: hex(start), end: hex(end), kind }));
      await console.out.lines(jsonArray(items));
    } else {
      await console.out.lines(rangesReport(image.ranges, console.colors));
    }
    if (image.ranges.length === 0) return ExitStatus.notFound;
    return noticeMissing(console, image) ? ExitStatus.partial : ExitStatus.ok;
  } finally {
    image.close();
  }
}
