import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import {
  type IntegerType,
  i8,
  i16,
  i32,
  i64,
  u8,
  u16,
  u16be,
  u32,
  u32be,
  u64,
  u64be,
} from '../../src/core/index.ts';
import { KINDS, type MemoryUnderTest } from '../support/memory-kinds.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { pattern } from '../support/scalars.ts';

const NUMBERS: readonly IntegerType<number>[] = [u8, i8, u16, i16, u32, i32, u16be, u32be];
const BIGINTS: readonly IntegerType<bigint>[] = [u64, i64, u64be];
const TYPES: readonly IntegerType<number | bigint>[] = [...NUMBERS, ...BIGINTS] as IntegerType<
  number | bigint
>[];

/** `value` as the type holds it: through its own encoding. */
function held(type: IntegerType<number | bigint>, value: bigint): number | bigint {
  const view = new DataView(new ArrayBuffer(8));
  const plain = type.size === 8 ? value : Number(BigInt.asUintN(32, value));
  type.encode(view, 0, plain);
  return type.decode(view, 0);
}

for (const kind of KINDS) {
  describe(`atomics of ${kind.name}`, () => {
    let tested: MemoryUnderTest;
    before(() => {
      tested = kind.make();
    });

    /** What stands at each address for a value of `width` bytes: whole in one place, aligned there, or neither. */
    function places(width: number): { aligned: number[]; crooked: number[] } {
      const { start, length, skew, seams } = tested;
      const aligned: number[] = [];
      const crooked: number[] = [];
      for (let offset = 0; offset <= length - width; offset++) {
        const gpa = start + offset;
        const parted = seams.some((seam) => seam > gpa && seam < gpa + width);
        ((gpa + skew) % width === 0 && !parted ? aligned : crooked).push(gpa);
      }
      return { aligned, crooked };
    }

    it('M7: load, store and exchange, aligned', () => {
      const { memory, mapped } = tested;
      for (const type of TYPES) {
        tested.disturb?.();
        for (const gpa of places(type.size).aligned) {
          if (!mapped(gpa)) continue;
          const [first, second] = [held(type, 0xf1e2_d3c4_b5a6_9788n), held(type, 0x0123_4567_89ab_cdefn)];
          memory.store(type, gpa, first);
          assert.equal(memory.readPlain(type, gpa), first);
          assert.equal(memory.load(type, gpa), first);
          assert.equal(memory.exchange(type, gpa, second), first, `exchange ${type.name}`);
          assert.equal(memory.load(type, gpa), second);
        }
      }
    });

    it('M7: fetch and modify returns what was there and wraps at the width', () => {
      const { memory, mapped } = tested;
      for (const type of TYPES) {
        const gpa = places(type.size).aligned.find((at) => mapped(at));
        if (gpa === undefined) continue;
        const [a, b] = [0xf1e2_d3c4_b5a6_9788n, 0x1fff_ffff_ffff_ff99n];
        for (const [name, result] of [
          ['fetchAdd', a + b],
          ['fetchSub', a - b],
          ['fetchAnd', a & b],
          ['fetchOr', a | b],
          ['fetchXor', a ^ b],
        ] as const) {
          const bigEndian = !type.littleEndian && type.size > 1;
          memory.store(type, gpa, held(type, a));
          if (bigEndian && (name === 'fetchAdd' || name === 'fetchSub')) {
            refused(() => memory[name](type, gpa, held(type, b)), { code: 'unsupported', gpa });
            assert.equal(memory.load(type, gpa), held(type, a));
            continue;
          }
          assert.equal(memory[name](type, gpa, held(type, b)), held(type, a), `${name} ${type.name}`);
          assert.equal(memory.load(type, gpa), held(type, result), `${name} ${type.name}`);
        }
      }
    });

    it('A2 compare_exchange: replaces what was expected, else leaves it, and returns what was there', () => {
      const { memory, exchanges } = tested;
      for (const type of TYPES) {
        tested.disturb?.();
        for (const gpa of places(type.size).aligned) {
          if (!exchanges(gpa)) continue;
          const [a, b, c] = [held(type, 0xfedc_ba98_7654_3210n), held(type, 77n), held(type, 55n)];
          memory.writePlain(type, gpa, a);
          assert.equal(memory.compareExchange(type, gpa, a, b), a, type.name);
          assert.equal(memory.readPlain(type, gpa), b);
          assert.equal(memory.compareExchange(type, gpa, c, a), b);
          assert.equal(memory.readPlain(type, gpa), b);
        }
      }
    });

    it('A2 compare_exchange_bytes: 1, 2, 4, 8 bytes; what is there comes back on a mismatch', () => {
      const { memory, start, exchanges } = tested;
      for (const width of [1, 2, 4, 8]) {
        for (const gpa of places(width).aligned) {
          if (!exchanges(gpa)) continue;
          const there = pattern(width, gpa % 97);
          const next = there.map((byte) => byte ^ 0x55);
          memory.writeAt(gpa, there);
          const current = there.slice();
          assert.equal(memory.compareExchangeBytes(gpa, current, next), true);
          sameBytes(current, there);
          sameBytes(memory.readBytes(gpa, width), next);
          const wrong = there.slice();
          assert.equal(memory.compareExchangeBytes(gpa, wrong, there), false);
          sameBytes(wrong, next);
          sameBytes(memory.readBytes(gpa, width), next);
        }
      }
      for (const [a, b] of [
        [3, 3],
        [0, 0],
        [16, 16],
        [4, 8],
        [8, 4],
      ] as const) {
        const call = (): unknown => memory.compareExchangeBytes(start, new Uint8Array(a), new Uint8Array(b));
        refused(call, { code: 'invalid', operation: 'compare exchange', gpa: start });
      }
    });

    it('M7 M5: misaligned where the host bytes are, or across a seam; unsupported on calls', () => {
      const { memory, mapped, exchanges, start, length } = tested;
      const before = memory.readBytes(start, length);
      for (const type of TYPES.filter((each) => each === u16 || each === u32 || each === u64)) {
        const one = held(type, 1n);
        const { aligned, crooked } = places(type.size);
        for (const gpa of crooked.filter((_, i) => i % 5 === 0)) {
          const facts = { gpa, length: type.size, memory: memory.name };
          const code = mapped(gpa) || exchanges(gpa) ? 'misaligned' : undefined;
          for (const call of [
            () => memory.load(type, gpa),
            () => memory.store(type, gpa, one),
            () => memory.exchange(type, gpa, one),
            () => memory.fetchAdd(type, gpa, one),
          ]) {
            const error = refused(call, { code: mapped(gpa) ? 'misaligned' : errorOf(call), ...facts });
            assert(error.code === 'misaligned' || error.code === 'unsupported', error.message);
          }
          if (code !== undefined) {
            refused(() => memory.compareExchange(type, gpa, one, one), { code, ...facts });
          }
        }
        for (const gpa of aligned.filter((at, i) => i % 3 === 0 && !mapped(at))) {
          const facts = { code: 'unsupported', gpa, length: type.size, memory: memory.name } as const;
          refused(() => memory.load(type, gpa), { ...facts, operation: 'load' });
          refused(() => memory.store(type, gpa, one), { ...facts, operation: 'store' });
          refused(() => memory.exchange(type, gpa, one), { ...facts, operation: 'exchange' });
          refused(() => memory.fetchOr(type, gpa, one), { ...facts, operation: 'fetch and or' });
          if (!exchanges(gpa)) {
            refused(() => memory.compareExchange(type, gpa, one, one), {
              ...facts,
              operation: 'compare exchange',
            });
          }
        }
      }
      sameBytes(memory.readBytes(start, length), before);
    });

    it('E: atomics past the end are refused as reads and writes are', () => {
      const { memory, start, length, pastEnd } = tested;
      if (pastEnd !== 'unmapped') return;
      const gpa = start + length;
      const facts = { code: 'unmapped', gpa, length: 8, failedAt: gpa, done: 0 } as const;
      refused(() => memory.load(u64, gpa), { ...facts, operation: 'load' });
      refused(() => memory.store(u64, gpa, 1n), { ...facts, operation: 'store' });
      refused(() => memory.fetchAdd(u64, gpa, 1n), { ...facts, operation: 'fetch and add' });
      refused(() => memory.compareExchange(u64, gpa, 1n, 1n), { ...facts, operation: 'compare exchange' });
      refused(() => memory.load(u32, Number.NaN), { code: 'invalid' });
    });
  });
}

function errorOf(call: () => unknown): 'misaligned' | 'unsupported' {
  try {
    call();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'unsupported') return 'unsupported';
  }
  return 'misaligned';
}
