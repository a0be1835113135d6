import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assemble } from '../../examples/rv32i/assembler.ts';

/** As LLVM 14 encodes them (`llvm-mc -triple=riscv32 -show-encoding`); targets are distances, for the origin is 0. */
const WORDS: readonly (readonly [source: string, word: number])[] = [
  ['add a0, a1, a2', 0x00c5_8533],
  ['sub s0, s11, t6', 0x41fd_8433],
  ['sll t0, t1, t2', 0x0073_12b3],
  ['slt x31, x30, x29', 0x01df_2fb3],
  ['sltu ra, sp, gp', 0x0031_30b3],
  ['xor tp, zero, a7', 0x0110_4233],
  ['srl s2, s3, s4', 0x0149_d933],
  ['sra s5, s6, s7', 0x417b_5ab3],
  ['or s8, s9, s10', 0x01ac_ec33],
  ['and t3, t4, t5', 0x01ee_fe33],
  ['addi a0, a1, -2048', 0x8005_8513],
  ['addi a0, a1, 2047', 0x7ff5_8513],
  ['slti t0, t1, -1', 0xfff3_2293],
  ['sltiu t0, t1, -1', 0xfff3_3293],
  ['xori s0, s1, -1', 0xfff4_c413],
  ['ori a3, a4, 0x555', 0x5557_6693],
  ['andi a5, a6, 255', 0x0ff8_7793],
  ['slli a0, a1, 31', 0x01f5_9513],
  ['srli a0, a1, 1', 0x0015_d513],
  ['srai a0, a1, 31', 0x41f5_d513],
  ['lb a0, -1(sp)', 0xfff1_0503],
  ['lh a1, 2047(gp)', 0x7ff1_9583],
  ['lw ra, 12(sp)', 0x00c1_2083],
  ['lbu t6, -2048(s11)', 0x800d_cf83],
  ['lhu a7, 0(zero)', 0x0000_5883],
  ['sb a0, -1(sp)', 0xfea1_0fa3],
  ['sh a1, 2047(gp)', 0x7eb1_9fa3],
  ['sw ra, -2048(s11)', 0x801d_a023],
  ['lui a0, 0xfffff', 0xffff_f537],
  ['auipc t0, 1', 0x0000_1297],
  ['jal ra, 2048', 0x0010_00ef],
  ['jal zero, -4', 0xffdf_f06f],
  ['jal t6, 1048574', 0x7fff_ffef],
  ['jal zero, -1048576', 0x8000_006f],
  ['jalr ra, a0, -2', 0xffe5_00e7],
  ['beq a0, a1, 4094', 0x7eb5_0fe3],
  ['bne a2, a3, -4096', 0x80d6_1063],
  ['blt a4, a5, 2048', 0x00f7_40e3],
  ['bge s0, s1, -2', 0xfe94_5fe3],
  ['bltu t0, t1, 30', 0x0062_ef63],
  ['bgeu t2, t3, -2048', 0x81c3_f0e3],
  ['fence', 0x0ff0_000f],
  ['ecall', 0x0000_0073],
  ['ebreak', 0x0010_0073],
];

const wordOf = (source: string, origin = 0): number =>
  new DataView(assemble(source, origin).buffer).getUint32(0, true);

describe('the assembler of the RV32I example', () => {
  it('encodes every instruction as LLVM does', () => {
    for (const [source, word] of WORDS) assert.equal(wordOf(source).toString(16), word.toString(16), source);
    const names = new Set(WORDS.map(([source]) => source.split(' ')[0]));
    assert.equal(names.size, 40); // what RV32I has, PAUSE and FENCE.TSO being forms of FENCE
  });

  it('makes a constant of two words, whose lower half is signed', () => {
    // 0x12345fff is 0x12346000 - 1: what a plain split into 20 and 12 bits gets wrong.
    const image = new DataView(assemble('li a0, 0x12345fff', 0).buffer);
    assert.equal(image.getUint32(0, true), wordOf('lui a0, 0x12346'));
    assert.equal(image.getUint32(4, true), wordOf('addi a0, a0, -1'));
  });

  it('finds labels before and after, wherever the program lies', () => {
    const image = new DataView(
      assemble('back: nop\n bne a0, a1, back\n jal ra, on # comment\n nop\non: ret', 0x8000_0000).buffer,
    );
    assert.equal(image.getUint32(4, true), wordOf('bne a0, a1, -4'));
    assert.equal(image.getUint32(8, true), wordOf('jal ra, 8'));
  });

  it('refuses what has no place in a word, and names the line', () => {
    for (const bad of [
      'addi a0, a0, 2048',
      'addi a0, a0, -2049',
      'slli a0, a0, 32',
      'lui a0, 0x100000',
      'beq a0, a0, 5000',
      'jal ra, 3',
      'lw a0, a1',
      'mul a0, a0, a0',
      'add a0, a0, a32',
      'j nowhere',
    ]) {
      assert.throws(() => assemble(`nop\n${bad}`, 0), /Cannot assemble line 2/, bad);
    }
  });
});
