import type { Access } from '../core/index.ts';
import type { DescriptorChain } from './descriptor-chain.ts';
import { QueueError } from './queue-error.ts';

/**
 * A place in the readable or in the writable bytes of a chain, and how many follow. The framing of a message is
 * independent of its contents (virtio 1.3, 2.7.4): whoever asks for bytes gets them in pieces, one for each segment
 * that they touch.
 */
export class ChainCursor {
  readonly chain: DescriptorChain;
  readonly access: Access;
  /** Bytes from here to the end of the stream. */
  remaining: number;
  /** Bytes between the beginning of the stream and here. */
  passed: number;
  private segment: number;
  private offset: number;

  constructor(chain: DescriptorChain, access: Access) {
    this.chain = chain;
    this.access = access;
    this.remaining = 0;
    this.passed = 0;
    this.segment = 0;
    this.offset = 0;
  }

  /** Goes to the first byte of `segment`, with `length` bytes to the end. */
  rewind(segment: number, length: number): void {
    this.segment = segment;
    this.offset = 0;
    this.remaining = length;
    this.passed = 0;
  }

  /** Throws `chain-too-short` unless `length` more bytes are there. */
  require(length: number): void {
    if (length > this.remaining) throw tooShort(this, length);
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new QueueError(
        'invalid',
        `Cannot ${this.access} a chain: current length ${length}, wanted a whole number`,
      );
    }
  }

  /** Length of the piece that begins here and lies in one segment: at most `length`, at least 1. */
  piece(length: number): number {
    let left = this.chain.length(this.segment) - this.offset;
    while (left === 0) {
      this.segment++;
      this.offset = 0;
      left = this.chain.length(this.segment);
    }
    return left < length ? left : length;
  }

  /** gpa of the piece that {@link ChainCursor.piece} measured. */
  get gpa(): number {
    return this.chain.address(this.segment) + this.offset;
  }

  /** Moves over a piece, or part of it. */
  advance(length: number): void {
    this.offset += length;
    this.passed += length;
    this.remaining -= length;
  }

  /** Moves over any number of bytes. */
  skip(length: number): void {
    this.require(length);
    while (length > 0) {
      const piece = this.piece(length);
      this.advance(piece);
      length -= piece;
    }
  }

  /** Ends `this` after `at` more bytes, and makes `rest` the cursor over what followed them. */
  split(at: number, rest: ChainCursor): void {
    this.require(at);
    rest.segment = this.segment;
    rest.offset = this.offset;
    rest.remaining = this.remaining;
    rest.skip(at);
    rest.passed = 0;
    this.remaining = at;
  }
}

function tooShort(cursor: ChainCursor, length: number): QueueError {
  const { chain, access, remaining } = cursor;
  return new QueueError(
    'chain-too-short',
    `Cannot ${access} ${length} bytes of chain ${chain.head}: current value ${remaining} left, wanted ${length}`,
    { head: chain.head, value: remaining, limit: length },
  );
}
