import { callbacks, GuestMemory, type MemoryBacking, type RegionInit } from '../core/index.ts';
import { type ByteSource, readUpTo } from './byte-source.ts';
import { ImageError } from './image-error.ts';
import { type ImageRange, unreadable } from './memory-image.ts';

/**
 * Makes the guest memory of a physical memory map: one read-only callback region per range, which fetches its bytes
 * from a source when they are asked for and keeps none. Ranges that cannot be read become regions whose access fails
 * with the reason; device ranges become none.
 *
 * @param name - the memory's name in errors
 * @param ranges - sorted, without overlaps
 * @param sourceOf - the source behind a `ram` or `rom` range, at whose `offset` the range's bytes start
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { bytesSource, memoryOfRanges } from 'guestmem/image';
 *
 * const file = bytesSource(Uint8Array.of(1, 2, 3, 4));
 * const memory = memoryOfRanges('two pieces', [
 *   { start: 0x1000, end: 0x1002, kind: 'ram', offset: 2 },
 *   { start: 0x1002, end: 0x1008, kind: 'zero' },
 *   { start: 0x2000, end: 0x3000, kind: 'truncated' },
 * ], () => file);
 * assert.deepEqual([...memory.readBytes(0x1000, 4)], [3, 4, 0, 0]);
 * assert.throws(() => memory.readU8(0x2000), { code: 'fault' });
 * assert.throws(() => memory.readU8(0x3000), { code: 'unmapped' });
 * ```
 */
export function memoryOfRanges(
  name: string,
  ranges: readonly ImageRange[],
  sourceOf: (range: ImageRange) => ByteSource,
): GuestMemory {
  const regions: RegionInit[] = [];
  for (const range of ranges) {
    if (range.kind === 'device') continue;
    regions.push({ start: range.start, backing: backingOf(name, range, sourceOf), access: 'r' });
  }
  return GuestMemory.fromRegions(regions, { name });
}

function backingOf(
  name: string,
  range: ImageRange,
  sourceOf: (range: ImageRange) => ByteSource,
): MemoryBacking {
  const size = range.end - range.start;
  switch (range.kind) {
    case 'ram':
    case 'rom':
      return sourceBacking(range, size, sourceOf(range));
    case 'zero':
      return callbacks({
        size,
        kind: range.kind,
        read: (_offset: number, dest: Uint8Array) => void dest.fill(0),
      });
    default:
      return unreadableBacking(name, range, size);
  }
}

/** A region that is known to be there and of which no byte can be had: accesses are refused before they begin. */
function unreadableBacking(name: string, range: ImageRange, size: number): MemoryBacking {
  const why = (offset: number): unknown => unreadable(range, range.start + offset, name);
  return callbacks({
    size,
    kind: range.kind,
    probe: () => 0,
    explain: why,
    read(offset: number) {
      throw why(offset);
    },
  });
}

function sourceBacking(range: ImageRange, size: number, source: ByteSource): MemoryBacking {
  const base = range.offset ?? 0;
  return callbacks({
    size,
    kind: range.kind,
    read(offset: number, dest: Uint8Array) {
      const count = readUpTo(source, base + offset, dest);
      // The map was made from the size the source had: it shrank since.
      if (count < dest.length) throw shrank(source, base + offset + count, range.start + offset + count);
    },
  });
}

function shrank(source: ByteSource, position: number, gpa: number): ImageError {
  return new ImageError(
    'truncated',
    `Cannot read ${source.name}: it has become shorter since it was opened`,
    {
      source: source.name,
      position,
      gpa,
    },
  );
}
