import { hex } from '../core/index.ts';
import { type FaultReason, WHY } from './fault-reason.ts';
import { formatRights, type Rights } from './rights.ts';

/** One entry that a walk read. */
export interface WalkStep {
  /** As the architecture numbers it: on x86 1 is the last. */
  readonly level: number;
  /** Name of the entry in the manual: `PML4E`, `PDPTE`, `PDE`, `PTE`. */
  readonly name: string;
  /** Guest-physical address of the entry. */
  readonly entryAddress: number;
  /** The entry as it was read; 32-bit x86 has 32-bit entries. */
  readonly entry: bigint;
}

/** The address is mapped and the access allowed. */
export interface MappedTranslation {
  readonly kind: 'mapped';
  readonly gva: bigint;
  /** Guest-physical address of the very byte. */
  readonly gpa: number;
  /** Bytes in the page that the leaf maps. */
  readonly pageSize: number;
  /** What the tables allow, all levels taken together. */
  readonly rights: Rights;
  /**
   * As the leaf has it. x86: index into the page attribute table, PAT bit * 4 + PCD * 2 + PWT; EPT: the type itself; AArch64:
   * AttrIndx, or MemAttr in a second stage; RISC-V: PBMT.
   */
  readonly memoryType: number;
  /** Survives a change of CR3 in the TLB (CR4.PGE set and the leaf's global bit set). */
  readonly global: boolean;
  /** Protection key of the page; `undefined` where keys are not in force. */
  readonly protectionKey: number | undefined;
  /** What the leaf keeps for software. */
  readonly software: number;
  /** The page is a shadow stack. False where these are not in force. */
  readonly shadowStack: boolean;
  /** Every entry that was read, root first. */
  readonly levels: readonly WalkStep[];
  /** Through two stages: what the second one said of the page; its `gva` is the first stage's output. */
  readonly secondStage?: MappedTranslation;
}

/** The processor would raise a page fault: #PF on x86. */
export interface PageFault {
  readonly kind: 'page-fault';
  readonly gva: bigint;
  /**
   * In the architecture's own numbers. x86: the error code, P 1, W 2, U 4, RSVD 8, I 16, PK 32, SS 64 (SDM 3A, 5.7); EPT: the exit
   * qualification; AArch64: the fault status code (FSC); RISC-V: the cause.
   */
  readonly errorCode: number;
  readonly reason: FaultReason;
  /** Level of the entry that stopped the walk, or of the leaf whose rights did not suffice. */
  readonly level: number;
  /** Guest-physical address of that entry. */
  readonly entryAddress: number;
  /** What the tables allow, where the leaf was reached. */
  readonly rights: Rights | undefined;
  /** Every entry that was read, root first; the last is the one that stopped the walk. */
  readonly levels: readonly WalkStep[];
}

/**
 * No address of this format: bits above the topmost one do not repeat it (#GP or #SS, never #PF), or, in a 32-bit
 * format, it is above 4 GiB.
 */
export interface NotCanonical {
  readonly kind: 'not-canonical';
  readonly gva: bigint;
  /** The architecture's own number for it; 0 on x86, where it is another exception. */
  readonly errorCode: number;
  readonly levels: readonly WalkStep[];
}

/** A table's bytes are not there: outside of RAM, or not in this dump. Whether the address is mapped is not known. */
export interface TableUnreadable {
  readonly kind: 'table-unreadable';
  readonly gva: bigint;
  /** Level of the entry that could not be read. */
  readonly level: number;
  /** Guest-physical address of that entry. */
  readonly address: number;
  /** Every entry that was read before, root first. */
  readonly levels: readonly WalkStep[];
}

/** The first stage led to an address that the second stage refuses: on a walk through both. */
export interface SecondStageFault {
  readonly kind: 'second-stage-fault';
  readonly gva: bigint;
  /** What the second stage was asked for: an entry of the first stage's tables, or the page at the end. */
  readonly during: 'table-walk' | 'final-access';
  /** The first stage's output: the address that the second stage refuses. */
  readonly gpa: number;
  /** What the second stage said. Its `gva` is `gpa`. */
  readonly fault: PageFault | NotCanonical | TableUnreadable;
  /** The first stage's entries that were read before, root first. */
  readonly levels: readonly WalkStep[];
}

/** What became of a translation in one stage. Faults of the guest are values, not exceptions. */
export type OneStageTranslation = MappedTranslation | PageFault | NotCanonical | TableUnreadable;

/** What became of a translation, in one stage or through two. */
export type Translation = OneStageTranslation | SecondStageFault;

/**
 * A translation as one plain line.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { describeTranslation, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x2000);
 * const translator = new Translator({ memory, format: X86_4LEVEL, root: 0x1000 });
 * assert.equal(
 *   describeTranslation(translator.translate(0x8000n)),
 *   'Page fault: the PML4E at 0x1000 is not present (error code 0x0)',
 * );
 * ```
 */
export function describeTranslation(translation: Translation): string {
  switch (translation.kind) {
    case 'mapped':
      return `Mapped to ${hex(translation.gpa)}, page of ${hex(translation.pageSize)} bytes, ${formatRights(translation.rights)}`;
    case 'page-fault': {
      const entry = `${translation.levels.at(-1)?.name ?? 'entry'} at ${hex(translation.entryAddress)}`;
      return `Page fault: ${WHY[translation.reason](entry)} (error code ${hex(translation.errorCode)})`;
    }
    case 'not-canonical':
      return `Not a virtual address of this format: ${hex(translation.gva)} is not canonical`;
    case 'table-unreadable':
      return `Table unreadable: the level ${translation.level} entry at ${hex(translation.address)} is not in this memory`;
    case 'second-stage-fault': {
      const what = translation.during === 'table-walk' ? 'a table entry' : 'the page';
      return `Second stage, ${what} at ${hex(translation.gpa)}: ${describeTranslation(translation.fault)}`;
    }
  }
}
