import { GuestMemoryError } from './errors.ts';
import { nextChange, TELLS } from './next-change.ts';
import { BELL, isOlder, type SpaceTable } from './shared-address-space-table.ts';

// Words of a slot.
const TICKET = 0; // of the Worker that has it; 0: nobody
const BORROWED = 1; // the generation of what memory() returned, or NONE
const PINNED = 2; // the oldest generation that is pinned, or NONE
const NONE = -1;

/** Says in the common memory what one Worker still uses. */
export class WorkerSlot {
  private readonly words: Int32Array;
  private readonly at: number;
  private readonly ticket: number;
  /** How many pins are out on each generation. */
  private readonly pins = new Map<number, number>();

  constructor(table: SpaceTable, index: number, ticket: number) {
    this.words = table.words;
    this.at = table.slot(index);
    this.ticket = ticket;
  }

  /** False once the slot was taken away. */
  get held(): boolean {
    return Atomics.load(this.words, this.at + TICKET) === this.ticket;
  }

  /** From now on the snapshot of this generation is used, and no longer the one before. */
  borrow(generation: number): void {
    this.say(BORROWED, generation);
  }

  /** No snapshot is borrowed. */
  idle(): void {
    this.say(BORROWED, NONE);
  }

  /** Keeps a generation that is borrowed at this moment, whatever is borrowed later. */
  pin(generation: number): void {
    this.pins.set(generation, (this.pins.get(generation) ?? 0) + 1);
    this.sayPins();
  }

  /** Takes back one {@link WorkerSlot.pin}. */
  unpin(generation: number): void {
    const count = (this.pins.get(generation) ?? 0) - 1;
    if (count > 0) this.pins.set(generation, count);
    else this.pins.delete(generation);
    this.sayPins();
  }

  /** Gives the slot back. */
  leave(): void {
    if (Atomics.compareExchange(this.words, this.at + TICKET, this.ticket, 0) === this.ticket)
      ring(this.words);
  }

  private sayPins(): void {
    let oldest = NONE;
    for (const generation of this.pins.keys())
      if (oldest === NONE || isOlder(generation, oldest)) oldest = generation;
    this.say(PINNED, oldest);
  }

  private say(word: number, generation: number): void {
    if (!this.held) return;
    Atomics.store(this.words, this.at + word, generation);
    ring(this.words);
  }
}

/** The slots of all Workers, as their owner sees them. */
export class WorkerSlots {
  private readonly table: SpaceTable;
  private readonly count: number;
  private lastTicket = 0;

  constructor(table: SpaceTable, count: number) {
    this.table = table;
    this.count = count;
  }

  /**
   * A slot for one more Worker.
   *
   * @throws GuestMemoryError `too-large` where all are taken
   */
  claim(): { index: number; ticket: number } {
    const { words } = this.table;
    for (let index = 0; index < this.count; index++) {
      const at = this.table.slot(index);
      if (Atomics.load(words, at + TICKET) !== 0) continue;
      const ticket = ++this.lastTicket;
      Atomics.store(words, at + BORROWED, NONE);
      Atomics.store(words, at + PINNED, NONE);
      Atomics.store(words, at + TICKET, ticket);
      return { index, ticket };
    }
    throw new GuestMemoryError('too-large', `all ${this.count} slots for Workers are taken`, {
      operation: 'share an address space',
    });
  }

  /** Takes a slot away from a Worker that ended without giving it back. */
  free(index: number): void {
    Atomics.store(this.table.words, this.table.slot(index) + TICKET, 0);
    ring(this.table.words);
  }

  /** The slots of the Workers that still use a snapshot from before a generation. */
  holders(generation: number): number[] {
    const { words } = this.table;
    const holds = (word: number): boolean => {
      const held = Atomics.load(words, word);
      return held !== NONE && isOlder(held, generation);
    };
    return Array.from({ length: this.count }, (_, index) => index).filter((index) => {
      const at = this.table.slot(index);
      if (Atomics.load(words, at + TICKET) === 0) return false;
      // In this order: what is borrowed is pinned first and then given up, so one of the two is seen.
      const borrowed = holds(at + BORROWED);
      return borrowed || holds(at + PINNED);
    });
  }

  /** Resolves once no Worker uses a snapshot from before a generation. */
  async quiesced(generation: number): Promise<void> {
    const { words } = this.table;
    for (;;) {
      const heard = Atomics.load(words, BELL);
      if (this.holders(generation).length === 0) return;
      await nextChange(words, BELL, heard, LOOK_MS);
    }
  }
}

/** Wakes whoever waits for a slot to change. */
function ring(words: Int32Array): void {
  Atomics.add(words, BELL, 1);
  Atomics.notify(words, BELL);
}

/** How often slots are looked at where nothing tells of a change, and in any case. */
const LOOK_MS = TELLS ? 20 : 1;
