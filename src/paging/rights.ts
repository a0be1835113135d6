/**
 * What the tables allow on a page, all levels taken together. Whether an access succeeds depends on the control
 * registers as well: a supervisor may write a read-only page while CR0.WP is clear.
 */
export interface Rights {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  /** User mode may use the page; without it only supervisor mode. */
  readonly user: boolean;
}

/** Inside this room rights are a small integer, so that levels combine with one `&`. */
export const WRITE = 1;
export const USER = 2;
export const EXECUTE = 4;
export const ALL_RIGHTS: number = WRITE | USER | EXECUTE;

const ALL: readonly Rights[] = Array.from({ length: 8 }, (_, code) =>
  Object.freeze({
    read: true,
    write: (code & WRITE) !== 0,
    execute: (code & EXECUTE) !== 0,
    user: (code & USER) !== 0,
  }),
);

/** The rights that a small integer stands for: one of eight shared, frozen objects. */
export function rightsOf(code: number): Rights {
  return ALL[code & ALL_RIGHTS] as Rights;
}

/**
 * Rights as four characters: `r`, `w`, `x` or `-`, then `u` for user or `s` for supervisor pages.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { formatRights } from 'guestmem/paging';
 *
 * assert.equal(formatRights({ read: true, write: true, execute: false, user: true }), 'rw-u');
 * assert.equal(formatRights({ read: true, write: false, execute: true, user: false }), 'r-xs');
 * ```
 */
export function formatRights(rights: Rights): string {
  return `${rights.read ? 'r' : '-'}${rights.write ? 'w' : '-'}${rights.execute ? 'x' : '-'}${rights.user ? 'u' : 's'}`;
}
