import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytes, callbacks, GuestMemory } from '../../src/core/index.ts';
import { CompiledFormat } from '../../src/paging/compiled-format.ts';
import type { EntryReader } from '../../src/paging/entry-reader.ts';
import type { PagingFormat } from '../../src/paging/format.ts';
import { RISCV_SV39, Translator, X86_4LEVEL, X86_32 } from '../../src/paging/index.ts';
import { type CursorOptions, MappingCursor } from '../../src/paging/mapping-cursor.ts';
import type { MappingRecord } from '../../src/paging/mapping-record.ts';

const PAGE = 4096;
const ALL: CursorOptions = {
  first: 0,
  last: 2 ** 36 - 1,
  coalesce: true,
  budget: 2 ** 24,
  expandAliases: false,
  details: false,
};

/** Counts what a listing asks of its format: of each leaf its rights, of an entry the rules. */
class NotedFormat extends CompiledFormat {
  leaves = 0;
  judged = 0;

  constructor(format: PagingFormat) {
    super(format, undefined);
    for (let level = this.top; ; level = level.next) {
      const judge = level.judge.bind(level);
      level.judge = (lo, hi) => {
        this.judged++;
        return judge(lo, hi);
      };
      if (level.next === level) break;
    }
  }

  override rights(andLo: number, orHi: number, lo: number, hi: number): number {
    this.leaves++;
    return super.rights(andLo, orHi, lo, hi);
  }
}

/** Counts what a listing asks of its tables. */
class NotedReader implements EntryReader {
  readonly root: EntryReader['root'];
  readonly window: EntryReader['window'];
  readonly blocked = false;
  /** Entries that were read one by one, and such as could not be. */
  loads = 0;
  failures = 0;
  /** Tables that were asked for as a whole, in bytes, and those that were given. */
  readonly wanted: number[] = [];
  given = 0;
  /** How many bytes were asked about. */
  readonly asked: number[] = [];
  private readonly inner: EntryReader;

  constructor(inner: EntryReader) {
    this.inner = inner;
    this.root = inner.root;
    this.window = inner.window;
  }

  begin(): void {
    this.inner.begin();
  }

  load(lo: number, hi: number, offset: number): boolean {
    this.loads++;
    const good = this.inner.load(lo, hi, offset);
    if (!good) this.failures++;
    return good;
  }

  snapshot(lo: number, hi: number, words: Uint32Array): boolean {
    this.wanted.push(words.byteLength);
    const good = this.inner.snapshot(lo, hi, words);
    if (good) this.given++;
    return good;
  }

  covers(lo: number, hi: number, length: number): boolean {
    this.asked.push(length);
    return this.inner.covers(lo, hi, length);
  }

  replace(): undefined {
    throw new Error('A listing writes nothing');
  }
}

interface Listing {
  readonly records: MappingRecord[];
  readonly reader: NotedReader;
  readonly compiled: NotedFormat;
}

function list(memory: GuestMemory, format: PagingFormat, options: Partial<CursorOptions> = {}): Listing {
  const reader = new NotedReader(new Translator({ memory, format, root: 0x1000 }).source.reader);
  const compiled = new NotedFormat(format);
  const records = [...new MappingCursor({ compiled, reader }, { ...ALL, ...options })];
  return { records, reader, compiled };
}

/** Tables at 0x1000, 0x2000, 0x3000 and 0x4000, each but the last with one entry: for the next one. */
function chain(memory: GuestMemory): GuestMemory {
  for (const table of [0x1000, 0x2000, 0x3000]) memory.writeU64(table, BigInt(table + 0x1003));
  return memory;
}

/** The same bytes in memory that can only be asked, not looked at. */
function behindCalls(memory: GuestMemory, size: number): GuestMemory {
  return GuestMemory.from(
    callbacks({
      size,
      read: (offset, dest) => memory.readAt(offset, dest),
    }),
  );
}

describe('how a listing reads tables', () => {
  it('T6: each table at once where that can be done, and no entry by itself', () => {
    const memory = chain(GuestMemory.allocate(0x5000));
    memory.writeU64(0x4000, 0x9003n);
    const { records, reader } = list(memory, X86_4LEVEL);
    assert.equal(records.length, 1);
    assert.deepEqual([reader.loads, reader.asked.length], [0, 0]);
    assert.deepEqual([reader.wanted, reader.given], [[PAGE, PAGE, PAGE, PAGE], 4]);
  });

  it('T6: in 32-bit x86 too, whose tables have 1024 entries', () => {
    const memory = GuestMemory.allocate(0x3000);
    memory.writeU32(0x1ffc, 0x2003);
    memory.writeU32(0x2ffc, 0x9003);
    const { records, reader } = list(memory, X86_32, { last: 2 ** 20 - 1 });
    assert.equal(records.length, 1);
    assert.deepEqual([reader.loads, reader.wanted, reader.given], [0, [PAGE, PAGE], 2]);
  });

  it('T6: elsewhere entry by entry, and asks once whether a table is there', () => {
    const memory = chain(GuestMemory.allocate(0x5000));
    memory.writeU64(0x4000, 0x9003n);
    const { records, reader } = list(behindCalls(memory, 0x5000), X86_4LEVEL);
    assert.equal(records.length, 1);
    assert.equal(reader.given, 0);
    assert.deepEqual([reader.loads, reader.failures], [4 * 512, 0]);
    assert.deepEqual(reader.asked, [PAGE, PAGE, PAGE, PAGE]);
  });

  it('T6: of a table that is cut off each entry is asked for, and none is read that is not there', () => {
    const memory = chain(GuestMemory.from(bytes(new Uint8Array(0x4800))));
    const { records, reader } = list(memory, X86_4LEVEL);
    assert.deepEqual(records, [
      { kind: 'table-unreadable', gva: 0x10_0000n, size: 0x10_0000, level: 1, address: 0x4800 },
    ]);
    assert.deepEqual([reader.loads, reader.failures], [256, 0]);
    assert.deepEqual(reader.asked, [PAGE, ...Array.from({ length: 512 }, () => 8)]);
  });
});

describe('how much a listing does for an entry', () => {
  it('T6: of leaves in a row the first is looked at, of the others whether they go on', () => {
    const memory = chain(GuestMemory.allocate(0x6000));
    memory.writeU64(0x3008, 0x5003n);
    for (let i = 0; i < 1024; i++) memory.writeU64(0x4000 + 8 * i, BigInt(0x10_0000 + i * PAGE) | 3n);
    const { records, compiled } = list(memory, X86_4LEVEL);
    assert.deepEqual(
      records.map((record) => 'size' in record && record.size),
      [1024 * PAGE],
    );
    // One in each of two tables.
    assert.equal(compiled.leaves, 2);
    // One by one: the first and, as bounds may cut it, the last.
    const single = list(memory, X86_4LEVEL, { coalesce: false });
    assert.deepEqual([single.records.length, single.compiled.leaves], [1024, 4]);
  });

  it('T6: in either half of an address space, and from the last page of the lower one on', () => {
    const memory = GuestMemory.allocate(0x2000);
    for (let i = 0; i < 512; i++) memory.writeU64(0x1000 + 8 * i, (BigInt(i) << 28n) | 0xcfn);
    const { records, compiled } = list(memory, RISCV_SV39, { last: 2 ** 27 - 1 });
    assert.deepEqual(
      records.map((record) => 'size' in record && record.size),
      [2 ** 38, 2 ** 38],
    );
    // One for each 16 GiB that the lower half of an entry holds.
    assert.equal(compiled.leaves, 512 / 16);
  });

  it('T6: the rules are not asked of entries that are plain to see', () => {
    const memory = chain(GuestMemory.allocate(0x5000));
    for (const [i, gpa] of [0x9000, 0xb000, 0xa000].entries())
      memory.writeU64(0x4010 + 16 * i, BigInt(gpa) | 3n);
    const { records, compiled } = list(memory, X86_4LEVEL);
    assert.equal(records.length, 3);
    assert.equal(compiled.judged, 0);
    // A large page that is not aligned is a case for them.
    memory.writeU64(0x3008, (1n << 13n) | 0x83n);
    assert.equal(list(memory, X86_4LEVEL).compiled.judged, 1);
  });

  it('T6: leaf by leaf, each is handed out before the next entry is read', () => {
    const memory = chain(GuestMemory.allocate(0x5000));
    for (let i = 0; i < 512; i++) memory.writeU64(0x4000 + 8 * i, BigInt(i * PAGE) | 3n);
    const { source } = new Translator({
      memory: behindCalls(memory, 0x5000),
      format: X86_4LEVEL,
      root: 0x1000,
    });
    const reader = new NotedReader(source.reader);
    const cursor = new MappingCursor({ compiled: source.compiled, reader }, { ...ALL, coalesce: false });
    for (let i = 0; i < 5; i++) {
      assert.equal(cursor.next().value?.gva, BigInt(i * PAGE));
      assert.equal(reader.loads, 4 + i);
    }
  });
});
