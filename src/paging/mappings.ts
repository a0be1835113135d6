import { splitAddress } from './address-halves.ts';
import type { PagingFormat } from './format.ts';
import { MappingCursor } from './mapping-cursor.ts';
import type { MappingRecord } from './mapping-record.ts';
import { PagingError } from './paging-error.ts';
import type { Translator } from './translator.ts';
import { addressOf, isCanonical, pageCount, pageOf, upperHalf } from './virtual-range.ts';

/** What {@link mappings} is to list, and how. */
export interface MappingsOptions {
  /** First address. Default 0. */
  readonly first?: bigint;
  /** Last address, inclusive. Default 2^64-1. */
  readonly last?: bigint;
  /** Join neighbours that differ in nothing but their addresses. Default true; false gives a record for each leaf. */
  readonly coalesce?: boolean;
  /** How many entries to look at, at most. Default 2^24. A table may be read at once, so that what was read is up to one table a level more. */
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
 * @throws PagingError `invalid` where an option is out of range
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
  options: MappingsOptions = {},
): IterableIterator<MappingRecord> {
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
  const { format } = translator;
  return new MappingCursor(translator.source, {
    first: firstPageFrom(format, first),
    last: lastPageUpTo(format, last),
    coalesce,
    budget,
    expandAliases,
    details,
  });
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
