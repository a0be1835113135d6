import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  aarch64Stage1Format,
  BufferTables,
  createRoot,
  EPT_4LEVEL,
  FrameRange,
  type Invalidation,
  isPagingError,
  type MapRequest,
  map,
  merge,
  type PagingErrorCode,
  type PagingFormat,
  protect,
  Translator,
  unmap,
  X86_4LEVEL,
  X86_32,
} from '../../src/paging/index.ts';

const BASE = 0x10_0000;
const LARGE = 0x20_0000;
const AARCH64 = aarch64Stage1Format({ granule: 4096, inputBits: 39 });

/** Tables that count how often they are looked at. */
class Watched extends BufferTables {
  touched = 0;
  override readEntry(addr: number, size: 4 | 8): bigint | undefined {
    this.touched++;
    return super.readEntry(addr, size);
  }
  override allocTable(size?: number): number | undefined {
    this.touched++;
    return super.allocTable(size);
  }
}

function setUp(format: PagingFormat, gpa = BASE, pages = 16): Watched {
  const tables = new Watched(new Uint8Array(pages * 4096), gpa);
  createRoot(tables, format);
  tables.touched = 0;
  return tables;
}

/** The last entry of a walk. */
function lastEntry(tables: BufferTables, format: PagingFormat, gva: bigint): { at: number; entry: bigint } {
  const last = new Translator({ tables, format }).translate(gva).levels.at(-1);
  assert(last !== undefined);
  return { at: last.entryAddress, entry: last.entry };
}

describe('requests to change tables', () => {
  const good: MapRequest = { format: X86_4LEVEL, gva: 0x1000n, gpa: 0x1000, length: 0x1000 };
  const refusals: readonly (readonly [PagingErrorCode, Partial<MapRequest>])[] = [
    ['invalid', { gpa: Number.NaN }],
    ['invalid', { gpa: -1 }],
    ['invalid', { gpa: -4096 }],
    ['invalid', { gpa: 2 ** 53 }],
    ['invalid', { gpa: 2 ** 52 }],
    ['invalid', { gpa: 2 ** 52 - 0x1000, length: 0x2000 }],
    ['invalid', { gva: -0x1000n }],
    ['invalid', { gva: 1n << 64n }],
    ['invalid', { length: 0x1000 + 0.5 }],
    ['invalid', { maxPageSize: 4095 }],
    ['invalid', { maxPageSize: Number.NaN }],
    ['invalid', { controls: { nxe: false } }],
    ['invalid', { memoryType: 1.5 }],
    ['invalid', { software: 8 }],
    ['misaligned', { gpa: 0x1800 }],
    ['misaligned', { gva: 0x1800n }],
    ['not-canonical', { gva: 0x7fff_ffff_f000n, length: 0x2000 }],
    ['not-canonical', { gva: 0xffff_7fff_ffff_f000n }],
  ];

  it('T7: what can be told without the tables is told before they are looked at, with the address', () => {
    const tables = setUp(X86_4LEVEL);
    for (const [code, change] of refusals) {
      const request = { ...good, ...change };
      assert.throws(() => map(tables, request), { name: 'PagingError', code, gva: request.gva });
    }
    for (const edit of [unmap, merge, protect])
      assert.throws(() => edit(tables, { ...good, gva: 0x1001n }), { code: 'misaligned', gva: 0x1001n });
    assert.equal(tables.touched, 0);
  });

  it('T7: a format that cannot deny execution wants it asked for', () => {
    const tables = setUp(X86_32);
    const request = { ...good, format: X86_32 };
    assert.throws(() => map(tables, request), { code: 'invalid', message: /deny execution, wanted execute/ });
    assert.throws(() => map(tables, { ...request, execute: false }), { code: 'invalid' });
    assert.equal(tables.touched, 0);
    assert.equal(map(tables, { ...request, execute: true }).leaves, 1);
    const long = setUp(X86_4LEVEL);
    assert.equal(map(long, { ...good, execute: true, controls: { nxe: false } }).leaves, 1);
  });

  it('T7: the first page after the hole and the last page of memory can be mapped', () => {
    const tables = setUp(X86_4LEVEL);
    const gva = 0xffff_8000_0000_0000n;
    map(tables, { format: X86_4LEVEL, gva, gpa: 2 ** 52 - 0x1000, length: 0x1000, maxPageSize: 0x1000 });
    const mapped = new Translator({ tables, format: X86_4LEVEL }).translate(gva + 0xfffn);
    assert(mapped.kind === 'mapped');
    assert.equal(mapped.gpa, 2 ** 52 - 1);
  });
});

describe('what a leaf keeps', () => {
  it('T7: protect sets and clears bits of the upper half, and leaves those alone that it does not know', () => {
    const tables = setUp(X86_4LEVEL);
    const page = { format: X86_4LEVEL, gva: 0x1000n, length: 0x1000 };
    map(tables, { ...page, gpa: 0x1000, protectionKey: 15, global: true, software: 7, memoryType: 7 });
    const { at, entry } = lastEntry(tables, X86_4LEVEL, 0x1000n);
    assert.equal(entry, 0xf800_0000_0000_1fb9n);
    const own = (1n << 52n) | (1n << 53n) | (1n << 58n);
    tables.writeEntry(at, entry | own, 8);
    protect(tables, { ...page, execute: true, protectionKey: 8, software: 2, memoryType: 0, dirty: true });
    assert.equal(lastEntry(tables, X86_4LEVEL, 0x1000n).entry, 0x4000_0000_0000_1561n | own);
    protect(tables, { ...page, execute: false, protectionKey: 0, global: false, dirty: false, write: true });
    assert.equal(lastEntry(tables, X86_4LEVEL, 0x1000n).entry, 0x8000_0000_0000_1423n | own);
    protect(tables, { ...page, accessed: false, software: 0 });
    assert.equal(lastEntry(tables, X86_4LEVEL, 0x1000n).entry, 0x8000_0000_0000_1003n | own);
  });

  it('T7: a format may have its fields anywhere, at bit 32 too', () => {
    const format: PagingFormat = {
      ...X86_4LEVEL,
      physicalBits: 32,
      tableAddress: [{ from: 12, bits: 20, to: 12 }],
      attributes: [{ attribute: 'software', from: 31 + 1, bits: 2 }],
      levels: X86_4LEVEL.levels.map((level) => ({
        ...level,
        rules: level.rules.filter(({ tooWide }) => tooWide !== true),
        leafAddress: level.leafAddress.map(({ from, to }) => ({ from, to, bits: 32 - to })),
      })),
    };
    const tables = setUp(format);
    const page = { format, gva: 0x1000n, length: 0x1000 };
    map(tables, { ...page, gpa: 0x1000, software: 3, execute: true });
    assert.equal(lastEntry(tables, format, 0x1000n).entry, 0x3_0000_1001n);
    protect(tables, { ...page, software: 2 });
    assert.equal(lastEntry(tables, format, 0x1000n).entry, 0x2_0000_1001n);
  });

  it('T7: leaves and tables above 4 GiB have their upper halves', () => {
    for (const format of [X86_4LEVEL, EPT_4LEVEL, AARCH64]) {
      const tables = setUp(format, 0x89_9876_5000);
      map(tables, { format, gva: LARGE_AT, gpa: 0xab_cde0_0000, length: LARGE });
      protect(tables, { format, gva: LARGE_AT + 0x3000n, length: 0x1000, write: true });
      for (const page of [0, 3, 511]) {
        const mapped = new Translator({ tables, format }).translate(LARGE_AT + BigInt(page * 4096));
        assert(mapped.kind === 'mapped');
        assert.equal(mapped.gpa, 0xab_cde0_0000 + page * 4096);
        assert.equal(mapped.rights.write, page === 3);
      }
    }
  });
});

const LARGE_AT = 0x4020_0000n;

describe('what an edit says and does, in order', () => {
  it('T7: a leaf is broken, invalidated and only then replaced, where the architecture wants it', () => {
    for (const format of [AARCH64, X86_4LEVEL]) {
      const tables = setUp(format);
      const whole = { format, gva: LARGE_AT, length: LARGE };
      map(tables, { ...whole, gpa: LARGE });
      const { at, entry } = lastEntry(tables, format, LARGE_AT);
      const seen: [bigint | undefined, readonly Invalidation[]][] = [];
      const invalidate = (what: readonly Invalidation[]): void => {
        seen.push([tables.readEntry(at, 8), what]);
      };
      const during = (after: bigint | undefined): bigint | undefined => (format === AARCH64 ? 0n : after);
      const resized = (upper: boolean): Invalidation[] => [
        { gva: LARGE_AT, size: LARGE, pageSize: LARGE, why: 'resized', tables: upper, global: false },
      ];

      protect(tables, { ...whole, length: 0x1000, write: true, invalidate });
      const table = tables.readEntry(at, 8);
      assert.notEqual(table, entry);
      assert.deepEqual(seen.splice(0), [[during(table), resized(false)]]);

      protect(tables, { ...whole, length: 0x1000, write: false, dirty: false, invalidate });
      const one = { gva: LARGE_AT, size: 0x1000, pageSize: 0x1000, tables: false, global: false };
      assert.deepEqual(seen.splice(0), [[table, [{ ...one, why: 'changed' }]]]);

      merge(tables, { ...whole, invalidate });
      assert.equal(tables.readEntry(at, 8), entry);
      assert.deepEqual(seen.splice(0), [[during(entry), resized(true)]]);

      // Another memory type is another kind of page; nothing at all is no reason to invalidate.
      protect(tables, { ...whole, memoryType: 1, invalidate });
      const typed = tables.readEntry(at, 8);
      assert.deepEqual(seen.splice(0), [
        [
          during(typed),
          [{ gva: LARGE_AT, size: LARGE, pageSize: LARGE, why: 'changed', tables: false, global: false }],
        ],
      ]);
      protect(tables, { ...whole, memoryType: 1, invalidate });
      merge(tables, { ...whole, invalidate });
      assert.deepEqual(seen, []);
    }
  });

  it('T7: each change says whether it only widened what was allowed', () => {
    const format = X86_4LEVEL;
    const tables = setUp(format);
    const page = { format, gva: 0x1000n, length: 0x1000 };
    const why = (change: object): string | undefined =>
      protect(tables, { ...page, ...change }).invalidations[0]?.why;
    map(tables, { ...page, gpa: 0x1000, accessed: false });
    assert.equal(why({ accessed: true }), 'widened');
    assert.equal(why({ dirty: true }), 'widened');
    assert.equal(why({ user: true }), 'widened');
    assert.equal(why({ write: true, execute: true }), 'widened');
    assert.equal(why({ software: 1 }), 'widened');
    assert.equal(why({ software: 1 }), undefined);
    assert.equal(why({ write: true, user: false }), 'changed');
    assert.equal(why({ dirty: false }), 'changed');
    assert.equal(why({ accessed: false }), 'changed');
    assert.equal(why({ global: true }), 'changed');
    assert.equal(why({ protectionKey: 1 }), 'changed');
    assert.equal(why({ memoryType: 1 }), 'changed');
  });

  it('T7: what is to be invalidated is one range where it can be, and no more', () => {
    const format = X86_4LEVEL;
    const tables = setUp(format);
    const at = 0x4020_0000;
    map(tables, { format, gva: BigInt(at), gpa: LARGE, length: 2 * LARGE + 0x3000 });
    map(tables, { format, gva: BigInt(at + 2 * LARGE + 0x5000), gpa: 0, length: 0x1000, accessed: false });
    const after = at + 2 * LARGE;
    protect(tables, { format, gva: BigInt(after + 0x1000), length: 0x1000, write: true });
    const change = (from: number, length: number): readonly Invalidation[] =>
      protect(tables, { format, gva: BigInt(from), length, write: true }).invalidations;
    const widened = (from: number, size: number, pageSize: number): Invalidation => ({
      gva: BigInt(from),
      size,
      pageSize,
      why: 'widened',
      tables: false,
      global: false,
    });
    assert.deepEqual(change(at, 2 * LARGE + 0x3000), [
      widened(at, 2 * LARGE, LARGE),
      widened(after, 0x1000, 0x1000),
      widened(after + 0x2000, 0x1000, 0x1000),
    ]);
    const removed = unmap(tables, { format, gva: BigInt(after), length: 0x4000_0000 - 2 * LARGE });
    assert.equal(removed.unmapped, 0x4000);
    assert.deepEqual(
      removed.invalidations.map(({ gva, size, why, tables: upper }) => [
        Number(gva) - after,
        size,
        why,
        upper,
      ]),
      [
        [0, 0x3000, 'removed', false],
        [0x5000, 0x1000, 'removed', false],
        [0, LARGE, 'removed', true],
      ],
    );
  });

  it('T7: a table has to be where entries can say that it is, and is given back where it is not', () => {
    const page = { gva: 0n, gpa: 0, length: 0x1000, execute: true };
    const high = setUp(X86_32, 0xffff_f000);
    assert.throws(() => map(high, { ...page, format: X86_32 }), { code: 'invalid', gva: 0n });
    assert.equal(high.tableReferences(0x1_0000_0000), 0);
    const controls = { maxPhyAddr: 36 };
    for (const [gpa, fits] of [
      [2 ** 36 - 0x4000, true],
      [2 ** 36 - 0x3000, false],
    ] as const) {
      const tables = setUp(X86_4LEVEL, gpa);
      const act = (): unknown => map(tables, { ...page, format: X86_4LEVEL, controls });
      if (fits) act();
      else assert.throws(act, { code: 'invalid' });
      assert.equal(tables.tableReferences(gpa + 0x1000), fits ? 1 : 0);
    }
  });

  it('T7: an error tells the address, the level and the entry that it is about', () => {
    const format = X86_4LEVEL;
    const tables = setUp(format);
    const range = { format, gva: 0x40_0000n, length: 0x40_0000 };
    map(tables, { ...range, gpa: 0, length: LARGE });
    const { at } = lastEntry(tables, format, 0x40_0000n);
    for (const [entry, facts] of [
      [0n, { code: 'not-mapped', gva: 0x60_0000n, level: undefined, entryAddress: undefined }],
      [0x2083n, { code: 'malformed', gva: 0x60_0000n, level: 2, entryAddress: at + 8 }],
      [0x7000_0003n, { code: 'table-unreadable', gva: 0x60_0000n, level: 1, entryAddress: 0x7000_0000 }],
    ] as const) {
      tables.writeEntry(at + 8, entry, 8);
      assert.throws(
        () => protect(tables, { ...range, write: true }),
        (error) => {
          assert(isPagingError(error));
          const { code, gva, level, entryAddress } = error;
          assert.deepEqual({ code, gva, level, entryAddress }, facts);
          assert.match(error.message, /^Cannot protect .*, stopped at 0x600000: /);
          assert.equal(/: PDE at /.test(error.message), facts.level === 2);
          return true;
        },
      );
    }
    assert.throws(() => map(tables, { ...range, gpa: 0 }), {
      code: 'taken',
      gva: 0x40_0000n,
      level: 2,
      entryAddress: at,
      message: /PDE at 0x/,
    });
  });
});

describe('FrameRange', () => {
  it('T7: takes whole pages below 2^52', () => {
    for (const [gpa, length] of [
      [0x800, 0x1000],
      [0x1000, 0x800],
      [-0x1000, 0x1000],
      [0x1000, -0x1000],
      [Number.NaN, 0x1000],
      [2 ** 53, 0x1000],
      [2 ** 52 - 0x1000, 0x2000],
    ] as const)
      assert.throws(() => new FrameRange(gpa, length), { name: 'PagingError', code: 'invalid' });
    assert.equal(new FrameRange(2 ** 52 - 0x1000, 0x1000).alloc(), 2 ** 52 - 0x1000);
    assert.equal(new FrameRange(0, 0).alloc(), undefined);
  });

  it('T7: gives out frames of a power of two, aligned to their size', () => {
    const frames = new FrameRange(0x1000, 0xf000);
    for (const size of [0, 2048, 4095, 5000, 0x3000, -4096, Number.NaN])
      assert.throws(() => frames.alloc(size), { name: 'PagingError', code: 'invalid' });
    assert.equal(frames.used, 0);
    assert.equal(frames.alloc(0x4000), 0x4000);
    assert.equal(frames.used, 0x7000);
    assert.equal(frames.alloc(0x8000), 0x8000);
    assert.equal(frames.used, 0xf000);
    // What was passed over is not lost.
    assert.deepEqual([frames.alloc(), frames.alloc(0x2000), frames.alloc()], [0x1000, 0x2000, undefined]);
  });

  it('T7: takes back what it gave out, once, and gives it out again in any size', () => {
    const frames = new FrameRange(0x4000, 0x4000);
    const parts = [frames.alloc(), frames.alloc(), frames.alloc(0x2000)];
    assert.deepEqual(parts, [0x4000, 0x5000, 0x6000]);
    assert.deepEqual(
      [0x3000, 0x4000, 0x6000, 0x7000].map((gpa) => frames.owns(gpa)),
      [false, true, true, false],
    );
    assert.throws(() => frames.free(0x7000), { name: 'PagingError', code: 'invalid' });
    frames.free(0x6000);
    assert.throws(() => frames.free(0x6000), { name: 'PagingError', code: 'invalid' });
    assert.equal(frames.owns(0x6000), false);
    frames.free(0x5000);
    assert.equal(frames.alloc(0x4000), undefined, 'the first part is in use');
    frames.free(0x4000);
    assert.equal(frames.alloc(0x4000), 0x4000);
    assert.equal(frames.alloc(), undefined);
    frames.free(0x4000);
    assert.deepEqual([frames.alloc(), frames.alloc(0x2000)], [0x4000, 0x6000]);
    assert.deepEqual([frames.alloc(), frames.alloc()], [0x5000, undefined]);
  });
});
