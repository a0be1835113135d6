import type { Command } from 'commander';
import { QemuMachine } from '../../qemu/index.ts';
import { describeLoss } from '../absence.ts';
import { type Console, setAction } from '../action.ts';
import { pagingOf } from '../address-space.ts';
import { ExitStatus } from '../exit-status.ts';
import { infoReport } from '../format/info-report.ts';
import { jsonText } from '../format/json.ts';
import { rangesJson } from '../format/ranges-report.ts';
import { withTarget } from '../target.ts';
import { addTarget, type CommonOptions } from '../target-options.ts';

const EXAMPLE = `
Example:
  $ guestmem info qemu:/run/vm/qmp.sock`;

/** `guestmem info TARGET`: what it is, and where each fact came from. */
export function registerInfo(program: Command): void {
  const command = program.command('info').description('format, memory ranges, CPUs, paging mode');
  setAction(addTarget(command).addHelpText('after', EXAMPLE), info);
}

function info(console: Console, args: readonly string[], options: CommonOptions): Promise<ExitStatus> {
  return withTarget(console, args[0] ?? '', options, async (image) => {
    if (options.json === true) {
      const cpus = image.cpus.map((cpu) => ({
        cr3: cpu.cr3 ?? null,
        cr4: cpu.cr4 ?? null,
        paging: pagingOf(cpu)?.name ?? null,
        source: cpu.source,
      }));
      const { format, reason } = image;
      await console.out.lines([jsonText({ format, reason, ranges: rangesJson(image.ranges), cpus })]);
    } else {
      const rungs = image instanceof QemuMachine ? image.rungs : [];
      const cpus = image.cpus.map((cpu) => ({ cpu, mode: pagingOf(cpu) }));
      await console.out.lines(infoReport({ image, cpus, rungs }, console.colors));
    }
    return describeLoss(image.ranges) !== undefined ? ExitStatus.partial : ExitStatus.ok;
  });
}
