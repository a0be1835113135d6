import { ACCESS_CODES, accessFacts } from './access.ts';
import { type ProtectionKeys, type ResolvedControls, resolveControls } from './architecture.ts';
import { isOn } from './entry-rules.ts';
import { FieldMover } from './field-mover.ts';
import type { AttributeName, PagingFormat, RightField } from './format.ts';
import { Level } from './level.ts';
import {
  EXECUTE,
  READ,
  RIGHT_BITS,
  RIGHTS_CODES,
  rightsOf,
  SUPERVISOR_EXECUTE,
  USER,
  WRITE,
} from './rights.ts';
import { ShadowStacks } from './shadow-stacks.ts';
import { upperHalf } from './virtual-range.ts';

// A constant of this module is known to the optimiser, an imported one is looked up every time.
const writeOrUser: number = WRITE | USER;
const execute: number = EXECUTE;

/**
 * A format compiled for given controls: everything that a walk needs, as integers. Compiling takes 100 µs and
 * is done once for each format and controls (compile-format.ts).
 */
export class CompiledFormat {
  readonly format: PagingFormat;
  readonly controls: ResolvedControls;
  /** Width of a physical address. */
  readonly physicalBits: number;
  /** First address behind physical memory. */
  readonly physicalEnd: number;
  /** Bytes in the smallest page. */
  readonly granule: number;
  /** The root level; the others hang from it. */
  readonly top: Level;
  /** All of them, the root level first. */
  readonly levels: readonly Level[];
  readonly rootLo: number;
  readonly rootHi: number;
  readonly tableAddress: FieldMover;
  /** Bits 31:0 of an entry that tables hand down to everything below them. */
  readonly inheritedLo: number;
  /** Bits 63:32 of a leaf's address that are too many, where only an access finds it out; else 0. */
  readonly lateWidthHi: number;
  /** Bits of the address in an entry that points to a table, where they stand where they belong. */
  readonly tableAddressLo: number;
  readonly tableAddressHi: number;
  /** The upper half of an address, shifted right by this with its sign, must be one of two values. */
  readonly upperShift: number;
  readonly upperValue: number;
  readonly otherUpperValue: number;
  /** Bits of an address that has fewer than 32, which its lower half must repeat as well; else 0. */
  readonly lowerTop: number;
  /** First page number after the hole in the middle of the address space (see virtual-range.ts). */
  readonly upperHalf: number;
  /**
   * 1 where addresses in entries stand where they belong and rights are gathered by two shifts: all formats of x86. The
   * walk then does without calls (10 ns of 45).
   */
  readonly plain: number;
  /** Where the two rights bits and the no-execute bit of an entry go to become a rights code. */
  readonly rightsShift: number;
  readonly noExecuteShift: number;
  /** For each access code, a bit per rights code: may it, if rights settle that? */
  readonly permitted: Int32Array;
  /** The same the other way round: for each rights code, a bit per access code. */
  readonly accessesOf: Int32Array;
  /** Protection keys that are in force, and where the key stands in the upper half of a leaf. */
  readonly keys: ProtectionKeys | undefined;
  readonly keyShift: number;
  /** Which pages are shadow stacks; `undefined` where they are not in force. */
  readonly shadowStacks: ShadowStacks | undefined;
  /** Whether execution by user and by supervisor mode have a bit each. */
  readonly tellsUserExecute: boolean;
  /** Whether some bit can deny execution. */
  readonly deniesExecution: boolean;
  /** Rights that the format has no bits for: everybody has them. */
  private readonly implied: number;
  /** Rights with which that of the supervisor to execute is lost, as a code; -1, which no code is, where there are none. */
  private readonly supervisorLoses: number;
  private readonly rightFields: readonly CompiledRight[];

  constructor(format: PagingFormat, controls: object | undefined) {
    const { architecture, addressBits, upperBits } = format;
    const resolved = resolveControls(architecture, controls);
    this.format = format;
    this.controls = resolved;
    this.physicalBits = Math.min(format.physicalBits, architecture.physicalBits(resolved));
    this.physicalEnd = 2 ** this.physicalBits;
    this.inheritedLo = format.attributes
      .filter(({ inherited }) => inherited === true)
      .reduce((mask, { from, bits }) => mask | ((2 ** bits - 1) << from), 0);
    this.lateWidthHi = format.lateWidth === true ? -(2 ** (this.physicalBits - 32)) | 0 : 0;
    this.levels = linkLevels(format, resolved);
    this.top = this.levels[0] as Level;
    this.granule = Math.min(...this.levels.map(({ pageSize }) => pageSize));
    this.rootLo = format.root.lo | 0;
    this.rootHi = format.root.hi | 0;
    this.tableAddress = new FieldMover(format.tableAddress);
    this.tableAddressLo = this.tableAddress.lo;
    this.tableAddressHi = this.tableAddress.hi;
    this.upperShift = Math.max(0, upperBits === 'signed' ? addressBits - 33 : addressBits - 32);
    this.upperValue = upperBits === 'ones' ? -1 : 0;
    this.otherUpperValue = upperBits === 'zeros' ? 0 : -1;
    this.lowerTop = -(2 ** addressBits) | 0;
    this.upperHalf = upperHalf(format);
    this.rightFields = format.rights.map((field) => compileRight(field, resolved));
    const named = format.rights.reduce((code, { right }) => code | RIGHT_BITS[right], 0);
    this.implied = (RIGHTS_CODES - 1) & ~named;
    const lost = format.rights.find(({ right }) => right === 'supervisorExecute')?.lostWith;
    this.supervisorLoses = lost?.reduce((code, right) => code | RIGHT_BITS[right], 0) ?? -1;
    this.tellsUserExecute = (named & SUPERVISOR_EXECUTE) !== 0;
    this.plain = isPlain(format) ? 1 : 0;
    this.rightsShift = format.rights[0]?.bit ?? 0;
    // From bit 63, which is bit 31 of the upper half, to bit 2.
    this.noExecuteShift = 29;
    const { shadowStacks } = format;
    this.shadowStacks =
      shadowStacks !== undefined && isOn(resolved, shadowStacks.when)
        ? new ShadowStacks(shadowStacks)
        : undefined;
    this.permitted = permittedAccesses(this);
    this.accessesOf = transpose(this.permitted);
    this.keys = architecture.keys?.(resolved);
    const key = format.attributes.find(({ attribute }) => attribute === 'protectionKey');
    if (key === undefined) this.keys = undefined;
    this.keyShift = (key?.from ?? 32) - 32;
    this.deniesExecution = (named & EXECUTE) !== 0;
  }

  /** Protection key of a leaf, from its upper half. */
  keyOf(entryHi: number): number {
    return (entryHi >>> this.keyShift) & 15;
  }

  /**
   * Rights code of a walk that ended at the leaf `hi:lo`, from the AND of the lower halves and the OR of the upper halves of
   * the tables above.
   */
  rights(andLo: number, orHi: number, lo: number, hi: number): number {
    if (this.plain === 0) return this.gather(andLo, orHi, lo, hi);
    return (
      (((andLo & lo) >>> this.rightsShift) & writeOrUser) | ((~(orHi | hi) >>> this.noExecuteShift) & execute)
    );
  }

  /** What the tables alone leave, as a rights code: the same for the same rights below. */
  inherited(andLo: number, orHi: number): number {
    let code = 0;
    for (const field of this.rightFields) if (leftByTables(field, andLo, orHi)) code |= field.code;
    return code;
  }

  /** A rights code as {@link rightsOf} takes it: with what the format has no bits for, and without what others take away. */
  complete(code: number): number {
    const full = code | this.implied;
    if (this.tellsUserExecute)
      return (full & this.supervisorLoses) === this.supervisorLoses ? full & ~SUPERVISOR_EXECUTE : full;
    return (full & execute) !== 0 ? full | SUPERVISOR_EXECUTE : full & ~SUPERVISOR_EXECUTE;
  }

  /** The part of a rights code that the format has bits for. */
  expressible(code: number): number {
    return this.rightFields.reduce((named, field) => named | (code & field.code), 0);
  }

  /** Throws what `fail` makes of an attribute that the format has no room for. */
  checkAttributes(
    wanted: Partial<Readonly<Record<(typeof NUMBERS)[number], number>>> & { readonly global?: boolean },
    fail: (why: string) => Error,
  ): void {
    for (const name of NUMBERS) {
      const value = wanted[name] ?? 0;
      const most = this.largest(name);
      if (!Number.isInteger(value) || value < 0 || value > most) {
        const words = {
          memoryType: 'memory type',
          protectionKey: 'protection key',
          software: 'software bits',
        };
        throw fail(`current ${words[name]} ${value}, wanted 0${most === 0 ? '' : ` to ${most}`}`);
      }
    }
    if (wanted.global === true && this.largest('global') === 0) throw fail('this format has no global pages');
  }

  /** The largest value of an attribute; 0 where the format has no bits for it. */
  private largest(name: AttributeName): number {
    const fields = [this.format, ...this.format.levels]
      .flatMap(({ attributes = [] }) => attributes)
      .filter(({ attribute }) => attribute === name);
    return fields.reduce((most, { bits, to = 0 }) => Math.max(most, 2 ** (to + bits) - 1), 0);
  }

  private gather(andLo: number, orHi: number, lo: number, hi: number): number {
    let code = 0;
    for (const field of this.rightFields) {
      const set = bitOf(lo, hi, field.bit) ^ bitOf(lo, hi, field.xorBit);
      const granted = set !== field.inverted || bitOf(lo, hi, field.orBit) !== 0;
      if (granted && leftByTables(field, andLo, orHi)) code |= field.code;
    }
    const { shadowStacks } = this;
    if (shadowStacks?.readOnly === true && shadowStacks.has(andLo, lo, hi)) return (code & ~WRITE) | READ;
    return code;
  }
}

/** Attributes that a caller gives as a number. */
const NUMBERS = ['memoryType', 'protectionKey', 'software'] as const;

/** A right's bits, with -1 for those that are not there. */
interface CompiledRight {
  readonly code: number;
  readonly bit: number;
  /** 1: the bit denies. */
  readonly inverted: number;
  readonly tableBit: number;
  readonly xorBit: number;
  readonly orBit: number;
}

function compileRight(
  { right, bit, inverted, tableBit, xor, or }: RightField,
  controls: ResolvedControls,
): CompiledRight {
  return {
    code: RIGHT_BITS[right],
    bit,
    inverted: inverted === true ? 1 : 0,
    tableBit: tableBit ?? -1,
    xorBit: xor ?? -1,
    orBit: or !== undefined && isOn(controls, or.when) ? or.bit : -1,
  };
}

function leftByTables({ tableBit }: CompiledRight, andLo: number, orHi: number): boolean {
  if (tableBit < 0) return true;
  return tableBit < 32 ? ((andLo >>> tableBit) & 1) !== 0 : ((orHi >>> (tableBit - 32)) & 1) === 0;
}

function bitOf(lo: number, hi: number, bit: number): number {
  if (bit < 0) return 0;
  return (bit < 32 ? lo >>> bit : hi >>> (bit - 32)) & 1;
}

/** Whether the walk's own two shifts gather the rights, masks alone the addresses, and 32 bits hold one within a page. */
function isPlain({ rights, tableAddress, levels, lateWidth }: PagingFormat): boolean {
  const [first] = rights;
  const wanted = plainRights(first?.bit);
  const leaves = levels.flatMap(({ indexBit, leafAddress, specialLeaf }) => [
    { pageBits: indexBit, address: leafAddress },
    ...(specialLeaf === undefined ? [] : [specialLeaf]),
  ]);
  return (
    rights.length >= 2 &&
    rights.every((field, i) => isSame(field, wanted[i])) &&
    [{ address: tableAddress }, ...leaves].every(({ address }) => {
      const { shift, foldTo } = new FieldMover(address);
      return shift === 0 && foldTo === 0;
    }) &&
    new FieldMover(tableAddress).foldMask === 0 &&
    leaves.every(({ pageBits, address }) => pageBits <= 32 || address.length === 0) &&
    lateWidth !== true
  );
}

/** x86's: two that grant, side by side, then it may be one that denies in bit 63; tables have the same bits. */
function plainRights(bit = 0): readonly RightField[] {
  return [
    { right: 'write', bit, tableBit: bit },
    { right: 'user', bit: bit + 1, tableBit: bit + 1 },
    { right: 'execute', bit: 63, tableBit: 63, inverted: true },
  ];
}

function isSame(field: RightField, other: RightField | undefined): boolean {
  return (['right', 'bit', 'tableBit', 'inverted', 'xor', 'or'] as const).every(
    (name) => field[name] === other?.[name],
  );
}

function linkLevels(format: PagingFormat, controls: ResolvedControls): Level[] {
  const levels: Level[] = [];
  for (const level of [...format.levels].reverse())
    levels.unshift(new Level(format, level, levels[0], controls));
  if (levels.length === 0) throw new RangeError(`Format ${format.name} has no levels`);
  return levels;
}

function permittedAccesses(compiled: CompiledFormat): Int32Array {
  const { controls, format } = compiled;
  return Int32Array.from({ length: ACCESS_CODES }, (_, access) => {
    const facts = accessFacts(access);
    // Rights do not settle what a shadow stack's own instructions may do.
    if (facts === undefined || (facts.shadowStack && compiled.shadowStacks !== undefined)) return 0;
    return bitsWhere(RIGHTS_CODES, (rights) =>
      format.architecture.allows(rightsOf(compiled.complete(rights)), facts, controls),
    );
  });
}

function transpose(permitted: Int32Array): Int32Array {
  return Int32Array.from({ length: RIGHTS_CODES }, (_, rights) =>
    bitsWhere(ACCESS_CODES, (access) => (((permitted[access] ?? 0) >>> rights) & 1) !== 0),
  );
}

/** A bit for each number below `count` of which something is so. */
function bitsWhere(count: number, isSo: (number: number) => boolean): number {
  return Array.from({ length: count }, (_, number) => (isSo(number) ? 1 << number : 0)).reduce(
    (a, b) => a | b,
  );
}
