/**
 * A program for a bare RISC-V machine, assembled here word by word, that tries addresses one after the other and tells what became
 * of each: a load, a store of a zero, or the fetch of an instruction, as a hart in the mode that is wanted would
 * meet it; and the loads and stores of a guest of that hart. So the exceptions are those that the (emulated) processor raises.
 *
 * It stays in M-mode, whose own addresses are not translated: mstatus.MPRV lets its loads and stores go as those of MPP, `mret` goes to
 * the address itself (where an instruction of zeros comes back at once, as illegal), HLV and HSV go as a guest's.
 */

import type { ProbeProgram } from './probe-machine.ts';

/** What to try at each address. */
export type RiscvProbe = 'read' | 'write' | 'execute' | 'guest read' | 'guest write';

/** The numbers that the program knows them by. */
export const RISCV_PROBES: Readonly<Record<RiscvProbe, bigint>> = {
  read: 0n,
  write: 1n,
  execute: 2n,
  'guest read': 3n,
  'guest write': 4n,
};

export type RiscvWord =
  | ('satp' | 'vsatp' | 'hgatp' | 'envcfg' | 'hstatus' | 'vsstatus' | 'mstatus')
  | ('count' | 'probe');

/** Where the machine's RAM begins, and where it ends. */
export const RISCV_RAM: { readonly start: number; readonly end: number } = {
  start: 0x8000_0000,
  end: 0x8400_0000,
};

/** The machine and its program. The results of an address are mcause, all ones if there was no exception, and mtval2. */
export function riscvProbe(cpu: string): ProbeProgram<RiscvWord> {
  return {
    code: PROGRAM,
    ram: RISCV_RAM.start,
    mebibytes: (RISCV_RAM.end - RISCV_RAM.start) / 2 ** 20,
    words: ['satp', 'vsatp', 'hgatp', 'envcfg', 'hstatus', 'vsstatus', 'mstatus', 'count', 'probe'],
    results: 2,
    program: 'qemu-system-riscv64',
    machine: 'virt',
    cpu,
  };
}

const PROGRAM = Uint32Array.of(
  // start:
  0x0000_1417, // auipc s0,0x1
  0xfff0_0293, // addi t0,zero,-1
  0x3b02_9073, // csrrw zero,pmpaddr0,t0
  0x01f0_0293, // addi t0,zero,31
  0x3a02_9073, // csrrw zero,pmpcfg0,t0
  0x0000_0297, // auipc t0,0x0
  0x0cc2_8293, // addi t0,t0,204
  0x3052_9073, // csrrw zero,mtvec,t0
  // wait:
  0x0004_3283, // ld t0,0(s0)
  0x0010_0313, // addi t1,zero,1
  0xfe62_9ce3, // bne t0,t1,wait
  0x0ff0_000f, // fence iorw,iorw
  0x0084_3283, // ld t0,8(s0)
  0x1802_9073, // csrrw zero,satp,t0
  0x0104_3283, // ld t0,16(s0)
  0x2802_9073, // csrrw zero,vsatp,t0
  0x0184_3283, // ld t0,24(s0)
  0x6802_9073, // csrrw zero,hgatp,t0
  0x0204_3283, // ld t0,32(s0)
  0x30a2_9073, // csrrw zero,menvcfg,t0
  0x60a2_9073, // csrrw zero,henvcfg,t0
  0x0284_3283, // ld t0,40(s0)
  0x6002_9073, // csrrw zero,hstatus,t0
  0x0304_3283, // ld t0,48(s0)
  0x2002_9073, // csrrw zero,vsstatus,t0
  0x0384_3483, // ld s1,56(s0)
  0x0404_3903, // ld s2,64(s0)
  0x0484_3a83, // ld s5,72(s0)
  0x1200_0073, // sfence.vma zero,zero
  0x2200_0073, // hfence.vvma
  0x6200_0073, // hfence.gvma
  0x0000_12b7, // lui t0,0x1
  0x0054_09b3, // add s3,s0,t0
  0x0000_f2b7, // lui t0,0xf
  0x0054_0a33, // add s4,s0,t0
  0x0000_0297, // auipc t0,0x0
  0x0302_8293, // addi t0,t0,48
  0x003a_9a93, // slli s5,s5,0x3
  0x005a_8ab3, // add s5,s5,t0
  // loop:
  0x0609_0463, // beq s2,zero,done
  0x0009_b503, // ld a0,0(s3)
  0x34b0_1073, // csrrw zero,mtval2,zero
  0xfff0_0293, // addi t0,zero,-1
  0x3422_9073, // csrrw zero,mcause,t0
  0x3415_1073, // csrrw zero,mepc,a0
  0x3004_9073, // csrrw zero,mstatus,s1
  0x000a_8067, // jalr zero,0(s5)
  // probes:
  0x0005_4303, // lbu t1,0(a0)
  0x0200_006f, // jal zero,landing
  0x0005_0023, // sb zero,0(a0)
  0x0180_006f, // jal zero,landing
  0x3020_0073, // mret
  0x0100_006f, // jal zero,landing
  0x6015_4373, // hlv.bu t1,(a0)
  0x0080_006f, // jal zero,landing
  0x6205_4073, // hsv.b zero,(a0)
  // landing:
  0x3000_1073, // csrrw zero,mstatus,zero
  0x3420_22f3, // csrrs t0,mcause,zero
  0x005a_3023, // sd t0,0(s4)
  0x34b0_22f3, // csrrs t0,mtval2,zero
  0x005a_3423, // sd t0,8(s4)
  0x0089_8993, // addi s3,s3,8
  0x010a_0a13, // addi s4,s4,16
  0xfff9_0913, // addi s2,s2,-1
  0xf9df_f06f, // jal zero,loop
  // done:
  0x0ff0_000f, // fence iorw,iorw
  0x0020_0293, // addi t0,zero,2
  0x0054_3023, // sd t0,0(s0)
  0xf11f_f06f, // jal zero,wait
);
