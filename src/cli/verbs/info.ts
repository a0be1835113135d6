import type { Command } from 'commander';
import { QemuMachine } from '../../qemu/index.ts';
import { type Console, setAction, type VerbResult } from '../action.ts';
import { pagingOf } from '../address-space.ts';
import { ExitStatus } from '../exit-status.ts';
import { infoReport } from '../format/info-report.ts';
import { jsonText } from '../format/json.ts';
import { hex } from '../format/units.ts';
import { noticeMissing } from '../missing.ts';
import { openTarget } from '../target.ts';
import { addTarget, type CommonOptions } from '../target-options.ts';

const EXAMPLE = `
Example:
  $ guestmem info qemu:/run/vm/qmp.sock`;

/** `guestmem info TARGET`: what it is, and where each fact came from. */
export function registerInfo(program: Command): void {
  const command = program.command('info').description('format, memory ranges, CPUs, paging mode');
  setAction(addTarget(command).addHelpText('after', EXAMPLE), info);
}

async function info(console: Console, args: readonly string[], options: CommonOptions): Promise<VerbResult> {
  const image = await openTarget(args[0] ?? '', options);
  try {
    if (options.json === true) {
      const ranges = image.ranges.map(({ start, end, kind }) => ({ start: hex(start), end: hex(end), kind }));
      const cpus = image.cpus.map((cpu) => ({
        cr3: cpu.cr3 ?? null,
        cr4: cpu.cr4 ?? null,
        paging: pagingOf(cpu)?.name ?? null,
        source: cpu.source,
      }));
      await console.out.lines([jsonText({ format: image.format, reason: image.reason, ranges, cpus })]);
    } else {
      const rungs = image instanceof QemuMachine ? image.rungs : [];
      const cpus = image.cpus.map((cpu) => ({ cpu, mode: pagingOf(cpu) }));
      await console.out.lines(infoReport({ image, cpus, rungs }, console.colors));
    }
    return noticeMissing(console, image) ? ExitStatus.partial : ExitStatus.ok;
  } finally {
    image.close();
  }
}
