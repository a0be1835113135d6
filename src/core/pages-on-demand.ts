import { isGpa, PAGE_SIZE } from './addresses.ts';
import { allocated } from './allocated.ts';
import { MAX_PIECE, type MemoryBacking } from './backing.ts';
import { copyBytes, isShared } from './bulk.ts';
import { loadElement } from './element.ts';
import { GuestMemoryError } from './errors.ts';
import { newWords } from './page-bits.ts';
import { PageRights } from './page-rights.ts';
import { PageStates } from './page-states.ts';
import { scratch } from './scratch.ts';

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
  /** Pages of 4 KiB that are here, whichever thread brought them. */
  presentPages(): number;
}

/** `lazy`: a page comes when it is first touched; `copy-on-write`: when it is first written. */
export type OnDemandKind = 'lazy' | 'copy-on-write';

/** Mapped pages, and which of them are there: what threads that bring them have in common. */
export interface PagesInCommon {
  readonly kind: OnDemandKind;
  readonly size: number;
  /** Lazy pages that begin as zeros, which any thread can bring. */
  readonly zeroed: boolean;
  readonly mapped: readonly Uint8Array[];
  readonly presence: PageRights;
  readonly states: Int32Array;
}

/** The pages behind a backing of this module, for those who share it. */
const known = new WeakMap<MemoryBacking, PagesInCommon>();

export function pagesBehind(backing: MemoryBacking): PagesInCommon | undefined {
  return known.get(backing);
}

/** The source of pages that begin as zeros: they are so already. */
export const ZEROS: PageSource = () => undefined;

/** New pages, none of which is there. */
export function newPages(
  kind: OnDemandKind,
  size: number,
  zeroed: boolean,
  options: OnDemandOptions,
): PagesInCommon {
  if (!isGpa(size) || size === 0) {
    throw new GuestMemoryError('invalid', `current size ${size}, wanted a whole number of at least 1`, {
      operation: `make a ${kind} backing`,
    });
  }
  const shared = options.shared === true;
  return {
    kind,
    size,
    zeroed,
    mapped: allocated(size, options, options.start ?? 0).mapped ?? [],
    presence: new PageRights(size, { shared }),
    states: newWords(Math.ceil(size / PAGE_SIZE), shared),
  };
}

/** Memory on these pages, brought by this thread from `source` where no other thread has brought them. */
export function onDemand(common: PagesInCommon, source: PageSource): OnDemandBacking {
  const pages = new BroughtPages(common, source);
  const { kind, size, mapped, presence } = common;
  const copied = kind === 'copy-on-write';
  const backing: OnDemandBacking = {
    kind,
    size,
    mapped,
    presence,
    presentPages: () => pages.states.count(),
    onFault(offset, _length, access) {
      if (copied && access !== 'write') return 'fallback';
      pages.bring(offset);
      return 'retry';
    },
    ...(copied && { fallback: { read: (offset: number, dest: Uint8Array) => pages.read(offset, dest) } }),
  };
  known.set(backing, common);
  return backing;
}

/** Pages in common, and where this thread gets those that are not there. */
class BroughtPages {
  readonly states: PageStates;
  private readonly common: PagesInCommon;
  private readonly source: PageSource;

  constructor(common: PagesInCommon, source: PageSource) {
    this.common = common;
    this.source = source;
    this.states = new PageStates(common.states);
  }

  /** Brings the page that `offset` lies in. */
  bring(offset: number): void {
    const { size, presence } = this.common;
    const page = Math.floor(offset / PAGE_SIZE);
    const start = page * PAGE_SIZE;
    this.states.bring(page, () => {
      this.source(start, this.page(start));
      presence.set(start, Math.min(PAGE_SIZE, size - start), 'rwx');
    });
  }

  /** Reads a range of which some pages are here and others in the image. */
  read(offset: number, dest: Uint8Array): void {
    for (let done = 0; done < dest.length; ) {
      const at = offset + done;
      const here = this.common.presence.reach(at, dest.length - done, 'read') > 0;
      const count = Math.min(dest.length - done, PAGE_SIZE - (at % PAGE_SIZE));
      const part = dest.subarray(done, done + count);
      if (here) readHere(this.page(at - (at % PAGE_SIZE)), at % PAGE_SIZE, part);
      else this.source(at, part);
      done += count;
    }
  }

  /** The bytes of the page that begins at `start`. Pieces are whole pages, so that it lies in one. */
  private page(start: number): Uint8Array {
    const piece = this.common.mapped[Math.floor(start / MAX_PIECE)] ?? new Uint8Array(0);
    const at = start % MAX_PIECE;
    return piece.subarray(at, Math.min(at + PAGE_SIZE, piece.length));
  }
}

/**
 * Reads of a page that is here. An access comes this way where another thread brought the page after it was found missing,
 * and may be writing there: an aligned scalar is one element then as well, so that it does not tear (SPEC M5).
 */
function readHere(page: Uint8Array, at: number, dest: Uint8Array): void {
  const width = dest.length;
  if ((width === 2 || width === 4 || width === 8) && (page.byteOffset + at) % width === 0) {
    loadElement(page.buffer, page.byteOffset + at, width);
    for (let i = 0; i < width; i++) dest[i] = scratch.u8[i] as number;
  } else copyBytes(dest, 0, page, at, width, isShared(dest));
}
