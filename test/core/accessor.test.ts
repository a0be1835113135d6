import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type Access,
  array,
  GuestMemory,
  GuestMemoryAccessor,
  type HostRun,
  type HostTranslator,
  i16be,
  struct,
  u8,
  u16,
  u32,
  u64,
} from '../../src/core/index.ts';
import { ScatteredRuns } from '../support/indirect-memories.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { pattern } from '../support/scalars.ts';

/** An accessor whose answer is made up for each test. */
class Says extends GuestMemoryAccessor {
  readonly #answer: (gpa: number, access: Access | undefined) => HostRun | undefined;
  asked = 0;

  constructor(answer: (gpa: number, access: Access | undefined) => HostRun | undefined) {
    super();
    this.#answer = answer;
  }

  translateAndGetLimit(gpa: number, access?: Access): HostRun | undefined {
    this.asked++;
    return this.#answer(gpa, access);
  }
}

const buffer = new ArrayBuffer(0x100);

/** All seven ways through an accessor, for what every one of them has to refuse. */
function everyCall(accessor: GuestMemoryAccessor, gpa: number): readonly (() => unknown)[] {
  return [
    () => accessor.readObj(u64, gpa),
    () => accessor.writeObj(u64, gpa, 1n),
    () => accessor.readBuffer(gpa, new Uint8Array(8)),
    () => accessor.writeBuffer(gpa, new Uint8Array(8)),
    () => accessor.readVolatile(u64, gpa),
    () => accessor.writeVolatile(u64, gpa, 1n),
  ];
}

describe('A1: one method gives the six others', () => {
  it('A1 read_obj, write_obj: values by their layout, across runs that touch', () => {
    const accessor = new ScatteredRuns(0x8000, 0x100);
    const entry = struct({ address: u64, length: u32, tag: i16be });
    for (let gpa = 0x8000; gpa + entry.size <= 0x8100; gpa++) {
      const value = { address: BigInt(gpa) << 20n, length: gpa, tag: -5 };
      accessor.writeObj(entry, gpa, value);
      assert.deepEqual(accessor.readObj(entry, gpa), value);
    }
    for (let gpa = 0x8000; gpa + 8 <= 0x8100; gpa++) {
      accessor.writeObj(u64, gpa, BigInt(gpa));
      assert.equal(accessor.readObj(u64, gpa), BigInt(gpa));
      accessor.writeObj(u16, gpa, gpa);
      assert.equal(accessor.readObj(u16, gpa), gpa);
      accessor.writeObj(u8, gpa, gpa & 0xff);
      assert.equal(accessor.readObj(u8, gpa), gpa & 0xff);
    }
  });

  it('A1 read_obj, write_obj: too little room is an error, nothing written', () => {
    const accessor = new ScatteredRuns(0x8000, 0x100);
    accessor.writeBuffer(0x80f0, pattern(16));
    const facts = { code: 'unmapped', gpa: 0x80fc, length: 8, failedAt: 0x8100, done: 0 } as const;
    refused(() => accessor.readObj(u64, 0x80fc), { ...facts, operation: 'read an object' });
    refused(() => accessor.writeObj(u64, 0x80fc, 0n), { ...facts, operation: 'write an object' });
    refused(() => accessor.writeObj(array(u32, 3), 0x80f8, [0, 0, 0]), {
      code: 'unmapped',
      failedAt: 0x8100,
    });
    const found = new Uint8Array(16);
    accessor.readBuffer(0x80f0, found);
    sameBytes(found, pattern(16));
  });

  it('A1 read_buffer, write_buffer: run by run, all or nothing', () => {
    const accessor = new ScatteredRuns(0x8000, 0x100);
    for (const [gpa, length] of [
      [0x8000, 0x100],
      [0x8001, 0xff],
      [0x801f, 2],
      [0x8010, 100],
      [0x80ff, 1],
    ] as const) {
      const bytes = pattern(length, gpa);
      accessor.writeBuffer(gpa, bytes);
      const found = new Uint8Array(length);
      accessor.readBuffer(gpa, found);
      sameBytes(found, bytes);
    }
    const before = new Uint8Array(0x100);
    accessor.readBuffer(0x8000, before);
    const facts = { code: 'unmapped', gpa: 0x8010, length: 0x100, failedAt: 0x8100, done: 0 } as const;
    const dest = new Uint8Array(0x100).fill(0xee);
    refused(() => accessor.readBuffer(0x8010, dest), { ...facts, operation: 'read a buffer' });
    sameBytes(dest, new Uint8Array(0x100).fill(0xee));
    refused(() => accessor.writeBuffer(0x8010, dest), { ...facts, operation: 'write a buffer' });
    const after = new Uint8Array(0x100);
    accessor.readBuffer(0x8000, after);
    sameBytes(after, before);
  });

  it('A1: an empty buffer succeeds without translating, at any valid address', () => {
    const accessor = new Says(() => undefined);
    for (const gpa of [0, 5, 2 ** 53 - 1]) {
      accessor.readBuffer(gpa, new Uint8Array(0));
      accessor.writeBuffer(gpa, new Uint8Array(0));
    }
    assert.equal(accessor.asked, 0);
    refused(() => accessor.readBuffer(-1, new Uint8Array(0)), { code: 'invalid' });
  });

  it('A1 read_volatile, write_volatile: one access of the width, aligned on the host, in one run', () => {
    const accessor = new ScatteredRuns(0x8000, 0x100);
    for (const type of [u8, u16, u32] as const) {
      for (let gpa = 0x8000; gpa + type.size <= 0x8100; gpa++) {
        if (gpa % type.size === 0) {
          accessor.writeVolatile(type, gpa, 0x5a);
          assert.equal(accessor.readVolatile(type, gpa), 0x5a);
        } else {
          refused(() => accessor.readVolatile(type, gpa), { code: 'misaligned', gpa, length: type.size });
          refused(() => accessor.writeVolatile(type, gpa, 0), { code: 'misaligned', gpa, length: type.size });
        }
      }
    }
    accessor.writeVolatile(u64, 0x8008, 2n ** 64n - 1n);
    assert.equal(accessor.readVolatile(u64, 0x8008), 2n ** 64n - 1n);
    assert.equal(accessor.readObj(u32, 0x800c), 0xffff_ffff);
  });

  it('A1 read_volatile: aligned by the host offset, not by the address', () => {
    const accessor = new Says((gpa) => ({ buffer, byteOffset: gpa - 0x1001, limit: 0x1101 - gpa }));
    accessor.writeVolatile(u32, 0x1005, 7);
    assert.equal(accessor.readVolatile(u32, 0x1005), 7);
    refused(() => accessor.readVolatile(u32, 0x1004), { code: 'misaligned' });
    refused(() => accessor.readVolatile(u64, 0x1005), { code: 'misaligned' });
    const narrow = new Says((gpa) => ({ buffer, byteOffset: gpa % 4, limit: 4 - (gpa % 4) }));
    refused(() => narrow.readVolatile(u64, 0x1000), { code: 'misaligned' });
  });

  it("A1 translate_and_get_limit: asked with 'read' for reads and 'write' for writes; denied is unmapped", () => {
    const readOnly = new Says((gpa, access) =>
      access === 'read' ? { buffer, byteOffset: gpa, limit: 0x100 - gpa } : undefined,
    );
    assert.equal(readOnly.readObj(u32, 0), readOnly.readVolatile(u32, 0));
    refused(() => readOnly.writeObj(u32, 0, 1), { code: 'unmapped', gpa: 0 });
    refused(() => readOnly.writeBuffer(0, new Uint8Array(1)), { code: 'unmapped', gpa: 0 });
    refused(() => readOnly.writeVolatile(u32, 0, 1), { code: 'unmapped', gpa: 0 });
  });
});

describe('A1: a translator is not trusted', () => {
  const lies: readonly (readonly [string, HostRun])[] = [
    ['limit 0', { buffer, byteOffset: 0, limit: 0 }],
    ['a negative limit', { buffer, byteOffset: 0, limit: -8 }],
    ['a fractional limit', { buffer, byteOffset: 0, limit: 0.5 }],
    ['a tiny limit', { buffer, byteOffset: 0, limit: 2 ** -60 }],
    ['a limit that is no number', { buffer, byteOffset: 0, limit: Number.NaN }],
    ['an endless limit', { buffer, byteOffset: 0, limit: Infinity }],
    ['a limit past the buffer', { buffer, byteOffset: 0, limit: 0x101 }],
    ['a limit past the end from the offset', { buffer, byteOffset: 0xf9, limit: 8 }],
    ['an offset past the buffer', { buffer, byteOffset: 0x101, limit: 1 }],
    ['a negative offset', { buffer, byteOffset: -1, limit: 8 }],
    ['a fractional offset', { buffer, byteOffset: 0.5, limit: 8 }],
  ];

  for (const [name, lie] of lies) {
    it(`A1: ${name} is an error, not a loop and not an overrun`, () => {
      const accessor = new Says(() => lie);
      for (const call of everyCall(accessor, 0x40))
        refused(call, { code: 'fault', gpa: 0x40, failedAt: 0x40 });
      const memory = GuestMemory.from(new Says(() => lie));
      for (const call of [
        () => memory.readU64(0x40),
        () => memory.writeU64(0x40, 0n),
        () => memory.readU8(0x40),
        () => memory.readAt(0x40, new Uint8Array(100)),
        () => memory.fillAt(0x40, 1, 100),
        () => memory.compareExchange(u64, 0x40, 0n, 0n),
        () => memory.copyFrom(memory, 0x40, 0x80, 8),
      ]) {
        // One byte at offset 0 with a limit that only overstates is the only thing that could be true.
        const error = refused(call, { code: 'fault' });
        assert.match(error.message, /translator|backing/);
      }
      const late = new Says((gpa) => (gpa === 0x40 ? { buffer, byteOffset: 0, limit: 4 } : lie));
      refused(() => late.readBuffer(0x40, new Uint8Array(8)), { code: 'fault', gpa: 0x40, failedAt: 0x44 });
      refused(() => late.writeBuffer(0x40, new Uint8Array(8)), { code: 'fault', gpa: 0x40, failedAt: 0x44 });
    });
  }

  it('A1: addresses that overflow, or are none, are invalid and never translated', () => {
    const accessor = new Says(() => ({ buffer, byteOffset: 0, limit: 0x100 }));
    for (const gpa of [-1, 0.5, Number.NaN, 2 ** 53, Infinity, 2 ** 53 - 4]) {
      for (const call of everyCall(accessor, gpa)) refused(call, { code: 'invalid' });
    }
    assert.equal(accessor.asked, 0);
  });

  it('A1 E: what a translator throws goes through an accessor as it is, and is the cause in a memory', () => {
    const why = new Error('table unreadable');
    const thrower = new Says(() => {
      throw why;
    });
    for (const call of everyCall(thrower, 0)) assert.throws(call, (error) => error === why);
    const memory = GuestMemory.from(thrower, { name: 'walk' });
    for (const call of [() => memory.readU32(8), () => memory.writeAt(8, new Uint8Array(9))]) {
      assert.equal(refused(call, { code: 'fault', memory: 'walk', gpa: 8, done: 0 }).cause, why);
    }
  });
});

describe('A1: GuestMemory.from(translator)', () => {
  it('A1: holes are unmapped there as well, and writes that are not allowed', () => {
    const memory = GuestMemory.from(new ScatteredRuns(0x1000, 0x100), { name: 'from' });
    refused(() => memory.readU8(0xfff), { code: 'unmapped', memory: 'from', failedAt: 0xfff });
    refused(() => memory.writeAt(0x10ff, new Uint8Array(2)), { code: 'unmapped', failedAt: 0x1100, done: 0 });
    assert.equal(memory.readAt(0x1000, new Uint8Array(0x100)), undefined);
  });

  it('A1: any object with the method will do, this kept; each access asks anew', () => {
    let base = 0;
    const translator: HostTranslator & { readonly bytes: ArrayBuffer } = {
      bytes: new ArrayBuffer(0x200),
      translateAndGetLimit(gpa) {
        return gpa < 0x100 ? { buffer: this.bytes, byteOffset: base + gpa, limit: 0x100 - gpa } : undefined;
      },
    };
    const memory = GuestMemory.from(translator);
    memory.writeU32(0, 1);
    base = 0x100;
    memory.writeU32(0, 2);
    assert.equal(memory.readU32(0), 2);
    base = 0;
    assert.equal(memory.readU32(0), 1);
    assert.equal(memory.name, 'translator');
    assert.equal(memory.translateAndGetLimit(0), undefined);
  });

  it('A1: compare-exchange through a translator is atomic, and misaligned where the host bytes are', () => {
    const runs = new ScatteredRuns(0x1000, 0x100);
    const memory = GuestMemory.from(runs);
    memory.writeU64(0x1008, 5n);
    assert.equal(memory.compareExchange(u64, 0x1008, 5n, 6n), 5n);
    assert.equal(memory.compareExchange(u64, 0x1008, 5n, 7n), 6n);
    assert.equal(runs.readObj(u64, 0x1008), 6n);
    const crooked = GuestMemory.from(new Says((gpa) => ({ buffer, byteOffset: gpa + 1, limit: 8 })));
    refused(() => crooked.compareExchange(u32, 4, 0, 1), { code: 'misaligned', gpa: 4 });
  });

  it('A1: a GuestMemory is a translator too', () => {
    const ram = GuestMemory.fromRanges([
      [0x1000, 0x100],
      [0x1100, 0x100],
    ]);
    const memory = GuestMemory.from({
      translateAndGetLimit: (gpa, access) => ram.translateAndGetLimit(gpa, access),
    });
    memory.writeU64(0x10fc, 0x1122_3344_5566_7788n);
    assert.equal(ram.readU64(0x10fc), 0x1122_3344_5566_7788n);
    refused(() => memory.readU8(0x1200), { code: 'unmapped' });
  });
});
