import { hex } from '../core/index.ts';
import { PagingError } from './paging-error.ts';

/** Where new tables come from: frames of 4 KiB, by guest-physical address. */
export interface FrameSource {
  /** A frame that is nobody else's, aligned to 4 KiB; `undefined` where there is none left. */
  alloc(): number | undefined;
  /** Takes a frame back. */
  free(gpa: number): void;
}

/**
 * Frames from a range of guest-physical addresses that was set aside for tables.
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
 * ```
 */
export class FrameRange implements FrameSource {
  readonly gpa: number;
  readonly length: number;
  private next: number;
  private readonly returned: Set<number> = new Set();

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

  alloc(): number | undefined {
    for (const frame of this.returned) {
      this.returned.delete(frame);
      return frame;
    }
    if (this.next >= this.gpa + this.length) return undefined;
    const frame = this.next;
    this.next += 4096;
    return frame;
  }

  /** @throws PagingError `invalid` for a frame that is not given out */
  free(gpa: number): void {
    const given = gpa >= this.gpa && gpa < this.next && gpa % 4096 === 0 && !this.returned.has(gpa);
    if (!given) throw new PagingError('invalid', `Cannot take back frame ${hex(gpa)}: it is not given out`);
    this.returned.add(gpa);
  }

  /** Bytes from the start of the range up to the end of the last frame that was ever given out. */
  get used(): number {
    return this.next - this.gpa;
  }
}
