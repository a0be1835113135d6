import type { CompiledFormat } from './compiled-format.ts';
import { decodeLeaf } from './entry-codec.ts';
import type { Level } from './level.ts';
import type { LeafDetails, MappedRange, MappingRecord } from './mapping-record.ts';
import { rightsOf } from './rights.ts';
import { addressOf } from './virtual-range.ts';

/** What a run of entries has in common. */
export type RangeKind = 'mapped' | 'table-unreadable' | 'reserved';

/**
 * A range that may still grow: neighbours that differ in nothing but their addresses are joined to it. Entries are
 * handed over as plain numbers, for most of them only make the range longer.
 */
export class OpenRange {
  readonly kind: RangeKind;
  private readonly compiled: CompiledFormat;
  private readonly level: Level;
  /** Whether marks, keys and software's bits are told, and keep leaves apart. */
  private readonly details: boolean;
  /** First page, and how many. */
  private readonly page: number;
  private count: number;
  /** Where the first leaf points to; else where the first entry stands. */
  private readonly address: number;
  /** Effective rights of the leaves. */
  private readonly rights: number;
  /** The first leaf. */
  private readonly lo: number;
  private readonly hi: number;
  /** What the next entry's address and page have to be. */
  private nextPage: number;
  private nextAddress: number;

  constructor(
    compiled: CompiledFormat,
    kind: RangeKind,
    level: Level,
    page: number,
    count: number,
    address: number,
    rights: number,
    lo: number,
    hi: number,
    details: boolean,
  ) {
    this.compiled = compiled;
    this.details = details;
    this.kind = kind;
    this.level = level;
    this.page = page;
    this.count = 0;
    this.address = address;
    this.rights = rights;
    this.lo = lo;
    this.hi = hi;
    this.nextPage = page;
    this.nextAddress = address;
    this.extend(count, address);
  }

  /** Joins a neighbour, or answers false. */
  join(
    kind: RangeKind,
    level: Level,
    page: number,
    count: number,
    address: number,
    rights: number,
    lo: number,
    hi: number,
  ): boolean {
    if (page !== this.nextPage || address !== this.nextAddress || level !== this.level || kind !== this.kind)
      return false;
    if (rights !== this.rights) return false;
    const { attributesLo, attributesHi } = this.details ? level.listingDetails : level.listing;
    if ((((lo ^ this.lo) & attributesLo) | ((hi ^ this.hi) & attributesHi)) !== 0) return false;
    this.extend(count, address);
    return true;
  }

  /** Joins `pages` more that follow, which the caller has seen to be of the same kind. */
  grow(pages: number): void {
    this.extend(pages, this.nextAddress);
  }

  private extend(count: number, address: number): void {
    const { format, upperHalf } = this.compiled;
    const next = this.nextPage + count;
    this.count += count;
    // The two halves of a sign-extended space are neighbours as page numbers, not as addresses: nothing joins there.
    this.nextPage = next === upperHalf ? -1 : next;
    // Entries that tell of no memory are joined where they follow each other themselves: one hole in the tables.
    this.nextAddress = this.kind === 'mapped' ? address + count * 4096 : address + format.entrySize;
  }

  record(): MappingRecord {
    const { compiled, kind, level, page, address, rights, lo, hi } = this;
    const size = this.count * 4096;
    if (kind === 'mapped')
      return mappedRange(compiled, level, page, this.count, address, rights, lo, hi, this.details);
    const gva = addressOf(compiled.format, page);
    if (kind === 'table-unreadable') return { kind, gva, size, level: level.format.level, address };
    return { kind, gva, size, level: level.format.level, entryAddress: address };
  }
}

/** What the leaf before said besides its address: the next one mostly says the same, and reading it costs 50 ns. */
let last: (Pick<MappedRange, 'memoryType' | 'global'> & { readonly details: LeafDetails }) | undefined;
let lastLevel: Level | undefined;
let lastLo = 0;
let lastHi = 0;

/** The record of a range of leaves, of which `hi:lo` is the first. */
export function mappedRange(
  compiled: CompiledFormat,
  level: Level,
  page: number,
  count: number,
  gpa: number,
  rights: number,
  lo: number,
  hi: number,
  details: boolean,
): MappedRange {
  const told = level.listingDetails;
  if (
    last === undefined ||
    level !== lastLevel ||
    (((lo ^ lastLo) & told.attributesLo) | ((hi ^ lastHi) & told.attributesHi)) !== 0
  ) {
    last = read(compiled, level, lo, hi);
    lastLevel = level;
    lastLo = lo;
    lastHi = hi;
  }
  const range = {
    kind: 'mapped',
    gva: addressOf(compiled.format, page),
    size: count * 4096,
    gpa,
    pageSize: level.pageSize,
    rights: rightsOf(compiled.complete(rights)),
    memoryType: last.memoryType,
    global: last.global,
  } as const;
  return details ? { ...range, details: last.details } : range;
}

function read(compiled: CompiledFormat, level: Level, lo: number, hi: number): NonNullable<typeof last> {
  const { marks, architecture } = compiled.format;
  const { memoryType, global, protectionKey, software } = decodeLeaf(level, lo, hi);
  const set = (bit: number): boolean => ((bit < 32 ? lo >>> bit : hi >>> (bit - 32)) & 1) !== 0;
  return {
    memoryType,
    global: global !== 0 && architecture.global(compiled.controls),
    details: {
      accessed: marks === undefined ? undefined : set(marks.accessed),
      dirty: marks === undefined ? undefined : set(marks.dirty.bit) !== (marks.dirty.inverted === true),
      protectionKey: compiled.keys === undefined ? undefined : protectionKey,
      software,
    },
  };
}
