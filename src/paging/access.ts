import type { AccessFacts } from './architecture.ts';
import { PagingError } from './paging-error.ts';

/** Who wants to do what with a virtual address. */
export interface PageAccess {
  readonly kind: 'read' | 'write' | 'execute';
  /** Done in user mode (privilege level 3, EL0, U-mode). Default: supervisor mode. */
  readonly user?: boolean;
  /**
   * The processor reads or writes by itself, and no instruction names the address: x86's descriptor tables, RISC-V's reads of a
   * guest's tables. That is supervisor mode's whoever is running, so it does not go with `user`. SMAP holds for it always, and
   * MXR not at all. Default: an instruction's own access.
   */
  readonly implicit?: boolean;
  /**
   * x86: EFLAGS.AC is set, which lifts SMAP for supervisor mode's explicit data accesses. Of no effect on `user` and `implicit`
   * ones, and in formats of other architectures, which have nothing like it. Default: clear.
   */
  readonly ac?: boolean;
  /**
   * A read or write of the shadow stack: x86's CALL, RET and WRSS (with `user` also WRUSS), RISC-V's SSPUSH, SSPOPCHK and
   * SSAMOSWAP. With the formats' controls `cet` and `sse` that is allowed on shadow stacks only. Default: any other access.
   */
  readonly shadowStack?: boolean;
}

/**
 * Access codes are a kind in bits 1:0 and a mode in bits 3:2; below 16, so that tables can be indexed by them. Those of the
 * shadow stack have a kind for themselves, and in bit 3 whether they write.
 */
export const READ_ACCESS = 0;
export const WRITE_ACCESS = 1;
export const EXECUTE_ACCESS = 2;
export const SHADOW_STACK_ACCESS = 3;
export const USER_MODE = 4;
export const ALIGNMENT_CHECK = 8;
export const IMPLICIT = 12;
const SHADOW_STACK_WRITE = 8;
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
 * @throws PagingError `invalid` where `kind` is none of the three, or where the facts contradict each other: an implicit
 * access by user mode, a fetch from the shadow stack
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { ACCESS, accessCode } from 'guestmem/paging';
 *
 * assert.equal(accessCode({ kind: 'execute' }), ACCESS.execute);
 * assert.notEqual(accessCode({ kind: 'read', implicit: true }), ACCESS.read);
 * ```
 */
export function accessCode(access: PageAccess): number {
  const { user = false, implicit = false, ac = false, shadowStack = false } = access;
  const kind = KINDS[access.kind];
  if (kind === undefined)
    throw invalid(`current access kind "${access.kind}", wanted read, write or execute`);
  if (user && implicit) throw invalid('current access implicit and of user mode, wanted one of the two');
  const mode = user ? USER_MODE : implicit ? IMPLICIT : ac ? ALIGNMENT_CHECK : 0;
  if (!shadowStack) return kind | mode;
  if (kind === EXECUTE_ACCESS)
    throw invalid('current access a fetch from the shadow stack, wanted read or write');
  return SHADOW_STACK_ACCESS | (user ? USER_MODE : 0) | (kind === WRITE_ACCESS ? SHADOW_STACK_WRITE : 0);
}

function invalid(why: string): PagingError {
  return new PagingError('invalid', `Cannot translate: ${why}`);
}

const KIND_NAMES = ['read', 'write', 'execute'] as const;

const FACTS: readonly AccessFacts[] = Array.from({ length: ACCESS_CODES }, (_, code) => {
  const kind = KIND_NAMES[code & 3];
  const mode = code & IMPLICIT;
  if (kind === undefined) {
    const write = (code & SHADOW_STACK_WRITE) !== 0;
    const user = (code & USER_MODE) !== 0;
    return Object.freeze({
      kind: write ? 'write' : 'read',
      user,
      implicit: false,
      ac: false,
      shadowStack: true,
    });
  }
  return Object.freeze({
    kind,
    user: mode === USER_MODE,
    implicit: mode === IMPLICIT,
    ac: mode === ALIGNMENT_CHECK,
    shadowStack: false,
  });
});

/** An access code taken apart, as one of a few shared objects; `undefined` for a number that is none. */
export function accessFacts(code: number): AccessFacts | undefined {
  return FACTS[code];
}

/** The codes of accesses with something in common, as a bit for each. */
function codesWhere(is: (facts: AccessFacts) => boolean): number {
  return FACTS.reduce((codes, facts, code) => (is(facts) ? codes | (1 << code) : codes), 0);
}

/** A bit for each access code that writes, and for each that is user mode's, a fetch, or the shadow stack's. */
export const WRITING: number = codesWhere(({ kind }) => kind === 'write');
export const BY_USER: number = codesWhere(({ user }) => user);
export const FETCHING: number = codesWhere(({ kind }) => kind === 'execute');
export const OF_SHADOW_STACK: number = codesWhere(({ shadowStack }) => shadowStack);
