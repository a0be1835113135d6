import type { PageWindow } from '../core/index.ts';
import { accessCode, accessFacts } from './access.ts';
import type { AccessFacts, SecondStageAccess } from './architecture.ts';
import { physical } from './bits.ts';
import { type EntryReader, NO_WINDOW, storePhysical } from './entry-reader.ts';
import type { Level } from './level.ts';
import { type CursorOptions, MappingCursor, type WalkSource } from './mapping-cursor.ts';
import type {
  BudgetSpent,
  MappedRange,
  MappingRecord,
  SecondStageRange,
  UnreadableRange,
} from './mapping-record.ts';
import { EXECUTE, READ, type Rights, rightsOf, SUPERVISOR_EXECUTE, USER, WRITE } from './rights.ts';
import { SecondStageRanges, type SharedBudget, type Stretch } from './second-stage-ranges.ts';

/** What a listing through two stages works on: the insides of a translator. */
export interface StagedSource {
  readonly first: WalkSource;
  /** Reads what is at an address that the second stage answered. */
  readonly entries: EntryReader;
  readonly second: WalkSource;
  readonly how: SecondStageAccess;
}

/** What a listing through two stages meets. */
export type StagedMappingRecord = MappingRecord | SecondStageRange;

/**
 * Lists what is mapped through both stages, lazily: the first stage's tables, which lie where the second one says, and each
 * range of theirs in the pieces that the second stage makes of it. Entries of both count for one budget; no table is
 * remembered but those of the first stage, for their aliases are aliases through both.
 */
export class StagedListing implements IterableIterator<StagedMappingRecord> {
  private readonly source: StagedSource;
  private readonly first: MappingCursor;
  private readonly tables: ListedTables;
  private readonly pages: SecondStageRanges;
  /** What is left to tell of tables that could not be read. */
  private unread: UnreadableRange | undefined = undefined;
  /** The first stage's range that is being told, and how much of it was. */
  private range: MappedRange | undefined = undefined;
  private told = 0;
  private ended = false;

  constructor(source: StagedSource, options: CursorOptions) {
    this.source = source;
    let first: MappingCursor | undefined;
    // The first table is read while the cursor is made.
    let early = 0;
    const budget: SharedBudget = {
      left: () => options.budget - early - (first?.spent ?? 0),
      charge(entries) {
        if (first === undefined) early += entries;
        else first.charge(entries);
      },
    };
    this.pages = new SecondStageRanges(source.second, budget, options);
    this.tables = new ListedTables(source, budget);
    first = new MappingCursor({ compiled: source.first.compiled, reader: this.tables }, options);
    first.charge(early);
    early = 0;
    this.first = first;
  }

  /** Entries of both stages that were looked at. */
  get spent(): number {
    return this.first.spent;
  }

  [Symbol.iterator](): IterableIterator<StagedMappingRecord> {
    return this;
  }

  next(): IteratorResult<StagedMappingRecord, undefined> {
    while (!this.ended) {
      const { range, unread } = this;
      if (range !== undefined) return { done: false, value: this.piece(range) };
      if (unread !== undefined) return { done: false, value: this.unreadable(unread) };
      const { value } = this.first.next();
      if (value === undefined) this.ended = true;
      else if (value.kind === 'mapped') this.range = value;
      else if (value.kind === 'table-unreadable') this.unread = value;
      else return { done: false, value };
    }
    return { done: true, value: undefined };
  }

  /** The next piece of a range of the first stage. */
  private piece(range: MappedRange): StagedMappingRecord {
    const { told } = this;
    const from = range.gpa + told;
    const gva = range.gva + BigInt(told);
    const stretch = this.pages.find(from, range.gpa + range.size);
    if (stretch === undefined) return this.spentAt(gva);
    const size = Math.min(stretch.end, range.gpa + range.size) - from;
    this.told += size;
    if (this.told >= range.size) {
      this.range = undefined;
      this.told = 0;
    }
    const { range: host, why } = stretch;
    if (host === undefined) return { kind: 'second-stage', gva, size, gpa: from, why };
    const gpa = stretch.gpa + from - stretch.start;
    return {
      ...range,
      gva,
      size,
      gpa,
      pageSize: Math.min(range.pageSize, host.pageSize),
      rights: rightsThrough(this.source, range.rights, host.rights),
      secondStage: { ...host, gva: BigInt(from), gpa, size },
    };
  }

  /**
   * Entries of the first stage that could not be read: the second stage refuses them, or their bytes are not there. Neighbours
   * are one record as far as that is the same for the pages that they stand in.
   */
  private unreadable(record: UnreadableRange): UnreadableRange | BudgetSpent {
    const { compiled } = this.source.first;
    const level = compiled.levels.find(({ format }) => format.level === record.level) as Level;
    const perEntry = level.tableSpan * PAGE;
    const secondStage = this.tables.whyNot(record.address);
    let address = record.address;
    // The first entry may have been cut by what was asked for.
    let size = -Number(record.gva % BigInt(perEntry));
    do {
      const entries = (PAGE - (address % PAGE)) / compiled.format.entrySize;
      address += entries * compiled.format.entrySize;
      size += entries * perEntry;
    } while (
      size < record.size &&
      this.tables.whyNot(address) === secondStage &&
      !this.tables.ranges.exhausted
    );
    if (this.tables.ranges.exhausted) return this.spentAt(record.gva);
    const left = record.size - size;
    this.unread = left > 0 ? { ...record, gva: record.gva + BigInt(size), size: left, address } : undefined;
    const told = { ...record, size: Math.min(size, record.size) };
    return secondStage === undefined ? told : { ...told, secondStage };
  }

  private spentAt(gva: bigint): BudgetSpent {
    this.ended = true;
    return { kind: 'budget', gva, reads: this.spent };
  }
}

/** The first stage's tables, where the second one has them, as a listing reads them. */
class ListedTables implements EntryReader {
  readonly root: Int32Array;
  readonly window: PageWindow = NO_WINDOW;
  readonly blocked: boolean = false;
  readonly ranges: SecondStageRanges;
  private readonly source: StagedSource;
  private readonly physical: Int32Array = new Int32Array(2);

  constructor(source: StagedSource, budget: SharedBudget) {
    this.source = source;
    this.root = source.first.reader.root;
    this.ranges = new SecondStageRanges(source.second, budget, { coalesce: true, details: false });
  }

  begin(): void {
    // The root is a register of the first stage: nothing to fetch.
  }

  load(lo: number, hi: number, offset: number): boolean {
    const { physical: at } = this;
    if (!this.place(lo, hi, this.source.first.compiled.format.entrySize)) return false;
    return this.source.entries.load(at[0] as number, at[1] as number, offset % PAGE);
  }

  snapshot(lo: number, hi: number, words: Uint32Array): boolean {
    const { physical: at } = this;
    if (!this.place(lo, hi, words.byteLength)) return false;
    return this.source.entries.snapshot(at[0] as number, at[1] as number, words);
  }

  covers(lo: number, hi: number, length: number): boolean {
    const { physical: at } = this;
    if (!this.place(lo, hi, length)) return false;
    return this.source.entries.covers(at[0] as number, at[1] as number, length);
  }

  /** A listing writes nothing. */
  replace(): undefined {
    return undefined;
  }

  /** Why the second stage refuses an entry; `undefined` where it does not. */
  whyNot(address: number): UnreadableRange['secondStage'] {
    const stretch = this.ranges.find(address, address + this.source.first.compiled.format.entrySize);
    if (stretch === undefined) return undefined;
    if (stretch.range === undefined) return stretch.why;
    return this.readable(stretch) ? undefined : 'rights';
  }

  /** Where the second stage has all of some bytes; false where it does not, or not in one piece. */
  private place(lo: number, hi: number, length: number): boolean {
    const address = physical(lo, hi);
    const stretch = this.ranges.find(address, address + length);
    if (stretch === undefined || stretch.end < address + length || !this.readable(stretch)) return false;
    storePhysical(this.physical, stretch.gpa + address - stretch.start);
    return true;
  }

  private readable({ range }: Stretch): boolean {
    const { second, how } = this.source;
    const facts = accessFacts(accessCode(how.tableRead));
    return range !== undefined && facts !== undefined && allows(second, range.rights, facts);
  }
}

const PAGE = 4096;

function allows({ compiled }: WalkSource, rights: Rights, access: AccessFacts): boolean {
  return compiled.format.architecture.allows(rights, access, compiled.controls);
}

/** What both stages allow together: the first one's rights, as far as the second has nothing against it. */
function rightsThrough({ second, how }: StagedSource, guest: Rights, host: Rights): Rights {
  const may = (kind: AccessFacts['kind'], user: boolean): boolean => {
    const access = { kind, user, implicit: false, ac: false, shadowStack: false };
    return allows(second, host, { ...access, user: how.userOf(access, guest.user) });
  };
  const { user } = guest;
  return rightsOf(
    (guest.read && may('read', user) ? READ : 0) |
      (guest.write && may('write', user) ? WRITE : 0) |
      (guest.execute && may('execute', true) ? EXECUTE : 0) |
      (guest.supervisorExecute && may('execute', false) ? SUPERVISOR_EXECUTE : 0) |
      (user ? USER : 0),
  );
}
