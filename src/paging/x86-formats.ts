import { bits, type Mask64, NONE, union } from './bits.ts';
import type {
  AddressField,
  AttributeField,
  EntryRule,
  LevelFormat,
  Marks,
  PagingFormat,
  RightField,
  ShadowStackPages,
} from './format.ts';
import { X86 } from './x86-architecture.ts';

// The four paging modes of x86 as the Intel SDM describes them (volume 3A, chapter 5 "Paging", figures and tables
// "Format of ..."). Bits are written high:low, as there.

const PRESENT = 0;
const LARGE = 7;
const NOT_PRESENT: EntryRule = { reason: 'not-present', pattern: { mask: bits(PRESENT), value: NONE } };
const NO_NX: EntryRule = { reason: 'reserved', anyOf: bits(63), unless: 'nxe' };
const TOO_WIDE: EntryRule = { reason: 'reserved', tooWide: true };
const reserved = (mask: Mask64): EntryRule => ({ reason: 'reserved', anyOf: mask });

const SMALL = { mask: bits(LARGE), value: NONE };
/** Bits 51:`low` of an entry are bits 51:`low` of the address. */
const address = (low: number, high = 51): AddressField => ({ from: low, bits: high - low + 1, to: low });

const RIGHTS: readonly RightField[] = [
  { right: 'write', bit: 1, tableBit: 1 },
  { right: 'user', bit: 2, tableBit: 2 },
];
const RIGHTS_WITH_NX: readonly RightField[] = [
  ...RIGHTS,
  { right: 'execute', bit: 63, inverted: true, tableBit: 63 },
];
/** PWT and PCD; the third bit of the memory type's index, PAT, is the levels' own. */
const ATTRIBUTES: readonly AttributeField[] = [
  { attribute: 'memoryType', from: 3, bits: 2 },
  { attribute: 'accessed', from: 5, bits: 1 },
  { attribute: 'dirty', from: 6, bits: 1 },
  { attribute: 'global', from: 8, bits: 1 },
  { attribute: 'software', from: 9, bits: 3 },
];
/** SDM 3A, 5.8 "Accessed and Dirty Flags". */
const MARKS: Marks = { accessed: 5, tables: true, dirty: { bit: 6 } };
/** SDM 3A, 5.6.1: R/W is 0 and D is 1 in the leaf, and R/W is 1 in every other entry. */
const SHADOW_STACKS: ShadowStackPages = {
  when: 'cet',
  leaf: { mask: union(bits(1), bits(6)), value: bits(6) },
  tables: bits(1),
};
const pat = (from: number): AttributeField => ({ attribute: 'memoryType', from, bits: 1, to: 2 });

/** Present, writable, user, accessed. */
const NEW_TABLE = union(bits(PRESENT), bits(2, 1), bits(5));

/** A level of 512 eight-byte entries in long mode, where bits 58:52 are software's. */
const LONG_MODE_LEVEL = {
  indexBits: 9,
  rules: [NOT_PRESENT, TOO_WIDE, NO_NX],
  tableRules: [],
  leafRules: [],
  leafAddress: [],
  newLeaf: bits(PRESENT),
  newTable: NEW_TABLE,
} as const;

const PML5E: LevelFormat = {
  ...LONG_MODE_LEVEL,
  level: 5,
  entry: 'PML5E',
  indexBit: 48,
  table: 'always',
  tableRules: [reserved(bits(LARGE)), { ...reserved(bits(8)), when: 'amd' }],
};
const PML4E: LevelFormat = { ...PML5E, level: 4, entry: 'PML4E', indexBit: 39 };
const PDPTE: LevelFormat = {
  ...LONG_MODE_LEVEL,
  level: 3,
  entry: 'PDPTE',
  indexBit: 30,
  table: SMALL,
  leavesNeed: 'gigabytePages',
  tableRules: [{ ...reserved(bits(LARGE)), unless: 'gigabytePages' }],
  leafRules: [reserved(bits(29, 13))],
  leafAddress: [address(30)],
  attributes: [pat(12)],
  newLeaf: union(bits(PRESENT), bits(LARGE)),
};
const PDE: LevelFormat = {
  ...LONG_MODE_LEVEL,
  level: 2,
  entry: 'PDE',
  indexBit: 21,
  table: SMALL,
  leafRules: [reserved(bits(20, 13))],
  leafAddress: [address(21)],
  attributes: [pat(12)],
  newLeaf: union(bits(PRESENT), bits(LARGE)),
};
const PTE: LevelFormat = {
  ...LONG_MODE_LEVEL,
  level: 1,
  entry: 'PTE',
  indexBit: 12,
  table: 'never',
  leafAddress: [address(12)],
  attributes: [pat(7)],
};

/** x86-64 with CR4.LA57 clear: 48-bit addresses, four levels, pages of 4 KiB, 2 MiB and 1 GiB. */
export const X86_4LEVEL: PagingFormat = {
  name: 'x86-4level',
  title: 'x86-64 4-level',
  architecture: X86,
  addressBits: 48,
  upperBits: 'signed',
  entrySize: 8,
  root: bits(51, 12),
  tableAddress: [address(12)],
  tableSize: 4096,
  physicalBits: 52,
  rights: RIGHTS_WITH_NX,
  attributes: [...ATTRIBUTES, { attribute: 'protectionKey', from: 59, bits: 4 }],
  marks: MARKS,
  shadowStacks: SHADOW_STACKS,
  levels: [PML4E, PDPTE, PDE, PTE],
};

/** x86-64 with CR4.LA57 set: 57-bit addresses, five levels, pages of 4 KiB, 2 MiB and 1 GiB. */
export const X86_5LEVEL: PagingFormat = {
  ...X86_4LEVEL,
  name: 'x86-5level',
  title: 'x86-64 5-level',
  addressBits: 57,
  levels: [PML5E, PML4E, PDPTE, PDE, PTE],
};

/** In PAE there are no software bits 58:52 and no protection keys: bits 62:52 are reserved. */
const PAE_RULES: readonly EntryRule[] = [...LONG_MODE_LEVEL.rules, reserved(bits(62, 52))];

/** 32-bit x86 with CR4.PAE set: three levels of eight-byte entries, pages of 4 KiB and 2 MiB. */
export const X86_PAE: PagingFormat = {
  name: 'x86-pae',
  title: 'x86 PAE',
  architecture: X86,
  addressBits: 32,
  upperBits: 'zeros',
  entrySize: 8,
  root: bits(31, 5),
  tableAddress: [address(12)],
  tableSize: 4096,
  physicalBits: 52,
  rights: RIGHTS_WITH_NX,
  attributes: ATTRIBUTES,
  marks: MARKS,
  shadowStacks: SHADOW_STACKS,
  levels: [
    {
      // Four entries, which the processor loads and checks when CR3 is written.
      ...LONG_MODE_LEVEL,
      level: 3,
      entry: 'PDPTE',
      indexBit: 30,
      indexBits: 2,
      table: 'always',
      tableRights: false,
      loadedWithRoot: true,
      // SDM table 4-8. A processor refuses what is reserved when CR3 is written, by #GP: here, where tables are read as they are,
      // it is a page fault.
      rules: [
        NOT_PRESENT,
        TOO_WIDE,
        reserved(union(bits(2, 1), bits(8, 6), bits(63, 52))),
        { ...reserved(bits(5)), unless: 'pdpteAccessed' },
      ],
      newTable: bits(PRESENT),
    },
    { ...PDE, rules: PAE_RULES },
    { ...PTE, rules: PAE_RULES },
  ],
};

const LEGACY_LEVEL = { indexBits: 10, rules: [NOT_PRESENT], tableRules: [], newTable: NEW_TABLE } as const;

/** 32-bit x86 without PAE: two levels of four-byte entries, pages of 4 KiB and, with CR4.PSE, 4 MiB (PSE-36). */
export const X86_32: PagingFormat = {
  name: 'x86-32',
  title: 'x86 32-bit',
  architecture: X86,
  addressBits: 32,
  upperBits: 'zeros',
  entrySize: 4,
  root: bits(31, 12),
  tableAddress: [address(12, 31)],
  tableSize: 4096,
  physicalBits: 40,
  rights: RIGHTS,
  attributes: ATTRIBUTES,
  marks: MARKS,
  shadowStacks: SHADOW_STACKS,
  levels: [
    {
      ...LEGACY_LEVEL,
      level: 2,
      entry: 'PDE',
      indexBit: 22,
      table: SMALL,
      leavesNeed: 'pse',
      leafRules: [reserved(bits(21)), TOO_WIDE],
      // PSE-36: bits 20:13 are bits 39:32 of the address.
      leafAddress: [address(22, 31), { from: 13, bits: 8, to: 32 }],
      attributes: [pat(12)],
      newLeaf: union(bits(PRESENT), bits(LARGE)),
    },
    {
      ...LEGACY_LEVEL,
      level: 1,
      entry: 'PTE',
      indexBit: 12,
      table: 'never',
      leafRules: [],
      leafAddress: [address(12, 31)],
      attributes: [pat(7)],
      newLeaf: bits(PRESENT),
    },
  ],
};

/** The four modes, from the oldest on. */
export const X86_FORMATS: readonly PagingFormat[] = [X86_32, X86_PAE, X86_4LEVEL, X86_5LEVEL];
