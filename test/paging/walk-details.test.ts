import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  ACCESS,
  aarch64Stage2Format,
  BufferTables,
  createRoot,
  map,
  Translator,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

describe('what a walk says besides its answer', () => {
  it('T2: how many entries it read, whatever came of it', () => {
    const tables = new BufferTables(new Uint8Array(0x1_0000), 0x10_0000);
    const format = X86_4LEVEL;
    createRoot(tables, format);
    map(tables, { format, gva: 0x1000n, gpa: 0x5000, length: 0x1000 });
    map(tables, { format, gva: 0x20_0000n, gpa: 0x20_0000, length: 0x20_0000 });
    const translator = new Translator({ tables, format });
    for (const [gva, access, answer, reads] of [
      [0x1234n, ACCESS.read, 0x5234, 4],
      [0x1234n, ACCESS.write, -1, 4],
      [0x2000n, ACCESS.read, -1, 4],
      [0x20_0005n, ACCESS.read, 0x20_0005, 3],
      [0x20_0005n, ACCESS.userRead, -1, 3],
      [0x4000_0000n, ACCESS.read, -1, 2],
      [0x80_0000_0000n, ACCESS.read, -1, 1],
      [0x8000_0000_0000n, ACCESS.read, -1, 0],
    ] as const) {
      assert.equal(translator.resolveGva(gva, access), answer);
      assert.equal(translator.reads, reads, gva.toString(16));
    }
  });

  it('T2: a code that is no access is refused, where it would be asked about', () => {
    const tables = new BufferTables(new Uint8Array(0x1_0000), 0x10_0000);
    createRoot(tables, X86_4LEVEL);
    map(tables, { format: X86_4LEVEL, gva: 0n, gpa: 0, length: 0x1000 });
    const translator = new Translator({ tables, format: X86_4LEVEL });
    for (const access of [-1, 16, 64, 1.5])
      assert.throws(() => translator.resolve(0, 0, access), { name: 'PagingError', code: 'invalid' });
  });

  it('T1: addresses of fewer than 32 bits are checked in their lower half', () => {
    const format = aarch64Stage2Format({ granule: 4096, inputBits: 31 });
    const tables = new BufferTables(new Uint8Array(0x1_0000), 0x10_0000);
    createRoot(tables, format);
    map(tables, { format, gva: 0x7fff_f000n, gpa: 0x5000, length: 0x1000 });
    const translator = new Translator({ tables, format });
    assert.equal(translator.resolveGva(0x7fff_f008n, ACCESS.read), 0x5008);
    for (const gva of [0xffff_f008n, 0x1_7fff_f008n])
      assert.equal(translator.resolveGva(gva, ACCESS.read), -1);
  });

  it('T2: tables are found behind the first page of a memory, above 4 GiB and above 8 TiB', () => {
    for (const base of [0x1000, 0x1_0000_1000, 0x800_0000_1000, 0x1000_0000_1000]) {
      const memory = GuestMemory.fromRanges([[base, 0x1_0000]]);
      const at = (page: number): number => base + page * 0x1000;
      // Each in the second entry of its table, one page apart.
      for (const page of [1, 2, 3, 4]) memory.writeU64(at(page) + 8, BigInt(at(page + 1)) | 3n);
      const translator = new Translator({ memory, format: X86_4LEVEL, root: at(1) });
      const gva = (1n << 39n) | (1n << 30n) | (1n << 21n) | (1n << 12n) | 0x123n;
      assert.equal(translator.resolveGva(gva, ACCESS.write), at(5) + 0x123);
      memory.writeU64(at(3) + 8, 0n);
      assert.equal(translator.resolveGva(gva, ACCESS.write), -1);
      assert.equal(translator.fault.entryAddress, at(3) + 8);
    }
  });

  it('T2: a table at 16 TiB is not the one that has the same page number modulo 2^32', () => {
    const memory = GuestMemory.allocate(0x8000);
    memory.writeU64(0x1000, 0x1000_0000_2003n);
    memory.writeU64(0x2000, 0x3003n);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0x1000 });
    assert.equal(translator.resolve(0, 0, ACCESS.read), -1);
    const { kind, entryAddress } = translator.fault;
    assert.deepEqual([kind, entryAddress], ['table-unreadable', 0x1000_0000_2000]);
  });

  it('T2: entries in memory that others can write are fetched whole, never by halves', () => {
    // Pages 0 and 1 of a memory: a table whose first entry is the other one, which has a page of 1 GiB.
    const entries = new BigUint64Array(1024);
    entries[0] = 0x1003n;
    entries[512] = 0x4000_0083n;
    const whole = { firstPage: 0, readPages: 2, u64: entries, u32: new Uint32Array(2048), exclusive: false };
    const halved = {
      ...whole,
      u64: new BigUint64Array(1024),
      u32: new Uint32Array(entries.buffer),
      exclusive: true,
    };
    for (const window of [whole, halved]) {
      const reader = {
        root: new Int32Array(2),
        window,
        blocked: false,
        begin(): void {
          // The root is fixed.
        },
        load: () => assert.fail('What is in the window is not asked for'),
        replace: () => undefined,
        snapshot: () => false,
        covers: () => true,
      };
      const translator = new Translator({ reader, format: X86_4LEVEL });
      assert.equal(translator.resolve(0x123, 0, ACCESS.read), 0x4000_0123);
      const told = translator.translate(0x123n);
      assert(told.kind === 'mapped' && told.gpa === 0x4000_0123);
    }
  });
});
