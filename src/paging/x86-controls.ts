import { hex } from '../core/index.ts';
import { PagingError } from './paging-error.ts';

/** What a processor is, and how its control registers are set, as far as translation depends on it. */
export interface X86Controls {
  /** MAXPHYADDR, 32 to 52: address bits from here up are reserved. Default 52, which reserves the fewest. */
  readonly maxPhyAddr?: number;
  /** EFER.NXE: bit 63 of an entry denies execution; otherwise it is reserved. Default true. */
  readonly nxe?: boolean;
  /** CR0.WP: supervisor mode may not write read-only pages. Default true. */
  readonly wp?: boolean;
  /** CR4.SMEP: supervisor mode may not execute user pages. Default false. */
  readonly smep?: boolean;
  /** CR4.SMAP: supervisor mode may not read or write user pages, unless EFLAGS.AC is set. Default false. */
  readonly smap?: boolean;
  /** CPUID 8000_0001h EDX[26]: pages of 1 GiB. Default true. */
  readonly gigabytePages?: boolean;
  /** CR4.PSE: pages of 4 MiB in 32-bit paging; other modes have large pages anyway. Default true. */
  readonly pse?: boolean;
  /** CR4.PGE: the global bit means something. Default true. */
  readonly pge?: boolean;
  /** CR4.PKE: protection keys of user pages, with the rights in `pkru`. Default false. */
  readonly pku?: boolean;
  /** PKRU: for key k, bit 2k denies access and bit 2k+1 denies writing. Default 0. */
  readonly pkru?: number;
  /** CR4.PKS: protection keys of supervisor pages, with the rights in `pkrs`. Default false. */
  readonly pks?: boolean;
  /** IA32_PKRS, as `pkru`. Default 0. */
  readonly pkrs?: number;
}

/** {@link X86Controls} with every default filled in. */
export type ResolvedControls = Required<X86Controls>;

/** Fills in the defaults. @throws PagingError `invalid` where a number is out of range */
export function resolveControls(controls: X86Controls = {}): ResolvedControls {
  const resolved: ResolvedControls = {
    maxPhyAddr: controls.maxPhyAddr ?? 52,
    nxe: controls.nxe ?? true,
    wp: controls.wp ?? true,
    smep: controls.smep ?? false,
    smap: controls.smap ?? false,
    gigabytePages: controls.gigabytePages ?? true,
    pse: controls.pse ?? true,
    pge: controls.pge ?? true,
    pku: controls.pku ?? false,
    pkru: controls.pkru ?? 0,
    pks: controls.pks ?? false,
    pkrs: controls.pkrs ?? 0,
  };
  const { maxPhyAddr, pkru, pkrs } = resolved;
  if (!Number.isInteger(maxPhyAddr) || maxPhyAddr < 32 || maxPhyAddr > 52) {
    throw new PagingError(
      'invalid',
      `Cannot use these controls: current maxPhyAddr ${maxPhyAddr}, wanted 32 to 52`,
    );
  }
  for (const [name, value] of [
    ['pkru', pkru],
    ['pkrs', pkrs],
  ] as const) {
    if (value >>> 0 !== value) {
      throw new PagingError(
        'invalid',
        `Cannot use these controls: current ${name} ${hex(value)}, wanted 32 bits`,
      );
    }
  }
  return resolved;
}
