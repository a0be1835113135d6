// A second, deliberately naive walker: bigints, one function per paging mode, every rule spelt out where the manual
// has it (Intel SDM volume 3A, chapter 5). It shares no code and no data with the library, and is as slow as it looks.

export interface NaiveControls {
  readonly maxPhyAddr: number;
  readonly nxe: boolean;
  readonly wp: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly gigabytePages: boolean;
  readonly pse: boolean;
  readonly pge: boolean;
  readonly pku: boolean;
  readonly pkru: number;
  readonly pks: boolean;
  readonly pkrs: number;
  readonly cet: boolean;
  /** CR3.LAM_U48 or LAM_U57. */
  readonly lamUser: 0 | 48 | 57;
  readonly lamSupervisor: boolean;
  /** The PDPTEs were marked by QEMU. */
  readonly pdpteAccessed: boolean;
}

export const DEFAULT_CONTROLS: NaiveControls = {
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
};

export interface NaiveAccess {
  readonly kind: 'read' | 'write' | 'execute';
  readonly user: boolean;
  readonly ac: boolean;
  /** By the processor itself, in supervisor mode. */
  readonly implicit?: boolean;
  /** By an instruction for the shadow stack: a read or a write. */
  readonly shadowStack?: boolean;
}

export const NAIVE_MODES = ['x86-32', 'x86-pae', 'x86-4level', 'x86-5level'] as const;
export type NaiveMode = (typeof NAIVE_MODES)[number];

export type NaiveOutcome =
  | {
      kind: 'mapped';
      gpa: bigint;
      pageSize: bigint;
      rights: string;
      shadowStack: boolean;
      memoryType: number;
      global: boolean;
      entries: bigint[];
    }
  | { kind: 'page-fault'; errorCode: number; level: number; entryAddress: bigint; entries: bigint[] }
  | { kind: 'not-canonical' }
  | { kind: 'table-unreadable'; level: number; address: bigint; entries: bigint[] };

export interface NaiveMachine {
  readonly mode: NaiveMode;
  readonly cr3: bigint;
  readonly controls: NaiveControls;
  /** The entry at an address, or undefined where there is no memory. */
  read(address: bigint, bytes: number): bigint | undefined;
}

/** Bits high:low of a value. */
function field(value: bigint, high: number, low: number): bigint {
  return (value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);
}

function bit(value: bigint, position: number): boolean {
  return field(value, position, position) === 1n;
}

/** What is wanted of a leaf, and what it is made of. */
interface Leaf {
  entry: bigint;
  level: number;
  address: bigint;
  base: bigint;
  pageSize: bigint;
  writable: boolean;
  user: boolean;
  noExecute: boolean;
  /** R/W is 1 in every entry but the leaf. */
  tablesWritable: boolean;
  patBit: number;
}

export function naiveTranslate(machine: NaiveMachine, gva: bigint, access: NaiveAccess): NaiveOutcome {
  switch (machine.mode) {
    case 'x86-32':
      return naive32(machine, gva, access);
    case 'x86-pae':
      return naivePae(machine, gva, access);
    case 'x86-4level':
      return naiveLong(machine, gva, access, 4);
    case 'x86-5level':
      return naiveLong(machine, gva, access, 5);
  }
}

function naiveLong(
  machine: NaiveMachine,
  pointer: bigint,
  access: NaiveAccess,
  levels: number,
): NaiveOutcome {
  const { controls } = machine;
  let gva = pointer;
  // 4.4 "Linear-Address Masking": of data only, and not of implicit accesses. Bits 62:48 or 62:57 are replaced by the one below.
  if (access.kind !== 'execute' && access.implicit !== true) {
    let metadata: number | undefined;
    if (!bit(pointer, 63) && controls.lamUser !== 0) metadata = controls.lamUser;
    if (bit(pointer, 63) && controls.lamSupervisor) metadata = levels === 4 ? 48 : 57;
    if (metadata !== undefined) {
      for (let position = metadata; position <= 62; position++) {
        gva &= ~(1n << BigInt(position));
        if (bit(pointer, metadata - 1)) gva |= 1n << BigInt(position);
      }
    }
  }
  // 3.3.7.1 "Canonical Addressing"
  const top = levels === 4 ? 47 : 56;
  const above = field(gva, 63, top);
  if (above !== 0n && above !== (1n << BigInt(64 - top)) - 1n) return { kind: 'not-canonical' };
  const entries: bigint[] = [];
  let table = field(machine.cr3, 51, 12) << 12n;
  let writable = true;
  let user = true;
  let noExecute = false;
  for (let level = levels; ; level--) {
    const lowest = 12 + 9 * (level - 1);
    const address = table + field(gva, lowest + 8, lowest) * 8n;
    const entry = machine.read(address, 8);
    if (entry === undefined) return { kind: 'table-unreadable', level, address, entries };
    entries.push(entry);
    const fault = (present: boolean, reserved: boolean): NaiveOutcome => ({
      kind: 'page-fault',
      errorCode: code(machine, access, present, reserved, false),
      level,
      entryAddress: address,
      entries,
    });
    if (!bit(entry, 0)) return fault(false, false);
    // Tables 5-14 to 5-19: reserved bits.
    let reserved = false;
    for (let position = controls.maxPhyAddr; position <= 51; position++)
      if (bit(entry, position)) reserved = true;
    if (!controls.nxe && bit(entry, 63)) reserved = true;
    const large = bit(entry, 7);
    if (level >= 4 && large) reserved = true;
    if (level === 3 && large && !controls.gigabytePages) reserved = true;
    if (level === 3 && large && controls.gigabytePages && field(entry, 29, 13) !== 0n) reserved = true;
    if (level === 2 && large && field(entry, 20, 13) !== 0n) reserved = true;
    if (reserved) return fault(true, true);
    const tablesWritable = writable;
    writable &&= bit(entry, 1);
    user &&= bit(entry, 2);
    noExecute ||= bit(entry, 63);
    if (level === 1 || ((level === 2 || level === 3) && large)) {
      const base = field(entry, 51, lowest) << BigInt(lowest);
      const pageSize = 1n << BigInt(lowest);
      const patBit = level === 1 ? 7 : 12;
      const leaf: Leaf = {
        entry,
        level,
        address,
        base,
        pageSize,
        writable,
        user,
        noExecute,
        tablesWritable,
        patBit,
      };
      return judge(machine, gva, access, leaf, entries);
    }
    table = field(entry, 51, 12) << 12n;
  }
}

function naivePae(machine: NaiveMachine, gva: bigint, access: NaiveAccess): NaiveOutcome {
  const { controls } = machine;
  if (gva > 0xffff_ffffn) return { kind: 'not-canonical' };
  const entries: bigint[] = [];
  const pdpteAddress = (field(machine.cr3, 31, 5) << 5n) + field(gva, 31, 30) * 8n;
  const pdpte = machine.read(pdpteAddress, 8);
  if (pdpte === undefined) return { kind: 'table-unreadable', level: 3, address: pdpteAddress, entries };
  entries.push(pdpte);
  const stop = (level: number, entryAddress: bigint, present: boolean): NaiveOutcome => ({
    kind: 'page-fault',
    errorCode: code(machine, access, present, present, false),
    level,
    entryAddress,
    entries,
  });
  if (!bit(pdpte, 0)) return stop(3, pdpteAddress, false);
  // Table 5-8
  let reserved = field(pdpte, 2, 1) !== 0n || field(pdpte, 8, 5) !== 0n;
  // QEMU marks the entry in bit 5 as accessed.
  if (controls.pdpteAccessed) reserved = field(pdpte, 2, 1) !== 0n || field(pdpte, 8, 6) !== 0n;
  for (let position = controls.maxPhyAddr; position <= 63; position++)
    if (bit(pdpte, position)) reserved = true;
  if (reserved) return stop(3, pdpteAddress, true);

  const pdeAddress = (field(pdpte, 51, 12) << 12n) + field(gva, 29, 21) * 8n;
  const pde = machine.read(pdeAddress, 8);
  if (pde === undefined) return { kind: 'table-unreadable', level: 2, address: pdeAddress, entries };
  entries.push(pde);
  if (!bit(pde, 0)) return stop(2, pdeAddress, false);
  const large = bit(pde, 7);
  reserved = !controls.nxe && bit(pde, 63);
  for (let position = controls.maxPhyAddr; position <= 62; position++)
    if (bit(pde, position)) reserved = true;
  if (large && field(pde, 20, 13) !== 0n) reserved = true;
  if (reserved) return stop(2, pdeAddress, true);
  if (large) {
    const leaf: Leaf = {
      entry: pde,
      level: 2,
      address: pdeAddress,
      base: field(pde, 51, 21) << 21n,
      pageSize: 0x20_0000n,
      writable: bit(pde, 1),
      user: bit(pde, 2),
      noExecute: bit(pde, 63),
      // The PDPTE has no R/W.
      tablesWritable: true,
      patBit: 12,
    };
    return judge(machine, gva, access, leaf, entries);
  }

  const pteAddress = (field(pde, 51, 12) << 12n) + field(gva, 20, 12) * 8n;
  const pte = machine.read(pteAddress, 8);
  if (pte === undefined) return { kind: 'table-unreadable', level: 1, address: pteAddress, entries };
  entries.push(pte);
  if (!bit(pte, 0)) return stop(1, pteAddress, false);
  reserved = !controls.nxe && bit(pte, 63);
  for (let position = controls.maxPhyAddr; position <= 62; position++)
    if (bit(pte, position)) reserved = true;
  if (reserved) return stop(1, pteAddress, true);
  const leaf: Leaf = {
    entry: pte,
    level: 1,
    address: pteAddress,
    base: field(pte, 51, 12) << 12n,
    pageSize: 0x1000n,
    writable: bit(pde, 1) && bit(pte, 1),
    user: bit(pde, 2) && bit(pte, 2),
    noExecute: bit(pde, 63) || bit(pte, 63),
    tablesWritable: bit(pde, 1),
    patBit: 7,
  };
  return judge(machine, gva, access, leaf, entries);
}

function naive32(machine: NaiveMachine, gva: bigint, access: NaiveAccess): NaiveOutcome {
  const { controls } = machine;
  if (gva > 0xffff_ffffn) return { kind: 'not-canonical' };
  const entries: bigint[] = [];
  const pdeAddress = (field(machine.cr3, 31, 12) << 12n) + field(gva, 31, 22) * 4n;
  const pde = machine.read(pdeAddress, 4);
  if (pde === undefined) return { kind: 'table-unreadable', level: 2, address: pdeAddress, entries };
  entries.push(pde);
  const stop = (level: number, entryAddress: bigint, present: boolean): NaiveOutcome => ({
    kind: 'page-fault',
    errorCode: code(machine, access, present, present, false),
    level,
    entryAddress,
    entries,
  });
  if (!bit(pde, 0)) return stop(2, pdeAddress, false);
  if (controls.pse && bit(pde, 7)) {
    // Table 5-4: address bits 39:32 are bits 20:13; bit 21 and those above M-20 are reserved, M = min(40, MAXPHYADDR).
    const m = Math.min(40, controls.maxPhyAddr);
    for (let position = m - 19; position <= 21; position++)
      if (bit(pde, position)) return stop(2, pdeAddress, true);
    const leaf: Leaf = {
      entry: pde,
      level: 2,
      address: pdeAddress,
      base: (field(pde, 20, 13) << 32n) | (field(pde, 31, 22) << 22n),
      pageSize: 0x40_0000n,
      writable: bit(pde, 1),
      user: bit(pde, 2),
      noExecute: false,
      tablesWritable: true,
      patBit: 12,
    };
    return judge(machine, gva, access, leaf, entries);
  }
  const pteAddress = (field(pde, 31, 12) << 12n) + field(gva, 21, 12) * 4n;
  const pte = machine.read(pteAddress, 4);
  if (pte === undefined) return { kind: 'table-unreadable', level: 1, address: pteAddress, entries };
  entries.push(pte);
  if (!bit(pte, 0)) return stop(1, pteAddress, false);
  const leaf: Leaf = {
    entry: pte,
    level: 1,
    address: pteAddress,
    base: field(pte, 31, 12) << 12n,
    pageSize: 0x1000n,
    writable: bit(pde, 1) && bit(pte, 1),
    user: bit(pde, 2) && bit(pte, 2),
    noExecute: false,
    tablesWritable: bit(pde, 1),
    patBit: 7,
  };
  return judge(machine, gva, access, leaf, entries);
}

/** 5.6.1 "Determination of Access Rights" and 5.6.2 "Protection Keys". */
function judge(
  machine: NaiveMachine,
  gva: bigint,
  access: NaiveAccess,
  leaf: Leaf,
  entries: bigint[],
): NaiveOutcome {
  const { controls, mode } = machine;
  const { entry, writable, user, noExecute } = leaf;
  let forbidden = false;
  // 5.6.1: "a shadow-stack address" has R/W 0 and D 1 in the entry that maps the page, R/W 1 in every other one; there are
  // such only with CR4.CET.
  const shadowStack = controls.cet && !bit(entry, 1) && bit(entry, 6) && leaf.tablesWritable;
  if (access.shadowStack === true) {
    // User-mode shadow-stack accesses to user-mode addresses, supervisor-mode ones to supervisor-mode addresses.
    if (!shadowStack) forbidden = true;
    if (access.user !== user) forbidden = true;
  } else if (access.user) {
    if (!user) forbidden = true;
    if (access.kind === 'write' && !writable) forbidden = true;
    if (access.kind === 'execute' && noExecute) forbidden = true;
  } else if (access.kind === 'read') {
    if (user && controls.smap && (access.implicit === true || !access.ac)) forbidden = true;
  } else if (access.kind === 'write') {
    if (user && controls.smap && (access.implicit === true || !access.ac)) forbidden = true;
    if (controls.wp && !writable) forbidden = true;
  } else {
    if (user && controls.smep) forbidden = true;
    if (noExecute) forbidden = true;
  }
  let keyForbidden = false;
  const long = mode === 'x86-4level' || mode === 'x86-5level';
  if (long && access.kind !== 'execute' && (user ? controls.pku : controls.pks)) {
    const register = BigInt(user ? controls.pkru : controls.pkrs);
    const key = Number(field(entry, 62, 59));
    if (bit(register, 2 * key)) keyForbidden = true;
    if (access.kind === 'write' && bit(register, 2 * key + 1) && (access.user || controls.wp))
      keyForbidden = true;
  }
  if (forbidden || keyForbidden) {
    const errorCode = code(machine, access, true, false, keyForbidden);
    return { kind: 'page-fault', errorCode, level: leaf.level, entryAddress: leaf.address, entries };
  }
  const pat = bit(entry, leaf.patBit) ? 4 : 0;
  const memoryType = pat + (bit(entry, 4) ? 2 : 0) + (bit(entry, 3) ? 1 : 0);
  return {
    kind: 'mapped',
    gpa: leaf.base + (gva & (leaf.pageSize - 1n)),
    pageSize: leaf.pageSize,
    shadowStack,
    rights: `r${writable ? 'w' : '-'}${noExecute ? '-' : 'x'}${user ? 'u' : 's'}`,
    memoryType,
    global: controls.pge && bit(entry, 8),
    entries,
  };
}

/** 5.7 "Page-Fault Exceptions". */
function code(
  machine: NaiveMachine,
  access: NaiveAccess,
  present: boolean,
  reserved: boolean,
  key: boolean,
): number {
  const { controls, mode } = machine;
  let errorCode = 0;
  if (present) errorCode += 1;
  if (access.kind === 'write') errorCode += 2;
  if (access.user) errorCode += 4;
  if (reserved) errorCode += 8;
  const executeDisable = mode !== 'x86-32' && controls.nxe;
  if (access.kind === 'execute' && (executeDisable || controls.smep)) errorCode += 16;
  if (key) errorCode += 32;
  if (access.shadowStack === true) errorCode += 64;
  return errorCode;
}
