import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory } from '../../src/core/index.ts';
import {
  ACCESS,
  accessCode,
  createRoot,
  FrameRange,
  GuestTables,
  map,
  type PageAccess,
  type PageTranslator,
  type PagingFormat,
  Tlb,
  Translator,
  X86_4LEVEL,
  X86_FORMATS,
  type X86Controls,
} from '../../src/paging/index.ts';
import { ALL_ACCESSES } from './support/machine.ts';

function machine(
  format: PagingFormat = X86_4LEVEL,
  controls: X86Controls = {},
): { memory: GuestMemory; translator: Translator } {
  const memory = GuestMemory.allocate(0x10_0000);
  const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
  createRoot(tables, format);
  map(tables, { format, gva: 0x1000n, gpa: 0x5000, length: 0x1000, execute: true });
  map(tables, { format, gva: 0x2000n, gpa: 0x9000, length: 0x1000, write: true, user: true, execute: true });
  map(tables, { format, gva: 0x40_0000n, gpa: 0x80_0000, length: 0x40_0000, write: true, execute: true });
  return { memory, translator: new Translator({ tables, format, controls }) };
}

describe('Tlb', () => {
  it('T8 T3: implicit accesses and those of shadow stacks are answered as the walk does, whatever is cached', () => {
    const { memory, translator: plain } = machine();
    // Page 2 becomes user mode's shadow stack: not writable and dirty (SDM 3A, 5.6), under tables that are writable.
    const leaf = plain.translate(0x2000n).levels.at(-1)?.entryAddress ?? 0;
    memory.writeU64(leaf, (memory.readU64(leaf) & ~2n) | 0x40n);
    for (const controls of [{}, { cet: true }, { cet: true, smap: true }] as X86Controls[]) {
      const format = X86_4LEVEL;
      const translator = new Translator({ memory, format, root: plain.source.reader.root[0] ?? 0, controls });
      const tlb = new Tlb(translator);
      const answers = (): number[] =>
        [0x1008n, 0x2008n].flatMap((gva) =>
          ALL_ACCESSES.map((access) => {
            const code = accessCode(access);
            const expected = translator.resolveGva(gva, code);
            assert.equal(tlb.resolveGva(gva, code), expected, `${gva} ${JSON.stringify(access)}`);
            return expected;
          }),
        );
      assert.deepEqual(answers(), answers());
      assert.equal(
        translator.resolveGva(0x2008n, accessCode({ kind: 'write', user: true, shadowStack: true })),
        'cet' in controls ? 0x9008 : -1,
      );
    }
  });

  it('answers as the walk does, for every access, first and second time, with all controls', () => {
    for (const format of X86_FORMATS) {
      for (const controls of [
        {},
        { wp: false },
        { smep: true, smap: true },
        { pku: true, pkru: 1, pks: true, pkrs: 2 },
      ] as X86Controls[]) {
        const { translator } = machine(format, controls);
        const tlb = new Tlb(translator, { entries: 4 });
        for (const gva of [0x1234n, 0x2345n, 0x40_0000n, 0x7f_ffffn, 0x3000n, 0x80_0000n]) {
          for (const order of [ALL_ACCESSES, [...ALL_ACCESSES].reverse()]) {
            tlb.invalidate();
            for (const access of [...order, ...order]) {
              const code = accessCode(access);
              const expected = translator.resolveGva(gva, code);
              const fault = expected < 0 ? { ...translator.fault } : undefined;
              assert.equal(
                tlb.resolveGva(gva, code),
                expected,
                `${format.name} ${gva.toString(16)} ${JSON.stringify(access)}`,
              );
              if (fault !== undefined) assert.deepEqual({ ...tlb.fault }, fault);
            }
          }
        }
      }
    }
  });

  it('a read that was cached does not let a write pass, nor supervisor a user', () => {
    const { translator } = machine();
    const tlb = new Tlb(translator);
    assert.equal(tlb.resolve(0x1000, 0, ACCESS.read), 0x5000);
    assert.equal(tlb.resolve(0x1000, 0, ACCESS.write), -1);
    assert.equal(tlb.fault.errorCode, 3);
    assert.equal(tlb.resolve(0x1000, 0, ACCESS.userRead), -1);
    assert.equal(tlb.fault.errorCode, 5);
  });

  it('keeps what was there until it is told to forget; a large page goes as a whole', () => {
    const { memory, translator } = machine();
    const tlb = new Tlb(translator);
    const ask = (gva: bigint): number => tlb.resolveGva(gva, ACCESS.read);
    const addresses = [0x1000n, 0x2000n, 0x40_0000n, 0x40_3000n, 0x5f_f000n, 0x60_0000n];
    const before = addresses.map(ask);
    memory.fillAt(0x8_0000, 0, 0x8_0000);
    assert.deepEqual(addresses.map(ask), before);
    tlb.invalidate({ address: 0x1fffn });
    assert.deepEqual(addresses.map(ask), [-1, ...before.slice(1)]);
    tlb.invalidate({ address: 0x41_0000n });
    assert.deepEqual(addresses.map(ask), [-1, before[1], -1, -1, -1, before[5]]);
    tlb.invalidate();
    assert.deepEqual(
      addresses.map(ask),
      addresses.map(() => -1),
    );
  });

  it('does not confuse addresses that share a slot or differ only above 4 GiB', () => {
    const memory = GuestMemory.allocate(0x10_0000);
    const tables = new GuestTables(memory, { frames: new FrameRange(0x4_0000, 0xc_0000) });
    createRoot(tables, X86_4LEVEL);
    const addresses = [0x1000n, 0x5000n, 0x1_0000_1000n, 0x7f00_0000_1000n, 0xffff_8000_0000_1000n];
    for (const [i, gva] of addresses.entries()) {
      map(tables, { format: X86_4LEVEL, gva, gpa: 0x10_0000_0000 * (i + 1), length: 0x1000 });
    }
    const tlb = new Tlb(new Translator({ tables, format: X86_4LEVEL }), { entries: 4 });
    for (let round = 0; round < 3; round++) {
      for (const [i, gva] of addresses.entries()) {
        assert.equal(tlb.resolveGva(gva + 7n, ACCESS.read), 0x10_0000_0000 * (i + 1) + 7);
      }
    }
    assert.equal(tlb.resolveGva(0x0001_0000_0000_1000n, ACCESS.read), -1);
    assert.equal(tlb.fault.kind, 'not-canonical');
  });

  it('any sequence of accesses and invalidations: a walk agrees wherever nothing was changed', () => {
    const { translator } = machine();
    const page = fc.constantFrom(0x1000n, 0x2000n, 0x3000n, 0x40_0000n, 0x41_0000n, 0x60_0000n);
    const access: fc.Arbitrary<PageAccess> = fc.constantFrom(...ALL_ACCESSES);
    const step = fc.record({
      page,
      access,
      offset: fc.bigInt({ min: 0n, max: 0xfffn }),
      forget: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const tlb = new Tlb(translator, { entries: 2 });
        for (const { page: gva, access: kind, offset, forget } of steps) {
          if (forget) tlb.invalidate({ address: gva });
          const code = accessCode(kind);
          assert.equal(tlb.resolveGva(gva + offset, code), translator.resolveGva(gva + offset, code));
        }
      }),
      { numRuns: 100 },
    );
  });

  it('T8: a switch finds what was cached under the same numbers, whichever translator it brings', () => {
    const { translator } = machine();
    const empty = new Translator({ memory: GuestMemory.allocate(0x1000), format: X86_4LEVEL, root: 0 });
    const tlb = new Tlb(translator);
    assert.equal(tlb.resolve(0x1000, 0, ACCESS.read), 0x5000);
    tlb.switchTo({ translator: empty }); // a write to CR3 that keeps the PCID and forgets nothing
    assert.equal(tlb.resolve(0x1000, 0, ACCESS.read), 0x5000);
    assert.equal(tlb.resolve(0x2000, 0, ACCESS.read), -1);
    assert.equal(tlb.fault, empty.fault, 'the fault is that of the translator in use');
    for (const other of [{ asid: 1 }, { vmid: 1 }, { stage: 'second' as const }]) {
      tlb.switchTo({ translator: empty, ...other });
      assert.equal(tlb.resolve(0x1000, 0, ACCESS.read), -1);
    }
    tlb.switchTo({ translator });
    assert.equal(tlb.resolve(0x2000, 0, ACCESS.read), 0x9000);
  });

  it('T8: other control inputs take effect at once, without a fence, and the old entries come back with the old ones', () => {
    const { memory, translator } = machine();
    const wild = new Translator({ memory, format: X86_4LEVEL, root: 0x8_0000, controls: { wp: false } });
    const tlb = new Tlb(wild);
    assert.equal(tlb.resolve(0x1000, 0, ACCESS.write), 0x5000);
    tlb.switchTo({ translator });
    assert.equal(tlb.resolve(0x1000, 0, ACCESS.write), -1, 'CR0.WP is set');
    memory.fillAt(0x8_0000, 0, 0x8_0000);
    tlb.switchTo({ translator: wild });
    assert.equal(tlb.resolve(0x1000, 0, ACCESS.write), 0x5000);
    tlb.invalidate({ asid: 0, address: 0x1000n });
    assert.equal(tlb.resolve(0x1000, 0, ACCESS.write), -1);
  });

  it('T8: is bounded: the address space that was used least recently makes room', () => {
    const { memory, translator } = machine();
    const tlb = new Tlb(translator, { spaces: 3 });
    const use = (asid: number): number => {
      tlb.switchTo({ translator, asid });
      return tlb.resolve(0x1000, 0, ACCESS.read);
    };
    for (const asid of [0, 1, 2, 0, 3]) assert.equal(use(asid), 0x5000);
    memory.fillAt(0x8_0000, 0, 0x8_0000);
    assert.deepEqual([0, 2, 3].map(use), [0x5000, 0x5000, 0x5000], 'ASID 1 went');
    assert.equal(use(1), -1);
  });

  it('T8: a fence does not look at the tag of an Arm pointer', () => {
    const page = { gpa: 0x5000 };
    const fault = new Translator({ memory: GuestMemory.allocate(4096), format: X86_4LEVEL, root: 0 }).fault;
    const tagged: PageTranslator = {
      fault,
      resolve: () => page.gpa,
      resolveGva: () => page.gpa,
      resolvePage(_lo, _hi, _access, walked) {
        Object.assign(walked, { sizeBits: 12, accesses: 1, global: false });
        return page.gpa;
      },
    };
    const tlb = new Tlb(tagged);
    assert.equal(tlb.resolveGva(0xab00_0000_0000_1000n, ACCESS.read), 0x5000);
    page.gpa = 0x6000;
    assert.equal(tlb.resolveGva(0xab00_0000_0000_1000n, ACCESS.read), 0x5000);
    tlb.invalidate({ address: 0x1000n });
    assert.equal(tlb.resolveGva(0xab00_0000_0000_1000n, ACCESS.read), 0x6000);
  });

  it('refuses sizes and addresses that are none', () => {
    const { translator } = machine();
    for (const entries of [0, 3, -4, 1.5, 2 ** 21, Number.NaN]) {
      assert.throws(() => new Tlb(translator, { entries }), { code: 'invalid' });
    }
    for (const spaces of [0, -1, 1.5, 1025, Number.NaN]) {
      assert.throws(() => new Tlb(translator, { spaces }), { code: 'invalid' });
    }
    for (const number of [-1, 0.5, 2 ** 32, Number.NaN]) {
      assert.throws(() => new Tlb(translator).switchTo({ translator, asid: number }), { code: 'invalid' });
      assert.throws(() => new Tlb(translator).switchTo({ translator, vmid: number }), { code: 'invalid' });
      assert.throws(() => new Tlb(translator).invalidate({ asid: number }), { code: 'invalid' });
      assert.throws(() => new Tlb(translator).invalidate({ vmid: number }), { code: 'invalid' });
    }
    assert.throws(() => new Tlb(translator).resolveGva(-1n, ACCESS.read), { code: 'invalid' });
    assert.throws(() => new Tlb(translator).invalidate({ address: 2n ** 64n }), { code: 'invalid' });
    assert.throws(() => translator.resolve(0x1000, 0, 16), { code: 'invalid' });
    assert.throws(() => accessCode({ kind: 'fetch' as 'read' }), { code: 'invalid' });
  });
});
