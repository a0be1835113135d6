/**
 * A program for a bare AArch64 machine, assembled here word by word, that asks the (emulated) processor how it translates one address
 * after the other: the instructions AT leave in PAR_EL1 the address that they came to, or the fault status code of why they did not.
 *
 * It stays in EL2, whose own addresses are not translated, while the tables of EL1 and EL0 are whatever is asked about.
 */

import type { ProbeProgram } from './probe-machine.ts';

/** Which AT: stage 1 alone or both stages; reading or writing; as EL0, as EL1, or as EL1 with PSTATE.PAN. */
export type AArch64Probe =
  | ('S1E0R' | 'S1E1R' | 'S1E0W' | 'S1E1W' | 'S1E1RP' | 'S1E1WP')
  | ('S12E0R' | 'S12E1R' | 'S12E0W' | 'S12E1W');

/** As they follow each other in the program. */
export const AARCH64_PROBES: readonly AArch64Probe[] = [
  ...(['S1E0R', 'S1E1R', 'S1E0W', 'S1E1W', 'S1E1RP', 'S1E1WP'] as const),
  ...(['S12E0R', 'S12E1R', 'S12E0W', 'S12E1W'] as const),
];

export type AArch64Word =
  | ('tcr' | 'ttbr0' | 'ttbr1' | 'sctlr' | 'hcr' | 'vtcr' | 'vttbr')
  | ('count' | 'probe');

/** Where the machine's RAM begins, and where it ends. */
export const AARCH64_RAM: { readonly start: number; readonly end: number } = {
  start: 0x4000_0000,
  end: 0x4400_0000,
};

/**
 * The machine and its program. The result of an address is PAR_EL1; or, where the processor took an exception instead (a table
 * that could not be read), ESR_EL2 with bit 63 set (which is clear in PAR_EL1 as long as MAIR_EL1 is 0).
 */
export function aarch64Probe(cpu: string): ProbeProgram<AArch64Word> {
  return {
    code: program(),
    ram: AARCH64_RAM.start,
    // QEMU has its device tree at the beginning.
    at: AARCH64_RAM.start + 0x20_0000,
    mebibytes: (AARCH64_RAM.end - AARCH64_RAM.start) / 2 ** 20,
    words: ['tcr', 'ttbr0', 'ttbr1', 'sctlr', 'hcr', 'vtcr', 'vttbr', 'count', 'probe'],
    results: 1,
    program: 'qemu-system-aarch64',
    machine: 'virt,virtualization=on,gic-version=3',
    cpu,
  };
}

/** Where the program handles exceptions, and where its vectors stand: the second half of its page. */
const EXCEPTION = 0xe4;
const VECTORS = 0x800;

function program(): Uint32Array {
  const code = new Uint32Array(1024);
  code.set(WORDS);
  for (let at = VECTORS; at < 0x1000; at += 0x80)
    code[at / 4] = 0x1400_0000 + ((EXCEPTION - at) / 4 + 2 ** 26); // b exception
  return code;
}

const WORDS: readonly number[] = [
  // start:
  0x1000_0014, // adr x20, start
  0x9140_0694, // add x20, x20, #0x1, lsl #12
  0x9100_0280, // add x0, x20, #0x0
  0xd120_0000, // sub x0, x0, #0x800
  0xd51c_c000, // msr vbar_el2, x0
  0xd500_419f, // msr pan, #0x1
  // wait:
  0xf940_0280, // ldr x0, [x20]
  0xf100_041f, // cmp x0, #0x1
  0x54ff_ffc1, // b.ne wait
  0xd503_3fbf, // dmb sy
  0xa940_8680, // ldp x0, x1, [x20, #8]
  0xd518_2040, // msr tcr_el1, x0
  0xd518_2001, // msr ttbr0_el1, x1
  0xa941_8680, // ldp x0, x1, [x20, #24]
  0xd518_2020, // msr ttbr1_el1, x0
  0xd518_1001, // msr sctlr_el1, x1
  0xa942_8680, // ldp x0, x1, [x20, #40]
  0xd51c_1100, // msr hcr_el2, x0
  0xd51c_2141, // msr vtcr_el2, x1
  0xa943_da80, // ldp x0, x22, [x20, #56]
  0xd51c_2100, // msr vttbr_el2, x0
  0xf940_2699, // ldr x25, [x20, #72]
  0xd503_3fdf, // isb
  0xd50c_879f, // tlbi alle1
  0xd503_3f9f, // dsb sy
  0xd503_3fdf, // isb
  0x9140_0697, // add x23, x20, #0x1, lsl #12
  0x9140_3e98, // add x24, x20, #0xf, lsl #12
  0x1000_00ba, // adr x26, probes
  0x8b19_0f5a, // add x26, x26, x25, lsl #3
  // loop:
  0xb400_03d6, // cbz x22, done
  0xf840_86e0, // ldr x0, [x23], #8
  0xd61f_0340, // br x26
  // probes:
  0xd508_7840, // at s1e0r, x0
  0x1400_0012, // b after
  0xd508_7800, // at s1e1r, x0
  0x1400_0010, // b after
  0xd508_7860, // at s1e0w, x0
  0x1400_000e, // b after
  0xd508_7820, // at s1e1w, x0
  0x1400_000c, // b after
  0xd508_7900, // at s1e1rp, x0
  0x1400_000a, // b after
  0xd508_7920, // at s1e1wp, x0
  0x1400_0008, // b after
  0xd50c_78c0, // at s12e0r, x0
  0x1400_0006, // b after
  0xd50c_7880, // at s12e1r, x0
  0x1400_0004, // b after
  0xd50c_78e0, // at s12e0w, x0
  0x1400_0002, // b after
  0xd50c_78a0, // at s12e1w, x0
  // after:
  0xd503_3fdf, // isb
  0xd538_7401, // mrs x1, par_el1
  // answer:
  0xf800_8701, // str x1, [x24], #8
  0xd100_06d6, // sub x22, x22, #0x1
  0x17ff_ffe6, // b loop
  // exception:
  0xd53c_5201, // mrs x1, esr_el2
  0xb241_0021, // orr x1, x1, #0x8000000000000000
  0x17ff_fffb, // b answer
  // done:
  0xd503_3f9f, // dsb sy
  0xd280_0040, // mov x0, #0x2
  0xf900_0280, // str x0, [x20]
  0x17ff_ffc7, // b wait
];
