import type { Access } from './access.ts';
import { PAGE_SIZE } from './addresses.ts';
import type { MemoryBacking } from './backing.ts';
import type { MapEntry } from './memory-map.ts';

/** How often one page of a backing is locked, for reading and for writing. */
interface PageLock {
  readers: number;
  writers: number;
}

/**
 * The locked pages of every backing of this thread, by the offset of the page. They are kept by backing and not by memory,
 * because every view of it, subranges too, pins the same bytes.
 */
const locks = new WeakMap<MemoryBacking, Map<number, PageLock>>();

/**
 * Counts one more lock on a page, and tells the backing of the first.
 *
 * @param offset - first byte of the page in the backing
 */
export function lockPage(backing: MemoryBacking, offset: number, access: Access): void {
  const pages = locks.get(backing) ?? new Map<number, PageLock>();
  const lock = pages.get(offset) ?? { readers: 0, writers: 0 };
  const first = access === 'write' ? lock.writers === 0 : lock.readers + lock.writers === 0;
  if (first) backing.lock?.(offset, PAGE_SIZE, access);
  if (access === 'write') lock.writers++;
  else lock.readers++;
  pages.set(offset, lock);
  locks.set(backing, pages);
}

/** Takes back one lock, and tells the backing of the last. */
export function unlockPage(backing: MemoryBacking, offset: number, access: Access): void {
  const pages = locks.get(backing);
  const lock = pages?.get(offset);
  if (pages === undefined || lock === undefined) return;
  if (access === 'write') lock.writers--;
  else lock.readers--;
  if (lock.readers + lock.writers > 0) return;
  pages.delete(offset);
  backing.unlock?.(offset, PAGE_SIZE);
}

/** A page that is locked, by its address in a map. */
export interface LockedPage {
  readonly gpa: number;
  /** What it is locked for: reading, writing, or both, by different locks. */
  readonly accesses: readonly ('read' | 'write')[];
}

/** The locked pages of a region that touch a range of addresses, in order. */
export function lockedPages({ pieces }: MapEntry, start: number, end: number): LockedPage[] {
  const found: LockedPage[] = [];
  for (const piece of pieces) {
    for (const [offset, lock] of locks.get(piece.backing) ?? []) {
      const gpa = piece.start + offset - piece.backingOffset;
      const inside = gpa + PAGE_SIZE > Math.max(start, piece.start) && gpa < Math.min(end, piece.end);
      if (inside) found.push({ gpa, accesses: accessesOf(lock) });
    }
  }
  return found.sort((a, b) => a.gpa - b.gpa);
}

function accessesOf({ readers, writers }: PageLock): LockedPage['accesses'] {
  if (writers === 0) return ['read'];
  return readers === 0 ? ['write'] : ['read', 'write'];
}
