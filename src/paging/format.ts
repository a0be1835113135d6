import type { Architecture } from './architecture.ts';
import type { Mask64 } from './bits.ts';
import type { FaultReason } from './fault-reason.ts';
import type { RightName } from './rights.ts';

/** Bits of an entry that have a given value: `(entry & mask) === value`. */
export interface Pattern {
  readonly mask: Mask64;
  readonly value: Mask64;
}

/**
 * One thing that must not be so. A level's rules are looked at in their order, and the first that is broken is the
 * fault. A rule may depend on a control of the processor, by its name.
 */
export interface EntryRule {
  readonly reason: FaultReason;
  /** Broken where any of these bits is set ... */
  readonly anyOf?: Mask64;
  /** ... or where the entry looks like this ... */
  readonly pattern?: Pattern;
  /** ... or where the address in the entry is wider than the processor's physical addresses. */
  readonly tooWide?: true;
  /** In force only while this control is on. */
  readonly when?: string;
  /** In force only while this control is off. */
  readonly unless?: string;
}

/** Bits of an entry that are bits of an address: `bits` of them, from bit `from` of the entry to bit `to` of the address. */
export interface AddressField {
  readonly from: number;
  readonly bits: number;
  readonly to: number;
}

/** Where one bit of a right stands. */
export interface RightField {
  readonly right: RightName;
  /** Bit of a leaf. */
  readonly bit: number;
  /** The leaf denies with a 1 what the right grants. */
  readonly inverted?: true;
  /**
   * Bit with which the tables above take the right away from everything below: one of the lower half that grants with a
   * 1, or one of the upper half that denies with a 1. Absent: tables have no say.
   */
  readonly tableBit?: number;
  /**
   * A second bit of a leaf: the right is in `bit` exclusive-or this one. In a format's list, the right that this bit belongs
   * to comes first.
   */
  readonly xor?: number;
  /** A second bit of a leaf that grants the right by itself, while the control `when` is on. */
  readonly or?: { readonly bit: number; readonly when: string };
  /** The right is not there where a page has all of these, whatever its bits say. */
  readonly lostWith?: readonly RightName[];
}

/** An attribute of a leaf other than rights and address. */
export type AttributeName = 'memoryType' | 'global' | 'accessed' | 'dirty' | 'protectionKey' | 'software';

/** Bits of a leaf that hold an attribute: `bits` of them from bit `from`, to bit `to` (default 0) of the attribute. */
export interface AttributeField {
  readonly attribute: AttributeName;
  readonly from: number;
  readonly bits: number;
  readonly to?: number;
  /** A 0 in the entry is a 1 of the attribute. */
  readonly inverted?: true;
  /** Tables have the bit as well, for everything below them. */
  readonly inherited?: true;
}

/** How use leaves its marks in entries. */
export interface Marks {
  /** Bit that is set in a leaf when it is used. */
  readonly accessed: number;
  /** Whether tables on the way are marked as well. */
  readonly tables: boolean;
  /** Bit of a leaf that is set when it is written through ... */
  readonly dirty: {
    readonly bit: number;
    /** ... or cleared. */
    readonly inverted?: true;
  };
  /** Whether a mark that is missing is looked at after the rights, and not by a rule of the leaf. */
  readonly afterRights?: true;
}

/** What makes a page a shadow stack, so that other rules hold for it. */
export interface ShadowStackPages {
  /** In force only while this control is on. */
  readonly when: string;
  /** What the leaf looks like ... */
  readonly leaf: Pattern;
  /** ... and the bits, of lower halves, that all tables above have to have. */
  readonly tables?: Mask64;
  /** Accesses other than those of the shadow stack may read the page and not write it, whatever its own bits say. */
  readonly readOnly?: true;
}

/** A page that is larger than its level's, or otherwise special, made by a leaf that looks like `pattern`. */
export interface SpecialLeaf {
  readonly pattern: Pattern;
  /** The leaf's page has 2^pageBits bytes. */
  readonly pageBits: number;
  readonly address: readonly AddressField[];
  /** The bits that make a leaf such a one, for building; without them none is made. */
  readonly newLeaf?: Mask64;
}

/** One level of tables: where its index comes from, what its entries may be, and what they must not be. */
export interface LevelFormat {
  /** As the architecture numbers it: on x86 the last is 1, on RISC-V 0, on AArch64 3. */
  readonly level: number;
  /** Name of an entry in the manual: `PML4E`, `PDPTE`, `PDE`, `PTE`. */
  readonly entry: string;
  /** Lowest bit of the index in the virtual address; a leaf here maps 2^indexBit bytes. */
  readonly indexBit: number;
  readonly indexBits: number;
  /** What an entry looks like that points to a table; what does not is a leaf. */
  readonly table: 'always' | 'never' | Pattern;
  /** The control that has to be on for leaves; while it is off every entry points to a table. */
  readonly leavesNeed?: string;
  /** Whether tables of this level have the bits of `RightField.tableBit`. PAE's PDPTE does not. Default true. */
  readonly tableRights?: boolean;
  /** Whether the processor keeps these entries in registers from the moment the root is loaded (PAE's PDPTE). */
  readonly loadedWithRoot?: true;
  /** What must not be so in any entry ... */
  readonly rules: readonly EntryRule[];
  /** ... then in one that points to a table ... */
  readonly tableRules: readonly EntryRule[];
  /** ... or in a leaf. */
  readonly leafRules: readonly EntryRule[];
  /** Where a leaf's address stands; empty where no leaf can be. */
  readonly leafAddress: readonly AddressField[];
  readonly specialLeaf?: SpecialLeaf;
  /**
   * A bit with which aligned groups of so many leaves, all of them alike and of one run of memory, say that they are one page
   * to whoever caches them (AArch64). A walk does not look at it.
   */
  readonly contiguous?: { readonly bit: number; readonly entries: number };
  /** Attributes that leaves of this level alone have. */
  readonly attributes?: readonly AttributeField[];
  /** The bits that make an entry a usable leaf and nothing else, for building. */
  readonly newLeaf: Mask64;
  /** A leaf as there are most of, the first to be recognised. Default: `newLeaf` with every right. */
  readonly usualLeaf?: Mask64;
  /** The bits that make an entry a table through which everything is allowed, for building. */
  readonly newTable: Mask64;
}

/**
 * The translation tables of one paging mode, as plain data: one walker, one lister and one builder read all of them.
 */
export interface PagingFormat {
  /** Short and without spaces: `x86-4level`, `riscv-sv39`. */
  readonly name: string;
  /** For people: `x86-64 4-level`. */
  readonly title: string;
  readonly architecture: Architecture;
  /** Width of a virtual address in bits. */
  readonly addressBits: number;
  /** What the bits above are: a repetition of the topmost one (canonical form), zeros, or ones. */
  readonly upperBits: 'signed' | 'zeros' | 'ones';
  /** Bytes in an entry. */
  readonly entrySize: 4 | 8;
  /** Bits of the root register (CR3 and its like) that are the root table's address, where they belong. */
  readonly root: Mask64;
  /** Where the address stands in an entry that points to a table. */
  readonly tableAddress: readonly AddressField[];
  /** Bytes in a table other than the root, and what it is aligned to. */
  readonly tableSize: number;
  /** Largest physical address width that entries of this format can hold; at most 53. */
  readonly physicalBits: number;
  /** A leaf's address that is wider than physical addresses is no rule's, but an `address-size` fault after the rights. */
  readonly lateWidth?: true;
  readonly rights: readonly RightField[];
  readonly attributes: readonly AttributeField[];
  /** The memory type of write-back memory: what a leaf gets when none is asked for. Default 0. */
  readonly writeBack?: number;
  /** Bits that a leaf gets when it is made, besides what is asked for; later changes leave them as they are. */
  readonly freshLeaf?: Mask64;
  /** A leaf in use has to be made invalid before one of another size, address or kind takes its place (AArch64). */
  readonly breakBeforeMake?: true;
  /** The hardware may remember that an entry was not present (RISC-V). */
  readonly remembersAbsence?: true;
  /** Absent: there are no shadow stacks. */
  readonly shadowStacks?: ShadowStackPages;
  /** Absent: entries are not marked. */
  readonly marks?: Marks;
  /** Root first. */
  readonly levels: readonly LevelFormat[];
}
