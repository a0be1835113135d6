import type { AccessFacts, Architecture } from './architecture.ts';
import { signExtended } from './pointer-tags.ts';
import type { Rights } from './rights.ts';
import type { RiscvControls, RiscvGuestControls } from './riscv-controls.ts';

/** Exception codes by access (privileged specification, "scause"; the hypervisor extension's with "Trap Cause Codes"). */
const PAGE_FAULT = { execute: 12, read: 13, write: 15 } as const;
const GUEST_PAGE_FAULT = { execute: 20, read: 21, write: 23 } as const;
const ACCESS_FAULT = { execute: 1, read: 5, write: 7 } as const;

/** Zicfiss: "If a shadow stack instruction raises" one of these, it is that of a store, be the access a load. */
const causeOf = ({ kind, shadowStack }: AccessFacts): AccessFacts['kind'] => (shadowStack ? 'write' : kind);

const CONTROLS: Required<RiscvGuestControls> = {
  mxr: false,
  svnapot: true,
  svpbmt: true,
  svrsw60t59b: false,
  physicalBits: 53,
  accessedDirty: 'off',
};

/** What both stages have in common. */
const HART = {
  complaint: ({ physicalBits }: Required<RiscvGuestControls>): string | undefined =>
    Number.isInteger(physicalBits) && physicalBits >= 32 && physicalBits <= 53
      ? undefined
      : `current physicalBits ${physicalBits}, wanted 32 to 53`,
  physicalBits: ({ physicalBits }: Required<RiscvGuestControls>): number => physicalBits,
};

/**
 * S-stage, or VS-stage of a guest: the privileged specification's "Virtual Address Translation Process", steps 6 to 8, and
 * "Memory Privilege in sstatus".
 */
export const RISCV: Architecture<Required<RiscvControls>> = {
  ...HART,
  name: 'riscv',
  controls: { sum: false, sse: false, userPmlen: 0, supervisorPmlen: 0, ...CONTROLS },
  complaint(controls) {
    for (const [name, pmlen] of Object.entries(pmlensOf(controls)))
      if (pmlen !== 0 && pmlen !== 7 && pmlen !== 16) return `current ${name} ${pmlen}, wanted 0, 7 or 16`;
    return HART.complaint(controls);
  },
  /** "Pointer Masking": of explicit accesses to data, while MXR is off; PMLEN upper bits become the one below them. */
  pointerTags(controls, addressBits) {
    const { userPmlen, supervisorPmlen, mxr } = controls;
    const most = Math.max(userPmlen, supervisorPmlen);
    if (addressBits === 32 || mxr || most === 0) return undefined;
    return {
      bits: 64 - most,
      strip(hi, { kind, user, implicit }) {
        if (kind === 'execute' || implicit) return hi;
        return signExtended(hi, 64 - (user ? userPmlen : supervisorPmlen));
      },
    };
  },
  /** Supervisor mode never executes from a user page, whatever SUM says. */
  allows(rights, access, { sum, mxr }) {
    const { kind, shadowStack, implicit } = access;
    if (shadowStack || !isOfMode(rights, access, sum)) return false;
    return rights[kind] || (kind === 'read' && mxr && !implicit && rights.execute);
  },
  /**
   * Step 7, by Zicfiss' "Shadow Stack Memory Protection": a page fault where the mode or, for copy-on-write, the page being
   * read-only is the reason, and else an access fault.
   */
  shadowStackRefuses(rights, access, isShadowStack, { sum }) {
    if (!isOfMode(rights, access, sum)) return 'rights';
    if (!access.shadowStack) return isShadowStack ? 'shadow-stack' : 'rights';
    if (isShadowStack) return undefined;
    return rights.read && !rights.write && !rights.execute ? 'rights' : 'shadow-stack';
  },
  /** An address that is too wide never gets as far as physical memory under a G-stage, which refuses it. */
  faultCode(fault) {
    const { reason, staged } = fault;
    const tooWide = staged ? GUEST_PAGE_FAULT : ACCESS_FAULT;
    const causes =
      reason === 'address-size' ? tooWide : reason === 'shadow-stack' ? ACCESS_FAULT : PAGE_FAULT;
    return causes[causeOf(fault)];
  },
  global: () => true,
};

function pmlensOf({ userPmlen, supervisorPmlen }: Required<RiscvControls>): Readonly<Record<string, number>> {
  return { userPmlen, supervisorPmlen };
}

/** Step 6: whether the mode of an access and the U bit of a page go together. */
function isOfMode(rights: Rights, { kind, user }: AccessFacts, sum: boolean): boolean {
  return user === rights.user || (!user && kind !== 'execute' && sum);
}

/**
 * G-stage: "Guest Physical Address Translation" takes every access for one of user mode, and ignores G. MXR is the
 * hypervisor's sstatus.MXR, and is for explicit loads only.
 *
 * Reads of VS-stage tables are implicit loads, and marks in them implicit stores. A shadow stack is data like any other here.
 * Whatever fails is reported as the access that began it all.
 */
export const RISCV_GUEST: Architecture<Required<RiscvGuestControls>> = {
  ...HART,
  name: 'riscv-gstage',
  controls: CONTROLS,
  allows: (rights, { kind, implicit }, { mxr }) =>
    rights.user && (rights[kind] || (kind === 'read' && mxr && !implicit && rights.execute)),
  faultCode: (fault) =>
    (fault.reason === 'address-size' ? ACCESS_FAULT : GUEST_PAGE_FAULT)[causeOf(fault.original ?? fault)],
  global: () => false,
  secondStage: () => ({
    tableRead: { kind: 'read', implicit: true },
    tableWrite: { kind: 'write', implicit: true },
    userOf: () => true,
  }),
};
