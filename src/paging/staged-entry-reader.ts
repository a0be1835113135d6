import type { PageWindow } from '../core/index.ts';
import { accessCode } from './access.ts';
import type { AccessFacts, SecondStageAccess } from './architecture.ts';
import { fromHalves } from './bits.ts';
import { type EntryReader, NO_WINDOW, storePhysical } from './entry-reader.ts';
import type { SecondStageFault } from './translation.ts';
import type { Translator } from './translator.ts';

/** Entries of a first stage, whose addresses a second stage translates before they can be read. */
export class StagedEntryReader implements EntryReader {
  readonly root: Int32Array = new Int32Array(2);
  readonly window: PageWindow = NO_WINDOW;
  blocked = false;
  readonly staged: boolean = true;
  readonly readOnly: boolean;
  /** Entries of both stages that were read since {@link ask}. */
  reads = 0;
  /** Where the story of a walk is wanted: what the second stage said to the address that it refused. */
  refusal: SecondStageFault['fault'] | undefined = undefined;
  /** The address that was refused: bits 31:0 and 63:32. */
  lo = 0;
  hi = 0;
  private readonly entries: EntryReader;
  private readonly second: Translator;
  private readonly tableRead: number;
  private readonly tableWrite: number;
  private readonly how: SecondStageAccess;
  private readonly physical: Int32Array = new Int32Array(2);
  private telling = false;

  /**
   * @param entries - reads what is at an address that the second stage answered
   * @param root - the first stage's root register, which the second stage translates
   */
  constructor(entries: EntryReader, root: Int32Array, second: Translator, how: SecondStageAccess) {
    this.root.set(root.subarray(0, 2));
    this.entries = entries;
    this.readOnly = entries.readOnly === true;
    this.second = second;
    this.how = how;
    this.tableRead = accessCode(how.tableRead);
    this.tableWrite = accessCode(how.tableWrite);
  }

  /** On whose behalf the tables are read from now on, and whether the story of the walk is wanted. */
  ask(original: AccessFacts, telling: boolean): void {
    this.telling = telling;
    this.reads = 0;
    this.refusal = undefined;
    this.second.asked.original = original;
  }

  /** The second stage is nobody's any more: asked by itself, it answers for itself. */
  done(): void {
    this.second.asked.during = undefined;
    this.second.asked.original = undefined;
  }

  begin(): void {
    this.blocked = false;
  }

  load(lo: number, hi: number, offset: number): boolean {
    if (!this.place(lo, hi, this.tableRead, this.how.tableRead)) return false;
    this.reads++;
    return this.entries.load(this.physical[0] as number, this.physical[1] as number, offset & IN_PIECE);
  }

  replace(
    lo: number,
    hi: number,
    offset: number,
    oldLo: number,
    oldHi: number,
    newLo: number,
    newHi: number,
  ): boolean | undefined {
    if (!this.place(lo, hi, this.tableWrite, this.how.tableWrite)) return undefined;
    const { physical } = this;
    const [atLo, atHi] = [physical[0] as number, physical[1] as number];
    return this.entries.replace(atLo, atHi, offset & IN_PIECE, oldLo, oldHi, newLo, newHi);
  }

  snapshot(): boolean {
    return false;
  }

  covers(): boolean {
    return true;
  }

  /** Where the second stage puts an address; false where it refuses. */
  private place(lo: number, hi: number, code: number, access: SecondStageAccess['tableRead']): boolean {
    const { second } = this;
    second.asked.during = 'table-walk';
    let at = -1;
    if (this.telling) {
      const told = second.translate(fromHalves(lo, hi), access);
      if (told.kind === 'mapped') at = told.gpa;
      else this.refusal = told;
    } else {
      at = second.resolve(lo, hi, code);
    }
    this.reads += second.reads;
    if (at < 0) {
      this.blocked = true;
      this.lo = lo;
      this.hi = hi;
      return false;
    }
    storePhysical(this.physical, at);
    return true;
  }
}

/**
 * A table larger than 4 KiB may lie in several pages of the second stage. Each 4 KiB of it are a table to those who are asked
 * for its entries: no second stage has smaller pages.
 */
const IN_PIECE = 0xfff;
