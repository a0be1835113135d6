import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  BufferTables,
  createRoot,
  map,
  merge,
  type PagingFormat,
  type ProtectRequest,
  protect,
  RISCV_SV39,
  RISCV_SV39X4,
  Translator,
  unmap,
  X86_4LEVEL,
  X86_32,
} from '../../src/paging/index.ts';

const LARGE = 0x20_0000;
const AT = 0x4020_0000n;
const WHOLE = { format: X86_4LEVEL, gva: AT, length: LARGE };

function setUp(format: PagingFormat = X86_4LEVEL): BufferTables {
  const tables = new BufferTables(new Uint8Array(0x1_0000), 0x10_0000);
  createRoot(tables, format);
  return tables;
}

function leaf(
  tables: BufferTables,
  gva: bigint,
  format: PagingFormat = X86_4LEVEL,
): { at: number; entry: bigint; level: number } {
  const last = new Translator({ tables, format }).translate(gva).levels.at(-1);
  assert(last !== undefined);
  return { at: last.entryAddress, entry: last.entry, level: last.level };
}

/** A table of 512 small pages that one large one could stand for. */
function small(gpa = LARGE): BufferTables {
  const tables = setUp();
  map(tables, { ...WHOLE, gpa, maxPageSize: 4096 });
  return tables;
}

describe('merge', () => {
  it('T7: joins nothing that differs in one page, whatever it is and wherever it stands', () => {
    const changes: readonly Partial<ProtectRequest>[] = [
      { write: true },
      { execute: true },
      { user: true },
      { global: true },
      { memoryType: 1 },
      { protectionKey: 1 },
      { software: 1 },
    ];
    for (const page of [0, 7, 511]) {
      const one = { ...WHOLE, gva: AT + BigInt(page * 4096), length: 4096 };
      const tables = small();
      const { at, entry } = leaf(tables, one.gva);
      for (const change of changes) {
        protect(tables, { ...one, ...change });
        assert.equal(merge(tables, WHOLE).merged, 0, `${page} ${Object.keys(change)}`);
        tables.writeEntry(at, entry, 8);
      }
      // Software's own bits, another page, and none.
      for (const other of [entry | (1n << 52n), entry + 0x4000_0000n, 0n]) {
        tables.writeEntry(at, other, 8);
        assert.equal(merge(tables, WHOLE).merged, 0, `${page} ${other.toString(16)}`);
      }
      tables.writeEntry(at, entry, 8);
      assert.equal(merge(tables, WHOLE).merged, 1);
    }
  });

  it('T7: joins nothing that is not aligned, that breaks a rule, or of which no leaf could be', () => {
    assert.equal(merge(small(LARGE + 0x1000), WHOLE).merged, 0);

    const tables = small();
    for (let page = 0; page < 512; page++) {
      const { at, entry } = leaf(tables, AT + BigInt(page * 4096));
      tables.writeEntry(at, entry | (1n << 45n), 8);
    }
    assert.equal(merge(tables, { ...WHOLE, controls: { maxPhyAddr: 40 } }).merged, 0);

    const huge = { format: X86_4LEVEL, gva: 0n, length: 2 ** 39 };
    const most = setUp();
    assert.equal(map(most, { ...huge, gpa: 0 }).leaves, 512);
    assert.equal(merge(most, huge).merged, 0);
  });

  it('T7: looks only at tables that lie within the range as a whole', () => {
    const tables = small();
    for (const [offset, length] of [
      [0x1000, LARGE - 0x1000],
      [0, LARGE - 0x1000],
      [0x1000, LARGE],
      [-0x1000, LARGE],
    ] as const)
      assert.equal(merge(tables, { ...WHOLE, gva: AT + BigInt(offset), length }).merged, 0);
    assert.equal(merge(tables, { ...WHOLE, gva: AT - 0x1000n, length: LARGE + 0x2000 }).merged, 1);
  });

  it('T7: a large page is accessed and dirty where any of its parts was', () => {
    for (const mark of ['accessed', 'dirty'] as const) {
      for (const page of [0, 100, 511]) {
        const tables = setUp();
        map(tables, { ...WHOLE, gpa: LARGE, maxPageSize: 4096, accessed: false, dirty: false });
        protect(tables, { ...WHOLE, gva: AT + BigInt(page * 4096), length: 4096, [mark]: true });
        assert.equal(merge(tables, WHOLE).merged, 1);
        assert.equal(leaf(tables, AT).entry & 0x60n, mark === 'accessed' ? 0x20n : 0x40n);
      }
    }
  });
});

describe('ranges that cut a large page', () => {
  for (const [what, offset, length] of [
    ['its beginning', 0, 0x3000],
    ['its end', 0x3000, LARGE - 0x3000],
    ['its middle', 0x3000, 0x2000],
  ] as const) {
    it(`T7: the rest stays as it was: ${what}`, () => {
      const part = { ...WHOLE, gva: AT + BigInt(offset), length };
      for (const edit of ['protect', 'unmap'] as const) {
        const tables = setUp();
        map(tables, { ...WHOLE, gpa: LARGE });
        if (edit === 'protect') protect(tables, { ...part, write: true });
        else assert.equal(unmap(tables, part).unmapped, length);
        const translator = new Translator({ tables, format: X86_4LEVEL });
        for (let page = 0; page < 512; page++) {
          const inside = page * 4096 >= offset && page * 4096 < offset + length;
          const found = translator.translate(AT + BigInt(page * 4096));
          if (edit === 'unmap') assert.equal(found.kind === 'mapped', !inside);
          else assert(found.kind === 'mapped' && found.rights.write === inside);
        }
      }
    });
  }
});

describe('what depends on the format', () => {
  it('T7: a root is as large as its first level', () => {
    for (const [format, size] of [
      [X86_4LEVEL, 0x1000],
      [X86_32, 0x1000],
      [RISCV_SV39, 0x1000],
      [RISCV_SV39X4, 0x4000],
    ] as const)
      assert.equal(setUp(format).used, size, format.name);
  });

  it('T7: RISC-V may remember that nothing was mapped: what is added is told', () => {
    const format = RISCV_SV39;
    const tables = setUp(format);
    const page = { format, gva: 0x4000_1000n, gpa: 0x1000, length: 0x1000 };
    const added = (gva: bigint, size: number, upper: boolean): object => ({
      gva,
      size,
      pageSize: size,
      why: 'added',
      tables: upper,
      global: false,
    });
    assert.deepEqual(map(tables, page).invalidations, [added(0x4000_0000n, 0x4000_0000, true)]);
    assert.deepEqual(
      map(tables, { ...page, gva: 0x4000_3000n, length: 0x2000 }).invalidations,
      [added(0x4000_3000n, 0x2000, false)].map((told) => ({ ...told, pageSize: 0x1000 })),
    );
    assert.deepEqual(map(tables, { ...page, gva: 0x4020_0000n }).invalidations, [
      added(0x4020_0000n, LARGE, true),
    ]);
    const x86 = setUp();
    assert.deepEqual(map(x86, { ...page, format: X86_4LEVEL }).invalidations, []);
  });

  it('T7: a page of 64 KiB of RISC-V is in the way of another', () => {
    const format = RISCV_SV39;
    const controls = { svnapot: true };
    const tables = setUp(format);
    const page = { format, controls, gva: 0x1_0000n, length: 0x1000 };
    map(tables, { ...page, gpa: 0x8000_8000, length: 0x1000 });
    const { at, entry } = leaf(tables, page.gva, format);
    tables.writeEntry(at, entry | (1n << 63n), 8);
    const mapped = new Translator({ tables, format, controls }).translate(page.gva);
    assert(mapped.kind === 'mapped');
    assert.equal(mapped.pageSize, 0x1_0000);
    assert.throws(() => map(tables, { ...page, gpa: 0 }), { code: 'taken' });
  });

  it('T7: what cannot be denied is named', () => {
    const range = { gva: 0n, length: 0x1000 };
    const tables = setUp();
    const refused = (request: ProtectRequest, message: RegExp): void =>
      assert.throws(() => protect(tables, request), { code: 'invalid', message });
    refused({ ...range, format: X86_4LEVEL, read: false }, /cannot deny: read$/);
    refused({ ...range, format: X86_4LEVEL, read: false, write: false }, /cannot deny: read$/);
    refused({ ...range, format: X86_32, read: false, execute: false }, /cannot deny: read, execute$/);
    refused({ ...range, format: X86_32, execute: false }, /cannot deny: execute$/);
  });
});
