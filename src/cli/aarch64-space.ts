import type { GuestMemory } from '../core/index.ts';
import {
  type AArch64Mode,
  aarch64Stage1FromRegisters,
  aarch64Stage2FromRegisters,
  type PagingFormat,
  Translator,
} from '../paging/index.ts';
import type { AddressSpace } from './address-space.ts';
import { CliError } from './cli-error.ts';
import type { KnownRegisters } from './registers.ts';

/** Stage 1 of AArch64: the two halves that TCR, TTBR0 and TTBR1 describe. */
export function aarch64Space(
  memory: GuestMemory,
  known: KnownRegisters,
  named: PagingFormat | undefined,
): AddressSpace {
  refuseName(named);
  const sctlr = known.value('sctlr');
  const { lower, upper } = aarch64Stage1FromRegisters({
    tcr: known.wanted('tcr'),
    ttbr0: known.value('ttbr0') ?? 0n,
    ttbr1: known.value('ttbr1') ?? 0n,
    ...(sctlr === undefined ? {} : { sctlr }),
  });
  // A half whose root nobody named is not in use, whatever TCR says of it.
  const halves = [
    ...(known.value('ttbr0') === undefined ? [] : [lower]),
    ...(known.value('ttbr1') === undefined ? [] : [upper]),
  ];
  if (halves.length === 0)
    throw new CliError('usage', 'Cannot translate: --reg ttbr0=VALUE or ttbr1=VALUE is needed too');
  const root = known.value('ttbr1') ?? known.value('ttbr0') ?? 0n;
  const space = spaceOf(memory, halves, root, known, known.value('ttbr1') === undefined ? 'ttbr0' : 'ttbr1');
  return { ...space, halves: [lower, upper] };
}

/** Stage 2 of AArch64: guest-physical addresses. */
export function aarch64Stage2Space(
  memory: GuestMemory,
  known: KnownRegisters,
  named: PagingFormat | undefined,
): AddressSpace {
  refuseName(named);
  const vttbr = known.wanted('vttbr');
  const mode = aarch64Stage2FromRegisters({ vtcr: known.wanted('vtcr'), vttbr });
  return spaceOf(memory, [mode], vttbr, known, 'vttbr');
}

function refuseName(named: PagingFormat | undefined): void {
  if (named !== undefined)
    throw new CliError(
      'usage',
      `Cannot use --paging ${named.name} with registers of AArch64: they say the mode themselves`,
    );
}

function spaceOf(
  memory: GuestMemory,
  modes: readonly AArch64Mode[],
  root: bigint,
  known: KnownRegisters,
  rootName: 'ttbr0' | 'ttbr1' | 'vttbr',
): AddressSpace {
  if (modes.some(({ name }) => name === 'big-endian'))
    throw new CliError(
      'input',
      'Cannot translate: the tables are big-endian (SCTLR_EL1.EE), which is not read so far',
    );
  const translators = modes.flatMap(({ format, root: table, controls }) =>
    format === undefined ? [] : [new Translator({ memory, format, root: table, controls })],
  );
  const mode = modes.map(({ name }) => name).join(' and ');
  const reason = [...new Set(modes.map(({ reason: why }) => why))].join('; ');
  if (translators.length === 0 && modes.some(({ name }) => name !== 'off'))
    throw new CliError('input', `Cannot translate: every address faults (${reason})`);
  return { mode, translators, root, origin: known.describe(mode, rootName, reason) };
}
