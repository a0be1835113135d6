import { constants } from 'node:os';

/**
 * What went wrong in the host room.
 *
 * - `no-ffi`: the foreign-function interface (koffi) is not installed
 * - `unsupported`: this platform or runtime has no such feature
 * - `invalid`: a parameter is outside its range
 * - `misaligned`: an address, offset or length is not on a page boundary where it has to be
 * - `too-large`: longer than the engine, the buffer or the kernel's structure can hold
 * - `too-short`: the file ends before the mapping would
 * - `unsealed`: the file can shrink under its mapping, and the caller wanted none that can
 * - `wrong-kind`: the descriptor or path is not of the kind asked for
 * - `truncated`: the kernel cut the control data of a message, so descriptors were lost
 * - `in-use`: a live server already listens on this socket path
 * - `closed`: used after `close()`
 * - `system`: the system call failed; `errno` says why
 */
export type HostErrorCode =
  | 'no-ffi'
  | 'unsupported'
  | 'invalid'
  | 'misaligned'
  | 'too-large'
  | 'too-short'
  | 'unsealed'
  | 'wrong-kind'
  | 'truncated'
  | 'in-use'
  | 'closed'
  | 'system';

/** The facts of a {@link HostError}. */
export interface HostErrorFacts {
  /** The call that failed: `mmap`, `sendmsg`, `mapFile` ... */
  readonly operation: string;
  /** Name of the system's error (`ENOENT`), with code `system`. */
  readonly errno?: string;
  /** The error underneath. */
  readonly cause?: unknown;
}

/** An error of the host room: a system call, a descriptor or a mapping that could not be had. */
export class HostError extends Error {
  override readonly name = 'HostError';
  /** What kind of error, see {@link HostErrorCode}. */
  readonly code: HostErrorCode;
  /** The call that failed. */
  readonly operation: string;
  /** Name of the system's error, or `undefined` where no system call failed. */
  readonly errno: string | undefined;

  constructor(code: HostErrorCode, message: string, facts: HostErrorFacts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.operation = facts.operation;
    this.errno = facts.errno;
  }
}

/**
 * Tells whether `error` is a {@link HostError}, by its shape: two copies of the package in one program agree.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { HostError, isHostError } from 'guestmem/host';
 *
 * const error: unknown = new HostError('invalid', 'Cannot map 0 bytes', { operation: 'mapFile' });
 * assert(isHostError(error) && error.code === 'invalid');
 * assert(!isHostError(new Error('Cannot map 0 bytes')));
 * ```
 */
export function isHostError(error: unknown): error is HostError {
  return error instanceof Error && error.name === 'HostError' && 'code' in error && 'operation' in error;
}

/** Name of an errno value on this system: 2 is `ENOENT`. */
export function errnoName(errno: number): string {
  for (const [name, value] of Object.entries(constants.errno)) if (value === errno) return name;
  return `errno ${errno}`;
}

/** Why the system refused, in words, for the errors that people meet. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EMFILE: 'too many open files',
  ENOENT: 'no such file or directory',
  ENOMEM: 'no memory left',
  ENOTDIR: 'a part of the path is no directory',
  EPERM: 'operation not permitted',
  EROFS: 'the file system is read-only',
};

/** The error of a failed system call: `Cannot listen at "/x": no such file or directory (bind: ENOENT)`. */
export function systemError(operation: string, what: string, errno: number): HostError {
  const name = errnoName(errno);
  const reason = REASONS[name] ?? 'the system refused';
  return new HostError('system', `Cannot ${what}: ${reason} (${operation}: ${name})`, {
    operation,
    errno: name,
  });
}
