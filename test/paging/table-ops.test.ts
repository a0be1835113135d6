import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytes, callbacks, GuestMemory, pending, settle } from '../../src/core/index.ts';
import {
  ACCESS,
  BufferTables,
  createRoot,
  FrameRange,
  GuestTables,
  map,
  mappings,
  type PagingFormat,
  type TableOps,
  type TableReadOps,
  type Translation,
  Translator,
  X86_4LEVEL,
  X86_32,
  X86_FORMATS,
  X86_PAE,
} from '../../src/paging/index.ts';

/** Somebody else's tables: an address is a pair of table and byte offset, and tables are plain arrays of bigints. */
interface Place {
  readonly table: number;
  readonly offset: number;
}

class PairTables implements TableOps<Place> {
  readonly tables: (bigint[] | undefined)[] = [];
  root: Place = { table: 0, offset: 0 };
  readonly sizes: Set<number> = new Set();

  entryAddr(addr: Place, byteOffset: number): Place {
    return { table: addr.table, offset: addr.offset + byteOffset };
  }
  readEntry(addr: Place, size: 4 | 8): bigint | undefined {
    this.sizes.add(size);
    return this.tables[addr.table]?.[addr.offset / size];
  }
  writeEntry(addr: Place, entry: bigint, size: 4 | 8): void {
    const table = this.tables[addr.table];
    assert(table !== undefined && addr.offset % size === 0);
    table[addr.offset / size] = entry;
  }
  toPhys(addr: Place): number {
    return addr.table * 4096 + addr.offset;
  }
  fromPhys(gpa: number): Place {
    return { table: Math.floor(gpa / 4096), offset: gpa % 4096 };
  }
  rootTable(): Place {
    return this.root;
  }
  updateRoot(root: Place): void {
    this.root = root;
  }
  allocTable(): Place | undefined {
    const table = this.tables.push(new Array<bigint>(1024).fill(0n)) - 1;
    return { table, offset: 0 };
  }
  freeTable(table: Place): void {
    this.tables[table.table] = undefined;
  }
}

function build<T>(tables: TableOps<T>, format: PagingFormat): Translator<T> {
  createRoot(tables, format);
  map(tables, { format, gva: 0x40_0000n, gpa: 0x80_0000, length: 0x40_0000, write: true, execute: true });
  map(tables, { format, gva: 0x1000n, gpa: 0x5000, length: 0x3000, user: true, execute: true });
  return new Translator({ tables, format });
}

function story(translation: Translation): unknown {
  const { levels, ...rest } = translation;
  return { ...rest, levels: levels.map(({ level, name }) => `${level} ${name}`) };
}

describe('TableReadOps and TableOps', () => {
  for (const format of X86_FORMATS) {
    it(`A4: ${format.name}: the same walker and builder over guest memory, a plain buffer and a user's own tables`, () => {
      const memory = GuestMemory.allocate(0x10_0000);
      const pairs = new PairTables();
      const guest = build(new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) }), format);
      const buffer = build(new BufferTables(new Uint8Array(0x1_0000), 0x8_0000), format);
      const own = build(pairs, format);
      for (const gva of [0x40_1234n, 0x7f_ffffn, 0x1000n, 0x3fffn]) {
        for (const user of [false, true]) {
          const [a, b, c] = [guest, buffer, own].map((translator) =>
            story(translator.translate(gva, { kind: 'write', user })),
          );
          // All but where the tables are.
          const blind = (value: unknown): unknown => ({ ...(value as object), entryAddress: undefined });
          assert.deepEqual(a, b);
          assert.deepEqual(blind(a), blind(c));
        }
      }
      assert.deepEqual([...mappings(guest)], [...mappings(own)]);
      assert.deepEqual([...mappings(guest)], [...mappings(buffer)]);
      assert.deepEqual([...pairs.sizes], [format.entrySize]);
    });
  }

  it('A4: entryAddr counts bytes: entries are found at every offset of a table', () => {
    const asked: number[] = [];
    const tables: TableReadOps<number> = {
      entryAddr: (addr, byteOffset) => {
        asked.push(byteOffset);
        return addr + byteOffset;
      },
      readEntry: () => undefined,
      toPhys: (addr) => addr,
      fromPhys: (gpa) => gpa,
      rootTable: () => 0x1000,
    };
    new Translator({ tables, format: X86_4LEVEL }).translate(0xffff_ff80_0000_0000n);
    new Translator({ tables, format: X86_32 }).translate(0xffc0_0000n);
    new Translator({ tables, format: X86_PAE }).translate(0xc000_0000n);
    assert.deepEqual(asked, [511 * 8, 1023 * 4, 3 * 8]);
  });

  it('A4: "cannot be read" and "not present" stay apart', () => {
    const entries = new Map<number, bigint>([
      [0x1000, 0x2003n],
      [0x1008, 0n],
    ]);
    const tables: TableReadOps<number> = {
      entryAddr: (addr, byteOffset) => addr + byteOffset,
      readEntry: (addr) => entries.get(addr),
      toPhys: (addr) => addr,
      fromPhys: (gpa) => gpa,
      rootTable: () => 0x1000,
    };
    const translator = new Translator({ tables, format: X86_4LEVEL });
    const unreadable = translator.translate(0n);
    assert(unreadable.kind === 'table-unreadable');
    assert.deepEqual([unreadable.level, unreadable.address, unreadable.levels.length], [3, 0x2000, 1]);
    const absent = translator.translate(0x80_0000_0000n);
    assert(absent.kind === 'page-fault');
    assert.equal(absent.reason, 'not-present');
  });

  it('A4: the fast form is used where it is there, and the root is asked for at every walk', () => {
    let root = 0x1000;
    let slow = 0;
    const tables: TableReadOps<number> = {
      entryAddr: (addr, byteOffset) => addr + byteOffset,
      readEntry: () => {
        slow++;
        return undefined;
      },
      readEntryInto: (addr, _size, halves) => {
        halves[0] = addr === 0x2000 ? 0 : 1;
        halves[1] = 0;
        return addr !== 0x3000;
      },
      toPhys: (addr) => addr,
      fromPhys: (gpa) => gpa,
      rootTable: () => root,
    };
    const translator = new Translator({ tables, format: X86_4LEVEL });
    assert.equal(translator.translate(0n).kind, 'mapped');
    root = 0x2000;
    assert.equal(translator.translate(0n).kind, 'page-fault');
    root = 0x3000;
    assert.equal(translator.translate(0n).kind, 'table-unreadable');
    assert.equal(slow, 0);
  });

  it('A4 T2: each entry is read once, whatever the outcome', () => {
    const reads = new Map<number, number>();
    const ram = new Uint8Array(0x4000);
    const view = new DataView(ram.buffer);
    const memory = GuestMemory.from(
      callbacks({
        size: 0x4000,
        read(offset, dest) {
          assert.equal(dest.length, 8, 'an entry is one access of its width');
          reads.set(offset, (reads.get(offset) ?? 0) + 1);
          dest.set(ram.subarray(offset, offset + dest.length));
        },
      }),
    );
    view.setBigUint64(0, 0x1003n, true);
    view.setBigUint64(0x1000, 0x2003n, true);
    view.setBigUint64(0x2000, 0x3003n, true);
    view.setBigUint64(0x3000, 0x9003n, true);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0 });
    const mapped = translator.translate(0x123n);
    assert(mapped.kind === 'mapped');
    assert.deepEqual(
      mapped.levels.map(({ entry }) => entry),
      [0x1003n, 0x2003n, 0x3003n, 0x9003n],
    );
    assert.deepEqual(
      [...reads.entries()],
      [
        [0, 1],
        [0x1000, 1],
        [0x2000, 1],
        [0x3000, 1],
      ],
    );
    translator.translate(0x1000n);
    assert.equal(reads.get(0x3008), 1);
  });

  it('M16: bytes that are on their way are waited for, not reported as unreadable', async () => {
    const ram = new Uint8Array(0x1000);
    new DataView(ram.buffer).setBigUint64(0, 0n, true);
    let there = false;
    const memory = GuestMemory.from(
      callbacks({
        size: 0x1000,
        read(offset, dest) {
          if (!there)
            throw pending(
              Promise.resolve().then(() => {
                there = true;
              }),
            );
          dest.set(ram.subarray(offset, offset + dest.length));
        },
      }),
    );
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0 });
    assert.throws(() => translator.translate(0n), { code: 'pending' });
    there = false;
    assert.equal((await settle(() => translator.translate(0n))).kind, 'page-fault');
  });

  it('T2: a backing that fails makes the table unreadable', () => {
    const memory = GuestMemory.from(
      callbacks({
        size: 0x1000,
        read() {
          throw new Error('disk on fire');
        },
      }),
    );
    const outcome = new Translator({ memory, format: X86_4LEVEL, root: 0 }).translate(0n);
    assert(outcome.kind === 'table-unreadable');
    assert.deepEqual([outcome.level, outcome.address], [4, 0]);
    const [record] = mappings(new Translator({ memory, format: X86_4LEVEL, root: 0 }));
    assert.equal(record?.kind, 'table-unreadable');
  });

  it('tables without a root, or without frames, say what is missing', () => {
    const memory = GuestMemory.allocate(0x1000);
    assert.throws(() => new Translator({ tables: new GuestTables(memory), format: X86_4LEVEL }), {
      code: 'invalid',
    });
    assert.throws(() => createRoot(new GuestTables(memory), X86_4LEVEL), { code: 'invalid' });
    assert.throws(() => new GuestTables(memory, { root: 2 ** 52 }), { code: 'invalid' });
    assert.throws(() => new BufferTables(new Uint8Array(0x1000), 0x123), { code: 'invalid' });
    assert.throws(() => new BufferTables(new Uint8Array(0x1000), 0, { root: 0x1000 }), { code: 'invalid' });
    const frames = new FrameRange(0x1000, 0x2000);
    assert.throws(() => frames.free(0x1000), { code: 'invalid' });
    assert.equal(frames.alloc(), 0x1000);
    frames.free(0x1000);
    assert.throws(() => frames.free(0x1000), { code: 'invalid' });
  });
});

describe('hyperlight C.3: the rows of its table', () => {
  const memory = GuestMemory.allocate(0x10_0000);
  const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
  createRoot(tables, X86_4LEVEL);
  const translator = new Translator({ tables, format: X86_4LEVEL });
  const format = X86_4LEVEL;

  it('C.3 "PS=1 PDE/PDPTE": large pages are leaves, and mapping inside one is refused with the data untouched', () => {
    memory.fillAt(0, 0xff, 0x1000);
    map(tables, { format, gva: 0x4000_0000n, gpa: 0, length: 0x4000_0000 });
    map(tables, { format, gva: 0x20_0000n, gpa: 0, length: 0x20_0000 });
    for (const gva of [0x4000_0123n, 0x20_0123n]) {
      const mapped = translator.translate(gva);
      assert(mapped.kind === 'mapped');
      assert.equal(mapped.gpa, 0x123);
      assert.throws(() => map(tables, { format, gva: gva - 0x123n, gpa: 0x5000, length: 0x1000 }), {
        code: 'taken',
      });
    }
    assert.deepEqual(memory.readBytes(0, 0x1000), new Uint8Array(0x1000).fill(0xff));
  });

  it('C.3 "last page of the address space": found, listed and mapped', () => {
    map(tables, { format, gva: 0xffff_ffff_ffff_f000n, gpa: 0x9000, length: 0x1000 });
    const mapped = translator.translate(0xffff_ffff_ffff_ffffn);
    assert(mapped.kind === 'mapped');
    assert.equal(mapped.gpa, 0x9fff);
    const found = [...mappings(translator, { first: 0xffff_ffff_ffff_f000n })];
    assert.deepEqual(
      found.map((record) => record.kind === 'mapped' && record.gpa),
      [0x9000],
    );
  });

  it('C.3 "len 0" and "len near u64::MAX": an empty range lists nothing, a whole one ends', () => {
    assert.equal([...mappings(translator, { first: 1n, last: 0n })].length, 0);
    assert.equal(
      [...mappings(translator, { first: 0x20_0123n, last: 0x20_0122n })].length,
      1,
      'both are in one page',
    );
    assert.equal([...mappings(translator, { first: 0n, last: 2n ** 64n - 1n })].length, 3);
    assert.throws(() => map(tables, { format, gva: 0n, gpa: 0, length: 0 }), { code: 'invalid' });
    assert.throws(() => map(tables, { format, gva: 0n, gpa: 0, length: 2 ** 64 }), { code: 'invalid' });
  });

  it('C.3 "non-canonical address": refused, not aliased to its low bits', () => {
    for (const gva of [0x0001_0000_0020_0000n, 0x8000_0000_0020_0000n, 0xffff_0000_0020_0000n]) {
      assert.equal(translator.translate(gva).kind, 'not-canonical');
      assert.equal(translator.resolveGva(gva, ACCESS.read), -1);
      assert.equal(translator.fault.kind, 'not-canonical');
      assert.equal(translator.fault.gva, gva);
      assert.throws(() => map(tables, { format, gva, gpa: 0, length: 0x1000 }), { code: 'not-canonical' });
    }
    for (const gva of [-1n, 2n ** 64n]) assert.throws(() => translator.translate(gva), { code: 'invalid' });
  });

  it('C.3 "unaligned phys" and "unaligned virt": refused, low bits become neither flags nor offsets', () => {
    assert.throws(() => map(tables, { format, gva: 0x60_0000n, gpa: 0x5004, length: 0x1000 }), {
      code: 'misaligned',
    });
    assert.throws(() => map(tables, { format, gva: 0x60_0800n, gpa: 0x5000, length: 0x1000 }), {
      code: 'misaligned',
    });
    assert.equal(translator.translate(0x60_0000n).kind, 'page-fault');
  });

  it('C.3 "parents are ignored": a read-only parent makes the page read-only, for the walk too', () => {
    const own = GuestMemory.allocate(0x5000);
    own.writeU64(0x1000, 0x2001n);
    own.writeU64(0x2000, 0x3003n);
    own.writeU64(0x3000, 0x4003n);
    own.writeU64(0x4000, 0x9003n);
    const walker = new Translator({ memory: own, format, root: 0x1000 });
    const mapped = walker.translate(0n);
    assert(mapped.kind === 'mapped');
    assert.equal(mapped.rights.write, false);
    const fault = walker.translate(0n, { kind: 'write' });
    assert(fault.kind === 'page-fault');
    assert.deepEqual([fault.reason, fault.errorCode, fault.rights?.write], ['rights', 3, false]);
  });

  it('C.3 "any other software bit": software bits change nothing', () => {
    const own = GuestMemory.allocate(0x5000);
    own.writeU64(0x1000, 0x2e03n | (0x7fn << 52n));
    own.writeU64(0x2000, 0x3e03n | (0x7fn << 52n));
    own.writeU64(0x3000, (0x20_0e83n & ~(1n << 12n)) | (0x7fn << 52n));
    const mapped = new Translator({ memory: own, format, root: 0x1000 }).translate(0x123n);
    assert(mapped.kind === 'mapped');
    assert.equal(mapped.gpa, 0x20_0123);
  });

  it('C.3 "ASID stays in the root", 48d5ac83: flags, PCID and upper bits of CR3 are no part of the address', () => {
    const root = BigInt(tables.rootTable());
    for (const cr3 of [root, root | 0xfffn, root | (1n << 63n), root | (3n << 61n) | 0x18n]) {
      const walker = new Translator({ memory, format, root: cr3 });
      assert.equal(walker.translate(0x20_0000n).kind, 'mapped');
    }
    const pae = GuestMemory.allocate(0x3000);
    pae.writeU64(0x1020, 0x2001n);
    pae.writeU64(0x2000, 0xe3n);
    assert.equal(
      new Translator({ memory: pae, format: X86_PAE, root: 0x1020 | 0x18 }).translate(0n).kind,
      'mapped',
    );
  });
});

describe('four-byte entries', () => {
  it('T1: are found at every place of an eight-byte word, and where memory ends between two of them', () => {
    const memory = GuestMemory.from(bytes(new Uint8Array(0x100c)));
    for (const index of [0, 1, 2]) memory.writeU32(0x1000 + index * 4, 0xe7 | ((index + 1) << 22));
    const translator = new Translator({ memory, format: X86_32, root: 0x1000 });
    const found = [0n, 0x40_0000n, 0x80_0000n].map((gva) => translator.translate(gva + 5n));
    assert.deepEqual(
      found.map((translation) => translation.kind === 'mapped' && translation.gpa),
      [0x40_0005, 0x80_0005, 0xc0_0005],
    );
    assert.equal(translator.translate(0xc0_0000n).kind, 'table-unreadable');
  });
});
