import type { AccessFacts } from './architecture.ts';
import { PagingError } from './paging-error.ts';

/** Who wants to do what with a virtual address. */
export interface PageAccess {
  readonly kind: 'read' | 'write' | 'execute';
  /** Done in user mode (privilege level 3). Default: supervisor mode. */
  readonly user?: boolean;
  /** EFLAGS.AC is set, which lifts SMAP for explicit supervisor data accesses. Default: clear. */
  readonly ac?: boolean;
}

/** Access codes are `kind | USER_MODE | ALIGNMENT_CHECK`; a code below 16 always, so that tables can be indexed by it. */
export const READ_ACCESS = 0;
export const WRITE_ACCESS = 1;
export const EXECUTE_ACCESS = 2;
export const USER_MODE = 4;
export const ALIGNMENT_CHECK = 8;
export const ACCESS_CODES = 16;

/**
 * The small integers that the allocation-free `resolve` takes for an access. Other combinations come from
 * {@link accessCode}.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { ACCESS, accessCode } from 'guestmem/paging';
 *
 * assert.equal(accessCode({ kind: 'write', user: true }), ACCESS.userWrite);
 * ```
 */
export const ACCESS: {
  readonly read: number;
  readonly write: number;
  readonly execute: number;
  readonly userRead: number;
  readonly userWrite: number;
  readonly userExecute: number;
} = {
  read: READ_ACCESS,
  write: WRITE_ACCESS,
  execute: EXECUTE_ACCESS,
  userRead: READ_ACCESS | USER_MODE,
  userWrite: WRITE_ACCESS | USER_MODE,
  userExecute: EXECUTE_ACCESS | USER_MODE,
};

const KINDS: Readonly<Record<string, number>> = {
  read: READ_ACCESS,
  write: WRITE_ACCESS,
  execute: EXECUTE_ACCESS,
};

/**
 * The access as the small integer that `resolve` takes.
 *
 * @throws PagingError `invalid` where `kind` is none of the three
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { ACCESS, accessCode } from 'guestmem/paging';
 *
 * assert.equal(accessCode({ kind: 'execute' }), ACCESS.execute);
 * ```
 */
export function accessCode(access: PageAccess): number {
  const kind = KINDS[access.kind];
  if (kind === undefined) {
    throw new PagingError(
      'invalid',
      `Cannot translate: current access kind "${access.kind}", wanted read, write or execute`,
    );
  }
  // EFLAGS.AC means nothing to paging in user mode: folding it away keeps the number of codes small.
  return access.user === true ? kind | USER_MODE : access.ac === true ? kind | ALIGNMENT_CHECK : kind;
}

const KIND_NAMES = ['read', 'write', 'execute'] as const;

const FACTS: readonly (AccessFacts | undefined)[] = Array.from({ length: ACCESS_CODES }, (_, code) => {
  const kind = KIND_NAMES[code & 3];
  if (kind === undefined) return undefined;
  return Object.freeze({ kind, user: (code & USER_MODE) !== 0, ac: (code & ALIGNMENT_CHECK) !== 0 });
});

/** An access code taken apart, as one of a few shared objects; `undefined` for a number that is none. */
export function accessFacts(code: number): AccessFacts | undefined {
  return FACTS[code];
}
