import type { GuestMemory } from '../../src/core/index.ts';

/** A scalar of GuestMemory as the tests see it: how it is called, and what the language's own DataView says it is. */
export interface ScalarCase {
  readonly name: string;
  readonly width: 1 | 2 | 4 | 8;
  read(memory: GuestMemory, gpa: number): number | bigint;
  write(memory: GuestMemory, gpa: number, value: number | bigint): void;
  /** The value of bytes. */
  value(view: DataView, offset: number): number | bigint;
}

type NumberMethods = 'U8' | 'U16' | 'U32' | 'I8' | 'I16' | 'I32' | 'F32' | 'F64';

function numberCase(name: NumberMethods, width: 1 | 2 | 4 | 8, value: ScalarCase['value']): ScalarCase {
  return {
    name,
    width,
    read: (memory, gpa) => memory[`read${name}`](gpa),
    write: (memory, gpa, next) => memory[`write${name}`](gpa, Number(next)),
    value,
  };
}

const halves = new Uint32Array(2);

/** Every named scalar; 64 bits in every form. */
export const SCALARS: readonly ScalarCase[] = [
  numberCase('U8', 1, (view, at) => view.getUint8(at)),
  numberCase('I8', 1, (view, at) => view.getInt8(at)),
  numberCase('U16', 2, (view, at) => view.getUint16(at, true)),
  numberCase('I16', 2, (view, at) => view.getInt16(at, true)),
  numberCase('U32', 4, (view, at) => view.getUint32(at, true)),
  numberCase('I32', 4, (view, at) => view.getInt32(at, true)),
  numberCase('F32', 4, (view, at) => view.getFloat32(at, true)),
  numberCase('F64', 8, (view, at) => view.getFloat64(at, true)),
  {
    name: 'U64',
    width: 8,
    read: (memory, gpa) => memory.readU64(gpa),
    write: (memory, gpa, value) => memory.writeU64(gpa, BigInt(value)),
    value: (view, at) => view.getBigUint64(at, true),
  },
  {
    name: 'I64',
    width: 8,
    read: (memory, gpa) => memory.readI64(gpa),
    write: (memory, gpa, value) => memory.writeI64(gpa, BigInt(value)),
    value: (view, at) => view.getBigInt64(at, true),
  },
  {
    name: 'U64 as halves',
    width: 8,
    read(memory, gpa) {
      memory.readU64Into(gpa, halves);
      return (BigInt(halves[1] ?? 0) << 32n) | BigInt(halves[0] ?? 0);
    },
    write(memory, gpa, value) {
      const bits = BigInt(value);
      memory.writeU64Halves(gpa, Number(bits & 0xffff_ffffn), Number(bits >> 32n));
    },
    value: (view, at) => view.getBigUint64(at, true),
  },
];

/** Bytes that repeat nowhere near, the same in each run. */
export function pattern(length: number, seed = 1): Uint8Array {
  let state = seed * 0x9e37_79b9;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b_3c6d) + 0x6d2b_79f5) >>> 0;
    return state >>> 24;
  });
}

/** `pattern` with no NaN in any four or eight bytes, for the language may change the bits of one. */
export function patternWithoutNaN(length: number, seed = 1): Uint8Array {
  return pattern(length, seed).map((byte) => byte & 0x3f);
}
