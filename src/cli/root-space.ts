import type { GuestMemory } from '../core/index.ts';
import {
  eptModeFromPointer,
  type PagingControls,
  type PagingFormat,
  riscvGuestModeFromRegisters,
  riscvModeFromRegisters,
  Translator,
} from '../paging/index.ts';
import type { AddressSpace } from './address-space.ts';
import { CliError } from './cli-error.ts';
import { hex } from './format/units.ts';
import type { KnownRegisters } from './registers.ts';

/** RISC-V: satp says mode and root. */
export function riscvSpace(
  memory: GuestMemory,
  known: KnownRegisters,
  named: PagingFormat | undefined,
): AddressSpace {
  const satp = known.wanted('satp');
  const sstatus = known.value('sstatus');
  const mode = riscvModeFromRegisters({
    satp,
    xlen: xlenOf(satp, named),
    ...(sstatus === undefined ? {} : { sstatus }),
  });
  // SUM keeps a kernel from its users' pages by mistake: a person may look at them.
  return spaceOf(memory, known, 'satp', satp, { ...mode, controls: { ...mode.controls, sum: true } }, named);
}

/** RISC-V's G-stage: hgatp says mode and root. */
export function riscvGuestSpace(
  memory: GuestMemory,
  known: KnownRegisters,
  named: PagingFormat | undefined,
): AddressSpace {
  const hgatp = known.wanted('hgatp');
  const mode = riscvGuestModeFromRegisters({ hgatp, xlen: xlenOf(hgatp, named) });
  return spaceOf(memory, known, 'hgatp', hgatp, mode, named);
}

/** EPT: the EPTP says how many levels there are, and the root. */
export function eptSpace(
  memory: GuestMemory,
  known: KnownRegisters,
  named: PagingFormat | undefined,
): AddressSpace {
  const eptp = known.wanted('eptp');
  const mode = eptModeFromPointer(eptp);
  if (mode.format === undefined && named === undefined)
    throw new CliError('usage', `Cannot use eptp ${hex(eptp)}: ${mode.reason}, and there are four or five`);
  return spaceOf(memory, known, 'eptp', eptp, mode, named);
}

/** Of 32 bits where Sv32 is asked for, or where only the 32-bit form has a mode in it. */
function xlenOf(register: bigint, named: PagingFormat | undefined): 32 | 64 {
  if (named !== undefined) return named.entrySize === 4 ? 32 : 64;
  return register < 1n << 32n && register >> 31n === 1n ? 32 : 64;
}

interface Mode {
  readonly name: string;
  readonly format: PagingFormat | undefined;
  readonly root: bigint;
  readonly controls: PagingControls;
  readonly reason: string;
}

function spaceOf(
  memory: GuestMemory,
  known: KnownRegisters,
  register: 'satp' | 'hgatp' | 'eptp',
  root: bigint,
  mode: Mode,
  named: PagingFormat | undefined,
): AddressSpace {
  const format = named ?? mode.format;
  if (format === undefined) {
    if (mode.name !== 'bare')
      throw new CliError('usage', `Cannot use ${register} ${hex(root)}: ${mode.reason}`);
    return { mode: 'off', translators: [], root, origin: known.describe('off', register, mode.reason) };
  }
  if (mode.format !== undefined && format.architecture.name !== mode.format.architecture.name)
    throw new CliError('usage', `Cannot use --paging ${format.name} with ${register}`);
  const translator = new Translator({ memory, format, root: mode.root, controls: mode.controls });
  const reason = named === undefined ? mode.reason : 'from --paging';
  return {
    mode: format.name,
    translators: [translator],
    root,
    origin: known.describe(format.name, register, reason),
  };
}
