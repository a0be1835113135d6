import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory, heap, shared } from '../../src/core/index.ts';
import { CompiledFormat } from '../../src/paging/compiled-format.ts';
import type { EntryReader } from '../../src/paging/entry-reader.ts';
import {
  ACCESS,
  createRoot,
  FORMATS,
  FrameRange,
  GuestTables,
  map,
  NPT_4LEVEL,
  NPT_5LEVEL,
  type PagingControls,
  type PagingFormat,
  Translator,
  X86_4LEVEL,
  X86_5LEVEL,
} from '../../src/paging/index.ts';
import { QuickWalk } from '../../src/paging/quick-walk.ts';

const MIB = 0x10_0000;
/** Tables above 4 GiB, as in a guest with much memory. */
const RAM = 0x1_0000_0000;
const GVA = 0x7654_4000_0000n;
/** A page of the kernel, in the upper half of the address space. */
const upperHalf = ({ addressBits, upperBits }: PagingFormat): bigint =>
  upperBits === 'zeros' ? 1n << BigInt(addressBits - 1) : 2n ** 64n - (1n << BigInt(addressBits - 1));
const LARGE = GVA + 0x20_0000n;
const HUGE = GVA + 0x4000_0000n;

/** One page of each size, and one of the kernel. */
function machine(format: PagingFormat, kind: 'heap' | 'shared' = 'heap', controls: PagingControls = {}) {
  const memory = GuestMemory.fromRegions([
    { start: RAM, backing: kind === 'heap' ? heap(MIB) : shared(MIB) },
  ]);
  const tables = new GuestTables(memory, { frames: new FrameRange(RAM, MIB) });
  createRoot(tables, format);
  const page = { format, write: true, user: true, execute: true };
  map(tables, { ...page, gva: GVA, gpa: 0x5000, length: 0x1000, maxPageSize: 4096 });
  map(tables, { ...page, gva: LARGE, gpa: 0x40_0000, length: 0x20_0000 });
  map(tables, { ...page, gva: HUGE, gpa: 0x8000_0000, length: 0x4000_0000 });
  map(tables, { format, gva: upperHalf(format), gpa: 0x7_0000_0000, length: 0x1000, maxPageSize: 4096 });
  const translator = new Translator({ tables, format, controls });
  const { compiled, reader } = translator.source;
  const trace = { compiled, root: reader.root, entries: new Uint32Array(10), reads: 0 };
  const quick = new QuickWalk(trace, reader, true);
  return {
    ...{ memory, tables, translator, trace },
    look: (gva: bigint, access: number = ACCESS.read) =>
      quick.look(Number(gva & 0xffff_ffffn), Number(gva >> 32n), access),
    /** Address of the entry that a level has for an address. */
    entryOf: (gva: bigint, level: number) =>
      translator.translate(gva).levels.find((entry) => entry.level === level)?.entryAddress ?? -1,
  };
}

const PAGE = 0x40_0000;

/** Tables with 64 KiB at one address, for everybody. */
function onePage(format: PagingFormat, gva: number) {
  const tables = new GuestTables(GuestMemory.allocate(MIB), { frames: new FrameRange(0, MIB) });
  createRoot(tables, format);
  const rights = { write: true, user: true, execute: true };
  map(tables, { format, gva: BigInt(gva), gpa: PAGE, length: 0x1_0000, ...rights });
  const translator = new Translator({ tables, format });
  const { compiled, reader } = translator.source;
  const trace = { compiled, root: reader.root, entries: new Uint32Array(10), reads: 0 };
  const quick = new QuickWalk(trace, reader, true);
  return { translator, look: (lo: number, access: number) => quick.look(lo, 0, access) };
}

describe('the walk that nearly every access makes', () => {
  for (const format of [X86_4LEVEL, X86_5LEVEL, NPT_4LEVEL, NPT_5LEVEL]) {
    for (const kind of ['heap', 'shared'] as const) {
      it(`T2: finds pages of every size without the walk itself: ${format.name}, ${kind} memory`, () => {
        const { look, trace } = machine(format, kind);
        const levels = format.levels.length;
        for (const [gva, gpa, reads] of [
          [GVA + 0x123n, 0x5000, levels],
          [LARGE + 0x1f_f123n, 0x5f_f000, levels - 1],
          [HUGE + 0x3fff_f000n, 0xbfff_f000, levels - 2],
        ] as const) {
          assert.equal(look(gva, ACCESS.userRead), gpa / 4096);
          assert.equal(trace.reads, reads);
        }
        assert.equal(look(upperHalf(format), ACCESS.read), 0x70_0000);
      });
    }
  }

  it('T2: leaves to the walk what is not mapped, not allowed, or against the rules', () => {
    const { look, memory, entryOf } = machine(X86_4LEVEL, 'heap', { nxe: true, maxPhyAddr: 46 });
    assert.equal(look(GVA + 0x1000n), -1, 'not present');
    assert.equal(look(GVA + 0x80_0000_0000n), -1, 'no table');
    assert.equal(look(0x8000_0000_0000n), -1, 'not canonical');
    assert.equal(look(upperHalf(X86_4LEVEL), ACCESS.userRead), -1, 'a page of the kernel');
    assert.equal(look(upperHalf(X86_4LEVEL), ACCESS.write), -1, 'a page that is not writable');
    assert.equal(look(upperHalf(X86_4LEVEL), ACCESS.execute), -1, 'a page that is not executable');
    for (const access of [-1, 3, 64, 1.5]) assert.equal(look(GVA, access), -1, `no access: ${access}`);
    for (const [level, bit, why] of [
      [4, 7, 'a page of 512 GiB'],
      [4, 50, 'an address that the processor does not have'],
      [3, 46, 'an address that the processor does not have'],
      [1, 46, 'an address that the processor does not have'],
      [1, 43, 'a page from 8 TiB on, which is no small integer'],
      [2, 43, 'a table from 8 TiB on'],
      [2, 44, 'a table at 16 TiB, whose page number in 32 bits would be that of another'],
      [2, 20, 'a table where no memory is'],
    ] as const) {
      const at = entryOf(GVA, level);
      const entry = memory.readU64(at);
      assert.equal(look(GVA), 5);
      memory.writeU64(at, entry | (1n << BigInt(bit)));
      assert.equal(look(GVA), -1, `bit ${bit} at level ${level}: ${why}`);
      memory.writeU64(at, entry);
    }
    const at = entryOf(LARGE, 2);
    memory.writeU64(at, memory.readU64(at) | 0x2000n);
    assert.equal(look(LARGE), -1, 'a page of 2 MiB that is not aligned');
  });

  it("T2: a right that one level denies is denied, and is the walk's to tell", () => {
    for (const level of [4, 3, 2, 1]) {
      for (const [bit, access] of [
        [1n, ACCESS.write],
        [2n, ACCESS.userRead],
        [63n, ACCESS.execute],
      ] as const) {
        const { look, memory, entryOf } = machine(X86_4LEVEL);
        const at = entryOf(GVA, level);
        assert.equal(look(GVA, access), 5);
        memory.writeU64(at, memory.readU64(at) ^ (1n << bit));
        assert.equal(look(GVA, access), -1, `bit ${bit} at level ${level}`);
        assert.equal(look(GVA), 5, 'a supervisor reads on');
      }
    }
  });

  it('T2: looks at the root where it is now, wherever that is', () => {
    const { tables, translator } = machine(X86_4LEVEL);
    assert.equal(translator.resolveGva(GVA, ACCESS.read), 0x5000);
    const root = tables.rootTable();
    tables.updateRoot(RAM + 0x8_0000);
    assert.equal(translator.resolveGva(GVA, ACCESS.read), -1);
    assert.equal(translator.fault.reason, 'not-present');
    // 16 TiB further on: the same page number in 32 bits.
    tables.updateRoot(root + 2 ** 44);
    assert.equal(translator.resolveGva(GVA, ACCESS.read), -1);
    assert.equal(translator.fault.kind, 'table-unreadable');
    tables.updateRoot(root);
    assert.equal(translator.resolveGva(GVA, ACCESS.read), 0x5000);
  });

  it('T3 T4: keeps out where keys or marks have a say, and of formats that it does not know', () => {
    for (const controls of [{ pku: true, pkru: 0b01 }, { accessedDirty: 'update' }] as const) {
      const { translator, memory, entryOf } = machine(X86_4LEVEL, 'heap', { ...controls });
      const gpa = translator.resolveGva(GVA, ACCESS.userRead);
      if ('pku' in controls) assert.equal(gpa, -1, 'key 0 is closed');
      else assert.equal(memory.readU64(entryOf(GVA, 1)) & 0x20n, 0x20n, 'marked as accessed');
    }
    const gva = 0x20_0000;
    for (const format of FORMATS.filter(({ name }) => !/^(x86-[45]level|npt-[45]level)$/.test(name))) {
      const { translator, look } = onePage(format, gva);
      for (const access of Object.values(ACCESS)) assert.equal(look(gva, access), -1, format.name);
      assert.equal(translator.resolve(gva, 0, ACCESS.userRead), PAGE, format.name);
    }
  });

  it('T1: keeps out of formats that have fewer than 32 bits of address, which it does not look at one by one', () => {
    const levels = X86_4LEVEL.levels.slice(2);
    const format: PagingFormat = { ...X86_4LEVEL, addressBits: 30, upperBits: 'zeros', levels };
    const { translator } = onePage(format, 0x20_0000);
    assert.equal(translator.resolve(0x20_0123, 0, ACCESS.read), PAGE + 0x123);
    assert.equal(translator.resolve(0x4020_0123, 0, ACCESS.read), -1);
    assert.equal(translator.fault.kind, 'not-canonical');
  });

  it('T1: keeps out of formats that fold upper bits of an address into the lower half of a leaf', () => {
    // As PSE-36 does with 32-bit entries: here software's bits 11:9 are bits 34:32 of the address.
    const leafAddress = [
      { from: 12, bits: 20, to: 12 },
      { from: 9, bits: 3, to: 32 },
    ];
    const levels = X86_4LEVEL.levels.map((level) => (level.level === 1 ? { ...level, leafAddress } : level));
    const memory = GuestMemory.allocate(0x8000);
    for (const table of [0x1000n, 0x2000n, 0x3000n]) memory.writeU64(Number(table), (table + 0x1000n) | 3n);
    memory.writeU64(0x4000, 0x5003n | (1n << 9n));
    const folded = new Translator({ memory, format: { ...X86_4LEVEL, levels }, root: 0x1000 });
    assert.equal(folded.resolve(0x123, 0, ACCESS.read), 0x1_0000_5123);
  });

  it('T2: reads by halves where nobody else writes, else whole, and nothing behind the pages that it may read', () => {
    // Page 0 is a table whose first entry leads to page 1, which has a page of 1 GiB.
    const entries = new BigUint64Array(1024);
    entries[0] = 0x1003n;
    entries[512] = 0x4000_0083n;
    const none = new BigUint64Array(1024);
    const halves = (from: BigUint64Array): Uint32Array => new Uint32Array(from.buffer);
    const look = (readPages: number, exclusive: boolean): number => {
      const [u64, u32] = exclusive ? [none, halves(entries)] : [entries, halves(none)];
      const root = new Int32Array(2);
      const reader: EntryReader = {
        root,
        window: { firstPage: 0, readPages, u64, u32, exclusive },
        blocked: false,
        begin: () => assert.fail('The walk itself was asked'),
        load: () => false,
        replace: () => undefined,
        snapshot: () => false,
        covers: () => true,
      };
      const compiled = new CompiledFormat(X86_4LEVEL, {});
      const trace = { compiled, root, entries: new Uint32Array(8), reads: 0 };
      return new QuickWalk(trace, reader, true).look(0, 0, ACCESS.read);
    };
    for (const exclusive of [true, false]) {
      assert.equal(look(2, exclusive), 0x4_0000);
      assert.equal(look(1, exclusive), -1);
    }
  });
});
