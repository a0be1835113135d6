import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  array,
  bytesField,
  f32,
  f32be,
  f64,
  f64be,
  GuestMemory,
  type Infer,
  i8,
  i16,
  i16be,
  i32,
  i32be,
  i64,
  i64be,
  type Layout,
  struct,
  u8,
  u16,
  u16be,
  u32,
  u32be,
  u64,
  u64be,
} from '../../src/core/index.ts';
import { KINDS } from '../support/memory-kinds.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { pattern } from '../support/scalars.ts';

/** Each type with a value and its bytes as the wire has them. */
const WIRE: readonly (readonly [Layout<unknown>, number | bigint, string])[] = [
  [u8, 0xfe, 'fe'],
  [i8, -2, 'fe'],
  [u16, 0x1234, '3412'],
  [i16, -2, 'feff'],
  [u32, 0x1234_5678, '78563412'],
  [i32, -2, 'feffffff'],
  [u64, 0x0123_4567_89ab_cdefn, 'efcdab8967452301'],
  [i64, -2n, 'feffffffffffffff'],
  [f32, 1.5, '0000c03f'],
  [f64, -1.5, '000000000000f8bf'],
  [u16be, 0x1234, '1234'],
  [i16be, -2, 'fffe'],
  [u32be, 0x1234_5678, '12345678'],
  [i32be, -2, 'fffffffe'],
  [u64be, 0x0123_4567_89ab_cdefn, '0123456789abcdef'],
  [i64be, -2n, 'fffffffffffffffe'],
  [f32be, 1.5, '3fc00000'],
  [f64be, -1.5, 'bff8000000000000'],
];

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const header = struct({ magic: u32be, version: u8, length: u16, start: u64, ratio: f32 });
const packed = struct({ magic: u32be, version: u8, length: u16, start: u64, ratio: f32 }, { packed: true });
const value: Infer<typeof header> = {
  magic: 0x7f45_4c46,
  version: 3,
  length: 0x1234,
  start: 0xfedc_ba98_7654_3210n,
  ratio: 0.5,
};

describe('M6: scalars', () => {
  it('M6: every type has the bytes of its name, its size and its alignment', () => {
    const memory = GuestMemory.allocate(0x1000);
    for (const [type, number, wire] of WIRE) {
      for (const gpa of [0x10, 0x11]) {
        memory.writePlain(type, gpa, number);
        assert.equal(hexOf(memory.readBytes(gpa, type.size)), wire, type.name);
        assert.equal(memory.readPlain(type, gpa), number, type.name);
      }
      assert.equal(type.size, wire.length / 2);
      assert.equal(type.align, type.size);
    }
  });
});

describe('M6: structs', () => {
  it('M6: fields lie as a C compiler lays them, the whole padded to the largest', () => {
    assert.deepEqual([header.size, header.align], [24, 8]);
    assert.deepEqual(
      (['magic', 'version', 'length', 'start', 'ratio'] as const).map((name) => header.offsetOf(name)),
      [0, 4, 6, 8, 16],
    );
    assert.deepEqual(header.fields.start, { offset: 8, type: u64 });
    assert.deepEqual([packed.size, packed.align], [19, 1]);
    assert.deepEqual(
      (['magic', 'version', 'length', 'start', 'ratio'] as const).map((name) => packed.offsetOf(name)),
      [0, 4, 5, 7, 15],
    );
  });

  it('M6: nested structs and arrays keep their own alignment; an empty one has no size', () => {
    const inner = struct({ a: u8, b: u16 });
    const outer = struct({ first: u8, list: array(inner, 3), mac: bytesField(6), last: u32 });
    assert.deepEqual([inner.size, inner.align], [4, 2]);
    assert.deepEqual(
      (['first', 'list', 'mac', 'last'] as const).map((name) => outer.offsetOf(name)),
      [0, 2, 14, 20],
    );
    assert.equal(outer.size, 24);
    assert.deepEqual([struct({}).size, array(u64, 0).size, bytesField(0).size], [0, 0, 0]);
    const memory = GuestMemory.allocate(0x1000);
    assert.deepEqual(memory.readPlain(struct({}), 0x2000), {});
    refused(() => memory.readPlain(struct({}), -1), { code: 'invalid' });
    const whole = { first: 1, list: [0, 1, 2].map((b) => ({ a: b, b: b * 256 })), mac: pattern(6), last: 9 };
    memory.writePlain(outer, 0x21, whole);
    assert.deepEqual(memory.readPlain(outer, 0x21), whole);
  });

  it('M6: padding is written as zeros, whatever was there or in a scalar before', () => {
    const memory = GuestMemory.allocate(0x1000);
    memory.fillAt(0, 0xff, 0x100);
    memory.writePlain(header, 0, value);
    assert.equal(
      hexOf(memory.readBytes(0, 25)),
      `7f454c46${'03'}00${'3412'}1032547698badcfe${'0000003f'}${'00'.repeat(4)}ff`,
    );
    const gap = struct({ a: u8, b: u32 });
    for (const odd of [1, 8]) {
      memory.fillAt(0x40, 0xff, 0x20);
      memory.writeU64(0x80 + odd, 0xffff_ffff_ffff_ffffn);
      memory.writePlain(gap, 0x40, { a: 1, b: 2 });
      assert.equal(hexOf(memory.readBytes(0x40, 9)), '0100000002000000ff');
    }
  });

  it('M6: one field in place', () => {
    const memory = GuestMemory.allocate(0x1000);
    memory.writePlain(packed, 0x100, value);
    memory.writePlain(packed.fields.length.type, 0x100 + packed.offsetOf('length'), 0x4321);
    assert.deepEqual(memory.readPlain(packed, 0x100), { ...value, length: 0x4321 });
    const error = refused(() => packed.offsetOf('nowhere' as 'magic'), { code: 'invalid' });
    assert.match(error.message, /"nowhere", wanted one of magic, version, length, start, ratio/);
    refused(() => packed.offsetOf('toString' as 'magic'), { code: 'invalid' });
  });

  it('M6: what does not fit its layout is refused with nothing written', () => {
    const memory = GuestMemory.allocate(0x1000);
    memory.fillAt(0, 0xaa, 0x40);
    refused(() => memory.writePlain(array(u16, 3), 0, [1, 2]), { code: 'invalid' });
    refused(() => memory.writePlain(array(u16, 2), 0, [1, 2, 3]), { code: 'invalid' });
    refused(() => memory.writePlain(bytesField(4), 0, new Uint8Array(3)), { code: 'invalid' });
    refused(() => memory.writePlain(bytesField(12), 0, new Uint8Array(13)), { code: 'invalid' });
    sameBytes(memory.readBytes(0, 0x40), new Uint8Array(0x40).fill(0xaa));
    for (const count of [-1, 0.5, Number.NaN]) {
      refused(() => array(u8, count), { code: 'invalid' });
      refused(() => bytesField(count), { code: 'invalid' });
    }
  });

  it('M6: a hole in a sparse array is zero, not what was in a scalar before', () => {
    const memory = GuestMemory.allocate(0x1000);
    memory.writeU64(0x101, 0xffff_ffff_ffff_ffffn);
    const sparse: number[] = [];
    sparse[7] = 7;
    memory.writePlain(array(u8, 8), 0, sparse);
    assert.equal(hexOf(memory.readBytes(0, 8)), '0000000000000007');
  });

  it('M6: bytes that were read are a copy of their own', () => {
    const memory = GuestMemory.allocate(0x1000);
    const first = memory.readPlain(bytesField(8), 0);
    const second = memory.readPlain(struct({ a: bytesField(12) }), 0);
    memory.writeU64(0, 0xffn);
    assert.equal(memory.readU64(0), 0xffn);
    sameBytes(first, new Uint8Array(8));
    sameBytes(second.a, new Uint8Array(12));
  });
});

describe('M6 A2: readPlain and writePlain on every kind of memory', () => {
  for (const kind of KINDS) {
    it(`M6 A2 read_plain, write_plain: every layout at every alignment of ${kind.name}`, () => {
      const tested = kind.make();
      const { memory, start, length, pastEnd } = tested;
      const layouts: readonly (readonly [Layout<unknown>, unknown])[] = [
        ...WIRE.map(([type, number]) => [type, number] as const),
        [header, value],
        [packed, value],
        [array(u16be, 4), [1, 2, 3, 0xffee]],
        [struct({ a: u16, b: u16be }), { a: 1, b: 2 }],
        [bytesField(8), pattern(8)],
        [bytesField(11), pattern(11)],
      ];
      for (const [layout, wanted] of layouts) {
        for (let at = 0; at + layout.size <= length; at += 1 + Math.floor(layout.size / 4)) {
          if (at % 16 === 0) tested.disturb?.();
          memory.writePlain(layout, start + at, wanted);
          assert.deepEqual(memory.readPlain(layout, start + at), wanted, `${layout.name} at ${at}`);
          const view = new DataView(memory.readBytes(start + at, layout.size).buffer);
          assert.deepEqual(layout.decode(view, 0), wanted);
        }
        if (pastEnd === 'unmapped' && layout.size > 1) {
          const gpa = start + length - layout.size + 1;
          const facts = { code: 'unmapped', gpa, length: layout.size, failedAt: start + length } as const;
          const before = memory.readBytes(gpa, layout.size - 1);
          refused(() => memory.readPlain(layout, gpa), { ...facts, operation: 'read' });
          refused(() => memory.writePlain(layout, gpa, wanted), { ...facts, operation: 'write' });
          sameBytes(memory.readBytes(gpa, layout.size - 1), before);
        }
      }
    });
  }
});
