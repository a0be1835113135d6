import { NONE } from './bits.ts';
import type { ShadowStackPages } from './format.ts';

/** Which pages are shadow stacks, for a format and controls with which there are any. */
export class ShadowStacks {
  /** Other accesses may read such a page and not write it, whatever its own bits say. */
  readonly readOnly: boolean;
  private readonly maskLo: number;
  private readonly maskHi: number;
  private readonly valueLo: number;
  private readonly valueHi: number;
  private readonly tables: number;

  constructor({ leaf, tables = NONE, readOnly }: ShadowStackPages) {
    this.readOnly = readOnly === true;
    this.maskLo = leaf.mask.lo | 0;
    this.maskHi = leaf.mask.hi | 0;
    this.valueLo = leaf.value.lo | 0;
    this.valueHi = leaf.value.hi | 0;
    this.tables = tables.lo | 0;
  }

  /** Whether the leaf `hi:lo` is one of a shadow stack, as far as it can say. */
  isLeaf(lo: number, hi: number): boolean {
    return (((lo & this.maskLo) ^ this.valueLo) | ((hi & this.maskHi) ^ this.valueHi)) === 0;
  }

  /** Whether the page is one, by its leaf `hi:lo` and the AND of the lower halves of the tables above. */
  has(andLo: number, lo: number, hi: number): boolean {
    return (andLo & this.tables) === this.tables && this.isLeaf(lo, hi);
  }
}
