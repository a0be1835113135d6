import { ADDRESS_SPACE_SIZE } from '../core/index.ts';

/** One line of the machine's physical memory map, as `info mtree -f` prints it. */
export interface FlatRange {
  readonly start: number;
  /** One past the last address. */
  readonly end: number;
  /** `ram`, `rom`, `romd` (a flash being read), `ramd` (memory of a passed-through device), `i/o`. */
  readonly type: string;
  /** Name of the memory region; of RAM that is the backend's id or a device's name for it. */
  readonly name: string;
  /** Offset of `start` in the region. */
  readonly offset: number;
}

// "  0000000000100000-000000007fffffff (prio 0, ram): pc.ram @0000000000100000 KVM", see mtree_print_flatview in
// QEMU's softmmu/memory.c: the offset is left out where it is 0, the last word names an accelerator that keeps
// memory slots. Non-volatile memory has its type prefixed with "nv-".
const RANGE =
  /^ +([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, (?:nv-)?([a-z/]+)\): (.*?)(?: @([0-9a-f]{16}))?(?: (?:KVM|HVF|WHPX|NVMM|MSHV|Xen))?$/i;

/**
 * The flat view of the address space called "memory", which is what processors without system-management mode see.
 * Answers `undefined` where the listing has none, or has one that is not sorted and free of overlaps.
 */
export function parseFlatView(listing: string): FlatRange[] | undefined {
  const block = listing.split(/^FlatView #\d+\r?$/m).find((view) => /^ AS "memory", root: /m.test(view));
  if (block === undefined) return undefined;
  const ranges: FlatRange[] = [];
  let last = 0;
  for (const line of block.split(/\r?\n/)) {
    const range = parseRange(line);
    if (range === undefined) continue;
    if (range.start < last || range.end <= range.start) return undefined;
    // Device registers may stand at the top of the 64-bit space, beyond what can be an address here.
    if (range.start >= ADDRESS_SPACE_SIZE) break;
    ranges.push({ ...range, end: Math.min(range.end, ADDRESS_SPACE_SIZE) });
    last = range.end;
  }
  return ranges;
}

function parseRange(line: string): FlatRange | undefined {
  const match = RANGE.exec(line);
  if (match === null) return undefined;
  const [, start = '', end = '', type = '', name = '', offset = '0'] = match;
  return { start: address(start), end: address(end) + 1, type, name, offset: address(offset) };
}

/** Above 2^53 the low bits are lost, which is well enough for "beyond the end". */
function address(digits: string): number {
  return Number(BigInt(`0x${digits}`));
}
