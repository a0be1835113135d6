import type { AArch64Controls } from './aarch64-architecture.ts';
import { type AArch64Stage1Options, aarch64Stage1Format, aarch64Stage2Format } from './aarch64-formats.ts';
import type { PagingFormat } from './format.ts';

// How the registers of VMSAv8-64 choose a format: Arm ARM, DDI 0487, D8.2 "Translation process" and D19.2, TCR_EL1, TTBR0_EL1,
// TTBR1_EL1, SCTLR_EL1, VTCR_EL2 and VTTBR_EL2.

/** What a processor implements, as far as the meaning of these registers depends on it. By default, everything. */
export interface AArch64Processor {
  /** ID_AA64MMFR0_EL1.PARange in bits: 32, 36, 40, 42, 44, 48 or 52. Default 52, which is FEAT_LPA. */
  readonly physicalBits?: number;
  /** FEAT_LVA: 52-bit virtual addresses with the 64 KiB granule. Default true. */
  readonly lva?: boolean;
  /** FEAT_LPA2: 52-bit addresses with the smaller granules. Default true. */
  readonly lpa2?: boolean;
  /** FEAT_TTST: inputs of less than 25 bits. Default true. */
  readonly ttst?: boolean;
  /** FEAT_XNX: stage 2 denies execution to EL0 and EL1 apart. Default true. */
  readonly xnx?: boolean;
}

/** The registers of stage 1 of the EL1&0 regime. */
export interface AArch64Stage1Registers {
  readonly tcr: bigint | number;
  readonly ttbr0: bigint | number;
  readonly ttbr1: bigint | number;
  /** SCTLR_EL1. Not in every dump; then translation is on, WXN and EPAN off, and tables are little-endian. */
  readonly sctlr?: bigint | number | undefined;
  /** PSTATE.PAN. Default false. */
  readonly pan?: boolean;
  readonly processor?: AArch64Processor;
}

/** The registers of stage 2 of the EL1&0 regime. */
export interface AArch64Stage2Registers {
  readonly vtcr: bigint | number;
  readonly vttbr: bigint | number;
  /** HCR_EL2. Not in every dump; then stage 2 is on. */
  readonly hcr?: bigint | number | undefined;
  readonly processor?: AArch64Processor;
}

/** How addresses of one half, or guest-physical addresses, are translated. */
export interface AArch64Mode {
  /** `off`: addresses are physical ones; `faults`: every address is a fault; `big-endian`: not read here; or a format's. */
  readonly name: 'off' | 'faults' | 'big-endian' | PagingFormat['name'];
  /** `undefined` for the first three names. */
  readonly format: PagingFormat | undefined;
  /** Physical address of the root table: without ASID, VMID and CnP, and with its upper bits in their place. */
  readonly root: bigint;
  /** What the registers say; `accessedDirty` is not set, see {@link marking}. */
  readonly controls: AArch64Controls;
  /** What the processor does with a page that is not marked as accessed (HA); for `controls.accessedDirty`, where wanted. */
  readonly marking: 'fault' | 'update';
  /** For `faults`: the fault status code. */
  readonly faultCode: number | undefined;
  /** TBI: bits 63:56 of an address are the program's, and not looked at. */
  readonly topByteIgnored: boolean;
  /** TBID set: that goes for data only, and addresses of instructions are looked at whole. */
  readonly tagsOfDataOnly: boolean;
  /** E0PD set: every access by EL0 is a translation fault of level 0, whatever the tables say. */
  readonly refusesUser: boolean;
  /** The fields that decided, as one line. */
  readonly reason: string;
}

/**
 * Decides how both halves of the address space are translated. Bit 55 of an address says in which half it is. Any
 * contents of registers give an answer; where the architecture leaves a choice, fields out of range are faults.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { aarch64Stage1FromRegisters } from 'guestmem/paging';
 *
 * // As Linux sets it up with pages of 4 KiB and addresses of 48 bits.
 * const { upper } = aarch64Stage1FromRegisters({
 *   tcr: 0x5_b510_3510n, // T1SZ 16, TG1 4 KiB, IPS 48 bits
 *   ttbr0: 0n,
 *   ttbr1: 0x0001_0000_4147_2001n, // ASID 1, CnP
 * });
 * assert.equal(upper.name, 'aarch64-4k-48bit-upper');
 * assert.equal(upper.root, 0x4147_2000n);
 * ```
 */
export function aarch64Stage1FromRegisters(registers: AArch64Stage1Registers): {
  readonly lower: AArch64Mode;
  readonly upper: AArch64Mode;
} {
  const tcr = BigInt(registers.tcr);
  const sctlr = BigInt(registers.sctlr ?? SCTLR_M);
  const half = (name: 'lower' | 'upper', ttbr: bigint | number, fields: HalfFields): AArch64Mode =>
    stage1Half(name, tcr, BigInt(ttbr), sctlr, fields, registers);
  return {
    lower: half('lower', registers.ttbr0, {
      tsz: field(tcr, 5, 0),
      disabled: has(tcr, 7),
      granule: GRANULES_OF_TG0[field(tcr, 15, 14)] ?? 4096,
      topByteIgnored: has(tcr, 37),
      tagsOfDataOnly: has(tcr, 51),
      refusesUser: has(tcr, 55),
      hierarchyDisabled: has(tcr, 41),
    }),
    upper: half('upper', registers.ttbr1, {
      tsz: field(tcr, 21, 16),
      disabled: has(tcr, 23),
      granule: GRANULES_OF_TG1[field(tcr, 31, 30)] ?? 4096,
      topByteIgnored: has(tcr, 38),
      tagsOfDataOnly: has(tcr, 52),
      refusesUser: has(tcr, 56),
      hierarchyDisabled: has(tcr, 42),
    }),
  };
}

/**
 * Decides how guest-physical addresses are translated. Any contents of registers give an answer.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { aarch64Stage2FromRegisters } from 'guestmem/paging';
 *
 * // As KVM sets it up for guests of 40 bits: T0SZ 24, SL0 1, PS 48 bits.
 * const stage2 = aarch64Stage2FromRegisters({ vtcr: 0x8005_3558n, vttbr: 0x0003_0000_8200_0000n });
 * assert.equal(stage2.name, 'aarch64-stage2-4k-40bit-level1');
 * assert.equal(stage2.root, 0x8200_0000n);
 * ```
 */
export function aarch64Stage2FromRegisters(registers: AArch64Stage2Registers): AArch64Mode {
  const vtcr = BigInt(registers.vtcr);
  const vttbr = BigInt(registers.vttbr);
  const { physicalBits: paMax = 52, lpa2 = true, ttst = true, xnx = true } = registers.processor ?? {};
  const granule = GRANULES_OF_TG0[field(vtcr, 15, 14)] ?? 4096;
  const ds = has(vtcr, 32) && lpa2 && granule !== 65536;
  const wide = ds || (granule === 65536 && paMax === 52);
  const tsz = field(vtcr, 5, 0);
  const inputBits = 64 - tsz;
  const ps = field(vtcr, 18, 16);
  const physicalBits = outputBits(ps, granule, paMax, lpa2);
  const marking = has(vtcr, 21) ? 'update' : 'fault';
  const common = {
    controls: { physicalBits, hd: marking === 'update' && has(vtcr, 22) },
    marking,
    topByteIgnored: false,
    tagsOfDataOnly: false,
    refusesUser: false,
  } as const;
  const said = `VTCR_EL2: ${granule / 1024} KiB granule, T0SZ ${tsz}, SL0 ${field(vtcr, 7, 6)}, ${physicalBits}-bit output`;
  if (registers.hcr !== undefined && !has(BigInt(registers.hcr), 0))
    return { ...common, ...NO_TABLES, name: 'off', reason: 'HCR_EL2.VM clear' };
  const widest = Math.min(ds || granule === 65536 ? 52 : 48, paMax);
  if (inputBits > widest || tsz > mostTsz(granule, ttst))
    return { ...common, ...FAULTS, reason: `${said}: T0SZ out of range` };
  const startLevel = stage2StartLevel(granule, ds && has(vtcr, 33), field(vtcr, 7, 6), ds, paMax, ttst);
  if (startLevel === undefined) return { ...common, ...FAULTS, reason: `${said}: SL0 means nothing here` };
  // D8.2: the root resolves at least one bit, and is at most 16 tables.
  const granuleBits = Math.log2(granule);
  const rootBits = inputBits - granuleBits - (granuleBits - 3) * (3 - startLevel);
  if (rootBits < 1 || rootBits > granuleBits + 1)
    return { ...common, ...FAULTS, reason: `${said}: T0SZ and SL0 do not go together` };
  const format = aarch64Stage2Format({ granule, inputBits, startLevel, wide, xnx });
  const root = rootAddress(vttbr, ds || (wide && ps === PS_52_BITS), format);
  if (root >> BigInt(physicalBits) !== 0n)
    return { ...common, ...FAULTS, faultCode: 0, reason: `${said}: VTTBR_EL2 is too large for it` };
  return { ...common, name: format.name, format, root, faultCode: undefined, reason: said };
}

const SCTLR_M = 1n;
const SCTLR_WXN_BIT = 19;
const SCTLR_EE_BIT = 25;
const SCTLR_EPAN_BIT = 57;
const PS_52_BITS = 6;
/** TCR_EL1.TG0 and VTCR_EL2.TG0; 11 is reserved, and taken for 4 KiB. */
const GRANULES_OF_TG0 = [4096, 65536, 16384, 4096] as const;
/** TCR_EL1.TG1; 00 is reserved, and taken for 4 KiB. */
const GRANULES_OF_TG1 = [4096, 16384, 4096, 65536] as const;
/** TCR_EL1.IPS and VTCR_EL2.PS. */
const OUTPUT_BITS = [32, 36, 40, 42, 44, 48, 52, 56] as const;

/** Fields of TCR_EL1 that each half has for itself. */
interface HalfFields {
  readonly tsz: number;
  readonly disabled: boolean;
  readonly granule: AArch64Stage1Options['granule'];
  readonly topByteIgnored: boolean;
  readonly tagsOfDataOnly: boolean;
  readonly refusesUser: boolean;
  readonly hierarchyDisabled: boolean;
}

const NO_TABLES = { format: undefined, root: 0n, faultCode: undefined } as const;
/** A translation fault of level 0. */
const FAULTS = { ...NO_TABLES, name: 'faults', faultCode: 0x04 } as const;

function stage1Half(
  half: 'lower' | 'upper',
  tcr: bigint,
  ttbr: bigint,
  sctlr: bigint,
  fields: HalfFields,
  { pan = false, processor = {} }: AArch64Stage1Registers,
): AArch64Mode {
  const { tsz, disabled, granule, topByteIgnored, tagsOfDataOnly, refusesUser, hierarchyDisabled } = fields;
  const { physicalBits: paMax = 52, lva = true, lpa2 = true, ttst = true } = processor;
  const which = half === 'lower' ? 0 : 1;
  const ds = has(tcr, 59) && lpa2 && granule !== 65536;
  const wide = ds || (granule === 65536 && paMax === 52);
  const ips = field(tcr, 34, 32);
  const physicalBits = outputBits(ips, granule, paMax, lpa2);
  const marking = has(tcr, 39) ? 'update' : 'fault';
  const hd = marking === 'update' && has(tcr, 40);
  const common = {
    controls: { physicalBits, wxn: has(sctlr, SCTLR_WXN_BIT), pan, epan: has(sctlr, SCTLR_EPAN_BIT), hd },
    marking,
    topByteIgnored,
    tagsOfDataOnly,
    refusesUser,
  } as const;
  const said = `TCR_EL1: ${granule / 1024} KiB granule, T${which}SZ ${tsz}, ${physicalBits}-bit output`;
  if (!has(sctlr, 0)) return { ...common, ...NO_TABLES, name: 'off', reason: 'SCTLR_EL1.M clear' };
  if (has(sctlr, SCTLR_EE_BIT))
    return { ...common, ...NO_TABLES, name: 'big-endian', reason: 'SCTLR_EL1.EE set' };
  const leastTsz = ds || (granule === 65536 && lva) ? 12 : 16;
  if (tsz < leastTsz || tsz > mostTsz(granule, ttst))
    return { ...common, ...FAULTS, reason: `${said}: T${which}SZ out of range` };
  if (disabled) return { ...common, ...FAULTS, reason: `TCR_EL1.EPD${which} set` };
  const format = aarch64Stage1Format({ granule, inputBits: 64 - tsz, half, wide, hierarchyDisabled });
  const root = rootAddress(ttbr, ds || (wide && ips === PS_52_BITS), format);
  if (root >> BigInt(physicalBits) !== 0n)
    return { ...common, ...FAULTS, faultCode: 0, reason: `${said}: TTBR${which}_EL1 is too large for it` };
  return { ...common, name: format.name, format, root, faultCode: undefined, reason: said };
}

/** IPS or PS, no more than the entries of a granule hold, and no more than the processor has. */
function outputBits(ps: number, granule: number, paMax: number, lpa2: boolean): number {
  const held = (granule === 65536 ? paMax === 52 : lpa2) ? 52 : 48;
  return Math.min(OUTPUT_BITS[ps] ?? 56, held, paMax);
}

function mostTsz(granule: number, ttst: boolean): number {
  if (!ttst) return 39;
  return granule === 65536 ? 47 : 48;
}

/** VTCR_EL2.SL0 and SL2; `undefined` for what means nothing. */
function stage2StartLevel(
  granule: number,
  sl2: boolean,
  sl0: number,
  ds: boolean,
  paMax: number,
  ttst: boolean,
): number | undefined {
  if (granule === 4096) {
    if (sl2) return sl0 === 0 ? -1 : undefined;
    if (sl0 === 3) return ttst ? 3 : undefined;
    return sl0 === 2 && paMax < 44 ? undefined : 2 - sl0;
  }
  if (sl0 === 3) return granule === 16384 && ds ? 0 : undefined;
  return sl0 === 2 && paMax < (granule === 16384 ? 42 : 44) ? undefined : 3 - sl0;
}

/**
 * TTBR or VTTBR: bits 47:1, or in the 52-bit form 47:6, with address bits 51:48 in 5:2. Bits below the root's alignment
 * count as 0.
 */
function rootAddress(register: bigint, wideForm: boolean, { root }: PagingFormat): bigint {
  const inPlace = BigInt.asUintN(48, register);
  const address = wideForm ? (inPlace & ~0x3fn) | (BigInt(field(register, 5, 2)) << 48n) : inPlace;
  return address & ((BigInt(root.hi) << 32n) | BigInt(root.lo));
}

function has(register: bigint, bit: number): boolean {
  return ((register >> BigInt(bit)) & 1n) === 1n;
}

function field(register: bigint, high: number, low: number): number {
  return Number(BigInt.asUintN(high - low + 1, register >> BigInt(low)));
}
