/**
 * What the tables allow on a page, all levels taken together. Whether an access succeeds depends on the control
 * registers as well: on x86 a supervisor may write a read-only page while CR0.WP is clear.
 */
export interface Rights {
  readonly read: boolean;
  readonly write: boolean;
  /** User mode may fetch code; in formats with one bit for both modes, whichever mode `user` says. */
  readonly execute: boolean;
  /**
   * User mode may read the page, and write it where `write` is true; without it only supervisor mode. True in second stages
   * that do not tell the two apart. On AArch64 user mode may execute what it cannot read: that is `execute` alone.
   */
  readonly user: boolean;
  /**
   * Supervisor mode may fetch code. The same as `execute` in formats with one bit for both modes: all but AArch64's, and EPT's
   * with mode-based execute control.
   */
  readonly supervisorExecute: boolean;
}

/** The names of {@link Rights}. */
export type RightName = keyof Rights;

/** Inside this room rights are a small integer, so that levels combine with one `&`. */
export const WRITE = 1;
export const USER = 2;
export const EXECUTE = 4;
export const READ = 8;
export const SUPERVISOR_EXECUTE = 16;
/** Rights codes are below this: a row of 32 bits tells which of them allow an access. */
export const RIGHTS_CODES = 32;

export const RIGHT_BITS: Readonly<Record<RightName, number>> = {
  write: WRITE,
  user: USER,
  execute: EXECUTE,
  read: READ,
  supervisorExecute: SUPERVISOR_EXECUTE,
};

const ALL: readonly Rights[] = Array.from({ length: RIGHTS_CODES }, (_, code) =>
  Object.freeze({
    read: (code & READ) !== 0,
    write: (code & WRITE) !== 0,
    execute: (code & EXECUTE) !== 0,
    user: (code & USER) !== 0,
    supervisorExecute: (code & SUPERVISOR_EXECUTE) !== 0,
  }),
);

/** The rights that a small integer stands for: one of 32 shared, frozen objects. */
export function rightsOf(code: number): Rights {
  return ALL[code & (RIGHTS_CODES - 1)] as Rights;
}

/**
 * Rights as four characters: `r`, `w`, `x` or `-`, then `u` for user or `s` for supervisor pages. `x` is execution by the mode
 * that the last character names; `X` is execution by the other mode alone.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { formatRights } from 'guestmem/paging';
 *
 * const none = { read: true, write: false, execute: false, user: false, supervisorExecute: false };
 * assert.equal(formatRights({ ...none, write: true, user: true }), 'rw-u');
 * assert.equal(formatRights({ ...none, execute: true, supervisorExecute: true }), 'r-xs');
 * assert.equal(formatRights({ ...none, supervisorExecute: true }), 'r-xs'); // AArch64: UXN
 * assert.equal(formatRights({ ...none, execute: true }), 'r-Xs'); // AArch64: PXN
 * ```
 */
export function formatRights(rights: Rights): string {
  const { read, write, user, execute, supervisorExecute } = rights;
  const [own, other] = user ? [execute, supervisorExecute] : [supervisorExecute, execute];
  return `${read ? 'r' : '-'}${write ? 'w' : '-'}${own ? 'x' : other ? 'X' : '-'}${user ? 'u' : 's'}`;
}
