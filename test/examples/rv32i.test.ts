import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { bytes, callbacks, GuestMemory, heap } from 'guestmem';
import { assemble } from '../../examples/rv32i/assembler.ts';
import { CAUSE, createHart, type Hart, type Trap } from '../../examples/rv32i/hart.ts';

const CODE = 0x1000;
const RAM_END = 0x3000;
const ROM = 0x4000;
const DEVICE = 0x5000;

interface Ran {
  readonly hart: Hart;
  readonly memory: GuestMemory;
  readonly trap: Trap | undefined;
}

/** Registers by name, `x0` to `x31` and `pc`; those that are not given are 0, and `pc` is {@link CODE}. */
type State = Readonly<Record<string, number>>;

/** Runs one instruction on registers that are given. RAM is 0x0-0x3000, with ROM and a device beyond. */
function one(source: string | number, before: State = {}, prepare?: (memory: GuestMemory) => void): Ran {
  const at = before['pc'] ?? CODE;
  const memory = GuestMemory.fromRegions([
    { start: 0, backing: heap(RAM_END) },
    { start: ROM, backing: bytes(new Uint8Array(16).fill(0x80), { readOnly: true }) },
    {
      start: DEVICE,
      backing: callbacks({
        size: 16,
        read: (_offset, dest) => {
          if (dest.length !== 4) throw new RangeError('Words only');
          dest.fill(0xaa);
        },
      }),
    },
    { start: 0xffff_f000, backing: heap(0x1000) },
  ]);
  prepare?.(memory);
  if (typeof source === 'number') memory.writeU32(at, source);
  else memory.writeAt(at, assemble(source, at));
  const hart = createHart(memory, at);
  for (const [name, value] of Object.entries(before)) {
    if (name !== 'pc') hart.x[Number(name.slice(1))] = value;
  }
  return { hart, memory, trap: hart.run(1) };
}

/** `rd` after an instruction that completes. */
function result(source: string, before: State, prepare?: (memory: GuestMemory) => void): number {
  const { hart, trap } = one(source, before, prepare);
  assert.equal(trap, undefined, source);
  assert.equal(hart.pc, ((before['pc'] ?? CODE) + 4) >>> 0, source);
  return (hart.x[3] ?? 0) >>> 0;
}

/** That an instruction traps, and that nothing of it has happened. */
function assertTrap(source: string | number, before: State, cause: number, value: number): void {
  const { hart, trap } = one(source, before);
  assert.deepEqual(trap, { cause, value }, String(source));
  assert.equal(hart.pc, before['pc'] ?? CODE, String(source));
  assert.equal(hart.retired, 0);
  for (const [index, word] of hart.x.entries()) {
    assert.equal(word, (before[`x${index}`] ?? 0) | 0, `x${index} of ${source}`);
  }
}

const MIN = 0x8000_0000;
const MAX = 0x7fff_ffff;
const ALL = 0xffff_ffff;

/** x1, x2 and what x3 must be. The words are from the specification's sentences, chapter 2.4. */
const REGISTER_VECTORS: readonly (readonly [name: string, a: number, b: number, expected: number])[] = [
  // "Arithmetic overflow is ignored": the low 32 bits are kept.
  ['add', MAX, 1, MIN],
  ['add', ALL, 1, 0],
  ['add', MIN, MIN, 0],
  ['sub', 0, 1, ALL],
  ['sub', MIN, 1, MAX],
  ['sub', 5, 7, 0xffff_fffe],
  // Signed and unsigned compares.
  ['slt', ALL, 0, 1],
  ['slt', 0, ALL, 0],
  ['slt', MIN, MAX, 1],
  ['slt', 3, 3, 0],
  ['sltu', ALL, 0, 0],
  ['sltu', 0, ALL, 1],
  ['sltu', MIN, MAX, 0],
  ['sltu', 3, 3, 0],
  ['sltu', 0, 1, 1],
  ['and', 0xff00_ff00, 0x0ff0_0ff0, 0x0f00_0f00],
  ['or', 0xff00_ff00, 0x0ff0_0ff0, 0xfff0_fff0],
  ['xor', 0xff00_ff00, 0x0ff0_0ff0, 0xf0f0_f0f0],
  // The shift amount is "held in the lower 5 bits of register rs2".
  ['sll', 1, 31, MIN],
  ['sll', 1, 32, 1],
  ['sll', 0x8000_0001, 1, 2],
  ['sll', 1, 0xffff_ffe4, 16],
  ['srl', MIN, 31, 1],
  ['srl', ALL, 0, ALL],
  ['srl', ALL, 33, MAX],
  ['sra', MIN, 31, ALL],
  ['sra', MAX, 31, 0],
  ['sra', MIN, 32, MIN],
  ['sra', 0xffff_fff0, 2, 0xffff_fffc],
];

const IMMEDIATE_VECTORS: readonly (readonly [name: string, a: number, b: number, expected: number])[] = [
  ['addi', 0, -2048, 0xffff_f800],
  ['addi', MAX, 1, MIN],
  ['addi', MIN, -1, MAX],
  ['slti', 0xffff_fffe, -1, 1],
  ['slti', 0, -1, 0],
  // "The immediate is first sign-extended to XLEN bits then treated as an unsigned number."
  ['sltiu', 5, -1, 1],
  ['sltiu', ALL, -1, 0],
  ['sltiu', 0, 1, 1],
  ['sltiu', 1, 1, 0],
  ['xori', 0x0f0f_0f0f, -1, 0xf0f0_f0f0],
  ['ori', 0, -2048, 0xffff_f800],
  ['andi', ALL, -256, 0xffff_ff00],
  ['andi', 0x1234_5678, 0x7ff, 0x678],
  ['slli', 1, 31, MIN],
  ['slli', ALL, 0, ALL],
  ['srli', MIN, 31, 1],
  ['srli', 0xffff_fff0, 4, 0x0fff_ffff],
  ['srai', MIN, 31, ALL],
  ['srai', MAX, 31, 0],
];

describe('the RV32I example computes', () => {
  it('with two registers', () => {
    for (const [name, x1, x2, expected] of REGISTER_VECTORS)
      assert.equal(result(`${name} x3, x1, x2`, { x1, x2 }), expected, `${name} ${x1}, ${x2}`);
  });

  it('with immediates', () => {
    for (const [name, x1, b, expected] of IMMEDIATE_VECTORS)
      assert.equal(result(`${name} x3, x1, ${b}`, { x1 }), expected, `${name} ${x1}, ${b}`);
  });

  it('as whole numbers do, modulo 2^32', () => {
    const word = fc.oneof(fc.integer(), fc.constantFrom(0, 1, -1, MAX, MIN | 0));
    const signed = (value: number) => BigInt.asIntN(32, BigInt(value));
    const unsigned = (value: number) => BigInt.asUintN(32, BigInt(value));
    const rules: Readonly<Record<string, (a: number, b: number) => bigint>> = {
      add: (a, b) => signed(a) + signed(b),
      sub: (a, b) => signed(a) - signed(b),
      sll: (a, b) => unsigned(a) * 2n ** (unsigned(b) % 32n),
      srl: (a, b) => unsigned(a) / 2n ** (unsigned(b) % 32n),
      sra: (a, b) => signed(a) >> (unsigned(b) % 32n),
      slt: (a, b) => (signed(a) < signed(b) ? 1n : 0n),
      sltu: (a, b) => (unsigned(a) < unsigned(b) ? 1n : 0n),
      and: (a, b) => unsigned(a) & unsigned(b),
      or: (a, b) => unsigned(a) | unsigned(b),
      xor: (a, b) => unsigned(a) ^ unsigned(b),
    };
    fc.assert(
      fc.property(fc.constantFrom(...Object.entries(rules)), word, word, ([name, rule], x1, x2) => {
        assert.equal(BigInt(result(`${name} x3, x1, x2`, { x1, x2 })), BigInt.asUintN(32, rule(x1, x2)));
      }),
      { numRuns: 500 },
    );
  });

  it('upper immediates: LUI fills the low twelve bits with zeros, AUIPC adds to its own address', () => {
    assert.equal(result('lui x3, 0xfffff', {}), 0xffff_f000);
    assert.equal(result('lui x3, 1', { x3: ALL }), 0x1000);
    assert.equal(result('auipc x3, 1', { pc: 0x1ffc }), 0x2ffc);
    assert.equal(result('auipc x3, 0xfffff', { pc: 0x1004 }), 0x4);
    assert.equal(result('auipc x3, 0xfffff', { pc: 0x10 }), 0xffff_f010);
    assert.equal(result('auipc x3, 1', { pc: 0xffff_fff0 }), 0xff0);
  });

  it('nothing into x0', () => {
    for (const source of ['addi x0, x1, 1', 'lui x0, 5', 'auipc x0, 5', 'lw x0, 0(x2)', 'add x0, x1, x1']) {
      const { hart, trap } = one(source, { x1: 7 }, (memory) => memory.writeU32(0, 0x55));
      assert.equal(trap, undefined);
      assert.equal(hart.x[0], 0, source);
    }
    assert.equal(one('jal x0, 0x2000').hart.x[0], 0);
    assert.equal(one('jalr x0, x1, 0', { x1: 0x2000 }).hart.x[0], 0);
  });
});

describe('the RV32I example decodes', () => {
  const registers = Array.from({ length: 31 }, (_, i) => i + 1);
  /** Every distance that has one bit set, and its negative: 4, 8 ... */
  const distances = (bits: number) =>
    Array.from({ length: bits - 3 }, (_, i) => 2 ** (i + 2)).flatMap((distance) => [distance, -distance]);

  it('every register, as source and as destination', () => {
    for (const r of registers) {
      assert.equal(result(`addi x3, x${r}, 1`, { [`x${r}`]: 100 + r }), 101 + r);
      assert.equal(result(`add x3, x0, x${r}`, { [`x${r}`]: 100 + r }), 100 + r);
      for (const [source, expected] of [
        ['addi x$, x0, 7', 7],
        ['lui x$, 0x12345', 0x1234_5000],
        ['auipc x$, 0x12345', 0x1234_6000],
      ] as const)
        assert.equal(one(source.replace('$', String(r))).hart.x[r], expected, `${source} ${r}`);
      const { memory } = one(`sw x${r}, 4(x0)`, { [`x${r}`]: 100 + r });
      assert.equal(memory.readU32(4), 100 + r);
    }
  });

  it('every bit of a distance, at the top of the address space too', () => {
    for (const pc of [CODE, 0xffff_f000]) {
      for (const distance of distances(12)) {
        const target = (pc + distance) >>> 0;
        assert.equal(one(`beq x0, x0, ${pc + distance}`, { pc }).hart.pc, target, `beq ${distance}`);
        assert.equal(one(`bne x0, x0, ${pc + distance}`, { pc }).hart.pc, (pc + 4) >>> 0);
      }
      for (const distance of distances(20)) {
        const target = (pc + distance) >>> 0;
        assert.equal(one(`jal x0, ${pc + distance}`, { pc }).hart.pc, target, `jal ${distance}`);
      }
    }
  });

  it('every bit of an offset', () => {
    const x1 = 0x2000;
    for (const bit of Array.from({ length: 11 }, (_, i) => 2 ** i).flatMap((offset) => [offset, -offset])) {
      assert.equal(one(`sb x2, ${bit}(x1)`, { x1, x2: 0x5a }).memory.readU8(x1 + bit), 0x5a, `sb ${bit}`);
      const there = (memory: GuestMemory) => memory.writeU8(x1 + bit, 0x5a);
      assert.equal(result(`lbu x3, ${bit}(x1)`, { x1 }, there), 0x5a, `lbu ${bit}`);
    }
  });
});

describe('the RV32I example reads and writes', () => {
  const fill = (memory: GuestMemory) => memory.writeAt(0x100, Uint8Array.of(0x80, 0xff, 0x7f, 0x80, 0x01));

  it('every width, sign-extended or not', () => {
    const x1 = 0x100;
    assert.equal(result('lb x3, 0(x1)', { x1 }, fill), 0xffff_ff80);
    assert.equal(result('lbu x3, 0(x1)', { x1 }, fill), 0x80);
    assert.equal(result('lb x3, 2(x1)', { x1 }, fill), 0x7f);
    assert.equal(result('lh x3, 0(x1)', { x1 }, fill), 0xffff_ff80);
    assert.equal(result('lhu x3, 0(x1)', { x1 }, fill), 0xff80);
    assert.equal(result('lh x3, 2(x1)', { x1 }, fill), 0xffff_807f);
    assert.equal(result('lw x3, 0(x1)', { x1 }, fill), 0x807f_ff80);
  });

  it('misaligned', () => {
    const x1 = 0x101;
    assert.equal(result('lh x3, 0(x1)', { x1 }, fill), 0x7fff);
    assert.equal(result('lhu x3, 1(x1)', { x1 }, fill), 0x807f);
    assert.equal(result('lw x3, 0(x1)', { x1 }, fill), 0x0180_7fff);
    const { memory } = one('sw x2, 1(x1)', { x1: 0x100, x2: 0x1122_3344 });
    assert.deepEqual([...memory.readBytes(0x100, 6)], [0, 0x44, 0x33, 0x22, 0x11, 0]);
  });

  it('the low bits of a register, and no byte beside', () => {
    const x2 = 0xaabb_ccdd;
    const stored = (source: string) => [...one(source, { x1: 0x200, x2 }).memory.readBytes(0x1fe, 8)];
    assert.deepEqual(stored('sb x2, 0(x1)'), [0, 0, 0xdd, 0, 0, 0, 0, 0]);
    assert.deepEqual(stored('sh x2, 0(x1)'), [0, 0, 0xdd, 0xcc, 0, 0, 0, 0]);
    assert.deepEqual(stored('sw x2, -2(x1)'), [0xdd, 0xcc, 0xbb, 0xaa, 0, 0, 0, 0]);
    assert.deepEqual(stored('sh x2, 2(x1)'), [0, 0, 0, 0, 0xdd, 0xcc, 0, 0]);
  });

  it('at addresses modulo 2^32, with offsets of either sign', () => {
    assert.equal(result('lb x3, -1(x1)', { x1: 0x101 }, fill), 0xffff_ff80);
    assert.equal(result('lbu x3, 2047(x1)', { x1: (0x100 - 2047) >>> 0 }, fill), 0x80);
    assert.equal(one('sw x2, -4(x0)', { x2: 9 }).memory.readU32(0xffff_fffc), 9);
  });
});

describe('the RV32I example jumps', () => {
  const to = (source: string, before: State = {}) => {
    const { hart, trap } = one(source, before);
    assert.equal(trap, undefined, source);
    return { pc: hart.pc, link: hart.x[3] };
  };

  it('where a branch holds, and goes on where it does not', () => {
    const TAKEN: readonly (readonly [name: string, a: number, b: number, taken: boolean])[] = [
      ['beq', 5, 5, true],
      ['beq', 5, 6, false],
      ['bne', 5, 6, true],
      ['bne', ALL, ALL, false],
      ['blt', ALL, 0, true],
      ['blt', 0, ALL, false],
      ['blt', 4, 4, false],
      ['bge', 0, ALL, true],
      ['bge', 4, 4, true],
      ['bge', MIN, MAX, false],
      ['bltu', ALL, 0, false],
      ['bltu', 0, ALL, true],
      ['bltu', 4, 4, false],
      ['bgeu', ALL, 0, true],
      ['bgeu', 4, 4, true],
      ['bgeu', MAX, MIN, false],
    ];
    for (const [name, x1, x2, taken] of TAKEN) {
      const forth = to(`${name} x1, x2, 0x1f00`, { x1, x2 });
      assert.equal(forth.pc, taken ? 0x1f00 : CODE + 4, `${name} ${x1}, ${x2}`);
      assert.equal(to(`${name} x1, x2, 0x800`, { x1, x2 }).pc, taken ? 0x800 : CODE + 4);
    }
  });

  it('and leaves the address of the next instruction behind', () => {
    assert.deepEqual(to('jal x3, 0x1800'), { pc: 0x1800, link: CODE + 4 });
    assert.deepEqual(to('jal x3, 0x10', { pc: 0x2f00 }), { pc: 0x10, link: 0x2f04 });
    assert.deepEqual(to('jalr x3, x1, -4', { x1: 0x2004 }), { pc: 0x2000, link: CODE + 4 });
  });

  it('with JALR to an address whose lowest bit is cleared, read before the link is written', () => {
    assert.equal(to('jalr x3, x1, 0', { x1: 0x2001 }).pc, 0x2000);
    assert.equal(to('jalr x3, x1, 1', { x1: 0x2000 }).pc, 0x2000);
    assert.deepEqual(to('jalr x3, x3, 8', { x3: 0x2000 }), { pc: 0x2008, link: CODE + 4 });
  });

  it('around the end of the address space', () => {
    assert.equal(to('jalr x3, x1, 8', { x1: 0xffff_fffc }).pc, 4);
    assert.equal(to('nop', { pc: 0xffff_fffc }).pc, 0);
    assert.deepEqual(to('jal x3, 0xfffffffc', { pc: 0xffff_fff0 }), { pc: 0xffff_fffc, link: -12 });
  });

  it('nowhere that is not a multiple of four: the jump traps and leaves no link', () => {
    assertTrap('jal x3, 0x1802', {}, CAUSE.misalignedFetch, 0x1802);
    assertTrap('jalr x3, x1, 0', { x1: 0x2002 }, CAUSE.misalignedFetch, 0x2002);
    assertTrap('jalr x3, x1, 0', { x1: 0x2003 }, CAUSE.misalignedFetch, 0x2002);
    assertTrap('beq x1, x1, 0x1802', {}, CAUSE.misalignedFetch, 0x1802);
    assert.equal(to('bne x1, x1, 0x1802').pc, CODE + 4); // "not generated for a conditional branch that is not taken"
  });
});

describe('the RV32I example traps', () => {
  it('where nothing is, with the first byte that is missing', () => {
    assertTrap('lw x3, 0(x1)', { x1: RAM_END }, CAUSE.loadFault, RAM_END);
    assertTrap('lw x3, -2(x1)', { x1: RAM_END }, CAUSE.loadFault, RAM_END);
    assertTrap('lbu x0, 0(x1)', { x1: 0x9000_0000 }, CAUSE.loadFault, 0x9000_0000);
    assertTrap('sh x2, -1(x1)', { x1: RAM_END, x2: ALL }, CAUSE.storeFault, RAM_END);
  });

  it('before the first byte of a store that reaches too far', () => {
    const { memory } = one('sw x2, -2(x1)', { x1: RAM_END, x2: ALL });
    assert.equal(memory.readU32(RAM_END - 4), 0);
  });

  it('on read-only memory and where a device refuses', () => {
    assertTrap('sb x2, 4(x1)', { x1: ROM }, CAUSE.storeFault, ROM + 4);
    assert.equal(result('lw x3, 0(x1)', { x1: ROM }), 0x8080_8080);
    assertTrap('lb x3, 0(x1)', { x1: DEVICE }, CAUSE.loadFault, DEVICE);
    assertTrap('sw x2, 0(x1)', { x1: DEVICE }, CAUSE.storeFault, DEVICE);
    assert.equal(result('lw x3, 4(x1)', { x1: DEVICE }), 0xaaaa_aaaa);
  });

  it('on a fetch from nowhere, after the jump that led there', () => {
    const { hart } = one('jalr x3, x1, 0', { x1: 0x8000_0000 });
    assert.equal(hart.pc, 0x8000_0000);
    assert.deepEqual(hart.run(1), { cause: CAUSE.fetchFault, value: 0x8000_0000 });
    assert.equal(hart.retired, 1);
  });

  it('on ECALL and EBREAK, and goes on when told to; FENCE is nothing to wait for', () => {
    assertTrap('ecall', {}, CAUSE.environmentCall, 0);
    assertTrap('ebreak', {}, CAUSE.breakpoint, 0);
    const { hart } = one('ecall\naddi x3, x0, 9');
    hart.pc += 4;
    assert.equal(hart.run(1), undefined);
    assert.equal(hart.x[3], 9);
    assert.equal(one('fence').trap, undefined);
    assert.equal(one(0x8330_000f).trap, undefined); // FENCE.TSO
    assert.equal(one(0x0100_000f).trap, undefined); // PAUSE
  });

  it('on words that are no instruction of RV32I', () => {
    for (const word of [
      0x0000_0000, // "defined to be illegal"
      0xffff_ffff,
      0x0000_4501, // a compressed instruction
      0x0000_3003, // LD
      0x0000_6003, // LWU
      0x0000_7003,
      0x0000_3023, // SD
      0x0000_4023,
      0x0000_2063,
      0x0000_3063,
      0x0000_1067,
      0x0000_100f, // FENCE.I is another extension
      0x0200_0033, // MUL is another extension
      0x4000_1033,
      0x4000_4033,
      0x4000_7033,
      0x0200_1013, // SLLI by 32
      0x4000_1013,
      0x0200_5013,
      0x4200_5013, // SRAI by 32
      0x0000_2073, // a CSR instruction
      0x3020_0073, // MRET
      0x0000_00f3, // ECALL with a destination
      0x0000_001b, // ADDIW
      0x0000_002f, // atomics
    ])
      assertTrap(word, {}, CAUSE.illegal, word);
  });

  it('and never breaks: any word either retires or traps, and x0 stays 0', () => {
    const registers = fc.array(fc.integer(), { minLength: 32, maxLength: 32 });
    const opcode = fc.constantFrom(0x03, 0x13, 0x17, 0x23, 0x33, 0x37, 0x63, 0x67, 0x6f, 0x0f, 0x73);
    const word = fc
      .tuple(fc.integer(), fc.option(opcode))
      .map(([any, low]) => (low === null ? any : (any & ~0x7f) | low) >>> 0);
    fc.assert(
      fc.property(word, registers, (instruction, x) => {
        const before: Record<string, number> = {};
        for (const [index, value] of x.entries()) if (index > 0) before[`x${index}`] = value;
        const { hart, trap } = one(instruction, before);
        assert.equal(hart.x[0], 0);
        assert.equal(hart.retired, trap === undefined ? 1 : 0);
        assert.equal(trap === undefined || hart.pc === CODE, true);
        assert.equal(hart.pc % 4, 0);
      }),
      { numRuns: 1000 },
    );
  });

  it('for the guest only: what the host did wrong is an error of the host', () => {
    const memory = GuestMemory.fromRegions([{ start: 0, backing: goneBacking() }]);
    assert.throws(() => createHart(memory, 0).run(1), { code: 'closed' });
  });
});

/** Memory whose mapping has gone. */
function goneBacking(): ReturnType<typeof heap> {
  return { ...heap(0x1000), onClose: (listener) => listener() };
}
