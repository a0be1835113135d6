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
  /** CR4.SMAP: supervisor mode may not read or write user pages, unless EFLAGS.AC is set. Implicit accesses it keeps out always. Default false. */
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
  /**
   * CR4.CET: a page that is read-only and dirty, below tables that are all writable, is a shadow stack (SDM 3A, 5.6.1). Only
   * with `wp`. Default false.
   */
  readonly cet?: boolean;
  /**
   * CR3.LAM_U48 or LAM_U57: of the pointers of data whose bit 63 is clear so many bits are the address, and those above, up to
   * bit 62, the program's. Default 0: none are.
   */
  readonly lamUser?: 0 | 48 | 57;
  /** CR4.LAM_SUP: likewise where bit 63 is set, down to the width of an address. Default false. */
  readonly lamSupervisor?: boolean;
  /**
   * PAE's PDPTE may have bit 5 set: QEMU's emulation (TCG) reads it on every walk and marks it there as accessed, where a processor
   * keeps it in a register and has the bit reserved. Default false.
   */
  readonly pdpteAccessed?: boolean;
  /** One of AMD's processors: bit 8 of PML4E and PML5E is reserved (APM 2, 5.3.3), which Intel's ignore. Default false. */
  readonly amd?: boolean;
  /** Marking of entries as accessed and dirty: `off` (default) or `update`; x86 processors have no fault for it. */
  readonly accessedDirty?: 'off' | 'update';
}
