import type { MappedRange } from './mapping-record.ts';
import type { ListedTranslator } from './mappings.ts';
import {
  type OfSpace,
  pagesOf,
  partWithin,
  type ReverseLookupOptions,
  rangesOfSpaces,
  roomFor,
  type StagedReverseRecord,
} from './reverse-lookup.ts';

/**
 * An index from physical pages to virtual addresses, for many questions about tables that do not change meanwhile: built by one
 * walk of each address space, asked in logarithmic time. It keeps every mapped range, up to the number that the options give; for
 * a single question {@link reverseLookup} keeps no more than it finds.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { createRoot, FrameRange, GuestTables, map, ReverseMap, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x10_0000);
 * const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
 * createRoot(tables, X86_4LEVEL);
 * map(tables, { format: X86_4LEVEL, gva: 0x40_0000n, gpa: 0x7000, length: 0x2000 });
 * const reverse = new ReverseMap(new Translator({ tables, format: X86_4LEVEL }));
 *
 * assert.equal(reverse.unknown.length, 0);
 * assert.deepEqual(reverse.lookup(0x8000).map(({ gva }) => gva), [0x40_1000n]);
 * assert.deepEqual(reverse.lookup(0x6000), []);
 * ```
 */
export class ReverseMap {
  /** Tables that could not be read, and budgets that were used up: where the index does not know. */
  readonly unknown: readonly Exclude<StagedReverseRecord, MappedRange>[];
  /** By physical address; looked at as a balanced tree, whose root is the middle of the list. */
  private readonly ranges: readonly (MappedRange & OfSpace)[];
  /** For each range the highest end in the subtree that it is the root of. */
  private readonly ends: Float64Array;

  /** @throws PagingError `invalid` where an option is out of range */
  constructor(
    spaces: ListedTranslator<unknown> | Iterable<ListedTranslator<unknown>>,
    options: ReverseLookupOptions = {},
  ) {
    const ranges: (MappedRange & OfSpace)[] = [];
    const unknown: Exclude<StagedReverseRecord, MappedRange>[] = [];
    for (const record of rangesOfSpaces(spaces, options, (range) => range, roomFor(options))) {
      if (record.kind === 'mapped') ranges.push(record);
      else unknown.push(record);
    }
    this.ranges = ranges.sort((a, b) => a.gpa - b.gpa);
    this.unknown = unknown;
    this.ends = new Float64Array(ranges.length);
    this.measure(0, ranges.length);
  }

  /** How many ranges are kept. */
  get size(): number {
    return this.ranges.length;
  }

  /**
   * The parts of mapped ranges that lie in the physical pages of a range, by address space and virtual address.
   *
   * @param gpa - any address in the first page
   * @param length - bytes from `gpa` on; every page that one of them is in counts. Default 1
   * @throws PagingError `invalid` where a number is out of range
   */
  lookup(gpa: number, length = 1): (MappedRange & OfSpace)[] {
    const { start, end } = pagesOf(gpa, length);
    const found: (MappedRange & OfSpace)[] = [];
    this.collect(0, this.ranges.length, start, end, found);
    return found.sort((a, b) => a.space - b.space || (a.gva < b.gva ? -1 : 1));
  }

  /** Fills in the ends of a subtree, and answers that of its root. */
  private measure(low: number, high: number): number {
    if (low >= high) return 0;
    const middle = (low + high) >>> 1;
    const { gpa, size } = this.ranges[middle] as MappedRange;
    const end = Math.max(gpa + size, this.measure(low, middle), this.measure(middle + 1, high));
    this.ends[middle] = end;
    return end;
  }

  private collect(
    low: number,
    high: number,
    start: number,
    end: number,
    found: (MappedRange & OfSpace)[],
  ): void {
    const middle = (low + high) >>> 1;
    if (low >= high || (this.ends[middle] as number) <= start) return;
    this.collect(low, middle, start, end, found);
    const range = this.ranges[middle] as MappedRange & OfSpace;
    if (range.gpa >= end) return;
    const part = partWithin(range, start, end);
    if (part !== undefined) found.push(part);
    this.collect(middle + 1, high, start, end, found);
  }
}
