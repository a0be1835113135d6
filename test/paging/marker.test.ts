import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytes, GuestMemory } from '../../src/core/index.ts';
import {
  ACCESS,
  aarch64Stage1Format,
  aarch64Stage2Format,
  type PagingFormat,
  RISCV_SV39,
  Translator,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const update = { accessedDirty: 'update' } as const;

/** Above 4 GiB, so that both halves of every address count. */
const BASE = 0x3_0000_0000;
const PAGE = 0x5_0000_7000;
const TABLES = [0x1000, 0x2000, 0x3000].map((offset) => BigInt(BASE + offset));
const P = 1n;
const W = 2n;
const A = 0x20n;
const D = 0x40n;

/** Tables of x86 from BASE on, each with one entry for the next, the last with one for PAGE; none of them marked. */
function unmarked(raw: Uint8Array): GuestMemory {
  const memory = GuestMemory.fromRegions([{ start: BASE, backing: bytes(raw) }]);
  for (const [i, next] of [...TABLES, BigInt(PAGE)].entries())
    memory.writeU64(BASE + i * 0x1000, next | P | W);
  return memory;
}

describe('marks in entries', () => {
  it('T4: every entry of a walk is marked where it stands, above 4 GiB too, and keeps its other bits', () => {
    const memory = unmarked(new Uint8Array(0x4000));
    memory.writeU64(BASE + 0x3000, BigInt(PAGE) | P | W | (1n << 63n) | (5n << 9n));
    const translator = new Translator({ memory, format: X86_4LEVEL, root: BASE, controls: update });
    const entries = (): bigint[] =>
      [0, 0x1000, 0x2000, 0x3000].map((offset) => memory.readU64(BASE + offset));
    const marked = TABLES.map((next) => next | P | W | A);
    const leaf = BigInt(PAGE) | P | W | A | (1n << 63n) | (5n << 9n);

    assert.equal(translator.resolve(0x123, 0, ACCESS.read), PAGE + 0x123);
    assert.deepEqual(entries(), [...marked, leaf]);
    assert.equal(translator.resolve(0x123, 0, ACCESS.write), PAGE + 0x123);
    assert.deepEqual(entries(), [...marked, leaf | D]);
  });

  it('T4: what is marked already is not written: read-only tables will do, until a mark is missing', () => {
    const raw = new Uint8Array(0x4000);
    const writable = unmarked(raw);
    new Translator({ memory: writable, format: X86_4LEVEL, root: BASE, controls: update }).resolve(0, 0, 0);
    const memory = GuestMemory.fromRegions([{ start: BASE, backing: bytes(raw), access: 'r' }]);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: BASE, controls: update });
    assert.equal(translator.resolve(0x123, 0, ACCESS.read), PAGE + 0x123);

    assert.equal(translator.resolve(0x123, 0, ACCESS.write), -1);
    const { kind, level, entryAddress } = translator.fault;
    assert.deepEqual([kind, level, entryAddress], ['table-unreadable', 1, BASE + 0x3000]);
    assert.equal(translator.reads, 4);
    writable.writeU64(BASE + 0x1000, (TABLES[1] ?? 0n) | P | W);
    assert.equal(translator.resolve(0x123, 0, ACCESS.read), -1);
    assert.deepEqual([translator.fault.level, translator.fault.entryAddress], [3, BASE + 0x1000]);
    assert.equal(translator.reads, 2);
  });

  it('T4: RISC-V marks leaves and no tables, where A and D of a table are reserved', () => {
    const memory = GuestMemory.allocate(0x4000);
    const pointers = [(0x2000n >> 2n) | 1n, (0x3000n >> 2n) | 1n];
    for (const [i, entry] of [...pointers, 0b1111n].entries()) memory.writeU64(0x1000 * (i + 1), entry);
    const translator = new Translator({ memory, format: RISCV_SV39, root: 0x1000, controls: update });
    assert.equal(translator.resolve(0x123, 0, ACCESS.write), 0x123);
    assert.deepEqual(
      [0x1000, 0x2000, 0x3000].map((at) => memory.readU64(at)),
      [...pointers, 0b1100_1111n],
    );
  });

  it('T1 T4: a format without marks is walked without, whatever is wanted', () => {
    const { marks: _x86, ...bare } = X86_4LEVEL;
    const memory = unmarked(new Uint8Array(0x4000));
    const before = memory.readBytes(BASE, 0x4000);
    const translator = new Translator({ memory, format: bare, root: BASE, controls: update });
    assert.equal(translator.resolve(0x123, 0, ACCESS.write), PAGE + 0x123);
    assert.deepEqual(memory.readBytes(BASE, 0x4000), before);

    const { marks: _riscv, ...sv39 } = RISCV_SV39;
    const gigabyte = GuestMemory.allocate(0x1000);
    gigabyte.writeU64(0, 0b1111n);
    const controls = { accessedDirty: 'fault' } as const;
    const indifferent = new Translator({ memory: gigabyte, format: sv39, root: 0, controls });
    assert.equal(indifferent.resolve(0x123, 0, ACCESS.write), 0x123, 'neither A nor D is asked for');
  });
});

describe('marks of AArch64', () => {
  const DBM = 1n << 51n;
  const AF = 1n << 10n;

  /** What a page's entry becomes by one access that is allowed, or by a fault. */
  function after(format: PagingFormat, leaf: bigint, access: number, hd = true): bigint {
    const memory = GuestMemory.allocate(0x4000);
    memory.writeU64(0x1000, 0x2003n);
    memory.writeU64(0x2000, leaf | 0x3003n);
    const controls = { accessedDirty: 'update', hd } as const;
    const translator = new Translator({ memory, format, root: 0x1000, controls });
    const found = translator.resolve(0x123, 0, access);
    const left = memory.readU64(0x2000) & ~0x3003n;
    assert.equal(memory.readU64(0x1000), 0x2003n, 'tables have no marks');
    if (found < 0) assert.equal(left, leaf, 'a fault marks nothing');
    else assert.equal(found, 0x3123);
    return left;
  }

  it('T4: stage 1: use sets AF, and a write through DBM clears AP[2]', () => {
    const format = aarch64Stage1Format({ granule: 4096, inputBits: 30 });
    const readOnly = 1n << 7n;
    const { read, write } = ACCESS;
    assert.equal(after(format, readOnly, read), readOnly | AF);
    assert.equal(after(format, readOnly | DBM, read), readOnly | DBM | AF);
    assert.equal(after(format, readOnly | DBM, write), DBM | AF);
    assert.equal(after(format, DBM, write), DBM | AF, 'it was dirty before');
    assert.equal(after(format, 0n, write), AF, 'a writable page without DBM has no dirty state');
    assert.equal(after(format, readOnly, write), readOnly, 'a read-only one is not to be written');
    assert.equal(after(format, readOnly | DBM, write, false), readOnly | DBM, 'nor is this without HD');
  });

  it('T4: stage 2: use sets AF, and a write through DBM sets S2AP[1]', () => {
    const format = aarch64Stage2Format({ granule: 4096, inputBits: 30, startLevel: 2 });
    const readable = 1n << 6n;
    const writable = 1n << 7n;
    const { read, write } = ACCESS;
    assert.equal(after(format, readable | DBM, read), readable | DBM | AF);
    assert.equal(after(format, readable | DBM, write), readable | writable | DBM | AF);
    assert.equal(after(format, readable | writable, write), readable | writable | AF);
    assert.equal(after(format, readable, write), readable);
  });
});
