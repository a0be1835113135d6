import { physical } from './bits.ts';
import type { CompiledFormat } from './compiled-format.ts';
import { leafAddress } from './entry-codec.ts';
import { type EntryReader, entryHalves } from './entry-reader.ts';
import { LeafRun } from './leaf-run.ts';
import type { Level } from './level.ts';
import { type ListingFrame, makeFrames } from './listing-frame.ts';
import type { MappingRecord } from './mapping-record.ts';
import { mappedRange, OpenRange, type RangeKind } from './open-range.ts';
import { LEAF, NOT_PRESENT, SPECIAL_LEAF, TABLE } from './verdict.ts';
import { addressOf } from './virtual-range.ts';

/** The options of an enumeration, all of them, with page numbers for addresses. */
export interface CursorOptions {
  readonly first: number;
  readonly last: number;
  readonly coalesce: boolean;
  readonly budget: number;
  readonly expandAliases: boolean;
  readonly details: boolean;
}

/** What an enumeration works on: the insides of a translator. */
export interface WalkSource {
  readonly compiled: CompiledFormat;
  readonly reader: EntryReader;
}

/** So few entries are read one by one. */
const FEW = 8;

/**
 * One enumeration, as a state machine over one frame per level: no recursion, and no memory beyond the frames, one
 * range that may still grow, and the tables that are remembered.
 */
export class MappingCursor implements IterableIterator<MappingRecord> {
  private readonly compiled: CompiledFormat;
  private readonly reader: EntryReader;
  private options: CursorOptions;
  private readonly frames: readonly ListingFrame[];
  /** First page of each table that is listed in full, by table, level and inherited rights. */
  private readonly seen: Map<number, number> = new Map();
  /** Index of the current frame; -1 when all is done. */
  private depth = -1;
  private reads = 0;
  private open: OpenRange | undefined = undefined;
  /** Complete records that are not handed out yet, the first and the second. */
  private ready: MappingRecord | undefined = undefined;
  private readyNext: MappingRecord | undefined = undefined;
  /** One by one: leaves of the current table that are like the one that was handed out last. */
  private readonly run: LeafRun;
  private running = false;

  constructor(source: WalkSource, options: CursorOptions) {
    const { compiled, reader } = source;
    this.compiled = compiled;
    this.reader = reader;
    this.options = options;
    this.frames = makeFrames(compiled);
    this.run = new LeafRun(compiled.top, 2 ** compiled.physicalBits);
    this.seek(options);
  }

  /** Entries that were looked at, with those that were {@link charge}d. */
  get spent(): number {
    return this.reads;
  }

  /** Counts entries that somebody else read for this enumeration: they are of the same budget. */
  charge(entries: number): void {
    this.reads += entries;
  }

  /** Begins anew: another enumeration of the same tables, for which nothing has to be made. */
  seek(options: CursorOptions): void {
    const { compiled, reader } = this;
    this.options = options;
    this.seen.clear();
    this.depth = -1;
    this.reads = 0;
    this.open = undefined;
    this.ready = undefined;
    this.readyNext = undefined;
    this.running = false;
    reader.begin();
    const rootLo = (reader.root[0] ?? 0) & compiled.rootLo;
    const rootHi = (reader.root[1] ?? 0) & compiled.rootHi;
    if (options.first <= options.last) this.enter(0, rootLo, rootHi, 0, -1, 0, 0);
  }

  [Symbol.iterator](): IterableIterator<MappingRecord> {
    return this;
  }

  next(): IteratorResult<MappingRecord, undefined> {
    if (this.running) {
      const value = this.run.next();
      if (value !== undefined) return { done: false, value };
      this.endRun();
    }
    while (this.ready === undefined && this.depth >= 0) this.step();
    if (this.ready === undefined) this.flush();
    const value = this.ready;
    this.ready = this.readyNext;
    this.readyNext = undefined;
    return value === undefined ? { done: true, value } : { done: false, value };
  }

  /** Looks at one entry, or leaves a table that is done. */
  private step(): void {
    const { compiled, reader, options } = this;
    const frame = this.frames[this.depth] as ListingFrame;
    const { level, tableHi, index } = frame;
    if (index > frame.lastIndex) {
      this.depth--;
      return;
    }
    const base = frame.base + index * frame.span;
    const page = Math.max(base, options.first);
    if (this.reads >= options.budget) {
      this.flush();
      this.hand({ kind: 'budget', gva: addressOf(compiled.format, page), reads: this.reads });
      this.depth = -1;
      return;
    }
    this.reads++;
    frame.index++;
    const offset = index * compiled.format.entrySize;
    const entryAt = frame.tableLo | offset;
    // Asking first costs less than the exception of a read that fails, of which a hostile guest could arrange many.
    if (frame.taken) {
      this.take(frame, index);
    } else if (
      !(frame.whole || reader.covers(entryAt, tableHi, compiled.format.entrySize)) ||
      !reader.load(entryAt, tableHi, offset)
    ) {
      this.add(
        'table-unreadable',
        level,
        page,
        this.pagesLeft(frame, page),
        physical(entryAt, tableHi),
        0,
        0,
        0,
      );
      return;
    }
    const lo = (entryHalves[0] as number) | 0;
    const hi = (entryHalves[1] as number) | 0;
    let verdict = TABLE;
    let alike = false;
    if ((((lo & level.tableTestLo) ^ level.tableTestValue) | (hi & level.tableTestHi)) !== 0) {
      alike = (((lo & level.leafTestLo) ^ level.leafTestValue) | (hi & level.leafTestHi)) === 0;
      verdict = alike ? LEAF : (lo | hi) === 0 ? NOT_PRESENT : level.judge(lo, hi);
    }
    switch (verdict) {
      case TABLE: {
        const andLo = frame.andLo & (lo | level.noRights);
        const { tableAddress } = compiled;
        const address = tableAddress.addressLo(lo);
        const addressHi = tableAddress.addressHi(lo, hi);
        const handedDown = frame.handedDown | (lo & compiled.inheritedLo);
        this.descend(level.next, address, addressHi, base, page, andLo, frame.orHi | hi, handedDown);
        return;
      }
      case LEAF:
        this.addLeaf(level, frame, page, entryAt, lo, hi);
        if (alike && options.coalesce) this.growRange(frame, level, base, lo, hi);
        else if (alike) this.startRun(frame, lo, hi);
        return;
      case SPECIAL_LEAF:
        this.addLeaf(level.special, frame, page, entryAt, lo, hi);
        return;
      case NOT_PRESENT:
        // A gap: the range before it is complete, and need not wait for the next one.
        this.flush();
        return;
      default:
        this.add('reserved', level, page, this.pagesLeft(frame, page), physical(entryAt, tableHi), 0, 0, 0);
    }
  }

  /** Puts an entry that was read with its table where one that was read by itself would be. */
  private take(frame: ListingFrame, index: number): void {
    if (this.compiled.format.entrySize === 8) {
      entryHalves[0] = frame.words[2 * index] as number;
      entryHalves[1] = frame.words[2 * index + 1] as number;
    } else {
      entryHalves[0] = frame.words[index] as number;
      entryHalves[1] = 0;
    }
  }

  /**
   * After the leaf `hi:lo` of the entry for page `page`: passes over the entries that only make its range longer. Where
   * tables could be read at once this is most of the work.
   */
  private growRange(frame: ListingFrame, level: Level, page: number, lo: number, hi: number): void {
    const { compiled, options, open } = this;
    if (!frame.taken || open?.kind !== 'mapped' || compiled.format.entrySize !== 8) return;
    const { words } = frame;
    const step = level.leafStep;
    const { listedLo: maskLo, listedHi: maskHi } = options.details ? level.listingDetails : level.listing;
    const wantedHi = hi & maskHi;
    const beforeHalf = page < compiled.upperHalf ? (compiled.upperHalf - page) / frame.span - 1 : 2 ** 20;
    let wanted = lo & maskLo;
    // A carry to the upper half of the entry, and what lies beyond physical memory, are for the long way.
    const beforeEnd = Math.floor((level.lowerEnd - 1 - (wanted >>> 0)) / step);
    const left = frame.lastIndex - frame.index + 1;
    const most = Math.min(left, options.budget - this.reads, beforeHalf, beforeEnd);
    let count = 0;
    for (let at = 2 * frame.index; count < most; count++, at += 2) {
      wanted = (wanted + step) | 0;
      const differs =
        (((words[at] as number) & maskLo) ^ wanted) | (((words[at + 1] as number) & maskHi) ^ wantedHi);
      if (differs !== 0) break;
    }
    if (count === 0) return;
    // The last entry may go beyond what was asked for.
    const pages = Math.min(count * frame.span, options.last - (page + frame.span) + 1);
    this.reads += count;
    frame.index += count;
    open.grow(pages);
  }

  /** After the leaf `hi:lo`, which was one at first sight and is ready: others like it may follow. */
  private startRun(frame: ListingFrame, lo: number, hi: number): void {
    const { compiled, options, ready } = this;
    if (!frame.taken || ready?.kind !== 'mapped' || compiled.format.entrySize !== 8) return;
    // The first one may have been cut by what was asked for.
    if (ready.size !== ready.pageSize) return;
    const masks = options.details ? frame.level.listingDetails : frame.level.listing;
    // The last entry may go beyond what was asked for.
    const most = Math.min(frame.lastIndex - frame.index, options.budget - this.reads);
    this.run.begin(frame.level, masks, ready, lo, hi, frame.words, frame.index, most);
    this.running = true;
  }

  private endRun(): void {
    const frame = this.frames[this.depth] as ListingFrame;
    this.reads += this.run.index - frame.index;
    frame.index = this.run.index;
    this.running = false;
  }

  /**
   * A leaf's page may be larger than what its entry covers (RISC-V's Svnapot), and may reach beyond physical addresses: of
   * that part every access faults.
   */
  private addLeaf(
    level: Level,
    frame: ListingFrame,
    page: number,
    entryAt: number,
    entryLo: number,
    hi: number,
  ): void {
    const { compiled } = this;
    const lo = entryLo | frame.handedDown;
    const rights = compiled.rights(frame.andLo, frame.orHi, lo, hi);
    const pages = level.pageSize / 4096;
    // Not `%`: of numbers above 2^31 it is a call that takes 40 ns.
    const within = page - Math.floor(page / pages) * pages;
    const address = leafAddress(level, lo, hi) + within * 4096;
    const count = this.pagesLeft(frame, page);
    const good = Math.min(count, Math.max(0, 2 ** compiled.physicalBits - address) / 4096);
    if (good > 0) this.add('mapped', level, page, good, address, rights, lo, hi);
    if (good < count)
      this.add('reserved', level, page + good, count - good, physical(entryAt, frame.tableHi), 0, 0, 0);
  }

  /** Goes into a table, or notes that it was listed before. `page` is the first one that was asked for. */
  private descend(
    level: Level,
    tableLo: number,
    tableHi: number,
    base: number,
    page: number,
    andLo: number,
    orHi: number,
    handedDown: number,
  ): void {
    const { options, compiled } = this;
    const table = physical(tableLo, tableHi);
    const end = base + (this.frames[this.depth] as ListingFrame).span - 1;
    if (!options.expandAliases) {
      // A table has at most 53 bits of address, of which the last 12 are 0: the four fit in a number.
      const fromAbove = compiled.inherited(andLo, orHi) * 2 + (handedDown === 0 ? 0 : 1);
      const key = table / 8 + this.depth * 64 + fromAbove;
      const listed = this.seen.get(key);
      if (listed !== undefined) {
        const { format } = compiled;
        this.flush();
        this.hand({
          kind: 'alias',
          gva: addressOf(format, page),
          size: (Math.min(end, options.last) - page + 1) * 4096,
          of: addressOf(format, listed + page - base),
          level: level.format.level,
          table,
        });
        return;
      }
      // Only what is listed from its beginning can be referred to. What is cut at its end nobody refers to: behind it
      // nothing is listed.
      if (base >= options.first) this.seen.set(key, base);
    }
    this.enter(this.depth + 1, tableLo, tableHi, base, andLo, orHi, handedDown);
  }

  private enter(
    depth: number,
    tableLo: number,
    tableHi: number,
    base: number,
    andLo: number,
    orHi: number,
    handedDown: number,
  ): void {
    const frame = this.frames[depth] as ListingFrame;
    const { first, last } = this.options;
    const entries = 2 ** frame.level.format.indexBits;
    this.depth = depth;
    frame.base = base;
    frame.tableLo = tableLo;
    frame.tableHi = tableHi;
    frame.andLo = andLo;
    frame.orHi = orHi;
    frame.handedDown = handedDown;
    frame.index = Math.max(0, Math.floor((first - base) / frame.span));
    frame.lastIndex = Math.min(entries - 1, Math.floor((last - base) / frame.span));
    // A copy of a table costs as much as some ten entries one by one.
    frame.taken = frame.lastIndex - frame.index >= FEW && this.reader.snapshot(tableLo, tableHi, frame.words);
    frame.whole =
      frame.taken || this.reader.covers(tableLo, tableHi, entries * this.compiled.format.entrySize);
  }

  private add(
    kind: RangeKind,
    level: Level,
    page: number,
    count: number,
    address: number,
    rights: number,
    lo: number,
    hi: number,
  ): void {
    const joins = this.options.coalesce || kind === 'table-unreadable';
    if (joins && this.open?.join(kind, level, page, count, address, rights, lo, hi) === true) return;
    this.flush();
    if (kind === 'mapped' && !joins) {
      this.hand(
        mappedRange(this.compiled, level, page, count, address, rights, lo, hi, this.options.details),
      );
      return;
    }
    this.open = new OpenRange(
      this.compiled,
      kind,
      level,
      page,
      count,
      address,
      rights,
      lo,
      hi,
      this.options.details,
    );
  }

  /** How many pages of those asked for an entry covers from `page` on; the frame has moved on to the next entry. */
  private pagesLeft({ span, base, index }: ListingFrame, page: number): number {
    return Math.min(base + index * span - 1, this.options.last) - page + 1;
  }

  private hand(record: MappingRecord): void {
    if (this.ready === undefined) this.ready = record;
    else this.readyNext = record;
  }

  /** Completes the range that was growing. */
  private flush(): void {
    if (this.open !== undefined) this.hand(this.open.record());
    this.open = undefined;
  }
}
