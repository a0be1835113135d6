import type { Rights } from './rights.ts';

/** A range of virtual addresses that is mapped to one contiguous range of physical ones, in pages of one size. */
export interface MappedRange {
  readonly kind: 'mapped';
  readonly gva: bigint;
  /** Bytes. */
  readonly size: number;
  readonly gpa: number;
  readonly pageSize: number;
  /** What the tables allow, all levels taken together. */
  readonly rights: Rights;
  /** As the format has it: see `MappedTranslation.memoryType`. */
  readonly memoryType: number;
  readonly global: boolean;
  /** Where `details` were asked for. */
  readonly details?: LeafDetails;
  /** Through two stages: what the second one says of the range; its `gva` is the first stage's output. */
  readonly secondStage?: MappedRange;
}

/** What use and software have left in a page's entry. */
export interface LeafDetails {
  /** Used since the bit was last cleared; `undefined` in formats without marks. The bit as it stands, whether or not the processor sets it. */
  readonly accessed: boolean | undefined;
  /** Written since then. On AArch64 a page that can be written at once counts as written, for nobody would know. */
  readonly dirty: boolean | undefined;
  /** `undefined` where no protection keys are in force. */
  readonly protectionKey: number | undefined;
  /** The bits that the architecture leaves to software, as one number. */
  readonly software: number;
}

/** A table that was listed before, under the same rights: `gva + x` is mapped as `of + x` is. */
export interface AliasRange {
  readonly kind: 'alias';
  readonly gva: bigint;
  readonly size: number;
  /** Where the same addresses within the table were listed. */
  readonly of: bigint;
  /** Level of the table that is shared. */
  readonly level: number;
  /** Guest-physical address of that table. */
  readonly table: number;
}

/** Entries that could not be read: what they map is not known. */
export interface UnreadableRange {
  readonly kind: 'table-unreadable';
  readonly gva: bigint;
  readonly size: number;
  readonly level: number;
  /** Guest-physical address of the first of the entries. */
  readonly address: number;
  /**
   * Through two stages: why the second one refuses the first of the entries, so that the processor does not read it either.
   * Absent where it does not: then it is this memory that does not have the entries.
   */
  readonly secondStage?: SecondStageRange['why'] | 'rights';
}

/** Through two stages: what the first one maps, and the second does not. Every access faults there. */
export interface SecondStageRange {
  readonly kind: 'second-stage';
  readonly gva: bigint;
  readonly size: number;
  /** The first stage's output, which the second one refuses. */
  readonly gpa: number;
  /** `table-unreadable`: the second stage's own tables are not in this memory, and what is there is not known. */
  readonly why: 'not-present' | 'reserved' | 'table-unreadable' | 'not-canonical';
}

/** Present entries with reserved bits set: every access faults. */
export interface ReservedRange {
  readonly kind: 'reserved';
  readonly gva: bigint;
  readonly size: number;
  readonly level: number;
  /** Guest-physical address of the first of the entries. */
  readonly entryAddress: number;
}

/** The budget is used up, and there is more: always the last record. */
export interface BudgetSpent {
  readonly kind: 'budget';
  /** Where to go on. */
  readonly gva: bigint;
  /** Entries that were read. */
  readonly reads: number;
}

/** What an enumeration of mappings meets, in the order of addresses. */
export type MappingRecord = MappedRange | AliasRange | UnreadableRange | ReservedRange | BudgetSpent;
