import type { ByteSource } from './byte-source.ts';
import { detectFormat } from './detect-format.ts';
import { openElfCore } from './elf-core.ts';
import { ImageError } from './image-error.ts';
import type { MemoryImage } from './memory-image.ts';
import { openRaw } from './raw.ts';

/** A format to read an image as, instead of what it looks like. */
export interface OpenImageOptions {
  readonly format?: 'elf-core' | 'raw';
}

/**
 * Opens a memory image. Headers are read now, memory when it is asked for; nothing is mapped, and nothing is
 * allocated on a header's word alone.
 *
 * The image owns the source from then on; while opening fails, it stays the caller's.
 *
 * @throws ImageError `unknown-format`, `unsupported` (recognised, but not read yet), `malformed`, `truncated`, `io`,
 * `invalid`
 * @throws GuestMemoryError `pending` where the source has to wait: call it within `settle`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { bytesSource, openImage } from 'guestmem/image';
 *
 * const file = new Uint8Array(8192);
 * file[0x1005] = 42;
 * const image = openImage(bytesSource(file), { format: 'raw' });
 * assert.equal(image.memory.readU8(0x1005), 42);
 * assert.deepEqual(image.ranges, [{ start: 0, end: 8192, kind: 'ram', offset: 0 }]);
 * image.close();
 * ```
 */
export function openImage(source: ByteSource, options: OpenImageOptions = {}): MemoryImage {
  if (options.format === 'raw') return openRaw(source, 'Raw because that is what was asked for');
  if (options.format === 'elf-core')
    return openElfCore(source, 'ELF core because that is what was asked for');
  const guess = detectFormat(source);
  if (guess.format === 'elf-core') return openElfCore(source, guess.reason);
  const { name } = source;
  if (guess.format === 'unknown') {
    throw new ImageError(
      'unknown-format',
      `Cannot read ${name}: ${lower(guess.reason)}; if it is raw memory, say so`,
      {
        source: name,
      },
    );
  }
  throw new ImageError(
    'unsupported',
    `Cannot read ${name}: ${lower(guess.reason)}, and that format is not read yet`,
    {
      source: name,
      format: guess.format,
    },
  );
}

function lower(sentence: string): string {
  return /^[A-Z][A-Z]/.test(sentence) ? sentence : sentence.charAt(0).toLowerCase() + sentence.slice(1);
}
