import type { EntrySlot } from './entry-slot.ts';
import type { PagingFormat } from './format.ts';
import type { Invalidation } from './invalidation.ts';
import { addressOf } from './virtual-range.ts';

/** What one edit wants invalidated: neighbours of which the same is to be said are one range. */
export class Invalidations {
  readonly list: Invalidation[] = [];
  private readonly format: PagingFormat;

  constructor(format: PagingFormat) {
    this.format = format;
  }

  add(
    { level, base, shared }: EntrySlot<unknown>,
    why: Invalidation['why'],
    tables: boolean,
    global: boolean,
    pageSize: number = level.tableSpan * 4096,
  ): void {
    const { list } = this;
    const gva = addressOf(this.format, base);
    const size = level.tableSpan * 4096;
    const last = list.at(-1);
    if (
      last !== undefined &&
      last.why === why &&
      last.tables === tables &&
      last.global === global &&
      (last.shared ?? false) === shared &&
      last.pageSize === pageSize &&
      last.gva + BigInt(last.size) === gva
    ) {
      list[list.length - 1] = { ...last, size: last.size + size };
    } else {
      list.push({ gva, size, pageSize, why, tables, global, ...(shared && { shared }) });
    }
  }
}
