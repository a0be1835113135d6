// VMSAv8-64 address translation, written once more as plainly as can be, for tests to compare with: from the Arm ARM
// (DDI 0487, issue J) alone. One rule stands on one line. Do not make it fast and do not make it clever.
//
// D8.1 is the address space, D8.2 the translation process, D8.3 the descriptors, D8.4 access control, D8.5 what hardware
// writes back, D8.7 the other bits of descriptors, D19.2 registers and fault codes; deeper numbers change with every issue.
// Names after "J1:" are functions of the architecture's own pseudocode that say the same. Where the architecture leaves a
// choice, the line says which one is taken.

import type { TcrEl1, TtbrEl1, VtcrEl2, VttbrEl2 } from './aarch64-registers.ts';
import {
  bit,
  field,
  type OracleAccess,
  type OracleMapped,
  type OracleMemory,
  OracleTables,
  type OracleUnreadable,
} from './oracle.ts';

export interface AArch64Fault {
  readonly kind: 'fault';
  /** The fault status code, as in the ISS of a Data or Instruction Abort. */
  readonly fsc: number;
  /** -1 to 3; 0 where the registers or the address are at fault. */
  readonly level: number;
  /** The descriptor at fault; undefined where the registers or the address are. */
  readonly entryAddress: bigint | undefined;
  readonly reads: bigint[];
}

/** `pageSize` is that of the page or block: what the Contiguous bit promises of its neighbours is not looked at. */
export type AArch64Result = OracleMapped | AArch64Fault | OracleUnreadable;

/** What the processor implements, as far as translation depends on it (ID_AA64MMFR0_EL1 to ID_AA64MMFR2_EL1). */
export interface AArch64Processor {
  /** ID_AA64MMFR0_EL1.PARange in bits: 32, 36, 40, 42, 44, 48 or 52. */
  readonly paMax: number;
  /** FEAT_LVA: 52-bit virtual addresses with the 64 KiB granule. */
  readonly lva: boolean;
  /** FEAT_LPA: 52-bit physical addresses with the 64 KiB granule. */
  readonly lpa: boolean;
  /** FEAT_LPA2: 52-bit addresses with the 4 KiB and 16 KiB granules; without it TCR.DS, VTCR.DS and VTCR.SL2 are 0. */
  readonly lpa2: boolean;
  /** FEAT_TTST: small translation tables. */
  readonly ttst: boolean;
  /** FEAT_XNX: execute-never at stage 2 for EL0 and EL1 apart. */
  readonly xnx: boolean;
}

export const EVERY_FEATURE: AArch64Processor = {
  paMax: 52,
  lva: true,
  lpa: true,
  lpa2: true,
  ttst: true,
  xnx: true,
};

export interface AArch64Stage1Registers {
  readonly tcr: TcrEl1;
  readonly ttbr0: TtbrEl1;
  readonly ttbr1: TtbrEl1;
  /** SCTLR_EL1.WXN. */
  readonly wxn: boolean;
  /** PSTATE.PAN. */
  readonly pan: boolean;
  /** SCTLR_EL1.EPAN. Default: clear. */
  readonly epan?: boolean;
  readonly processor: AArch64Processor;
}

export interface AArch64Stage2Registers {
  readonly vtcr: VtcrEl2;
  readonly vttbr: VttbrEl2;
  readonly processor: AArch64Processor;
}

/** Stage 1 of the EL1&0 regime. */
export function aarch64Stage1(
  memory: OracleMemory,
  registers: AArch64Stage1Registers,
  va: bigint,
  access: OracleAccess,
): AArch64Result {
  const { tcr, ttbr0, ttbr1, wxn, pan, epan = false, processor } = registers;
  const tables = new OracleTables(memory);

  // D8.1: bit 55 of the address chooses the half.
  const upper = bit(va, 55);
  // D19.2, TCR_EL1: TG0 and TG1 have encodings of their own.
  const granuleBits = upper ? granuleBitsOfTg1(tcr.tg1) : granuleBitsOfTg0(tcr.tg0);
  const txsz = upper ? tcr.t1sz : tcr.t0sz;
  // D19.2, TCR_EL1.TBID0 and TBID1: the top byte of addresses of instructions is looked at all the same.
  const forData = (upper ? tcr.tbid1 : tcr.tbid0) && access.kind === 'execute';
  const topByteIgnored = (upper ? tcr.tbi1 : tcr.tbi0) && !forData;
  const walksDisabled = upper ? tcr.epd1 : tcr.epd0;
  const hierarchyDisabled = upper ? tcr.hpd1 : tcr.hpd0;
  const baddr = upper ? ttbr1.baddr : ttbr0.baddr;
  // D19.2, TCR_EL1.DS: of no effect with the 64 KiB granule.
  const ds = tcr.ds && processor.lpa2 && granuleBits !== 16;
  // D19.2, TCR_EL1.HD: of no effect without HA.
  const hd = tcr.hd && tcr.ha;
  // D8.2: a descriptor is 8 bytes, so a table as large as the granule resolves this many bits.
  const stride = granuleBits - 3;
  const inputSize = 64 - txsz;
  const outputSize = outputSizeOf(tcr.ips, granuleBits, processor);

  // D8.1, J1: S1MinTxSZ, S1TxSZFaults. Below the least: a fault, as FEAT_LVA demands.
  const leastTxsz = ds || (granuleBits === 16 && processor.lva) ? 12 : 16;
  if (txsz < leastTxsz) return fault(TRANSLATION, 0, undefined, tables);
  // J1: MaxTxSZ. Above the greatest a fault or the greatest is taken; here: a fault.
  if (txsz > greatestTxsz(granuleBits, processor)) return fault(TRANSLATION, 0, undefined, tables);
  // D8.1, J1: VAIsOutOfRange. The bits above the input are all as bit 55; an ignored top byte is not looked at.
  const addressTop = topByteIgnored ? 55 : 63;
  const above = field(va, addressTop, inputSize);
  const wanted = upper ? field(-1n, addressTop, inputSize) : 0n;
  if (above !== wanted) return fault(TRANSLATION, 0, undefined, tables);
  // D19.2, TCR_EL1.E0PD0 and E0PD1: unprivileged access is a translation fault of level 0.
  if (access.user && (upper ? tcr.e0pd1 : tcr.e0pd0)) return fault(TRANSLATION, 0, undefined, tables);
  // D19.2, TCR_EL1.EPD0 and EPD1; J1: S1Walk.
  if (walksDisabled) return fault(TRANSLATION, 0, undefined, tables);

  // D8.2, J1: S1StartLevel: as few levels as resolve the input; -1 is possible with DS.
  let level = 3 - Math.floor((inputSize - 1 - granuleBits) / stride);
  // D8.2, J1: TTBaseAddress.
  let table = rootAddress(baddr, inputSize, granuleBits, level, tcr.ips, ds, processor);
  // D8.2: an address too large in TTBR is an address size fault of level 0.
  if (table >> BigInt(outputSize) !== 0n) return fault(ADDRESS_SIZE, 0, undefined, tables);

  let apTable = 0n;
  let uxnTable = false;
  let pxnTable = false;
  // J1: S1SLTTEntryAddress. The first index is of all the bits that are left, which are at most one stride.
  let indexTop = inputSize - 1;
  for (;;) {
    const entryAddress = table + field(va, indexTop, granuleBits + stride * (3 - level)) * 8n;
    const descriptor = tables.read(entryAddress, 8);
    if (descriptor === undefined) return unreadable(level, entryAddress, tables);
    // D8.3: bit 0 clear is invalid.
    if (!bit(descriptor, 0)) return fault(TRANSLATION, level, entryAddress, tables);

    // D8.3: bits 1:0 = 11 above level 3 is a table.
    if (bit(descriptor, 1) && level < 3) {
      table = outputAddress(descriptor, granuleBits, granuleBits, ds, processor);
      // D8.2: a table's address too large is an address size fault of the level of its descriptor.
      if (table >> BigInt(outputSize) !== 0n) return fault(ADDRESS_SIZE, level, entryAddress, tables);
      // D8.4, TCR_EL1.HPD0 and HPD1: APTable, UXNTable and PXNTable add up over the levels, unless disabled.
      if (!hierarchyDisabled) apTable |= field(descriptor, 62, 61);
      if (!hierarchyDisabled) uxnTable ||= bit(descriptor, 60);
      if (!hierarchyDisabled) pxnTable ||= bit(descriptor, 59);
      level += 1;
      // J1: TTEntryAddress. Every later index is of one stride.
      indexTop = granuleBits + stride * (4 - level) - 1;
      continue;
    }

    // D8.3: 11 at level 3 is a page; 01 is a block where the granule has one, and invalid elsewhere.
    if (!bit(descriptor, 1) && !blockAllowed(granuleBits, level, ds, processor)) {
      return fault(TRANSLATION, level, entryAddress, tables);
    }
    const sizeBits = granuleBits + stride * (3 - level);
    const base = outputAddress(descriptor, sizeBits, granuleBits, ds, processor);
    const pa = base + field(va, sizeBits - 1, 0);
    // D8.7: Contiguous and nT may fault where they are set wrongly; here they are without effect.
    // D8.2, J1: StageOA, OAOutOfRange. An output address too large is an address size fault of this level; that of the very
    // byte, for a block may be larger than the physical address space.
    if (pa >> BigInt(outputSize) !== 0n) return fault(ADDRESS_SIZE, level, entryAddress, tables);
    // D8.5: AF clear is an access flag fault, unless hardware sets it.
    if (!bit(descriptor, 10) && !tcr.ha) return fault(ACCESS_FLAG, level, entryAddress, tables);

    // D8.5: where hardware manages dirty state, DBM set means writable: AP[2] counts as 0.
    const dbm = bit(descriptor, 51) && hd;
    const readOnly = bit(descriptor, 7) && !dbm;
    // D8.4, AP[2:1]: EL1 always reads, and writes unless AP[2].
    let privilegedRead = true;
    let privilegedWrite = !readOnly;
    // D8.4, AP[2:1]: EL0 reads if AP[1], and writes if AP[1] unless AP[2].
    let userRead = bit(descriptor, 6);
    let userWrite = bit(descriptor, 6) && !readOnly;
    // D8.4, APTable[0] (bit 61): no data access from EL0.
    if (bit(apTable, 0)) userRead = false;
    if (bit(apTable, 0)) userWrite = false;
    // D8.4, APTable[1] (bit 62): no write from anywhere, DBM or not.
    if (bit(apTable, 1)) privilegedWrite = false;
    if (bit(apTable, 1)) userWrite = false;
    // D8.4: EL0 executes unless UXN (bit 54) or UXNTable.
    let userExecute = !bit(descriptor, 54) && !uxnTable;
    // D8.4: EL1 executes unless PXN (bit 53) or PXNTable, and never what EL0 can write.
    let privilegedExecute = !bit(descriptor, 53) && !pxnTable && !userWrite;
    // D8.4, SCTLR_EL1.WXN: what can be written cannot be executed, by each Exception level for itself.
    if (wxn && userWrite) userExecute = false;
    if (wxn && privilegedWrite) privilegedExecute = false;
    // D8.4, PSTATE.PAN: no data access from EL1 to what EL0 may read or write.
    // SCTLR_EL1.EPAN: nor to what it may execute, as far as UXN says.
    const executable = !bit(descriptor, 54) && !uxnTable;
    const shielded = pan && (userRead || userWrite || (epan && executable));
    if (shielded) privilegedRead = false;
    if (shielded) privilegedWrite = false;

    let allowed: boolean;
    if (access.kind === 'read') allowed = access.user ? userRead : privilegedRead;
    else if (access.kind === 'write') allowed = access.user ? userWrite : privilegedWrite;
    else allowed = access.user ? userExecute : privilegedExecute;
    // D8.4: rights are judged last. (Whether AF is set where they lack is open; here: it is not.)
    if (!allowed) return fault(PERMISSION, level, entryAddress, tables);

    let after = descriptor;
    // D8.5: hardware sets AF.
    if (tcr.ha) after |= 1n << 10n;
    // D8.5: a write clears AP[2] of a descriptor with DBM.
    if (dbm && access.kind === 'write') after &= ~(1n << 7n);
    if (after !== descriptor) tables.writes.push([entryAddress, after]);
    return mapped(pa, sizeBits, level, tables);
  }
}

/** Stage 2 of the EL1&0 regime, for a guest in AArch64 state, outside Secure state and Realms. */
export function aarch64Stage2(
  memory: OracleMemory,
  registers: AArch64Stage2Registers,
  ipa: bigint,
  access: OracleAccess,
): AArch64Result {
  const { vtcr, vttbr, processor } = registers;
  const tables = new OracleTables(memory);

  const granuleBits = granuleBitsOfTg0(vtcr.tg0);
  // D19.2, VTCR_EL2.DS: of no effect with the 64 KiB granule.
  const ds = vtcr.ds && processor.lpa2 && granuleBits !== 16;
  // D19.2, VTCR_EL2.SL2: of effect with the 4 KiB granule and DS only.
  const sl2 = vtcr.sl2 && ds && granuleBits === 12;
  // D19.2, VTCR_EL2.HD: of no effect without HA.
  const hd = vtcr.hd && vtcr.ha;
  const stride = granuleBits - 3;
  const inputSize = 64 - vtcr.t0sz;
  const outputSize = outputSizeOf(vtcr.ps, granuleBits, processor);

  // J1: S2MinTxSZ. The input is no larger than the physical address space; larger: a fault, as FEAT_LPA demands.
  const largestInput = Math.min(ds || granuleBits === 16 ? 52 : 48, processor.paMax);
  if (inputSize > largestInput) return fault(TRANSLATION, 0, undefined, tables);
  // J1: MaxTxSZ. As in stage 1.
  if (vtcr.t0sz > greatestTxsz(granuleBits, processor)) return fault(TRANSLATION, 0, undefined, tables);
  // D8.2, J1: S2InvalidSL, S2StartLevel.
  const startLevel = stage2StartLevel(granuleBits, sl2, vtcr.sl0, ds, processor);
  if (startLevel === undefined) return fault(TRANSLATION, 0, undefined, tables);
  // D8.2, J1: S2InconsistentSL. The first level resolves at least one bit, and at most its stride and four more, which is
  // 16 roots side by side; else a translation fault of level 0.
  const below = granuleBits + stride * (3 - startLevel);
  if (inputSize < below + 1) return fault(TRANSLATION, 0, undefined, tables);
  if (inputSize > below + stride + 4) return fault(TRANSLATION, 0, undefined, tables);
  // J1: IPAIsOutOfRange.
  if (ipa >> BigInt(inputSize) !== 0n) return fault(TRANSLATION, 0, undefined, tables);

  let level = startLevel;
  // D8.2, J1: TTBaseAddress. Concatenated roots are aligned to all of them together.
  let table = rootAddress(vttbr.baddr, inputSize, granuleBits, level, vtcr.ps, ds, processor);
  // D8.2: an address too large in VTTBR is an address size fault of level 0.
  if (table >> BigInt(outputSize) !== 0n) return fault(ADDRESS_SIZE, 0, undefined, tables);

  // J1: S2SLTTEntryAddress. The first index is of all the bits that are left, over all the concatenated roots.
  let indexTop = inputSize - 1;
  for (;;) {
    const entryAddress = table + field(ipa, indexTop, granuleBits + stride * (3 - level)) * 8n;
    const descriptor = tables.read(entryAddress, 8);
    if (descriptor === undefined) return unreadable(level, entryAddress, tables);
    // D8.3: bit 0 clear is invalid.
    if (!bit(descriptor, 0)) return fault(TRANSLATION, level, entryAddress, tables);

    // D8.3: bits 1:0 = 11 above level 3 is a table. Stage 2 has no hierarchical permissions.
    if (bit(descriptor, 1) && level < 3) {
      table = outputAddress(descriptor, granuleBits, granuleBits, ds, processor);
      // D8.2: as in stage 1.
      if (table >> BigInt(outputSize) !== 0n) return fault(ADDRESS_SIZE, level, entryAddress, tables);
      level += 1;
      indexTop = granuleBits + stride * (4 - level) - 1;
      continue;
    }

    // D8.3: 11 at level 3 is a page; 01 is a block where the granule has one, and invalid elsewhere.
    if (!bit(descriptor, 1) && !blockAllowed(granuleBits, level, ds, processor)) {
      return fault(TRANSLATION, level, entryAddress, tables);
    }
    const sizeBits = granuleBits + stride * (3 - level);
    const base = outputAddress(descriptor, sizeBits, granuleBits, ds, processor);
    const pa = base + field(ipa, sizeBits - 1, 0);
    // D8.2: as in stage 1.
    if (pa >> BigInt(outputSize) !== 0n) return fault(ADDRESS_SIZE, level, entryAddress, tables);
    // D8.5: as in stage 1.
    if (!bit(descriptor, 10) && !vtcr.ha) return fault(ACCESS_FLAG, level, entryAddress, tables);

    // D8.5: where hardware manages dirty state, DBM set means writable: S2AP[1] counts as 1.
    const dbm = bit(descriptor, 51) && hd;
    // D8.4: S2AP[0] (bit 6) reads, S2AP[1] (bit 7) writes, for EL1 and EL0 alike.
    const read = bit(descriptor, 6);
    const write = bit(descriptor, 7) || dbm;
    // D8.4: XN[1] (bit 54) alone without FEAT_XNX. Execution does not depend on S2AP.
    let userExecute = !bit(descriptor, 54);
    let privilegedExecute = !bit(descriptor, 54);
    // D8.4, FEAT_XNX: XN[1:0] = 00 both execute, 01 EL0 only, 10 neither, 11 EL1 only.
    const xn = field(descriptor, 54, 53);
    if (processor.xnx) userExecute = xn === 0b00n || xn === 0b01n;
    if (processor.xnx) privilegedExecute = xn === 0b00n || xn === 0b11n;

    let allowed: boolean;
    if (access.kind === 'read') allowed = read;
    else if (access.kind === 'write') allowed = write;
    else allowed = access.user ? userExecute : privilegedExecute;
    // D8.4: rights are judged last, as in stage 1.
    if (!allowed) return fault(PERMISSION, level, entryAddress, tables);

    let after = descriptor;
    // D8.5: hardware sets AF.
    if (vtcr.ha) after |= 1n << 10n;
    // D8.5: a write sets S2AP[1] of a descriptor with DBM.
    if (dbm && access.kind === 'write') after |= 1n << 7n;
    if (after !== descriptor) tables.writes.push([entryAddress, after]);
    return mapped(pa, sizeBits, level, tables);
  }
}

/** D19.2, ESR_EL1, ISS of a Data Abort: the fault status code of level 0; each level deeper is one more. */
const ADDRESS_SIZE = 0x00;
const TRANSLATION = 0x04;
const ACCESS_FLAG = 0x08;
const PERMISSION = 0x0c;

function fault(
  kind: number,
  level: number,
  entryAddress: bigint | undefined,
  { reads }: OracleTables,
): AArch64Fault {
  let fsc = kind + level;
  // D19.2, ESR_EL1: level -1 has codes of its own. No leaf stands there, so neither AF nor rights are judged.
  if (level === -1 && kind === ADDRESS_SIZE) fsc = 0x29;
  if (level === -1 && kind === TRANSLATION) fsc = 0x2b;
  return { kind: 'fault', fsc, level, entryAddress, reads };
}

function unreadable(level: number, entryAddress: bigint, { reads, writes }: OracleTables): OracleUnreadable {
  return { kind: 'unreadable', level, entryAddress, reads, writes };
}

function mapped(pa: bigint, sizeBits: number, level: number, { reads, writes }: OracleTables): OracleMapped {
  return { kind: 'mapped', pa, pageSize: 1n << BigInt(sizeBits), level, reads, writes };
}

/** D19.2, TCR_EL1.TG0, VTCR_EL2.TG0: 00 4 KiB, 01 64 KiB, 10 16 KiB. What 11 means is open; here: 4 KiB. */
function granuleBitsOfTg0(tg0: number): 12 | 14 | 16 {
  if (tg0 === 0b01) return 16;
  if (tg0 === 0b10) return 14;
  return 12;
}

/** D19.2, TCR_EL1.TG1: 01 16 KiB, 10 4 KiB, 11 64 KiB. What 00 means is open; here: 4 KiB. */
function granuleBitsOfTg1(tg1: number): 12 | 14 | 16 {
  if (tg1 === 0b01) return 14;
  if (tg1 === 0b11) return 16;
  return 12;
}

/** J1: MaxTxSZ. */
function greatestTxsz(granuleBits: number, processor: AArch64Processor): number {
  if (!processor.ttst) return 39;
  if (granuleBits === 16) return 47;
  return 48;
}

/** D19.2, TCR_EL1.IPS, VTCR_EL2.PS; J1: PhysicalAddressSize. 111 is 56 bits, which is more than descriptors hold. */
function outputSizeOf(ps: number, granuleBits: number, processor: AArch64Processor): number {
  let size = 56;
  if (ps === 0b000) size = 32;
  if (ps === 0b001) size = 36;
  if (ps === 0b010) size = 40;
  if (ps === 0b011) size = 42;
  if (ps === 0b100) size = 44;
  if (ps === 0b101) size = 48;
  if (ps === 0b110) size = 52;
  // 52 bits want FEAT_LPA with 64 KiB, and FEAT_LPA2 with the smaller granules.
  const wide = granuleBits === 16 ? processor.lpa : processor.lpa2;
  // Never more than the processor has.
  return Math.min(size, wide ? 52 : 48, processor.paMax);
}

/** D8.2, J1: TTBaseAddress. */
function rootAddress(
  baddr: bigint,
  inputSize: number,
  granuleBits: number,
  startLevel: number,
  ps: number,
  ds: boolean,
  processor: AArch64Processor,
): bigint {
  const stride = granuleBits - 3;
  // The root has 8 bytes for each value of the bits that it resolves, and is aligned to its size.
  let alignment = inputSize - (granuleBits + stride * (3 - startLevel)) + 3;
  let address = baddr;
  // The 52-bit form: bits 5:2 are address bits 51:48, and the root is aligned to 64 bytes at least.
  const wide = ds || (granuleBits === 16 && processor.lpa && ps === 0b110);
  if (wide) alignment = Math.max(alignment, 6);
  if (wide) address = (field(baddr, 5, 2) << 48n) + (field(baddr, 47, 6) << 6n);
  // Of a base with lower bits set it is open which of them count; here: none.
  return field(address, 51, alignment) << BigInt(alignment);
}

/** D8.3, J1: NextTableBase, LeafBase. Bits of the descriptor below the size of what it points to are not looked at. */
function outputAddress(
  descriptor: bigint,
  sizeBits: number,
  granuleBits: number,
  ds: boolean,
  processor: AArch64Processor,
): bigint {
  const low = field(descriptor, 47, sizeBits) << BigInt(sizeBits);
  // 64 KiB with FEAT_LPA: bits 15:12 are address bits 51:48, whatever output size is set up.
  if (granuleBits === 16 && processor.lpa) return low + (field(descriptor, 15, 12) << 48n);
  // DS: bits 49:48 are in their place, bits 9:8 are address bits 51:50.
  if (ds) return low + (field(descriptor, 49, 48) << 48n) + (field(descriptor, 9, 8) << 50n);
  return low;
}

/** D8.3, J1: BlockDescSupported. At level 3 there is none. */
function blockAllowed(granuleBits: number, level: number, ds: boolean, processor: AArch64Processor): boolean {
  // 4 KiB: 2 MiB, 1 GiB, and 512 GiB with DS.
  if (granuleBits === 12) return level === 2 || level === 1 || (level === 0 && ds);
  // 16 KiB: 32 MiB, and 64 GiB with DS.
  if (granuleBits === 14) return level === 2 || (level === 1 && ds);
  // 64 KiB: 512 MiB, and 4 TiB where the processor has 52-bit physical addresses.
  return level === 2 || (level === 1 && processor.paMax === 52);
}

/** D19.2, VTCR_EL2.SL0 and SL2; J1: S2InvalidSL, S2StartLevel. Undefined: a value that is not to be used. */
function stage2StartLevel(
  granuleBits: number,
  sl2: boolean,
  sl0: number,
  ds: boolean,
  processor: AArch64Processor,
): number | undefined {
  if (granuleBits === 12) {
    if (sl2) return sl0 === 0b00 ? -1 : undefined;
    if (sl0 === 0b00) return 2;
    if (sl0 === 0b01) return 1;
    if (sl0 === 0b10) return processor.paMax >= 44 ? 0 : undefined;
    return processor.ttst ? 3 : undefined;
  }
  if (granuleBits === 14) {
    if (sl0 === 0b00) return 3;
    if (sl0 === 0b01) return 2;
    if (sl0 === 0b10) return processor.paMax >= 42 ? 1 : undefined;
    return ds ? 0 : undefined;
  }
  if (sl0 === 0b00) return 3;
  if (sl0 === 0b01) return 2;
  if (sl0 === 0b10) return processor.paMax >= 44 ? 1 : undefined;
  return undefined;
}
