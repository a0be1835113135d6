import type { PagingFormat } from './format.ts';
import type { RiscvControls, RiscvGuestControls } from './riscv-controls.ts';
import {
  RISCV_SV32,
  RISCV_SV32X4,
  RISCV_SV39,
  RISCV_SV39X4,
  RISCV_SV48,
  RISCV_SV48X4,
  RISCV_SV57,
  RISCV_SV57X4,
} from './riscv-formats.ts';

/** The registers that decide how a hart translates. */
export interface RiscvRegisters {
  /** satp; of a guest vsatp. */
  readonly satp: bigint | number;
  /** Width of the registers. Default 64. */
  readonly xlen?: 32 | 64;
  /** sstatus, for SUM and MXR; of a guest vsstatus. Default: both clear. */
  readonly sstatus?: bigint | number;
  /** Of a guest: the hypervisor's sstatus, whose MXR holds for it too. */
  readonly hypervisorStatus?: bigint | number;
  /** menvcfg, for PBMTE, SSE and PMM; of a guest henvcfg. Default: Svpbmt is on, shadow stacks and pointer masking are off. */
  readonly envcfg?: bigint | number;
  /** senvcfg, for PMM of user mode. Default: pointer masking is off. */
  readonly senvcfg?: bigint | number;
}

/** The registers that decide how guest-physical addresses are translated. */
export interface RiscvGuestRegisters {
  readonly hgatp: bigint | number;
  /** Width of the registers. Default 64. */
  readonly xlen?: 32 | 64;
  /** The hypervisor's sstatus, for MXR. Default: clear. */
  readonly sstatus?: bigint | number;
  /** menvcfg, for PBMTE. Default: Svpbmt is on. */
  readonly envcfg?: bigint | number;
}

/** How a hart translates, and why we think so. */
export interface RiscvPagingMode<Controls = RiscvControls> {
  /** `bare`: addresses are not translated. `reserved`: no hart has this MODE. */
  readonly name: 'bare' | 'reserved' | PagingFormat['name'];
  /** `undefined` where `name` is none of a format. */
  readonly format: PagingFormat | undefined;
  /** Physical address of the root table: what the {@link Translator} takes. */
  readonly root: bigint;
  /** ASID, or VMID of a G-stage. */
  readonly id: number;
  /** What the registers say. The hart's extensions and how A and D are treated (ADUE) are not taken from them: defaults. */
  readonly controls: Controls;
  /** What decided, as one line. */
  readonly reason: string;
}

/**
 * Decides the mode of S-stage or VS-stage (privileged specification, "Supervisor Address Translation and Protection
 * Register"). Any contents give an answer.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { RISCV_SV39, riscvModeFromRegisters } from 'guestmem/paging';
 *
 * const mode = riscvModeFromRegisters({ satp: 0x8000_1000_0008_1234n, sstatus: 1n << 18n });
 * assert.equal(mode.format, RISCV_SV39);
 * assert.equal(mode.root, 0x8123_4000n);
 * assert.equal(mode.id, 1);
 * assert.equal(mode.controls.sum, true);
 * assert.equal(mode.reason, 'satp.MODE is 8');
 * ```
 */
export function riscvModeFromRegisters(registers: RiscvRegisters): RiscvPagingMode {
  const { satp, xlen = 64, sstatus = 0, hypervisorStatus = 0, envcfg = PBMTE, senvcfg = 0 } = registers;
  const status = BigInt(sstatus);
  const long = { 8: RISCV_SV39, 9: RISCV_SV48, 10: RISCV_SV57 };
  const { mode, id, ppn } = split(BigInt(satp), xlen, xlen === 64 ? 16n : 9n);
  const controls: RiscvControls = {
    sum: has(status, SUM),
    mxr: has(status | BigInt(hypervisorStatus), MXR),
    svpbmt: (BigInt(envcfg) & PBMTE) !== 0n,
    sse: has(BigInt(envcfg), SSE),
    supervisorPmlen: xlen === 64 ? pmlenOf(BigInt(envcfg)) : 0,
    userPmlen: xlen === 64 ? pmlenOf(BigInt(senvcfg)) : 0,
  };
  return { ...choose('satp', mode, xlen === 64 ? long : { 1: RISCV_SV32 }), root: ppn << 12n, id, controls };
}

/**
 * Decides the mode of G-stage (privileged specification, "Hypervisor Guest Address Translation and Protection Register").
 * Any contents give an answer.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { RISCV_SV48X4, riscvGuestModeFromRegisters } from 'guestmem/paging';
 *
 * const mode = riscvGuestModeFromRegisters({ hgatp: 0x9000_2000_0008_1237n });
 * assert.equal(mode.format, RISCV_SV48X4);
 * assert.equal(mode.root, 0x8123_4000n); // the root is of 16 KiB, and aligned to that
 * assert.equal(mode.id, 2);
 * ```
 */
export function riscvGuestModeFromRegisters(
  registers: RiscvGuestRegisters,
): RiscvPagingMode<RiscvGuestControls> {
  const { hgatp, xlen = 64, sstatus = 0, envcfg = PBMTE } = registers;
  const long = { 8: RISCV_SV39X4, 9: RISCV_SV48X4, 10: RISCV_SV57X4 };
  const { mode, id, ppn } = split(BigInt(hgatp), xlen, xlen === 64 ? 14n : 7n);
  const controls: RiscvGuestControls = {
    mxr: has(BigInt(sstatus), MXR),
    svpbmt: (BigInt(envcfg) & PBMTE) !== 0n,
  };
  const chosen = choose('hgatp', mode, xlen === 64 ? long : { 1: RISCV_SV32X4 });
  return { ...chosen, root: (ppn & ~3n) << 12n, id, controls };
}

const SUM = 18n;
const MXR = 19n;
const SSE = 3n;
const PBMTE: bigint = 1n << 62n;

/** PMM, bits 33:32, as PMLEN. */
function pmlenOf(envcfg: bigint): 0 | 7 | 16 {
  const pmm = (envcfg >> 32n) & 3n;
  return pmm === 2n ? 7 : pmm === 3n ? 16 : 0;
}

function has(register: bigint, bit: bigint): boolean {
  return ((register >> bit) & 1n) === 1n;
}

/** MODE 63:60, ASID or VMID from bit 44, PPN 43:0; of 32 bits: MODE 31, ASID or VMID from bit 22, PPN 21:0. */
function split(
  register: bigint,
  xlen: 32 | 64,
  idBits: bigint,
): { readonly mode: number; readonly id: number; readonly ppn: bigint } {
  const word = BigInt.asUintN(xlen, register);
  const ppnBits = xlen === 64 ? 44 : 22;
  return {
    mode: Number(word >> (xlen === 64 ? 60n : 31n)),
    id: Number((word >> BigInt(ppnBits)) & ((1n << idBits) - 1n)),
    ppn: BigInt.asUintN(ppnBits, word),
  };
}

function choose(
  register: string,
  mode: number,
  formats: Readonly<Record<number, PagingFormat>>,
): Pick<RiscvPagingMode, 'name' | 'format' | 'reason'> {
  const reason = `${register}.MODE is ${mode}`;
  if (mode === 0) return { name: 'bare', format: undefined, reason };
  const format = formats[mode];
  if (format === undefined) return { name: 'reserved', format, reason: `${reason}, which is reserved` };
  return { name: format.name, format, reason };
}
