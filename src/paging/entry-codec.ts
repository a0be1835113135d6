import { hex } from '../core/index.ts';
import { bits, fromHalves, NONE, physical, union } from './bits.ts';
import type { AttributeName, LevelFormat, PagingFormat } from './format.ts';
import type { Level } from './level.ts';
import { EXECUTE, RIGHT_BITS, RIGHTS_CODES, SUPERVISOR_EXECUTE, WRITE } from './rights.ts';
import { LEAF } from './verdict.ts';

/** What a leaf says besides its address. Flags are 0 or 1. */
export interface LeafAttributes extends Readonly<Record<AttributeName, number>> {
  /** Rights code of this entry alone; rights that the format has no bit for are 0. */
  readonly rights: number;
}

/** One bit of an attribute and the bit of the entry that holds it. */
export interface LeafField {
  readonly attribute: keyof LeafAttributes;
  /** Value of the attribute's bit: 1, 2, 4 ... */
  readonly value: number;
  /** Bit of the entry, 0 to 63. */
  readonly bit: number;
  /** The entry denies with a 1 what the attribute grants with a 1. */
  readonly inverted: boolean;
  /** A bit that is taken exclusive-or `bit`; its own field comes earlier in the list. */
  readonly xor?: number | undefined;
  /** A bit that may grant the same by itself. */
  readonly or?: number | undefined;
}

/**
 * Where the rights and attributes of a leaf stand. Encoding and decoding both go through this one list, so that they
 * cannot come apart.
 */
export function leafFields(format: PagingFormat, level: LevelFormat): readonly LeafField[] {
  const rights = format.rights.map(({ right, bit, inverted = false, xor, or }) => ({
    attribute: 'rights' as const,
    value: RIGHT_BITS[right],
    bit,
    inverted,
    xor,
    or: or?.bit,
  }));
  const attributes = [...format.attributes, ...(level.attributes ?? [])].flatMap(
    ({ attribute, from, bits, to = 0, inverted = false }) =>
      Array.from({ length: bits }, (_, i) => ({ attribute, value: 2 ** (to + i), bit: from + i, inverted })),
  );
  return [...rights, ...attributes];
}

/** The rights and attributes of a leaf that stands in a level. Bits that the format does not have read as 0. */
export function decodeLeaf(level: Level, lo: number, hi: number): LeafAttributes {
  const attributes = {
    rights: 0,
    memoryType: 0,
    global: 0,
    accessed: 0,
    dirty: 0,
    protectionKey: 0,
    software: 0,
  };
  for (const { attribute, value, bit, inverted, xor } of level.fields) {
    const set = isSet(lo, hi, bit) !== isSet(lo, hi, xor);
    if (set !== inverted) attributes[attribute] |= value;
  }
  return attributes;
}

/** A leaf for a level, as two unsigned halves: bits 31:0 and 63:32. `gpaLo` and `gpaHi` are its address. */
export function encodeLeaf(
  level: Level,
  gpaLo: number,
  gpaHi: number,
  attributes: LeafAttributes,
): { readonly lo: number; readonly hi: number } {
  const { newLeaf } = level.format;
  let lo = newLeaf.lo | level.leafAddress.entryLo(gpaLo, gpaHi);
  let hi = newLeaf.hi | level.leafAddress.entryHi(gpaHi);
  for (const { attribute, value, bit, inverted, xor } of level.fields) {
    const wanted = (attributes[attribute] & value) !== 0;
    if (wanted === (inverted !== isSet(lo, hi, xor))) continue;
    if (bit < 32) lo |= 1 << bit;
    else hi |= 1 << (bit - 32);
  }
  return { lo: lo >>> 0, hi: hi >>> 0 };
}

/** Why what was encoded is no leaf, in words: because of its rights, of its memory type, or else of its address. */
export function whyNoLeaf(level: Level, gpa: number, attributes: LeafAttributes, writeBack: number): string {
  const isLeaf = (change: Partial<LeafAttributes>): boolean => {
    const { lo, hi } = encodeLeaf(level, 0, 0, { ...attributes, ...change });
    return level.judge(lo, hi) === LEAF;
  };
  const { rights, memoryType } = attributes;
  const everything = { rights: RIGHTS_CODES - 1 };
  if (isLeaf({})) return `a page of ${hex(level.pageSize)} bytes cannot be at ${hex(gpa)}`;
  if (isLeaf({ memoryType: writeBack })) return `current memory type ${memoryType}, which is reserved`;
  if (!isLeaf({ ...everything, memoryType: writeBack })) return 'no leaf can be there with these controls';
  if ((rights & WRITE) !== 0) return 'a page that can be written has to be readable';
  if ((rights & (EXECUTE | SUPERVISOR_EXECUTE)) !== 0)
    return 'a page that can be executed has to be readable on this processor';
  return 'a page without any right is none, wanted read, write or execute';
}

/**
 * The bits of a leaf that are neither its address, nor rights or attributes, nor what makes it a leaf: software's own, and
 * whatever the description does not name. They go along when a leaf is split, joined or given other rights.
 */
export function residue(level: Level, lo: number, hi: number): bigint {
  const { table, newLeaf } = level.format;
  const kind = typeof table === 'string' ? NONE : table.mask;
  let knownLo = newLeaf.lo | kind.lo;
  let knownHi = newLeaf.hi | kind.hi;
  for (const { bit } of level.fields) {
    if (bit < 32) knownLo |= 1 << bit;
    else knownHi |= 1 << (bit - 32);
  }
  return fromHalves(lo & ~knownLo, hi & ~knownHi) & ~addressBits(level);
}

/** Where a leaf of a level has its address. */
export function addressBits(level: Level): bigint {
  const { lo, hi } = union(
    ...level.format.leafAddress.map(({ from, bits: count }) => bits(from + count - 1, from)),
  );
  return fromHalves(lo, hi);
}

/** Bits that are set in a leaf and may grant, by themselves, rights that are to be denied: they have to go as well. */
export function otherGrants(level: Level, lo: number, hi: number, denied: number): bigint {
  let grants = 0n;
  for (const { value, or } of level.fields) {
    if ((denied & value) !== 0 && or !== undefined && isSet(lo, hi, or)) grants |= 1n << BigInt(or);
  }
  return grants;
}

function isSet(lo: number, hi: number, bit: number | undefined): boolean {
  return bit !== undefined && ((bit < 32 ? lo >>> bit : hi >>> (bit - 32)) & 1) !== 0;
}

/** Physical address of the page that a leaf maps. */
export function leafAddress(level: Level, lo: number, hi: number): number {
  return physical(level.leafAddress.addressLo(lo), level.leafAddress.addressHi(lo, hi));
}
