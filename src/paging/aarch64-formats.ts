import { AARCH64_STAGE1, AARCH64_STAGE2 } from './aarch64-architecture.ts';
import { bits, type Mask64, NONE } from './bits.ts';
import type { AddressField, EntryRule, LevelFormat, PagingFormat, RightField } from './format.ts';
import { PagingError } from './paging-error.ts';

// The translation tables of VMSAv8-64 (Arm ARM, DDI 0487, D8.2 "Translation process" and D8.3 "Translation table descriptor
// formats"). There are many formats: granule, width of the input and width of the output choose one. Levels count down the
// tree, from -1 or 0 or later to 3, which is always the last.

/** What makes a format of stage 1: fields of TCR_EL1, for one half of the address space. */
export interface AArch64Stage1Options {
  /** Bytes in a table and in the smallest page: TG0 or TG1. */
  readonly granule: 4096 | 16384 | 65536;
  /** Width of an address: 64 less T0SZ or T1SZ. */
  readonly inputBits: number;
  /** `lower`: addresses under TTBR0, which begin with zeros. `upper`: those under TTBR1, with ones. Default `lower`. */
  readonly half?: 'lower' | 'upper';
  /**
   * Entries hold addresses of 52 bits: TCR_EL1.DS with granules of 4 KiB and 16 KiB (FEAT_LPA2), FEAT_LPA with 64 KiB.
   * Default false: 48.
   */
  readonly wide?: boolean;
  /** HPD0 or HPD1: tables do not restrict what is below them. Default false. */
  readonly hierarchyDisabled?: boolean;
}

/** What makes a format of stage 2: fields of VTCR_EL2. */
export interface AArch64Stage2Options {
  /** Bytes in a table and in the smallest page: TG0. */
  readonly granule: 4096 | 16384 | 65536;
  /** Width of a guest-physical address: 64 less T0SZ. */
  readonly inputBits: number;
  /**
   * Where the walk begins: SL0 and SL2. Up to 16 tables stand side by side as the root where it begins a level later than
   * it would have to. Default: the latest, with the most of them.
   */
  readonly startLevel?: number;
  /** As in stage 1, by VTCR_EL2.DS. Default false. */
  readonly wide?: boolean;
  /** FEAT_XNX: execution is denied to EL0 and EL1 apart. Default true: without the feature, the bit for it is 0. */
  readonly xnx?: boolean;
}

const VALID = 0;
/** In a valid entry: a table, or on the last level a page; clear: a block, or on the last level nothing. */
const TABLE = 1;
const ACCESS_FLAG = 10;
const DBM = 51;
const CONTIGUOUS = 52;

const INVALID: EntryRule = { reason: 'not-present', pattern: { mask: bits(VALID), value: NONE } };
const NO_BLOCK: EntryRule = { reason: 'not-present', pattern: { mask: bits(TABLE), value: NONE } };
const TOO_WIDE: EntryRule = { reason: 'address-size', tooWide: true };
/** D8.5: without hardware management of the access flag, a fault; before rights are looked at. */
const NOT_ACCESSED: EntryRule = {
  reason: 'access-flag',
  pattern: { mask: bits(ACCESS_FLAG), value: NONE },
  when: 'accessFault',
};

/** D8.4: AP[2:1] and the two execute-never bits; APTable, UXNTable and PXNTable take away below. */
const STAGE1_RIGHTS: readonly RightField[] = [
  { right: 'write', bit: 7, inverted: true, tableBit: 62, or: { bit: DBM, when: 'hd' } },
  { right: 'user', bit: 6, tableBit: 61 },
  { right: 'execute', bit: 54, inverted: true, tableBit: 60 },
  // EL1 never executes what EL0 can write.
  { right: 'supervisorExecute', bit: 53, inverted: true, tableBit: 59, lostWith: ['write', 'user'] },
];
/** D8.4: S2AP; tables have no say. */
const STAGE2_DATA_RIGHTS: readonly RightField[] = [
  { right: 'read', bit: 6 },
  { right: 'write', bit: 7, or: { bit: DBM, when: 'hd' } },
];
const EXECUTE_NEVER: RightField = { right: 'execute', bit: 54, inverted: true };
/** XN[1:0] is 00 for both, 01 for EL0 only, 10 for neither, 11 for EL1 only: EL1 may where the two bits are the same. */
const EXECUTE_NEVER_EL1: RightField = { right: 'supervisorExecute', bit: 53, xor: 54, inverted: true };

/**
 * The tables of stage 1, which an operating system makes.
 *
 * @throws PagingError `invalid` where the granule does not go with the width of the input
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { aarch64Stage1Format, Translator } from 'guestmem/paging';
 *
 * const format = aarch64Stage1Format({ granule: 65536, inputBits: 42 });
 * assert.deepEqual(format.levels.map(({ level }) => level), [2, 3]);
 *
 * const memory = GuestMemory.allocate(0x3_0000);
 * memory.writeU64(0x1_0000, 0x2000_0401n); // level 2: a block of 512 MiB, accessed, for EL1
 * const translator = new Translator({ memory, format, root: 0x1_0000 });
 * const mapped = translator.translate(0x1234n, { kind: 'write' });
 * assert(mapped.kind === 'mapped');
 * assert.equal(mapped.gpa, 0x2000_1234);
 * const fault = translator.translate(0x1234n, { kind: 'read', user: true });
 * assert(fault.kind === 'page-fault');
 * assert.equal(fault.errorCode, 0x0e); // permission fault, level 2
 * ```
 */
export function aarch64Stage1Format(options: AArch64Stage1Options): PagingFormat {
  const { granule, inputBits, half = 'lower', wide = false, hierarchyDisabled = false } = options;
  const shape = new Shape(granule, wide);
  const widest = granule === 65536 || wide ? 52 : 48;
  checkInput(inputBits, Math.max(16, shape.granuleBits + 1), widest);
  const startLevel = 3 - Math.floor((inputBits - 1 - shape.granuleBits) / shape.stride);
  const rights = hierarchyDisabled
    ? STAGE1_RIGHTS.map(({ tableBit: _none, ...field }) => field)
    : STAGE1_RIGHTS;
  return {
    name: `aarch64-${granule / 1024}k-${inputBits}bit-${half}${wide ? '-wide' : ''}${hierarchyDisabled ? '-hpd' : ''}`,
    title: `AArch64 stage 1, ${granule / 1024} KiB granule, ${inputBits}-bit ${half} half${wide ? ', 52-bit output' : ''}`,
    architecture: AARCH64_STAGE1,
    breakBeforeMake: true,
    upperBits: half === 'lower' ? 'zeros' : 'ones',
    ...shape.tables(inputBits, startLevel),
    rights,
    attributes: [
      // AttrIndx; nG; AF.
      { attribute: 'memoryType', from: 2, bits: 3 },
      { attribute: 'global', from: 11, bits: 1, inverted: true },
      { attribute: 'accessed', from: ACCESS_FLAG, bits: 1 },
      { attribute: 'software', from: 55, bits: 4 },
    ],
    // D8.5: a write through a page with DBM clears AP[2]; through one without, it is allowed only where AP[2] is clear.
    marks: { accessed: ACCESS_FLAG, tables: false, dirty: { bit: 7, inverted: true } },
  };
}

/**
 * The tables of stage 2, which a hypervisor makes: from guest-physical to physical addresses.
 *
 * @throws PagingError `invalid` where granule, width of the input and start level do not go together
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { aarch64Stage2Format } from 'guestmem/paging';
 *
 * // 40 bits by pages of 4 KiB: two tables of level 1 side by side, rather than a level 0 of two entries.
 * const format = aarch64Stage2Format({ granule: 4096, inputBits: 40 });
 * assert.deepEqual(format.levels.map(({ level, indexBits }) => [level, indexBits]), [[1, 10], [2, 9], [3, 9]]);
 * ```
 */
export function aarch64Stage2Format(options: AArch64Stage2Options): PagingFormat {
  const { granule, inputBits, wide = false, xnx = true } = options;
  const shape = new Shape(granule, wide);
  const widest = granule === 65536 || wide ? 52 : 48;
  checkInput(inputBits, Math.max(16, shape.granuleBits + 1), widest);
  const { startLevel = shape.latestStart(inputBits) } = options;
  const below = shape.indexBit(startLevel);
  const firstLevel = (granule === 4096 ? 0 : 1) - (wide && granule !== 65536 ? 1 : 0);
  if (!Number.isInteger(startLevel) || startLevel < firstLevel || startLevel > 3) {
    const why = `current start level ${startLevel}, wanted ${firstLevel} to 3`;
    throw new PagingError('invalid', `Cannot make an AArch64 format: ${why}`);
  }
  // D8.2: at least one bit, and at most 16 tables.
  if (inputBits < below + 1 || inputBits > below + shape.stride + 4) {
    const why = `current input ${inputBits} bits, wanted ${below + 1} to ${below + shape.stride + 4} from level ${startLevel}`;
    throw new PagingError('invalid', `Cannot make an AArch64 format: ${why}`);
  }
  return {
    name: `aarch64-stage2-${granule / 1024}k-${inputBits}bit-level${startLevel}${wide ? '-wide' : ''}${xnx ? '' : '-no-xnx'}`,
    title: `AArch64 stage 2, ${granule / 1024} KiB granule, ${inputBits}-bit from level ${startLevel}${wide ? ', 52-bit output' : ''}`,
    architecture: AARCH64_STAGE2,
    breakBeforeMake: true,
    upperBits: 'zeros',
    ...shape.tables(inputBits, startLevel),
    rights: xnx
      ? [...STAGE2_DATA_RIGHTS, EXECUTE_NEVER, EXECUTE_NEVER_EL1]
      : [...STAGE2_DATA_RIGHTS, EXECUTE_NEVER],
    attributes: [
      // MemAttr; AF.
      { attribute: 'memoryType', from: 2, bits: 4 },
      { attribute: 'accessed', from: ACCESS_FLAG, bits: 1 },
      { attribute: 'software', from: 55, bits: 4 },
    ],
    // D8.6: MemAttr 0b1111 is normal memory, write-back inside and outside; 0 would be a device.
    writeBack: 0b1111,
    // D8.5: a write through a page with DBM sets S2AP[1]; through one without, it is allowed only where S2AP[1] is set.
    marks: { accessed: ACCESS_FLAG, tables: false, dirty: { bit: 7 } },
  };
}

/** What granule and width of the output decide, alike for both stages. */
class Shape {
  readonly granuleBits: number;
  /** Bits that a whole table resolves. */
  readonly stride: number;
  private readonly granule: number;
  private readonly wide: boolean;

  constructor(granule: number, wide: boolean) {
    if (granule !== 4096 && granule !== 16384 && granule !== 65536) {
      const why = `current granule ${granule}, wanted 4096, 16384 or 65536`;
      throw new PagingError('invalid', `Cannot make an AArch64 format: ${why}`);
    }
    this.granule = granule;
    this.granuleBits = Math.log2(granule);
    this.stride = this.granuleBits - 3;
    this.wide = wide;
  }

  /** Lowest address bit that a level resolves. */
  indexBit(level: number): number {
    return this.granuleBits + this.stride * (3 - level);
  }

  /** The last level that resolves an input with its stride and four bits more. */
  latestStart(inputBits: number): number {
    return 3 - Math.max(0, Math.ceil((inputBits - this.granuleBits - this.stride - 4) / this.stride));
  }

  tables(
    inputBits: number,
    startLevel: number,
  ): Pick<
    PagingFormat,
    | 'addressBits'
    | 'entrySize'
    | 'root'
    | 'tableAddress'
    | 'tableSize'
    | 'physicalBits'
    | 'freshLeaf'
    | 'levels'
  > {
    const rootBits = inputBits - this.indexBit(startLevel) + 3;
    const count = 4 - startLevel;
    return {
      addressBits: inputBits,
      entrySize: 8,
      // A root is aligned to its size, however small.
      root: bits(this.wide ? 51 : 47, rootBits),
      tableAddress: this.address(this.granuleBits),
      tableSize: this.granule,
      physicalBits: this.wide ? 52 : 48,
      freshLeaf: this.shareable(),
      levels: Array.from({ length: count }, (_, i) =>
        this.level(startLevel + i, i === 0 ? inputBits : undefined),
      ),
    };
  }

  private level(level: number, inputBits: number | undefined): LevelFormat {
    const indexBit = this.indexBit(level);
    const page = level === 3;
    const leaves = page || this.hasBlocks(level);
    const entries = this.contiguous(level);
    return {
      level,
      entry: `L${level} descriptor`,
      indexBit,
      indexBits: inputBits === undefined ? this.stride : inputBits - indexBit,
      table: page ? 'never' : leaves ? { mask: bits(TABLE), value: bits(TABLE) } : 'always',
      rules: [INVALID],
      tableRules: leaves ? [TOO_WIDE] : [NO_BLOCK, TOO_WIDE],
      leafRules: page ? [NO_BLOCK, TOO_WIDE, NOT_ACCESSED] : [TOO_WIDE, NOT_ACCESSED],
      leafAddress: leaves ? this.address(indexBit) : [],
      ...(entries > 1 && { contiguous: { bit: CONTIGUOUS, entries } }),
      newLeaf: page ? bits(TABLE, VALID) : bits(VALID),
      newTable: bits(TABLE, VALID),
    };
  }

  /** D8.3: which levels have blocks. 512 GiB, 64 GiB and 4 TiB are of the 52-bit forms. */
  private hasBlocks(level: number): boolean {
    if (level === 2) return true;
    if (this.granule === 4096) return level === 1 || (level === 0 && this.wide);
    return level === 1 && this.wide;
  }

  /** D8.7: of how many leaves a contiguous group is. */
  private contiguous(level: number): number {
    if (level === 3) return { 4096: 16, 16384: 128, 65536: 32 }[this.granule] ?? 1;
    if (level === 2) return this.granule === 4096 ? 16 : 32;
    return level === 1 && this.granule === 4096 ? 16 : 1;
  }

  /** D8.3: where the 52-bit forms keep the upper bits: 15:12 with 64 KiB, 9:8 for bits 51:50 with the others. */
  private address(low: number): AddressField[] {
    if (!this.wide) return [{ from: low, bits: 48 - low, to: low }];
    if (this.granule === 65536)
      return [
        { from: low, bits: 48 - low, to: low },
        { from: 12, bits: 4, to: 48 },
      ];
    return [
      { from: low, bits: 50 - low, to: low },
      { from: 8, bits: 2, to: 50 },
    ];
  }

  /** SH[1:0] of a new leaf: inner shareable, as memory that processors share is. In FEAT_LPA2's form they are not there. */
  private shareable(): Mask64 {
    return this.wide && this.granule !== 65536 ? NONE : bits(9, 8);
  }
}

function checkInput(inputBits: number, least: number, most: number): void {
  if (Number.isInteger(inputBits) && inputBits >= least && inputBits <= most) return;
  const why = `current input ${inputBits} bits, wanted ${least} to ${most}`;
  throw new PagingError('invalid', `Cannot make an AArch64 format: ${why}`);
}
