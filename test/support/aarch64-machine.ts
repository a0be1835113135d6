/**
 * An AArch64 machine in QEMU that stands still, with the registers that choose its page tables and QEMU's own answers about it.
 *
 * QEMU's `gva2gpa` asks as the processor would read just now: what EL0 may not read is "Unmapped" there, and so is for EL1 with
 * PSTATE.PAN what EL0 may read. So PSTATE is set through gdb for each question; nothing runs meanwhile.
 */

import type { GuestMemory } from 'guestmem';
import { AArch64Translator, aarch64Stage1FromRegisters } from 'guestmem/paging';
import type { QemuMachine } from 'guestmem/qemu';
import type { GdbRemote } from './gdb-remote.ts';
import { type AArch64Processor, aarch64Stage1 } from './oracles/aarch64.ts';
import { decodeTcrEl1, decodeTtbrEl1, type TcrEl1, type TtbrEl1 } from './oracles/aarch64-registers.ts';
import type { OracleMemory } from './oracles/oracle.ts';

/** Who reads: a user, the kernel, or the kernel while it must not reach the user's pages. */
export type Reader = 'EL0' | 'EL1' | 'EL1 with PAN';

export const READERS: readonly Reader[] = ['EL0', 'EL1', 'EL1 with PAN'];

/** PSTATE with all interrupts masked: EL0t, EL1h, and EL1h with PAN (Arm ARM C5.2.18, SPSR_EL1). */
const PSTATE: Readonly<Record<Reader, bigint>> = { EL0: 0x3c0n, EL1: 0x3c5n, 'EL1 with PAN': 0x40_03c5n };

/** One address and what QEMU says about it. */
export interface AArch64Expected {
  readonly gva: bigint;
  readonly reader: Reader;
  /** `undefined` when QEMU says "Unmapped". */
  readonly gpa: number | undefined;
}

/** The registers as they are, and cut into their fields. */
export interface AArch64Registers {
  readonly words: {
    readonly tcr: bigint;
    readonly ttbr0: bigint;
    readonly ttbr1: bigint;
    readonly sctlr: bigint;
  };
  readonly tcr: TcrEl1;
  readonly ttbr0: TtbrEl1;
  readonly ttbr1: TtbrEl1;
  readonly processor: AArch64Processor;
}

/** Physical address bits by ID_AA64MMFR0_EL1.PARange. */
const PA_BITS: readonly (number | undefined)[] = [32, 36, 40, 42, 44, 48, 52];

export async function aarch64Registers(gdb: GdbRemote): Promise<AArch64Registers> {
  const read = await gdb.read(
    ...(['TCR_EL1', 'TTBR0_EL1', 'TTBR1_EL1', 'SCTLR'] as const),
    ...(['ID_AA64MMFR0_EL1', 'ID_AA64MMFR1_EL1', 'ID_AA64MMFR2_EL1'] as const),
  );
  const nibble = (word: bigint, at: number): number => Number((word >> BigInt(at)) & 0xfn);
  const [mmfr0, mmfr1, mmfr2] = [read.ID_AA64MMFR0_EL1, read.ID_AA64MMFR1_EL1, read.ID_AA64MMFR2_EL1];
  const paMax = PA_BITS[nibble(mmfr0, 0)] ?? 0;
  return {
    words: { tcr: read.TCR_EL1, ttbr0: read.TTBR0_EL1, ttbr1: read.TTBR1_EL1, sctlr: read.SCTLR },
    tcr: decodeTcrEl1(read.TCR_EL1),
    ttbr0: decodeTtbrEl1(read.TTBR0_EL1),
    ttbr1: decodeTtbrEl1(read.TTBR1_EL1),
    processor: {
      paMax,
      lpa: paMax === 52,
      lva: nibble(mmfr2, 16) >= 1,
      // TGran4 and TGran16: 1 and 2 say that there are 52-bit forms.
      lpa2: nibble(mmfr0, 28) === 1 && nibble(mmfr0, 20) === 2,
      ttst: nibble(mmfr2, 28) >= 1,
      xnx: nibble(mmfr1, 28) >= 1,
    },
  };
}

/** QEMU's answers to one reader's reading of some addresses. */
export async function askAs(
  machine: QemuMachine,
  gdb: GdbRemote,
  reader: Reader,
  addresses: Iterable<bigint>,
): Promise<AArch64Expected[]> {
  const { cpsr } = await gdb.read('cpsr');
  await gdb.write('cpsr', PSTATE[reader]);
  const expected: AArch64Expected[] = [];
  for (const gva of addresses) expected.push({ gva, reader, gpa: await machine.gva2gpa(gva) });
  await gdb.write('cpsr', cpsr);
  return expected;
}

/** The library's translator of both halves. @param how `marks`: as the processor marks; else it does not look at the access flag. */
export function libraryOf(
  { words, processor }: AArch64Registers,
  how: { readonly memory: GuestMemory; readonly pan: boolean; readonly marks: boolean },
): AArch64Translator {
  const { memory, pan, marks } = how;
  const { paMax: physicalBits, lva, lpa2, ttst, xnx } = processor;
  const modes = aarch64Stage1FromRegisters({
    ...words,
    pan,
    processor: { physicalBits, lva, lpa2, ttst, xnx },
  });
  return new AArch64Translator({ ...modes, memory, accessedDirty: marks ? modes.lower.marking : 'off' });
}

/** Where the library answers otherwise than QEMU. */
export function libraryDiffers(
  memory: GuestMemory,
  registers: AArch64Registers,
  expected: readonly AArch64Expected[],
): AArch64Expected[] {
  const plain = libraryOf(registers, { memory, pan: false, marks: false });
  const withPan = libraryOf(registers, { memory, pan: true, marks: false });
  return expected.filter(({ gva, reader, gpa }) => {
    const translator = reader === 'EL1 with PAN' ? withPan : plain;
    const got = translator.translate(gva, { kind: 'read', user: reader === 'EL0' });
    return (got.kind === 'mapped' ? got.gpa : undefined) !== gpa;
  });
}

/** What the naive reading of the specification says. As with HA, for gva2gpa does not look at the access flag. */
export function naiveGpa(
  memory: OracleMemory,
  { tcr, ttbr0, ttbr1, processor, words }: AArch64Registers,
  { gva, reader }: AArch64Expected,
): number | undefined {
  const wxn = (words.sctlr >> 19n) % 2n === 1n;
  const got = aarch64Stage1(
    memory,
    { tcr: { ...tcr, ha: true }, ttbr0, ttbr1, wxn, pan: reader === 'EL1 with PAN', processor },
    gva,
    { kind: 'read', user: reader === 'EL0' },
  );
  return got.kind === 'mapped' ? Number(got.pa) : undefined;
}
