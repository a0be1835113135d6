import type { PagingFormat } from './format.ts';
import type { X86Controls } from './x86-controls.ts';
import { X86_4LEVEL, X86_5LEVEL, X86_32, X86_PAE } from './x86-formats.ts';

/** The control registers that decide how an x86 processor translates. */
export interface PagingRegisters {
  readonly cr0: bigint | number;
  readonly cr3: bigint | number;
  readonly cr4: bigint | number;
  /** Not in every dump (QEMU's ELF notes have none): `longMode` then decides, and NXE is taken as set. */
  readonly efer?: bigint | number | undefined;
  /** Whether EFER.LMA is set, where `efer` is not known. */
  readonly longMode?: boolean | undefined;
}

/** How a processor translates, and why we think so. */
export interface PagingMode {
  readonly name: 'off' | PagingFormat['name'];
  /** `undefined` where paging is off: a linear address is then the physical one. */
  readonly format: PagingFormat | undefined;
  /** CR3 as it is, flags and PCID included: the {@link Translator} takes what it needs. */
  readonly root: bigint;
  /** What the registers say. MAXPHYADDR, 1 GiB pages, PKRU and IA32_PKRS are not in them: defaults. */
  readonly controls: X86Controls;
  /** The bits that decided, as one line. */
  readonly reason: string;
}

/**
 * Decides the paging mode from control registers (SDM 3A, 5.1.1 "Four Paging Modes"). Any contents give an answer.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { pagingModeFromRegisters, X86_4LEVEL } from 'guestmem/paging';
 *
 * const mode = pagingModeFromRegisters({ cr0: 0x8005_0033n, cr3: 0x1ab_c000n, cr4: 0x6f0n, efer: 0xd01n });
 * assert.equal(mode.format, X86_4LEVEL);
 * assert.equal(mode.reason, 'CR0.PG, CR4.PAE and EFER.LMA set, CR4.LA57 clear');
 * ```
 */
export function pagingModeFromRegisters(registers: PagingRegisters): PagingMode {
  const cr0 = BigInt(registers.cr0);
  const cr4 = BigInt(registers.cr4);
  const efer = registers.efer === undefined ? undefined : BigInt(registers.efer);
  const { name, format, reason } = decide(cr0, cr4, efer, registers.longMode);
  const controls: X86Controls = {
    wp: has(cr0, CR0_WP),
    pse: has(cr4, CR4_PSE),
    pge: has(cr4, CR4_PGE),
    smep: has(cr4, CR4_SMEP),
    smap: has(cr4, CR4_SMAP),
    pku: has(cr4, CR4_PKE),
    pks: has(cr4, CR4_PKS),
    // No processor has CET without WP.
    cet: has(cr4, CR4_CET) && has(cr0, CR0_WP),
    ...lamOf(BigInt(registers.cr3), cr4, format),
    nxe: efer === undefined || has(efer, EFER_NXE),
  };
  return { name, format, root: BigInt.asUintN(64, BigInt(registers.cr3)), controls, reason };
}

const CR0_WP = 16;
const CR0_PG = 31;
const CR4_PSE = 4;
const CR4_PAE = 5;
const CR4_PGE = 7;
const CR4_LA57 = 12;
const CR4_SMEP = 20;
const CR4_SMAP = 21;
const CR4_PKE = 22;
const CR3_LAM_U57 = 61;
const CR3_LAM_U48 = 62;
const CR4_CET = 23;
const CR4_LAM_SUP = 28;
const CR4_PKS = 24;
const EFER_LMA = 10;
const EFER_NXE = 11;

function has(register: bigint, bit: number): boolean {
  return ((register >> BigInt(bit)) & 1n) === 1n;
}

/** Linear-address masking, which there is in long mode only. LAM_U57 goes before LAM_U48. */
function lamOf(cr3: bigint, cr4: bigint, format: PagingFormat | undefined): X86Controls {
  if (format === undefined || format.addressBits < 48) return {};
  const lamUser = has(cr3, CR3_LAM_U57) ? 57 : has(cr3, CR3_LAM_U48) ? 48 : 0;
  return { lamUser, lamSupervisor: has(cr4, CR4_LAM_SUP) };
}

function decide(
  cr0: bigint,
  cr4: bigint,
  efer: bigint | undefined,
  longMode: boolean | undefined,
): Pick<PagingMode, 'name' | 'format' | 'reason'> {
  const answer = (format: PagingFormat, reason: string): Pick<PagingMode, 'name' | 'format' | 'reason'> => ({
    name: format.name,
    format,
    reason,
  });
  if (!has(cr0, CR0_PG)) return { name: 'off', format: undefined, reason: 'CR0.PG clear' };
  if (!has(cr4, CR4_PAE)) return answer(X86_32, 'CR0.PG set, CR4.PAE clear');
  const long = efer === undefined ? longMode : has(efer, EFER_LMA);
  const source =
    efer !== undefined
      ? `EFER.LMA ${long ? 'set' : 'clear'}`
      : longMode !== undefined
        ? `${long ? 'in' : 'not in'} long mode`
        : 'EFER not known';
  if (long === false)
    return answer(X86_PAE, `CR0.PG and CR4.PAE set, ${source}${efer === undefined ? NXE_ASSUMED : ''}`);
  const la57 = has(cr4, CR4_LA57);
  const format = la57 ? X86_5LEVEL : X86_4LEVEL;
  if (efer !== undefined) {
    const set = `CR0.PG, CR4.PAE${la57 ? ', CR4.LA57' : ''} and EFER.LMA set`;
    return answer(format, la57 ? set : `${set}, CR4.LA57 clear`);
  }
  const assumed = longMode === undefined ? ', long mode assumed' : '';
  return answer(
    format,
    `CR0.PG and CR4.PAE set, CR4.LA57 ${la57 ? 'set' : 'clear'}, ${source}${assumed}${NXE_ASSUMED}`,
  );
}

const NXE_ASSUMED = ', EFER.NXE taken as set';
