/** QEMU's own answers, read from its monitor's text: the expected values for what guestmem says about the same machine. */

/** One line of `info tlb`: one page, however big. */
export interface TlbLine {
  readonly gva: bigint;
  /** QEMU 7.2 masks the leaf with 50 bits, so higher ones are missing (none of our guests has any). */
  readonly gpa: number;
  /** The leaf's bits alone: the parents' rights are not in it. */
  readonly noExecute: boolean;
  readonly global: boolean;
  /** Bit 7: page size for a big leaf, but PAT for a 4 KiB one. */
  readonly big: boolean;
  readonly dirty: boolean;
  readonly user: boolean;
  readonly writable: boolean;
}

/** Parses `info tlb`: `va: pa XGPDACTUW`. For PAE, QEMU 7.2 leaves NX in the physical address, as its bit 63. */
export function parseInfoTlb(text: string): TlbLine[] {
  const lines: TlbLine[] = [];
  for (const match of text.matchAll(/^([0-9a-f]{16}): ([0-9a-f]{16}) ([XGPDACTUW-]{9})\r?$/gm)) {
    const [, gva = '', gpa = '', flags = ''] = match;
    lines.push({
      gva: BigInt(`0x${gva}`),
      gpa: Number(BigInt.asUintN(63, BigInt(`0x${gpa}`))),
      noExecute: flags[0] === 'X',
      global: flags[1] === 'G',
      big: flags[2] === 'P',
      dirty: flags[3] === 'D',
      user: flags[7] === 'U',
      writable: flags[8] === 'W',
    });
  }
  return lines;
}

/** One line of `info mem`: a run of virtual addresses with the same rights, ANDed over all levels (execution is not in it). */
export interface MemLine {
  readonly start: bigint;
  readonly size: bigint;
  readonly user: boolean;
  readonly writable: boolean;
}

/** Parses `info mem`: `start-end size urw`. */
export function parseInfoMem(text: string): MemLine[] {
  const lines: MemLine[] = [];
  for (const match of text.matchAll(/^([0-9a-f]{16})-[0-9a-f]{16} ([0-9a-f]{16}) ([u-])r([w-])\r?$/gm)) {
    const [, start = '', size = '', user, writable] = match;
    lines.push({
      start: BigInt(`0x${start}`),
      size: BigInt(`0x${size}`),
      user: user === 'u',
      writable: writable === 'w',
    });
  }
  return lines;
}

/** One range of a flat view in `info mtree -f`. */
export interface FlatRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly kind: string;
  readonly name: string;
  /** Offset in the RAM block, where the listing gives one. */
  readonly offset: number;
}

/** The ranges of the flat view that the address space "memory" uses: the order of views is not fixed. */
export function parseFlatView(text: string): FlatRange[] {
  const view = text
    .split(/^FlatView #\d+\r?$/m)
    .find((part) => /^ AS "memory", root: system\r?$/m.test(part));
  const ranges: FlatRange[] = [];
  const line =
    /^ {2}([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, ([^)]+)\): (.*?)(?: @([0-9a-f]{16}))?(?: KVM)?\r?$/gm;
  for (const match of (view ?? '').matchAll(line)) {
    const [, start = '', last = '', kind = '', name = '', offset = '0'] = match;
    ranges.push({
      start: Number(`0x${start}`),
      end: Number(`0x${last}`) + 1,
      kind,
      name,
      offset: Number(`0x${offset}`),
    });
  }
  return ranges;
}

/** The bytes of `xp /Ngx`: `address: 0x0123456789abcdef 0x...`, little-endian quadwords. */
export function parseXp(text: string): Uint8Array {
  const words = [...text.matchAll(/ 0x([0-9a-f]{16})/g)].map((match) => BigInt(`0x${match[1] ?? '0'}`));
  return new Uint8Array(new BigUint64Array(words).buffer);
}
