// A guest's four or five levels of x86 tables (Intel SDM volume 3A, chapter 5 "Paging") over extended page tables or nested
// paging: every access to a guest table is itself translated. Levels of both: 5 and 4 the uppermost, 1 the last.

import { type EptConfig, type EptFault, type EptMapped, eptWalk } from './ept.ts';
import { type NptConfig, type NptFault, type NptMapped, nptWalk } from './npt.ts';
import {
  bit,
  field,
  type OracleAccess,
  type OracleMemory,
  OracleTables,
  type OracleUnreadable,
  type OracleWrite,
} from './oracle.ts';

export interface X86Guest {
  readonly levels: 4 | 5;
  readonly cr3: bigint;
  readonly maxPhyAddr: number;
  readonly nxe: boolean;
  readonly wp: boolean;
  readonly smep: boolean;
  /** CR4.SMAP, with EFLAGS.AC clear. */
  readonly smap: boolean;
  readonly pages1G: boolean;
  /** Bit 8 of PML5E and PML4E must be zero: AMD. */
  readonly bit8Reserved: boolean;
  /** Accessed and dirty flags are set, as hardware always does; otherwise the tables are only looked at. */
  readonly update: boolean;
}

export const X86_GUEST: Omit<X86Guest, 'cr3'> = {
  levels: 4,
  maxPhyAddr: 52,
  nxe: true,
  wp: true,
  smep: false,
  smap: false,
  pages1G: true,
  bit8Reserved: false,
  update: false,
};

export type X86Host = { readonly ept: EptConfig } | { readonly npt: NptConfig };

export interface NestedMapped {
  readonly kind: 'mapped';
  readonly gpa: bigint;
  readonly pa: bigint;
  /** The smaller of both stages' pages. */
  readonly pageSize: bigint;
  /** The guest's leaf. */
  readonly level: number;
  /** 'rwxu' by the guest's tables. */
  readonly rights: string;
  readonly host: EptMapped | NptMapped;
  readonly reads: bigint[];
  readonly writes: OracleWrite[];
}

/** The guest's own #PF, with the entry's guest-physical address. */
export interface GuestFault {
  readonly kind: 'fault';
  readonly stage: 'guest';
  readonly code: number;
  readonly level: number;
  readonly entryAddress: bigint;
  readonly reads: bigint[];
  readonly writes: OracleWrite[];
}

/** While translating an entry of the guest's at a level ('table'), or its page, level 0 ('final'). */
interface During {
  readonly stage: 'host';
  readonly during: 'table' | 'final';
  readonly guestLevel: number;
}

export type NestedResult =
  | NestedMapped
  | GuestFault
  | ((EptFault | NptFault | OracleUnreadable) & During)
  | (OracleUnreadable & { readonly stage: 'guest' })
  | { readonly kind: 'not-canonical'; readonly reads: bigint[]; readonly writes: OracleWrite[] };

export function x86NestedTranslate(
  guest: X86Guest,
  host: X86Host,
  memory: OracleMemory,
  gva: bigint,
  access: OracleAccess,
): NestedResult {
  const tables = new OracleTables(memory);
  const { reads, writes } = tables;

  // 3.3.7.1 "Canonical Addressing"
  const top = guest.levels === 4 ? 47 : 56;
  const upper = field(gva, 63, top);
  if (upper !== 0n && upper !== field(-1n, 63, top)) return { kind: 'not-canonical', reads, writes };

  // 5.7 "Page-Fault Exceptions"
  const pageFault = (
    level: number,
    entryAddress: bigint,
    present: boolean,
    reserved: boolean,
  ): GuestFault => {
    let code = 0;
    if (present) code += 1;
    if (access.kind === 'write') code += 2;
    if (access.user) code += 4;
    if (reserved) code += 8;
    if (access.kind === 'execute' && (guest.nxe || guest.smep)) code += 16;
    return { kind: 'fault', stage: 'guest', code, level, entryAddress, reads, writes };
  };

  let writable = true;
  let user = true;
  let noExecute = false;
  let table = field(guest.cr3, 51, 12) << 12n;
  for (let level: number = guest.levels; ; level--) {
    const lowest = 12 + 9 * (level - 1);
    const entryAddress = table + field(gva, lowest + 8, lowest) * 8n;
    const during: During = { stage: 'host', during: 'table', guestLevel: level };

    const place =
      'ept' in host
        ? eptWalk(host.ept, tables, entryAddress, { kind: 'read', user: access.user, linear: 'table' })
        : nptWalk(host.npt, tables, entryAddress, { kind: 'read', linear: 'table' });
    if (place.kind !== 'mapped') return { ...place, ...during };
    const entry = tables.read(place.pa, 8);
    if (entry === undefined)
      return { kind: 'unreadable', stage: 'guest', level, entryAddress, reads, writes };
    if (!bit(entry, 0)) return pageFault(level, entryAddress, false, false);

    // Tables 5-14 to 5-19: reserved bits.
    const big = (level === 3 || level === 2) && bit(entry, 7);
    for (let position = guest.maxPhyAddr; position <= 51; position++)
      if (bit(entry, position)) return pageFault(level, entryAddress, true, true);
    if (!guest.nxe && bit(entry, 63)) return pageFault(level, entryAddress, true, true);
    if (level >= 4 && bit(entry, 7)) return pageFault(level, entryAddress, true, true);
    if (level >= 4 && guest.bit8Reserved && bit(entry, 8)) return pageFault(level, entryAddress, true, true);
    if (level === 3 && big && !guest.pages1G) return pageFault(level, entryAddress, true, true);
    if (level === 3 && big && field(entry, 29, 13) !== 0n) return pageFault(level, entryAddress, true, true);
    if (level === 2 && big && field(entry, 20, 13) !== 0n) return pageFault(level, entryAddress, true, true);

    // 5.6.1 "Determination of Access Rights"
    writable &&= bit(entry, 1);
    user &&= bit(entry, 2);
    noExecute ||= bit(entry, 63);
    const last = big || level === 1;
    const supervisor = !access.user;
    if (last) {
      if (access.user && !user) return pageFault(level, entryAddress, true, false);
      if (access.user && access.kind === 'write' && !writable)
        return pageFault(level, entryAddress, true, false);
      if (supervisor && access.kind === 'write' && !writable && guest.wp)
        return pageFault(level, entryAddress, true, false);
      if (access.kind === 'execute' && noExecute) return pageFault(level, entryAddress, true, false);
      if (supervisor && access.kind === 'execute' && user && guest.smep)
        return pageFault(level, entryAddress, true, false);
      if (supervisor && access.kind !== 'execute' && user && guest.smap)
        return pageFault(level, entryAddress, true, false);
    }

    // 5.8 "Accessed and Dirty Flags": accessed in every entry used, here as soon as it is; dirty in the last on a write.
    if (guest.update) {
      const flags = last && access.kind === 'write' ? (1n << 5n) | (1n << 6n) : 1n << 5n;
      if ((entry & flags) !== flags) {
        // 29.3.3.2: that is a data write to the guest-physical address. Nested paging took the read for one already.
        if ('ept' in host) {
          const update = { kind: 'write', user: access.user, linear: 'table' } as const;
          const again = eptWalk(host.ept, new OracleTables(memory), entryAddress, update);
          if (again.kind !== 'mapped') return { ...again, ...during, reads, writes };
        }
        tables.write(place.pa, entry, entry | flags);
      }
    }

    if (!last) {
      table = field(entry, 51, 12) << 12n;
      continue;
    }

    const gpa = (field(entry, 51, lowest) << BigInt(lowest)) + field(gva, lowest - 1, 0);
    const final =
      'ept' in host
        ? eptWalk(host.ept, tables, gpa, {
            kind: access.kind,
            // 29.3.2: a user-mode linear address is one whose guest entries all have U/S set, whoever accesses it.
            user,
            linear: 'final',
            guest: { writable, noExecute },
          })
        : nptWalk(host.npt, tables, gpa, { kind: access.kind, linear: 'final' });
    if (final.kind !== 'mapped') return { ...final, stage: 'host', during: 'final', guestLevel: 0 };
    const pageSize = 1n << BigInt(lowest);
    return {
      kind: 'mapped',
      gpa,
      pa: final.pa,
      pageSize: pageSize < final.pageSize ? pageSize : final.pageSize,
      level,
      rights: `r${writable ? 'w' : '-'}${noExecute ? '-' : 'x'}${user ? 'u' : 's'}`,
      host: final,
      reads,
      writes,
    };
  }
}
