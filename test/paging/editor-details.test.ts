import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  BufferTables,
  createRoot,
  EPT_4LEVEL,
  FrameRange,
  map,
  type PagingFormat,
  protect,
  RISCV_SV39,
  type TableOps,
  Translator,
  unmap,
  X86_4LEVEL,
  X86_32,
} from '../../src/paging/index.ts';

const LARGE = 0x20_0000;
const HUGE = 0x4000_0000;

/** Tables that note where entries are written. */
class Noted extends BufferTables {
  readonly written: number[] = [];
  override writeEntry(addr: number, entry: bigint, size: 4 | 8): void {
    this.written.push(addr);
    super.writeEntry(addr, entry, size);
  }
}

function setUp(format: PagingFormat): Noted {
  const tables = new Noted(new Uint8Array(0x1_0000), 0x10_0000);
  createRoot(tables, format);
  return tables;
}

describe('writing of entries', () => {
  it('T7: each entry is written once, and what leads to a new table last', () => {
    const tables = setUp(X86_4LEVEL);
    const range = { format: X86_4LEVEL, gva: 0x3f_f000n, length: 0x3000 };
    const written = (edit: () => unknown): readonly number[] => {
      tables.written.length = 0;
      edit();
      assert.equal(new Set(tables.written).size, tables.written.length);
      return tables.written;
    };
    // 3 leaves, 2 tables of leaves, a directory, a table of directories.
    const made = written(() => map(tables, { ...range, gpa: 0 }));
    assert.deepEqual([made.length, made.at(-1)], [7, tables.rootTable()]);
    assert.equal(written(() => map(tables, { ...range, gva: 0x20_0000n, gpa: 0 })).length, 3);
    assert.equal(written(() => map(tables, { ...range, gva: 0xa0_0000n, gpa: 0 })).length, 4);
    assert.equal(written(() => protect(tables, { ...range, write: true })).length, 3);
    assert.equal(written(() => unmap(tables, range)).length, 4);
  });

  it('T7: a page of 1 GiB is split twice for a page in it', () => {
    const tables = setUp(X86_4LEVEL);
    const format = X86_4LEVEL;
    map(tables, { format, gva: BigInt(HUGE), gpa: HUGE, length: HUGE });
    const cut = unmap(tables, { format, gva: BigInt(HUGE + LARGE + 0x1000), length: 0x1000 });
    assert.deepEqual([cut.unmapped, cut.tables, cut.freed], [0x1000, 2, 0]);
    const translator = new Translator({ tables, format });
    for (const [offset, pageSize] of [
      [0, LARGE],
      [LARGE, 0x1000],
      [LARGE + 0x1000, 0],
      [LARGE + 0x2000, 0x1000],
      [2 * LARGE, LARGE],
      [HUGE - LARGE, LARGE],
    ] as const) {
      const found = translator.translate(BigInt(HUGE + offset));
      if (found.kind === 'mapped') assert.deepEqual([found.gpa, found.pageSize], [HUGE + offset, pageSize]);
      else assert.equal(pageSize, 0);
    }
  });

  it('T7: tables whose references nobody counts stay, for something else may lead to them', () => {
    for (const references of [undefined, 1]) {
      const inner = setUp(X86_4LEVEL);
      const freed: number[] = [];
      const tables: TableOps<number> = {
        entryAddr: (addr, offset) => addr + offset,
        readEntry: (addr, size) => inner.readEntry(addr, size),
        writeEntry: (addr, entry, size) => inner.writeEntry(addr, entry, size),
        toPhys: (addr) => addr,
        fromPhys: (gpa) => gpa,
        rootTable: () => inner.rootTable(),
        updateRoot: (root) => inner.updateRoot(root),
        allocTable: (size) => inner.allocTable(size),
        freeTable: (table, size) => freed.push(table, size),
        ...(references !== undefined && { tableReferences: () => references }),
      };
      const range = { format: X86_4LEVEL, gva: 0n, length: 0x1000 };
      map(tables, { ...range, gpa: 0 });
      const { unmapped, freed: count } = unmap(tables, range);
      assert.deepEqual([unmapped, count], [0x1000, references === undefined ? 0 : 3]);
      assert.deepEqual(
        freed,
        references === undefined ? [] : [0x10_3000, 4096, 0x10_2000, 4096, 0x10_1000, 4096],
      );
      assert.equal(new Translator({ tables, format: X86_4LEVEL }).translate(0n).kind, 'page-fault');
    }
  });
});

describe('leaves that cannot be', () => {
  it('T7: an address or a type that no leaf can have is refused, in new tables and in those that are there', () => {
    const page = { gva: 0x1000n, length: 0x1000, execute: true };
    for (const [format, wrong] of [
      [X86_32, { gpa: 0x1_0000_0000 }],
      [EPT_4LEVEL, { gpa: 0, memoryType: 2 }],
      [EPT_4LEVEL, { gpa: 0, memoryType: 7 }],
    ] as const) {
      const tables = setUp(format);
      const refused = { code: 'invalid', gva: 0x1000n, level: 1 };
      assert.throws(() => map(tables, { ...page, ...wrong, format }), refused);
      assert.equal(tables.used, 0x1000 * format.levels.length);
      map(tables, { ...page, format, gva: 0n, gpa: 0 });
      assert.throws(() => map(tables, { ...page, ...wrong, format }), refused);
      assert.equal(map(tables, { ...page, format, gpa: 0 }).leaves, 1);
    }
    // The second page of the run is the one.
    assert.throws(() => map(setUp(X86_32), { ...page, format: X86_32, gpa: 0xffff_f000, length: 0x2000 }), {
      code: 'invalid',
      gva: 0x2000n,
    });
  });

  it('T7: RISC-V has no page that can be written and not read, and none without rights', () => {
    const tables = setUp(RISCV_SV39);
    const page = { format: RISCV_SV39, gva: 0x1000n, length: 0x1000 };
    map(tables, { ...page, gpa: 0, write: true });
    assert.throws(() => protect(tables, { ...page, read: false }), { code: 'invalid', gva: 0x1000n });
    assert.throws(() => protect(tables, { ...page, read: false, write: false }), { code: 'invalid' });
    protect(tables, { ...page, read: false, write: false, execute: true });
  });
});

describe('neighbours that are no one range', () => {
  it('T7: what was widened and what was changed, a page and a table, are told apart', () => {
    const tables = setUp(X86_4LEVEL);
    const format = X86_4LEVEL;
    const page = { format, gva: 0n, length: 0x1000 };
    map(tables, { ...page, gpa: 0, memoryType: 1 });
    map(tables, { ...page, gva: 0x1000n, gpa: 0 });
    const { invalidations } = protect(tables, { ...page, length: 0x2000, memoryType: 1, write: true });
    assert.deepEqual(
      invalidations.map(({ gva, size, why }) => [gva, size, why]),
      [
        [0n, 0x1000, 'widened'],
        [0x1000n, 0x1000, 'changed'],
      ],
    );
    map(tables, { format, gva: BigInt(LARGE), gpa: 0, length: LARGE });
    map(tables, { ...page, gva: BigInt(2 * LARGE), gpa: 0 });
    const last = new Translator({ tables, format }).translate(BigInt(2 * LARGE)).levels.at(-1);
    tables.writeEntry(last?.entryAddress ?? 0, 0n, 8);
    assert.deepEqual(
      unmap(tables, { format, gva: BigInt(LARGE), length: 2 * LARGE }).invalidations.map((told) => [
        Number(told.gva),
        told.size,
        told.tables,
      ]),
      [
        [LARGE, LARGE, false],
        [2 * LARGE, LARGE, true],
      ],
    );
  });

  it('T7: frames that are apart are no larger one', () => {
    const frames = new FrameRange(0x4000, 0x4000);
    for (let i = 0; i < 4; i++) frames.alloc();
    for (const gpa of [0x4000, 0x7000]) {
      frames.free(gpa);
      assert.equal(frames.alloc(0x2000), undefined);
    }
    frames.free(0x6000);
    assert.equal(frames.alloc(0x2000), 0x6000);
  });

  it('T7: an error without an entry is about the address alone', () => {
    const tables = setUp(X86_4LEVEL);
    const request = { format: X86_4LEVEL, gva: 0x1000n, length: 0x1000, write: true };
    assert.throws(() => protect(tables, request), {
      code: 'not-mapped',
      message: /stopped at 0x1000: nothing is mapped there$/,
    });
  });
});
