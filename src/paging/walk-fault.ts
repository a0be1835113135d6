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
  /** For a page fault. */
  reason: FaultReason = 'not-present';
  /** The architecture's own number for the fault; 0 where it has none. */
  errorCode = 0;
  /** Level of the entry concerned; 0 for an address that is not canonical. */
  level = 0;
  /** Guest-physical address of the entry concerned; for a second stage's fault, the address that it refused. */
  entryAddress = 0;
  /** For a page fault after the leaf was reached: what the tables allow, as a rights code; else -1. */
  rights = -1;
  /** The virtual address: bits 31:0 and 63:32. */
  lo = 0;
  hi = 0;

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
  }

  /** The virtual address. */
  get gva(): bigint {
    return fromHalves(this.lo, this.hi);
  }
}
