import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory } from '../../src/core/index.ts';
import {
  ACCESS,
  accessCode,
  type PageAccess,
  pagingModeFromRegisters,
  RISCV_SV39,
  type RiscvControls,
  riscvModeFromRegisters,
  Tlb,
  Translator,
  X86_4LEVEL,
  X86_5LEVEL,
  X86_PAE,
} from '../../src/paging/index.ts';
import { ALL_ACCESSES, assertSame, buildChain, machinePair, TABLES } from './support/machine.ts';

const GVA = 0x7654_3210_abc8n;
const LEAF = 0x8067n;

function chain(format: typeof X86_4LEVEL, gva = GVA): GuestMemory {
  const memory = GuestMemory.allocate(0x10_0000);
  buildChain(memory, format, gva, 1, LEAF);
  return memory;
}

describe('linear-address masking', () => {
  it('T1 T3: any pointer, in both modes and with every control: the naive walker’s outcome, exactly', () => {
    const kinds = new Set<string>();
    const memories = new Map([X86_4LEVEL, X86_5LEVEL].map((format) => [format, chain(format)]));
    fc.assert(
      fc.property(
        fc.constantFrom(X86_4LEVEL, X86_5LEVEL),
        fc.record({
          lamUser: fc.constantFrom(0, 48, 57),
          lamSupervisor: fc.boolean(),
          smap: fc.boolean(),
        }),
        fc.constantFrom(0n, 0n, 1n << 47n, 1n << 48n, 1n << 56n),
        fc.bigInt(0n, 0xffffn),
        fc.constantFrom(...ALL_ACCESSES),
        (format, controls, flip, tag, access) => {
          const memory = memories.get(format);
          assert(memory !== undefined);
          const pair = machinePair(memory, format, BigInt(TABLES), controls as { lamUser: 0 | 48 | 57 });
          kinds.add(assertSame(pair, (GVA ^ flip) | (tag << 48n), access, `tag ${tag}`).kind);
        },
      ),
      { numRuns: 2000 },
    );
    assert(kinds.has('mapped') && kinds.has('not-canonical') && kinds.has('page-fault'));
  });

  it('T3: of data only, and a fetch is made to the whole address', () => {
    const translator = new Translator({
      memory: chain(X86_4LEVEL),
      format: X86_4LEVEL,
      root: TABLES,
      controls: { lamUser: 57 },
    });
    const tagged = GVA | (0x2an << 57n);
    assert.equal(translator.resolveGva(tagged, ACCESS.userWrite), 0x8bc8);
    assert.equal(translator.resolveGva(tagged, ACCESS.userExecute), -1);
    assert.equal(translator.fault.kind, 'not-canonical');
    assert.equal(translator.resolveGva(tagged | (1n << 56n), ACCESS.userRead), -1);
    const told = translator.translate(tagged, { kind: 'read', user: true });
    assert(told.kind === 'mapped' && told.gva === GVA);
    assert.equal(translator.translate(tagged | (1n << 52n)).kind, 'not-canonical');
  });

  it('T8: a TLB knows the address without its tag, and so does a fence', () => {
    // With five levels and LAM_U48 even a canonical address can have a tag.
    for (const format of [X86_4LEVEL, X86_5LEVEL]) {
      const memory = chain(format);
      const controls = { lamUser: 48 } as const;
      const translator = new Translator({ memory, format, root: TABLES, controls });
      const tlb = new Tlb(translator);
      const tagged = [0n, 1n, 0x5an, 0x7fffn].map((tag) => GVA | (tag << 48n));
      for (const gva of tagged) assert.equal(tlb.resolveGva(gva, ACCESS.userRead), 0x8bc8);
      const leaf = TABLES + 0x1000 * (format.levels.length - 1) + Number((GVA >> 12n) & 511n) * 8;
      memory.writeU64(leaf, 0n);
      for (const gva of tagged) assert.equal(tlb.resolveGva(gva, ACCESS.userRead), 0x8bc8);
      for (const gva of tagged.slice(1)) assert.equal(tlb.resolveGva(gva, ACCESS.userExecute), -1);
      tlb.invalidate({ address: GVA });
      for (const gva of tagged) assert.equal(tlb.resolveGva(gva, ACCESS.userRead), -1);
    }
  });

  it('T3: from CR3 and CR4, in long mode', () => {
    const registers = { cr0: 1n << 31n, cr3: 0n, cr4: 1n << 5n, efer: 1n << 10n };
    const lam = (cr3: bigint, cr4 = 0n) => {
      const { controls } = pagingModeFromRegisters({ ...registers, cr3, cr4: registers.cr4 | cr4 });
      return [controls.lamUser, controls.lamSupervisor];
    };
    assert.deepEqual(lam(0n), [0, false]);
    assert.deepEqual(lam(1n << 62n), [48, false]);
    assert.deepEqual(lam(1n << 61n), [57, false]);
    assert.deepEqual(lam(3n << 61n), [57, false]);
    assert.deepEqual(lam(0n, 1n << 28n), [0, true]);
    const pae = pagingModeFromRegisters({ ...registers, cr3: 3n << 61n, efer: 0n });
    assert.deepEqual([pae.format, pae.controls.lamUser], [X86_PAE, undefined]);
    for (const wrong of [1, 47, -48]) {
      const lamUser = wrong as 48;
      const make = (): unknown =>
        new Translator({ memory: chain(X86_4LEVEL), format: X86_4LEVEL, root: 0, controls: { lamUser } });
      assert.throws(make, { code: 'invalid' });
    }
  });
});

describe('pointer masking of RISC-V', () => {
  const memory = GuestMemory.allocate(0x1_0000);
  memory.writeU64(0x1000 + 8, (0x2000n >> 2n) | 1n);
  memory.writeU64(0x2000, (0x3000n >> 2n) | 1n);
  memory.writeU64(0x3000, (0x8000n >> 2n) | 0xdfn); // for user mode
  memory.writeU64(0x1000 + 511 * 8, (0x4000n >> 2n) | 1n);
  memory.writeU64(0x4000, (0x5000n >> 2n) | 1n);
  memory.writeU64(0x5000, (0x9000n >> 2n) | 0xcfn); // for the supervisor
  const LOW = 0x4000_0123n;
  const HIGH = 0xffff_ffff_c000_0123n;
  const at = (controls: RiscvControls, gva: bigint, access: PageAccess): number =>
    new Translator({ memory, format: RISCV_SV39, root: 0x1000, controls }).resolveGva(
      gva,
      accessCode(access),
    );

  it('T1 T3: the upper bits of data pointers repeat the one below, mode by mode, but with MXR', () => {
    const user = { kind: 'read', user: true } as const;
    assert.equal(at({ userPmlen: 7 }, LOW | (0x55n << 57n), user), 0x8123);
    assert.equal(at({ userPmlen: 7 }, LOW | (1n << 56n), user), -1);
    assert.equal(at({ userPmlen: 16 }, LOW | (0xabcdn << 48n), user), 0x8123);
    assert.equal(at({ userPmlen: 16 }, LOW | (0xabcdn << 48n), { ...user, kind: 'execute' }), -1);
    assert.equal(at({ userPmlen: 16, mxr: true }, LOW | (0xabcdn << 48n), user), -1);
    assert.equal(at({ supervisorPmlen: 16 }, LOW | (0xabcdn << 48n), user), -1);
    assert.equal(at({ supervisorPmlen: 16 }, HIGH & (2n ** 50n - 1n), { kind: 'write' }), 0x9123);
    assert.equal(at({ supervisorPmlen: 16 }, HIGH & (2n ** 50n - 1n), { kind: 'read', implicit: true }), -1);
    assert.equal(at({}, HIGH & (2n ** 50n - 1n), { kind: 'write' }), -1);
    assert.throws(() => at({ userPmlen: 8 as 7 }, LOW, user), { code: 'invalid' });
  });

  it('T3: from menvcfg and senvcfg', () => {
    const pmlens = (envcfg: bigint, senvcfg: bigint, xlen: 32 | 64 = 64) => {
      const { controls } = riscvModeFromRegisters({ satp: 0, envcfg, senvcfg, xlen });
      return [controls.supervisorPmlen, controls.userPmlen];
    };
    assert.deepEqual(pmlens(2n << 32n, 3n << 32n), [7, 16]);
    assert.deepEqual(pmlens(1n << 32n, 0n), [0, 0]);
    assert.deepEqual(pmlens(2n << 32n, 3n << 32n, 32), [0, 0]);
  });
});
