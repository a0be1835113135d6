import { type CursorOptions, MappingCursor, type WalkSource } from './mapping-cursor.ts';
import type { MappedRange, SecondStageRange } from './mapping-record.ts';

/** What a second stage says of a stretch of addresses: where all of it lies, or why nowhere. */
export interface Stretch {
  readonly start: number;
  /** First address behind it. */
  readonly end: number;
  /** The leaves that map it, of which the first address that was asked for is the first; `undefined` where it is not mapped. */
  readonly range: MappedRange | undefined;
  readonly why: SecondStageRange['why'];
  /** Where `start` is, if it is mapped. */
  readonly gpa: number;
}

/** The budget of a listing, as those see it who help with it. */
export interface SharedBudget {
  /** Entries that may still be looked at. */
  left(): number;
  charge(entries: number): void;
}

/**
 * Looks up addresses in the tables of a second stage, each entry of which it reads as a listing does: without regard to who may
 * do what there, and leaving no marks. Some answers are kept, and neighbours are read on from where the last one ended.
 */
export class SecondStageRanges {
  /** Set once the budget did not suffice. */
  exhausted = false;
  private readonly source: WalkSource;
  private readonly budget: SharedBudget;
  private readonly how: Pick<CursorOptions, 'coalesce' | 'details'>;
  /** First address that the format has no room for. */
  private readonly limit: number;
  private cursor: MappingCursor | undefined = undefined;
  /** The last answer, and such as were given before for each of the last few stretches of 2 MiB. */
  private last: Stretch | undefined = undefined;
  private readonly recent: (Stretch | undefined)[] = Array.from({ length: RECENT });
  /** Where the cursor stands, and up to where it was asked to go. */
  private at = -1;
  private until = -1;
  /** A range that was found behind a hole. */
  private ahead: Stretch | undefined = undefined;

  constructor(source: WalkSource, budget: SharedBudget, how: Pick<CursorOptions, 'coalesce' | 'details'>) {
    this.source = source;
    this.budget = budget;
    this.how = how;
    this.limit = 2 ** source.compiled.format.addressBits;
  }

  /**
   * The stretch that `address` is in. It may end before `end`, and beyond; nothing beyond is read for its sake. `undefined`
   * where the budget is used up.
   */
  find(address: number, end: number): Stretch | undefined {
    const { last, recent } = this;
    if (last !== undefined && address >= last.start && address < last.end) return last;
    const slot = Math.floor(address / MANY) % RECENT;
    const known = recent[slot];
    if (known !== undefined && address >= known.start && address < known.end) {
      this.last = known;
      return known;
    }
    if (address >= this.limit) return nowhere(this.limit, Number.POSITIVE_INFINITY, 'not-canonical');
    const found = this.read(address, Math.min(end, this.limit));
    if (found !== undefined) {
      this.last = found;
      recent[slot] = found;
    }
    return found;
  }

  private read(address: number, end: number): Stretch | undefined {
    const stretch = address === this.at && end === this.until ? this.advance() : this.seek(address, end);
    if (stretch === undefined) {
      if (this.exhausted) return undefined;
      this.at = end;
      return nowhere(address, end, 'not-present');
    }
    if (stretch.start > address) {
      this.ahead = stretch;
      this.at = stretch.start;
      return nowhere(address, stretch.start, 'not-present');
    }
    this.at = stretch.end;
    return this.wholePages(stretch);
  }

  private seek(address: number, end: number): Stretch | undefined {
    this.ahead = undefined;
    this.until = end;
    const options: CursorOptions = {
      first: Math.floor(address / PAGE),
      last: Math.ceil(end / PAGE) - 1,
      coalesce: this.how.coalesce,
      details: this.how.details,
      budget: this.budget.left(),
      expandAliases: true,
    };
    if (this.cursor === undefined) this.cursor = new MappingCursor(this.source, options);
    else this.cursor.seek(options);
    return this.advance();
  }

  /** The next stretch that is not a hole. */
  private advance(): Stretch | undefined {
    const { cursor, ahead } = this;
    this.ahead = undefined;
    if (ahead !== undefined || cursor === undefined) return ahead;
    const before = cursor.spent;
    const { value } = cursor.next();
    this.budget.charge(cursor.spent - before);
    switch (value?.kind) {
      case 'mapped': {
        const start = Number(value.gva);
        return { start, end: start + value.size, range: value, why: 'not-present', gpa: value.gpa };
      }
      case 'reserved':
      case 'table-unreadable':
        return nowhere(Number(value.gva), Number(value.gva) + value.size, value.kind);
      case 'budget':
        this.exhausted = true;
        return undefined;
      default:
        return undefined;
    }
  }

  /** What was asked for is often a part of a large page: the rest of it is known as well. */
  private wholePages(stretch: Stretch): Stretch {
    const { start, end, range, gpa } = stretch;
    if (range === undefined) return stretch;
    const { pageSize } = range;
    const before = start - Math.floor(start / pageSize) * pageSize;
    // A page may reach beyond physical memory, where it maps nothing.
    const most = this.source.compiled.physicalEnd - gpa;
    const after = Math.min(Math.ceil(end / pageSize) * pageSize - start, most);
    return {
      ...stretch,
      start: start - before,
      end: start + Math.max(end - start, after),
      gpa: gpa - before,
    };
  }
}

const PAGE = 4096;
/** The large page of most formats. */
const MANY = 0x20_0000;
const RECENT = 256;

function nowhere(start: number, end: number, why: SecondStageRange['why']): Stretch {
  return { start, end, range: undefined, why, gpa: -1 };
}
