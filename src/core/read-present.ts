import { ADDRESS_SPACE_SIZE, isGpa, PAGE_SIZE } from './addresses.ts';
import { isGuestMemoryError } from './errors.ts';
import type { GuestMemory } from './guest-memory.ts';

/** A stretch of addresses that could not be read. */
export interface Hole {
  readonly start: number;
  /** One past the last address. */
  readonly end: number;
}

/**
 * Reads what is there of a range into `dest` and says what is not: no byte is made up. Bytes of `dest` that belong to
 * a hole stay as they were.
 *
 * @returns the holes, by address, adjoining ones joined; none where all was read
 * @throws GuestMemoryError `invalid` for a range that is none, `pending` where bytes are on their way
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, readPresent } from 'guestmem';
 *
 * const memory = GuestMemory.fromRanges([[0, 0x1000], [0x2000, 0x1000]]);
 * assert.deepEqual(readPresent(memory, 0, new Uint8Array(0x3000)), [{ start: 0x1000, end: 0x2000 }]);
 * ```
 */
export function readPresent(memory: GuestMemory, gpa: number, dest: Uint8Array): Hole[] {
  if (!isGpa(gpa) || dest.length > ADDRESS_SPACE_SIZE - gpa) memory.probe(gpa, dest.length);
  const holes: { start: number; end: number }[] = [];
  const end = gpa + dest.length;
  for (let at = gpa; at < end; ) {
    const count = readSome(memory, at, dest, at - gpa);
    if (count === 0) {
      const next = Math.min(end, afterHole(memory, at));
      const last = holes.at(-1);
      if (last?.end === at) last.end = next;
      else holes.push({ start: at, end: next });
      at = next;
    }
    at += count;
  }
  return holes;
}

/** Reads as far as it goes from `at` on; a backing that fails is asked again for the rest of one page, then given up. */
function readSome(memory: GuestMemory, at: number, dest: Uint8Array, destAt: number): number {
  const reach = memory.reach(at, dest.length - destAt);
  for (const count of [reach, Math.min(reach, PAGE_SIZE - (at % PAGE_SIZE))]) {
    if (count === 0) return 0;
    try {
      memory.readAt(at, dest, destAt, count);
      return count;
    } catch (error) {
      if (!isGuestMemoryError(error) || error.code === 'pending') throw error;
      if (error.done > 0) return error.done;
    }
  }
  return 0;
}

/** The first address after `at` that is worth a try: the next page inside a region, else the next region. */
function afterHole(memory: GuestMemory, at: number): number {
  const nextPage = at - (at % PAGE_SIZE) + PAGE_SIZE;
  for (const region of memory.regions) {
    if (region.start > at) return region.start;
    if (region.end > at) return Math.min(nextPage, region.end);
  }
  return ADDRESS_SPACE_SIZE;
}
