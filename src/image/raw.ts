import { isGpa } from '../core/index.ts';
import type { ByteSource } from './byte-source.ts';
import { ImageError } from './image-error.ts';
import { ImageOfSource } from './image-of-source.ts';
import type { MemoryImage } from './memory-image.ts';

/**
 * Opens a raw image: the file's offset is the guest-physical address, as in QEMU's `pmemsave`. Nothing in the file
 * says so, which is why somebody has to.
 *
 * @throws ImageError `invalid` for a source without a byte
 */
export function openRaw(source: ByteSource, reason: string): MemoryImage {
  if (!isGpa(source.size) || source.size === 0) {
    throw new ImageError('invalid', `Cannot read ${source.name} as raw memory: it has ${source.size} bytes`, {
      source: source.name,
      format: 'raw',
    });
  }
  return new ImageOfSource({
    format: 'raw',
    reason,
    source,
    ranges: [{ start: 0, end: source.size, kind: 'ram', offset: 0 }],
    cpus: [],
    warnings: [
      'A raw image has no map: whatever the file holds is shown as memory, holes of the machine included',
      'It has no CPU state: registers that choose the page tables have to be given',
    ],
  });
}
