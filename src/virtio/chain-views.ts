import type { MemoryViews, Releasable } from '../core/index.ts';
import type { ChainCursor } from './chain-cursor.ts';

/**
 * Bytes of a chain as they lie in guest memory: an iovec list for `fs.readv`, `fs.writev` and sockets, so that data
 * goes between a file and the guest with no copy between. Writable ones count as dirty until they are released.
 */
export interface ChainViews extends Releasable {
  /**
   * Views over guest memory, in stream order; none is empty.
   *
   * @throws GuestMemoryError `closed` after the release, or once the mapping has gone
   */
  readonly iovecs: readonly Uint8Array[];
  /** Bytes in all of them. */
  readonly length: number;
}

/**
 * Takes the next `length` bytes of a chain as views. Segments that touch become one: a driver that lists a buffer
 * page by page still makes one entry.
 */
export function takeViews(cursor: ChainCursor, length: number): ChainViews {
  cursor.require(length);
  const { memory } = cursor.chain;
  const parts: MemoryViews[] = [];
  try {
    let left = length;
    while (left > 0) {
      let run = cursor.piece(left);
      const gpa = cursor.gpa;
      cursor.advance(run);
      left -= run;
      while (left > 0) {
        const more = cursor.piece(left);
        if (cursor.gpa !== gpa + run) break;
        cursor.advance(more);
        run += more;
        left -= more;
      }
      parts.push(memory.views(gpa, run, cursor.access));
    }
  } catch (error) {
    for (const part of parts) part.release();
    throw error;
  }
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : new JoinedViews(parts, length);
}

class JoinedViews implements ChainViews {
  readonly length: number;
  private readonly parts: readonly MemoryViews[];

  constructor(parts: readonly MemoryViews[], length: number) {
    this.length = length;
    this.parts = parts;
  }

  get iovecs(): readonly Uint8Array[] {
    return this.parts.flatMap((part) => part.iovecs);
  }

  release(): void {
    for (const part of this.parts) part.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
