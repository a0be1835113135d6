import type { Command } from 'commander';
import type { AddressSpaceOptions } from './address-space.ts';
import type { TargetOptions } from './target.ts';

/** What every verb with a TARGET understands. */
export interface CommonOptions extends TargetOptions {
  readonly json?: boolean;
}

/** What every verb that translates understands besides. */
export type TranslatingOptions = CommonOptions & AddressSpaceOptions;

/** Gives `command` its TARGET, `--format` and `--json`. */
export function addTarget(command: Command): Command {
  return command
    .argument('<target>', 'FILE, raw:FILE, or qemu:PATH-OF-QMP-SOCKET')
    .option('--format <name>', 'the format of the file: elf-core or raw (default: look)')
    .option('--json', 'print JSON; addresses and sizes are 0x hex strings');
}

/** Gives `command` the options that choose an address space. */
export function addAddressSpace(command: Command): Command {
  return command
    .option('--cpu <number>', 'the CPU whose registers to use (default: the first)')
    .option('--cr3 <value>', 'the root of the page tables')
    .option(
      '--paging <mode>',
      'off, x86-4level, riscv-sv39, ept-4level ... (default: as the registers say; docs/guides/inspect.md lists them)',
    )
    .option(
      '--reg <name=value...>',
      'set cr0, cr3, cr4, efer; or ttbr0, ttbr1, tcr, sctlr; vttbr, vtcr; satp, sstatus; hgatp; eptp',
    );
}
