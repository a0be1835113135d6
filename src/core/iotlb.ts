import type { Access } from './access.ts';
import { ADDRESS_SPACE_SIZE, isGpa, PAGE_SIZE } from './addresses.ts';
import { GuestMemoryError } from './errors.ts';
import type { GuestRun } from './paged-range.ts';

/** What a device may do with a translated range. */
export type IotlbRights = 'r' | 'w' | 'rw';

/** A translation: `length` bytes from `iova` on are those from `gpa` on. */
export interface IotlbEntry {
  readonly iova: number;
  readonly gpa: number;
  readonly length: number;
  readonly rights: IotlbRights;
}

/** A stretch of a request that is not translated: nothing is known of it, or the access is not allowed. */
export interface IotlbFault {
  readonly kind: 'miss' | 'denied';
  readonly iova: number;
  readonly length: number;
}

/** The answer to a request. It is translated where there are no faults. */
export interface IotlbLookup {
  /** Where the bytes before the first fault are, in order; runs that touch are one. */
  readonly runs: readonly GuestRun[];
  /** What stands in the way, in order of address and clipped to the request; adjoining ones of a kind are one. */
  readonly faults: readonly IotlbFault[];
}

/** How an {@link Iotlb} is made. */
export interface IotlbOptions {
  /** The most entries it keeps; default 2048. */
  readonly capacity?: number;
}

const DEFAULT_CAPACITY = 2048;

/** The end of an entry that is not kept any more: it holds no address. */
const GONE = -1;

/** How many entries are found by the page of an address alone. Another page each time, of 1024: 3 times as fast. */
const RECENT = 1024;

/** An entry as it is kept. `used` is the time of the last lookup that it answered. */
interface Kept {
  readonly iova: number;
  /** One past the last address; {@link GONE} once the entry is not kept any more. */
  end: number;
  readonly gpa: number;
  readonly readable: boolean;
  readonly writable: boolean;
  used: number;
}

/**
 * The translations that an IOMMU has told a device of: IO virtual addresses to guest-physical ones, byte by byte, with
 * rights. Neighbours with the same difference and rights are one entry.
 *
 * It is a cache of bounded size: where it is full, the entry that was used least recently goes, for a miss can be
 * answered again (`onMiss` of {@link IommuView}). Where nobody answers misses, give it room for every mapping.
 *
 * Zero lengths and ranges that leave the 2^53 space are `invalid`. Translations that take rights away or go have to be
 * told here before they are true elsewhere; new ones may come with a miss.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Iotlb } from 'guestmem';
 *
 * const iotlb = new Iotlb();
 * iotlb.map(0x1000, 0x8000, 0x2000, 'rw');
 * iotlb.map(0x2000, 0x4000, 0x1000, 'r');
 * assert.deepEqual(iotlb.lookup(0x1ff0, 0x20, 'read').runs, [
 *   { gpa: 0x8ff0, length: 0x10 },
 *   { gpa: 0x4000, length: 0x10 },
 * ]);
 * assert.deepEqual(iotlb.lookup(0x2ff0, 0x20, 'write').faults, [
 *   { kind: 'denied', iova: 0x2ff0, length: 0x10 },
 *   { kind: 'miss', iova: 0x3000, length: 0x10 },
 * ]);
 * iotlb.unmap(0x1800, 8);
 * assert.equal(iotlb.find(0x1800, 1, 'read'), -1);
 * assert.throws(() => iotlb.map(0, 0, 0, 'r'), { code: 'invalid' });
 * ```
 */
export class Iotlb {
  /** The most entries it keeps. */
  readonly capacity: number;
  /** By address, without overlap. */
  private readonly kept: Kept[] = [];
  /** By page number modulo {@link RECENT}, the entry that answered there last. It is looked at, never trusted. */
  private readonly recent: Kept[] = new Array<Kept>(RECENT).fill(NOTHING);
  private clock = 0;
  private changes = 0;

  /** @throws GuestMemoryError `invalid` for a capacity that is no whole number of at least 1 */
  constructor(options: IotlbOptions = {}) {
    const capacity = options.capacity ?? DEFAULT_CAPACITY;
    if (!isGpa(capacity) || capacity === 0) {
      throw new GuestMemoryError(
        'invalid',
        `current capacity ${capacity}, wanted a whole number of at least 1`,
        { operation: 'make an IOTLB' },
      );
    }
    this.capacity = capacity;
  }

  /** How many entries there are. */
  get size(): number {
    return this.kept.length;
  }

  /**
   * How often a translation was taken away or replaced: who keeps host bytes that one led to looks here whether they may
   * have become stale. Entries that go for want of room are true still.
   */
  get invalidations(): number {
    return this.changes;
  }

  /** The entries, by address. */
  entries(): IotlbEntry[] {
    return this.kept.map(({ iova, end, gpa, readable, writable }) => ({
      iova,
      gpa,
      length: end - iova,
      rights: readable ? (writable ? 'rw' : 'r') : 'w',
    }));
  }

  /**
   * Translates `length` bytes from `iova` on to those from `gpa` on. What was known of them is forgotten.
   *
   * @throws GuestMemoryError `invalid` for a length of 0, for ranges outside the 2^53 space, and for rights that are none
   */
  map(iova: number, gpa: number, length: number, rights: IotlbRights): void {
    const operation = 'map an IO virtual range of';
    checkRange(iova, length, operation);
    if (!isGpa(gpa) || length > ADDRESS_SPACE_SIZE - gpa) {
      throw new GuestMemoryError(
        'invalid',
        `current target ${gpa}, wanted one whose range is inside the 2^53 space`,
        { operation, gpa: iova, length },
      );
    }
    if (rights !== 'r' && rights !== 'w' && rights !== 'rw') {
      throw new GuestMemoryError('invalid', `current rights "${rights}", wanted "r", "w" or "rw"`, {
        operation,
        gpa: iova,
        length,
      });
    }
    const at = this.cut(iova, iova + length);
    const readable = rights !== 'w';
    const writable = rights !== 'r';
    this.insert(at, keep(iova, iova + length, gpa, readable, writable, ++this.clock));
    this.evict();
  }

  /**
   * Forgets what is known of `length` bytes from `iova` on; the next access misses. Entries that reach beyond are split.
   *
   * @throws GuestMemoryError `invalid` for a length of 0, and for a range outside the 2^53 space
   */
  unmap(iova: number, length: number): void {
    checkRange(iova, length, 'unmap an IO virtual range of');
    this.cut(iova, iova + length);
    this.evict();
  }

  /** Forgets everything. */
  clear(): void {
    for (const entry of this.kept) entry.end = GONE;
    if (this.kept.length > 0) this.changes++;
    this.kept.length = 0;
  }

  /**
   * The guest-physical address of `iova`, where one entry translates all of `length` bytes from there; else -1. It
   * allocates nothing; {@link Iotlb.lookup} says the rest.
   */
  find(iova: number, length: number, access: Access): number {
    const slot = (iova / PAGE_SIZE) & (RECENT - 1);
    let entry = this.recent[slot] as Kept;
    if (!(iova >= entry.iova && iova < entry.end)) {
      const found = this.kept[this.indexOf(iova)];
      if (found === undefined || !(iova >= found.iova)) return -1;
      entry = found;
      this.recent[slot] = found;
    }
    if (!(length <= entry.end - iova) || !allows(entry, access)) return -1;
    entry.used = ++this.clock;
    return entry.gpa + (iova - entry.iova);
  }

  /**
   * Translates a request, or says what stands in the way.
   *
   * @throws GuestMemoryError `invalid` for a length of 0, and for a range outside the 2^53 space
   */
  lookup(iova: number, length: number, access: Access): IotlbLookup {
    checkRange(iova, length, 'translate');
    const runs: { gpa: number; length: number }[] = [];
    const faults: { kind: 'miss' | 'denied'; iova: number; length: number }[] = [];
    const end = iova + length;
    let index = this.indexOf(iova);
    for (let at = iova; at < end; ) {
      const entry = this.kept[index];
      const hit = entry !== undefined && entry.iova <= at;
      const next = Math.min(end, entry === undefined ? end : hit ? entry.end : entry.iova);
      if (hit && allows(entry, access)) {
        entry.used = ++this.clock;
        if (faults.length === 0) appendRun(runs, entry.gpa + (at - entry.iova), next - at);
      } else appendFault(faults, hit ? 'denied' : 'miss', at, next - at);
      if (hit) index++;
      at = next;
    }
    return { runs, faults };
  }

  /** Index of the first entry that ends after `iova`: the one that holds it, or the next. */
  private indexOf(iova: number): number {
    let low = 0;
    let high = this.kept.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.kept[middle] as Kept).end <= iova) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Takes a range out, and says where an entry for it belongs. */
  private cut(iova: number, end: number): number {
    const first = this.indexOf(iova);
    const rest: Kept[] = [];
    let past = first;
    let place = first;
    for (let entry = this.kept[past]; entry !== undefined && entry.iova < end; entry = this.kept[++past]) {
      const { gpa, readable, writable, used } = entry;
      if (entry.iova < iova) {
        rest.push(keep(entry.iova, iova, gpa, readable, writable, used));
        place = first + 1;
      }
      if (entry.end > end) {
        rest.push(keep(end, entry.end, gpa + (end - entry.iova), readable, writable, used));
      }
      entry.end = GONE;
    }
    if (past > first) this.changes++;
    this.kept.splice(first, past - first, ...rest);
    return place;
  }

  /** Puts an entry where nothing is, joined with the neighbours that continue it. */
  private insert(at: number, entry: Kept): void {
    const before = this.kept[at - 1];
    const after = this.kept[at];
    const joinsBefore = before !== undefined && continues(before, entry);
    const joinsAfter = after !== undefined && continues(entry, after);
    const first = joinsBefore ? before : entry;
    const last = joinsAfter ? after : entry;
    const joined = keep(first.iova, last.end, first.gpa, entry.readable, entry.writable, entry.used);
    const replaced = this.kept.splice(
      joinsBefore ? at - 1 : at,
      Number(joinsBefore) + Number(joinsAfter),
      joined,
    );
    for (const gone of replaced) gone.end = GONE;
  }

  /** The entries are looked through one by one; the capacity bounds that, as it bounds the insertion. */
  private evict(): void {
    while (this.kept.length > this.capacity) {
      let oldest = 0;
      this.kept.forEach((entry, i) => {
        if (entry.used < (this.kept[oldest] as Kept).used) oldest = i;
      });
      for (const gone of this.kept.splice(oldest, 1)) gone.end = GONE;
    }
  }
}

/** Every entry is made here, so that the engine sees one shape. */
function keep(
  iova: number,
  end: number,
  gpa: number,
  readable: boolean,
  writable: boolean,
  used: number,
): Kept {
  return { iova, end, gpa, readable, writable, used };
}

const NOTHING: Kept = keep(0, GONE, 0, false, false, 0);

function allows(entry: Kept, access: Access): boolean {
  return access === 'write' ? entry.writable : entry.readable;
}

/** True where `after` is the same translation, further on. */
function continues(before: Kept, after: Kept): boolean {
  return (
    before.end === after.iova &&
    before.gpa - before.iova === after.gpa - after.iova &&
    before.readable === after.readable &&
    before.writable === after.writable
  );
}

function appendRun(runs: { gpa: number; length: number }[], gpa: number, length: number): void {
  const last = runs.at(-1);
  if (last !== undefined && last.gpa + last.length === gpa) last.length += length;
  else runs.push({ gpa, length });
}

function appendFault(
  faults: { kind: 'miss' | 'denied'; iova: number; length: number }[],
  kind: 'miss' | 'denied',
  iova: number,
  length: number,
): void {
  const last = faults.at(-1);
  if (last?.kind === kind && last.iova + last.length === iova) last.length += length;
  else faults.push({ kind, iova, length });
}

function checkRange(iova: number, length: number, operation: string): void {
  if (!isGpa(iova) || !isGpa(length) || length === 0 || length > ADDRESS_SPACE_SIZE - iova) {
    throw new GuestMemoryError(
      'invalid',
      `current ${length} bytes from ${iova}, wanted at least 1, inside the 2^53 space`,
      { operation, length },
    );
  }
}
