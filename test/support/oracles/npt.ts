// AMD's nested paging by the text of the APM, volume 2, section 15.25 "Nested Paging" and 5.3 "Long-Mode Page Translation",
// with nothing but bigints. Levels: 5 PML5E, 4 PML4E, 3 PDPE, 2 PDE, 1 PTE.

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

export interface NptConfig {
  /** Five with the host's CR4.LA57. */
  readonly levels: 4 | 5;
  /** Bits 51:12 of nCR3. */
  readonly root: bigint;
  readonly maxPhyAddr: number;
  /** The host's EFER.NXE. */
  readonly nxe: boolean;
  readonly pages1G: boolean;
  /** Accessed and dirty flags are set, as hardware always does; otherwise the tables are only looked at. */
  readonly update: boolean;
}

export const NPT: Omit<NptConfig, 'root'> = {
  levels: 4,
  maxPhyAddr: 52,
  nxe: true,
  pages1G: true,
  update: false,
};

/** An access by guest-physical address. Whether the guest ran in user mode makes no difference. */
export interface NptAccess {
  readonly kind: OracleAccess['kind'];
  /** 'final': to the guest's final address. 'table': to its page tables. */
  readonly linear: 'final' | 'table';
}

export interface NptMapped extends OracleMapped {
  /** 'rwx', ANDed over all levels. */
  readonly rights: string;
  /** PAT, PCD and PWT of the leaf, an index into the host's PAT. */
  readonly memoryType: number;
}

export interface NptFault {
  readonly kind: 'fault';
  readonly reason: 'page-fault';
  /** EXITINFO1, more than 32 bits. */
  readonly code: number;
  readonly level: number;
  readonly entryAddress: bigint | undefined;
  /** EXITINFO2. */
  readonly gpa: bigint;
  readonly reads: bigint[];
  readonly writes: OracleWrite[];
}

export type NptResult = NptMapped | NptFault | OracleUnreadable;

export function nptTranslate(
  config: NptConfig,
  memory: OracleMemory,
  gpa: bigint,
  access: NptAccess,
): NptResult {
  return nptWalk(config, new OracleTables(memory), gpa, access);
}

export function nptWalk(config: NptConfig, tables: OracleTables, gpa: bigint, access: NptAccess): NptResult {
  const { reads, writes } = tables;
  // 15.25.5: "Table walks for guest page tables are always treated as user writes at the nested page table level".
  const table = access.linear === 'table';
  const write = access.kind === 'write' || table;
  const fetch = access.kind === 'execute' && !table;

  // 15.25.6 "Nested versus Guest Page Faults, Fault Ordering": EXITINFO1.
  const fault = (
    level: number,
    entryAddress: bigint | undefined,
    present: boolean,
    reserved: boolean,
  ): NptFault => {
    let code = 0;
    if (present) code += 1;
    if (write) code += 2;
    // 15.25.5: every nested access is a user access.
    code += 4;
    if (reserved) code += 8;
    // 8.4.2: I/D is defined only with EFER.NXE.
    if (fetch && config.nxe) code += 16;
    if (!table) code += 0x1_0000_0000;
    if (table) code += 0x2_0000_0000;
    return { kind: 'fault', reason: 'page-fault', code, level, entryAddress, gpa, reads, writes };
  };

  // The manual does not say what a wider guest-physical address meets; as nothing maps it: not present.
  if (gpa >> BigInt(config.levels * 9 + 12) !== 0n) return fault(config.levels, undefined, false, false);

  let writable = true;
  let user = true;
  let noExecute = false;
  const entries: [bigint, bigint][] = [];
  let address = config.root;
  for (let level: number = config.levels; ; level--) {
    const lowest = 12 + 9 * (level - 1);
    const entryAddress = address + field(gpa, lowest + 8, lowest) * 8n;
    const entry = tables.read(entryAddress, 8);
    if (entry === undefined) return { kind: 'unreadable', level, entryAddress, reads, writes };
    if (!bit(entry, 0)) return fault(level, entryAddress, false, false);

    // 5.3.3 to 5.3.5, figures: bits that must be zero.
    const big = (level === 3 || level === 2) && bit(entry, 7);
    for (let position = config.maxPhyAddr; position <= 51; position++)
      if (bit(entry, position)) return fault(level, entryAddress, true, true);
    // 5.6.1: NX must be zero while EFER.NXE is.
    if (!config.nxe && bit(entry, 63)) return fault(level, entryAddress, true, true);
    // PML5E, PML4E: bits 8:7.
    if (level >= 4 && field(entry, 8, 7) !== 0n) return fault(level, entryAddress, true, true);
    // PDPE of a 1-Gbyte page: bits 29:13; PS without such pages.
    if (level === 3 && big && !config.pages1G) return fault(level, entryAddress, true, true);
    if (level === 3 && big && field(entry, 29, 13) !== 0n) return fault(level, entryAddress, true, true);
    // PDE of a 2-Mbyte page: bits 20:13.
    if (level === 2 && big && field(entry, 20, 13) !== 0n) return fault(level, entryAddress, true, true);

    // 5.6: rights of all levels count.
    writable &&= bit(entry, 1);
    user &&= bit(entry, 2);
    noExecute ||= bit(entry, 63);
    entries.push([entryAddress, entry]);
    if (!big && level !== 1) {
      address = field(entry, 51, 12) << 12n;
      continue;
    }

    if (!user) return fault(level, entryAddress, true, false);
    if (write && !writable) return fault(level, entryAddress, true, false);
    if (fetch && noExecute) return fault(level, entryAddress, true, false);

    // 5.4.2: accessed in every entry, dirty in the last on a write.
    if (config.update) {
      for (const [at, used] of entries) tables.write(at, used, used | (1n << 5n));
      if (write) tables.write(entryAddress, entry, entry | (1n << 5n) | (1n << 6n));
    }

    const pa = (field(entry, 51, lowest) << BigInt(lowest)) + field(gpa, lowest - 1, 0);
    const rights = `r${writable ? 'w' : '-'}${noExecute ? '-' : 'x'}`;
    const pat = bit(entry, level === 1 ? 7 : 12) ? 4 : 0;
    const memoryType = pat + (bit(entry, 4) ? 2 : 0) + (bit(entry, 3) ? 1 : 0);
    return {
      kind: 'mapped',
      pa,
      pageSize: 1n << BigInt(lowest),
      level,
      rights,
      memoryType,
      reads,
      writes,
    };
  }
}
