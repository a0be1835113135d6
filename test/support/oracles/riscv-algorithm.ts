// RISC-V address translation by the text of the privileged specification 1.13, with nothing but bigints. "Step" is one of
// section "Virtual Address Translation Process" of Sv32; other sections are cited by name, for their numbers change from
// print to print. Levels are the specification's `i`: 0 is the last.

import {
  bit,
  field,
  type OracleAccess,
  type OracleMapped,
  type OracleTables,
  type OracleUnreadable,
  type OracleWrite,
} from './oracle.ts';

export type RiscvScheme = 'Sv32' | 'Sv39' | 'Sv48' | 'Sv57';
export type RiscvGuestScheme = 'Sv32x4' | 'Sv39x4' | 'Sv48x4' | 'Sv57x4';

/** What a hart can do, alike for all of its stages. */
export interface RiscvHart {
  readonly svnapot: boolean;
  /** Bits 60:59 are software's. */
  readonly svrsw60t59b: boolean;
  /** Physical addresses at or above 2 to this power violate a PMA check. */
  readonly physicalBits: number;
}

/** satp or vsatp with the bits of sstatus or vsstatus, menvcfg or henvcfg that belong to it. */
export interface RiscvStage {
  readonly scheme: RiscvScheme | 'Bare';
  /** PPN times 4096. */
  readonly root: bigint;
  readonly sum: boolean;
  readonly mxr: boolean;
  /** ADUE: hardware sets A and D (Svadu); otherwise it faults (Svade). */
  readonly adue: boolean;
  /** PBMTE: Svpbmt is available. */
  readonly pbmte: boolean;
  /** SSE of Zicfiss. Default: off. */
  readonly sse?: boolean;
}

/** hgatp, with sstatus.MXR of HS-level and the bits of menvcfg. */
export interface RiscvGuestStage {
  readonly scheme: RiscvGuestScheme | 'Bare';
  readonly root: bigint;
  readonly mxr: boolean;
  readonly adue: boolean;
  readonly pbmte: boolean;
}

export interface RiscvMapped extends OracleMapped {
  /** 'rwxu', ANDed over both stages; `u` is that of S- or VS-stage. */
  readonly rights: string;
  readonly global: boolean;
  /** PBMT: 0 PMA, 1 NC, 2 IO; the VS-stage's overrides the G-stage's. */
  readonly memoryType: number;
}

export interface RiscvFault {
  readonly kind: 'fault';
  /** scause: 12, 13, 15 page fault; 20, 21, 23 guest-page fault; 1, 5, 7 access fault (fetch, load, store). */
  readonly code: number;
  readonly stage: 'S' | 'VS' | 'G';
  readonly level: number;
  /** Where the deciding entry lies, in the address space that holds it; none where the address itself was wrong. */
  readonly entryAddress: bigint | undefined;
  /** htval or mtval2: of a guest-page fault, the guest-physical address shifted right by two. */
  readonly htval: bigint;
  /** Whether the guest-page fault came of an implicit access to the VS-stage's tables. */
  readonly implicit: 'none' | 'read' | 'write';
  readonly reads: bigint[];
  readonly writes: OracleWrite[];
}

export interface RiscvUnreadable extends OracleUnreadable {
  readonly stage: 'S' | 'VS' | 'G';
}

export type RiscvResult = RiscvMapped | RiscvFault | RiscvUnreadable;

export const RISCV_HART: RiscvHart = { svnapot: true, svrsw60t59b: false, physicalBits: 56 };

export type Kind = OracleAccess['kind'];

/** "satp" and "hgatp": LEVELS, bits of one VPN field, further bits of the first one, PTESIZE. */
const SHAPES: Record<RiscvScheme | RiscvGuestScheme, readonly [number, number, number, 4 | 8]> = {
  Sv32: [2, 10, 0, 4],
  Sv39: [3, 9, 0, 8],
  Sv48: [4, 9, 0, 8],
  Sv57: [5, 9, 0, 8],
  Sv32x4: [2, 10, 2, 4],
  Sv39x4: [3, 9, 2, 8],
  Sv48x4: [4, 9, 2, 8],
  Sv57x4: [5, 9, 2, 8],
};

/** "scause": exceptions are reported for the original access type, whatever the access that met them. */
const PAGE_FAULT: Record<Kind, number> = { execute: 12, read: 13, write: 15 };
const GUEST_PAGE_FAULT: Record<Kind, number> = { execute: 20, read: 21, write: 23 };
const ACCESS_FAULT: Record<Kind, number> = { execute: 1, read: 5, write: 7 };

/** The end of a translation, from within whatever stage met it. No Error: tests make hundreds of thousands of them. */
export class Stop {
  readonly result: RiscvFault | RiscvUnreadable;
  constructor(result: RiscvFault | RiscvUnreadable) {
    this.result = result;
  }
}

/** One run of the algorithm: everything that the text calls "given". */
export interface Run {
  readonly stage: 'S' | 'VS' | 'G';
  readonly scheme: RiscvScheme | RiscvGuestScheme;
  readonly root: bigint;
  readonly sum: boolean;
  readonly mxr: boolean;
  readonly adue: boolean;
  readonly pbmte: boolean;
  readonly sse?: boolean;
  readonly hart: RiscvHart;
  /** An output address at or above 2 to this power violates a PMA check. */
  readonly outputBits: number;
  readonly tables: OracleTables;
  /** The privilege mode is U (or VU). */
  readonly user: boolean;
  /** The access whose permissions are checked. */
  readonly kind: Kind;
  /** The access is by an instruction for the shadow stack. */
  readonly shadowStack?: boolean;
  /** The access of which exceptions are reported: for one to the shadow stack, a store. */
  readonly original: Kind;
  readonly implicit: 'none' | 'read' | 'write';
  /** From an entry's address to its physical address, for an access of that kind. */
  readonly place: (entryAddress: bigint, kind: 'read' | 'write') => bigint;
}

export interface Leaf {
  readonly pa: bigint;
  readonly pageSize: bigint;
  readonly level: number;
  readonly pte: bigint;
  readonly global: boolean;
}

function accessFaultOf(
  stage: 'S' | 'VS' | 'G',
  original: Kind,
  level: number,
  entryAddress: bigint | undefined,
  { reads, writes }: OracleTables,
): Stop {
  const code = ACCESS_FAULT[original];
  const implicit = 'none';
  return new Stop({ kind: 'fault', code, stage, level, entryAddress, htval: 0n, implicit, reads, writes });
}

/** "satp" and "hgatp", MODE=Bare: addresses stay what they are, and no entry restricts them. Level -1 is no level. */
export function bare(
  stage: 'S' | 'G',
  { physicalBits }: RiscvHart,
  tables: OracleTables,
  address: bigint,
  original: Kind,
): Leaf {
  if (address >> BigInt(physicalBits) !== 0n) throw accessFaultOf(stage, original, -1, undefined, tables);
  return BARE(address);
}

/** R, W, X and U set. */
export const BARE = (address: bigint): Leaf => ({
  pa: address,
  pageSize: 1n << 64n,
  level: -1,
  pte: 0b11110n,
  global: false,
});

/** "Virtual Address Translation Process", steps 1 to 10. */
export function algorithm(run: Run, va: bigint): Leaf {
  const { hart, tables, original } = run;
  const [levels, vpnBits, moreBits, pteSize] = SHAPES[run.scheme];
  const { reads, writes } = tables;
  const pageFault = (level: number, entryAddress: bigint | undefined): Stop =>
    new Stop({
      kind: 'fault',
      code: run.stage === 'G' ? GUEST_PAGE_FAULT[original] : PAGE_FAULT[original],
      stage: run.stage,
      level,
      entryAddress,
      htval: run.stage === 'G' ? va >> 2n : 0n,
      implicit: run.stage === 'G' ? run.implicit : 'none',
      reads,
      writes,
    });
  const accessFault = (level: number, entryAddress: bigint): Stop =>
    accessFaultOf(run.stage, original, level, entryAddress, tables);

  const vaBits = 12 + levels * vpnBits + moreBits;
  if (run.stage === 'G') {
    // "Guest Physical Address Translation": for Sv39x4 "address bits 63:41 must all be zeros, or else a
    // guest-page-fault exception occurs", and so on.
    if (va >> BigInt(vaBits) !== 0n) throw pageFault(levels - 1, undefined);
  } else if (run.scheme === 'Sv32') {
    // Sv32: a virtual address has 32 bits; there are no others to be wrong on RV32.
    if (va >> 32n !== 0n) throw pageFault(levels - 1, undefined);
  } else {
    // Sv39: bits 63-39 "all equal to bit 38, or else a page-fault exception will occur"; Sv48 and Sv57 alike.
    const upper = field(va, 63, vaBits - 1);
    if (upper !== 0n && upper !== field(-1n, 63, vaBits - 1)) throw pageFault(levels - 1, undefined);
  }

  // Step 1
  let a = run.root;
  let global = false;
  for (let i = levels - 1; ; i--) {
    const highest = 11 + vpnBits * (i + 1) + (i === levels - 1 ? moreBits : 0);
    const vpn = field(va, highest, 12 + vpnBits * i);

    // Step 2
    const entryAddress = a + vpn * BigInt(pteSize);
    const physical = run.place(entryAddress, 'read');
    if (physical >> BigInt(hart.physicalBits) !== 0n) throw accessFault(i, entryAddress);
    const pte = tables.read(physical, pteSize);
    if (pte === undefined)
      throw new Stop({ kind: 'unreadable', stage: run.stage, level: i, entryAddress, reads, writes });
    const v = bit(pte, 0);
    const r = bit(pte, 1);
    const w = bit(pte, 2);
    const x = bit(pte, 3);
    const u = bit(pte, 4);
    const g = bit(pte, 5);
    const accessed = bit(pte, 6);
    const dirty = bit(pte, 7);
    const leaf = r || w || x;
    const pbmt = pteSize === 8 ? field(pte, 62, 61) : 0n;
    const n = pteSize === 8 && bit(pte, 63);

    // Step 3
    if (!v) throw pageFault(i, entryAddress);
    // Zicfiss: xwr = 010 is not reserved where SSE is set; in G-stage it always is.
    const shadowStackPage = run.stage !== 'G' && run.sse === true && !r && w && !x;
    if (!r && w && !shadowStackPage) throw pageFault(i, entryAddress);
    // Sv39: bits 60-54 are reserved; Svrsw60t59b: 60-59 are ignored.
    if (pteSize === 8 && field(pte, 58, 54) !== 0n) throw pageFault(i, entryAddress);
    if (pteSize === 8 && !hart.svrsw60t59b && field(pte, 60, 59) !== 0n) throw pageFault(i, entryAddress);
    // Sv39: bits 62-61 are reserved without Svpbmt; Svpbmt: the value 3 is, and any in a non-leaf entry.
    if (!run.pbmte && pbmt !== 0n) throw pageFault(i, entryAddress);
    if (pbmt === 3n) throw pageFault(i, entryAddress);
    if (!leaf && pbmt !== 0n) throw pageFault(i, entryAddress);
    // Sv39: bit 63 is reserved without Svnapot; Svnapot: N=1 is reserved save at i = 0 with ppn[0] = x xxxx 1000.
    if (n && !hart.svnapot) throw pageFault(i, entryAddress);
    if (n && !leaf) throw pageFault(i, entryAddress);
    if (n && i > 0) throw pageFault(i, entryAddress);
    if (n && field(pte, 13, 10) !== 0b1000n) throw pageFault(i, entryAddress);
    // Sv32: "For non-leaf PTEs, the D, A, and U bits are reserved for future standard use."
    if (!leaf && dirty) throw pageFault(i, entryAddress);
    if (!leaf && accessed) throw pageFault(i, entryAddress);
    if (!leaf && u) throw pageFault(i, entryAddress);

    // Sv32: a global non-leaf entry makes all mappings below it global.
    global ||= g;
    const ppn = pteSize === 8 ? field(pte, 53, 10) : field(pte, 31, 10);

    // Step 4
    if (!leaf) {
      if (i === 0) throw pageFault(i, entryAddress);
      a = ppn << 12n;
      continue;
    }

    // Step 5
    const lowPpn = i === 0 ? 0n : field(ppn, vpnBits * i - 1, 0);
    if (lowPpn !== 0n) throw pageFault(i, entryAddress);

    // Step 6; "Memory Privilege in sstatus": S-mode never executes from a U page, whatever SUM says.
    if (run.user && !u) throw pageFault(i, entryAddress);
    if (!run.user && u && run.kind === 'execute') throw pageFault(i, entryAddress);
    if (!run.user && u && !run.sum) throw pageFault(i, entryAddress);

    // Step 7, Zicfiss "Shadow Stack Memory Protection": written by its own instructions only, never fetched from; these go
    // nowhere else, and get a page fault, for copy-on-write, of a read-only page, and an access fault of others.
    if (run.stage !== 'G' && shadowStackPage && run.shadowStack !== true && run.kind !== 'read')
      throw accessFault(i, entryAddress);
    if (run.stage !== 'G' && !shadowStackPage && run.shadowStack === true) {
      const readOnly = r && !w && !x;
      throw run.sse !== true || readOnly ? pageFault(i, entryAddress) : accessFault(i, entryAddress);
    }

    // Step 8
    if (run.kind === 'execute' && !x) throw pageFault(i, entryAddress);
    if (run.kind === 'write' && !w) throw pageFault(i, entryAddress);
    if (run.kind === 'read' && !r && !(run.mxr && x) && !shadowStackPage) throw pageFault(i, entryAddress);

    // Step 9
    if (!accessed || (run.kind === 'write' && !dirty)) {
      if (!run.adue) throw pageFault(i, entryAddress);
      const flags = run.kind === 'write' ? (1n << 6n) | (1n << 7n) : 1n << 6n;
      tables.write(run.place(entryAddress, 'write'), pte, pte | flags);
    }

    // Step 10; Svnapot: the low four bits of a NAPOT entry's ppn are those of the address.
    const low = n ? 16 : 12 + vpnBits * i;
    const base = (ppn << 12n) & ~((1n << BigInt(low)) - 1n);
    const pa = base + field(va, low - 1, 0);
    if (pa >> BigInt(run.outputBits) !== 0n) throw accessFault(i, entryAddress);
    // A shadow stack is told as what it is to everybody else: to be read.
    const told = shadowStackPage ? (pte & ~0b100n) | 0b10n : pte;
    return { pa, pageSize: 1n << BigInt(low), level: i, pte: told, global };
  }
}
