/** Page tables for RISC-V as nobody would build them: every entry is at random, so that each rule is met, alone and with others. */

/** One scheme of satp. */
export interface RiscvShape {
  readonly scheme: 'Sv39' | 'Sv48' | 'Sv57';
  readonly levels: number;
  /** satp.MODE. */
  readonly mode: bigint;
}

export const RISCV_SHAPES: readonly RiscvShape[] = [
  { scheme: 'Sv39', levels: 3, mode: 8n },
  { scheme: 'Sv48', levels: 4, mode: 9n },
  { scheme: 'Sv57', levels: 5, mode: 10n },
];

const TABLES_PER_LEVEL = 12;
const ENTRIES = 512;

/** Tables that lie one after the other from `gpa` on; the first one is the root. */
export interface RandomTables {
  readonly gpa: number;
  readonly entries: BigUint64Array;
}

/** Where leaves point to: pages of zeros in RAM, and addresses where nothing is at all. */
export interface Targets {
  readonly start: number;
  readonly end: number;
}

type Choose = (below: number) => number;

/**
 * Entries at random, with pointers from each level to the next that share tables.
 * @param choose a reproducible source of choices, of numbers below the given one.
 * @param extensions whether the processor has Svnapot and Svpbmt.
 */
export function randomRiscvTables(
  shape: RiscvShape,
  gpa: number,
  targets: Targets,
  choose: Choose,
  extensions: boolean,
): RandomTables {
  const odd = (): bigint => oddBit(choose, extensions);
  return tablesOf(shape, gpa, (level, lower) => {
    const dice = choose(100);
    if (dice < 6) return anything(choose) & ~1n;
    if (level > 0 && dice < 80) return pointer(gpa + lower(choose) * 4096, choose) | odd();
    if (dice < 10) return pointer(gpa, choose);
    const entry = leaf(level, targets, choose) | odd();
    // N wants the page number to end in 1000.
    return entry >> 63n === 1n && choose(2) === 0 ? (entry & ~(0xfn << 10n)) | (8n << 10n) : entry;
  });
}

/** Few entries in each table, and none that breaks a rule: what a listing of all that is mapped has an end for. */
export function tidyRiscvTables(
  shape: RiscvShape,
  gpa: number,
  targets: Targets,
  choose: Choose,
): RandomTables {
  // Some at fixed places, so that no choice leaves too few: three, five or nine in each table.
  const distance = 60 * 2 ** (shape.levels - 3);
  return tablesOf(shape, gpa, (level, lower, index) => {
    const fixed = index % distance === 0;
    if (!fixed && choose(200) > 0) return 0n;
    if (level > 0 && (fixed || choose(4) > 0)) return (BigInt(gpa / 4096 + lower(choose)) << 10n) | 1n;
    // V and R, for W alone is reserved; and any of W, X, U, G, A and D.
    return pageNumber(level, targets, choose, true) | (BigInt(choose(64)) << 2n) | 3n;
  });
}

/** Tables of each level one after the other, the first level first; `lower` chooses one of the next. */
function tablesOf(
  { levels }: RiscvShape,
  gpa: number,
  entry: (level: number, lower: (choose: Choose) => number, index: number) => bigint,
): RandomTables {
  const entries = new BigUint64Array(levels * TABLES_PER_LEVEL * ENTRIES);
  for (let index = 0; index < entries.length; index++) {
    const depth = Math.floor(index / ENTRIES / TABLES_PER_LEVEL);
    const lower = (choose: Choose): number => (depth + 1) * TABLES_PER_LEVEL + choose(TABLES_PER_LEVEL);
    entries[index] = entry(levels - 1 - depth, lower, index % ENTRIES);
  }
  return { gpa, entries };
}

function anything(choose: Choose): bigint {
  return (BigInt(choose(2 ** 32)) << 32n) | BigInt(choose(2 ** 32));
}

/** V, and now and then a bit that must not be set here (A, D and U are reserved in pointers), or an address where there is no RAM. */
function pointer(to: number, choose: Choose): bigint {
  const address = choose(80) === 0 ? to + 2 ** 41 : to;
  const own = choose(60) === 0 ? 1n << BigInt(4 + choose(6)) : 0n;
  return ((BigInt(address) >> 12n) << 10n) | 1n | own;
}

/** Any rights, W without R among them; A and D mostly set; mostly aligned to its size. */
function leaf(level: number, targets: Targets, choose: Choose): bigint {
  const marks = (choose(6) > 0 ? 0x40n : 0n) | (choose(6) > 0 ? 0x80n : 0n) | (BigInt(choose(4)) << 8n);
  const rights = choose(3) > 0 ? 14n : BigInt(1 + choose(7)) << 1n;
  const others = BigInt(choose(4)) << 4n;
  return pageNumber(level, targets, choose, choose(8) > 0) | marks | others | rights | 1n;
}

/** An entry's page number: mostly in RAM, if the page fits there. */
function pageNumber(level: number, { start, end }: Targets, choose: Choose, aligned: boolean): bigint {
  const pages = 2 ** (9 * level);
  const room = (end - start) / 4096;
  const inside = pages * 2 <= room && choose(4) > 0;
  const page = inside ? start / 4096 + choose(room - pages) : 2 ** 28 + choose(2 ** 32);
  return BigInt(aligned ? Math.ceil(page / pages) * pages : page) << 10n;
}

/**
 * Seldom one of bits 63:54, which are all reserved unless there are extensions: then one of N and PBMT (Svnapot, Svpbmt), for QEMU
 * 7.2 does not look at the others any more.
 */
function oddBit(choose: Choose, extensions: boolean): bigint {
  if (extensions) return choose(10) === 0 ? 1n << BigInt(61 + choose(3)) : 0n;
  return choose(50) === 0 ? 1n << BigInt(54 + choose(10)) : 0n;
}

/** An address of a multiple of 4: mostly one that is canonical. */
export function riscvAddress({ levels }: RiscvShape, choose: Choose): bigint {
  const address = anything(choose) & ~3n;
  return choose(20) === 0 ? address : BigInt.asUintN(64, BigInt.asIntN(12 + 9 * levels, address));
}
