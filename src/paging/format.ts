import type { Mask64 } from './bits.ts';

/** Where a single attribute stands in an entry; `undefined` where the format has no such bit. */
export interface EntryBits {
  readonly present: number;
  readonly write: number;
  readonly user: number;
  readonly writeThrough: number;
  readonly cacheDisable: number;
  readonly accessed: number;
  /** In leaves only. */
  readonly dirty: number;
  /** Page size: in an entry above the last level, says that it is a leaf. */
  readonly large: number;
  /** In leaves only. */
  readonly global: number;
  readonly noExecute: number | undefined;
  /** Lowest bit of the four-bit protection key, in leaves only. */
  readonly protectionKey: number | undefined;
}

/** The features of a processor that change which bits of an entry mean something. */
export type LargePageFeature = 'gigabytePages' | 'pse';

/** When the `large` bit of an entry makes it a leaf. */
export interface LargePages {
  /** The feature that must be on; `undefined`: always on. */
  readonly feature: LargePageFeature | undefined;
  /** What the bit is while the feature is off. */
  readonly otherwise: 'reserved' | 'ignored';
}

/** One level of tables: where its index comes from, what its entries may be, and which of their bits are reserved. */
export interface LevelFormat {
  /** 1 is the last level, counted upwards as x86 manuals do: PT 1, PD 2, PDPT 3, PML4 4, PML5 5. */
  readonly level: number;
  /** Name of an entry in the manual: `PML4E`, `PDPTE`, `PDE`, `PTE`. */
  readonly entry: string;
  /** Lowest bit of the index in the virtual address; a leaf here maps 2^indexBit bytes. */
  readonly indexBit: number;
  readonly indexBits: number;
  /** Where leaves may stand: nowhere here, here by the `large` bit, or every entry is one. */
  readonly leaf: 'never' | LargePages | 'always';
  /** Bit of a leaf that is bit 2 of the memory type's index. */
  readonly pat: number | undefined;
  /** Whether entries carry rights and an accessed bit (PAE's PDPTE does not). */
  readonly hasRights: boolean;
  /** Whether the processor keeps these entries in registers from the moment the root is loaded (PAE's PDPTE). */
  readonly loadedWithRoot: boolean;
  /** Bits of the address in a leaf that stand where they belong. */
  readonly leafAddress: Mask64;
  /** Address bits 32 and up that stand elsewhere in a leaf: PSE-36 keeps address bits 39:32 in entry bits 20:13. */
  readonly leafHighAddress: { readonly bit: number; readonly bits: number } | undefined;
  /** Bits that must be 0 in an entry that points to a table. */
  readonly tableReserved: Mask64;
  /** Bits that must be 0 in a leaf. */
  readonly leafReserved: Mask64;
  /** Bits from MAXPHYADDR up to this one must be 0 as well; `undefined` where no address bit can reach so far. */
  readonly physicalReservedTo: number | undefined;
}

/** The translation tables of one paging mode, as plain data: one walker and one builder read all of them. */
export interface PagingFormat {
  readonly name: 'x86-32' | 'x86-pae' | 'x86-4level' | 'x86-5level';
  /** For people: `x86-64 4-level`. */
  readonly title: string;
  /** Width of a virtual address in bits. */
  readonly addressBits: number;
  /** Whether the bits above a virtual address repeat its topmost one (canonical form); else they are 0. */
  readonly signExtended: boolean;
  /** Bytes in an entry. */
  readonly entrySize: 4 | 8;
  /** Bits of the root register (CR3) that are the root table's address; the others are flags and PCID. */
  readonly root: Mask64;
  /** Bits of the address in an entry that points to a table. */
  readonly tableAddress: Mask64;
  /** Largest physical address width that entries of this format can hold. */
  readonly physicalBits: number;
  readonly entry: EntryBits;
  /** Root first. */
  readonly levels: readonly LevelFormat[];
}
