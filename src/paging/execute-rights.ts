import type { CompiledFormat } from './compiled-format.ts';
import { EXECUTE, SUPERVISOR_EXECUTE, USER } from './rights.ts';

/** Who is to execute a page, as callers of `map` and `protect` say it. */
export interface ExecuteRequest {
  /**
   * Execution by the mode that the page is for: by user mode where `user` is true, else by supervisor mode. AArch64 has a bit
   * for each mode, and the other one is denied: user text has UXN clear and PXN set, a kernel's the reverse. In formats
   * with one bit for both modes, and in second stages, it is for both. In `map`, default false; 32-bit x86, and any
   * format without EFER.NXE, cannot deny execution: true is wanted there.
   */
  readonly execute?: boolean;
  /**
   * Execution by supervisor mode, whatever the page is for; `execute` is then user mode's alone. Only where the format tells
   * the two apart (AArch64; EPT with mode-based execute control): elsewhere it must not differ from `execute`.
   */
  readonly supervisorExecute?: boolean;
}

/** Rights codes to add and to take away. */
export interface RightsChange {
  readonly granted: number;
  readonly denied: number;
}

/** What a request comes to on a page that is for user mode, or for the supervisor. */
export function executeChange(
  compiled: CompiledFormat,
  { execute, supervisorExecute }: ExecuteRequest,
  user: boolean,
): RightsChange {
  const { tellsUserExecute } = compiled;
  const owned = tellsUserExecute && compiled.expressible(USER) !== 0;
  let granted = 0;
  let denied = 0;
  const set = (right: number, wanted: boolean | undefined): void => {
    if (wanted === true) granted |= right;
    if (wanted === false) denied |= right;
  };
  if (supervisorExecute === undefined && owned) {
    set(EXECUTE, execute && user);
    set(SUPERVISOR_EXECUTE, execute && !user);
  } else {
    set(EXECUTE, execute);
    if (tellsUserExecute) set(SUPERVISOR_EXECUTE, supervisorExecute ?? execute);
  }
  return { granted, denied };
}

/** Throws what `fail` makes of a request that tells modes apart which the format does not. */
export function checkExecute(
  compiled: CompiledFormat,
  { execute, supervisorExecute }: ExecuteRequest,
  fail: (why: string) => Error,
): void {
  if (compiled.tellsUserExecute || supervisorExecute === undefined || supervisorExecute === execute) return;
  const { title } = compiled.format;
  throw fail(
    `current supervisorExecute ${supervisorExecute} with execute ${execute}, wanted the same: ${title} has one right for both modes`,
  );
}
