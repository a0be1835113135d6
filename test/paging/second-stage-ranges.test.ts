import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  aarch64Stage2Format,
  EPT_4LEVEL,
  type PagingControls,
  type PagingFormat,
  type TableReadOps,
  Translator,
} from '../../src/paging/index.ts';
import { SecondStageRanges, type Stretch } from '../../src/paging/second-stage-ranges.ts';

const PAGE = 0x1000;
const MEGABYTES_2 = 0x20_0000;
const GIB = 0x4000_0000;

interface Scene {
  readonly ranges: SecondStageRanges;
  /** What was charged since the last call. */
  charged(): number;
  /** Entries that were read since the last call. */
  read(): number;
}

function scene(
  entries: ReadonlyMap<number, bigint>,
  {
    format = EPT_4LEVEL,
    controls = {},
    left = 2 ** 20,
    coalesce = true,
    root = 0x1000,
  }: {
    format?: PagingFormat;
    controls?: PagingControls;
    left?: number;
    coalesce?: boolean;
    root?: number;
  } = {},
): Scene {
  let charges = 0;
  let sum = 0;
  let reads = 0;
  const tables: TableReadOps<number> = {
    entryAddr: (addr, offset) => addr + offset,
    readEntry: (addr) => {
      reads++;
      return addr >= 0x10_0000 ? undefined : (entries.get(addr) ?? 0n);
    },
    toPhys: (addr) => addr,
    fromPhys: (gpa) => gpa,
    rootTable: () => root,
  };
  const { source } = new Translator({ tables, format, controls });
  const budget = {
    left: () => left - sum,
    charge(count: number) {
      charges += count;
      sum += count;
    },
  };
  const taken = (count: number, reset: () => void): number => {
    reset();
    return count;
  };
  return {
    ranges: new SecondStageRanges(source, budget, { coalesce, details: false }),
    charged: () => taken(charges, () => (charges = 0)),
    read: () => taken(reads, () => (reads = 0)),
  };
}

/** Four levels; in the last table pages 4, 5 and 6 lie in a row, 9 elsewhere; then large pages; then a table that is missing. */
const EPT_ENTRIES: ReadonlyMap<number, bigint> = new Map([
  [0x1000, 0x2007n],
  [0x2000, 0x3007n],
  [0x3000, 0x4007n],
  ...[4, 5, 6].map((page) => [0x4000 + page * 8, BigInt(0x5_0000 + page * PAGE) | 7n] as const),
  [0x4000 + 9 * 8, 0x7_0007n],
  [0x3008, 0x60_0087n],
  [0x3010, 0x20_0087n],
  [0x3018, 0x10_0007n],
  [0x3020, 0x20_0082n],
  [0x3028, 0x4007n], // the last table again, twice
  [0x3030, 0x4007n],
  [0x2008, 0x8000_0087n],
]);

function brief(stretch: Stretch | undefined): unknown {
  if (stretch === undefined) return undefined;
  const { start, end, range, why, gpa } = stretch;
  return range === undefined ? [start, end, why] : [start, end, gpa];
}

describe('addresses looked up in a second stage', () => {
  it('T6: a stretch that is mapped, up to where it was asked for, and nothing beyond is read', () => {
    const { ranges, charged, read } = scene(EPT_ENTRIES);
    assert.deepEqual(brief(ranges.find(0x4008, 0x4010)), [0x4000, 0x5000, 0x5_4000]);
    assert.deepEqual([charged(), read()], [4, 4]);
    assert.deepEqual(brief(ranges.find(0x5000, 0x7000)), [0x5000, 0x7000, 0x5_5000]);
    assert.deepEqual([charged(), read()], [5, 5]);
    for (const [from, to] of [
      [0x5000, 0x6000],
      [0x6ff8, 0x7000],
    ] as const)
      assert.deepEqual(brief(ranges.find(from, to)), [0x5000, 0x7000, 0x5_5000]);
    assert.deepEqual([charged(), read()], [0, 0], 'what is known is not read again');
  });

  it('T6: leaf by leaf, each is read on from the one before', () => {
    const { ranges, charged } = scene(EPT_ENTRIES, { coalesce: false });
    assert.deepEqual(brief(ranges.find(0x4000, 0x7000)), [0x4000, 0x5000, 0x5_4000]);
    assert.equal(charged(), 4);
    assert.deepEqual(brief(ranges.find(0x5000, 0x7000)), [0x5000, 0x6000, 0x5_5000]);
    assert.equal(charged(), 1);
    assert.deepEqual(brief(ranges.find(0x6000, 0x6800)), [0x6000, 0x7000, 0x5_6000]);
    assert.equal(charged(), 4, 'another end is another question');
    assert.deepEqual(brief(ranges.find(0x4000, 0x7000)), [0x4000, 0x5000, 0x5_4000]);
    assert.equal(charged(), 4, 'and so is another beginning');
  });

  it('T6: a hole, and the range behind it, which needs not be read again', () => {
    const { ranges, charged } = scene(EPT_ENTRIES);
    assert.deepEqual(brief(ranges.find(0x7010, 0xb000)), [0x7010, 0x9000, 'not-present']);
    // The three tables above, and the entries of the pages 7 to 10, of which the last one ends the range.
    assert.equal(charged(), 7);
    assert.deepEqual(brief(ranges.find(0x9000, 0xb000)), [0x9000, 0xa000, 0x7_0000]);
    assert.equal(charged(), 0);
    assert.deepEqual(brief(ranges.find(0xa000, 0xb000)), [0xa000, 0xb000, 'not-present']);
    assert.equal(charged(), 0);
    assert.deepEqual(brief(ranges.find(0xb000, 0xc000)), [0xb000, 0xc000, 'not-present']);
    assert.equal(charged(), 4);
    // The range behind a hole is forgotten where something else is asked for.
    assert.deepEqual(brief(ranges.find(0x8000, 0xa000)), [0x8000, 0x9000, 'not-present']);
    assert.deepEqual(brief(ranges.find(0x4000, 0x5000)), [0x4000, 0x5000, 0x5_4000]);
    assert.deepEqual(brief(ranges.find(0x9000, 0xa000)), [0x9000, 0xa000, 0x7_0000]);
  });

  it('T6: of a large page the whole is known, also when others were asked for between', () => {
    const { ranges, charged } = scene(EPT_ENTRIES);
    const first = [MEGABYTES_2, 2 * MEGABYTES_2, 0x60_0000];
    const second = [2 * MEGABYTES_2, 3 * MEGABYTES_2, 0x20_0000];
    const huge = [GIB, 2 * GIB, 0x8000_0000];
    assert.deepEqual(brief(ranges.find(MEGABYTES_2 + 0x5000, MEGABYTES_2 + 0x6000)), first);
    assert.deepEqual(brief(ranges.find(3 * MEGABYTES_2 - 8, 3 * MEGABYTES_2)), second);
    assert.equal(charged(), 6);
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(brief(ranges.find(MEGABYTES_2, MEGABYTES_2 + 8)), first);
      assert.deepEqual(brief(ranges.find(2 * MEGABYTES_2 - 8, 2 * MEGABYTES_2)), first);
      assert.deepEqual(brief(ranges.find(2 * MEGABYTES_2, 2 * MEGABYTES_2 + 8)), second);
    }
    assert.equal(charged(), 0);
    assert.deepEqual(brief(ranges.find(GIB + 0x1000, GIB + 0x2000)), huge);
    assert.equal(charged(), 2);
    assert.deepEqual(brief(ranges.find(GIB + 9 * MEGABYTES_2, GIB + 10 * MEGABYTES_2)), huge);
    assert.deepEqual(brief(ranges.find(2 * GIB - 8, 2 * GIB)), huge);
    assert.equal(charged(), 0);
    assert.deepEqual(brief(ranges.find(GIB - 8, GIB)), [GIB - 8, GIB, 'not-present']);
    assert.deepEqual(brief(ranges.find(2 * GIB, 2 * GIB + 8)), [2 * GIB, 2 * GIB + 8, 'not-present']);
  });

  it('T6: in a table that is used twice, both times', () => {
    const { ranges } = scene(EPT_ENTRIES);
    const [first, second] = [5 * MEGABYTES_2, 6 * MEGABYTES_2];
    const end = second + 0x5000;
    assert.deepEqual(brief(ranges.find(first + 0x9000, end)), [first + 0x9000, first + 0xa000, 0x7_0000]);
    assert.deepEqual(brief(ranges.find(first + 0xa000, end)), [
      first + 0xa000,
      second + 0x4000,
      'not-present',
    ]);
    assert.deepEqual(brief(ranges.find(second + 0x4000, end)), [second + 0x4000, end, 0x5_4000]);
  });

  it('T6: a page that reaches beyond physical memory is one only as far as that goes', () => {
    // Stage 2 of 16 KiB pages and 52 bits: a block of 64 GiB in level 1, of a processor with 4 GiB.
    const format = aarch64Stage2Format({ granule: 16384, inputBits: 48, startLevel: 1, wide: true });
    const controls = { physicalBits: 32 };
    const { ranges } = scene(new Map([[0x8_0000, 0x4c1n]]), { format, controls, root: 0x8_0000 });
    assert.deepEqual(brief(ranges.find(0x4000, 0x5000)), [0, 2 ** 32, 0]);
    assert.deepEqual(brief(ranges.find(2 ** 32, 2 ** 32 + 0x4000)), [2 ** 32, 2 ** 32 + 0x4000, 'reserved']);
  });

  it('T2: what is reserved, what cannot be read and what has no address are told apart', () => {
    const { ranges } = scene(EPT_ENTRIES);
    assert.deepEqual(brief(ranges.find(4 * MEGABYTES_2, 4 * MEGABYTES_2 + 8)), [
      4 * MEGABYTES_2,
      4 * MEGABYTES_2 + PAGE,
      'reserved',
    ]);
    assert.deepEqual(brief(ranges.find(3 * MEGABYTES_2, 3 * MEGABYTES_2 + 8)), [
      3 * MEGABYTES_2,
      3 * MEGABYTES_2 + PAGE,
      'table-unreadable',
    ]);
    const limit = 2 ** 48;
    assert.deepEqual(brief(ranges.find(limit, limit + PAGE)), [
      limit,
      Number.POSITIVE_INFINITY,
      'not-canonical',
    ]);
    assert.deepEqual(brief(ranges.find(limit - PAGE, limit + PAGE)), [limit - PAGE, limit, 'not-present']);
    assert.equal(ranges.exhausted, false);
  });

  it('T6: a budget that is used up is no hole', () => {
    for (const [left, found] of [
      [4, [0x4000, 0x5000, 0x5_4000]],
      [3, undefined],
      [1, undefined],
      [0, undefined],
      [-5, undefined],
    ] as const) {
      const { ranges, charged } = scene(EPT_ENTRIES, { left });
      assert.deepEqual(brief(ranges.find(0x4000, 0x5000)), found, `${left}`);
      assert.equal(ranges.exhausted, found === undefined);
      assert.equal(charged(), Math.max(0, left));
      assert.equal(ranges.find(0x9000, 0xa000), undefined);
      assert.equal(ranges.exhausted, true);
    }
    const { ranges } = scene(EPT_ENTRIES, { left: 1 });
    assert.deepEqual(brief(ranges.find(2 ** 40, 2 ** 40 + 8)), [2 ** 40, 2 ** 40 + 8, 'not-present']);
    assert.equal(ranges.exhausted, false);
  });
});
