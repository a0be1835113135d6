import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  aarch64Stage1Format,
  accessCode,
  EPT_4LEVEL,
  NPT_4LEVEL,
  type PageAccess,
  type PagingControls,
  type PagingFormat,
  RISCV_SV39,
  RISCV_SV39X4,
  Tlb,
  Translator,
  TwoStageTranslator,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const READ: PageAccess = { kind: 'read', shadowStack: true };
const WRITE: PageAccess = { kind: 'write', shadowStack: true };
const USER_READ: PageAccess = { ...READ, user: true };
const USER_WRITE: PageAccess = { ...WRITE, user: true };

/** x86: tables from 0x1000 on, and entries for the pages from 0x0 on. */
function x86(entries: readonly bigint[], pde = 0x4027n): GuestMemory {
  const memory = GuestMemory.allocate(0x10_0000);
  memory.writeU64(0x1000, 0x2027n);
  memory.writeU64(0x2000, 0x3027n);
  memory.writeU64(0x3000, pde);
  for (const [i, entry] of entries.entries()) memory.writeU64(0x4000 + 8 * i, entry);
  return memory;
}

/** Sv39 likewise. */
function sv39(entries: readonly bigint[]): GuestMemory {
  const memory = GuestMemory.allocate(0x10_0000);
  memory.writeU64(0x1000, (0x2000n >> 2n) | 1n);
  memory.writeU64(0x2000, (0x3000n >> 2n) | 1n);
  for (const [i, entry] of entries.entries()) memory.writeU64(0x3000 + 8 * i, entry);
  return memory;
}

function answer(translator: Translator | TwoStageTranslator, gva: bigint, access: PageAccess): string {
  const found = translator.translate(gva, access);
  const code = accessCode(access);
  const resolved = translator.resolveGva(gva, code);
  assert.equal(resolved, found.kind === 'mapped' ? found.gpa : -1);
  if (found.kind === 'mapped') return found.shadowStack ? 'shadow stack' : 'page';
  if (found.kind === 'second-stage-fault') {
    const { fault } = found;
    return fault.kind === 'page-fault' ? `second stage: ${fault.reason} ${fault.errorCode}` : fault.kind;
  }
  assert(found.kind === 'page-fault');
  assert.deepEqual([translator.fault.reason, translator.fault.errorCode], [found.reason, found.errorCode]);
  return `${found.reason} ${found.errorCode}`;
}

describe('shadow stacks of x86', () => {
  const controls = { cet: true };
  // Of user mode: a shadow stack, a page that is read-only and clean, one that is writable; then a supervisor's shadow stack.
  const memory = x86([0x8065n, 0x8025n, 0x8067n, 0x8061n]);
  const translator = new Translator({ memory, format: X86_4LEVEL, root: 0x1000, controls });

  it('T3: a page that is read-only and dirty, in the mode that it belongs to', () => {
    assert.equal(answer(translator, 0x0n, USER_READ), 'shadow stack');
    assert.equal(answer(translator, 0x0n, USER_WRITE), 'shadow stack');
    assert.equal(answer(translator, 0x3000n, WRITE), 'shadow stack');
    assert.equal(answer(translator, 0x0n, { kind: 'read', user: true }), 'shadow stack');
    // P 1, W 2, U 4, SS 64.
    assert.equal(answer(translator, 0x0n, READ), 'shadow-stack 65');
    assert.equal(answer(translator, 0x0n, WRITE), 'shadow-stack 67');
    assert.equal(answer(translator, 0x3000n, USER_WRITE), 'shadow-stack 71');
    assert.equal(answer(translator, 0x4000n, USER_WRITE), 'not-present 70');
  });

  it('T3: no other page, and no other write', () => {
    assert.equal(answer(translator, 0x1000n, USER_READ), 'shadow-stack 69');
    assert.equal(answer(translator, 0x2000n, USER_WRITE), 'shadow-stack 71');
    assert.equal(answer(translator, 0x0n, { kind: 'write', user: true }), 'shadow-stack 7');
    assert.equal(answer(translator, 0x3000n, { kind: 'write' }), 'shadow-stack 3');
    assert.equal(answer(translator, 0x1000n, { kind: 'write', user: true }), 'rights 7');
  });

  it('T3: tables above that are read-only make it a page like others', () => {
    const below = new Translator({
      memory: x86([0x8065n], 0x4025n),
      format: X86_4LEVEL,
      root: 0x1000,
      controls,
    });
    assert.equal(answer(below, 0x0n, USER_READ), 'shadow-stack 69');
    assert.equal(answer(below, 0x0n, { kind: 'read', user: true }), 'page');
  });

  it('T3: without CR4.CET there are none', () => {
    const off = new Translator({ memory, format: X86_4LEVEL, root: 0x1000 });
    assert.equal(answer(off, 0x0n, USER_READ), 'rights 69');
    assert.equal(answer(off, 0x0n, { kind: 'read', user: true }), 'page');
  });

  it('T3: protection keys hold for them too', () => {
    const keyed = x86([0x8065n | (1n << 59n)]);
    const forbids = { cet: true, pku: true, pkru: 0b1000 };
    const with1 = new Translator({ memory: keyed, format: X86_4LEVEL, root: 0x1000, controls: forbids });
    assert.equal(answer(with1, 0x0n, USER_READ), 'shadow stack');
    assert.equal(answer(with1, 0x0n, USER_WRITE), 'protection-key 103');
  });

  it('T8: a TLB lets nobody else write what it kept of one', () => {
    const tlb = new Tlb(translator);
    for (let round = 0; round < 2; round++) {
      assert.equal(tlb.resolve(0x8, 0, accessCode(USER_WRITE)), 0x8008);
      assert.equal(tlb.resolve(0x8, 0, accessCode(USER_READ)), 0x8008);
      assert.equal(tlb.resolve(0x8, 0, accessCode(READ)), -1);
      assert.equal(tlb.resolve(0x8, 0, accessCode({ kind: 'write', user: true })), -1);
      assert.equal(tlb.resolve(0x2008, 0, accessCode({ kind: 'write', user: true })), 0x8008);
      assert.equal(tlb.resolve(0x2008, 0, accessCode(USER_WRITE)), -1);
      assert.equal(tlb.resolve(0x2008, 0, accessCode(USER_READ)), -1);
    }
  });

  it('T3: CR4.CET needs CR0.WP, and nested tables have no such control', () => {
    const make = (format: PagingFormat, wrong: object) => () =>
      new Translator({ memory, format, root: 0x1000, controls: wrong as PagingControls });
    assert.throws(make(X86_4LEVEL, { cet: true, wp: false }), { code: 'invalid' });
    assert.throws(make(NPT_4LEVEL, { cet: true }), { code: 'invalid' });
    assert.throws(make(RISCV_SV39X4, { sse: true }), { code: 'invalid' });
  });
});

describe('shadow stacks of RISC-V', () => {
  const page = (flags: bigint): bigint => (0x8000n >> 2n) | flags | 0xc1n;
  const [R, W, X, U] = [2n, 4n, 8n, 16n];
  // Of the supervisor: a shadow stack, a page to read, one to read and write, one to execute; then a user's shadow stack.
  const memory = sv39([page(W), page(R), page(R | W), page(X), page(W | U)]);
  const controls = { sse: true };
  const translator = new Translator({ memory, format: RISCV_SV39, root: 0x1000, controls });

  it('T3: XWR 010, readable by everybody else', () => {
    assert.equal(answer(translator, 0x0n, READ), 'shadow stack');
    assert.equal(answer(translator, 0x0n, WRITE), 'shadow stack');
    assert.equal(answer(translator, 0x4000n, USER_WRITE), 'shadow stack');
    const told = translator.translate(0x0n, { kind: 'read' });
    assert(told.kind === 'mapped' && told.shadowStack);
    assert.deepEqual([told.rights.read, told.rights.write, told.rights.execute], [true, false, false]);
  });

  it('T3: access faults by the rule of its own, page faults by those before it', () => {
    assert.equal(answer(translator, 0x0n, { kind: 'write' }), 'shadow-stack 7');
    assert.equal(answer(translator, 0x0n, { kind: 'execute' }), 'shadow-stack 1');
    assert.equal(answer(translator, 0x2000n, READ), 'shadow-stack 7');
    assert.equal(answer(translator, 0x3000n, WRITE), 'shadow-stack 7');
    // Read-only: for copy-on-write a page fault, of a store whichever it was.
    assert.equal(answer(translator, 0x1000n, READ), 'rights 15');
    assert.equal(answer(translator, 0x0n, USER_READ), 'rights 15');
    assert.equal(answer(translator, 0x4000n, READ), 'rights 15');
    assert.equal(answer(translator, 0x5000n, READ), 'not-present 15');
  });

  it('T3: without SSE the encoding is reserved', () => {
    const off = new Translator({ memory, format: RISCV_SV39, root: 0x1000 });
    assert.equal(answer(off, 0x0n, { kind: 'read' }), 'reserved 13');
  });

  it('T8: a TLB lets nobody else write what it kept of one', () => {
    const tlb = new Tlb(translator);
    assert.equal(tlb.resolve(0x8, 0, accessCode({ kind: 'read' })), 0x8008);
    assert.equal(tlb.resolve(0x8, 0, accessCode({ kind: 'write' })), -1);
    assert.equal(tlb.resolve(0x8, 0, accessCode(WRITE)), 0x8008);
    assert.equal(tlb.resolve(0x2008, 0, accessCode({ kind: 'write' })), 0x8008);
    assert.equal(tlb.resolve(0x2008, 0, accessCode(READ)), -1);
  });
});

describe('shadow stacks through two stages', () => {
  /** EPT over the first 2 MiB in pages of 4 KiB, all allowed, but for the page at 0x8000. */
  function guest(leaf: bigint, guestPage: bigint): GuestMemory {
    const memory = x86([guestPage]);
    memory.writeU64(0x10_000, 0x11_007n);
    memory.writeU64(0x11_000, 0x12_007n);
    memory.writeU64(0x12_000, 0x13_007n);
    for (let page = 0; page < 256; page++) memory.writeU64(0x13_000 + 8 * page, BigInt(page * 4096) | 0x37n);
    memory.writeU64(0x13_000 + 8 * 8, 0x8000n | leaf);
    return memory;
  }
  const both = (memory: GuestMemory, supervisorShadowStacks: boolean): TwoStageTranslator =>
    new TwoStageTranslator({
      memory,
      format: X86_4LEVEL,
      root: 0x1000,
      controls: { cet: true },
      second: new Translator({
        memory,
        format: EPT_4LEVEL,
        root: 0x10_000,
        controls: { supervisorShadowStacks },
      }),
    });

  it('T5: EPT’s bit 60 says which pages a supervisor may use, writable or not', () => {
    const marked = (1n << 60n) | 0x31n;
    assert.equal(answer(both(guest(marked, 0x8061n), true), 0x0n, WRITE), 'shadow stack');
    // W 2, readable 8, linear address 0x80, final 0x100, shadow stack 0x2000, bit 60 0x4000.
    assert.equal(answer(both(guest(marked, 0x8061n), false), 0x0n, WRITE), `second stage: rights ${0x218a}`);
    assert.equal(
      answer(both(guest(0x33n, 0x8061n), true), 0x0n, WRITE),
      `second stage: shadow-stack ${0x219a}`,
    );
    assert.equal(answer(both(guest(0x33n, 0x8061n), false), 0x0n, WRITE), 'shadow stack');
  });

  it('T5: a user’s shadow stack is data like any other', () => {
    assert.equal(answer(both(guest(0x33n, 0x8065n), true), 0x0n, USER_WRITE), 'shadow stack');
    const marked = (1n << 60n) | 0x31n;
    assert.equal(
      answer(both(guest(marked, 0x8065n), true), 0x0n, USER_WRITE),
      `second stage: rights ${0x618a}`,
    );
  });

  it('T5: RISC-V’s guest page fault is that of a store', () => {
    const memory = sv39([(0x8000n >> 2n) | 0xc5n]);
    // G-stage: a root of 16 KiB, and the first GiB as it is, to be read only.
    memory.writeU64(0x2_0000, 0xd3n);
    const second = new Translator({ memory, format: RISCV_SV39X4, root: 0x2_0000 });
    const two = new TwoStageTranslator({
      memory,
      format: RISCV_SV39,
      root: 0x1000,
      controls: { sse: true },
      second,
    });
    assert.equal(answer(two, 0x0n, READ), 'shadow stack');
    assert.equal(answer(two, 0x0n, WRITE), 'second stage: rights 23');
    const absent = sv39([(0x4000_0000n >> 2n) | 0xc5n]);
    absent.writeU64(0x2_0000, 0xd3n);
    const none = new Translator({ memory: absent, format: RISCV_SV39X4, root: 0x2_0000 });
    const gone = new TwoStageTranslator({
      memory: absent,
      format: RISCV_SV39,
      root: 0x1000,
      controls: { sse: true },
      second: none,
    });
    assert.equal(answer(gone, 0x0n, READ), 'second stage: not-present 23');
  });
});

describe('accesses', () => {
  it('T2: refuses what contradicts itself', () => {
    for (const access of [
      { kind: 'execute', shadowStack: true },
      { kind: 'read', user: true, implicit: true },
    ] as const)
      assert.throws(() => accessCode(access), { code: 'invalid' });
  });

  it('T3: SMAP holds for implicit accesses whatever EFLAGS.AC says, MXR is for explicit ones', () => {
    const memory = x86([0x8067n]);
    const smap = new Translator({ memory, format: X86_4LEVEL, root: 0x1000, controls: { smap: true } });
    assert.equal(answer(smap, 0x0n, { kind: 'read', ac: true }), 'page');
    assert.equal(answer(smap, 0x0n, { kind: 'read', ac: true, implicit: true }), 'rights 1');
    // R 0, W 0, X and U: the G-stage reads it by MXR, but not for a table; AC means nothing there.
    memory.writeU64(0x2_0000, 0xd9n);
    const controls = { mxr: true };
    const gstage = new Translator({ memory, format: RISCV_SV39X4, root: 0x2_0000, controls });
    assert.equal(answer(gstage, 0x0n, { kind: 'read', ac: true }), 'page');
    assert.equal(answer(gstage, 0x0n, { kind: 'read', implicit: true }), 'rights 21');
  });

  it('T3: AArch64 has no shadow stacks here', () => {
    const memory = GuestMemory.allocate(0x3_0000);
    memory.writeU64(0x1_0000, 0x2000_0401n);
    const format = aarch64Stage1Format({ granule: 65536, inputBits: 42 });
    const translator = new Translator({ memory, format, root: 0x1_0000 });
    assert.equal(answer(translator, 0x0n, { kind: 'read' }), 'page');
    assert.equal(answer(translator, 0x0n, READ), 'rights 14');
  });
});
