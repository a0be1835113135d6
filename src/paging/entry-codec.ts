import { physical } from './bits.ts';
import type { LevelFormat, PagingFormat } from './format.ts';
import type { Level } from './level.ts';
import { EXECUTE, USER, WRITE } from './rights.ts';

/** What a leaf says besides its address. Flags are 0 or 1. */
export interface LeafAttributes {
  /** Rights code of this entry alone. */
  readonly rights: number;
  /** Index into the page attribute table, 0 to 7. */
  readonly memoryType: number;
  readonly global: number;
  readonly accessed: number;
  readonly dirty: number;
  /** 0 to 15. */
  readonly protectionKey: number;
}

/** One bit of an attribute and the bit of the entry that holds it. */
export interface LeafField {
  readonly attribute: keyof LeafAttributes;
  /** Value of the attribute's bit: 1, 2, 4 or 8. */
  readonly value: number;
  /** Bit of the entry, 0 to 63. */
  readonly bit: number;
  /** The entry denies with a 1 what the attribute grants with a 1. */
  readonly inverted: boolean;
}

/**
 * Where the attributes of a leaf stand. Encoding and decoding both go through this one list, so that they cannot
 * come apart.
 */
export function leafFields(format: PagingFormat, level: LevelFormat): readonly LeafField[] {
  const { entry } = format;
  const fields: LeafField[] = [];
  const add = (
    attribute: keyof LeafAttributes,
    value: number,
    bit: number | undefined,
    inverted = false,
  ): void => {
    if (bit !== undefined) fields.push({ attribute, value, bit, inverted });
  };
  add('rights', WRITE, entry.write);
  add('rights', USER, entry.user);
  add('rights', EXECUTE, entry.noExecute, true);
  add('memoryType', 1, entry.writeThrough);
  add('memoryType', 2, entry.cacheDisable);
  add('memoryType', 4, level.pat);
  add('global', 1, entry.global);
  add('accessed', 1, entry.accessed);
  add('dirty', 1, entry.dirty);
  for (let i = 0; i < 4; i++)
    add('protectionKey', 1 << i, entry.protectionKey === undefined ? undefined : entry.protectionKey + i);
  return fields;
}

/** The attributes of a leaf that stands in a level. Bits that the format does not have read as 0, execute as 1. */
export function decodeLeaf(level: Level, lo: number, hi: number): LeafAttributes {
  const attributes = {
    rights: level.impliedRights,
    memoryType: 0,
    global: 0,
    accessed: 0,
    dirty: 0,
    protectionKey: 0,
  };
  for (const { attribute, value, bit, inverted } of level.fields) {
    const set = ((bit < 32 ? lo >>> bit : hi >>> (bit - 32)) & 1) !== 0;
    if (set !== inverted) attributes[attribute] |= value;
  }
  return attributes;
}

/** A present leaf for a level, as two unsigned halves: bits 31:0 and 63:32. `gpaLo` and `gpaHi` are its address. */
export function encodeLeaf(
  level: Level,
  gpaLo: number,
  gpaHi: number,
  attributes: LeafAttributes,
): { readonly lo: number; readonly hi: number } {
  let lo = level.presentLeaf | (gpaLo & level.leafAddressLo) | ((gpaHi & level.foldMask) << level.foldShift);
  let hi = gpaHi & level.leafAddressHi;
  for (const { attribute, value, bit, inverted } of level.fields) {
    if (((attributes[attribute] & value) !== 0) === inverted) continue;
    if (bit < 32) lo |= 1 << bit;
    else hi |= 1 << (bit - 32);
  }
  return { lo: lo >>> 0, hi: hi >>> 0 };
}

/** Physical address of the page that a leaf maps. */
export function leafAddress(level: Level, lo: number, hi: number): number {
  return physical(
    lo & level.leafAddressLo,
    (hi & level.leafAddressHi) | ((lo >>> level.foldShift) & level.foldMask),
  );
}
