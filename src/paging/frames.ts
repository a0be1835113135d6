import { hex } from '../core/index.ts';
import { PagingError } from './paging-error.ts';

/**
 * Where new tables come from: frames of 4 KiB or a power of two more, by guest-physical address.
 *
 * Two entries may lead to one table, in one address space or in several, and then it must outlive the first of them. So a
 * source counts: a frame is given out with one reference, and is free again when as many were taken back as were added.
 */
export interface FrameSource {
  /** `size` bytes (default 4 KiB) that are nobody else's, aligned to their size; `undefined` where there are none left. */
  alloc(size?: number): number | undefined;
  /** Takes one reference back, of a frame that was given out with this size; the last one frees it. */
  free(gpa: number, size?: number): void;
  /** Adds a reference. Without it tables cannot be shared. */
  retain?(gpa: number): void;
  /**
   * How many references there are; 0 for a frame that was not given out. Without it that is the answer for all of them, and
   * no table that was ever in use is given back: a frame that stays too long is lost, one that goes too early is a table
   * that its next owner writes.
   */
  references?(gpa: number): number;
}

/**
 * Frames from a range of guest-physical addresses that was set aside for tables. Address spaces that share tables take
 * them from one range, where the references are counted.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { FrameRange } from 'guestmem/paging';
 *
 * const frames = new FrameRange(0x1_0000, 0x2000);
 * assert.equal(frames.alloc(), 0x1_0000);
 * assert.equal(frames.alloc(), 0x1_1000);
 * assert.equal(frames.alloc(), undefined);
 * frames.free(0x1_0000);
 * assert.equal(frames.alloc(), 0x1_0000);
 *
 * frames.retain(0x1_0000); // a second entry leads to it
 * frames.free(0x1_0000);
 * assert.equal(frames.references(0x1_0000), 1);
 * ```
 */
export class FrameRange implements FrameSource {
  readonly gpa: number;
  readonly length: number;
  private next: number;
  /** Frames of 4 KiB below `next` that are free. */
  private readonly returned: Set<number> = new Set();
  /** What is given out, by address. */
  private readonly given: Map<number, Given> = new Map();

  /** @throws PagingError `invalid` where the range is not whole pages below 2^52 */
  constructor(gpa: number, length: number) {
    const whole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value % 4096 === 0;
    if (!whole(gpa) || !whole(length) || gpa + length > 2 ** 52) {
      throw new PagingError(
        'invalid',
        `Cannot take frames from ${hex(gpa)}, ${hex(length)} bytes long: wanted whole pages of 4 KiB below 2^52`,
      );
    }
    this.gpa = gpa;
    this.length = length;
    this.next = gpa;
  }

  /** @throws PagingError `invalid` where `size` is no power of two of at least 4 KiB */
  alloc(size = 4096): number | undefined {
    if (!Number.isInteger(Math.log2(size)) || size < 4096) {
      throw new PagingError(
        'invalid',
        `Cannot give out ${size} bytes: wanted a power of two of at least 4096`,
      );
    }
    const frame = this.fromReturned(size) ?? this.fromRest(size);
    if (frame !== undefined) this.given.set(frame, { size, references: 1 });
    return frame;
  }

  /** @throws PagingError `invalid` for a frame that is not given out */
  free(gpa: number): void {
    const given = this.givenAt(gpa, 'take back');
    given.references--;
    if (given.references > 0) return;
    this.given.delete(gpa);
    for (let frame = gpa; frame < gpa + given.size; frame += 4096) this.returned.add(frame);
  }

  /** @throws PagingError `invalid` for a frame that is not given out */
  retain(gpa: number): void {
    this.givenAt(gpa, 'retain').references++;
  }

  references(gpa: number): number {
    return this.given.get(gpa)?.references ?? 0;
  }

  /** Whether a frame is given out. */
  owns(gpa: number): boolean {
    return this.given.has(gpa);
  }

  /** Bytes from the start of the range up to the end of the last frame that was ever given out. */
  get used(): number {
    return this.next - this.gpa;
  }

  private givenAt(gpa: number, what: string): Given {
    const given = this.given.get(gpa);
    if (given === undefined)
      throw new PagingError('invalid', `Cannot ${what} frame ${hex(gpa)}: it is not given out`);
    return given;
  }

  private fromReturned(size: number): number | undefined {
    for (const frame of this.returned) {
      if (frame % size !== 0) continue;
      const parts = Array.from({ length: size / 4096 }, (_, i) => frame + i * 4096);
      if (!parts.every((part) => this.returned.has(part))) continue;
      for (const part of parts) this.returned.delete(part);
      return frame;
    }
    return undefined;
  }

  private fromRest(size: number): number | undefined {
    const frame = Math.ceil(this.next / size) * size;
    if (frame + size > this.gpa + this.length) return undefined;
    for (; this.next < frame; this.next += 4096) this.returned.add(this.next);
    this.next = frame + size;
    return frame;
  }
}

/** A frame that is given out. */
interface Given {
  readonly size: number;
  references: number;
}
