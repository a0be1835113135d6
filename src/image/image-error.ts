import { hex } from '../core/index.ts';

/** What is wrong with an image, as a value to switch on. The set is closed. */
export type ImageErrorCode =
  | 'invalid'
  | 'unknown-format'
  | 'unsupported'
  | 'malformed'
  | 'truncated'
  | 'filtered'
  | 'unreachable'
  | 'not-ram'
  | 'io';

/** Where it went wrong. */
export interface ImageErrorFacts {
  /** Name of the source: a path, `blob` ... */
  readonly source: string;
  /** The format the source was being read as. */
  readonly format?: string | undefined;
  /** Byte offset in the source. */
  readonly position?: number | undefined;
  /** Guest-physical address. */
  readonly gpa?: number | undefined;
  readonly cause?: unknown;
}

/**
 * The one error of this room. The codes keep apart what tools like to mix up:
 *
 * - `truncated`: the image says it has these bytes, but the file ends before them;
 * - `filtered`: the writer of the dump left these bytes out;
 * - `unreachable`: a live machine has these bytes, and there is no way to them from here;
 * - `not-ram`: the machine has no memory at that address;
 * - `malformed`: the image contradicts itself; `unsupported`: it is of a kind that is not read yet;
 *   `unknown-format`: nothing was recognised;
 * - `io`: the source could not be read; `invalid`: an argument is wrong.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { bytesSource, ImageError, openImage } from 'guestmem/image';
 *
 * try {
 *   openImage(bytesSource(new Uint8Array(64)));
 *   assert.fail('opened');
 * } catch (error) {
 *   assert(error instanceof ImageError);
 *   assert.equal(error.code, 'unknown-format');
 * }
 * ```
 */
export class ImageError extends Error {
  override readonly name: 'ImageError' = 'ImageError';
  readonly code: ImageErrorCode;
  readonly source: string;
  readonly format: string | undefined;
  readonly position: number | undefined;
  readonly gpa: number | undefined;

  constructor(code: ImageErrorCode, message: string, facts: ImageErrorFacts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.source = facts.source;
    this.format = facts.format;
    this.position = facts.position;
    this.gpa = facts.gpa;
  }
}

/**
 * Tells an {@link ImageError} from anything else, by its shape: an error of another copy of this package passes too.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { bytesSource, isImageError, openImage } from 'guestmem/image';
 *
 * assert.throws(() => openImage(bytesSource(new Uint8Array(0))), isImageError);
 * assert.equal(isImageError(new Error('other')), false);
 * ```
 */
export function isImageError(value: unknown): value is ImageError {
  return (
    value instanceof Error &&
    value.name === 'ImageError' &&
    'code' in value &&
    typeof value.code === 'string' &&
    'source' in value
  );
}

/** A reader's complaint about the bytes at `position`: they contradict the format or each other. */
export function malformed(format: string, source: string, position: number, what: string): ImageError {
  return new ImageError(
    'malformed',
    `Cannot read ${source} as ${format}: ${what} (at offset ${hex(position)})`,
    {
      source,
      format,
      position,
    },
  );
}
