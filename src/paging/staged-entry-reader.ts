import type { GuestMemory, PageWindow } from '../core/index.ts';
import { accessCode } from './access.ts';
import type { AccessFacts, SecondStageAccess } from './architecture.ts';
import { fromHalves } from './bits.ts';
import { type EntryReader, NO_WINDOW, storePhysical } from './entry-reader.ts';
import { MemoryEntryReader } from './memory-entry-reader.ts';
import type { SecondStageFault } from './translation.ts';
import type { Translator } from './translator.ts';

/** Entries of a first stage, whose addresses a second stage translates before they can be read. */
export class StagedEntryReader implements EntryReader {
  readonly root: Int32Array = new Int32Array(2);
  readonly window: PageWindow = NO_WINDOW;
  blocked = false;
  /** Entries read so far, of both stages. */
  reads = 0;
  /** Where the story of a walk is wanted: what the second stage said to the address that it refused. */
  refusal: SecondStageFault['fault'] | undefined = undefined;
  /** The address that was refused: bits 31:0 and 63:32. */
  lo = 0;
  hi = 0;
  private readonly memory: MemoryEntryReader;
  private readonly second: Translator;
  private readonly tableRead: number;
  private readonly tableWrite: number;
  private readonly how: SecondStageAccess;
  private readonly physical: Int32Array = new Int32Array(2);
  private telling = false;

  constructor(
    memory: GuestMemory,
    root: Int32Array,
    size: 4 | 8,
    second: Translator,
    how: SecondStageAccess,
  ) {
    this.root.set(root.subarray(0, 2));
    this.memory = new MemoryEntryReader(memory, this.root, size);
    this.second = second;
    this.how = how;
    this.tableRead = accessCode(how.tableRead);
    this.tableWrite = accessCode(how.tableWrite);
  }

  /** On whose behalf the tables are read from now on, and whether the story of the walk is wanted. */
  ask(original: AccessFacts, telling: boolean): void {
    this.telling = telling;
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

  load(lo: number, hi: number): boolean {
    if (!this.place(lo, hi, this.tableRead, this.how.tableRead)) return false;
    this.reads++;
    return this.memory.load(this.physical[0] as number, this.physical[1] as number);
  }

  replace(
    lo: number,
    hi: number,
    oldLo: number,
    oldHi: number,
    newLo: number,
    newHi: number,
  ): boolean | undefined {
    if (!this.place(lo, hi, this.tableWrite, this.how.tableWrite)) return undefined;
    const { physical } = this;
    return this.memory.replace(physical[0] as number, physical[1] as number, oldLo, oldHi, newLo, newHi);
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
