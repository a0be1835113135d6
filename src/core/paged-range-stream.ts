import { isGpa } from './addresses.ts';
import { GuestMemoryError } from './errors.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { Layout } from './layout.ts';
import type { PagedRange } from './paged-range.ts';
import { fillRange, readRange, writeRange } from './range-access.ts';

/**
 * What reading and writing a range step by step have in common: a place that moves on after a step that succeeded,
 * and stays where it was after one that failed, so that the step can be tried again.
 */
abstract class PagedRangeCursor {
  protected readonly memory: GuestMemory;
  /** What is still to come. */
  protected rest: PagedRange;

  /**
   * @param memory - what the range lies in
   * @param range - what to go through, from its first byte on
   */
  constructor(memory: GuestMemory, range: PagedRange) {
    this.memory = memory;
    this.rest = range;
  }

  /** Bytes that are still to come. */
  get remaining(): number {
    return this.rest.length;
  }

  /**
   * Passes over `count` bytes. They need not be there.
   *
   * @throws GuestMemoryError `invalid` for a count that is none, `too-large` where less remains
   */
  skip(count: number): void {
    this.next(count, 'skip');
    this.advance(count);
  }

  /** The next `count` bytes, which have to remain: nothing is touched before this was asked. */
  protected next(count: number, operation: string): PagedRange {
    if (!isGpa(count)) {
      throw this.error('invalid', `current count ${count}, wanted a whole number of at least 0`, operation);
    }
    if (count > this.rest.length) {
      throw this.error('too-large', `current count ${count}, of which ${this.rest.length} remain`, operation);
    }
    return this.rest.truncate(count);
  }

  protected advance(count: number): void {
    this.rest = this.rest.skip(count);
  }

  /** What a limit of `count` bytes leaves; one that is longer than what remains is no limit. */
  protected limited(count: number): PagedRange {
    if (!isGpa(count)) {
      throw this.error('invalid', `current limit ${count}, wanted a whole number of at least 0`, 'limit');
    }
    return this.rest.truncate(Math.min(count, this.rest.length));
  }

  protected error(code: 'invalid' | 'too-large', reason: string, operation: string): GuestMemoryError {
    return new GuestMemoryError(code, reason, {
      memory: this.memory.name,
      operation: `${operation} in a paged range`,
    });
  }
}

/**
 * Reads a range from its first byte to its last. What does not fit in what remains is refused before anything is
 * touched; a read that fails leaves the place where it was.
 *
 * All throw GuestMemoryError: `too-large` where less remains than asked for; else as {@link readRange}.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, PagedRange, PagedRangeReader, u16, u32 } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x3000);
 * memory.writeU32(0x1ffc, 0xcafe);
 * memory.writeU16(0, 7);
 * const reader = new PagedRangeReader(memory, new PagedRange(0xffc, 6, [1, 0]));
 * assert.equal(reader.readPlain(u32), 0xcafe);
 * assert.equal(reader.readPlain(u16), 7);
 * assert.equal(reader.remaining, 0);
 * assert.throws(() => reader.readPlain(u16), { code: 'too-large' });
 * ```
 */
export class PagedRangeReader extends PagedRangeCursor {
  /** Fills `dest` with the next bytes. */
  read(dest: Uint8Array): void {
    readRange(this.memory, this.next(dest.length, 'read'), dest);
    this.advance(dest.length);
  }

  /** The next value of a layout. A scalar that is aligned and lies in one run never tears. */
  readPlain<T>(type: Layout<T>): T {
    const part = this.next(type.size, 'read a value');
    let value: T;
    if (type.size > 0 && part.runAt(0) === type.size) value = this.memory.readPlain(type, part.gpaAt(0));
    else {
      const bytes = new Uint8Array(type.size);
      readRange(this.memory, part, bytes);
      value = type.decode(new DataView(bytes.buffer), 0);
    }
    this.advance(type.size);
    return value;
  }

  /** All that remains, as a copy. */
  readAll(): Uint8Array {
    const bytes = new Uint8Array(this.remaining);
    this.read(bytes);
    return bytes;
  }

  /** A reader of its own for the next `count` bytes, or for all that remains where that is less. */
  limit(count: number): PagedRangeReader {
    return new PagedRangeReader(this.memory, this.limited(count));
  }
}

/**
 * Writes a range from its first byte to its last. What does not fit in what remains is refused before anything is
 * touched; a write that fails leaves the place where it was.
 *
 * All throw GuestMemoryError: `too-large` where less remains than is to be written; else as {@link writeRange}.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, PagedRange, PagedRangeWriter, u32be } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x3000);
 * const writer = new PagedRangeWriter(memory, new PagedRange(0xffe, 0x1000, [2, 0]));
 * writer.writePlain(u32be, 0x0102_0304);
 * writer.zero(12);
 * assert.equal(writer.remaining, 0x1000 - 16);
 * assert.deepEqual(memory.readBytes(0, 2), Uint8Array.of(3, 4));
 * assert.throws(() => writer.fill(0xff, 0x1000), { code: 'too-large' });
 * ```
 */
export class PagedRangeWriter extends PagedRangeCursor {
  /** Stores `src` in the next bytes. */
  write(src: Uint8Array): void {
    writeRange(this.memory, this.next(src.length, 'write'), src);
    this.advance(src.length);
  }

  /** Stores a value by its layout. A scalar that is aligned and lies in one run never tears. */
  writePlain<T>(type: Layout<T>, value: T): void {
    const part = this.next(type.size, 'write a value');
    if (type.size > 0 && part.runAt(0) === type.size) this.memory.writePlain(type, part.gpaAt(0), value);
    else {
      const bytes = new Uint8Array(type.size);
      type.encode(new DataView(bytes.buffer), 0, value);
      writeRange(this.memory, part, bytes);
    }
    this.advance(type.size);
  }

  /** Sets the next `count` bytes to `value`, a whole number from 0 to 255. */
  fill(value: number, count: number): void {
    fillRange(this.memory, this.next(count, 'fill'), value);
    this.advance(count);
  }

  /** Sets the next `count` bytes to 0. */
  zero(count: number): void {
    this.fill(0, count);
  }

  /** A writer of its own for the next `count` bytes, or for all that remains where that is less. */
  limit(count: number): PagedRangeWriter {
    return new PagedRangeWriter(this.memory, this.limited(count));
  }
}
