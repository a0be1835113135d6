import { bits, fromHalves } from './bits.ts';
import type { CompiledFormat } from './compiled-format.ts';
import { leafAddress } from './entry-codec.ts';
import { isOn } from './entry-rules.ts';
import type { EntrySlot } from './entry-slot.ts';
import type { Level } from './level.ts';
import { LEAF, SPECIAL_LEAF } from './verdict.ts';

// Neighbours in a table that say together that they are one larger page: AArch64's contiguous bit (Arm ARM, DDI 0487, D8.7
// "The Contiguous bit") and RISC-V's Svnapot. The hardware may keep the whole group as one translation, whichever entry it
// read, and mark whichever it likes as used: no entry of a group can be changed by itself.

/** The halves of an entry, bits 31:0 and 63:32. */
export interface EntryHalves {
  readonly lo: number;
  readonly hi: number;
}

/** How a level makes groups. */
export interface LeafGroup {
  readonly entries: number;
  /** The bits that make a leaf one of a group. */
  readonly marks: bigint;
  /** All entries are the same, with the address of the first page; else each has its own. */
  readonly uniform: boolean;
}

/** The groups of a level, if it has any. */
export function groupsOf({ format }: Level): LeafGroup | undefined {
  const { contiguous, specialLeaf, indexBit } = format;
  if (contiguous !== undefined)
    return { entries: contiguous.entries, marks: 1n << BigInt(contiguous.bit), uniform: false };
  if (specialLeaf?.newLeaf === undefined || specialLeaf.pageBits <= indexBit) return undefined;
  const { lo, hi } = specialLeaf.newLeaf;
  return { entries: 2 ** (specialLeaf.pageBits - indexBit), marks: fromHalves(lo, hi), uniform: true };
}

/** Whether an entry says that it is one of a group. */
export function isGrouped({ level, verdict, lo, hi }: EntrySlot<unknown>): boolean {
  if (verdict === SPECIAL_LEAF) return true;
  const { contiguous } = level.format;
  return verdict === LEAF && contiguous !== undefined && isSet({ lo, hi }, contiguous.bit);
}

/** Page numbers, the first and the last, of a grouped entry's group, in a table whose first address is page `tableBase`. */
export function groupSpan(
  { level, base }: EntrySlot<unknown>,
  tableBase: number,
): { readonly first: number; readonly last: number } {
  const { contiguous, specialLeaf, indexBit, indexBits } = level.format;
  const entries = contiguous?.entries ?? 2 ** ((specialLeaf?.pageBits ?? indexBit) - indexBit);
  const pages = entries * level.tableSpan;
  const first = base - (base % pages);
  // A root may be shorter than a group.
  const tableEnd = tableBase + 2 ** indexBits * level.tableSpan;
  return { first: Math.max(first, tableBase), last: Math.min(first + pages, tableEnd) - 1 };
}

/** An entry that says of its own page what this one says, and nothing of its neighbours. */
export function ungrouped({ level, base, verdict, lo, hi }: EntrySlot<unknown>): EntryHalves {
  const { contiguous, specialLeaf } = level.format;
  if (verdict === SPECIAL_LEAF && specialLeaf !== undefined) {
    const { special, leafAddress: own } = level;
    const page = leafAddress(special, lo, hi) + ((base * 4096) % special.pageSize);
    const pageLo = (page % 0x1_0000_0000) | 0;
    const pageHi = Math.floor(page / 0x1_0000_0000) | 0;
    // Where a large page says how large it is, a small one has its address.
    const { mask } = specialLeaf.pattern;
    return {
      lo: (lo & ~(mask.lo | own.entryLo(-1, -1))) | own.entryLo(pageLo, pageHi),
      hi: (hi & ~(mask.hi | own.entryHi(-1))) | own.entryHi(pageHi),
    };
  }
  if (verdict !== LEAF || contiguous === undefined) return { lo, hi };
  return withBit({ lo, hi }, contiguous.bit, false);
}

/**
 * What the entries of a group become when it ends. A mark that one of them has, all get: what was used or written
 * is not known any better.
 */
export function ungroupAll(
  { format, controls }: CompiledFormat,
  entries: readonly EntrySlot<unknown>[],
): readonly EntryHalves[] {
  const alone = entries.map(ungrouped);
  const { marks, rights } = format;
  if (marks === undefined) return alone;
  const { accessed, dirty } = marks;
  // AArch64: a clean page is one that is read-only and has DBM, where the hardware looks at that.
  const managed = rights.find(({ right }) => right === 'write')?.or;
  const isMarked = (entry: EntryHalves): boolean =>
    managed === undefined || (isOn(controls, managed.when) && isSet(entry, managed.bit));
  const isDirty = (entry: EntryHalves): boolean =>
    dirty !== undefined && isMarked(entry) && isSet(entry, dirty.bit) !== (dirty.inverted === true);
  const used = alone.some((entry) => isSet(entry, accessed));
  const written = alone.some(isDirty);
  return alone.map((entry) => {
    const marked = used ? withBit(entry, accessed, true) : entry;
    return written && dirty !== undefined && isMarked(entry)
      ? withBit(marked, dirty.bit, dirty.inverted !== true)
      : marked;
  });
}

function isSet({ lo, hi }: EntryHalves, bit: number): boolean {
  return ((bit < 32 ? lo >>> bit : hi >>> (bit - 32)) & 1) !== 0;
}

function withBit({ lo, hi }: EntryHalves, bit: number, set: boolean): EntryHalves {
  const mask = bits(bit);
  return set ? { lo: lo | mask.lo, hi: hi | mask.hi } : { lo: lo & ~mask.lo, hi: hi & ~mask.hi };
}
