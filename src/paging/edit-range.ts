import { hex } from '../core/index.ts';
import type { CompiledFormat } from './compiled-format.ts';
import type { PagingControls } from './controls.ts';
import type { PagingFormat } from './format.ts';
import type { Invalidation } from './invalidation.ts';
import { PagingError, type PagingErrorCode } from './paging-error.ts';
import { isCanonical, pageOf, upperHalf } from './virtual-range.ts';

/** A range of virtual addresses whose mapping is to change. Address and length are multiples of the smallest page. */
export interface EditRange {
  readonly format: PagingFormat;
  readonly controls?: PagingControls;
  readonly gva: bigint;
  /** Bytes. */
  readonly length: number;
  /**
   * Called once, when the tables say nothing any more of what is to be invalidated: before entries that have to be broken
   * first (AArch64) are made again, and before tables are given back. Invalidate there, and wait until that is done. Without
   * it entries are broken and made in one go, and tables given back at once: right only while nothing walks the tables, as
   * long as they are prepared, or where everything cached of them is invalidated before they are used again.
   * Where it throws, the tables are put back as they were and the error is passed on. What it had invalidated stays so, which
   * costs nothing; what the hardware may have cached meanwhile of the new entries is to be invalidated as well, and the
   * frames of new tables that it may have met are not given back.
   */
  readonly invalidate?: (what: readonly Invalidation[]) => void;
  /**
   * Change tables too that other entries lead to, of this address space or another one. Default false: such an edit is
   * refused with `shared`, for what it changes is changed at all those addresses, and `invalidations` name only one of them;
   * and so is one that would go into a table twice, so that tables that lead to themselves bring no edit to its knees.
   * Taking away, as a whole, the entry that leads to a shared table changes this address space alone, and needs no leave.
   */
  readonly changeShared?: boolean;
}

/** A range as page numbers, both inclusive. */
export interface PageSpan {
  readonly first: number;
  readonly last: number;
}

/** Checks a range, and answers it as page numbers. `subject` begins the message: `Cannot unmap`. */
export function checkRange(compiled: CompiledFormat, range: EditRange, subject: string): PageSpan {
  const { format } = compiled;
  const { gva, length } = range;
  const { granule } = compiled;
  const fail = (code: PagingErrorCode, why: string): PagingError =>
    new PagingError(code, `${subject}: ${why}`, { gva });
  if (gva >> 64n !== 0n) throw fail('invalid', 'wanted a virtual address of 64 bits');
  if (!Number.isSafeInteger(length) || length <= 0)
    throw fail('invalid', `current length ${length}, wanted at least a page`);
  if (gva % BigInt(granule) !== 0n || length % granule !== 0)
    throw fail('misaligned', `wanted addresses and a length that are multiples of ${hex(granule)}`);
  const first = pageOf(format, gva);
  const end = first < upperHalf(format) ? upperHalf(format) : upperHalf(format) * 2;
  if (!isCanonical(format, gva) || length / 4096 > end - first)
    throw fail('not-canonical', `wanted a range within ${format.addressBits}-bit addresses`);
  return { first, last: first + length / 4096 - 1 };
}
