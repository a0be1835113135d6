import { hex } from '../core/index.ts';
import type { AccessFacts, Architecture } from './architecture.ts';
import { signExtended } from './pointer-tags.ts';
import type { Rights } from './rights.ts';
import type { X86Controls } from './x86-controls.ts';

/** {@link X86Controls} with every default filled in. */
export type X86ControlsInForce = Required<X86Controls>;

/** Bit 63 of an address, in its upper half. */
const SIGN = 1 << 31;

/** The rules of SDM 3A, chapter 5 "Paging", that are the same in all four modes. */
export const X86: Architecture<X86ControlsInForce> = {
  name: 'x86',
  controls: {
    maxPhyAddr: 52,
    nxe: true,
    wp: true,
    smep: false,
    smap: false,
    gigabytePages: true,
    pse: true,
    pge: true,
    pku: false,
    pkru: 0,
    pks: false,
    pkrs: 0,
    cet: false,
    lamUser: 0,
    lamSupervisor: false,
    pdpteAccessed: false,
    amd: false,
    accessedDirty: 'off',
  },

  complaint({ maxPhyAddr, pkru, pkrs, cet, wp, lamUser, accessedDirty }) {
    if (!Number.isInteger(maxPhyAddr) || maxPhyAddr < 32 || maxPhyAddr > 52)
      return `current maxPhyAddr ${maxPhyAddr}, wanted 32 to 52`;
    if (pkru >>> 0 !== pkru) return `current pkru ${hex(pkru)}, wanted 32 bits`;
    if (pkrs >>> 0 !== pkrs) return `current pkrs ${hex(pkrs)}, wanted 32 bits`;
    // SDM 3A, 2.5: CR4.CET can be set only while CR0.WP is.
    if (cet && !wp) return 'current cet true, wanted false where wp is false';
    const tags: number = lamUser;
    if (tags !== 0 && tags !== 48 && tags !== 57) return `current lamUser ${tags}, wanted 0, 48 or 57`;
    // Not in the type: who computes a control could still have it.
    const marking: string = accessedDirty;
    if (marking === 'fault')
      return 'current accessedDirty fault, wanted off or update: x86 has no fault for it';
    return undefined;
  },

  physicalBits: ({ maxPhyAddr }) => maxPhyAddr,
  global: ({ pge }) => pge,

  /** SDM 3A, 5.6.1 "Determination of Access Rights". */
  allows(rights, { kind, user, ac, shadowStack }, { wp, smep, smap }) {
    // Without CR4.CET no page is a shadow stack.
    if (shadowStack) return false;
    const mode = user ? rights.user : !rights.user || (kind === 'execute' ? !smep : !smap || ac);
    if (!mode) return false;
    if (kind === 'write') return rights.write || (!user && !wp);
    return kind === 'read' || rights.execute;
  },

  /**
   * SDM 3A, 4.4 "Linear-Address Masking": of 64-bit addresses of data; bit 63, which stays, says whose pointer it is, and bits
   * 62:48 or 62:57 become the bit below.
   */
  pointerTags({ lamUser, lamSupervisor }, addressBits) {
    if (addressBits < 48 || (lamUser === 0 && !lamSupervisor)) return undefined;
    const ofSupervisor = lamSupervisor ? addressBits : 0;
    return {
      bits: lamUser === 0 ? addressBits : Math.min(lamUser, addressBits),
      strip(hi, { kind, implicit }) {
        const kept = hi < 0 ? ofSupervisor : lamUser;
        if (kept === 0 || kind === 'execute' || implicit) return hi;
        return (signExtended(hi, kept) & ~SIGN) | (hi & SIGN);
      },
    };
  },

  /** SDM 3A, 5.6.1: user-mode accesses to user shadow stacks, and supervisor-mode ones to supervisor shadow stacks. */
  shadowStackRefuses(rights, { kind, user, shadowStack }, isShadowStack) {
    if (shadowStack) return isShadowStack && rights.user === user ? undefined : 'shadow-stack';
    return isShadowStack && kind === 'write' && rights.user === user ? 'shadow-stack' : 'rights';
  },

  /**
   * SDM 3A, 5.7 "Page-Fault Exceptions": P 1, W 2, U 4, RSVD 8, I 16, PK 32, SS 64. RSVD comes with P: the entry was present.
   */
  faultCode(fault, controls) {
    const { reason, kind, user, deniesExecution } = fault;
    if (reason === 'not-canonical') return 0;
    let code = reason === 'not-present' ? 0 : 1;
    if (kind === 'write') code |= 2;
    if (user) code |= 4;
    if (reason === 'reserved') code |= 8;
    if (kind === 'execute' && (controls.smep || (controls.nxe && deniesExecution))) code |= 16;
    if (fault.keyForbids) code |= 32;
    if (fault.shadowStack) code |= 64;
    return code;
  },

  keys(controls) {
    if (!controls.pku && !controls.pks) return undefined;
    return { forbids: (rights, key, access) => keyForbids(controls, rights, key, access) };
  },
};

/**
 * Whether a page's protection key forbids an access (SDM 3A, 5.6.2 "Protection Keys"): PKRU speaks for user pages
 * and PKRS for the others, of data accesses only; writes by the supervisor are let through while CR0.WP is clear.
 */
function keyForbids(
  { pku, pkru, pks, pkrs, wp }: X86ControlsInForce,
  rights: Rights,
  key: number,
  { kind, user }: AccessFacts,
): boolean {
  if (kind === 'execute' || !(rights.user ? pku : pks)) return false;
  const keyRights = (rights.user ? pkru : pkrs) >>> (2 * key);
  if ((keyRights & 1) !== 0) return true;
  return kind === 'write' && (wp || user) && (keyRights & 2) !== 0;
}
