import type { Access } from './access.ts';
import { PAGE_SIZE } from './addresses.ts';
import type { MemoryBacking } from './backing.ts';
import type { HostBytes } from './memory-view.ts';

/** How often one page of a backing is locked, for reading and for writing. */
interface PageLock {
  /** First byte of the page in the backing: not always a multiple of the page, for a region may begin anywhere. */
  readonly offset: number;
  readers: number;
  writers: number;
}

/**
 * The locked pages of every backing of this thread, by the number of the page that they begin in, so that one is found
 * without a look at the others. They are kept by backing and not by memory, because every view of it, subranges too, pins
 * the same bytes.
 */
const locks = new WeakMap<MemoryBacking, Map<number, PageLock[]>>();

/**
 * Counts one more lock on a page, and tells the backing of the first.
 *
 * @param offset - first byte of the page in the backing
 */
export function lockPage(backing: MemoryBacking, offset: number, access: Access): void {
  const known = find(backing, offset);
  const lock = known ?? { offset, readers: 0, writers: 0 };
  const first = access === 'write' ? lock.writers === 0 : lock.readers + lock.writers === 0;
  if (first) backing.lock?.(offset, PAGE_SIZE, access);
  if (access === 'write') lock.writers++;
  else lock.readers++;
  if (known !== undefined) return;
  const pages = locks.get(backing) ?? new Map<number, PageLock[]>();
  const number = Math.floor(offset / PAGE_SIZE);
  pages.set(number, [...(pages.get(number) ?? []), lock]);
  locks.set(backing, pages);
}

/**
 * Takes back one lock of each page, and tells the backings of the last ones. A backing that throws keeps no other page
 * locked.
 *
 * @returns what backings threw
 */
export function unlockPages(held: readonly HostBytes[], access: Access): unknown[] {
  const errors: unknown[] = [];
  for (const { piece, offset } of held) {
    try {
      unlockPage(piece.backing, piece.backingOffset + offset, access);
    } catch (error) {
      errors.push(error);
    }
  }
  return errors;
}

function unlockPage(backing: MemoryBacking, offset: number, access: Access): void {
  const lock = find(backing, offset);
  if (lock === undefined) return;
  if (access === 'write') lock.writers--;
  else lock.readers--;
  if (lock.readers + lock.writers > 0) return;
  const pages = locks.get(backing);
  const number = Math.floor(offset / PAGE_SIZE);
  const others = pages?.get(number)?.filter((other) => other !== lock) ?? [];
  if (others.length > 0) pages?.set(number, others);
  else pages?.delete(number);
  backing.unlock?.(offset, PAGE_SIZE);
}

function find(backing: MemoryBacking, offset: number): PageLock | undefined {
  const there = locks.get(backing)?.get(Math.floor(offset / PAGE_SIZE));
  return there?.find((lock) => lock.offset === offset);
}

/** A page that is locked, by its address in a map. */
export interface LockedPage {
  readonly gpa: number;
  /** What it is locked for: reading, writing, or both, by different locks. */
  readonly accesses: readonly ('read' | 'write')[];
}

/** Where a piece of a region lies: in a map, and in its backing. */
export interface LockPlace {
  readonly backing: MemoryBacking;
  readonly start: number;
  readonly end: number;
  readonly backingOffset: number;
}

/** The locked pages of a region's pieces that touch a range of addresses, in order. */
export function lockedPages(places: readonly LockPlace[], start: number, end: number): LockedPage[] {
  const found: LockedPage[] = [];
  for (const piece of places) {
    const toOffset = piece.backingOffset - piece.start;
    const from = Math.max(start, piece.start) + toOffset;
    const to = Math.min(end, piece.end) + toOffset;
    for (const lock of locksIn(piece.backing, from, to))
      found.push({ gpa: lock.offset - toOffset, accesses: accessesOf(lock) });
  }
  return found.sort((a, b) => a.gpa - b.gpa);
}

/** The locks that touch a range of a backing; looks at the pages of the range, or at all locks where those are fewer. */
function* locksIn(backing: MemoryBacking, from: number, to: number): Generator<PageLock> {
  const pages = locks.get(backing);
  if (pages === undefined || from >= to) return;
  // A page that begins in the middle of the one before may reach into the range.
  const first = Math.max(0, Math.floor(from / PAGE_SIZE) - 1);
  const last = Math.floor((to - 1) / PAGE_SIZE);
  if (last - first >= pages.size) for (const there of pages.values()) yield* touching(there, from, to);
  else for (let page = first; page <= last; page++) yield* touching(pages.get(page) ?? [], from, to);
}

function touching(there: readonly PageLock[], from: number, to: number): PageLock[] {
  return there.filter(({ offset }) => offset < to && offset + PAGE_SIZE > from);
}

function accessesOf({ readers, writers }: PageLock): LockedPage['accesses'] {
  if (writers === 0) return ['read'];
  return readers === 0 ? ['write'] : ['read', 'write'];
}
