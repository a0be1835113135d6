import type { Architecture } from './architecture.ts';
import type { PagingFormat } from './format.ts';
import { X86, type X86ControlsInForce } from './x86-architecture.ts';
import { X86_4LEVEL, X86_5LEVEL } from './x86-formats.ts';

// AMD's nested paging (APM 2, 15.25 "Nested Paging"): the host's own long-mode tables, as the second stage under a guest's.

/** Controls of a processor as far as its nested tables depend on them. */
export type NptControls = Omit<X86ControlsInForce, 'cet' | 'lamUser' | 'lamSupervisor' | 'pdpteAccessed'>;

const {
  cet: _cet,
  lamUser: _lamUser,
  lamSupervisor: _lamSupervisor,
  pdpteAccessed: _pdpteAccessed,
  ...CONTROLS
} = X86.controls;

/** As x86, but that all accesses are user mode's, whoever makes them, and that there is more to tell in the error code. */
export const NPT: Architecture<NptControls> = {
  ...X86,
  name: 'npt',
  // 15.25.8: the G bit of nested tables is ignored, and there are no protection keys.
  controls: { ...CONTROLS, pge: false, amd: true },
  keys: () => undefined,
  pointerTags: () => undefined,
  complaint: (controls) => X86.complaint({ ...X86.controls, ...controls }),

  /**
   * 15.25.5: with U/S clear at any level nobody gets in; CR0.WP, SMEP, SMAP and AC, which are for the supervisor, have no say. A
   * guest's shadow stack is data like any other.
   */
  allows: (rights, { kind }, controls) =>
    X86.allows(
      rights,
      { kind, user: true, implicit: false, ac: false, shadowStack: false },
      { ...X86.controls, ...controls },
    ),

  /** EXITINFO1 (15.25.6): the error code, and bit 32 for the page at the end or bit 33 for a table on the way. */
  faultCode(fault, controls) {
    // An address that is too wide is not mapped: the manual has no other word for it.
    const reason = fault.reason === 'not-canonical' ? 'not-present' : fault.reason;
    const code = X86.faultCode({ ...fault, reason, user: true }, { ...X86.controls, ...controls });
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

/** A format of the host's as the second stage under a guest's. */
function nested({ shadowStacks: _none, ...format }: PagingFormat, name: string, title: string): PagingFormat {
  return { ...format, name, title, architecture: NPT as Architecture, upperBits: 'zeros' };
}

/** Nested tables of four levels. Every access counts as one of user mode, whatever it is asked as. */
export const NPT_4LEVEL: PagingFormat = nested(X86_4LEVEL, 'npt-4level', 'AMD nested 4-level');

/** Nested tables of five levels, where the host has CR4.LA57 set. */
export const NPT_5LEVEL: PagingFormat = nested(X86_5LEVEL, 'npt-5level', 'AMD nested 5-level');
