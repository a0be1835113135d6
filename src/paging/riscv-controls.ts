/** How a RISC-V hart is set up for one stage, as far as translation depends on it. */
export interface RiscvControls {
  /** sstatus.SUM (vsstatus.SUM): supervisor mode may read and write user pages. Default false. */
  readonly sum?: boolean;
  /** sstatus.MXR: loads may use pages that can only be executed. Of a VS-stage: vsstatus.MXR or sstatus.MXR. Default false. */
  readonly mxr?: boolean;
  /**
   * menvcfg.SSE (of a VS-stage henvcfg.SSE), with Zicfiss: pages whose W is set and whose R and X are clear are shadow stacks.
   * Default false: such entries are reserved.
   */
  readonly sse?: boolean;
  /**
   * senvcfg.PMM, as PMLEN: the upper 7 or 16 bits of user mode's pointers to data are the program's, while MXR is off. Default 0:
   * none are.
   */
  readonly userPmlen?: 0 | 7 | 16;
  /** menvcfg.PMM (of a VS-stage henvcfg.PMM): likewise of supervisor mode's. Default 0. */
  readonly supervisorPmlen?: 0 | 7 | 16;
  /** Svnapot: pages of 64 KiB. Default true; without it bit 63 of an entry is reserved. */
  readonly svnapot?: boolean;
  /** menvcfg.PBMTE (henvcfg.PBMTE): Svpbmt's memory types. Default true; without them bits 62:61 are reserved. */
  readonly svpbmt?: boolean;
  /** Svrsw60t59b: bits 60:59 are software's. Default false: they are reserved. */
  readonly svrsw60t59b?: boolean;
  /**
   * Width of a physical address, 32 to 53: an access above is an access fault, be it for a root that satp has there. Default 53,
   * the widest that is exact here. Over a G-stage it is a guest page fault: that stage's to refuse.
   */
  readonly physicalBits?: number;
  /**
   * What becomes of entries that lack A, or D for a store: nothing (`off`, the default), `fault` (Svade, ADUE clear), or
   * `update` (Svadu, ADUE set).
   */
  readonly accessedDirty?: 'off' | 'fault' | 'update';
}

/** The same for a G-stage: every access is one of user mode, and there are neither shadow stacks nor pointers. */
export type RiscvGuestControls = Omit<RiscvControls, 'sum' | 'sse' | 'userPmlen' | 'supervisorPmlen'>;
