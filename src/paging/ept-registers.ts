import { EPT_4LEVEL, EPT_5LEVEL, type EptControls, eptFormat } from './ept-formats.ts';
import type { PagingFormat } from './format.ts';
import { NPT_4LEVEL, NPT_5LEVEL } from './npt-formats.ts';
import type { X86Controls } from './x86-controls.ts';

/** How guest-physical addresses are translated by Intel's extended page tables. */
export interface EptMode {
  /** A format's, or `reserved`: a page-walk length that no processor has. */
  readonly name: 'reserved' | PagingFormat['name'];
  /** `undefined` where the name is none of a format. */
  readonly format: PagingFormat | undefined;
  /** Physical address of the root table. */
  readonly root: bigint;
  /** What the EPTP says; `accessedDirty` is not set, see {@link marking}. */
  readonly controls: EptControls;
  /** What the processor does with entries in use (bit 6); for `controls.accessedDirty`, where wanted. */
  readonly marking: 'off' | 'update';
  /** Memory type of the tables themselves: 0 uncacheable, 6 write-back. */
  readonly memoryType: number;
  /** What decided, as one line. */
  readonly reason: string;
}

/**
 * Takes an extended-page-table pointer apart (SDM 3C, 25.6.11). Any contents give an answer.
 *
 * @param options.modeBasedExecute - see {@link eptFormat}: a VM-execution control, which is not in the EPTP
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { EPT_4LEVEL, eptModeFromPointer } from 'guestmem/paging';
 *
 * const mode = eptModeFromPointer(0x1_2345_605en);
 * assert.equal(mode.format, EPT_4LEVEL);
 * assert.deepEqual([mode.root, mode.marking, mode.memoryType], [0x1_2345_6000n, 'update', 6]);
 * ```
 */
export function eptModeFromPointer(
  eptp: bigint | number,
  options: { readonly modeBasedExecute?: boolean } = {},
): EptMode {
  const pointer = BigInt.asUintN(64, BigInt(eptp));
  const levels = Number((pointer >> 3n) & 7n) + 1;
  const format = formatOf(levels, options.modeBasedExecute === true);
  return {
    name: format?.name ?? 'reserved',
    format,
    root: pointer & ROOT,
    controls: { supervisorShadowStacks: ((pointer >> 7n) & 1n) === 1n },
    marking: ((pointer >> 6n) & 1n) === 1n ? 'update' : 'off',
    memoryType: Number(pointer & 7n),
    reason: `EPTP bits 5:3 say ${levels} levels`,
  };
}

function formatOf(levels: number, modeBasedExecute: boolean): PagingFormat | undefined {
  if (levels !== 4 && levels !== 5) return undefined;
  if (modeBasedExecute) return eptFormat({ levels, modeBasedExecute });
  return levels === 4 ? EPT_4LEVEL : EPT_5LEVEL;
}

/** The host's registers that decide how AMD's nested paging translates. */
export interface NptRegisters {
  /** nCR3 of the VMCB. */
  readonly ncr3: bigint | number;
  /** The host's CR4, for LA57. Default: clear, four levels. */
  readonly cr4?: bigint | number;
  /** The host's EFER, for NXE. Default: set. */
  readonly efer?: bigint | number;
}

/** How guest-physical addresses are translated by AMD's nested paging. */
export interface NptMode {
  readonly name: PagingFormat['name'];
  readonly format: PagingFormat;
  /** Physical address of the root table. */
  readonly root: bigint;
  readonly controls: Pick<X86Controls, 'nxe'>;
  /** What decided, as one line. */
  readonly reason: string;
}

/**
 * Decides how nested paging translates under a host in long mode (APM 2, 15.25.4). Any contents give an answer.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { NPT_5LEVEL, nptModeFromRegisters } from 'guestmem/paging';
 *
 * const mode = nptModeFromRegisters({ ncr3: 0x1_2345_6000n, cr4: 1n << 12n });
 * assert.equal(mode.format, NPT_5LEVEL);
 * assert.equal(mode.root, 0x1_2345_6000n);
 * ```
 */
export function nptModeFromRegisters(registers: NptRegisters): NptMode {
  const { ncr3, cr4 = 0, efer = NXE } = registers;
  const la57 = ((BigInt(cr4) >> 12n) & 1n) === 1n;
  const format = la57 ? NPT_5LEVEL : NPT_4LEVEL;
  return {
    name: format.name,
    format,
    root: BigInt(ncr3) & ROOT,
    controls: { nxe: (BigInt(efer) & NXE) !== 0n },
    reason: `the host's CR4.LA57 is ${la57 ? 'set' : 'clear'}`,
  };
}

/** Bits 51:12. */
const ROOT = 0xf_ffff_ffff_f000n;
const NXE: bigint = 1n << 11n;
