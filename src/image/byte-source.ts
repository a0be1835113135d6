import { hex, isGuestMemoryError } from '../core/index.ts';
import { ImageError, isImageError } from './image-error.ts';

/**
 * Random access to the bytes of an image. Everything this room reads, it reads through one of these.
 *
 * Reading is synchronous, as all of the core is (SPEC M16): a source that has to wait throws the core's `pending`
 * error, and the caller runs the reading function within `settle`.
 */
export interface ByteSource {
  /** For messages: a path, a file's name. */
  readonly name: string;
  /** Bytes there are. Claims inside an image are checked against it. */
  readonly size: number;
  /**
   * Reads like `pread`: fills `dest` from `position` on and returns how many bytes it got, which may be fewer than
   * asked for, and is 0 at the end.
   *
   * @throws GuestMemoryError `pending` where the bytes are on their way
   */
  read(position: number, dest: Uint8Array): number;
  /** Gives up what the source holds (a descriptor, a cache). Safe to call twice. */
  close?(): void;
}

/**
 * Bytes that are in memory already, as a source.
 *
 * @param bytes - used in place, not copied
 * @param name - for messages
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { bytesSource } from 'guestmem/image';
 *
 * const source = bytesSource(Uint8Array.of(1, 2, 3, 4));
 * const dest = new Uint8Array(8);
 * assert.equal(source.read(1, dest), 3);
 * assert.deepEqual([...dest.subarray(0, 3)], [2, 3, 4]);
 * ```
 */
export function bytesSource(bytes: Uint8Array, name = 'bytes'): ByteSource {
  return {
    name,
    size: bytes.length,
    read(position: number, dest: Uint8Array): number {
      const count = Math.max(0, Math.min(dest.length, bytes.length - position));
      dest.set(bytes.subarray(position, position + count));
      return count;
    },
  };
}

/**
 * Reads until `dest` is full or the source ends, whichever is first, and returns the count. Sources may answer with
 * less than asked for at any time; only an answer of 0 is the end.
 *
 * @throws ImageError `io` where the source fails or answers nonsense
 * @throws GuestMemoryError `pending` or `closed`, as it came from the source
 */
export function readUpTo(source: ByteSource, position: number, dest: Uint8Array): number {
  let done = 0;
  while (done < dest.length) {
    const count = readSome(source, position + done, done === 0 ? dest : dest.subarray(done));
    if (count === 0) break;
    done += count;
  }
  return done;
}

/**
 * Fills `dest` or fails.
 *
 * @throws ImageError `truncated` where the source ends before `dest` is full, `io` as in {@link readUpTo}
 */
export function readExactly(source: ByteSource, position: number, dest: Uint8Array, what: string): void {
  const count = readUpTo(source, position, dest);
  if (count < dest.length) {
    throw new ImageError(
      'truncated',
      `Cannot read ${what} of ${source.name}: the file ends at ${hex(position + count)}, ` +
        `wanted ${dest.length} bytes at ${hex(position)}`,
      { source: source.name, position: position + count },
    );
  }
}

function readSome(source: ByteSource, position: number, dest: Uint8Array): number {
  let count: number;
  try {
    count = source.read(position, dest);
  } catch (error) {
    if (isImageError(error) || isGuestMemoryError(error)) throw error;
    throw failed(
      source,
      position,
      dest.length,
      error instanceof Error ? error.message : String(error),
      error,
    );
  }
  // A source may be anybody's code: a count that lies would leave stale bytes in `dest`, or loop for ever.
  if (!Number.isInteger(count) || count < 0 || count > dest.length) {
    throw failed(source, position, dest.length, `the source answered with a count of ${count}`);
  }
  return count;
}

function failed(
  source: ByteSource,
  position: number,
  length: number,
  reason: string,
  cause?: unknown,
): ImageError {
  return new ImageError(
    'io',
    `Cannot read ${length} bytes at ${hex(position)} of ${source.name}: ${reason}`,
    {
      source: source.name,
      position,
      cause,
    },
  );
}
