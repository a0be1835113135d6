import { AArch64Translator } from './aarch64-translator.ts';
import { splitAddress } from './address-halves.ts';
import type { PagingFormat } from './format.ts';
import { type CursorOptions, MappingCursor } from './mapping-cursor.ts';
import type { MappingRecord } from './mapping-record.ts';
import { PagingError } from './paging-error.ts';
import { StagedListing, type StagedMappingRecord } from './staged-listing.ts';
import { Translator } from './translator.ts';
import { TwoStageTranslator } from './two-stage-translator.ts';
import { addressOf, isCanonical, pageCount, pageOf, upperHalf } from './virtual-range.ts';

/** A translator whose tables can be listed. */
export type ListedTranslator<TableAddr = number> =
  | Translator<TableAddr>
  | TwoStageTranslator<TableAddr>
  | AArch64Translator<TableAddr>;

/** What {@link mappings} is to list, and how. */
export interface MappingsOptions {
  /** First address. Default 0. */
  readonly first?: bigint;
  /** Last address, inclusive. Default 2^64-1. */
  readonly last?: bigint;
  /** Join neighbours that differ in nothing but their addresses. Default true; false gives a record for each leaf. */
  readonly coalesce?: boolean;
  /** How many entries to look at, at most, of both stages where there are two. Default 2^24. A table may be read at once, so that what was read is up to one table a level more. */
  readonly budget?: number;
  /** Walk a table again where it is met again, instead of an alias record. Default false. */
  readonly expandAliases?: boolean;
  /**
   * Tell accessed and dirty marks, protection keys and software's own bits too, and join only pages that agree in them:
   * which pages a guest has touched since it, or its host, last cleared the marks. Default false.
   */
  readonly details?: boolean;
}

/**
 * Lists what is mapped, lazily and in the order of addresses (those with the topmost bit set come last).
 *
 * The guest may have pointed its tables at each other or at themselves: a table that was listed before under the
 * same rights is one alias record, and the work is bounded by the budget; so is the memory, for what is remembered
 * is the tables that were read. Each entry is read once. Where tables cannot be read, or break the rules, the range
 * is listed as such.
 *
 * Through two stages each range is told with where it is in the end, in the pieces that the second stage makes of it; what the
 * second one refuses is listed as such ({@link SecondStageRange}). Of AArch64 both halves are listed, the lower one first.
 *
 * @throws PagingError `invalid` where an option is out of range, or `translator` is none whose tables can be listed
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { mappings, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x4000);
 * memory.writeU64(0x1000, 0x2003n);
 * memory.writeU64(0x2000, 0x3003n);
 * memory.writeU64(0x3000, 0x0000_0083n); // 2 MiB at 0 ...
 * memory.writeU64(0x3008, 0x0020_0083n); // ... and the next 2 MiB
 * memory.writeU64(0x2008, 0x3003n); // the same table again, 1 GiB further on
 * const translator = new Translator({ memory, format: X86_4LEVEL, root: 0x1000 });
 *
 * const [range, alias] = [...mappings(translator)];
 * assert(range?.kind === 'mapped' && alias?.kind === 'alias');
 * assert.equal(range.size, 0x40_0000);
 * assert.deepEqual([alias.gva, alias.of, alias.size], [0x4000_0000n, 0n, 0x4000_0000]);
 * ```
 */
export function mappings<TableAddr>(
  translator: Translator<TableAddr>,
  options?: MappingsOptions,
): IterableIterator<MappingRecord>;
export function mappings<TableAddr>(
  translator: ListedTranslator<TableAddr>,
  options?: MappingsOptions,
): IterableIterator<StagedMappingRecord>;
export function mappings<TableAddr>(
  translator: ListedTranslator<TableAddr>,
  options: MappingsOptions = {},
): IterableIterator<StagedMappingRecord> {
  const {
    first = 0n,
    last = 2n ** 64n - 1n,
    coalesce = true,
    budget = 2 ** 24,
    expandAliases = false,
    details = false,
  } = options;
  splitAddress(first);
  splitAddress(last);
  if (!Number.isSafeInteger(budget) || budget < 1) {
    throw new PagingError(
      'invalid',
      `Cannot list mappings: current budget ${budget}, wanted at least 1 entry`,
    );
  }
  return listing(translator, { first, last, coalesce, budget, expandAliases, details });
}

/** A listing that counts the entries it looked at. */
interface Listing extends IterableIterator<StagedMappingRecord> {
  readonly spent: number;
}

function listing<TableAddr>(
  translator: ListedTranslator<TableAddr>,
  options: Required<MappingsOptions>,
): Listing {
  if (translator instanceof AArch64Translator) return new BothHalves(translator, options);
  if (translator instanceof TwoStageTranslator)
    return new StagedListing(translator.source, pagesOf(translator.first.format, options));
  if (translator instanceof Translator)
    return new MappingCursor(translator.source, pagesOf(translator.format, options));
  throw new PagingError(
    'invalid',
    'Cannot list mappings: wanted a Translator, a TwoStageTranslator or an AArch64Translator',
  );
}

/** The lower half of an AArch64 address space, then the upper one, with one budget. */
class BothHalves<TableAddr> implements Listing {
  private readonly options: Required<MappingsOptions>;
  /** The halves that are still to be listed. */
  private readonly halves: ListedTranslator<TableAddr>[];
  private current: Listing | undefined = undefined;
  private before = 0;

  constructor({ lower, upper }: AArch64Translator<TableAddr>, options: Required<MappingsOptions>) {
    this.options = options;
    this.halves = [lower, upper].filter((half) => half !== undefined);
  }

  get spent(): number {
    return this.before + (this.current?.spent ?? 0);
  }

  [Symbol.iterator](): IterableIterator<StagedMappingRecord> {
    return this;
  }

  next(): IteratorResult<StagedMappingRecord, undefined> {
    for (;;) {
      const { value } = this.current?.next() ?? { value: undefined };
      if (value?.kind === 'budget') {
        this.halves.length = 0;
        return { done: false, value: { ...value, reads: this.before + value.reads } };
      }
      if (value !== undefined) return { done: false, value };
      this.before = this.spent;
      this.current = undefined;
      const half = this.halves.shift();
      if (half === undefined) return { done: true, value };
      // Where nothing is left, the half says itself from where on.
      const budget = Math.max(0, this.options.budget - this.before);
      this.current = listing(half, { ...this.options, budget });
    }
  }
}

function pagesOf(format: PagingFormat, options: Required<MappingsOptions>): CursorOptions {
  return {
    ...options,
    first: firstPageFrom(format, options.first),
    last: lastPageUpTo(format, options.last),
  };
}

/** The first page of the format at or after an address; past the end where there is none. */
function firstPageFrom(format: PagingFormat, gva: bigint): number {
  if (isCanonical(format, gva)) return pageOf(format, gva);
  if (gva < addressOf(format, 0)) return 0;
  return gva < addressOf(format, upperHalf(format) % pageCount(format))
    ? upperHalf(format)
    : pageCount(format);
}

/** The last page of the format at or before an address; -1 where there is none. */
function lastPageUpTo(format: PagingFormat, gva: bigint): number {
  if (isCanonical(format, gva)) return pageOf(format, gva);
  return gva < addressOf(format, 0) ? -1 : upperHalf(format) - 1;
}
