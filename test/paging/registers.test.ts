import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  describeTranslation,
  EPT_4LEVEL,
  EPT_5LEVEL,
  eptModeFromPointer,
  NPT_4LEVEL,
  NPT_5LEVEL,
  nptModeFromRegisters,
  type PagingRegisters,
  pagingModeFromRegisters,
  Translator,
  X86_4LEVEL,
  X86_5LEVEL,
  X86_32,
  X86_FORMATS,
  X86_PAE,
  type X86Controls,
} from '../../src/paging/index.ts';

const PG = 1n << 31n;
const PAE = 1n << 5n;
const LA57 = 1n << 12n;
const LMA = 1n << 10n;

describe('pagingModeFromRegisters', () => {
  it('T1: decides between the modes as the processor does, and says why', () => {
    const cases: readonly (readonly [Partial<PagingRegisters>, string, string])[] = [
      [{ cr0: 0x11n }, 'off', 'CR0.PG clear'],
      [{ cr0: PG }, 'x86-32', 'CR0.PG set, CR4.PAE clear'],
      [{ cr0: PG, cr4: PAE, efer: 0n }, 'x86-pae', 'CR0.PG and CR4.PAE set, EFER.LMA clear'],
      [{ cr0: PG, cr4: PAE | LA57, efer: 0n }, 'x86-pae', 'CR0.PG and CR4.PAE set, EFER.LMA clear'],
      [{ cr0: PG, cr4: PAE, efer: LMA }, 'x86-4level', 'CR0.PG, CR4.PAE and EFER.LMA set, CR4.LA57 clear'],
      [{ cr0: PG, cr4: PAE | LA57, efer: LMA }, 'x86-5level', 'CR0.PG, CR4.PAE, CR4.LA57 and EFER.LMA set'],
      [
        { cr0: PG, cr4: PAE, longMode: true },
        'x86-4level',
        'CR0.PG and CR4.PAE set, CR4.LA57 clear, in long mode, EFER.NXE taken as set',
      ],
      [
        { cr0: PG, cr4: PAE, longMode: false },
        'x86-pae',
        'CR0.PG and CR4.PAE set, not in long mode, EFER.NXE taken as set',
      ],
      [
        { cr0: PG, cr4: PAE | LA57 },
        'x86-5level',
        'CR0.PG and CR4.PAE set, CR4.LA57 set, EFER not known, long mode assumed, EFER.NXE taken as set',
      ],
    ];
    for (const [registers, name, reason] of cases) {
      const mode = pagingModeFromRegisters({ cr0: 0n, cr3: 0x1018n, cr4: 0n, ...registers });
      assert.deepEqual([mode.name, mode.reason, mode.root], [name, reason, 0x1018n]);
      assert.equal(
        mode.format,
        X86_FORMATS.find((format) => format.name === name),
      );
    }
  });

  it('T3: the controls come from their bits, one by one', () => {
    const off: X86Controls = {
      wp: false,
      pse: false,
      pge: false,
      smep: false,
      smap: false,
      pku: false,
      pks: false,
      cet: false,
      nxe: false,
      lamUser: 0,
      lamSupervisor: false,
    };
    const none = { cr0: PG, cr3: 0, cr4: PAE, efer: LMA };
    assert.deepEqual(pagingModeFromRegisters(none).controls, off);
    const bits: readonly (readonly [keyof X86Controls, 'cr0' | 'cr4' | 'efer', bigint])[] = [
      ['wp', 'cr0', 16n],
      ['pse', 'cr4', 4n],
      ['pge', 'cr4', 7n],
      ['smep', 'cr4', 20n],
      ['smap', 'cr4', 21n],
      ['pku', 'cr4', 22n],
      ['pks', 'cr4', 24n],
      ['nxe', 'efer', 11n],
    ];
    for (const [control, register, bit] of bits) {
      const mode = pagingModeFromRegisters({ ...none, [register]: none[register] | (1n << bit) });
      assert.deepEqual(mode.controls, { ...off, [control]: true });
    }
    // CR4.CET cannot be set while CR0.WP is clear.
    const cet = (cr0: bigint) =>
      pagingModeFromRegisters({ ...none, cr0, cr4: PAE | (1n << 23n) }).controls.cet;
    assert.deepEqual([cet(PG), cet(PG | (1n << 16n))], [false, true]);
  });

  it('takes numbers, and any contents at all', () => {
    const mode = pagingModeFromRegisters({ cr0: 0x8000_0001, cr3: 0x5000, cr4: 0x20, efer: 0x500 });
    assert.equal(mode.name, 'x86-4level');
    const wild = 2n ** 64n - 1n;
    assert.equal(pagingModeFromRegisters({ cr0: wild, cr3: wild, cr4: wild, efer: wild }).root, wild);
  });
});

describe('the formats', () => {
  it('T1: indices, entry sizes and page sizes are those of the manual', () => {
    const shape = X86_FORMATS.map(({ name, addressBits, entrySize, levels }) => [
      name,
      addressBits,
      entrySize,
      levels.map(({ entry, indexBit, indexBits }) => `${entry} ${indexBit + indexBits - 1}:${indexBit}`),
    ]);
    assert.deepEqual(shape, [
      ['x86-32', 32, 4, ['PDE 31:22', 'PTE 21:12']],
      ['x86-pae', 32, 8, ['PDPTE 31:30', 'PDE 29:21', 'PTE 20:12']],
      ['x86-4level', 48, 8, ['PML4E 47:39', 'PDPTE 38:30', 'PDE 29:21', 'PTE 20:12']],
      ['x86-5level', 57, 8, ['PML5E 56:48', 'PML4E 47:39', 'PDPTE 38:30', 'PDE 29:21', 'PTE 20:12']],
    ]);
  });

  it('T3: canonical form, at both edges of the hole', () => {
    const memory = GuestMemory.allocate(0x1000);
    const kinds = (format: (typeof X86_FORMATS)[number], ...addresses: bigint[]): string[] =>
      addresses.map((gva) => new Translator({ memory, format, root: 0 }).translate(gva).kind);
    const [ok, bad] = ['page-fault', 'not-canonical'];
    assert.deepEqual(
      kinds(X86_4LEVEL, 0x7fff_ffff_ffffn, 0x8000_0000_0000n, 0xffff_7fff_ffff_ffffn, 0xffff_8000_0000_0000n),
      [ok, bad, bad, ok],
    );
    assert.deepEqual(
      kinds(
        X86_5LEVEL,
        0xff_ffff_ffff_ffffn,
        0x100_0000_0000_0000n,
        0xfeff_ffff_ffff_ffffn,
        0xff00_0000_0000_0000n,
      ),
      [ok, bad, bad, ok],
    );
    for (const format of [X86_32, X86_PAE]) {
      assert.deepEqual(kinds(format, 0xffff_ffffn, 0x1_0000_0000n, 2n ** 64n - 1n), [ok, bad, bad]);
    }
  });

  it('T2: every outcome has its line', () => {
    const memory = GuestMemory.allocate(0x5000);
    memory.writeU64(0x1000, 0x2007n);
    memory.writeU64(0x1008, 0x7000_0000_0003n);
    memory.writeU64(0x1010, 0x2087n);
    memory.writeU64(0x2000, 0x3007n);
    memory.writeU64(0x3000, 0x0800_0000_0000_0087n);
    const controls: X86Controls = { pku: true, pkru: 4 };
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0x1000, controls });
    const lines = [0x123n, 0x80_0000_0000n, 0x100_0000_0000n, 0x8000_0000_0000n, 0x180_0000_0000n].map(
      (gva) => describeTranslation(translator.translate(gva)),
    );
    assert.deepEqual(lines, [
      'Page fault: the protection key of the PDE at 0x3000 forbids the access (error code 0x21)',
      'Table unreadable: the level 3 entry at 0x700000000000 is not in this memory',
      'Page fault: the PML4E at 0x1010 has reserved bits set (error code 0x9)',
      'Not a virtual address of this format: 0x800000000000 is not canonical',
      'Page fault: the PML4E at 0x1018 is not present (error code 0x0)',
    ]);
    const executed = translator.translate(0x123n, { kind: 'execute' });
    assert.equal(describeTranslation(executed), 'Mapped to 0x123, page of 0x200000 bytes, rwxu');
    assert(executed.kind === 'mapped');
    assert.equal(executed.protectionKey, 1);
  });

  it('T3: controls out of range are refused', () => {
    const memory = GuestMemory.allocate(0x1000);
    for (const controls of [
      { maxPhyAddr: 31 },
      { maxPhyAddr: 53 },
      { maxPhyAddr: 40.5 },
      { pkru: -1 },
      { pkrs: 2 ** 32 },
    ]) {
      assert.throws(() => new Translator({ memory, format: X86_4LEVEL, root: 0, controls }), {
        code: 'invalid',
      });
    }
    assert.throws(() => new Translator({ memory, format: X86_4LEVEL, root: -1n }), { code: 'invalid' });
  });
});

describe('registers of second stages', () => {
  it('T1 T4: the EPTP, field by field', () => {
    const mode = eptModeFromPointer(0x000f_ffff_ffff_f01en);
    assert.deepEqual(
      [mode.format, mode.root, mode.memoryType, mode.marking, mode.controls],
      [EPT_4LEVEL, 0x000f_ffff_ffff_f000n, 6, 'off', { supervisorShadowStacks: false }],
    );
    assert.equal(eptModeFromPointer(0x20).format, EPT_5LEVEL);
    assert.equal(eptModeFromPointer(0x18, { modeBasedExecute: true }).name, 'ept-4level-mbec');
    assert.equal(eptModeFromPointer(0x58).marking, 'update');
    assert.equal(eptModeFromPointer(0x98).controls.supervisorShadowStacks, true);
    for (const length of [0n, 1n, 2n, 5n, 6n, 7n]) {
      const { name, format, reason } = eptModeFromPointer(length << 3n);
      assert.deepEqual(
        [name, format, reason],
        ['reserved', undefined, `EPTP bits 5:3 say ${length + 1n} levels`],
      );
    }
    assert.equal(eptModeFromPointer(2n ** 64n - 1n).root, 0x000f_ffff_ffff_f000n);
  });

  it('T1 T3: nCR3, under a host of four or five levels', () => {
    const four = nptModeFromRegisters({ ncr3: 0xfff0_0000_1234_5fffn });
    assert.deepEqual([four.format, four.root, four.controls], [NPT_4LEVEL, 0x1234_5000n, { nxe: true }]);
    const five = nptModeFromRegisters({ ncr3: 0, cr4: 1n << 12n, efer: 0 });
    assert.deepEqual([five.format, five.controls], [NPT_5LEVEL, { nxe: false }]);
  });
});
