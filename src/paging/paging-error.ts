/** What went wrong, as a value to switch on. The set is closed. */
export type PagingErrorCode =
  | 'invalid'
  | 'misaligned'
  | 'not-canonical'
  | 'page-fault'
  | 'table-unreadable'
  | 'table-unwritable'
  | 'shared'
  | 'second-stage'
  | 'contended'
  | 'taken'
  | 'not-mapped'
  | 'restricted'
  | 'malformed'
  | 'no-frames';

/** The numbers of a failure. */
export interface PagingErrorFacts {
  /** The virtual address. */
  readonly gva?: bigint | undefined;
  /** Level of the entry concerned, as the architecture numbers it: the last is 1 on x86, 0 on RISC-V, 3 on AArch64. */
  readonly level?: number | undefined;
  /** Physical address of the entry concerned. */
  readonly entryAddress?: number | undefined;
  /** The architecture's own number for the fault. */
  readonly errorCode?: number | undefined;
  /** For a fault of the second stage: what it says; `table-unreadable` where its own table is not there to be read. */
  readonly secondStage?: 'page-fault' | 'not-canonical' | 'table-unreadable' | undefined;
  /** For a fault of the second stage: an entry of the first stage's tables was wanted, or the page at the end. */
  readonly during?: 'table-walk' | 'final-access' | undefined;
  /** For a fault of the second stage: the address that it refuses. */
  readonly gpa?: number | undefined;
  /** What was thrown underneath. */
  readonly cause?: unknown;
}

/**
 * The one error of this room: wrong arguments, tables that cannot be built, and, as the cause of a failed
 * {@link VirtualMemory} access, the fault of the guest. Translating itself answers faults as values.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { BufferTables, createRoot, map, isPagingError, X86_4LEVEL } from 'guestmem/paging';
 *
 * const tables = new BufferTables(new Uint8Array(0x4000), 0x1000);
 * createRoot(tables, X86_4LEVEL);
 * try {
 *   map(tables, { format: X86_4LEVEL, gva: 0x123n, gpa: 0, length: 0x1000 });
 * } catch (error) {
 *   assert(isPagingError(error));
 *   assert.equal(error.code, 'misaligned');
 * }
 * ```
 */
export class PagingError extends Error {
  override readonly name: 'PagingError' = 'PagingError';
  readonly code: PagingErrorCode;
  readonly gva: bigint | undefined;
  readonly level: number | undefined;
  readonly entryAddress: number | undefined;
  readonly errorCode: number | undefined;
  readonly secondStage: 'page-fault' | 'not-canonical' | 'table-unreadable' | undefined;
  readonly during: 'table-walk' | 'final-access' | undefined;
  readonly gpa: number | undefined;

  constructor(code: PagingErrorCode, message: string, facts: PagingErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.gva = facts.gva;
    this.level = facts.level;
    this.entryAddress = facts.entryAddress;
    this.errorCode = facts.errorCode;
    this.secondStage = facts.secondStage;
    this.during = facts.during;
    this.gpa = facts.gpa;
  }
}

/**
 * Tells a {@link PagingError} from anything else, by its shape: an error of another copy of this package passes too.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { isPagingError, PagingError } from 'guestmem/paging';
 *
 * assert(isPagingError(new PagingError('invalid', 'Cannot do that')));
 * assert.equal(isPagingError(new Error('other')), false);
 * ```
 */
export function isPagingError(value: unknown): value is PagingError {
  return (
    value instanceof Error &&
    value.name === 'PagingError' &&
    'code' in value &&
    typeof value.code === 'string'
  );
}
