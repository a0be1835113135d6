import type { Access } from './access.ts';
import { PAGE_SIZE } from './addresses.ts';
import { GuestMemoryError } from './errors.ts';
import { hex } from './hex.ts';
import type { Iotlb, IotlbFault } from './iotlb.ts';
import type { GuestRun } from './paged-range.ts';

/**
 * Asked for a stretch that is not translated, or not for this access: puts into the IOTLB what is known of it and says
 * whether to look again. It may translate a part only; it is then asked for the rest. What it throws, the access throws:
 * `pending` for one that has to wait.
 */
export type IotlbMissHandler = (iova: number, length: number, access: Access) => boolean;

/** The answer to a request: where the bytes before the first fault are, and what there is to say of the fault. */
export interface IommuAnswer {
  readonly runs: readonly GuestRun[];
  readonly error: GuestMemoryError | undefined;
}

/** Rounds of asking and looking again, beside one for each page of the request, of which at most so many count. */
const ROUNDS = 16;
const PAGED_ROUNDS = 4096;

/** An IOTLB and who answers for what it does not know. */
export class IommuTranslation {
  readonly iotlb: Iotlb;
  private readonly name: string;
  private readonly onMiss: IotlbMissHandler | undefined;
  /** True while `onMiss` runs: accesses that it makes through the same IOMMU do not ask it again. */
  private asking = false;
  /** The IOTLB's count of invalidations when host bytes were lent; -1 where none were since `memory()` looked. */
  private lentAt = -1;

  constructor(iotlb: Iotlb, name: string, onMiss: IotlbMissHandler | undefined) {
    this.iotlb = iotlb;
    this.name = name;
    this.onMiss = onMiss;
  }

  /**
   * Translates a whole request, from one look at the IOTLB: no byte is touched on the word of an entry that has gone by
   * the time the last one has come.
   */
  request(iova: number, length: number, access: Access): IommuAnswer {
    const rounds = ROUNDS + Math.min(Math.ceil(length / PAGE_SIZE), PAGED_ROUNDS);
    for (let round = 0; ; round++) {
      const { runs, faults } = this.iotlb.lookup(iova, length, access);
      const [first] = faults;
      if (first === undefined) return { runs, error: undefined };
      const facts = { memory: this.name, operation: 'translate', gpa: iova, length, failedAt: first.iova };
      if (round === rounds) {
        const reason = `${describe(first, access)} after asking ${rounds} times`;
        return { runs, error: new GuestMemoryError('retry-limit', reason, { ...facts, cause: faults }) };
      }
      if (!this.ask(faults, access)) {
        const code = first.kind === 'miss' ? 'unmapped' : 'denied';
        return {
          runs,
          error: new GuestMemoryError(code, describe(first, access), { ...facts, cause: faults }),
        };
      }
    }
  }

  /** Notes that somebody keeps host bytes that translations led to. */
  lend(): void {
    if (this.lentAt < 0) this.lentAt = this.iotlb.invalidations;
  }

  /** True once after an invalidation that may concern bytes that were lent. */
  takeStale(): boolean {
    const stale = this.lentAt >= 0 && this.lentAt !== this.iotlb.invalidations;
    if (stale) this.lentAt = -1;
    return stale;
  }

  /** Asks for each fault, up to the first that is final, and says whether there was one before that. */
  private ask(faults: readonly IotlbFault[], access: Access): boolean {
    if (this.onMiss === undefined || this.asking) return false;
    this.asking = true;
    try {
      const answered = faults.findIndex(({ iova, length }) => this.onMiss?.(iova, length, access) !== true);
      return answered !== 0;
    } finally {
      this.asking = false;
    }
  }
}

function describe(fault: IotlbFault, access: Access): string {
  const range = `IO virtual ${hex(fault.iova)}-${hex(fault.iova + fault.length)}`;
  return fault.kind === 'miss' ? `no translation for ${range}` : `no right to ${access} ${range}`;
}

/**
 * The faults behind an error of a memory behind an IOMMU: misses and denials, clipped to the request, by address.
 *
 * @returns none, for an error that has another reason
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, IommuView, iotlbFaults } from 'guestmem';
 *
 * const view = new IommuView({ memory: GuestMemory.allocate(0x4000) });
 * view.iotlb.map(0x1000, 0, 0x1000, 'r');
 * let faults: unknown;
 * try {
 *   view.memory().writeAt(0x1ffc, new Uint8Array(8));
 * } catch (error) {
 *   faults = iotlbFaults(error);
 * }
 * assert.deepEqual(faults, [
 *   { kind: 'denied', iova: 0x1ffc, length: 4 },
 *   { kind: 'miss', iova: 0x2000, length: 4 },
 * ]);
 * ```
 */
export function iotlbFaults(error: unknown): readonly IotlbFault[] {
  for (let at = error; typeof at === 'object' && at !== null && 'cause' in at; at = at.cause) {
    if (Array.isArray(at.cause) && at.cause.every(isFault)) return at.cause;
  }
  return [];
}

function isFault(value: unknown): value is IotlbFault {
  return typeof value === 'object' && value !== null && 'kind' in value && 'iova' in value;
}
