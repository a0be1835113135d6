import type { Architecture } from './architecture.ts';
import type { RiscvControls, RiscvGuestControls } from './riscv-controls.ts';

/** Exception codes by access (privileged specification, "scause"; the hypervisor extension's with "Trap Cause Codes"). */
const PAGE_FAULT = { execute: 12, read: 13, write: 15 } as const;
const GUEST_PAGE_FAULT = { execute: 20, read: 21, write: 23 } as const;
const ACCESS_FAULT = { execute: 1, read: 5, write: 7 } as const;

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
  controls: { sum: false, ...CONTROLS },
  /** Supervisor mode never executes from a user page, whatever SUM says. */
  allows(rights, { kind, user }, { sum, mxr }) {
    if (user !== rights.user && (user || kind === 'execute' || !sum)) return false;
    return rights[kind] || (kind === 'read' && mxr && rights.execute);
  },
  faultCode: ({ reason, kind }) => (reason === 'address-size' ? ACCESS_FAULT : PAGE_FAULT)[kind],
  global: () => true,
};

/**
 * G-stage: "Guest Physical Address Translation" takes every access for one of user mode, and ignores G. MXR is the
 * hypervisor's sstatus.MXR, and is for explicit loads only.
 *
 * Reads of VS-stage tables are implicit loads, and marks in them implicit stores; here `ac` tells them from explicit
 * accesses. Whatever fails is reported as the access that began it all.
 */
export const RISCV_GUEST: Architecture<Required<RiscvGuestControls>> = {
  ...HART,
  name: 'riscv-gstage',
  controls: CONTROLS,
  allows: (rights, { kind, ac }, { mxr }) =>
    rights.user && (rights[kind] || (kind === 'read' && mxr && !ac && rights.execute)),
  faultCode: ({ reason, kind, original }) =>
    (reason === 'address-size' ? ACCESS_FAULT : GUEST_PAGE_FAULT)[original?.kind ?? kind],
  global: () => false,
  secondStage: () => ({
    tableRead: { kind: 'read', ac: true },
    tableWrite: { kind: 'write', ac: true },
    userOf: () => true,
  }),
};
