import { ADDRESS_SPACE_SIZE, isGpa } from './addresses.ts';
import { MAX_PIECE, type MemoryBacking } from './backing.ts';
import { closeWith } from './closing.ts';
import { GuestMemoryError } from './errors.ts';
import { hex } from './hex.ts';
import { isReadOnly, Region } from './region.ts';

/** A region to be: where it starts, what lies behind it, and, for `'r'`, that it is not to be written here. */
export interface RegionInit {
  /** First guest-physical address; congruent modulo 8 to the offset of the backing's bytes in their buffer. */
  readonly start: number;
  readonly backing: MemoryBacking;
  readonly access?: 'rw' | 'r';
}

/** A region of a memory's map, as users see it. */
export interface GuestRegion {
  readonly start: number;
  readonly size: number;
  /** One past the last address. */
  readonly end: number;
  /** The backing's kind: `heap`, `shared`, `memfd`, `callbacks` ... */
  readonly kind: string;
  readonly access: 'rw' | 'r';
  readonly backing: MemoryBacking;
}

/** A region and the pieces of at most 4 GiB that it is made of. Pieces are shared by all maps that have the region. */
export interface MapEntry {
  readonly region: GuestRegion;
  readonly pieces: readonly Region[];
}

/**
 * What a derived map makes of each of its regions, and of those that are inserted later.
 *
 * @param origin - what a region's addresses lack to those of the derived map: a region may be inserted into a subrange
 */
export type EntryChange = (entry: MapEntry, origin: number) => MapEntry;

/** What a change of a map is called in errors, and the memory that it is for. */
export interface ChangeFacts {
  readonly operation: string;
  readonly memory?: string;
}

const HINTS = 256;

/** Where every miss of an empty map ends: a region that holds nothing. */
const NOWHERE: Region = new Region({
  start: 0,
  size: 1,
  backing: { kind: 'absent', size: 1 },
  piece: undefined,
  backingOffset: 0,
  readOnly: true,
});

/**
 * An immutable set of regions, sorted and without overlap, and the two ways to find one: a table of hints, which is
 * quick and never trusted, and a binary search.
 */
export class MemoryMap {
  readonly entries: readonly MapEntry[];
  /** All pieces, by address. */
  readonly pieces: readonly Region[];
  /** The piece to try first: the largest plain one. */
  readonly home: Region;
  /** A candidate for each of 256 equal parts of the span; index = `(gpa - hintStart) * hintScale`. */
  readonly hints: readonly Region[];
  readonly hintStart: number;
  readonly hintScale: number;
  /** One past the last address of the last region; 0 where there is none. */
  readonly end: number;
  /** One past the last address: of a part of a map, which may end with a hole, its length; else `end`. */
  readonly limit: number;

  /** Length of a part of a map; 0 of a whole one, which ends with its last region. */
  private readonly length: number;
  /** What becomes of a region that is inserted: the changes that made this map from a plain one. */
  private readonly changes: readonly EntryChange[];

  constructor(entries: readonly MapEntry[], changes: readonly EntryChange[] = [], length = 0) {
    this.changes = changes;
    this.length = length;
    this.entries = entries;
    this.pieces = entries.flatMap((entry) => entry.pieces);
    this.home = this.pieces.reduce(
      (best, piece) => (piece.readLimit > best.readLimit ? piece : best),
      NOWHERE,
    );
    this.hintStart = this.pieces[0]?.start ?? 0;
    this.end = this.pieces.at(-1)?.end ?? 0;
    this.limit = Math.max(length, this.end);
    this.hintScale = this.end === 0 ? 0 : HINTS / (this.end - this.hintStart);
    this.hints = this.makeHints();
  }

  private makeHints(): Region[] {
    const hints = new Array<Region>(HINTS).fill(this.home);
    const covered = new Float64Array(HINTS);
    const part = 1 / this.hintScale;
    for (const piece of this.pieces) {
      const first = Math.floor((piece.start - this.hintStart) * this.hintScale);
      const last = Math.min(HINTS - 1, Math.floor((piece.end - 1 - this.hintStart) * this.hintScale));
      for (let i = first; i <= last; i++) {
        const from = this.hintStart + i * part;
        const bytes = Math.min(piece.end, from + part) - Math.max(piece.start, from);
        if (bytes > (covered[i] ?? 0)) {
          hints[i] = piece;
          covered[i] = bytes;
        }
      }
    }
    return hints;
  }

  /** Index of the piece that holds `gpa`, or -1. */
  indexOf(gpa: number): number {
    const pieces = this.pieces;
    let low = 0;
    let high = pieces.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const piece = pieces[middle] as Region;
      if (gpa < piece.start) high = middle - 1;
      else if (gpa - piece.start >= piece.size) low = middle + 1;
      else return middle;
    }
    return -1;
  }

  /** A new map with one region more. */
  insert(init: RegionInit, facts: ChangeFacts): MemoryMap {
    const plain = makeEntry(init, facts);
    // An overlap is refused before a change takes note of the region.
    const entries = inOrder([...this.entries, plain], facts);
    const made = this.changes.reduce((entry, change) => change(entry, 0), plain);
    return new MemoryMap(
      entries.map((entry) => (entry === plain ? made : entry)),
      this.changes,
      this.length,
    );
  }

  /** A new map on the same bytes, each region of it what `change` makes of the present one. */
  derive(change: EntryChange): MemoryMap {
    const entries = this.entries.map((entry) => change(entry, 0));
    return new MemoryMap(entries, [...this.changes, change], this.length);
  }

  /** A new map of parts of this one, whose address 0 is `offset` here, and which ends after `length`, hole or not. */
  part(entries: readonly MapEntry[], offset: number, length: number): MemoryMap {
    const changes = this.changes.map(
      (change): EntryChange =>
        (entry, origin) =>
          change(entry, origin + offset),
    );
    return new MemoryMap(entries, changes, length);
  }

  /** A new map without the region that has exactly this start and size. */
  remove(start: number, size: number, facts: ChangeFacts): MemoryMap {
    const at = this.entries.findIndex(({ region }) => region.start === start && region.size === size);
    if (at < 0) {
      const list = this.entries.map(({ region }) => `${hex(region.start)}-${hex(region.end)}`).join(', ');
      throw new GuestMemoryError(
        'unmapped',
        `no region of exactly that start and size; there ${this.entries.length === 1 ? 'is' : 'are'} ${list || 'none'}`,
        { ...facts, gpa: start, length: size },
      );
    }
    return new MemoryMap(
      this.entries.filter((_, i) => i !== at),
      this.changes,
      this.length,
    );
  }

  static fromRegions(inits: Iterable<RegionInit>, operation: string): MemoryMap {
    const entries = Array.from(inits, (init) => makeEntry(init, { operation }));
    return new MemoryMap(inOrder(entries, { operation }));
  }
}

/** Sorts and checks for overlap (SPEC M1: touching is fine, overlap is refused with both regions named). */
function inOrder(entries: MapEntry[], facts: ChangeFacts): readonly MapEntry[] {
  entries.sort((a, b) => a.region.start - b.region.start);
  for (let i = 1; i < entries.length; i++) {
    const before = (entries[i - 1] as MapEntry).region;
    const after = (entries[i] as MapEntry).region;
    if (after.start < before.end) {
      throw new GuestMemoryError('overlap', `${describe(after)} overlaps ${describe(before)}`, {
        ...facts,
        gpa: after.start,
        length: after.size,
        failedAt: after.start,
      });
    }
  }
  return entries;
}

/** The region's checked facts and its pieces. */
export function makeEntry(init: RegionInit, facts: ChangeFacts): MapEntry {
  const { start, backing } = init;
  const fail = (code: 'invalid' | 'misaligned' | 'too-large', reason: string): GuestMemoryError =>
    new GuestMemoryError(code, reason, { ...facts, gpa: start, length: backing.size });
  if (!isGpa(start)) throw fail('invalid', `current start ${start}, wanted a whole number from 0 to 2^53-1`);
  if (!Number.isSafeInteger(backing.size) && backing.size !== ADDRESS_SPACE_SIZE) {
    throw fail('invalid', `current size ${backing.size}, wanted a whole number`);
  }
  if (backing.size < 1) throw fail('invalid', `current size ${backing.size}, wanted at least 1 byte`);
  if (backing.size > ADDRESS_SPACE_SIZE - start)
    throw fail('too-large', 'it runs past the end of the 2^53 space');
  const readOnly = init.access === 'r' || isReadOnly(backing);
  const region: GuestRegion = Object.freeze({
    start,
    size: backing.size,
    end: start + backing.size,
    kind: backing.kind,
    access: readOnly ? 'r' : 'rw',
    backing,
  });
  const pieces = makePieces(region, fail);
  for (const piece of pieces) closeWith(backing, piece);
  return { region, pieces };
}

function makePieces(
  { start, backing, access }: GuestRegion,
  fail: (code: 'invalid' | 'misaligned' | 'too-large', reason: string) => GuestMemoryError,
): Region[] {
  if (backing.mapped === undefined) {
    if (backing.fallback === undefined)
      throw fail('invalid', 'its backing has neither mapped bytes nor a fallback');
    return [
      new Region({
        start,
        size: backing.size,
        backing,
        piece: undefined,
        backingOffset: 0,
        readOnly: access === 'r',
      }),
    ];
  }
  let offset = 0;
  const pieces = backing.mapped.map((bytes) => {
    if (bytes.byteLength > MAX_PIECE)
      throw fail('too-large', 'a mapped piece of its backing is longer than 4 GiB');
    if ((bytes.byteOffset - start - offset) % 8 !== 0) {
      throw fail(
        'misaligned',
        `its bytes lie at offset ${hex(bytes.byteOffset)} of their buffer, which is not congruent to the start modulo 8`,
      );
    }
    const piece = new Region({
      start: start + offset,
      size: bytes.byteLength,
      backing,
      piece: bytes,
      backingOffset: offset,
      readOnly: access === 'r',
    });
    offset += bytes.byteLength;
    return piece;
  });
  if (offset !== backing.size)
    throw fail('invalid', `its backing says ${backing.size} bytes and maps ${offset}`);
  return pieces;
}

function describe(region: GuestRegion): string {
  return `${region.kind} region ${hex(region.start)}-${hex(region.end)}`;
}
