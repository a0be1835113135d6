import { bits, type Mask64, NONE, union } from './bits.ts';
import { type LeafField, leafFields } from './entry-codec.ts';
import type { LevelFormat, PagingFormat } from './format.ts';
import { EXECUTE } from './rights.ts';
import type { ResolvedControls } from './x86-controls.ts';

/** Lowest address bit of the word that the indices of upper levels are taken from. */
export const UPPER_WORD = 27;

/**
 * One level of a format, compiled for given controls: what the description says, as 32-bit integers in the fields
 * of one object that is linked to the next level. Typed arrays of masks would cost the walk a third more (37 ns to
 * 29). `| 0` keeps a field a small integer for the engine: what comes out of `**` or `>>> 0` is stored as a double.
 */
export class Level {
  readonly format: LevelFormat;
  /** The level below; the last level names itself, so that the field always holds a Level. */
  readonly next: Level;
  /** Where the trace of a walk keeps the entry of this level: 0 for the root's, then 2, 4 ... */
  readonly slot: number;
  /**
   * Byte offset of an entry = (word >> indexShift) & offsetMask, where the word is bits 58:27 of the address if
   * `indexInUpper` is 1, else bits 31:0. One of the two holds the whole index of any level of any format.
   */
  readonly indexShift: number;
  readonly indexInUpper: number;
  readonly offsetMask: number;
  /**
   * An entry points to a table, and breaks no rule, exactly where `lo & tableTestLo` is `tableTestValue` and
   * `hi & tableTestHi` is 0: one look for the common case. What fails it is a leaf or a fault.
   */
  readonly tableTestLo: number;
  readonly tableTestHi: number;
  readonly tableTestValue: number;
  /** A present entry with any of these bits is a leaf. */
  readonly leafMask: number;
  readonly leafReservedLo: number;
  readonly leafReservedHi: number;
  readonly leafAddressLo: number;
  readonly leafAddressHi: number;
  /** Upper address bits of a leaf that are kept in its lower half (PSE-36); the mask is 0 elsewhere. */
  readonly foldShift: number;
  readonly foldMask: number;
  /** Rights bits that an entry of this level has no say in. */
  readonly noRights: number;
  /** Bits of the address within a leaf of this level. */
  readonly pageMask: number;
  /** Bytes that a leaf of this level maps. */
  readonly pageSize: number;
  /** For building and reporting: where the attributes of a leaf stand. */
  readonly fields: readonly LeafField[];
  /** Bits of a leaf that say what kind of memory it maps and whether globally: all in the lower half. */
  readonly attributeMask: number;
  /** Rights that no bit of this format can deny. */
  readonly impliedRights: number;
  /** The bits that make an entry a present leaf, and a present table with every right and already accessed. */
  readonly presentLeaf: number;
  readonly presentTable: number;

  constructor(format: PagingFormat, level: LevelFormat, next: Level | undefined, controls: ResolvedControls) {
    const { entry, entrySize } = format;
    const { leafBit, tableReserved, leafReserved } = levelRules(format, level, controls);
    const present = 1 << entry.present;
    const fold = level.leafHighAddress;
    const shift = level.indexBit - Math.log2(entrySize);
    this.format = level;
    this.next = next ?? this;
    this.slot = format.levels.indexOf(level) * 2;
    const upper = shift >= UPPER_WORD;
    this.indexShift = upper ? shift - UPPER_WORD : shift;
    this.indexInUpper = upper ? 1 : 0;
    this.offsetMask = ((2 ** level.indexBits - 1) * entrySize) | 0;
    this.leafMask = leafBit === undefined ? 0 : 1 << leafBit;
    // Where every present entry is a leaf, the test is one that nothing passes.
    const tables = this.leafMask !== present;
    this.tableTestLo = tables ? present | this.leafMask | tableReserved.lo : 0;
    this.tableTestHi = tables ? tableReserved.hi | 0 : 0;
    this.tableTestValue = present;
    this.leafReservedLo = leafReserved.lo | 0;
    this.leafReservedHi = leafReserved.hi | 0;
    this.leafAddressLo = level.leafAddress.lo | 0;
    this.leafAddressHi = level.leafAddress.hi | 0;
    this.foldShift = fold === undefined ? 0 : fold.bit;
    this.foldMask = fold === undefined ? 0 : (2 ** fold.bits - 1) | 0;
    this.noRights = level.hasRights ? 0 : (1 << entry.write) | (1 << entry.user);
    this.pageMask = (2 ** level.indexBit - 1) | 0;
    this.pageSize = 2 ** level.indexBit;
    this.fields = leafFields(format, level);
    this.attributeMask = this.fields
      .filter(({ attribute }) => attribute === 'memoryType' || attribute === 'global')
      .reduce((mask, { bit }) => mask | (1 << bit), 0);
    this.impliedRights = entry.noExecute === undefined ? EXECUTE : 0;
    this.presentLeaf = present | this.leafMask;
    const usable = (1 << entry.write) | (1 << entry.user) | (1 << entry.accessed);
    this.presentTable = level.hasRights ? present | usable : present;
  }
}

/** Which bit makes a leaf and which bits are reserved, once the controls are known. */
function levelRules(
  format: PagingFormat,
  level: LevelFormat,
  controls: ResolvedControls,
): { leafBit: number | undefined; tableReserved: Mask64; leafReserved: Mask64 } {
  const { entry } = format;
  const common = union(
    level.physicalReservedTo === undefined || level.leafHighAddress !== undefined
      ? NONE
      : bits(level.physicalReservedTo, controls.maxPhyAddr),
    entry.noExecute === undefined || controls.nxe ? NONE : bits(entry.noExecute),
  );
  const tableReserved = union(common, level.tableReserved);
  const fold = level.leafHighAddress;
  const foldReserved =
    fold === undefined ? NONE : bits(fold.bit + fold.bits - 1, fold.bit + controls.maxPhyAddr - 32);
  const leafReserved = union(common, level.leafReserved, foldReserved);
  if (level.leaf === 'always') return { leafBit: entry.present, tableReserved, leafReserved };
  if (level.leaf === 'never') return { leafBit: undefined, tableReserved, leafReserved };
  const { feature, otherwise } = level.leaf;
  if (feature === undefined || controls[feature])
    return { leafBit: entry.large, tableReserved, leafReserved };
  const large = otherwise === 'reserved' ? bits(entry.large) : NONE;
  return { leafBit: undefined, tableReserved: union(tableReserved, large), leafReserved };
}
