import type { Architecture } from './architecture.ts';
import type { PagingFormat } from './format.ts';
import { X86, type X86ControlsInForce } from './x86-architecture.ts';
import { X86_4LEVEL, X86_5LEVEL } from './x86-formats.ts';

// AMD's nested paging (APM 2, 15.25 "Nested Paging"): the host's own long-mode tables, as the second stage under a guest's.

/** As x86, but that all accesses are user mode's, whoever makes them, and that there is more to tell in the error code. */
export const NPT: Architecture<X86ControlsInForce> = {
  ...X86,
  name: 'npt',
  // 15.25.8: the G bit of nested tables is ignored, and there are no protection keys.
  controls: { ...X86.controls, pge: false, amd: true },
  keys: () => undefined,

  /** 15.25.5: with U/S clear at any level nobody gets in; CR0.WP, SMEP, SMAP and AC, which are for the supervisor, have no say. */
  allows: (rights, { kind }, controls) => X86.allows(rights, { kind, user: true, ac: false }, controls),

  /** EXITINFO1 (15.25.6): the error code, and bit 32 for the page at the end or bit 33 for a table on the way. */
  faultCode(fault, controls) {
    // An address that is too wide is not mapped: the manual has no other word for it.
    const reason = fault.reason === 'not-canonical' ? 'not-present' : fault.reason;
    const code = X86.faultCode({ ...fault, reason, user: true }, controls);
    if (fault.during === undefined) return code;
    return code + (fault.during === 'final-access' ? 2 ** 32 : 2 ** 33);
  },

  /** 15.25.5: every access is a user access, and those to guest tables are writes. */
  secondStage: () => ({
    tableRead: { kind: 'write', user: true },
    tableWrite: { kind: 'write', user: true },
    userOf: () => true,
  }),
};

/** Nested tables of four levels. Every access counts as one of user mode, whatever it is asked as. */
export const NPT_4LEVEL: PagingFormat = {
  ...X86_4LEVEL,
  name: 'npt-4level',
  title: 'AMD nested 4-level',
  architecture: NPT,
  upperBits: 'zeros',
};

/** Nested tables of five levels, where the host has CR4.LA57 set. */
export const NPT_5LEVEL: PagingFormat = {
  ...X86_5LEVEL,
  name: 'npt-5level',
  title: 'AMD nested 5-level',
  architecture: NPT,
  upperBits: 'zeros',
};
