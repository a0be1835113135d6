import { type GuestMemory, isGuestMemoryError } from '../core/index.ts';
import { physical } from './bits.ts';
import { type EntryReader, entryHalves } from './entry-reader.ts';

const halves = entryHalves;

/** Eight-byte entries straight from guest memory: each is one torn-free fetch. */
export class LongEntryReader implements EntryReader {
  readonly root: Int32Array;
  private readonly memory: GuestMemory;

  constructor(memory: GuestMemory, root: Int32Array) {
    this.memory = memory;
    this.root = root;
  }

  begin(): void {
    // The root is shared with the tables this reader came from: nothing to fetch.
  }

  load(lo: number, hi: number): boolean {
    try {
      this.memory.readU64Into(physical(lo, hi), halves);
      return true;
    } catch (error) {
      return checkNotThere(error);
    }
  }

  covers(lo: number, hi: number, length: number): boolean {
    return this.memory.checkRange(physical(lo, hi), length);
  }
}

/** The same for the four-byte entries of 32-bit x86. */
export class ShortEntryReader implements EntryReader {
  readonly root: Int32Array;
  private readonly memory: GuestMemory;

  constructor(memory: GuestMemory, root: Int32Array) {
    this.memory = memory;
    this.root = root;
  }

  begin(): void {
    // As above.
  }

  load(lo: number, hi: number): boolean {
    try {
      halves[0] = this.memory.readU32(physical(lo, hi));
      halves[1] = 0;
      return true;
    } catch (error) {
      return checkNotThere(error);
    }
  }

  covers(lo: number, hi: number, length: number): boolean {
    return this.memory.checkRange(physical(lo, hi), length);
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
