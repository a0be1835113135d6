import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CompiledFormat } from '../../src/paging/compiled-format.ts';
import {
  aarch64Stage1Format,
  aarch64Stage2Format,
  EPT_4LEVEL,
  FORMATS,
  NPT_4LEVEL,
  type PagingFormat,
  RISCV_SV32,
  RISCV_SV39,
  Translator,
  X86_4LEVEL,
  X86_5LEVEL,
  X86_32,
  X86_FORMATS,
  X86_PAE,
} from '../../src/paging/index.ts';
import { SparseTables } from './support/aarch64.ts';

const STAGE1 = aarch64Stage1Format({ granule: 4096, inputBits: 48 });
const STAGE2 = aarch64Stage2Format({ granule: 4096, inputBits: 40 });

describe('addresses of a format', () => {
  /** Whether each of them is one, by an empty root. */
  function canonical(format: PagingFormat, ...addresses: readonly bigint[]): boolean[] {
    const translator = new Translator({ tables: new SparseTables(0x1_0000), format });
    return addresses.map((gva) => {
      const found = translator.translate(gva).kind;
      assert(found === 'not-canonical' || found === 'page-fault');
      return found === 'page-fault';
    });
  }

  it('T3: the upper half of AArch64 begins with ones, the lower one with zeros', () => {
    const half = (half: 'lower' | 'upper', inputBits: number) =>
      aarch64Stage1Format({ granule: 4096, inputBits, half });
    const edges = [0n, 0x7f_ffff_ffffn, 0x80_0000_0000n, 0xffff_ff7f_ffff_ffffn, 0xffff_ff80_0000_0000n];
    assert.deepEqual(canonical(half('lower', 39), ...edges), [true, true, false, false, false]);
    assert.deepEqual(canonical(half('upper', 39), ...edges), [false, false, false, false, true]);
    // Fewer than 32 bits: the lower half of an address has to say so too.
    const small = [0n, 0x1ff_ffffn, 0x200_0000n, 0x400_0000n, 0xfe00_0000n, 0x1_0000_0000n];
    assert.deepEqual(canonical(half('lower', 25), ...small), [true, true, false, false, false, false]);
    const high = [0xffff_ffff_fe00_0000n, 0xffff_ffff_fdff_ffffn, 0xffff_fffe_fe00_0000n, 0xfe00_0000n, 0n];
    assert.deepEqual(canonical(half('upper', 25), ...high), [true, false, false, false, false]);
    assert.deepEqual(canonical(half('lower', 32), 0xffff_ffffn, 0x1_0000_0000n), [true, false]);
  });

  it('T3: what has to repeat itself in the upper half: from bit 47, 56 and 38 on, or all above the format’s', () => {
    const shift = (format: PagingFormat): number => new CompiledFormat(format, undefined).upperShift;
    assert.equal(shift(X86_4LEVEL), 47 - 32);
    assert.equal(shift(X86_5LEVEL), 56 - 32);
    assert.equal(shift(RISCV_SV39), 38 - 32);
    assert.equal(shift(NPT_4LEVEL), 48 - 32);
    assert.equal(shift(STAGE2), 40 - 32);
    for (const format of [X86_32, X86_PAE, RISCV_SV32]) assert.equal(shift(format), 0);
  });

  it('T1: the smallest page is the granule', () => {
    const granule = (format: PagingFormat): number => new CompiledFormat(format, undefined).granule;
    for (const format of FORMATS) assert.equal(granule(format), 4096);
    for (const size of [4096, 16384, 65536] as const)
      assert.equal(granule(aarch64Stage1Format({ granule: size, inputBits: 42 })), size);
  });

  it('T3: those that are wider than physical memory are found late by RISC-V alone', () => {
    const late = (format: PagingFormat, controls?: object): number =>
      new CompiledFormat(format, controls).lateWidthHi >>> 0;
    assert.equal(late(RISCV_SV39, { physicalBits: 40 }), 0xffff_ff00);
    assert.equal(late(RISCV_SV39, { physicalBits: 32 }), 0xffff_ffff);
    assert.equal(late(RISCV_SV32), 0xffff_fffc);
    for (const format of [X86_4LEVEL, EPT_4LEVEL, STAGE1, STAGE2]) assert.equal(late(format), 0);
  });

  it('T1: a format without levels is a mistake', () => {
    assert.throws(() => new CompiledFormat({ ...X86_4LEVEL, levels: [] }, undefined), {
      name: 'RangeError',
      message: /x86-4level has no levels/,
    });
  });
});

describe('attributes of a format', () => {
  type Wanted = Parameters<CompiledFormat['checkAttributes']>[0];
  const complaint = (format: PagingFormat, wanted: Wanted): string | undefined => {
    try {
      new CompiledFormat(format, undefined).checkAttributes(wanted, (why) => new TypeError(why));
      return undefined;
    } catch (error) {
      assert(error instanceof TypeError);
      return error.message;
    }
  };

  it('T7: numbers up to what the bits of the format hold', () => {
    // The largest memory type, protection key and software value.
    for (const [format, memoryType, protectionKey, software] of [
      [X86_4LEVEL, 7, 15, 7],
      [X86_PAE, 7, 0, 7],
      [NPT_4LEVEL, 7, 15, 7],
      [EPT_4LEVEL, 7, 0, 31],
      [RISCV_SV32, 0, 0, 3],
      [RISCV_SV39, 3, 0, 3],
      [STAGE1, 7, 0, 15],
      [STAGE2, 15, 0, 15],
    ] as const) {
      assert.equal(complaint(format, {}), undefined);
      for (const [name, words, most] of [
        ['memoryType', 'memory type', memoryType],
        ['protectionKey', 'protection key', protectionKey],
        ['software', 'software bits', software],
      ] as const) {
        const range = most === 0 ? '0' : `0 to ${most}`;
        assert.equal(complaint(format, { [name]: 0 }), undefined);
        assert.equal(complaint(format, { [name]: most }), undefined);
        for (const value of [-1, most + 1, 0.5, Number.NaN])
          assert.equal(complaint(format, { [name]: value }), `current ${words} ${value}, wanted ${range}`);
      }
    }
  });

  it('T7: global pages, where there are any', () => {
    for (const format of [X86_4LEVEL, X86_32, RISCV_SV39, STAGE1]) {
      assert.equal(complaint(format, { global: true }), undefined);
    }
    for (const format of [EPT_4LEVEL, STAGE2]) {
      assert.equal(complaint(format, { global: false }), undefined);
      assert.equal(complaint(format, { global: true }), 'this format has no global pages');
    }
  });

  it('T1: keys stand in bits 62:59 of long-mode leaves', () => {
    const keys = (format: PagingFormat, controls: object): unknown[] => {
      const compiled = new CompiledFormat(format, controls);
      return [compiled.keys === undefined, compiled.keyOf(0x7800_0000), compiled.keyOf(0x8800_0000)];
    };
    assert.deepEqual(keys(X86_4LEVEL, { pku: true }), [false, 15, 1]);
    assert.deepEqual(keys(X86_4LEVEL, {})[0], true);
    for (const format of X86_FORMATS.slice(0, 2)) assert.equal(keys(format, { pku: true })[0], true);
  });

  it('T1: RISC-V’s tables hand down G, and nothing else', () => {
    const handedDown = FORMATS.map((format) => [
      format.name,
      new CompiledFormat(format, undefined).inheritedLo,
    ]);
    for (const [name, mask] of handedDown)
      assert.equal(mask, String(name).startsWith('riscv') ? 0x20 : 0, String(name));
  });
});
