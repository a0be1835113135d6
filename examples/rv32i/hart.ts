import { type GuestMemory, isGuestMemoryError } from 'guestmem';

/** Exception codes: the RISC-V privileged specification, table "mcause". */
export const CAUSE = {
  misalignedFetch: 0,
  fetchFault: 1,
  illegal: 2,
  breakpoint: 3,
  loadFault: 5,
  storeFault: 7,
  environmentCall: 8,
} as const;

export type Cause = (typeof CAUSE)[keyof typeof CAUSE];

/** Why a hart stopped. Its `pc` stands on the instruction, of which nothing has happened. */
export interface Trap {
  readonly cause: Cause;
  /** The address that could not be accessed or jumped to; the word of an illegal instruction; else 0. */
  readonly value: number;
}

/** A hardware thread of RV32I: its registers, and `run`. */
export interface Hart {
  /** x0 to x31, as signed words. x0 is 0 between instructions. */
  readonly x: Int32Array;
  /** Address of the next instruction, 0 to 2^32-1. */
  pc: number;
  /** Instructions retired. */
  retired: number;
  /** Runs `limit` instructions, or up to the trap that it returns. */
  run(limit: number): Trap | undefined;
}

/** Unwinds an instruction that cannot be done. One for all, with no stack: a trap is an ordinary event of a guest. */
const ILLEGAL = Symbol('illegal instruction');

/**
 * The base integer instruction set, version 2.1 (RISC-V unprivileged specification, chapter 2). Misaligned loads and
 * stores work, as that chapter lets an implementation do.
 *
 * The bus is a constant of the closure, not a field: where a program makes one hart, the engine compiles `run` for
 * this very memory, and a load is a comparison and a machine load.
 */
export function createHart(bus: GuestMemory, entry: number): Hart {
  const x = new Int32Array(32);

  function load(width: number, address: number): number {
    switch (width) {
      case 0:
        return bus.readI8(address);
      case 1:
        return bus.readI16(address);
      case 2:
        return bus.readI32(address);
      case 4:
        return bus.readU8(address);
      case 5:
        return bus.readU16(address);
      default:
        throw ILLEGAL;
    }
  }

  function store(width: number, address: number, value: number): void {
    switch (width) {
      case 0:
        bus.writeU8(address, value);
        return;
      case 1:
        bus.writeU16(address, value);
        return;
      case 2:
        bus.writeU32(address, value);
        return;
      default:
        throw ILLEGAL;
    }
  }

  const hart: Hart = { x, pc: entry, retired: 0, run };

  function run(limit: number): Trap | undefined {
    let pc = hart.pc;
    let left = limit;
    // What an error of the bus means depends on what the instruction was about to do.
    let fault: Cause = CAUSE.fetchFault;
    let word = 0;
    try {
      for (; left > 0; left--) {
        fault = CAUSE.fetchFault;
        word = bus.readI32(pc);
        const rd = (word >>> 7) & 31;
        const funct3 = (word >>> 12) & 7;
        const a = x[(word >>> 15) & 31] as number;
        const b = x[(word >>> 20) & 31] as number;
        const immediate = word >> 20;
        let next = (pc + 4) >>> 0;
        switch (word & 0x7f) {
          case 0x03: // LB, LH, LW, LBU, LHU
            fault = CAUSE.loadFault;
            x[rd] = load(funct3, (a + immediate) >>> 0);
            break;
          case 0x23: // SB, SH, SW
            fault = CAUSE.storeFault;
            store(funct3, (a + ((immediate & ~31) | rd)) >>> 0, b);
            break;
          case 0x13: // ADDI, SLTI, SLTIU, XORI, ORI, ANDI, SLLI, SRLI, SRAI: bit 30 tells of shifts only
            x[rd] = operate(funct3, shifts(funct3) ? word >>> 25 : 0, a, immediate);
            break;
          case 0x33: // ADD, SUB, SLL, SLT, SLTU, XOR, SRL, SRA, OR, AND
            x[rd] = operate(funct3, word >>> 25, a, b);
            break;
          case 0x63: // BEQ, BNE, BLT, BGE, BLTU, BGEU
            if (taken(funct3, a, b)) next = (pc + branchOffset(word)) >>> 0;
            break;
          case 0x37: // LUI
            x[rd] = word & ~0xfff;
            break;
          case 0x17: // AUIPC
            x[rd] = pc + (word & ~0xfff);
            break;
          case 0x6f: // JAL
            next = (pc + jumpOffset(word)) >>> 0;
            if ((next & 3) === 0) x[rd] = pc + 4;
            break;
          case 0x67: // JALR
            if (funct3 !== 0) throw ILLEGAL;
            next = ((a + immediate) & ~1) >>> 0;
            if ((next & 3) === 0) x[rd] = pc + 4;
            break;
          case 0x0f: // FENCE: one hart sees its own accesses in order
            if (funct3 !== 0) throw ILLEGAL;
            break;
          case 0x73: // ECALL, EBREAK
            if (word === 0x0000_0073) return { cause: CAUSE.environmentCall, value: 0 };
            if (word === 0x0010_0073) return { cause: CAUSE.breakpoint, value: 0 };
            throw ILLEGAL;
          default:
            throw ILLEGAL;
        }
        // Section 2.5: the jump itself traps, not the instruction that it would have reached.
        if ((next & 3) !== 0) return { cause: CAUSE.misalignedFetch, value: next };
        x[0] = 0;
        pc = next;
      }
      return undefined;
    } catch (error) {
      if (error === ILLEGAL) return { cause: CAUSE.illegal, value: word >>> 0 };
      const address = refusedAddress(error);
      // Not the guest's doing: a closed mapping, say, or a defect of the emulator.
      if (address === undefined) throw error;
      return { cause: fault, value: address };
    } finally {
      hart.pc = pc;
      hart.retired += limit - left;
    }
  }

  return hart;
}

/**
 * Where the guest went wrong, if it did: nothing there, no right to it, or a device that would not have it. The first
 * byte that failed is what the privileged specification (section 3.1.16, "mtval") wants to be told.
 */
function refusedAddress(error: unknown): number | undefined {
  if (!isGuestMemoryError(error)) return undefined;
  const { code, failedAt } = error;
  return code === 'unmapped' || code === 'denied' || code === 'fault' ? failedAt : undefined;
}

function shifts(funct3: number): boolean {
  return funct3 === 1 || funct3 === 5;
}

/** Section 2.4. Shifts take the low five bits of `b`, as JavaScript's do. */
function operate(funct3: number, funct7: number, a: number, b: number): number {
  if (funct7 === 0x20) {
    if (funct3 === 0) return (a - b) | 0;
    if (funct3 === 5) return a >> b;
  }
  if (funct7 !== 0) throw ILLEGAL;
  switch (funct3) {
    case 0:
      return (a + b) | 0;
    case 1:
      return a << b;
    case 2:
      return a < b ? 1 : 0;
    case 3:
      return a >>> 0 < b >>> 0 ? 1 : 0;
    case 4:
      return a ^ b;
    case 5:
      return (a >>> b) | 0;
    case 6:
      return a | b;
    default:
      return a & b;
  }
}

/** Section 2.5.2. */
function taken(funct3: number, a: number, b: number): boolean {
  switch (funct3) {
    case 0:
      return a === b;
    case 1:
      return a !== b;
    case 4:
      return a < b;
    case 5:
      return a >= b;
    case 6:
      return a >>> 0 < b >>> 0;
    case 7:
      return a >>> 0 >= b >>> 0;
    default:
      throw ILLEGAL;
  }
}

/** Section 2.3, the B-immediate: bits 12, 11, 10:5 and 4:1 of the offset stand in bits 31, 7, 30:25 and 11:8. */
function branchOffset(word: number): number {
  return ((word >> 19) & ~0xfff) | ((word << 4) & 0x800) | ((word >>> 20) & 0x7e0) | ((word >>> 7) & 0x1e);
}

/** The J-immediate: bits 20, 19:12, 11 and 10:1 of the offset stand in bits 31, 19:12, 20 and 30:21. */
function jumpOffset(word: number): number {
  return ((word >> 11) & ~0xf_ffff) | (word & 0xf_f000) | ((word >>> 9) & 0x800) | ((word >>> 20) & 0x7fe);
}
