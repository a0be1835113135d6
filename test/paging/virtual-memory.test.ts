import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory, isGuestMemoryError } from '../../src/core/index.ts';
import {
  createRoot,
  FrameRange,
  GuestTables,
  isPagingError,
  map,
  type PagingErrorCode,
  Tlb,
  Translator,
  VirtualMemory,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const format = X86_4LEVEL;

/** Pages at 0x40_0000: 7, 3, 4 (neighbours), then one outside of memory, a hole, and page 9. */
function machine(): { memory: GuestMemory; tables: GuestTables; translator: Translator } {
  const memory = GuestMemory.allocate(0x10_0000);
  const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
  createRoot(tables, format);
  const at = (page: number, gpa: number): void => {
    map(tables, { format, gva: 0x40_0000n + BigInt(page * 4096), gpa, length: 0x1000 });
  };
  at(0, 0x7000);
  at(1, 0x3000);
  at(2, 0x4000);
  at(3, 0x4000_0000);
  at(5, 0x9000);
  map(tables, { format, gva: 2n ** 64n - 0x1000n, gpa: 0xa000, length: 0x1000 });
  for (let gpa = 0; gpa < 0xb000; gpa++) memory.writeU8(gpa, (gpa * 7 + (gpa >> 8)) & 0xff);
  return { memory, tables, translator: new Translator({ tables, format }) };
}

function assertFault(code: PagingErrorCode, gva: bigint, act: () => unknown): void {
  assert.throws(act, (error) => {
    assert(isGuestMemoryError(error));
    assert.equal(error.code, 'fault');
    assert(isPagingError(error.cause));
    assert.equal(error.cause.code, code);
    assert.equal(error.cause.gva, gva);
    assert.match(
      error.message,
      /^Cannot read \d+ bytes? of memory "heap": virtual address 0x[0-9a-f]+ has no translation/,
    );
    return true;
  });
}

describe('VirtualMemory', () => {
  it('T9: reads across pages that are not neighbours in memory, at any place and width', () => {
    const { memory, translator } = machine();
    const pages = [0x7000, 0x3000, 0x4000];
    const flat = new Uint8Array(0x3000);
    for (const [i, gpa] of pages.entries()) memory.readAt(gpa, flat, i * 4096, 4096);
    const view = new DataView(flat.buffer);
    for (const virtual of [
      new VirtualMemory(memory, translator),
      new VirtualMemory(memory, new Tlb(translator)),
    ]) {
      fc.assert(
        fc.property(
          fc.integer({ min: 0, max: 0x2ff8 }),
          fc.integer({ min: 0, max: 0x3000 }),
          (at, wanted) => {
            const gva = 0x40_0000n + BigInt(at);
            const length = Math.min(wanted, 0x3000 - at);
            assert.deepEqual(virtual.readBytes(gva, length), flat.slice(at, at + length));
            assert.equal(virtual.readU8(gva), view.getUint8(at));
            assert.equal(virtual.readU16(gva), view.getUint16(at, true));
            assert.equal(virtual.readU32(gva), view.getUint32(at, true));
            assert.equal(virtual.readU64(gva), view.getBigUint64(at, true));
          },
        ),
        { numRuns: 100 },
      );
      for (const at of [0xff9, 0xffd, 0xfff, 0x1000, 0x1ffc]) {
        assert.equal(virtual.readU64(0x40_0000n + BigInt(at)), view.getBigUint64(at, true));
        assert.equal(virtual.readU32(0x40_0000n + BigInt(at)), view.getUint32(at, true));
        assert.equal(virtual.readU16(0x40_0000n + BigInt(at)), view.getUint16(at, true));
      }
    }
  });

  it('T9 M3: exact reads are all or nothing, and the fault is the cause', () => {
    const { memory, translator } = machine();
    const virtual = new VirtualMemory(memory, translator);
    const dest = new Uint8Array(0x3000).fill(0xee);
    assertFault('page-fault', 0x40_4000n, () => virtual.readAt(0x40_4000n, dest, 0, 4));
    assertFault('page-fault', 0x40_6000n, () => virtual.readAt(0x40_5ff0n, dest, 0, 0x20));
    assertFault('not-canonical', 0x8000_0000_0000n, () => virtual.readU32(0x8000_0000_0000n));
    assertFault('not-canonical', 0x8000_0000_0000_0000n, () => virtual.readBytes(0x8000_0000_0000_0000n, 1));
    // Translated, but there is no memory: the memory says so.
    assert.throws(() => virtual.readAt(0x40_2000n, dest, 0, 0x2000), { code: 'unmapped', gpa: 0x4000_0000 });
    assert.throws(() => virtual.readU8(0x40_3000n), { code: 'unmapped', gpa: 0x4000_0000 });
    assert(
      dest.every((byte) => byte === 0xee),
      'nothing was written',
    );
  });

  it('T9: a table that is not there is a fault of its own kind', () => {
    const { memory, tables } = machine();
    memory.writeU64(tables.rootTable(), 0x7000_0000_0003n);
    const virtual = new VirtualMemory(memory, new Translator({ tables, format }));
    assertFault('table-unreadable', 0x40_0000n, () => virtual.readU8(0x40_0000n));
  });

  it('T9: partial reads count up to the first byte that is not there', () => {
    const { memory, translator } = machine();
    const virtual = new VirtualMemory(memory, translator);
    const dest = new Uint8Array(0x8000).fill(0xee);
    assert.equal(virtual.read(0x40_0ff0n, dest), 0x2010, 'up to the page that is outside of memory');
    assert.deepEqual(dest.slice(0, 0x10), memory.readBytes(0x7ff0, 0x10));
    assert.equal(dest[0x2010], 0xee);
    assert.equal(virtual.read(0x40_5ff0n, dest, 4, 0x20), 0x10, 'up to the hole');
    assert.equal(virtual.read(0x40_0000n, dest, 0, 0), 0);
    assert.equal(virtual.read(0x40_0000n, dest, 8, 16), 16);
    assertFault('page-fault', 0x40_4000n, () => virtual.read(0x40_4000n, dest));
    assert.throws(() => virtual.read(0x40_3000n, dest), { code: 'unmapped' });
  });

  it('T9 M4: the end of the space, empty ranges, and arguments that are none', () => {
    const { memory, translator } = machine();
    const virtual = new VirtualMemory(memory, translator);
    const end = 2n ** 64n;
    assert.deepEqual(virtual.readBytes(end - 16n, 16), memory.readBytes(0xaff0, 16));
    assert.equal(virtual.readU8(end - 1n), memory.readU8(0xafff));
    assert.throws(() => virtual.readU16(end - 1n), { code: 'invalid' });
    assert.throws(() => virtual.readBytes(end - 16n, 17), { code: 'invalid' });
    assert.throws(() => virtual.read(end - 16n, new Uint8Array(17)), { code: 'invalid' });
    assert.equal(virtual.readBytes(0x1234_5678n, 0).length, 0, 'an empty range needs no translation');
    assert.throws(() => virtual.readBytes(0x40_0000n, -1), { code: 'invalid' });
    assert.throws(() => virtual.readBytes(0x40_0000n, 1.5), { code: 'invalid' });
    assert.throws(() => virtual.readAt(0x40_0000n, new Uint8Array(4), 2, 3), { code: 'invalid' });
    assert.throws(() => virtual.readAt(0x40_0000n, new Uint8Array(4), 5), { code: 'invalid' });
    assert.throws(() => virtual.read(0x40_0000n, new Uint8Array(4), -1, 1), { code: 'invalid' });
    assert.throws(() => virtual.readU8(-1n), isPagingError);
    assert.throws(() => virtual.readU8(end), isPagingError);
  });

  it('T9: a range is followed over the end of 4 GiB, and what has no translation comes before what has no memory', () => {
    const { memory, tables } = machine();
    for (const [gva, gpa] of [
      [0xffff_f000n, 0x7000],
      [0x1_0000_0000n, 0x3000],
      [0x1_0000_1000n, 0x7000_0000],
    ] as const)
      map(tables, { format, gva, gpa, length: 0x1000 });
    const virtual = new VirtualMemory(memory, new Translator({ tables, format }));
    const expected = [...memory.readBytes(0x7ff8, 8), ...memory.readBytes(0x3000, 8)];
    assert.deepEqual([...virtual.readBytes(0xffff_fff8n, 16)], expected);
    for (const call of [
      (length: number) => virtual.probe(0xffff_f000n, length),
      (length: number) => virtual.readBytes(0xffff_f000n, length),
    ]) {
      assert.throws(() => call(0x3000), { code: 'unmapped', failedAt: 0x7000_0000 });
      assert.throws(() => call(0x3001), {
        code: 'fault',
        message: /virtual address 0x100002000 has no translation/,
      });
    }
  });

  it('T9: what a call keeps has an end, however the guest scatters a range; a question keeps nothing', () => {
    // Four pages of tables that map one page everywhere, so that no two neighbours are one run.
    const memory = GuestMemory.allocate(0x8000);
    for (const table of [0x1000, 0x2000, 0x3000, 0x4000])
      for (let i = 0; i < 512; i++) memory.writeU64(table + 8 * i, BigInt(table + 0x1000) | 7n);
    const translator = new Translator({ memory, format, root: 0x1000 });
    const virtual = new VirtualMemory(memory, new Tlb(translator, { entries: 1 }));
    memory.fillAt(0x5000, 0xee, 0x1000);
    const most = 2 ** 20 * 0x1000;
    assert.throws(() => virtual.fillAt(0n, 0, most + 1), { name: 'GuestMemoryError', code: 'too-large' });
    assert.equal(memory.readU8(0x5000), 0xee, 'nothing was filled');
    assert.equal(virtual.checkRange(0n, most + 1), true);
  });

  it('T9: reads in the name of who it is told', () => {
    const { memory, tables, translator } = machine();
    map(tables, { format, gva: 0x80_0000n, gpa: 0x7000, length: 0x1000, user: true });
    assertFault('page-fault', 0x40_0000n, () =>
      new VirtualMemory(memory, translator, { user: true }).readU8(0x40_0000n),
    );
    assert.equal(
      new VirtualMemory(memory, translator, { user: true }).readU8(0x80_0000n),
      memory.readU8(0x7000),
    );
    const smap = new Translator({ tables, format, controls: { smap: true } });
    assertFault('page-fault', 0x80_0000n, () => new VirtualMemory(memory, smap).readU8(0x80_0000n));
    assert.equal(new VirtualMemory(memory, smap, { ac: true }).readU8(0x80_0000n), memory.readU8(0x7000));
  });
});
