import { bits, NONE, union } from './bits.ts';
import type { EntryBits, LevelFormat, PagingFormat } from './format.ts';

// The four paging modes of x86 as the Intel SDM describes them (volume 3A, chapter 5 "Paging", figures and tables
// "Format of ..."). Bits are written high:low, as there. Reserved bits that depend on the processor (MAXPHYADDR,
// EFER.NXE, 1 GiB pages, CR4.PSE) are added when a format is compiled for its controls: see level.ts.

const LEGACY_ENTRY: EntryBits = {
  present: 0,
  write: 1,
  user: 2,
  writeThrough: 3,
  cacheDisable: 4,
  accessed: 5,
  dirty: 6,
  large: 7,
  global: 8,
  noExecute: undefined,
  protectionKey: undefined,
};
const PAE_ENTRY: EntryBits = { ...LEGACY_ENTRY, noExecute: 63 };
const LONG_MODE_ENTRY: EntryBits = { ...PAE_ENTRY, protectionKey: 59 };

/** A level of 512 eight-byte entries in long mode, where bits 58:52 are software's. */
const LONG_MODE_LEVEL = {
  indexBits: 9,
  pat: undefined,
  hasRights: true,
  loadedWithRoot: false,
  leafAddress: NONE,
  leafHighAddress: undefined,
  tableReserved: NONE,
  leafReserved: NONE,
  physicalReservedTo: 51,
} as const;

const PML5E: LevelFormat = {
  ...LONG_MODE_LEVEL,
  level: 5,
  entry: 'PML5E',
  indexBit: 48,
  leaf: 'never',
  tableReserved: bits(7),
};
const PML4E: LevelFormat = {
  ...LONG_MODE_LEVEL,
  level: 4,
  entry: 'PML4E',
  indexBit: 39,
  leaf: 'never',
  tableReserved: bits(7),
};
const PDPTE: LevelFormat = {
  ...LONG_MODE_LEVEL,
  level: 3,
  entry: 'PDPTE',
  indexBit: 30,
  leaf: { feature: 'gigabytePages', otherwise: 'reserved' },
  pat: 12,
  leafAddress: bits(51, 30),
  leafReserved: bits(29, 13),
};
const PDE: LevelFormat = {
  ...LONG_MODE_LEVEL,
  level: 2,
  entry: 'PDE',
  indexBit: 21,
  leaf: { feature: undefined, otherwise: 'reserved' },
  pat: 12,
  leafAddress: bits(51, 21),
  leafReserved: bits(20, 13),
};
const PTE: LevelFormat = {
  ...LONG_MODE_LEVEL,
  level: 1,
  entry: 'PTE',
  indexBit: 12,
  leaf: 'always',
  pat: 7,
  leafAddress: bits(51, 12),
};

/** x86-64 with CR4.LA57 clear: 48-bit addresses, four levels, pages of 4 KiB, 2 MiB and 1 GiB. */
export const X86_4LEVEL: PagingFormat = {
  name: 'x86-4level',
  title: 'x86-64 4-level',
  addressBits: 48,
  signExtended: true,
  entrySize: 8,
  root: bits(51, 12),
  tableAddress: bits(51, 12),
  physicalBits: 52,
  entry: LONG_MODE_ENTRY,
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

/** 32-bit x86 with CR4.PAE set: three levels of eight-byte entries, pages of 4 KiB and 2 MiB. */
export const X86_PAE: PagingFormat = {
  name: 'x86-pae',
  title: 'x86 PAE',
  addressBits: 32,
  signExtended: false,
  entrySize: 8,
  root: bits(31, 5),
  tableAddress: bits(51, 12),
  physicalBits: 52,
  entry: PAE_ENTRY,
  levels: [
    {
      // Four entries, which the processor loads and checks when CR3 is written.
      ...LONG_MODE_LEVEL,
      level: 3,
      entry: 'PDPTE',
      indexBit: 30,
      indexBits: 2,
      leaf: 'never',
      hasRights: false,
      loadedWithRoot: true,
      tableReserved: union(bits(2, 1), bits(8, 5)),
      physicalReservedTo: 63,
    },
    // Bits 62:MAXPHYADDR are reserved here: there are no software bits 58:52 and no protection keys.
    { ...PDE, physicalReservedTo: 62 },
    { ...PTE, physicalReservedTo: 62 },
  ],
};

const LEGACY_LEVEL = {
  indexBits: 10,
  hasRights: true,
  loadedWithRoot: false,
  tableReserved: NONE,
} as const;

/** 32-bit x86 without PAE: two levels of four-byte entries, pages of 4 KiB and, with CR4.PSE, 4 MiB (PSE-36). */
export const X86_32: PagingFormat = {
  name: 'x86-32',
  title: 'x86 32-bit',
  addressBits: 32,
  signExtended: false,
  entrySize: 4,
  root: bits(31, 12),
  tableAddress: bits(31, 12),
  physicalBits: 40,
  entry: LEGACY_ENTRY,
  levels: [
    {
      ...LEGACY_LEVEL,
      level: 2,
      entry: 'PDE',
      indexBit: 22,
      leaf: { feature: 'pse', otherwise: 'ignored' },
      pat: 12,
      leafAddress: bits(31, 22),
      leafHighAddress: { bit: 13, bits: 8 },
      leafReserved: bits(21),
      physicalReservedTo: 39,
    },
    {
      ...LEGACY_LEVEL,
      level: 1,
      entry: 'PTE',
      indexBit: 12,
      leaf: 'always',
      pat: 7,
      leafAddress: bits(31, 12),
      leafHighAddress: undefined,
      leafReserved: NONE,
      physicalReservedTo: undefined,
    },
  ],
};

/** Every format, for a look-up by name. */
export const FORMATS: readonly PagingFormat[] = [X86_32, X86_PAE, X86_4LEVEL, X86_5LEVEL];
