import { hex } from '../core/index.ts';
import { PagingError } from './paging-error.ts';

/** Where new tables come from: frames of 4 KiB or a power of two more, by guest-physical address. */
export interface FrameSource {
  /** `size` bytes (default 4 KiB) that are nobody else's, aligned to their size; `undefined` where there are none left. */
  alloc(size?: number): number | undefined;
  /** Takes a frame back, of the size that it was given out with. */
  free(gpa: number): void;
  /** Whether a frame is one that was given out. Without it every frame is taken for one. */
  owns?(gpa: number): boolean;
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
  /** Frames of 4 KiB below `next` that are free. */
  private readonly returned: Set<number> = new Set();
  /** Sizes of what is given out, by address. */
  private readonly given: Map<number, number> = new Map();

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
    if (frame !== undefined) this.given.set(frame, size);
    return frame;
  }

  /** @throws PagingError `invalid` for a frame that is not given out */
  free(gpa: number): void {
    const size = this.given.get(gpa);
    if (size === undefined)
      throw new PagingError('invalid', `Cannot take back frame ${hex(gpa)}: it is not given out`);
    this.given.delete(gpa);
    for (let frame = gpa; frame < gpa + size; frame += 4096) this.returned.add(frame);
  }

  owns(gpa: number): boolean {
    return this.given.has(gpa);
  }

  /** Bytes from the start of the range up to the end of the last frame that was ever given out. */
  get used(): number {
    return this.next - this.gpa;
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
