import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bits } from '../../src/paging/bits.ts';
import { CompiledFormat } from '../../src/paging/compiled-format.ts';
import {
  aarch64Stage1Format,
  aarch64Stage2Format,
  EPT_4LEVEL,
  eptFormat,
  NPT_4LEVEL,
  type PagingFormat,
  RISCV_FORMATS,
  RISCV_SV32,
  RISCV_SV32X4,
  RISCV_SV39,
  RISCV_SV48,
  X86_4LEVEL,
  X86_5LEVEL,
  X86_32,
  X86_FORMATS,
  X86_PAE,
} from '../../src/paging/index.ts';
import { type Level, LOWER, MIDDLE, UPPER } from '../../src/paging/level.ts';
import { ACCESS_FLAG, ADDRESS_SIZE, LEAF, SPECIAL_LEAF, TABLE } from '../../src/paging/verdict.ts';

const GRANULES = [4096, 16384, 65536] as const;
const ALL: readonly PagingFormat[] = [
  ...X86_FORMATS,
  EPT_4LEVEL,
  eptFormat({ levels: 5, modeBasedExecute: true }),
  NPT_4LEVEL,
  ...RISCV_FORMATS,
  ...GRANULES.flatMap((granule) => [
    aarch64Stage1Format({ granule, inputBits: 48 }),
    aarch64Stage1Format({ granule, inputBits: 52, wide: true }),
    aarch64Stage1Format({ granule, inputBits: 39, half: 'upper' }),
    aarch64Stage2Format({ granule, inputBits: 40 }),
  ]),
];

const levelsOf = (format: PagingFormat, controls?: object): readonly Level[] =>
  new CompiledFormat(format, controls).levels;

/** The level of a number, as the architecture counts. */
function levelOf(format: PagingFormat, number: number, controls?: object): Level {
  const found = levelsOf(format, controls).find((level) => level.format.level === number);
  assert(found !== undefined);
  return found;
}

const lower = (value: bigint): number => Number(BigInt.asIntN(32, value));
const upper = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));

/** What the two quick looks say. */
function quickly(level: Level, entry: bigint): number | undefined {
  const [lo, hi] = [lower(entry), upper(entry)];
  if ((((lo & level.tableTestLo) ^ level.tableTestValue) | (hi & level.tableTestHi)) === 0) return TABLE;
  return (((lo & level.leafTestLo) ^ level.leafTestValue) | (hi & level.leafTestHi)) === 0 ? LEAF : undefined;
}

describe('where an index is in an address', () => {
  it('T1: of every level of every format', () => {
    const ADDRESSES = [
      0xa5a5_5a5a_1234_5678n,
      0x5a5a_a5a5_fedc_ba98n,
      2n ** 64n - 1n,
      0x0f0f_0f0f_0f0f_0f0fn,
    ];
    for (const format of ALL) {
      for (const level of levelsOf(format)) {
        const { indexBit, indexBits } = level.format;
        for (const gva of ADDRESSES) {
          const index = BigInt.asUintN(indexBits, gva >> BigInt(indexBit));
          const offset = Number(index) * format.entrySize;
          const found = level.offsetOf(lower(gva), upper(gva));
          assert.equal(found, offset, `${format.name}, level ${level.format.level}, ${gva.toString(16)}`);
        }
      }
    }
  });

  it('T1: is taken from the lower half where it is all there, else from as few words as will do', () => {
    const words = (format: PagingFormat): number[] => levelsOf(format).map(({ word }) => word);
    assert.deepEqual(words(X86_5LEVEL), [UPPER, UPPER, UPPER, LOWER, LOWER]);
    assert.deepEqual(words(X86_PAE), [LOWER, LOWER, LOWER]);
    // Index bits 31:22 end with the lower half, 33:22 go beyond it.
    assert.deepEqual(words(X86_32), [LOWER, LOWER]);
    assert.deepEqual(words(RISCV_SV32X4), [MIDDLE, LOWER]);
    assert.deepEqual(words(aarch64Stage1Format({ granule: 16384, inputBits: 47 })), [UPPER, MIDDLE, LOWER]);
  });
});

describe('what an entry is', () => {
  it('T3: the quick looks say nothing that the rules do not', () => {
    for (const format of ALL) {
      for (const level of levelsOf(format)) {
        const { newLeaf, newTable } = level.format;
        const rights = level.fields.reduce((mask, { bit }) => mask | (1n << BigInt(bit)), 0n);
        for (const base of [newLeaf, newTable].map(({ lo, hi }) => (BigInt(hi) << 32n) | BigInt(lo))) {
          for (const start of [base, base | rights]) {
            for (let one = 0n; one < 64n; one++) {
              for (let other = one; other < 64n; other++) {
                const entry = start ^ (1n << one) ^ (1n << other);
                const quick = quickly(level, entry);
                if (quick === undefined) continue;
                const judged = level.judge(lower(entry), upper(entry));
                assert.equal(
                  judged,
                  quick,
                  `${format.name}, level ${level.format.level}, ${entry.toString(16)}`,
                );
              }
            }
          }
        }
      }
    }
  });

  it('T3: what systems write is seen at the first look', () => {
    const stage1 = aarch64Stage1Format({ granule: 4096, inputBits: 48 });
    const NX = 1n << 63n;
    for (const [format, number, tables, leaves] of [
      [X86_4LEVEL, 4, [0x67n, 0x21n, 0x67n | NX], []],
      [X86_4LEVEL, 3, [0x67n], [0xe3n, 0x81n, 0x1e7n | NX]],
      [X86_4LEVEL, 2, [0x67n], [0xe3n, 0x1_00e3n & 0x1fffn]],
      [X86_4LEVEL, 1, [], [0x67n, 0x163n, 0x1n, NX | 0x63n, 0x80n | 0x63n]],
      [X86_PAE, 3, [0x1n, 0x9n], []],
      [X86_32, 2, [0x67n], [0xe3n]],
      [EPT_4LEVEL, 2, [0x7n], [0xb7n, 0xb1n]],
      [EPT_4LEVEL, 1, [], [0x37n, 0x31n]],
      [RISCV_SV39, 1, [0x1n], [0xcfn, 0xd3n, 0x47n]],
      [RISCV_SV39, 0, [], [0xcfn, 0x43n]],
      [RISCV_SV32, 1, [0x1n], [0xcfn]],
      [stage1, 0, [0x3n, 0xf800_0000_0000_0003n], []],
      [stage1, 1, [0x3n], [0x701n]],
      [stage1, 3, [], [0x703n, 0x60_0000_0000_0f43n]],
    ] as const) {
      const level = levelOf(format, number);
      const looks = [...tables, ...leaves].map((entry) => quickly(level, entry));
      assert.deepEqual(
        looks,
        [...tables.map(() => TABLE), ...leaves.map(() => LEAF)],
        `${format.name}, level ${number}`,
      );
      assert.equal(quickly(level, 0n), undefined);
    }
  });

  it('T3: of a rule with a choice of bits the first look leaves the page that everybody may use', () => {
    // Bit 7, AP[2], denies; no entry may have bit 8 without it.
    const rule = { reason: 'reserved' as const, pattern: { mask: bits(8, 7), value: bits(8) } };
    const stage1 = aarch64Stage1Format({ granule: 4096, inputBits: 48 });
    const levels = stage1.levels.map((level) => ({ ...level, leafRules: [...level.leafRules, rule] }));
    const last = levelOf({ ...stage1, levels }, 3);
    assert.deepEqual(
      [0x443n, 0x4c3n, 0x543n].map((entry) => quickly(last, entry)),
      [LEAF, LEAF, undefined],
    );
  });

  it('T1: which levels have leaves, where a control allows them', () => {
    const leaves = (format: PagingFormat, controls?: object): boolean[] =>
      levelsOf(format, controls).map(({ hasLeaves }) => hasLeaves);
    assert.deepEqual(leaves(X86_4LEVEL), [false, true, true, true]);
    assert.deepEqual(leaves(X86_4LEVEL, { gigabytePages: false }), [false, false, true, true]);
    assert.deepEqual(leaves(X86_32, { pse: false }), [false, true]);
    assert.deepEqual(leaves(RISCV_SV39), [true, true, true]);
    assert.deepEqual(leaves(aarch64Stage1Format({ granule: 16384, inputBits: 47 })), [false, true, true]);
  });

  it('T2: tables of every level have a say in rights, but PAE’s four entries', () => {
    const mute = (format: PagingFormat): number[] => levelsOf(format).map(({ noRights }) => noRights);
    assert.deepEqual(mute(X86_PAE), [-1, 0, 0]);
    assert.deepEqual(mute(X86_4LEVEL), [0, 0, 0, 0]);
    assert.deepEqual(mute(X86_32), [0, 0]);
  });

  it('T1: a 64 KiB page of Svnapot is a leaf of the last level, with a place of its own for its address', () => {
    const last = levelOf(RISCV_SV39, 0);
    const page = 0x8000_0000_0004_d0cfn; // 0x134000, of which bits 15:12 are 0100: no page of 64 KiB
    const napot = 0x8000_0000_0004_e0cfn; // 0x138000
    assert.notEqual(last.judge(lower(page), upper(page)), SPECIAL_LEAF);
    assert.equal(last.judge(lower(napot), upper(napot)), SPECIAL_LEAF);
    assert.deepEqual([last.pageBits, last.special.pageBits, last.special.special.pageBits], [12, 16, 16]);
    assert.equal(last.leafAddress.addressLo(lower(napot)), 0x13_8000);
    assert.equal(last.special.leafAddress.addressLo(lower(napot)), 0x13_0000);
    for (const level of [levelOf(RISCV_SV39, 1), levelOf(X86_4LEVEL, 1)]) assert.equal(level.special, level);
  });

  it('T3: an address beyond physical memory, within a page that is larger, is found out with its entry', () => {
    // 512 GiB, where addresses have 36 bits: those of 38:36 in the virtual address lead out of memory, those above to
    // another page.
    const format = aarch64Stage1Format({ granule: 4096, inputBits: 48, wide: true });
    const level = levelOf(format, 0, { physicalBits: 36, accessedDirty: 'fault' });
    const [marked, unmarked, table] = [0x401, 0x001, 0x003];
    const outcomes = (entry: number): number[] =>
      [0x0, 0xf, 0x10, 0x20, 0x40, 0x80].map((addressHi) => level.judgeFor(entry, 0, addressHi));
    assert.deepEqual(outcomes(marked), [LEAF, LEAF, ADDRESS_SIZE, ADDRESS_SIZE, ADDRESS_SIZE, LEAF]);
    // Before the access flag is looked at (D8.5); of a table it says nothing.
    const missing = [ACCESS_FLAG, ACCESS_FLAG, ADDRESS_SIZE, ADDRESS_SIZE, ADDRESS_SIZE, ACCESS_FLAG];
    assert.deepEqual(outcomes(unmarked), missing);
    assert.deepEqual(outcomes(table), [TABLE, TABLE, TABLE, TABLE, TABLE, TABLE]);
    // So no look without the address will do.
    assert.equal(quickly(level, BigInt(marked)), undefined);
    assert.equal(quickly(levelOf(format, 0, { physicalBits: 40 }), BigInt(marked)), LEAF);
    // RISC-V finds out after the rights.
    const late = levelOf(RISCV_SV48, 3, { physicalBits: 36 });
    assert.equal(late.judgeFor(0xcf, 0, 0x10), LEAF);
    assert.equal(quickly(late, 0xcfn), LEAF);
  });
});

describe('what a level makes of a leaf', () => {
  const masks = (format: PagingFormat, number: number, controls?: object): bigint[] => {
    const { attributesLo, attributesHi, listedLo, listedHi } = levelOf(format, number, controls).listing;
    const whole = (lo: number, hi: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
    return [whole(attributesLo, attributesHi), whole(listedLo, listedHi)];
  };

  it('T6: which bits say what kind of memory it maps, and which make a difference to a listing', () => {
    // PAT 7, PCD 4, PWT 3, G 8; NX 63, address 51:12, U/S 2, R/W 1, P 0. Not: A 5, D 6, key 62:59, software's 58:52 and 11:9.
    assert.deepEqual(masks(X86_4LEVEL, 1), [0x198n, 0x800f_ffff_ffff_f19fn]);
    // PAT 12; PS 7, and bits 20:13 that are reserved.
    assert.deepEqual(masks(X86_4LEVEL, 2), [0x1118n, 0x800f_ffff_ffff_f19fn]);
    // Memory type 5:3; bits 51:12, XWR.
    assert.deepEqual(masks(EPT_4LEVEL, 1), [0x38n, 0x000f_ffff_ffff_f03fn]);
    // PBMT 62:61, G 5; N 63, reserved 60:54, address 53:10, UXWR and V. Not: A, D, software's 9:8.
    assert.deepEqual(masks(RISCV_SV39, 0), [0x6000_0000_0000_0020n, 0xffff_ffff_ffff_fc3fn]);
    const software = { svrsw60t59b: true };
    assert.deepEqual(masks(RISCV_SV39, 0, software), [0x6000_0000_0000_0020n, 0xe7ff_ffff_ffff_fc3fn]);
    // AttrIndx 4:2, nG 11; UXN 54, PXN 53, DBM 51, address 47:12, AP 7:6, type 1:0. Not: SH 9:8, AF 10, software's 58:55.
    const stage1 = aarch64Stage1Format({ granule: 4096, inputBits: 48 });
    assert.deepEqual(masks(stage1, 3), [0x81cn, 0x0068_ffff_ffff_f8dfn]);
  });

  it('T6: and which of them where marks, keys and software are told too', () => {
    const told = (format: PagingFormat, number: number): bigint => {
      const { attributesLo, attributesHi } = levelOf(format, number).listingDetails;
      return (BigInt(attributesHi >>> 0) << 32n) | BigInt(attributesLo >>> 0);
    };
    // What is told anyway; A 5, D 6, key 62:59, software's 11:9.
    assert.equal(told(X86_4LEVEL, 1), 0x7800_0000_0000_0ff8n);
    // A 7:6, D 9:8 of RISC-V; PBMT 62:61, G 5.
    assert.equal(told(RISCV_SV39, 0), 0x6000_0000_0000_03e0n);
    // AF 10, AP[2] 7, software's 58:55; AttrIndx 4:2, nG 11.
    assert.equal(told(aarch64Stage1Format({ granule: 4096, inputBits: 48 }), 3), 0x0780_0000_0000_0c9cn);
  });

  it('T1: which bits of an address are within it', () => {
    const within = ({ pageMask, pageMaskHi, pageSize }: Level): number[] => [
      pageMask >>> 0,
      pageMaskHi,
      pageSize,
    ];
    assert.deepEqual(within(levelOf(X86_4LEVEL, 1)), [0xfff, 0, 4096]);
    assert.deepEqual(within(levelOf(X86_4LEVEL, 3)), [0x3fff_ffff, 0, 2 ** 30]);
    assert.deepEqual(within(levelOf(RISCV_SV48, 3)), [0xffff_ffff, 0x7f, 2 ** 39]);
    assert.deepEqual(within(levelOf(RISCV_SV39, 0).special), [0xffff, 0, 65536]);
    const wide = aarch64Stage1Format({ granule: 65536, inputBits: 52, wide: true });
    assert.deepEqual(within(levelOf(wide, 1)), [0xffff_ffff, 0x3ff, 2 ** 42]);
  });

  it('T6: how far its address goes in the lower half of its entry, and by which steps', () => {
    const steps = ({ leafStep, lowerEnd }: Level): number[] => [leafStep, lowerEnd];
    assert.deepEqual(steps(levelOf(X86_4LEVEL, 1)), [4096, 2 ** 32]);
    assert.deepEqual(steps(levelOf(X86_4LEVEL, 2, { maxPhyAddr: 36 })), [2 ** 21, 2 ** 32]);
    // The page number stands two bits lower.
    assert.deepEqual(steps(levelOf(RISCV_SV39, 0)), [1024, 2 ** 32]);
    assert.deepEqual(steps(levelOf(RISCV_SV39, 1, { physicalBits: 34 })), [2 ** 19, 2 ** 32]);
    assert.deepEqual(steps(levelOf(RISCV_SV39, 2, { physicalBits: 33 })), [2 ** 28, 2 ** 31]);
  });
});
