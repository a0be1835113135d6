import { hex } from './hex.ts';

/** What went wrong, as a value to switch on. The set is closed. */
export type GuestMemoryErrorCode =
  | 'invalid'
  | 'unmapped'
  | 'denied'
  | 'misaligned'
  | 'overlap'
  | 'too-large'
  | 'fault'
  | 'retry-limit'
  | 'pending'
  | 'locked'
  | 'closed'
  | 'unsupported';

/** The numbers of a failure: what was attempted, where, and how far it got. */
export interface GuestMemoryErrorFacts {
  /** Name of the memory, as given when it was made. */
  readonly memory?: string | undefined;
  /** The operation, as a verb: `read`, `write`, `fill`, `compare exchange`, `insert region` ... */
  readonly operation: string;
  /** First address of the access. */
  readonly gpa?: number | undefined;
  /** Length of the access in bytes. */
  readonly length?: number | undefined;
  /** First address that failed; equal to `gpa` when the access failed at once. */
  readonly failedAt?: number | undefined;
  /** Bytes that were moved before the failure. Anything but 0 means a callback stopped half-way. */
  readonly done?: number | undefined;
  /** For `pending`: resolves when the access is worth another try (see `settle`). */
  readonly ready?: Promise<unknown> | undefined;
  /** What the backing or translator threw. */
  readonly cause?: unknown;
}

/**
 * The one error of the core: a literal `code`, a message for people, and the facts as fields.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, isGuestMemoryError } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x1000);
 * try {
 *   memory.readU32(0x0ffe);
 * } catch (error) {
 *   assert(isGuestMemoryError(error));
 *   assert.equal(error.code, 'unmapped');
 *   assert.equal(error.failedAt, 0x1000);
 * }
 * ```
 */
export class GuestMemoryError extends Error {
  override readonly name: 'GuestMemoryError' = 'GuestMemoryError';
  readonly code: GuestMemoryErrorCode;
  readonly memory: string | undefined;
  readonly operation: string;
  readonly gpa: number | undefined;
  readonly length: number | undefined;
  readonly failedAt: number | undefined;
  readonly done: number;
  readonly ready: Promise<unknown> | undefined;

  constructor(code: GuestMemoryErrorCode, reason: string, facts: GuestMemoryErrorFacts) {
    super(`${subject(facts)}: ${reason}`, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.memory = facts.memory;
    this.operation = facts.operation;
    this.gpa = facts.gpa;
    this.length = facts.length;
    this.failedAt = facts.failedAt;
    this.done = facts.done ?? 0;
    this.ready = facts.ready;
  }
}

function subject(facts: GuestMemoryErrorFacts): string {
  const bytes = facts.length === undefined ? '' : ` ${facts.length} byte${facts.length === 1 ? '' : 's'}`;
  const at = facts.gpa === undefined ? '' : ` at ${hex(facts.gpa)}`;
  const memory = facts.memory === undefined ? '' : ` of memory "${facts.memory}"`;
  return `Cannot ${facts.operation}${bytes}${at}${memory}`;
}

/**
 * Tells a {@link GuestMemoryError} from anything else, by its shape: an error of another copy of this package
 * passes too.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, isGuestMemoryError } from 'guestmem';
 *
 * assert.throws(() => GuestMemory.empty().readU8(0), isGuestMemoryError);
 * assert.equal(isGuestMemoryError(new Error('other')), false);
 * ```
 */
export function isGuestMemoryError(value: unknown): value is GuestMemoryError {
  return (
    isError(value) &&
    'name' in value &&
    value.name === 'GuestMemoryError' &&
    'code' in value &&
    typeof value.code === 'string' &&
    'operation' in value
  );
}

/** An error of whatever realm: `instanceof` knows only those of this one. */
function isError(value: unknown): value is object {
  return value instanceof Error || Object.prototype.toString.call(value) === '[object Error]';
}

/**
 * The error for a backing to throw when bytes are on their way (SPEC M16): `await settle(fn)` waits for `ready` and
 * runs the reading function again.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { callbacks, GuestMemory, pending, settle } from 'guestmem';
 *
 * let page: Uint8Array | undefined;
 * const remote = callbacks({
 *   size: 4096,
 *   read(offset, dest) {
 *     if (page === undefined) throw pending(Promise.resolve().then(() => { page = new Uint8Array(4096).fill(7); }));
 *     dest.set(page.subarray(offset, offset + dest.length));
 *   },
 * });
 * const memory = GuestMemory.from(remote);
 * assert.throws(() => memory.readU8(0), { code: 'pending' });
 * assert.equal(await settle(() => memory.readU8(0)), 7);
 * ```
 */
export function pending(ready: Promise<unknown>): GuestMemoryError {
  return new GuestMemoryError('pending', 'the bytes are on their way; call it within settle()', {
    operation: 'read',
    ready,
  });
}
