import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory, heap } from '../../src/core/index.ts';
import {
  aarch64Stage1Format,
  createRoot,
  FrameRange,
  GuestTables,
  map,
  mappings,
  type PagingControls,
  type PagingFormat,
  RISCV_SV39,
  Translator,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const PAGE = 4096;
const GVA = 0x40_0000n;

/** Eight pages in a row, whose entries are changed as told: by index, an exclusive-or. */
function machine(
  format: PagingFormat,
  changes: Readonly<Record<number, bigint>>,
  controls: PagingControls = {},
) {
  const memory = GuestMemory.from(heap(0x10_0000));
  const tables = new GuestTables(memory, { frames: new FrameRange(0x2_0000, 0x2_0000) });
  createRoot(tables, format);
  map(tables, { format, gva: GVA, gpa: 0x8_0000, length: 8 * PAGE, write: true });
  const translator = new Translator({ tables, format, controls });
  for (const [page, bits] of Object.entries(changes)) {
    const found = translator.translate(GVA + BigInt(Number(page) * PAGE)).levels.at(-1);
    assert(found !== undefined);
    memory.writeU64(found.entryAddress, found.entry ^ bits);
  }
  const list = (options: object) =>
    Array.from(mappings(translator, options), (record) => {
      assert(record.kind === 'mapped');
      return { pages: record.size / PAGE, ...record.details };
    });
  return { list, translator };
}

describe('a listing with what use has left in the entries', () => {
  const A = 1n << 5n;
  const D = 1n << 6n;

  it('T6: tells marks and software bits apart, and joins what agrees in them', () => {
    // As they were made: A and D are set, so that tables in read-only memory work.
    const [made] = machine(X86_4LEVEL, {}).list({ details: true });
    assert(made?.accessed !== undefined);
    const clear = (made.accessed ? A : 0n) | (made.dirty === true ? D : 0n);
    const { list } = machine(X86_4LEVEL, {
      ...{ 0: clear, 1: clear, 2: clear ^ A, 3: clear ^ A ^ D },
      ...{ 4: clear ^ A ^ D, 5: clear ^ (5n << 9n), 6: clear ^ (2n << 9n), 7: clear },
    });
    const untouched = { accessed: false, dirty: false, protectionKey: undefined, software: 0 };
    const expected = [
      { pages: 2, ...untouched },
      { pages: 1, ...untouched, accessed: true },
      { pages: 2, ...untouched, accessed: true, dirty: true },
      { pages: 1, ...untouched, software: 5 },
      { pages: 1, ...untouched, software: 2 },
      { pages: 1, ...untouched },
    ];
    assert.deepEqual(list({ details: true }), expected);
    assert.deepEqual(
      list({ details: true, coalesce: false }),
      expected.flatMap((range) => Array.from({ length: range.pages }, () => ({ ...range, pages: 1 }))),
    );
    assert.deepEqual(list({}), [{ pages: 8 }]);
    assert.equal(list({ coalesce: false }).length, 8);
  });

  it('T6: tells protection keys where they are in force', () => {
    const keys = { 3: 7n << 59n };
    const inForce = machine(X86_4LEVEL, keys, { pku: true }).list({ details: true });
    assert.deepEqual(
      inForce.map(({ pages, protectionKey }) => [pages, protectionKey]),
      [
        [3, 0],
        [1, 7],
        [4, 0],
      ],
    );
    const without = machine(X86_4LEVEL, keys).list({ details: true });
    assert.deepEqual([...new Set(without.map(({ protectionKey }) => protectionKey))], [undefined]);
  });

  it('T6: tells the marks of RISC-V and of AArch64, where a page that is writable counts as written', () => {
    const riscv = machine(RISCV_SV39, { 0: 1n << 6n, 1: 1n << 7n }).list({ details: true });
    assert.deepEqual(
      riscv.map(({ pages, accessed, dirty }) => [pages, accessed, dirty]),
      [
        [1, false, true],
        [1, true, false],
        [6, true, true],
      ],
    );
    const stage1 = aarch64Stage1Format({ granule: 4096, inputBits: 48 });
    // Page 2 is writable, and clean: DBM and AP[2].
    const arm = machine(stage1, { 2: (1n << 51n) | (1n << 7n) }, { hd: true }).list({ details: true });
    assert.deepEqual(
      arm.map(({ pages, accessed, dirty }) => [pages, accessed, dirty]),
      [
        [2, true, true],
        [1, true, false],
        [5, true, true],
      ],
    );
  });
});
