import { bits, NONE, union } from './bits.ts';
import type { AddressField } from './format.ts';

/**
 * Moves address bits between an entry and an address, as 32-bit integers: a shift that is the same for all bits, masks,
 * and at most one field of the lower half that holds upper address bits (PSE-36, AArch64's 52 bits). Every format's
 * entries are of this kind; the constructor refuses a description that is not.
 */
export class FieldMover {
  /** Bits to shift the entry left: 0, or 2 for RISC-V, whose page numbers stand 2 bits lower than in an address. */
  readonly shift: number;
  /** Bits of the address, after the shift, that stand where they belong. */
  readonly lo: number;
  readonly hi: number;
  /** The field that is moved by itself: (entry's lower half >>> foldShift) & foldMask, to bit 32 + foldTo. */
  readonly foldShift: number;
  readonly foldMask: number;
  readonly foldTo: number;

  constructor(fields: readonly AddressField[]) {
    const [first] = fields;
    this.shift = first === undefined ? 0 : first.to - first.from;
    let inPlace = NONE;
    let fold: AddressField | undefined;
    for (const field of fields) {
      const { from, bits: count, to } = field;
      if (to - from === this.shift) {
        inPlace = union(inPlace, bits(to + count - 1, to));
      } else if (fold === undefined && to >= 32 && from + count <= 32) {
        fold = field;
      } else {
        throw new RangeError(`An address field at bit ${from} of an entry cannot be moved to bit ${to}`);
      }
    }
    if (this.shift < 0 || this.shift > 31)
      throw new RangeError(`An entry cannot be shifted by ${this.shift}`);
    this.lo = inPlace.lo | 0;
    this.hi = inPlace.hi | 0;
    this.foldShift = fold === undefined ? 0 : fold.from;
    this.foldMask = fold === undefined ? 0 : (2 ** fold.bits - 1) | 0;
    this.foldTo = fold === undefined ? 0 : fold.to - 32;
  }

  /** Bits 31:0 of the address in an entry. */
  addressLo(lo: number): number {
    return (lo << this.shift) & this.lo;
  }

  /** Bits 63:32 of the address in an entry. */
  addressHi(lo: number, hi: number): number {
    const shifted = this.shift === 0 ? hi : (hi << this.shift) | (lo >>> (32 - this.shift));
    return (shifted & this.hi) | (((lo >>> this.foldShift) & this.foldMask) << this.foldTo);
  }

  /** Bits 31:0 of an entry that holds an address. */
  entryLo(lo: number, hi: number): number {
    const inPlace = lo & this.lo;
    const shifted =
      this.shift === 0 ? inPlace : (inPlace >>> this.shift) | ((hi & this.hi) << (32 - this.shift));
    return shifted | (((hi >>> this.foldTo) & this.foldMask) << this.foldShift);
  }

  /** Bits 63:32 of an entry that holds an address. */
  entryHi(hi: number): number {
    return (hi & this.hi) >>> this.shift;
  }
}
