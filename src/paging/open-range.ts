import type { CompiledFormat } from './compiled-format.ts';
import { decodeLeaf } from './entry-codec.ts';
import type { Level } from './level.ts';
import type { MappingRecord } from './mapping-record.ts';
import { rightsOf } from './rights.ts';
import { addressOf, upperHalf } from './virtual-range.ts';

/** What a run of entries has in common. */
export type RangeKind = 'mapped' | 'table-unreadable' | 'reserved';

/** One entry as an enumeration meets it, cut to the range that was asked for. */
export interface MetEntry {
  readonly kind: RangeKind;
  readonly level: Level;
  /** First page, and how many. */
  readonly page: number;
  readonly count: number;
  /** Where a leaf points to, at `page`; else where the entry stands. */
  readonly address: number;
  /** Effective rights of a leaf. */
  readonly rights: number;
  /** The leaf. */
  readonly lo: number;
  readonly hi: number;
}

/** A range that may still grow: neighbours that differ in nothing but their addresses are joined to it. */
export class OpenRange {
  private readonly first: MetEntry;
  private count: number;

  constructor(first: MetEntry) {
    this.first = first;
    this.count = first.count;
  }

  /** Joins a neighbour, or answers false. */
  join(entry: MetEntry, compiled: CompiledFormat): boolean {
    const { first, count } = this;
    const { format } = compiled;
    if (entry.kind !== first.kind || entry.level !== first.level) return false;
    // The two halves of a sign-extended space are neighbours as page numbers, not as addresses.
    if (entry.page !== first.page + count || entry.page === upperHalf(format)) return false;
    if (first.kind === 'mapped') {
      if (entry.address !== first.address + count * 4096 || entry.rights !== first.rights) return false;
      if (((entry.lo ^ first.lo) & entry.level.attributeMask) !== 0) return false;
    } else {
      // Entries that follow each other in memory too: one hole in it, however many tables lie there.
      const entries = Math.ceil(count / (entry.level.pageSize / 4096));
      if (entry.address !== first.address + entries * format.entrySize) return false;
    }
    this.count += entry.count;
    return true;
  }

  record(compiled: CompiledFormat): MappingRecord {
    const { kind, level, page, address, rights, lo, hi } = this.first;
    const gva = addressOf(compiled.format, page);
    const size = this.count * 4096;
    switch (kind) {
      case 'mapped': {
        const { memoryType, global } = decodeLeaf(level, lo, hi);
        return {
          kind,
          gva,
          size,
          gpa: address,
          pageSize: level.pageSize,
          rights: rightsOf(rights),
          memoryType,
          global: global !== 0 && compiled.controls.pge,
        };
      }
      case 'table-unreadable':
        return { kind, gva, size, level: level.format.level, address };
      case 'reserved':
        return { kind, gva, size, level: level.format.level, entryAddress: address };
    }
  }
}
