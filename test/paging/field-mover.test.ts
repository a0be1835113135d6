import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FieldMover } from '../../src/paging/field-mover.ts';
import type { AddressField } from '../../src/paging/format.ts';

/** Where addresses stand in entries, by the manuals' pictures. */
const IN_PLACE: readonly AddressField[] = [{ from: 12, bits: 40, to: 12 }];
const PSE_36: readonly AddressField[] = [
  { from: 22, bits: 10, to: 22 },
  { from: 13, bits: 8, to: 32 },
];
const RISCV: readonly AddressField[] = [{ from: 10, bits: 44, to: 12 }];
const SV32: readonly AddressField[] = [{ from: 10, bits: 22, to: 12 }];
const LPA2: readonly AddressField[] = [
  { from: 12, bits: 38, to: 12 },
  { from: 8, bits: 2, to: 50 },
];
const LPA_64K: readonly AddressField[] = [
  { from: 16, bits: 32, to: 16 },
  { from: 12, bits: 4, to: 48 },
];

const halves = (value: bigint): [number, number] => [
  Number(BigInt.asIntN(32, value)),
  Number(BigInt.asIntN(32, value >> 32n)),
];
const whole = (lo: number, hi: number): bigint =>
  (BigInt.asUintN(32, BigInt(hi)) << 32n) | BigInt.asUintN(32, BigInt(lo));

function toAddress(fields: readonly AddressField[], entry: bigint): bigint {
  const mover = new FieldMover(fields);
  const [lo, hi] = halves(entry);
  return whole(mover.addressLo(lo), mover.addressHi(lo, hi));
}

function toEntry(fields: readonly AddressField[], address: bigint): bigint {
  const mover = new FieldMover(fields);
  const [lo, hi] = halves(address);
  return whole(mover.entryLo(lo, hi), mover.entryHi(hi));
}

describe('addresses in entries', () => {
  const ONES = 2n ** 64n - 1n;

  it('T1: which bits of an entry are an address, and which of an address an entry holds', () => {
    for (const [fields, inEntry, inAddress] of [
      [IN_PLACE, 0x000f_ffff_ffff_f000n, 0x000f_ffff_ffff_f000n],
      [PSE_36, 0x0000_0000_ffdf_e000n, 0x0000_00ff_ffc0_0000n],
      [RISCV, 0x003f_ffff_ffff_fc00n, 0x00ff_ffff_ffff_f000n],
      [SV32, 0x0000_0000_ffff_fc00n, 0x0000_0003_ffff_f000n],
      [LPA2, 0x0003_ffff_ffff_f300n, 0x000f_ffff_ffff_f000n],
      [LPA_64K, 0x0000_ffff_ffff_f000n, 0x000f_ffff_ffff_0000n],
    ] as const) {
      assert.equal(toAddress(fields, ONES), inAddress);
      assert.equal(toAddress(fields, inEntry), inAddress);
      assert.equal(toAddress(fields, ONES & ~inEntry), 0n);
      assert.equal(toEntry(fields, ONES), inEntry);
      assert.equal(toEntry(fields, inAddress), inEntry);
      assert.equal(toEntry(fields, ONES & ~inAddress), 0n);
    }
  });

  it('T1: each bit goes to its place', () => {
    for (const [fields, entry, address] of [
      [IN_PLACE, 0x0009_8765_4321_0fffn, 0x0009_8765_4321_0000n],
      // Bits 20:13 are bits 39:32.
      [PSE_36, 0x0000_0000_1234_6083n, 0x0000_00a3_1200_0000n],
      [PSE_36, 0x0000_0000_0000_2000n, 0x0000_0001_0000_0000n],
      // Bit 10 is bit 12, bits 31:30 are bits 33:32, bit 53 is bit 55.
      [RISCV, 0x0000_0000_0000_0400n, 0x0000_0000_0000_1000n],
      [RISCV, 0x0000_0000_c000_0000n, 0x0000_0003_0000_0000n],
      [RISCV, 0x0020_0000_0000_0000n, 0x0080_0000_0000_0000n],
      [SV32, 0x0000_0000_4812_3400n, 0x0000_0001_2048_d000n],
      // Bits 9:8 are bits 51:50.
      [LPA2, 0x0000_0000_0000_0100n, 0x0004_0000_0000_0000n],
      [LPA2, 0x0002_0000_0000_1200n, 0x000a_0000_0000_1000n],
      // Bits 15:12 are bits 51:48.
      [LPA_64K, 0x0000_8000_0001_5000n, 0x0005_8000_0001_0000n],
    ] as const) {
      assert.equal(toAddress(fields, entry), address, entry.toString(16));
      const kept = toEntry(fields, address);
      assert.equal(toAddress(fields, kept), address);
      assert.equal(kept & ~entry, 0n, 'no bit more than the entry had');
    }
  });

  it('T1: no field, no address', () => {
    assert.equal(toAddress([], ONES), 0n);
    assert.equal(toEntry([], ONES), 0n);
  });

  it('T1: a field of the lower half may be moved to the upper one by itself, from anywhere to anywhere', () => {
    const main: AddressField = { from: 12, bits: 12, to: 12 };
    for (const [field, entry, address] of [
      [{ from: 24, bits: 8, to: 32 }, 0x8100_0000n, 0x81_0000_0000n],
      [{ from: 24, bits: 8, to: 56 }, 0x8100_0000n, 0x8100_0000_0000_0000n],
      [{ from: 0, bits: 12, to: 40 }, 0x801n, 0x801_00_0000_0000n],
    ] as const) {
      const fields = [main, field];
      assert.equal(toAddress(fields, entry), address);
      assert.equal(toEntry(fields, address), entry);
    }
  });

  it('T1: all bits may be shifted, to the left and by less than a half', () => {
    assert.equal(toAddress([{ from: 0, bits: 21, to: 31 }], 0x10_0001n), 0x8_0000_8000_0000n);
    assert.equal(toEntry([{ from: 0, bits: 21, to: 31 }], 0x8_0000_8000_0000n), 0x10_0001n);
    for (const to of [32, 33, 64])
      assert.throws(() => new FieldMover([{ from: 0, bits: 8, to }]), RangeError);
    assert.throws(() => new FieldMover([{ from: 12, bits: 8, to: 11 }]), RangeError);
  });

  it('T1: a description of anything else is refused', () => {
    const main: AddressField = { from: 12, bits: 10, to: 12 };
    for (const fields of [
      // Another place of the lower half.
      [main, { from: 24, bits: 4, to: 28 }],
      [main, { from: 24, bits: 4, to: 31 }],
      // From the upper half, or across the middle.
      [main, { from: 25, bits: 8, to: 40 }],
      [main, { from: 32, bits: 4, to: 40 }],
      [main, { from: 50, bits: 4, to: 36 }],
      // A second one.
      [main, { from: 22, bits: 4, to: 40 }, { from: 26, bits: 4, to: 44 }],
    ]) {
      assert.throws(() => new FieldMover(fields), { name: 'RangeError', message: /cannot be moved/ });
    }
  });
});
