import type { Closable, GuestMemory } from '../core/index.ts';
import { hex } from '../core/index.ts';
import { ImageError } from './image-error.ts';

/**
 * What a range of guest-physical addresses is, in this image:
 *
 * - `ram`, `rom`: memory whose bytes can be read;
 * - `zero`: memory that the image says is zero without storing it (ELF: `p_memsz` above `p_filesz`); readable;
 * - `truncated`: the file ends before these bytes; `filtered`: the dump's writer left them out;
 *   `unreachable`: a live machine has them, we have no way to them; none of the three is readable;
 * - `device`: device registers (a live machine names them); not memory.
 *
 * Addresses in no range are nothing that the image knows of.
 */
export type RangeKind = 'ram' | 'rom' | 'zero' | 'truncated' | 'filtered' | 'unreachable' | 'device';

/** One row of an image's physical memory map. */
export interface ImageRange {
  readonly start: number;
  /** One past the last address. */
  readonly end: number;
  readonly kind: RangeKind;
  /** Where the bytes of `start` are in the file behind this range. */
  readonly offset?: number;
  /** The machine's own name for it: a RAM block, a device. */
  readonly block?: string;
  /** Why it cannot be read, where there is more to say than the kind does. */
  readonly note?: string;
}

/** What the image knows of one processor. A register that is absent is not known, which is not the same as 0. */
export interface CpuState {
  readonly index: number;
  /** Where the values come from: `QEMU note v1`, `info registers` ... */
  readonly source: string;
  readonly cr0?: bigint;
  readonly cr2?: bigint;
  readonly cr3?: bigint;
  readonly cr4?: bigint;
  readonly efer?: bigint;
  readonly rip?: bigint;
  readonly rsp?: bigint;
  readonly rflags?: bigint;
  /** Whether x86 long mode is active (EFER.LMA); read from EFER, or deduced as `source` says. */
  readonly longMode?: boolean;
}

/** A machine's memory as somebody wrote it down, or as it is now: what readers of every format come to. */
export interface MemoryImage extends Closable {
  readonly format: 'elf-core' | 'raw' | 'qemu-live';
  /** Why it was taken for that format, for people. */
  readonly reason: string;
  /** Architecture by its common name, `x86_64` say, where the image tells. */
  readonly machine?: string;
  /** The physical memory map, sorted, without overlaps. */
  readonly ranges: readonly ImageRange[];
  /**
   * The memory itself. Where no range is, reading fails as `unmapped`; bytes of a range that is not readable fail as
   * `fault`, with an {@link ImageError} as the cause.
   */
  readonly memory: GuestMemory;
  readonly cpus: readonly CpuState[];
  /** What a person should know before trusting the rest. */
  readonly warnings: readonly string[];
}

/**
 * Why the byte at an address cannot be read, or `undefined` where it can.
 *
 * @returns an error to show or throw: `truncated`, `filtered`, `unreachable` or `not-ram`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { bytesSource, openImage, whyUnreadable } from 'guestmem/image';
 *
 * const image = openImage(bytesSource(new Uint8Array(4096)), { format: 'raw' });
 * assert.equal(whyUnreadable(image, 0xfff), undefined);
 * assert.equal(whyUnreadable(image, 0x1000)?.code, 'not-ram');
 * ```
 */
export function whyUnreadable(image: MemoryImage, gpa: number): ImageError | undefined {
  const range = findRange(image.ranges, gpa);
  if (range !== undefined) return unreadable(range, gpa, image.memory.name);
  return notRam(gpa, image.memory.name, 'there is no memory at that address');
}

/** The error for reading at `gpa` in a range, or `undefined` where its kind is readable. */
export function unreadable(range: ImageRange, gpa: number, source: string): ImageError | undefined {
  const because = range.note === undefined ? '' : `: ${range.note}`;
  const facts = { source, gpa, position: range.offset };
  switch (range.kind) {
    case 'ram':
    case 'rom':
    case 'zero':
      return undefined;
    case 'truncated':
      return new ImageError(
        'truncated',
        `Cannot read at ${hex(gpa)} of ${source}: the file ends before it`,
        facts,
      );
    case 'filtered':
      return new ImageError(
        'filtered',
        `Cannot read at ${hex(gpa)} of ${source}: left out of this dump${because}`,
        facts,
      );
    case 'unreachable':
      return new ImageError(
        'unreachable',
        `Cannot read at ${hex(gpa)} of ${source}: out of reach${because}`,
        facts,
      );
    case 'device':
      return notRam(
        gpa,
        source,
        `device registers${range.block === undefined ? '' : ` (${range.block})`} are there`,
      );
  }
}

function notRam(gpa: number, source: string, what: string): ImageError {
  return new ImageError('not-ram', `Cannot read at ${hex(gpa)} of ${source}: ${what}`, { source, gpa });
}

function findRange(ranges: readonly ImageRange[], gpa: number): ImageRange | undefined {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle];
    if (range === undefined || gpa < range.start) high = middle;
    else if (gpa >= range.end) low = middle + 1;
    else return range;
  }
  return undefined;
}
