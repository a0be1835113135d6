import { ADDRESS_SPACE_SIZE, isGpa } from '../core/index.ts';
import type { AliasRange, MappedRange, SecondStageRange, UnreadableRange } from './mapping-record.ts';
import { type ListedTranslator, mappings } from './mappings.ts';
import { PagingError } from './paging-error.ts';
import type { Translator } from './translator.ts';

/** Where and how far to look. */
export interface ReverseLookupOptions {
  /** First virtual address. Default 0. */
  readonly first?: bigint;
  /** Last virtual address, inclusive. Default 2^64-1. */
  readonly last?: bigint;
  /**
   * How many entries to read at most, and how many ranges to take over from tables that were listed before; for each
   * address space. Default 2^24.
   */
  readonly budget?: number;
  /**
   * How many ranges to find at most, for each address space; a {@link ReverseMap}, for all of them together. They are kept, at
   * some 150 bytes each. A guest can make tables of a few pages that map the same page everywhere. Default 2^20.
   */
  readonly ranges?: number;
}

/** Which of the address spaces a record is about: its place in the list that was given, from 0. */
export interface OfSpace {
  readonly space: number;
}

/** A budget is used up, of entries or of ranges: there may be more from `gva` on. */
export interface LookupStopped {
  readonly kind: 'budget';
  readonly gva: bigint;
}

/** A virtual range that maps what was asked for, or a place where nobody can say. */
export type ReverseRecord = (MappedRange | UnreadableRange | LookupStopped) & OfSpace;

/** The same through two stages; of {@link SecondStageRange} only those of which nobody can say where they are. */
export type StagedReverseRecord = ReverseRecord | (SecondStageRange & OfSpace);

const PAGE = 4096;

/**
 * Finds the virtual addresses that map physical pages, in one address space or in several, lazily: through the tables as
 * they are, each walked once. Of a large page only the part that was asked for is told. Tables that could not be read, and
 * the end of a budget, are records as well: without one, the answer is complete.
 *
 * The work is that of {@link mappings} and bounded as there. A table that the guest uses twice is read once; the ranges
 * found in it count again for each use. What was found is kept, for a table that is used again to refer to.
 *
 * @param spaces - through two stages, `gpa` is an address that the second one answers
 * @param gpa - any address in the first page
 * @param length - bytes from `gpa` on; every page that one of them is in counts. Default 1
 * @throws PagingError `invalid` where a number or an option is out of range, or a space is none that can be listed
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { createRoot, FrameRange, GuestTables, map, reverseLookup, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x10_0000);
 * const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
 * createRoot(tables, X86_4LEVEL);
 * map(tables, { format: X86_4LEVEL, gva: 0x40_0000n, gpa: 0x7000, length: 0x1000, user: true });
 * map(tables, { format: X86_4LEVEL, gva: 0xffff_8880_0000_0000n, gpa: 0, length: 0x10_0000, write: true });
 * const translator = new Translator({ tables, format: X86_4LEVEL });
 *
 * const found = [...reverseLookup(translator, 0x7123)];
 * assert.deepEqual(
 *   found.map((record) => record.kind === 'mapped' && [record.gva, record.gpa, record.size]),
 *   [
 *     [0x40_0000n, 0x7000, 0x1000],
 *     [0xffff_8880_0000_7000n, 0x7000, 0x1000],
 *   ],
 * );
 * ```
 */
export function reverseLookup<TableAddr>(
  spaces: Translator<TableAddr> | Iterable<Translator<TableAddr>>,
  gpa: number,
  length?: number,
  options?: ReverseLookupOptions,
): Generator<ReverseRecord, void, undefined>;
export function reverseLookup<TableAddr>(
  spaces: ListedTranslator<TableAddr> | Iterable<ListedTranslator<TableAddr>>,
  gpa: number,
  length?: number,
  options?: ReverseLookupOptions,
): Generator<StagedReverseRecord, void, undefined>;
export function reverseLookup<TableAddr>(
  spaces: ListedTranslator<TableAddr> | Iterable<ListedTranslator<TableAddr>>,
  gpa: number,
  length = 1,
  options: ReverseLookupOptions = {},
): Generator<StagedReverseRecord, void, undefined> {
  const { start, end } = pagesOf(gpa, length);
  return rangesOfSpaces(spaces, options, (range) => partWithin(range, start, end));
}

/** The whole pages that a physical range touches. */
export function pagesOf(gpa: number, length: number): { readonly start: number; readonly end: number } {
  if (!isGpa(gpa) || !isGpa(length) || length < 1 || length > ADDRESS_SPACE_SIZE - gpa) {
    throw new PagingError(
      'invalid',
      `Cannot look up physical memory: current range ${gpa}+${length}, wanted at least one byte below 2^53`,
    );
  }
  return { start: Math.floor(gpa / PAGE) * PAGE, end: Math.ceil((gpa + length) / PAGE) * PAGE };
}

/** How many ranges there is room for. */
export interface Room {
  left: number;
}

/** @throws PagingError `invalid` where the option is out of range */
export function roomFor({ ranges = 2 ** 20 }: ReverseLookupOptions): Room {
  if (Number.isSafeInteger(ranges) && ranges >= 1) return { left: ranges };
  throw new PagingError(
    'invalid',
    `Cannot look up physical memory: current ranges ${ranges}, wanted at least 1`,
  );
}

/** Every mapped range of address spaces, with aliases resolved, as far as `keep` wants it and there is room. */
export function* rangesOfSpaces<TableAddr>(
  spaces: ListedTranslator<TableAddr> | Iterable<ListedTranslator<TableAddr>>,
  options: ReverseLookupOptions,
  keep: (range: MappedRange) => MappedRange | undefined,
  shared?: Room,
): Generator<StagedReverseRecord, void, undefined> {
  let space = 0;
  for (const translator of Symbol.iterator in spaces ? spaces : [spaces]) {
    const room = shared ?? roomFor(options);
    for (const record of rangesOf(translator, options, keep, room)) yield { ...record, space };
    space++;
  }
}

/**
 * What {@link mappings} lists, with each alias replaced by what was kept of the range that it repeats. That range lies
 * before it and was listed whole, so that nothing is walked twice; and as every range that comes out of an alias is
 * counted, a few tables that refer to each other cannot make more work than the budget allows.
 */
function* rangesOf<TableAddr>(
  translator: ListedTranslator<TableAddr>,
  options: ReverseLookupOptions,
  keep: (range: MappedRange) => MappedRange | undefined,
  room: Room,
): Generator<MappedRange | UnreadableRange | SecondStageRange | LookupStopped, void, undefined> {
  const { budget = 2 ** 24 } = options;
  const kept: MappedRange[] = [];
  let repeated = 0;
  for (const record of mappings(translator, options)) {
    switch (record.kind) {
      case 'mapped': {
        const part = keep(record);
        if (part === undefined) break;
        if (--room.left < 0) {
          yield { kind: 'budget', gva: part.gva };
          return;
        }
        kept.push(part);
        yield part;
        break;
      }
      case 'alias':
        for (const copy of copies(kept, record)) {
          if (++repeated > budget || --room.left < 0) {
            yield { kind: 'budget', gva: copy.gva };
            return;
          }
          kept.push(copy);
          yield copy;
        }
        break;
      case 'table-unreadable':
        yield record;
        break;
      case 'second-stage':
        if (record.why === 'table-unreadable') yield record;
        break;
      case 'budget':
        yield { kind: 'budget', gva: record.gva };
        return;
      case 'reserved':
        // Every access there faults: no physical page is mapped.
        break;
    }
  }
}

/** What an alias says again of the ranges before it, which are in the order of addresses and apart. */
function* copies(kept: readonly MappedRange[], alias: AliasRange): Generator<MappedRange, void, undefined> {
  const end = alias.of + BigInt(alias.size);
  const { length } = kept;
  let index = firstEndingAfter(kept, alias.of);
  for (; index < length; index++) {
    const range = kept[index] as MappedRange;
    if (range.gva >= end) return;
    const skipped = Number(max(alias.of - range.gva, 0n));
    const size = Math.min(range.size, Number(end - range.gva)) - skipped;
    const repeated = part(range, skipped, size);
    yield { ...repeated, gva: repeated.gva - alias.of + alias.gva };
  }
}

function firstEndingAfter(ranges: readonly MappedRange[], gva: bigint): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { gva: start, size } = ranges[middle] as MappedRange;
    if (start + BigInt(size) > gva) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The part of a mapped range whose physical addresses lie in a range. */
export function partWithin<Range extends MappedRange>(
  range: Range,
  start: number,
  end: number,
): Range | undefined {
  const from = Math.max(range.gpa, start);
  const to = Math.min(range.gpa + range.size, end);
  if (from >= to) return undefined;
  return part(range, from - range.gpa, to - from);
}

/** A part of a mapped range, in both stages if there are two. */
function part<Range extends MappedRange>(range: Range, skipped: number, size: number): Range {
  const { gva, gpa, secondStage } = range;
  const cut = { ...range, gva: gva + BigInt(skipped), gpa: gpa + skipped, size };
  return secondStage === undefined ? cut : { ...cut, secondStage: part(secondStage, skipped, size) };
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
