import type { ResolvedControls } from './architecture.ts';
import { bits, NONE, union } from './bits.ts';
import { type LeafField, leafFields } from './entry-codec.ts';
import { breaks, type CompiledRule, compileRules, isOn, quickPattern } from './entry-rules.ts';
import { FieldMover } from './field-mover.ts';
import type { LevelFormat, PagingFormat, Pattern, SpecialLeaf } from './format.ts';
import { ListingMasks } from './listing-masks.ts';
import { ACCESS_FLAG, ADDRESS_SIZE, LEAF, SPECIAL_LEAF, TABLE } from './verdict.ts';

/** Lowest address bit of the word that the indices of upper levels are taken from. */
export const UPPER_WORD = 27;

/** Where a level's index is: in bits 31:0 of the address, in bits 58:27, or in 32 bits between, from the index's own. */
export const LOWER = 0;
export const UPPER = 1;
export const MIDDLE = 2;

/**
 * One level of a format, compiled for given controls: what the description says, as 32-bit integers in the fields
 * of one object that is linked to the next level. Typed arrays of masks would cost the walk a third more (37 ns to
 * 29). `| 0` keeps a field a small integer for the engine: what comes out of `**` or `>>> 0` is stored as a double.
 */
export class Level {
  readonly format: LevelFormat;
  /** The level below; the last level names itself, so that the field always holds a Level. */
  readonly next: Level;
  /** What a special leaf makes of this level: itself where there are none. */
  readonly special: Level;
  /** Where the trace of a walk keeps the entry of this level: 0 for the root's, then 2, 4 ... */
  readonly slot: number;
  /** Byte offset of an entry = (word >> indexShift) & offsetMask, where the word is the one that `word` says. */
  readonly indexShift: number;
  readonly word: number;
  /** Lowest address bit of that word. */
  readonly wordBit: number;
  readonly offsetMask: number;
  /**
   * An entry points to a table, and breaks no rule, where `lo & tableTestLo` is `tableTestValue` and `hi & tableTestHi` is
   * 0: one look for the common case. The same for a leaf. What fails both is for {@link judge}.
   */
  readonly tableTestLo: number;
  readonly tableTestHi: number;
  readonly tableTestValue: number;
  readonly leafTestLo: number;
  readonly leafTestHi: number;
  readonly leafTestValue: number;
  /** Where leaves keep their address. */
  readonly leafAddress: FieldMover;
  readonly leafAddressLo: number;
  readonly leafAddressHi: number;
  /** Upper address bits of a leaf that are kept in its lower half (PSE-36); the mask is 0 elsewhere. */
  readonly foldShift: number;
  readonly foldMask: number;
  /** By how much the lower half of an entry grows from a page to the one that follows. */
  readonly leafStep: number;
  /** No lower half grows to this: its 32 bits are used up before, or physical addresses are. */
  readonly lowerEnd: number;
  /** Rights bits of the lower half that tables of this level have no say in. */
  readonly noRights: number;
  /** Bits of the address within a leaf of this level. */
  readonly pageMask: number;
  readonly pageMaskHi: number;
  /** Pages of 4 KiB that an entry of this level covers. */
  readonly tableSpan: number;
  /** A leaf of this level maps 2^pageBits bytes. */
  readonly pageBits: number;
  readonly pageSize: number;
  /** Bits 63:32 of an address that lead to behind the last physical address, within a page that is larger than memory can be. */
  private readonly beyondHi: number;
  /** For building and reporting: where the rights and attributes of a leaf stand. */
  readonly fields: readonly LeafField[];
  /** The bit of a leaf that says whether its page is global, or, where that is inverted, that it is not; none without one. */
  readonly globalLo: number;
  readonly globalHi: number;
  readonly globalInverted: boolean;
  /** What of two leaves has to agree for them to be one range of a listing, and of one with details. */
  readonly listing: ListingMasks;
  readonly listingDetails: ListingMasks;
  private readonly isTable: Pattern | undefined;
  private readonly isSpecial: Pattern | undefined;
  private readonly tableRules: readonly CompiledRule[];
  private readonly leafRules: readonly CompiledRule[];

  /** @param special - the level is made for these leaves of it alone */
  constructor(
    format: PagingFormat,
    level: LevelFormat,
    next: Level | undefined,
    controls: ResolvedControls,
    special?: SpecialLeaf,
  ) {
    const { entrySize } = format;
    const { indexBit, indexBits, specialLeaf } = level;
    const width = Math.min(format.physicalBits, format.architecture.physicalBits(controls));
    const { leavesNeed } = level;
    const onlyTables = level.table === 'always' || (leavesNeed !== undefined && !isOn(controls, leavesNeed));
    const address = special?.address ?? level.leafAddress;
    this.format = level;
    this.next = next ?? this;
    this.slot = format.levels.indexOf(level) * 2;
    const bytesBit = Math.log2(entrySize);
    this.word = indexBit + indexBits <= 32 ? LOWER : indexBit - bytesBit >= UPPER_WORD ? UPPER : MIDDLE;
    this.wordBit = this.word === LOWER ? 0 : this.word === UPPER ? UPPER_WORD : indexBit - bytesBit;
    this.indexShift = indexBit - bytesBit - this.wordBit;
    this.offsetMask = ((2 ** indexBits - 1) * entrySize) | 0;
    this.isTable = onlyTables ? ANYTHING : level.table === 'never' ? undefined : (level.table as Pattern);
    this.isSpecial = onlyTables ? undefined : specialLeaf?.pattern;
    this.tableRules = compileRules(
      [...level.rules, ...level.tableRules],
      controls,
      format.tableAddress,
      width,
    );
    this.leafRules = compileRules([...level.rules, ...level.leafRules], controls, address, width);

    const avoided = [this.isTable, this.isSpecial].filter((pattern) => pattern !== undefined);
    const table =
      this.isTable === undefined
        ? undefined
        : quickPattern(this.isTable, this.tableRules, [], level.newTable);
    const allRights = format.rights.filter(({ inverted }) => inverted !== true).map(({ bit }) => bits(bit));
    const usual = level.usualLeaf ?? union(level.newLeaf, ...allRights);
    this.pageBits = special?.pageBits ?? indexBit;
    this.beyondHi = format.lateWidth === true ? 0 : bits(this.pageBits - 1, width).hi | 0;
    const slow = onlyTables || this.beyondHi !== 0;
    const leaf = slow ? undefined : quickPattern(ANYTHING, this.leafRules, avoided, usual);
    this.tableTestLo = table === undefined ? 0 : table.mask.lo | 0;
    this.tableTestHi = table === undefined ? 0 : table.mask.hi | 0;
    this.tableTestValue = table === undefined ? NEVER : table.value.lo | 0;
    this.leafTestLo = leaf === undefined ? 0 : leaf.mask.lo | 0;
    this.leafTestHi = leaf === undefined ? 0 : leaf.mask.hi | 0;
    this.leafTestValue = leaf === undefined ? NEVER : leaf.value.lo | 0;

    this.leafAddress = new FieldMover(address);
    this.leafAddressLo = this.leafAddress.lo;
    this.leafAddressHi = this.leafAddress.hi;
    this.foldShift = this.leafAddress.foldShift;
    this.foldMask = this.leafAddress.foldMask;
    this.leafStep = 2 ** (this.pageBits - this.leafAddress.shift);
    this.lowerEnd = 2 ** Math.min(32, width - this.leafAddress.shift);
    this.noRights = level.tableRights === false ? -1 : 0;
    this.tableSpan = 2 ** (indexBit - 12);
    this.pageSize = 2 ** this.pageBits;
    this.pageMask = (2 ** this.pageBits - 1) | 0;
    this.pageMaskHi = (2 ** (this.pageBits - 32) - 1) | 0;
    this.fields = leafFields(format, level);
    const global = this.fields.find(({ attribute }) => attribute === 'global');
    const globalBit = global === undefined ? NONE : bits(global.bit);
    this.globalLo = globalBit.lo | 0;
    this.globalHi = globalBit.hi | 0;
    this.globalInverted = global?.inverted === true;
    const leafBits = leaf === undefined ? NONE : leaf.mask;
    this.listing = new ListingMasks(this.fields, leafBits, address, format.marks, false);
    this.listingDetails = new ListingMasks(this.fields, leafBits, address, format.marks, true);
    this.special =
      special !== undefined || specialLeaf === undefined
        ? this
        : new Level(format, level, next, controls, specialLeaf);
  }

  /**
   * What an entry is, by the rules as they are described: the first that is broken in their order, else a table, a leaf
   * or a special leaf. The quick tests are drawn from the same rules and answer most cases without it.
   */
  judge(lo: number, hi: number): number {
    const table = this.isTable !== undefined && matches(this.isTable, lo, hi);
    for (const rule of table ? this.tableRules : this.leafRules) {
      if (breaks(rule, lo, hi)) return rule.verdict;
    }
    if (table) return TABLE;
    return this.isSpecial !== undefined && matches(this.isSpecial, lo, hi) ? SPECIAL_LEAF : LEAF;
  }

  /** What an entry is on a walk for an address with these bits 63:32: as {@link judge}, but the address counts as well. */
  judgeFor(lo: number, hi: number, addressHi: number): number {
    const verdict = this.judge(lo, hi);
    if ((addressHi & this.beyondHi) === 0 || (verdict !== LEAF && verdict !== ACCESS_FLAG)) return verdict;
    return ADDRESS_SIZE;
  }

  /** Whether a leaf of this level says that its page is global. */
  isGlobal(lo: number, hi: number): boolean {
    return (((lo & this.globalLo) | (hi & this.globalHi)) !== 0) !== this.globalInverted;
  }

  /** Byte offset within its table of the entry for the address `hi:lo`. */
  offsetOf(lo: number, hi: number): number {
    const word = this.word === LOWER ? lo : (hi << (32 - this.wordBit)) | (lo >>> this.wordBit);
    return (word >>> this.indexShift) & this.offsetMask;
  }

  /** Whether an entry is all rules' idea of a leaf of this level. */
  get hasLeaves(): boolean {
    return this.isTable !== ANYTHING;
  }
}

/** Of no masked value is this the result where the mask is 0: a test that nothing passes. */
const NEVER = 1;
const ANYTHING: Pattern = { mask: NONE, value: NONE };

function matches({ mask, value }: Pattern, lo: number, hi: number): boolean {
  return (((lo & mask.lo) ^ value.lo) | ((hi & mask.hi) ^ value.hi)) === 0;
}
