import { toGpa } from './addresses.ts';
import { GuestMemoryError } from './errors.ts';

// The memory that all threads of a SharedAddressSpace have in common, in words of 32 bits:
//
//   word 0                  the generation of the map in force
//   word 16                 the bell: rung whenever a Worker gives something up
//   from word 32            a slot of 16 words for each Worker (shared-address-space-slots.ts)
//   then                    two tables in turn: the map of generation g is in table g % 2
//
//   a table                 word 0: how many rows; word 1: regions numbered from here on are not known to it;
//                           from word 2: its rows
//   a row                   number of the region; start, size (two halves each); pool + 1, or 0 for a region that
//                           comes by message; offset in the pool (two halves); kind and access
//
// The owner writes the table that is not in force, then stores the generation. A reader loads the generation, reads its
// table, and loads the generation again: only where that has moved on may the owner have begun to write this table
// anew, and the reader starts over. All of it goes by Atomics, rows too: on Arm a plain load of a row may be put off
// until after the load that checks the generation.

export const GENERATION = 0;
export const BELL = 16;
const SLOTS = 32;
export const SLOT_WORDS = 16;
const TABLE_HEAD = 2;
const ROW_WORDS = 9;

/** Generations count to here and begin again at 0. */
const GENERATIONS = 2 ** 30;

/** The generation after one. */
export function nextGeneration(generation: number): number {
  return (generation + 1) % GENERATIONS;
}

/** True where `a` came before `b`; the two are less than half of all generations apart. */
export function isOlder(a: number, b: number): boolean {
  return (a - b) << 2 < 0;
}

/** What the table says of a region. */
export interface TableRow {
  /** Of each region of the address space another, in the order in which they came. */
  readonly id: number;
  readonly start: number;
  readonly size: number;
  /** Index of the pool that it was carved from; -1 for one that comes by message. */
  readonly pool: number;
  /** Of its first byte in the pool's buffer. */
  readonly offset: number;
  readonly kind: (typeof CARVED_KINDS)[number];
  readonly access: 'rw' | 'r';
}

/** A table as one reader saw it: never half a change. */
export interface TableSnapshot {
  readonly generation: number;
  readonly nextId: number;
  readonly rows: readonly TableRow[];
}

/** What a region that was carved from a pool may call itself. */
export const CARVED_KINDS = ['shared', 'bytes', 'wasm'] as const;

/** Sizes of a {@link SpaceTable}, which its words do not say. */
export interface SpaceTableShape {
  readonly maxWorkers: number;
  readonly maxRegions: number;
}

/** The map table of a shared address space, and the generation in force. */
export class SpaceTable {
  readonly words: Int32Array;
  private readonly shape: SpaceTableShape;

  constructor(words: Int32Array, shape: SpaceTableShape) {
    this.words = words;
    this.shape = shape;
  }

  /** Words for a table of this shape, all 0: generation 0, without a region. */
  static create(shape: SpaceTableShape): SpaceTable {
    const tables = 2 * (TABLE_HEAD + shape.maxRegions * ROW_WORDS);
    const words = SLOTS + shape.maxWorkers * SLOT_WORDS + tables;
    return new SpaceTable(new Int32Array(new SharedArrayBuffer(4 * words)), shape);
  }

  /** The generation of the map in force. */
  get generation(): number {
    return Atomics.load(this.words, GENERATION);
  }

  /** First word of a Worker's slot. */
  slot(index: number): number {
    return SLOTS + index * SLOT_WORDS;
  }

  /**
   * Looks whether the table has a row for each of so many regions.
   *
   * @throws GuestMemoryError `too-large`
   */
  checkRoom(regions: number): void {
    const { maxRegions } = this.shape;
    if (regions <= maxRegions) return;
    throw new GuestMemoryError(
      'too-large',
      `current map of ${regions} regions, wanted at most ${maxRegions}`,
      {
        operation: 'update the map',
      },
    );
  }

  /** Puts a map for which there is room in force, and answers its generation. Only the owner does. */
  publish(rows: readonly TableRow[], nextId: number): number {
    const generation = nextGeneration(this.generation);
    const table = this.tableOf(generation);
    this.put(table, rows.length, nextId);
    rows.forEach((row, i) => {
      const kind = CARVED_KINDS.indexOf(row.kind) * 2 + (row.access === 'r' ? 1 : 0);
      const at = table + TABLE_HEAD + i * ROW_WORDS;
      this.put(
        at,
        row.id,
        ...halves(row.start),
        ...halves(row.size),
        row.pool + 1,
        ...halves(row.offset),
        kind,
      );
    });
    Atomics.store(this.words, GENERATION, generation);
    return generation;
  }

  /** The map in force. */
  read(): TableSnapshot {
    for (;;) {
      const generation = this.generation;
      const table = this.tableOf(generation);
      const count = Math.min(this.word(table), this.shape.maxRegions);
      const nextId = this.word(table + 1);
      const words = Array.from({ length: count * ROW_WORDS }, (_, i) => this.word(table + TABLE_HEAD + i));
      if (this.generation === generation) return { generation, nextId, rows: rowsOf(words) };
    }
  }

  private tableOf(generation: number): number {
    const { maxWorkers, maxRegions } = this.shape;
    return this.slot(maxWorkers) + (generation % 2) * (TABLE_HEAD + maxRegions * ROW_WORDS);
  }

  private word(at: number): number {
    return Atomics.load(this.words, at);
  }

  private put(at: number, ...values: readonly number[]): void {
    for (const [i, value] of values.entries()) Atomics.store(this.words, at + i, value);
  }
}

function rowsOf(words: readonly number[]): TableRow[] {
  const rows: TableRow[] = [];
  for (let at = 0; at < words.length; at += ROW_WORDS) {
    const [id = 0, startLo = 0, startHi = 0, sizeLo = 0, sizeHi = 0, pool = 0, lo = 0, hi = 0, kind = 0] =
      words.slice(at, at + ROW_WORDS);
    rows.push({
      id,
      start: toGpa(startLo, startHi),
      size: toGpa(sizeLo, sizeHi),
      pool: pool - 1,
      offset: toGpa(lo, hi),
      kind: CARVED_KINDS[kind >> 1] ?? 'shared',
      access: kind % 2 === 1 ? 'r' : 'rw',
    });
  }
  return rows;
}

function halves(value: number): [lo: number, hi: number] {
  return [(value % 2 ** 32) | 0, Math.floor(value / 2 ** 32)];
}
