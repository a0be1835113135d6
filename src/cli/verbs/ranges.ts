import type { Command } from 'commander';
import { describeLoss } from '../absence.ts';
import { type Console, setAction } from '../action.ts';
import { ExitStatus } from '../exit-status.ts';
import { jsonArray } from '../format/json.ts';
import { rangesJson, rangesReport } from '../format/ranges-report.ts';
import { withTarget } from '../target.ts';
import { addTarget, type CommonOptions } from '../target-options.ts';

const EXAMPLE = `
Example:
  $ guestmem ranges vm.elf
  start     end         size  kind  offset
  00000000  0009ffff  640 KiB  ram   0x540`;

/** `guestmem ranges TARGET`: the physical memory map. */
export function registerRanges(program: Command): void {
  const command = program.command('ranges').description('physical memory map');
  setAction(addTarget(command).addHelpText('after', EXAMPLE), ranges);
}

function ranges(console: Console, args: readonly string[], options: CommonOptions): Promise<ExitStatus> {
  return withTarget(console, args[0] ?? '', options, async (image) => {
    if (options.json === true) await console.out.lines(jsonArray(rangesJson(image.ranges)));
    else await console.out.lines(rangesReport(image.ranges, console.colors));
    if (image.ranges.length === 0) return ExitStatus.notFound;
    return describeLoss(image.ranges) !== undefined ? ExitStatus.partial : ExitStatus.ok;
  });
}
