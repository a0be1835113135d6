/**
 * What went wrong between a front end and the back end.
 *
 * - `header`: a message header that is none; the stream cannot be followed any further
 * - `length`: a message whose body is shorter or longer than its request has
 * - `descriptors`: more or fewer descriptors than the request has, or of the wrong kind
 * - `unsupported`: a request or feature that this back end does not offer
 * - `not-negotiated`: a request whose protocol feature was offered, but not taken
 * - `invalid`: a value outside its range
 * - `memory-table`: a memory table that contradicts itself or what is mapped
 * - `unmapped`: a ring address that no memory region holds
 * - `ring-state`: a request that this ring cannot take now, because it runs
 * - `not-reading`: the front end does not read its replies
 * - `disconnected`: the front end went away in the middle of a message
 */
export type VhostUserErrorCode =
  | 'header'
  | 'length'
  | 'descriptors'
  | 'unsupported'
  | 'not-negotiated'
  | 'invalid'
  | 'memory-table'
  | 'unmapped'
  | 'ring-state'
  | 'not-reading'
  | 'disconnected';

/** The facts of a {@link VhostUserError}. */
export interface VhostUserErrorFacts {
  /** The request it is about: `SET_MEM_TABLE`. */
  readonly request?: string;
  /** The error underneath. */
  readonly cause?: unknown;
}

/** An error of the vhost-user room: what a front end sent, or did not. */
export class VhostUserError extends Error {
  override readonly name = 'VhostUserError';
  /** What kind of error, see {@link VhostUserErrorCode}. */
  readonly code: VhostUserErrorCode;
  /** The request it is about, or `undefined`. */
  readonly request: string | undefined;

  constructor(code: VhostUserErrorCode, message: string, facts: VhostUserErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.request = facts.request;
  }
}

/**
 * Tells whether `error` is a {@link VhostUserError}, by its shape.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { isVhostUserError, VhostUserError } from 'guestmem/vhost-user';
 *
 * const error: unknown = new VhostUserError('header', 'Cannot read a message: it is of version 2, wanted 1');
 * assert(isVhostUserError(error) && error.code === 'header');
 * ```
 */
export function isVhostUserError(error: unknown): error is VhostUserError {
  return error instanceof Error && error.name === 'VhostUserError' && 'code' in error && 'request' in error;
}
