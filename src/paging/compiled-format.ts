import {
  ACCESS_CODES,
  ALIGNMENT_CHECK,
  EXECUTE_ACCESS,
  READ_ACCESS,
  USER_MODE,
  WRITE_ACCESS,
} from './access.ts';
import type { PagingFormat } from './format.ts';
import { Level } from './level.ts';
import { EXECUTE, USER, WRITE } from './rights.ts';
import { upperHalf } from './virtual-range.ts';
import { type ResolvedControls, resolveControls, type X86Controls } from './x86-controls.ts';

// A constant of this module is known to the optimiser, an imported one is looked up every time.
const writeOrUser: number = WRITE | USER;
const execute: number = EXECUTE;

/**
 * A format compiled for given controls: everything that a walk needs, as integers. Compiling costs microseconds and
 * is done once per {@link Translator}.
 */
export class CompiledFormat {
  readonly format: PagingFormat;
  readonly controls: ResolvedControls;
  /** The root level; the others hang from it. */
  readonly top: Level;
  readonly rootLo: number;
  readonly rootHi: number;
  readonly tableAddressLo: number;
  readonly tableAddressHi: number;
  /** The upper half of an address, shifted right by this with its sign, must be 0 or `canonicalOnes`. */
  readonly canonicalShift: number;
  readonly canonicalOnes: number;
  readonly presentMask: number;
  /** First page number after the hole in the middle of the address space (see virtual-range.ts). */
  readonly upperHalf: number;
  /** Where the two rights bits and the no-execute bit of an entry go to become a rights code. */
  readonly rightsShift: number;
  readonly noExecuteShift: number;
  /** For each access code, a bit per rights code: may it? */
  readonly permitted: Int32Array;
  /** The same the other way round: for each rights code, a bit per access code. */
  readonly accessesOf: Int32Array;
  /** Whether leaves carry protection keys that are in force. */
  readonly keyed: boolean;
  /** Where the key stands in the upper half of a leaf. */
  readonly keyShift: number;
  /** Whether the error code tells a fetch: only where execution can be denied (SDM 3A, 5.7 "Page-Fault Exceptions"). */
  readonly reportsFetch: boolean;

  constructor(format: PagingFormat, controls: X86Controls | undefined) {
    const resolved = resolveControls(controls);
    this.format = format;
    this.controls = resolved;
    this.top = linkLevels(format, resolved);
    this.rootLo = format.root.lo | 0;
    this.rootHi = format.root.hi | 0;
    this.tableAddressLo = format.tableAddress.lo | 0;
    this.tableAddressHi = format.tableAddress.hi | 0;
    this.canonicalShift = format.signExtended ? format.addressBits - 33 : format.addressBits - 32;
    this.canonicalOnes = format.signExtended ? -1 : 0;
    this.upperHalf = upperHalf(format);
    this.presentMask = 1 << format.entry.present;
    this.rightsShift = format.entry.write;
    this.noExecuteShift = (format.entry.noExecute ?? 63) - 32 - 2;
    this.permitted = permittedAccesses(resolved);
    this.accessesOf = transpose(this.permitted);
    this.keyShift = (format.entry.protectionKey ?? 32) - 32;
    this.keyed = format.entry.protectionKey !== undefined && (resolved.pku || resolved.pks);
    this.reportsFetch = resolved.smep || (resolved.nxe && format.entry.noExecute !== undefined);
  }

  /** Protection key of a leaf, from its upper half. */
  keyOf(entryHi: number): number {
    return (entryHi >>> this.keyShift) & 15;
  }

  /** Rights code of a walk, from the AND of all lower halves and the OR of all upper halves. */
  rights(andLo: number, orHi: number): number {
    return ((andLo >>> this.rightsShift) & writeOrUser) | ((~orHi >>> this.noExecuteShift) & execute);
  }
}

function linkLevels(format: PagingFormat, controls: ResolvedControls): Level {
  let below: Level | undefined;
  for (const level of [...format.levels].reverse()) below = new Level(format, level, below, controls);
  if (below === undefined) throw new RangeError(`Format ${format.name} has no levels`);
  return below;
}

/** The rules of SDM 3A, 5.6.1 "Determination of Access Rights", as one table. */
function permittedAccesses(controls: ResolvedControls): Int32Array {
  const { wp, smep, smap } = controls;
  const permitted = new Int32Array(ACCESS_CODES);
  for (let access = 0; access < ACCESS_CODES; access++) {
    const kind = access & 3;
    const user = (access & USER_MODE) !== 0;
    const ac = (access & ALIGNMENT_CHECK) !== 0;
    for (let rights = 0; rights < 8; rights++) {
      const userPage = (rights & USER) !== 0;
      const mode = user ? userPage : !userPage || (kind === EXECUTE_ACCESS ? !smep : !smap || ac);
      const allowed =
        kind === READ_ACCESS ||
        (kind === WRITE_ACCESS && ((rights & WRITE) !== 0 || (!user && !wp))) ||
        (kind === EXECUTE_ACCESS && (rights & EXECUTE) !== 0);
      if (mode && allowed) permitted[access] = (permitted[access] ?? 0) | (1 << rights);
    }
  }
  return permitted;
}

function transpose(permitted: Int32Array): Int32Array {
  const accessesOf = new Int32Array(8);
  permitted.forEach((row, access) => {
    for (let rights = 0; rights < 8; rights++) {
      accessesOf[rights] = (accessesOf[rights] ?? 0) | (((row >>> rights) & 1) << access);
    }
  });
  return accessesOf;
}
