import { type GuestMemory, isGuestMemoryError, type PageWindow, u32, u64 } from '../core/index.ts';
import { fromHalves, physical } from './bits.ts';
import { type EntryReader, entryHalves, NO_WINDOW } from './entry-reader.ts';

// A constant of this module is known to the optimiser, an imported one is looked up every time.
const halves: Uint32Array = entryHalves;
const cell: BigUint64Array = new BigUint64Array(entryHalves.buffer);

/**
 * Entries straight from guest memory: each is one torn-free fetch. One class for both sizes, so that the walker's
 * call stays inlined in a program that walks tables of both.
 */
export class MemoryEntryReader implements EntryReader {
  readonly root: Int32Array;
  readonly window: PageWindow;
  readonly blocked: boolean = false;
  private readonly memory: GuestMemory;
  private readonly size: 4 | 8;

  constructor(memory: GuestMemory, root: Int32Array, size: 4 | 8) {
    this.memory = memory;
    this.root = root;
    this.size = size;
    this.window = size === 8 ? memory.pageWindow : NO_WINDOW;
  }

  begin(): void {
    // The root is shared with the tables this reader came from: nothing to fetch.
  }

  load(lo: number, hi: number): boolean {
    // A four-byte entry comes with its neighbour: a second kind of read, inlined beside the first, costs the walks of
    // every other format a fifth.
    try {
      // Below 8 TiB a page number is a small integer.
      if (hi >>> 0 < 0x800) this.memory.readU64InPage((lo >>> 12) | (hi << 20), lo & 0xff8, cell);
      else this.memory.readU64Into(physical(lo & ~7, hi), halves);
    } catch (error) {
      return checkNotThere(error) || (this.size === 4 && this.loadAlone(lo, hi));
    }
    if (this.size === 4) {
      halves[0] = halves[(lo >>> 2) & 1] as number;
      halves[1] = 0;
    }
    return true;
  }

  /** A four-byte entry whose neighbour is not there. */
  private loadAlone(lo: number, hi: number): boolean {
    try {
      halves[0] = this.memory.readU32(physical(lo, hi));
      halves[1] = 0;
      return true;
    } catch (error) {
      return checkNotThere(error);
    }
  }

  replace(
    lo: number,
    hi: number,
    _offset: number,
    oldLo: number,
    oldHi: number,
    newLo: number,
    newHi: number,
  ): boolean | undefined {
    return replaceEntry(
      this.memory,
      physical(lo, hi),
      fromHalves(oldLo, oldHi),
      fromHalves(newLo, newHi),
      this.size,
    );
  }

  /**
   * One copy for all of a table's entries, where nobody else can write them. A copy of shared memory promises no whole
   * entries: there each is one element of 64 bits.
   */
  snapshot(lo: number, hi: number, words: Uint32Array): boolean {
    const gpa = physical(lo, hi);
    const length = words.byteLength;
    if (!this.memory.checkRange(gpa, length)) return false;
    const run = this.memory.translateAndGetLimit(gpa);
    if (run === undefined || run.limit < length) return false;
    if (isShared(run.buffer)) return this.snapshotShared(gpa, words);
    this.memory.readAt(gpa, new Uint8Array(words.buffer, words.byteOffset, length));
    return true;
  }

  private snapshotShared(gpa: number, words: Uint32Array): boolean {
    const { firstPage, readPages, u64 } = this.window;
    const page = gpa / 4096 - firstPage;
    const count = words.length / 2;
    if (!(page >= 0 && Number.isInteger(page) && page * 512 + count <= readPages * 512)) return false;
    const entries = new BigUint64Array(words.buffer, words.byteOffset, count);
    const from = page * 512;
    for (let i = 0; i < count; i++) entries[i] = u64[from + i] as bigint;
    return true;
  }

  covers(lo: number, hi: number, length: number): boolean {
    return this.memory.checkRange(physical(lo, hi), length);
  }
}

function isShared(buffer: ArrayBufferLike): boolean {
  return typeof SharedArrayBuffer !== 'undefined' && buffer instanceof SharedArrayBuffer;
}

/** See {@link EntryReader.replace}. */
export function replaceEntry(
  memory: GuestMemory,
  gpa: number,
  expected: bigint,
  desired: bigint,
  size: 4 | 8,
): boolean | undefined {
  try {
    if (size === 8) return memory.compareExchange(u64, gpa, expected, desired) === expected;
    return memory.compareExchange(u32, gpa, Number(expected), Number(desired)) === Number(expected);
  } catch (error) {
    checkNotThere(error);
    return undefined;
  }
}

/**
 * Answers false where the entry's bytes are not there, which is a fact about the guest's tables or about the dump. A
 * mapping that was closed, bytes that are on their way (`settle` waits for those) and defects are the host's
 * business and thrown on.
 */
export function checkNotThere(error: unknown): false {
  if (
    isGuestMemoryError(error) &&
    (error.code === 'unmapped' || error.code === 'denied' || error.code === 'fault')
  ) {
    return false;
  }
  throw error;
}
