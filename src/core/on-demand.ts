import { isGpa, PAGE_SIZE } from './addresses.ts';
import { allocated } from './allocated.ts';
import { MAX_PIECE, type MemoryBacking } from './backing.ts';
import { copyBytes, isShared } from './bulk.ts';
import { GuestMemoryError } from './errors.ts';
import { newWords } from './page-bits.ts';
import { PageRights } from './page-rights.ts';
import { PageStates } from './page-states.ts';

/** Where pages come from: it fills `dest`, one page or the rest of one, with the bytes from `offset` on. */
export type PageSource = (offset: number, dest: Uint8Array) => void;

/** How memory on demand is kept. */
export interface OnDemandOptions {
  /** Pages and their states in memory that Workers can share. Default false. */
  readonly shared?: boolean;
  /** Where its region is going to begin, if not at a multiple of 8. Default 0. */
  readonly start?: number;
}

/** Memory on demand: a backing, and how much of it has come. */
export interface OnDemandBacking extends MemoryBacking {
  /** Pages of 4 KiB that are here. */
  presentPages(): number;
}

/**
 * Memory whose pages come when they are first touched: zeroed ones, or what `source` fills in. Threads that touch one page
 * at the same time ask for it once.
 *
 * @param size - bytes, at least 1
 * @param source - fills a page; what it throws fails the access (throw {@link pending} where the bytes are on their way)
 * @throws GuestMemoryError `invalid`, `too-large`, `unsupported`, as {@link heap} and {@link shared}
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, lazy } from 'guestmem';
 *
 * const asked: number[] = [];
 * const memory = GuestMemory.from(lazy(0x10_0000, (offset, dest) => {
 *   asked.push(offset);
 *   dest.fill(offset / 4096);
 * }));
 * assert.equal(memory.readU8(0x5fff), 5);
 * assert.equal(memory.readU8(0x5000), 5);
 * assert.deepEqual(asked, [0x5000]);
 * ```
 */
export function lazy(size: number, source?: PageSource, options: OnDemandOptions = {}): OnDemandBacking {
  const pages = new PagesOnDemand('lazy', size, options);
  return pages.backing({
    onFault(offset) {
      pages.bring(offset, (at, dest) => source?.(at, dest));
      return 'retry';
    },
  });
}

/**
 * A copy of an image that shares what neither side changes: reads of pages that were not written go to `image`, and the
 * first write to a page copies it. A fork costs memory only for what it changes. The image must not change.
 *
 * @param size - bytes, at least 1
 * @param image - reads the image: any number of bytes from any offset
 * @throws GuestMemoryError `invalid`, `too-large`, `unsupported`, as {@link heap} and {@link shared}
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { copyOnWrite, GuestMemory } from 'guestmem';
 *
 * const image = new Uint8Array(0x10_0000).fill(7);
 * const backing = copyOnWrite(image.length, (offset, dest) => dest.set(image.subarray(offset, offset + dest.length)));
 * const fork = GuestMemory.from(backing);
 * fork.writeU8(0x5123, 1);
 * assert.equal(fork.readU32(0x5120), 0x0107_0707);
 * assert.equal(image[0x5123], 7);
 * assert.equal(backing.presentPages(), 1);
 * ```
 */
export function copyOnWrite(size: number, image: PageSource, options: OnDemandOptions = {}): OnDemandBacking {
  const pages = new PagesOnDemand('copy-on-write', size, options);
  return pages.backing({
    onFault(offset, _length, access) {
      if (access !== 'write') return 'fallback';
      pages.bring(offset, image);
      return 'retry';
    },
    fallback: { read: (offset, dest) => pages.read(offset, dest, image) },
  });
}

/** Mapped pages, which of them are there, and who brings the others. */
class PagesOnDemand {
  private readonly kind: string;
  private readonly size: number;
  private readonly mapped: readonly Uint8Array[];
  private readonly presence: PageRights;
  private readonly states: PageStates;

  constructor(kind: string, size: number, options: OnDemandOptions) {
    if (!isGpa(size) || size === 0) {
      throw new GuestMemoryError('invalid', `current size ${size}, wanted a whole number of at least 1`, {
        operation: `make a ${kind} backing`,
      });
    }
    this.kind = kind;
    this.size = size;
    this.mapped = allocated(size, options, options.start ?? 0).mapped ?? [];
    this.presence = new PageRights(size, { shared: options.shared === true });
    this.states = new PageStates(newWords(Math.ceil(size / PAGE_SIZE), options.shared === true));
  }

  backing(hooks: Pick<MemoryBacking, 'onFault' | 'fallback'>): OnDemandBacking {
    return {
      kind: this.kind,
      size: this.size,
      mapped: this.mapped,
      presence: this.presence,
      presentPages: () => this.states.count(),
      ...hooks,
    };
  }

  /** Brings the page that `offset` lies in. */
  bring(offset: number, source: PageSource): void {
    const page = Math.floor(offset / PAGE_SIZE);
    const start = page * PAGE_SIZE;
    this.states.bring(page, () => {
      source(start, this.page(start));
      this.presence.set(start, Math.min(PAGE_SIZE, this.size - start), 'rwx');
    });
  }

  /** Reads a range of which some pages are here and others in the image. */
  read(offset: number, dest: Uint8Array, image: PageSource): void {
    for (let done = 0; done < dest.length; ) {
      const at = offset + done;
      const here = this.presence.reach(at, dest.length - done, 'read') > 0;
      const count = Math.min(dest.length - done, PAGE_SIZE - (at % PAGE_SIZE));
      const part = dest.subarray(done, done + count);
      if (here) copyBytes(part, 0, this.page(at - (at % PAGE_SIZE)), at % PAGE_SIZE, count, isShared(part));
      else image(at, part);
      done += count;
    }
  }

  /** The bytes of the page that begins at `start`. Pieces are whole pages, so that it lies in one. */
  private page(start: number): Uint8Array {
    const piece = this.mapped[Math.floor(start / MAX_PIECE)] ?? new Uint8Array(0);
    const at = start % MAX_PIECE;
    return piece.subarray(at, Math.min(at + PAGE_SIZE, piece.length));
  }
}
