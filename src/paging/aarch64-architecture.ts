import type { Architecture, FaultFacts } from './architecture.ts';

// What VMSAv8-64 says of rights and faults (Arm ARM, DDI 0487, D8.4 "Memory access control" and the fault status codes of
// ESR_ELx). Where the bits stand is said in aarch64-formats.ts.

/** What TCR_EL1, SCTLR_EL1, PSTATE and the processor say, as far as a page's rights and faults depend on it. */
export interface AArch64Controls {
  /**
   * Width of physical addresses, 32 to 52: TCR_EL1.IPS, or what the processor has if that is less. An entry with a wider
   * address is an address size fault. Default 52.
   */
  readonly physicalBits?: number;
  /** SCTLR_EL1.WXN: what can be written cannot be executed. Default false. */
  readonly wxn?: boolean;
  /** PSTATE.PAN: EL1 may not read or write what EL0 may. Default false. */
  readonly pan?: boolean;
  /** SCTLR_EL1.EPAN (FEAT_PAN3): with `pan`, nor what EL0 may only execute. Default false. */
  readonly epan?: boolean;
  /** TCR_EL1.HD: hardware manages dirty state, so a read-only page with DBM can be written. Default false. */
  readonly hd?: boolean;
  /**
   * TCR_EL1.HA: with `update` the access flag is set (and, with `hd`, dirty state), with `fault` a page without it is an
   * access flag fault. Default `off`, as a debugger looks.
   */
  readonly accessedDirty?: 'off' | 'fault' | 'update';
}

/** What VTCR_EL2 and the processor say of a second stage. */
export type AArch64Stage2Controls = Pick<AArch64Controls, 'physicalBits' | 'hd' | 'accessedDirty'>;

/** Stage 1 of the EL1&0 regime. */
export const AARCH64_STAGE1: Architecture<Required<AArch64Controls>> = {
  name: 'aarch64',
  controls: { physicalBits: 52, wxn: false, pan: false, epan: false, hd: false, accessedDirty: 'off' },
  complaint,
  physicalBits: ({ physicalBits }) => physicalBits,

  /**
   * D8.4: `user` is AP[1] (EL0 may read, and write where EL1 may), `execute` is EL0's and `supervisorExecute` EL1's. EL0
   * may execute what it cannot read; EL1 may never execute what EL0 can write.
   */
  allows({ write, user, execute, supervisorExecute }, { kind, user: el0, shadowStack }, { wxn, pan, epan }) {
    // Guarded control stacks (FEAT_GCS) come with permission indirection, which is not read here.
    if (shadowStack) return false;
    const shielded = pan && (user || (epan && execute));
    switch (kind) {
      case 'read':
        return el0 ? user : !shielded;
      case 'write':
        return write && (el0 ? user : !shielded);
      case 'execute':
        if (el0) return execute && !(wxn && write && user);
        return supervisorExecute && !(write && (user || wxn));
    }
  },

  faultCode,
  // nG says it of each page, and nothing switches it off.
  global: () => true,
};

/** Stage 2 of the EL1&0 regime: what a hypervisor allows, whatever the guest's own tables do. */
export const AARCH64_STAGE2: Architecture<Required<AArch64Stage2Controls>> = {
  name: 'aarch64-stage2',
  controls: { physicalBits: 52, hd: false, accessedDirty: 'off' },
  complaint,
  physicalBits: ({ physicalBits }) => physicalBits,

  /** D8.4: S2AP for EL1 and EL0 alike, execution for each. */
  allows({ read, write, execute, supervisorExecute }, { kind, user: el0 }) {
    switch (kind) {
      case 'read':
        return read;
      case 'write':
        return write;
      case 'execute':
        return el0 ? execute : supervisorExecute;
    }
  },

  faultCode,
  global: () => false,

  /** D8.4: reading a table of stage 1 is a read, marking an entry of it a write; execution is asked for by EL0 or EL1. */
  secondStage: () => ({
    tableRead: { kind: 'read' },
    tableWrite: { kind: 'write' },
    userOf: ({ user }) => user,
  }),
};

function complaint({ physicalBits, hd, accessedDirty }: Required<AArch64Stage2Controls>): string | undefined {
  if (!Number.isInteger(physicalBits) || physicalBits < 32 || physicalBits > 52)
    return `current physicalBits ${physicalBits}, wanted 32 to 52`;
  // TCR_EL1.HD: of no effect without HA.
  if (hd && accessedDirty === 'fault') return 'current hd true, wanted false where accessedDirty is fault';
  return undefined;
}

/** Fault status codes (ESR_ELx.ISS.DFSC and IFSC) of level 0; each deeper level is one more. */
const ADDRESS_SIZE = 0x00;
const TRANSLATION = 0x04;
const ACCESS_FLAG = 0x08;
const PERMISSION = 0x0c;
/** Level -1 has its own; there are no leaves, and so neither access flags nor permissions. */
const ADDRESS_SIZE_LEVEL_MINUS_1 = 0x29;
const TRANSLATION_LEVEL_MINUS_1 = 0x2b;

function faultCode({ reason, level }: Pick<FaultFacts, 'reason' | 'level'>): number {
  switch (reason) {
    // An address out of range is a translation fault of level 0, wherever the tables begin.
    case 'not-canonical':
      return TRANSLATION;
    case 'address-size':
      return level < 0 ? ADDRESS_SIZE_LEVEL_MINUS_1 : ADDRESS_SIZE + level;
    case 'access-flag':
      return ACCESS_FLAG + level;
    case 'rights':
      return PERMISSION + level;
    default:
      return level < 0 ? TRANSLATION_LEVEL_MINUS_1 : TRANSLATION + level;
  }
}
