import { EXECUTE_ACCESS, USER_MODE, WRITE_ACCESS } from './access.ts';
import { USER } from './rights.ts';
import type { ResolvedControls } from './x86-controls.ts';

/**
 * Whether a page's protection key forbids an access (SDM 3A, 5.6.2 "Protection Keys"): PKRU speaks for user pages
 * and PKRS for the others, of data accesses only; writes by the supervisor are let through while CR0.WP is clear.
 */
export function keyForbids(controls: ResolvedControls, rights: number, key: number, access: number): boolean {
  const kind = access & 3;
  if (kind === EXECUTE_ACCESS) return false;
  const userPage = (rights & USER) !== 0;
  if (!(userPage ? controls.pku : controls.pks)) return false;
  const keyRights = (userPage ? controls.pkru : controls.pkrs) >>> (2 * key);
  if ((keyRights & 1) !== 0) return true;
  const writeChecked = controls.wp || (access & USER_MODE) !== 0;
  return kind === WRITE_ACCESS && writeChecked && (keyRights & 2) !== 0;
}
