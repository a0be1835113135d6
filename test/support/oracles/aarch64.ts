// VMSAv8-64 address translation, written once more as plainly as can be, for tests to compare with. It is written from
// the Arm ARM (DDI 0487, chapter D8) alone and shares no line with src/: if both agree, two readings of the rules do.
// D8.1 is the address space, D8.2 the translation process, D8.3 the descriptors, D8.4 access control, D8.5 what hardware
// writes back, D8.7 the other bits of descriptors, D19.2 registers and fault codes. (Deeper numbers change with every issue.)
// Everything is a bigint, nothing is cached, one rule stands on one line. Do not make it fast and do not make it clever.
//
// Names in capitals after "J1:" are functions of the architecture's own pseudocode (DDI 0487, J1.1) that say the same.
// Where the architecture leaves a choice, the line says which one is taken.

import { bit, bits, type TcrEl1, type TtbrEl1, type VtcrEl2, type VttbrEl2 } from './aarch64-registers.ts';

/** Reads one 8-byte descriptor; undefined where nothing answers. */
export type OracleMemory = (address: bigint) => bigint | undefined;

export interface OracleAccess {
  readonly kind: 'read' | 'write' | 'execute';
  /** An access made at EL0. */
  readonly user: boolean;
}

export type OracleResult =
  | {
      readonly kind: 'mapped';
      readonly pa: bigint;
      readonly pageSize: bigint;
      readonly level: number;
      /** Addresses of the descriptors read, in order. */
      readonly reads: bigint[];
      /** Descriptors that hardware writes back: address and new value. */
      readonly writes: [bigint, bigint][];
    }
  | {
      readonly kind: 'fault';
      readonly fsc: number;
      readonly level: number;
      /** The descriptor at fault; undefined where the registers are. */
      readonly entryAddress: bigint | undefined;
      readonly reads: bigint[];
    }
  | {
      readonly kind: 'unreadable';
      readonly level: number;
      readonly entryAddress: bigint;
      readonly reads: bigint[];
    };

/** What the processor implements, as far as translation depends on it (A2.2, and ID_AA64MMFR0_EL1 to MMFR2_EL1). */
export interface OracleProcessor {
  /** ID_AA64MMFR0_EL1.PARange in bits: 32, 36, 40, 42, 44, 48 or 52. */
  readonly paMax: bigint;
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

export const EVERY_FEATURE: OracleProcessor = {
  paMax: 52n,
  lva: true,
  lpa: true,
  lpa2: true,
  ttst: true,
  xnx: true,
};

export interface Stage1Registers {
  readonly tcr: TcrEl1;
  readonly ttbr0: TtbrEl1;
  readonly ttbr1: TtbrEl1;
  /** SCTLR_EL1.WXN. */
  readonly wxn: boolean;
  /** PSTATE.PAN. */
  readonly pan: boolean;
  readonly processor: OracleProcessor;
}

export interface Stage2Registers {
  readonly vtcr: VtcrEl2;
  readonly vttbr: VttbrEl2;
  readonly processor: OracleProcessor;
}

/** Stage 1 of the EL1&0 regime. */
export function aarch64Stage1(
  memory: OracleMemory,
  registers: Stage1Registers,
  va: bigint,
  access: OracleAccess,
): OracleResult {
  const { tcr, ttbr0, ttbr1, wxn, pan, processor } = registers;
  const reads: bigint[] = [];

  // D8.1: bit 55 of the address chooses the range.
  const upper = bit(va, 55n);
  // TCR_EL1.TG0 and TG1 have encodings of their own.
  const granuleBits = upper ? granuleBitsOfTg1(tcr.tg1) : granuleBitsOfTg0(tcr.tg0);
  const txsz = upper ? tcr.t1sz : tcr.t0sz;
  const topByteIgnored = upper ? tcr.tbi1 : tcr.tbi0;
  const walksDisabled = upper ? tcr.epd1 : tcr.epd0;
  const hierarchyDisabled = upper ? tcr.hpd1 : tcr.hpd0;
  const baddr = upper ? ttbr1.baddr : ttbr0.baddr;
  // TCR_EL1.DS is of no effect with the 64 KiB granule.
  const ds = tcr.ds && processor.lpa2 && granuleBits !== 16n;
  // TCR_EL1.HD is of no effect without HA.
  const hd = tcr.hd && tcr.ha;
  // D8.1: a descriptor is 8 bytes, so a table of one granule resolves this many bits.
  const stride = granuleBits - 3n;
  const inputSize = 64n - txsz;
  const outputSize = outputSizeOf(tcr.ips, granuleBits, processor);

  // D8.1, J1: S1MinTxSZ, S1TxSZFaults. Below the least: a fault, as FEAT_LVA demands.
  const leastTxsz = ds || (granuleBits === 16n && processor.lva) ? 12n : 16n;
  if (txsz < leastTxsz) return configurationFault(TRANSLATION, reads);
  // J1: MaxTxSZ. Above the greatest a fault or the greatest is taken; here: a fault.
  if (txsz > greatestTxsz(granuleBits, processor)) return configurationFault(TRANSLATION, reads);
  // D8.1, J1: VAIsOutOfRange. The bits above the input size are all as bit 55; the tag byte is not looked at.
  const addressTop = topByteIgnored ? 55n : 63n;
  const above = bits(va, addressTop, inputSize);
  const allOnes = (1n << (addressTop - inputSize + 1n)) - 1n;
  if (above !== (upper ? allOnes : 0n)) return configurationFault(TRANSLATION, reads);
  // TCR_EL1.EPD0 and EPD1; J1: S1Walk.
  if (walksDisabled) return configurationFault(TRANSLATION, reads);

  // D8.2, J1: S1StartLevel: as few levels as resolve the input; may be -1 with DS.
  let level = 3n - (inputSize - 1n - granuleBits) / stride;
  // D8.2, J1: TTBaseAddress. The root is as large as the bits left to it, and aligned to its size.
  let table = rootAddress(baddr, inputSize, granuleBits, stride, level, tcr.ips, ds, processor);
  // D8.2: an address too large in TTBR is an address size fault of level 0.
  if (table >> outputSize !== 0n) return configurationFault(ADDRESS_SIZE, reads);

  let apTable = 0n;
  let uxnTable = false;
  let pxnTable = false;
  // J1: S1SLTTEntryAddress. The first index takes all the bits that are left, which are at most those of one stride.
  let indexTop = inputSize - 1n;
  for (;;) {
    const entryAddress = table | (bits(va, indexTop, granuleBits + stride * (3n - level)) << 3n);
    reads.push(entryAddress);
    const descriptor = memory(entryAddress);
    if (descriptor === undefined) return { kind: 'unreadable', level: Number(level), entryAddress, reads };
    // D8.3: bit 0 clear is invalid.
    if (!bit(descriptor, 0n)) return fault(TRANSLATION, level, entryAddress, reads);

    // D8.3: bits 1:0 = 11 is a table, above level 3.
    if (bit(descriptor, 1n) && level < 3n) {
      // D8.3, J1: NextTableBase.
      table = tableAddress(descriptor, granuleBits, ds, processor);
      // D8.2: a table address too large is an address size fault of the level of this descriptor.
      if (table >> outputSize !== 0n) return fault(ADDRESS_SIZE, level, entryAddress, reads);
      // D8.4, TCR_EL1.HPD0 and HPD1: APTable, UXNTable and PXNTable add up over the levels, unless disabled.
      if (!hierarchyDisabled) apTable |= bits(descriptor, 62n, 61n);
      if (!hierarchyDisabled) uxnTable ||= bit(descriptor, 60n);
      if (!hierarchyDisabled) pxnTable ||= bit(descriptor, 59n);
      level += 1n;
      // J1: TTEntryAddress. Every later index has one stride.
      indexTop = granuleBits + stride * (4n - level) - 1n;
      continue;
    }

    // D8.3, J1: BlockDescSupported. 01 is a block where the granule has one, and invalid elsewhere.
    if (!bit(descriptor, 1n) && !blockAllowed(granuleBits, level, ds, processor)) {
      return fault(TRANSLATION, level, entryAddress, reads);
    }
    const sizeBits = granuleBits + stride * (3n - level);
    // D8.3, J1: LeafBase.
    const base = leafAddress(descriptor, sizeBits, granuleBits, ds, processor);
    // D8.2: an output too large is an address size fault of this level.
    if (base >> outputSize !== 0n) return fault(ADDRESS_SIZE, level, entryAddress, reads);
    // D8.7, Contiguous and nT: permitted to fault when set wrongly; here both are without effect.
    // D8.5: AF clear is an access flag fault, unless hardware sets it.
    if (!bit(descriptor, 10n) && !tcr.ha) return fault(ACCESS_FLAG, level, entryAddress, reads);

    // D8.5: with hardware management of dirty state, DBM set means writable: AP[2] counts as 0.
    const dbm = bit(descriptor, 51n) && hd;
    const readOnly = bit(descriptor, 7n) && !dbm;
    const userAccessible = bit(descriptor, 6n);
    // D8.4, AP[2:1]: EL1 always reads, and writes unless AP[2].
    let privilegedRead = true;
    let privilegedWrite = !readOnly;
    // D8.4, AP[2:1]: EL0 likewise, if AP[1].
    let userRead = userAccessible;
    let userWrite = userAccessible && !readOnly;
    // D8.4, APTable[0] (bit 61): no access from EL0.
    if (bit(apTable, 0n)) userRead = false;
    if (bit(apTable, 0n)) userWrite = false;
    // D8.4, APTable[1] (bit 62): no write from anywhere, DBM or not.
    if (bit(apTable, 1n)) privilegedWrite = false;
    if (bit(apTable, 1n)) userWrite = false;
    // D8.4: EL0 executes unless UXN (bit 54) or UXNTable.
    let userExecute = !bit(descriptor, 54n) && !uxnTable;
    // D8.4: EL1 executes unless PXN (bit 53) or PXNTable, and never what EL0 can write.
    let privilegedExecute = !bit(descriptor, 53n) && !pxnTable && !userWrite;
    // D8.4, SCTLR_EL1.WXN: what can be written cannot be executed, by each Exception level for itself.
    if (wxn && userWrite) userExecute = false;
    if (wxn && privilegedWrite) privilegedExecute = false;
    // D8.4, PSTATE.PAN: no data access from EL1 to what EL0 may read or write.
    const shielded = pan && (userRead || userWrite);
    if (shielded) privilegedRead = false;
    if (shielded) privilegedWrite = false;

    let allowed: boolean;
    if (access.kind === 'read') allowed = access.user ? userRead : privilegedRead;
    else if (access.kind === 'write') allowed = access.user ? userWrite : privilegedWrite;
    else allowed = access.user ? userExecute : privilegedExecute;
    // D8.4: permission is judged last. (Whether AF is set on a permission fault is open; here: it is not.)
    if (!allowed) return fault(PERMISSION, level, entryAddress, reads);

    let updated = descriptor;
    // D8.5: hardware sets AF.
    if (tcr.ha) updated |= 1n << 10n;
    // D8.5: a write clears AP[2] of a descriptor with DBM.
    if (dbm && access.kind === 'write') updated &= ~(1n << 7n);
    const pageSize = 1n << sizeBits;
    const writes: [bigint, bigint][] = updated === descriptor ? [] : [[entryAddress, updated]];
    return { kind: 'mapped', pa: base + (va % pageSize), pageSize, level: Number(level), reads, writes };
  }
}

/** Stage 2 of the EL1&0 regime, for a guest in AArch64 state outside Secure state and Realms. */
export function aarch64Stage2(
  memory: OracleMemory,
  registers: Stage2Registers,
  ipa: bigint,
  access: OracleAccess,
): OracleResult {
  const { vtcr, vttbr, processor } = registers;
  const reads: bigint[] = [];

  const granuleBits = granuleBitsOfTg0(vtcr.tg0);
  // VTCR_EL2.DS is of no effect with the 64 KiB granule.
  const ds = vtcr.ds && processor.lpa2 && granuleBits !== 16n;
  // VTCR_EL2.SL2 is of effect with the 4 KiB granule and DS only.
  const sl2 = vtcr.sl2 && ds && granuleBits === 12n;
  // VTCR_EL2.HD is of no effect without HA.
  const hd = vtcr.hd && vtcr.ha;
  const stride = granuleBits - 3n;
  const inputSize = 64n - vtcr.t0sz;
  const outputSize = outputSizeOf(vtcr.ps, granuleBits, processor);

  // J1: S2MinTxSZ. The input is no larger than the physical address space; larger: a fault, as FEAT_LPA demands.
  const formatLimit = ds || granuleBits === 16n ? 52n : 48n;
  const inputLimit = formatLimit < processor.paMax ? formatLimit : processor.paMax;
  if (inputSize > inputLimit) return configurationFault(TRANSLATION, reads);
  // J1: MaxTxSZ. As in stage 1.
  if (vtcr.t0sz > greatestTxsz(granuleBits, processor)) return configurationFault(TRANSLATION, reads);
  // D8.2, J1: S2InvalidSL, S2StartLevel.
  const startLevel = stage2StartLevel(granuleBits, sl2, vtcr.sl0, ds, processor);
  if (startLevel === undefined) return configurationFault(TRANSLATION, reads);
  // D8.2, J1: S2InconsistentSL. The first level resolves one bit at least, and its stride and four more (16 roots side
  // by side) at most; else a level 0 translation fault.
  const below = granuleBits + stride * (3n - startLevel);
  if (inputSize < below + 1n) return configurationFault(TRANSLATION, reads);
  if (inputSize > below + stride + 4n) return configurationFault(TRANSLATION, reads);
  // J1: IPAIsOutOfRange.
  if (ipa >> inputSize !== 0n) return configurationFault(TRANSLATION, reads);

  let level = startLevel;
  // D8.2: as in stage 1; concatenated roots are aligned to all of them together.
  let table = rootAddress(vttbr.baddr, inputSize, granuleBits, stride, level, vtcr.ps, ds, processor);
  // D8.2: an address too large in VTTBR is an address size fault of level 0.
  if (table >> outputSize !== 0n) return configurationFault(ADDRESS_SIZE, reads);

  // J1: S2SLTTEntryAddress. The first index takes all the bits that are left, over all the concatenated roots.
  let indexTop = inputSize - 1n;
  for (;;) {
    const entryAddress = table | (bits(ipa, indexTop, granuleBits + stride * (3n - level)) << 3n);
    reads.push(entryAddress);
    const descriptor = memory(entryAddress);
    if (descriptor === undefined) return { kind: 'unreadable', level: Number(level), entryAddress, reads };
    // D8.3: bit 0 clear is invalid.
    if (!bit(descriptor, 0n)) return fault(TRANSLATION, level, entryAddress, reads);

    // D8.3: bits 1:0 = 11 is a table, above level 3. Stage 2 has no hierarchical permissions.
    if (bit(descriptor, 1n) && level < 3n) {
      table = tableAddress(descriptor, granuleBits, ds, processor);
      // D8.2: as in stage 1.
      if (table >> outputSize !== 0n) return fault(ADDRESS_SIZE, level, entryAddress, reads);
      level += 1n;
      indexTop = granuleBits + stride * (4n - level) - 1n;
      continue;
    }

    // D8.3, J1: BlockDescSupported.
    if (!bit(descriptor, 1n) && !blockAllowed(granuleBits, level, ds, processor)) {
      return fault(TRANSLATION, level, entryAddress, reads);
    }
    const sizeBits = granuleBits + stride * (3n - level);
    const base = leafAddress(descriptor, sizeBits, granuleBits, ds, processor);
    // D8.2: as in stage 1.
    if (base >> outputSize !== 0n) return fault(ADDRESS_SIZE, level, entryAddress, reads);
    // D8.5: as in stage 1.
    if (!bit(descriptor, 10n) && !vtcr.ha) return fault(ACCESS_FLAG, level, entryAddress, reads);

    // D8.5: with hardware management of dirty state, DBM set means writable: S2AP[1] counts as 1.
    const dbm = bit(descriptor, 51n) && hd;
    // D8.4: S2AP[0] (bit 6) reads, S2AP[1] (bit 7) writes, for EL1 and EL0 alike.
    const read = bit(descriptor, 6n);
    const write = bit(descriptor, 7n) || dbm;
    // D8.4: XN[1] (bit 54) alone without FEAT_XNX; it does not depend on S2AP.
    let userExecute = !bit(descriptor, 54n);
    let privilegedExecute = !bit(descriptor, 54n);
    // D8.4, FEAT_XNX: XN[1:0] = 00 both execute, 01 EL0 only, 10 neither, 11 EL1 only.
    if (processor.xnx)
      userExecute = bits(descriptor, 54n, 53n) === 0b00n || bits(descriptor, 54n, 53n) === 0b01n;
    if (processor.xnx)
      privilegedExecute = bits(descriptor, 54n, 53n) === 0b00n || bits(descriptor, 54n, 53n) === 0b11n;

    let allowed: boolean;
    if (access.kind === 'read') allowed = read;
    else if (access.kind === 'write') allowed = write;
    else allowed = access.user ? userExecute : privilegedExecute;
    // D8.4: permission is judged last.
    if (!allowed) return fault(PERMISSION, level, entryAddress, reads);

    let updated = descriptor;
    // D8.5: hardware sets AF.
    if (vtcr.ha) updated |= 1n << 10n;
    // D8.5: a write sets S2AP[1] of a descriptor with DBM.
    if (dbm && access.kind === 'write') updated |= 1n << 7n;
    const pageSize = 1n << sizeBits;
    const writes: [bigint, bigint][] = updated === descriptor ? [] : [[entryAddress, updated]];
    return { kind: 'mapped', pa: base + (ipa % pageSize), pageSize, level: Number(level), reads, writes };
  }
}

/** D19.2, ESR_EL1, ISS of a Data Abort: the fault status code of level 0; each level deeper is one more. */
const ADDRESS_SIZE = 0x00;
const TRANSLATION = 0x04;
const ACCESS_FLAG = 0x08;
const PERMISSION = 0x0c;

function fault(kind: number, level: bigint, entryAddress: bigint | undefined, reads: bigint[]): OracleResult {
  let fsc = kind + Number(level);
  // D19.2: level -1 has codes of its own. (No leaf stands there, so neither AF nor permission is judged.)
  if (level === -1n && kind === ADDRESS_SIZE) fsc = 0x29;
  if (level === -1n && kind === TRANSLATION) fsc = 0x2b;
  return { kind: 'fault', fsc, level: Number(level), entryAddress, reads };
}

/** J1: S1Translate, S2Translate: what is wrong before the first descriptor is read is reported as level 0. */
function configurationFault(kind: number, reads: bigint[]): OracleResult {
  return fault(kind, 0n, undefined, reads);
}

/** TCR_EL1.TG0, VTCR_EL2.TG0: 00 4 KiB, 01 64 KiB, 10 16 KiB. What 11 means is open; here: 4 KiB. */
function granuleBitsOfTg0(tg0: bigint): bigint {
  if (tg0 === 0b01n) return 16n;
  if (tg0 === 0b10n) return 14n;
  return 12n;
}

/** TCR_EL1.TG1: 01 16 KiB, 10 4 KiB, 11 64 KiB. What 00 means is open; here: 4 KiB. */
function granuleBitsOfTg1(tg1: bigint): bigint {
  if (tg1 === 0b01n) return 14n;
  if (tg1 === 0b11n) return 16n;
  return 12n;
}

/** J1: MaxTxSZ. */
function greatestTxsz(granuleBits: bigint, processor: OracleProcessor): bigint {
  if (!processor.ttst) return 39n;
  return granuleBits === 16n ? 47n : 48n;
}

/** TCR_EL1.IPS, VTCR_EL2.PS; J1: PhysicalAddressSize. Never more than the processor has. 111 is 56 bits, so the most. */
function outputSizeOf(ps: bigint, granuleBits: bigint, processor: OracleProcessor): bigint {
  let size = 56n;
  if (ps === 0b000n) size = 32n;
  if (ps === 0b001n) size = 36n;
  if (ps === 0b010n) size = 40n;
  if (ps === 0b011n) size = 42n;
  if (ps === 0b100n) size = 44n;
  if (ps === 0b101n) size = 48n;
  if (ps === 0b110n) size = 52n;
  // 52 bits want FEAT_LPA, and FEAT_LPA2 as well with the small granules.
  const most = processor.lpa && (granuleBits === 16n || processor.lpa2) ? 52n : 48n;
  if (size > most) size = most;
  if (size > processor.paMax) size = processor.paMax;
  return size;
}

/** D8.2, J1: TTBaseAddress. */
function rootAddress(
  baddr: bigint,
  inputSize: bigint,
  granuleBits: bigint,
  stride: bigint,
  startLevel: bigint,
  ps: bigint,
  ds: boolean,
  processor: OracleProcessor,
): bigint {
  // 8 bytes for each value of the bits that the first level resolves.
  let alignment = inputSize - (granuleBits + stride * (3n - startLevel)) + 3n;
  let address = baddr;
  // The 52-bit form: bits 5:2 are address bits 51:48, and the root is aligned to 64 bytes at least.
  const wide = ds || (granuleBits === 16n && processor.lpa && ps === 0b110n);
  if (wide && alignment < 6n) alignment = 6n;
  if (wide) address = bits(baddr, 47n, 6n) * 64n + bits(baddr, 5n, 2n) * 2n ** 48n;
  // A base with other low bits set is taken as aligned (of the two choices of D8.2 the other is a fault).
  return (address >> alignment) << alignment;
}

/** D8.3, J1: NextTableBase. */
function tableAddress(
  descriptor: bigint,
  granuleBits: bigint,
  ds: boolean,
  processor: OracleProcessor,
): bigint {
  return leafAddress(descriptor, granuleBits, granuleBits, ds, processor);
}

/** D8.3, J1: LeafBase. Bits of the descriptor below the size of the leaf are not looked at. */
function leafAddress(
  descriptor: bigint,
  sizeBits: bigint,
  granuleBits: bigint,
  ds: boolean,
  processor: OracleProcessor,
): bigint {
  const low = bits(descriptor, 47n, sizeBits) * 2n ** sizeBits;
  // 64 KiB with FEAT_LPA: bits 15:12 are address bits 51:48, whatever the size of addresses that is set up.
  if (granuleBits === 16n && processor.lpa) return low + bits(descriptor, 15n, 12n) * 2n ** 48n;
  // LPA2: bits 49:48 are themselves, bits 9:8 are address bits 51:50.
  if (ds) return low + bits(descriptor, 49n, 48n) * 2n ** 48n + bits(descriptor, 9n, 8n) * 2n ** 50n;
  return low;
}

/** D8.3, J1: BlockDescSupported; `level` is 2 or less, or 3, where 01 is never valid. */
function blockAllowed(granuleBits: bigint, level: bigint, ds: boolean, processor: OracleProcessor): boolean {
  // 4 KiB: 2 MiB, 1 GiB, and 512 GiB with DS.
  if (granuleBits === 12n) return level === 2n || level === 1n || (level === 0n && ds);
  // 16 KiB: 32 MiB, and 64 GiB with DS.
  if (granuleBits === 14n) return level === 2n || (level === 1n && ds);
  // 64 KiB: 512 MiB, and 4 TiB where the processor has 52-bit physical addresses.
  return level === 2n || (level === 1n && processor.paMax >= 52n);
}

/** D8.2, VTCR_EL2.SL0 and SL2; J1: S2InvalidSL, S2StartLevel. Undefined: a value that is not to be used. */
function stage2StartLevel(
  granuleBits: bigint,
  sl2: boolean,
  sl0: bigint,
  ds: boolean,
  processor: OracleProcessor,
): bigint | undefined {
  if (granuleBits === 12n) {
    if (sl2) return sl0 === 0b00n ? -1n : undefined;
    if (sl0 === 0b00n) return 2n;
    if (sl0 === 0b01n) return 1n;
    if (sl0 === 0b10n) return processor.paMax >= 44n ? 0n : undefined;
    return processor.ttst ? 3n : undefined;
  }
  if (granuleBits === 14n) {
    if (sl0 === 0b00n) return 3n;
    if (sl0 === 0b01n) return 2n;
    if (sl0 === 0b10n) return processor.paMax >= 42n ? 1n : undefined;
    return ds ? 0n : undefined;
  }
  if (sl0 === 0b00n) return 3n;
  if (sl0 === 0b01n) return 2n;
  if (sl0 === 0b10n) return processor.paMax >= 44n ? 1n : undefined;
  return undefined;
}
