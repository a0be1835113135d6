import { bits, type Mask64, union } from './bits.ts';
import type { LeafField } from './entry-codec.ts';
import type { AddressField, Marks } from './format.ts';

/**
 * Which bits of two leaves of a level have to agree for the two to be listed as one range: rights, kind of memory and
 * whether global; with `details` also what use has left in them, keys and software's own bits.
 */
export class ListingMasks {
  /** What a leaf says beside rights and address. */
  readonly attributesLo: number;
  readonly attributesHi: number;
  /** That, its rights, and what makes it a leaf: two leaves that are equal in these map memory in the same way. */
  readonly kindLo: number;
  readonly kindHi: number;
  /** That and the address: all that makes a difference to a listing. */
  readonly listedLo: number;
  readonly listedHi: number;

  /**
   * @param leaf - the bits that tell a leaf at first sight
   * @param address - where a leaf has its address
   * @param details - tell marks, keys and software's bits apart too
   */
  constructor(
    fields: readonly LeafField[],
    leaf: Mask64,
    address: readonly AddressField[],
    marks: Marks | undefined,
    details: boolean,
  ) {
    const told = fields.filter(
      ({ attribute }) =>
        attribute === 'memoryType' || attribute === 'global' || (details && attribute !== 'rights'),
    );
    const marked = details && marks !== undefined ? [bits(marks.accessed), bits(marks.dirty.bit)] : [];
    const attributes = union(...told.map(({ bit }) => bits(bit)), ...marked);
    const rights = fields.filter(({ attribute }) => attribute === 'rights');
    const kind = union(attributes, leaf, ...rights.map(({ bit, or = bit }) => union(bits(bit), bits(or))));
    const listed = union(kind, ...address.map(({ from, bits: count }) => bits(from + count - 1, from)));
    this.attributesLo = attributes.lo | 0;
    this.attributesHi = attributes.hi | 0;
    this.kindLo = kind.lo | 0;
    this.kindHi = kind.hi | 0;
    this.listedLo = listed.lo | 0;
    this.listedHi = listed.hi | 0;
  }
}
