import type { Architecture } from './architecture.ts';
import { bits, type Mask64, NONE, union } from './bits.ts';
import type {
  AddressField,
  AttributeField,
  EntryRule,
  LevelFormat,
  Marks,
  PagingFormat,
  Pattern,
  RightField,
} from './format.ts';
import { RISCV, RISCV_GUEST } from './riscv-architecture.ts';

// The virtual memory systems of RISC-V as the privileged specification 1.13 describes them: chapter "Supervisor-Level ISA"
// with "Sv32", "Sv39", "Sv48", "Sv57", "Svnapot", "Svpbmt", and for guests "Guest Physical Address Translation". Bits are
// written high:low. "Step" is one of "Virtual Address Translation Process".

const V = bits(0);
const R = 1;
const W = 2;
const X = 3;
const U = 4;
const G = 5;
const A = 6;
const D = 7;
const PBMT = bits(62, 61);
const N = bits(63);

const reserved = (mask: Mask64): EntryRule => ({ reason: 'reserved', anyOf: mask });
/** Reserved: an entry whose bits `mask` are `value`. */
const never = (mask: Mask64, value: Mask64): EntryRule => ({ reason: 'reserved', pattern: { mask, value } });

/** Neither readable, nor writable, nor executable: a pointer to the next table. */
const POINTER: Pattern = { mask: bits(X, R), value: NONE };

/** Writable and nothing else: with Zicfiss, of a first stage, a page of a shadow stack. */
const SHADOW_STACK: Pattern = { mask: bits(X, R), value: bits(W) };

/** Step 3, in every entry: V, and no W without R. */
const GUEST_RULES: readonly EntryRule[] = [
  { reason: 'not-present', pattern: { mask: V, value: NONE } },
  never(bits(W, R), bits(W)),
];
const RULES: readonly EntryRule[] = [
  ...GUEST_RULES.slice(0, 1),
  { reason: 'reserved', pattern: SHADOW_STACK, unless: 'sse' },
  never(bits(X, R), bits(X, W)),
];
/** Step 3 with the upper bits that entries of 8 bytes have. */
const LONG_RULES: readonly EntryRule[] = [
  reserved(bits(58, 54)),
  { ...reserved(bits(60, 59)), unless: 'svrsw60t59b' },
  { ...reserved(PBMT), unless: 'svpbmt' },
  never(PBMT, PBMT),
  { ...reserved(N), unless: 'svnapot' },
];
/**
 * "For non-leaf PTEs, the D, A, and U bits are reserved"; Svnapot and Svpbmt say so of theirs. A table beyond physical
 * memory is found out when its entry is read, as an access fault; here at once.
 */
const TABLE_RULES: readonly EntryRule[] = [
  reserved(union(bits(U), bits(D, A), PBMT, N)),
  { reason: 'address-size', tooWide: true },
];
/** Svnapot: N is for the last level only, and only with ppn[3:0] = 1000, which is a page of 64 KiB. */
const NAPOT_RULES: readonly EntryRule[] = [
  never(union(N, bits(13)), N),
  ...[12, 11, 10].map((bit) => never(union(N, bits(bit)), union(N, bits(bit)))),
];

const RIGHTS: readonly RightField[] = [
  { right: 'read', bit: R },
  { right: 'write', bit: W },
  { right: 'execute', bit: X },
  { right: 'user', bit: U },
];
const ATTRIBUTES: readonly AttributeField[] = [
  { attribute: 'global', from: G, bits: 1, inherited: true },
  { attribute: 'accessed', from: A, bits: 1 },
  { attribute: 'software', from: 8, bits: 2 },
  { attribute: 'dirty', from: D, bits: 1 },
];
/** Step 9: looked at when everything else is found good. */
const MARKS: Marks = { accessed: A, tables: false, dirty: { bit: D }, afterRights: true };

/** The page number's bits from address bit `low` up: they stand two bits lower in an entry. */
const ppn = (low: number, width: number): readonly AddressField[] => [
  { from: low - 2, bits: width - low, to: low },
];

/** Physical addresses of Sv39, Sv48 and Sv57, and of Sv32. */
const LONG = 56;
const SHORT = 34;

/** Level `i` of a scheme whose entries are of `entrySize` bytes; `more` is 2 for the root of a G-stage. */
function levelOf(i: number, entrySize: 4 | 8, more: number, guest: boolean): LevelFormat {
  const rules = guest ? GUEST_RULES : RULES;
  const long = entrySize === 8;
  const indexBits = long ? 9 : 10;
  const indexBit = 12 + indexBits * i;
  const leaf: LevelFormat = {
    level: i,
    entry: 'PTE',
    indexBit,
    indexBits: indexBits + more,
    table: POINTER,
    rules: long ? [...rules, ...LONG_RULES] : rules,
    tableRules: long ? TABLE_RULES : [reserved(union(bits(U), bits(D, A))), ...TABLE_RULES.slice(1)],
    // Step 5: a superpage whose page number has low bits set.
    leafRules: [...(long ? [reserved(N)] : []), { reason: 'misaligned', anyOf: bits(9 + indexBits * i, 10) }],
    leafAddress: ppn(indexBit, long ? LONG : SHORT),
    newLeaf: V,
    newTable: V,
  };
  if (i > 0) return leaf;
  // Step 4: below this level there is nothing to point to.
  const last: LevelFormat = {
    ...leaf,
    table: 'never',
    tableRules: [],
    leafRules: [never(POINTER.mask, NONE)],
  };
  if (!long) return last;
  return {
    ...last,
    leafRules: [...last.leafRules, ...NAPOT_RULES],
    specialLeaf: {
      pattern: { mask: N, value: N },
      pageBits: 16,
      address: ppn(16, LONG),
      newLeaf: union(N, bits(13)),
    },
  };
}

/** A scheme of so many levels; G-stages have two more index bits in the root, which then is of 16 KiB. */
function scheme(name: string, levels: number, entrySize: 4 | 8, guest: boolean): PagingFormat {
  const long = entrySize === 8;
  const more = guest ? 2 : 0;
  const rootBits = 12 + more;
  return {
    name: `riscv-${name.toLowerCase()}`,
    title: `RISC-V ${name}`,
    architecture: (guest ? RISCV_GUEST : RISCV) as Architecture,
    addressBits: 12 + levels * (long ? 9 : 10) + more,
    upperBits: long && !guest ? 'signed' : 'zeros',
    entrySize,
    root: bits((long ? LONG : SHORT) - 1, rootBits),
    tableAddress: ppn(12, long ? LONG : SHORT),
    tableSize: 4096,
    physicalBits: long ? 53 : SHORT,
    lateWidth: true,
    remembersAbsence: true,
    rights: RIGHTS,
    attributes: long ? [...ATTRIBUTES, { attribute: 'memoryType', from: 61, bits: 2 }] : ATTRIBUTES,
    marks: MARKS,
    ...(guest ? {} : { shadowStacks: { when: 'sse', leaf: SHADOW_STACK, readOnly: true } as const }),
    levels: Array.from({ length: levels }, (_, depth) =>
      levelOf(levels - 1 - depth, entrySize, depth === 0 ? more : 0, guest),
    ),
  };
}

/** 32-bit addresses by two levels of four-byte entries, pages of 4 KiB and 4 MiB, physical addresses of 34 bits. */
export const RISCV_SV32: PagingFormat = scheme('Sv32', 2, 4, false);
/** 39-bit addresses by three levels, pages of 4 KiB, 64 KiB (Svnapot), 2 MiB and 1 GiB. */
export const RISCV_SV39: PagingFormat = scheme('Sv39', 3, 8, false);
/** 48-bit addresses by four levels, pages as Sv39 and of 512 GiB. */
export const RISCV_SV48: PagingFormat = scheme('Sv48', 4, 8, false);
/** 57-bit addresses by five levels, pages as Sv48 and of 256 TiB. */
export const RISCV_SV57: PagingFormat = scheme('Sv57', 5, 8, false);
/** G-stage of 34-bit guest-physical addresses. */
export const RISCV_SV32X4: PagingFormat = scheme('Sv32x4', 2, 4, true);
/** G-stage of 41-bit guest-physical addresses. */
export const RISCV_SV39X4: PagingFormat = scheme('Sv39x4', 3, 8, true);
/** G-stage of 50-bit guest-physical addresses. */
export const RISCV_SV48X4: PagingFormat = scheme('Sv48x4', 4, 8, true);
/** G-stage of 59-bit guest-physical addresses. */
export const RISCV_SV57X4: PagingFormat = scheme('Sv57x4', 5, 8, true);

/** Every scheme, those of one stage first. */
export const RISCV_FORMATS: readonly PagingFormat[] = [
  RISCV_SV32,
  RISCV_SV39,
  RISCV_SV48,
  RISCV_SV57,
  RISCV_SV32X4,
  RISCV_SV39X4,
  RISCV_SV48X4,
  RISCV_SV57X4,
];
