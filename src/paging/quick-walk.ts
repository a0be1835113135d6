import type { CompiledFormat } from './compiled-format.ts';
import { type EntryReader, entryHalves } from './entry-reader.ts';
import { type Level, UPPER_WORD } from './level.ts';
import { EXECUTE, USER, WRITE } from './rights.ts';
import type { WalkTrace } from './walk-report.ts';

// Constants of this module are known to the optimiser, imported ones are looked up every time.
const entry: Uint32Array = entryHalves;
const cell: BigUint64Array = new BigUint64Array(entryHalves.buffer);
const upperWord: number = UPPER_WORD;
const writeOrUser: number = WRITE | USER;
const execute: number = EXECUTE;

/** Index bits and entry size of the tables that are looked at here: 512 entries of 8 bytes. */
const INDEX_BITS = 9;
/** Bits 63:32 of an address from 8 TiB on: page numbers from there are no small integers. */
const FAR = ~0x7ff;

/**
 * The walk that nearly every access makes: good tables down to a good page with the rights that are asked for, all in
 * memory that may be read straight away. What is found here is what the walk itself would have found; everything else,
 * down to the faults, is left to it. 34 ns for four levels where the walk, which knows every format and every case, takes
 * 49 (Node 26; case P7 of the benchmark).
 *
 * For x86's formats of 64 bits, nested ones too: tables of one size.
 */
export class QuickWalk {
  private readonly suits: boolean;
  private readonly reader: EntryReader;
  private readonly trace: WalkTrace;
  private readonly levels: readonly Level[];
  private readonly permitted: Int32Array;
  /** Lowest address bit of the root's index. */
  private readonly topBit: number;
  private readonly upperShift: number;
  private readonly upperValue: number;
  private readonly otherUpperValue: number;
  private readonly rootLo: number;
  private readonly rootHi: number;
  private readonly addressLo: number;
  private readonly addressHi: number;
  private readonly tableTestLo: number;
  private readonly tableTestHi: number;
  private readonly tableTestValue: number;
  private readonly rightsShift: number;
  private readonly noExecuteShift: number;

  /** @param judged - rights alone settle whether an access is allowed, and nothing has to be marked */
  constructor(trace: WalkTrace, reader: EntryReader, judged: boolean) {
    const { compiled } = trace;
    this.trace = trace;
    this.reader = reader;
    this.levels = compiled.levels;
    this.permitted = compiled.permitted;
    this.topBit = compiled.top.format.indexBit;
    this.upperShift = compiled.upperShift;
    this.upperValue = compiled.upperValue;
    this.otherUpperValue = compiled.otherUpperValue;
    this.rootLo = compiled.rootLo;
    this.rootHi = compiled.rootHi;
    this.addressLo = compiled.tableAddressLo;
    this.addressHi = compiled.tableAddressHi;
    // One test for all levels: as strict as each of them.
    const upperLevels = compiled.levels.slice(0, -1);
    this.tableTestLo = upperLevels.reduce((mask, level) => mask | level.tableTestLo, 0);
    this.tableTestHi = upperLevels.reduce((mask, level) => mask | level.tableTestHi, this.addressHi & FAR);
    this.tableTestValue = upperLevels.reduce((value, level) => value | level.tableTestValue, 0);
    this.rightsShift = compiled.rightsShift;
    this.noExecuteShift = compiled.noExecuteShift;
    this.suits = judged && suits(compiled);
  }

  /** Number of the physical page; -1 where the walk itself has to look. */
  look(lo: number, hi: number, access: number): number {
    const { reader, addressLo, addressHi, tableTestLo, tableTestHi, tableTestValue } = this;
    lo |= 0;
    hi |= 0;
    const top = hi >> this.upperShift;
    let tableLo = (reader.root[0] as number) & this.rootLo;
    let tableHi = (reader.root[1] as number) & this.rootHi;
    if (
      this.suits === false ||
      (top !== this.upperValue && top !== this.otherUpperValue) ||
      (tableHi & FAR) !== 0
    )
      return -1;
    const { firstPage, readPages, u32, u64, exclusive } = reader.window;
    const pages = readPages | 0;
    const upper = (hi << (32 - upperWord)) | (lo >>> upperWord);
    let andLo = -1;
    let orHi = 0;
    let entryLo = 0;
    let entryHi = 0;
    let depth = 0;
    for (let bit = this.topBit | 0; ; bit -= INDEX_BITS) {
      const word = bit >= upperWord ? upper >>> (bit - upperWord) : lo >>> bit;
      const page = ((tableLo >>> 12) | (tableHi << 20)) - firstPage;
      if (page >>> 0 >= pages) return -1;
      const index = (page << INDEX_BITS) | (word & 0x1ff);
      if (exclusive) {
        entryLo = (u32[2 * index] as number) | 0;
        entryHi = (u32[2 * index + 1] as number) | 0;
      } else {
        cell[0] = u64[index] as bigint;
        entryLo = (entry[0] as number) | 0;
        entryHi = (entry[1] as number) | 0;
      }
      andLo &= entryLo;
      orHi |= entryHi;
      const noTable = ((entryLo & tableTestLo) ^ tableTestValue) | (entryHi & tableTestHi);
      if (bit === 12 || noTable !== 0) break;
      tableLo = entryLo & addressLo;
      tableHi = entryHi & addressHi;
      depth++;
    }
    const level = this.levels[depth] as Level;
    const pageHi = entryHi & level.leafAddressHi;
    const noLeaf = ((entryLo & level.leafTestLo) ^ level.leafTestValue) | (entryHi & level.leafTestHi);
    const rights = ((andLo >>> this.rightsShift) & writeOrUser) | ((~orHi >>> this.noExecuteShift) & execute);
    if ((noLeaf | (pageHi & FAR)) !== 0 || (((this.permitted[access] as number) >>> rights) & 1) === 0)
      return -1;
    this.trace.reads = depth + 1;
    return (pageHi << 20) | (((entryLo & level.leafAddressLo) | (lo & level.pageMask)) >>> 12);
  }
}

/**
 * Whether all tables are of 512 entries, with addresses and rights where x86 has them. That entries have 8 bytes need not be
 * asked: no window has others.
 */
function suits({ levels, lowerTop, plain }: CompiledFormat): boolean {
  return (
    plain === 1 &&
    lowerTop === 0 &&
    levels.every((level) => level.format.indexBits === INDEX_BITS && level.foldMask === 0)
  );
}
