// Intel's extended page tables by the text of the SDM, volume 3C, section 29.3 "The Extended Page Table Mechanism" (28.3 in
// older prints), with nothing but bigints. Levels: 5 EPT PML5E, 4 EPT PML4E, 3 EPT PDPTE, 2 EPT PDE, 1 EPT PTE.

import {
  bit,
  field,
  type OracleAccess,
  type OracleMapped,
  type OracleMemory,
  OracleTables,
  type OracleUnreadable,
  type OracleWrite,
} from './oracle.ts';

export interface EptConfig {
  /** Page-walk length. */
  readonly levels: 4 | 5;
  /** Bits 51:12 of the EPTP. */
  readonly root: bigint;
  readonly maxPhyAddr: number;
  /** IA32_VMX_EPT_VPID_CAP bit 0: execute-only translations are supported. */
  readonly executeOnly: boolean;
  /** IA32_VMX_EPT_VPID_CAP bit 16. */
  readonly pages2M: boolean;
  /** IA32_VMX_EPT_VPID_CAP bit 17. */
  readonly pages1G: boolean;
  /** Bit 6 of the EPTP. */
  readonly accessedDirty: boolean;
  /** Bit 7 of the EPTP. */
  readonly supervisorShadowStacks?: boolean;
  /** The VM-execution control "mode-based execute control for EPT". */
  readonly mbec: boolean;
  /** IA32_VMX_EPT_VPID_CAP bit 22: advanced VM-exit information for EPT violations is reported. */
  readonly advancedInfo: boolean;
}

export const EPT: Omit<EptConfig, 'root'> = {
  levels: 4,
  maxPhyAddr: 52,
  executeOnly: true,
  pages2M: true,
  pages1G: true,
  accessedDirty: false,
  mbec: false,
  advancedInfo: false,
};

/** An access by guest-physical address; `user`: the linear address is a user-mode one. */
export interface EptAccess extends OracleAccess {
  /**
   * 'final': to the translation of a linear address. 'table': to a guest paging structure while translating one, where
   * 'write' is the update of an accessed or dirty flag. 'none': without a linear address (loading the PDPTEs).
   */
  readonly linear: 'final' | 'table' | 'none';
  /** What the guest's own tables say of the linear address. */
  readonly guest?: { readonly writable: boolean; readonly noExecute: boolean };
}

export interface EptMapped extends OracleMapped {
  /** 'rwxu', ANDed over all levels: x for fetches from supervisor-mode addresses, u from user-mode ones. */
  readonly rights: string;
  /** Bits 5:3 of the leaf. */
  readonly memoryType: number;
  readonly ignorePat: boolean;
}

export interface EptFault {
  readonly kind: 'fault';
  readonly reason: 'misconfiguration' | 'violation';
  /** The exit qualification; 0 for a misconfiguration, which has none. */
  readonly code: number;
  readonly level: number;
  /** The entry that decided: for want of rights, the leaf. None where the address is too wide. */
  readonly entryAddress: bigint | undefined;
  readonly gpa: bigint;
  readonly reads: bigint[];
  readonly writes: OracleWrite[];
}

export type EptResult = EptMapped | EptFault | OracleUnreadable;

export function eptTranslate(
  config: EptConfig,
  memory: OracleMemory,
  gpa: bigint,
  access: EptAccess,
): EptResult {
  return eptWalk(config, new OracleTables(memory), gpa, access);
}

export function eptWalk(config: EptConfig, tables: OracleTables, gpa: bigint, access: EptAccess): EptResult {
  const { maxPhyAddr, mbec } = config;
  const { reads, writes } = tables;

  // 29.3.3.2: reads of guest paging structures are data reads, updates of their flags data writes; 29.3.5: with accessed
  // and dirty flags for EPT enabled, all accesses to guest paging structures are treated as writes.
  const table = access.linear === 'table';
  const read = access.kind === 'read' || table;
  const write = access.kind === 'write' || (table && config.accessedDirty);
  const fetch = access.kind === 'execute' && !table;

  // Table 28-7 "Exit Qualification for EPT Violations"
  const qualification = (all: bigint, leaf: bigint): number => {
    let code = 0;
    if (read) code += 1 << 0;
    if (write) code += 1 << 1;
    if (fetch) code += 1 << 2;
    if (bit(all, 0)) code += 1 << 3;
    if (bit(all, 1)) code += 1 << 4;
    if (bit(all, 2)) code += 1 << 5;
    if (mbec && bit(all, 10)) code += 1 << 6;
    if (access.shadowStack === true) code += 1 << 13;
    if (config.supervisorShadowStacks === true && bit(leaf, 60)) code += 1 << 14;
    if (access.linear !== 'none') code += 1 << 7;
    if (access.linear === 'final') code += 1 << 8;
    if (access.linear === 'final' && config.advancedInfo) {
      if (access.user) code += 1 << 9;
      if (access.guest?.writable === true) code += 1 << 10;
      if (access.guest?.noExecute === true) code += 1 << 11;
    }
    return code;
  };
  const misconfiguration = (level: number, entryAddress: bigint): EptFault => {
    const reason = 'misconfiguration';
    return { kind: 'fault', reason, code: 0, level, entryAddress, gpa, reads, writes };
  };
  const violation = (
    level: number,
    entryAddress: bigint | undefined,
    all: bigint,
    leaf: bigint = 0n,
  ): EptFault => {
    const code = qualification(all, leaf);
    return { kind: 'fault', reason: 'violation', code, level, entryAddress, gpa, reads, writes };
  };

  // 29.3.2: a walk of four levels translates 48 bits, one of five 57; above them, nothing is mapped.
  if (gpa >> BigInt(config.levels * 9 + 12) !== 0n) return violation(config.levels, undefined, 0n);

  let all = (1n << 0n) | (1n << 1n) | (1n << 2n) | (1n << 10n);
  const entries: [bigint, bigint][] = [];
  let address = config.root;
  for (let level: number = config.levels; ; level--) {
    // 29.3.2: bits 11:3 of an entry's address are bits 56:48, 47:39, 38:30, 29:21, 20:12 of the guest-physical address.
    const lowest = 12 + 9 * (level - 1);
    const entryAddress = address + field(gpa, lowest + 8, lowest) * 8n;
    const entry = tables.read(entryAddress, 8);
    if (entry === undefined) return { kind: 'unreadable', level, entryAddress, reads, writes };

    // 29.3.2: present if any of bits 2:0 is 1; with mode-based execute control, also if bit 10 is 1.
    const present = field(entry, 2, 0) !== 0n || (mbec && bit(entry, 10));
    // Table 28-7, note: bits 6:3 are cleared to 0 if any of the entries is not present.
    if (!present) return violation(level, entryAddress, 0n);

    // 29.3.3.1: bit 0 is clear and bit 1 is set.
    if (!bit(entry, 0) && bit(entry, 1)) return misconfiguration(level, entryAddress);
    // 29.3.3.1: execute-only without support of it, for supervisor-mode or user-mode linear addresses.
    if (!config.executeOnly && !bit(entry, 0) && bit(entry, 2)) return misconfiguration(level, entryAddress);
    if (!config.executeOnly && mbec && !bit(entry, 0) && bit(entry, 10))
      return misconfiguration(level, entryAddress);
    // 29.3.3.1: a reserved bit is set; beyond the physical-address width:
    for (let position = maxPhyAddr; position <= 51; position++)
      if (bit(entry, position)) return misconfiguration(level, entryAddress);
    // Tables 29-1, 29-2: bits 7:3 of a PML5E or PML4E.
    if (level >= 4 && field(entry, 7, 3) !== 0n) return misconfiguration(level, entryAddress);
    const big = (level === 3 || level === 2) && bit(entry, 7);
    // Table 29-4, 29-6: bits 6:3 of a PDPTE or PDE that references a table.
    if ((level === 3 || level === 2) && !big && field(entry, 6, 3) !== 0n)
      return misconfiguration(level, entryAddress);
    // Table 29-3: bits 29:12 of a PDPTE that maps a page, which a processor without such pages cannot read.
    if (level === 3 && big && !config.pages1G) return misconfiguration(level, entryAddress);
    if (level === 3 && big && field(entry, 29, 12) !== 0n) return misconfiguration(level, entryAddress);
    // Table 29-5: bits 20:12 of a PDE that maps a page.
    if (level === 2 && big && !config.pages2M) return misconfiguration(level, entryAddress);
    if (level === 2 && big && field(entry, 20, 12) !== 0n) return misconfiguration(level, entryAddress);
    // 29.3.3.1: the last entry's memory type is 2, 3 or 7.
    const last = big || level === 1;
    const memoryType = Number(field(entry, 5, 3));
    if (last && (memoryType === 2 || memoryType === 3 || memoryType === 7))
      return misconfiguration(level, entryAddress);

    const above = all;
    all &= entry;
    entries.push([entryAddress, entry]);
    if (!last) {
      address = field(entry, 51, 12) << 12n;
      continue;
    }

    // 29.3.3.2: there is no misconfiguration, and a right is missing in any of the entries.
    const executable = mbec && access.user ? bit(all, 10) : bit(all, 2);
    if (config.supervisorShadowStacks === true && access.shadowStack === true && !access.user) {
      // Supervisor shadow-stack control: readable everywhere, writable above the leaf, and the leaf has bit 60.
      const allowed = bit(all, 0) && bit(above, 1) && bit(entry, 60);
      if (!allowed) return violation(level, entryAddress, all, entry);
    } else {
      if (read && !bit(all, 0)) return violation(level, entryAddress, all, entry);
      if (write && !bit(all, 1)) return violation(level, entryAddress, all, entry);
      if (fetch && !executable) return violation(level, entryAddress, all, entry);
    }

    // 29.3.5: bit 8 of every entry used, bit 9 of the last one on a write.
    if (config.accessedDirty) {
      for (const [at, used] of entries) tables.write(at, used, used | (1n << 8n));
      if (write) tables.write(entryAddress, entry, entry | (1n << 8n) | (1n << 9n));
    }

    const pa = (field(entry, 51, lowest) << BigInt(lowest)) + field(gpa, lowest - 1, 0);
    const user = mbec ? bit(all, 10) : bit(all, 2);
    const rights = `${bit(all, 0) ? 'r' : '-'}${bit(all, 1) ? 'w' : '-'}${bit(all, 2) ? 'x' : '-'}${user ? 'u' : '-'}`;
    const pageSize = 1n << BigInt(lowest);
    const ignorePat = bit(entry, 6);
    return { kind: 'mapped', pa, pageSize, level, rights, memoryType, ignorePat, reads, writes };
  }
}

/**
 * What the extended-page-table pointer says, by table 25-9 "Format of Extended-Page-Table Pointer" and the checks of
 * section 27.2.1.1; `undefined` where VM entry fails. Bit 7 (supervisor shadow stacks) counts as not supported.
 */
export function eptPointer(
  eptp: bigint,
  maxPhyAddr: number,
): { levels: 4 | 5; root: bigint; accessedDirty: boolean; memoryType: number } | undefined {
  const memoryType = Number(field(eptp, 2, 0));
  if (memoryType !== 0 && memoryType !== 6) return undefined;
  const length = Number(field(eptp, 5, 3)) + 1;
  if (length !== 4 && length !== 5) return undefined;
  if (field(eptp, 11, 7) !== 0n) return undefined;
  if (eptp >> BigInt(maxPhyAddr) !== 0n) return undefined;
  return { levels: length, root: field(eptp, 51, 12) << 12n, accessedDirty: bit(eptp, 6), memoryType };
}
