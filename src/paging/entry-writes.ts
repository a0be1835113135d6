import type { EditStep } from './edit-step.ts';
import { entryOf } from './entry-halves.ts';
import type { EntrySlot } from './entry-slot.ts';
import type { Invalidation } from './invalidation.ts';
import { checkNotThere } from './memory-entry-reader.ts';
import type { TableOps } from './table-ops.ts';

/** What a write is besides its value. */
export interface WriteKind {
  /** The entry has to be nothing for a while, between what it was and what it becomes. */
  readonly broken?: boolean;
  /** It leads to a table that it did not lead to before. */
  readonly links?: boolean;
}

/** What an entry of a table in use is to become. */
interface PendingWrite<TableAddr> {
  /** As the edit met it first. */
  readonly slot: EntrySlot<TableAddr>;
  entry: bigint;
  broken: boolean;
  links: boolean;
}

/**
 * What one edit is going to write to tables that are in use: all of it or nothing. It is refused before the first write
 * where an entry is known not to be writable, and undone where a write or the caller's invalidation throws.
 */
export class EntryWrites<TableAddr> {
  private readonly tables: TableOps<TableAddr>;
  private readonly size: 4 | 8;
  /** By physical address, for a table may be met under more than one name. */
  private readonly pending: Map<number, PendingWrite<TableAddr>> = new Map();
  /** Some entry has to be broken. */
  private breaks = false;
  private exposed = false;

  constructor(tables: TableOps<TableAddr>, size: 4 | 8) {
    this.tables = tables;
    this.size = size;
  }

  /** What an entry is going to be; `undefined` where it stays. */
  get(gpa: number): bigint | undefined {
    return this.pending.get(gpa)?.entry;
  }

  set(slot: EntrySlot<TableAddr>, entry: bigint, { broken = false, links = false }: WriteKind): void {
    const gpa = this.tables.toPhys(slot.address);
    this.breaks ||= broken;
    const earlier = this.pending.get(gpa);
    if (earlier === undefined) {
      this.pending.set(gpa, { slot, entry, broken, links });
      return;
    }
    earlier.entry = entry;
    earlier.broken ||= broken;
    earlier.links ||= links;
  }

  /** The first entry that is known not to be writable. */
  unwritable(): EntrySlot<TableAddr> | undefined {
    const { tables, size } = this;
    if (tables.canWriteEntry === undefined) return undefined;
    for (const { slot } of this.pending.values()) if (!tables.canWriteEntry(slot.address, size)) return slot;
    return undefined;
  }

  /**
   * Writes everything, and calls `invalidate` when the tables say nothing any more of what is to be invalidated: entries that
   * have to be broken are, and get their new value after it.
   *
   * @throws what `invalidate` or a write threw, after all entries are as they were; for memory that is not there,
   * {@link Unwritten}
   */
  commit(invalidate: (() => void) | undefined): void {
    const writes = [...this.pending.values()];
    let begun = 0;
    try {
      for (const { slot, entry, broken, links } of writes) {
        this.store(slot, broken ? 0n : entry);
        begun++;
        this.exposed ||= links && !broken;
      }
      invalidate?.();
      for (const { slot, entry, broken, links } of writes) {
        if (!broken || entry === 0n) continue;
        this.store(slot, entry);
        this.exposed ||= links;
      }
    } catch (error) {
      for (const { slot } of writes.slice(0, begun).reverse())
        this.tables.writeEntry(slot.address, entryOf(slot.lo, slot.hi), this.size);
      throw error;
    }
  }

  /** What {@link commit} does, in its order; nothing where no entry has to be broken. */
  steps(invalidations: readonly Invalidation[]): EditStep[] {
    if (!this.breaks) return [];
    const writes = [...this.pending.values()];
    const at = ({ slot }: PendingWrite<TableAddr>): number => this.tables.toPhys(slot.address);
    const before = writes.map(
      (write): EditStep =>
        write.broken || write.entry === 0n
          ? { kind: 'break', entryAddress: at(write) }
          : { kind: 'write', entryAddress: at(write), entry: write.entry },
    );
    const after = writes
      .filter(({ broken, entry }) => broken && entry !== 0n)
      .map((write): EditStep => ({ kind: 'make', entryAddress: at(write), entry: write.entry }));
    return [...before, { kind: 'invalidate', invalidations }, ...after];
  }

  /**
   * Whether the hardware may have met a table, before all was undone, that it had not met before: it may go on using it until
   * somebody invalidates that.
   */
  get exposedTables(): boolean {
    return this.exposed;
  }

  private store(slot: EntrySlot<TableAddr>, entry: bigint): void {
    try {
      this.tables.writeEntry(slot.address, entry, this.size);
    } catch (cause) {
      checkNotThere(cause);
      throw new Unwritten(slot, cause);
    }
  }
}

/** An entry could not be written. Only the editor sees this, and says what that was about. */
export class Unwritten<TableAddr> extends Error {
  readonly slot: EntrySlot<TableAddr>;

  constructor(slot: EntrySlot<TableAddr>, cause: unknown) {
    super('Cannot write an entry', { cause });
    this.slot = slot;
  }
}
