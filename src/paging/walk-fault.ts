import { fromHalves } from './bits.ts';
import type { FaultReason } from './fault-reason.ts';

/**
 * Why the last `resolve` answered -1: one record per translator, overwritten by the next failure, so that a fault
 * costs no allocation. Copy what is to be kept.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { ACCESS, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x1000);
 * const translator = new Translator({ memory, format: X86_4LEVEL, root: 0 });
 * assert.equal(translator.resolve(0x1234, 0, ACCESS.write), -1);
 * const { kind, reason, errorCode, level, gva } = translator.fault;
 * assert.deepEqual([kind, reason, errorCode, level, gva], ['page-fault', 'not-present', 2, 4, 0x1234n]);
 * ```
 */
export class WalkFault {
  /** `none` until the first failure. */
  kind: 'none' | 'page-fault' | 'not-canonical' | 'table-unreadable' | 'second-stage' = 'none';
  /** For a page fault of either stage. */
  reason: FaultReason = 'not-present';
  /** The architecture's own number for the fault; 0 where it has none. Of two stages, that of the stage that refuses. */
  errorCode = 0;
  /** Level of the entry concerned, in the tables of the stage that refuses; says nothing of an address that is not canonical. */
  level = 0;
  /** Physical address of that entry. */
  entryAddress = 0;
  /** For a page fault after the leaf was reached: what its stage allows, as a rights code; else -1. */
  rights = -1;
  /** The virtual address: bits 31:0 and 63:32. */
  lo = 0;
  hi = 0;
  /**
   * For a fault of the second stage: what it says, as `kind` would for a stage alone. `table-unreadable` is a table that is not
   * there to be read: what it maps is not known.
   */
  secondStage: 'page-fault' | 'not-canonical' | 'table-unreadable' | undefined = undefined;
  /** For a fault of the second stage: what it was asked for, an entry of the first stage's tables or the page at the end. */
  during: 'table-walk' | 'final-access' | undefined = undefined;
  /** For a fault of the second stage: the address that it refuses, which is the first stage's output; else -1. */
  gpa = -1;

  /** Takes over what another record says. */
  copyFrom(other: WalkFault): void {
    this.kind = other.kind;
    this.reason = other.reason;
    this.errorCode = other.errorCode;
    this.level = other.level;
    this.entryAddress = other.entryAddress;
    this.rights = other.rights;
    this.lo = other.lo;
    this.hi = other.hi;
    this.secondStage = other.secondStage;
    this.during = other.during;
    this.gpa = other.gpa;
  }

  /** The virtual address. */
  get gva(): bigint {
    return fromHalves(this.lo, this.hi);
  }
}
