import type { ResolvedControls } from './architecture.ts';
import { bits, type Mask64, NONE, union } from './bits.ts';
import type { AddressField, EntryRule, Pattern } from './format.ts';
import { verdictOf } from './verdict.ts';

/** A rule of a format, for given controls, as integers. */
export interface CompiledRule {
  readonly verdict: number;
  /** Broken where any of these bits is set ... */
  readonly anyLo: number;
  readonly anyHi: number;
  /** ... or where the masked bits have this value; with masks of 0, never. */
  readonly maskLo: number;
  readonly maskHi: number;
  readonly valueLo: number;
  readonly valueHi: number;
}

/** The rules that are in force. `physicalBits` is the width of a physical address, `address` where the entry keeps one. */
export function compileRules(
  rules: readonly EntryRule[],
  controls: ResolvedControls,
  address: readonly AddressField[],
  physicalBits: number,
): CompiledRule[] {
  return rules
    .filter(
      ({ when, unless }) =>
        (when === undefined || isOn(controls, when)) && (unless === undefined || !isOn(controls, unless)),
    )
    .map(({ reason, anyOf = NONE, pattern, tooWide }) => {
      const forbidden = tooWide === true ? union(anyOf, bitsAbove(address, physicalBits)) : anyOf;
      const { mask, value } = pattern ?? { mask: NONE, value: NONE };
      return {
        verdict: verdictOf(reason),
        anyLo: forbidden.lo | 0,
        anyHi: forbidden.hi | 0,
        maskLo: mask.lo | 0,
        maskHi: mask.hi | 0,
        valueLo: value.lo | 0,
        valueHi: value.hi | 0,
      };
    });
}

/** Whether a control that a description names is on; `accessFault` is what `accessedDirty` says. */
export function isOn(controls: ResolvedControls, name: string): boolean {
  if (name === 'accessFault') return controls['accessedDirty'] === 'fault';
  const value = controls[name];
  if (typeof value !== 'boolean')
    throw new RangeError(`A format names ${name}, which is no control that is on or off`);
  return value;
}

export function breaks(rule: CompiledRule, lo: number, hi: number): boolean {
  if (((lo & rule.anyLo) | (hi & rule.anyHi)) !== 0) return true;
  if ((rule.maskLo | rule.maskHi) === 0) return false;
  return (((lo & rule.maskLo) ^ rule.valueLo) | ((hi & rule.maskHi) ^ rule.valueHi)) === 0;
}

/** The bits of an entry that are address bits from `physicalBits` up. */
function bitsAbove(address: readonly AddressField[], physicalBits: number): Mask64 {
  return union(
    ...address.map(({ from, bits: count, to }) =>
      bits(from + count - 1, from + Math.max(0, physicalBits - to)),
    ),
  );
}

/**
 * One look for the common case: a pattern of which every entry is of the wanted kind and breaks no rule. There may be
 * good entries that it misses (a page that may be executed but not read, say); they take the long way.
 *
 * @param start - what makes the entry of this kind, as far as it is a pattern
 * @param avoided - patterns that it must not have
 * @param usual - an entry that should not be missed
 * @returns undefined where there is no such pattern, or one that has a 1 in the upper half
 */
export function quickPattern(
  start: Pattern,
  rules: readonly CompiledRule[],
  avoided: readonly Pattern[],
  usual: Mask64,
): Pattern | undefined {
  let { mask, value } = start;
  for (const { anyLo, anyHi } of rules) mask = union(mask, { lo: anyLo, hi: anyHi });
  const patterns = rules
    .filter(({ maskLo, maskHi }) => (maskLo | maskHi) !== 0)
    .map(({ maskLo, maskHi, valueLo, valueHi }) => ({
      mask: { lo: maskLo, hi: maskHi },
      value: { lo: valueLo, hi: valueHi },
    }));
  for (const other of [...patterns, ...avoided]) {
    const differ =
      (mask.lo & other.mask.lo & (value.lo ^ other.value.lo)) |
      (mask.hi & other.mask.hi & (value.hi ^ other.value.hi));
    if (differ !== 0) continue;
    const free = both(other.mask, { lo: ~mask.lo, hi: ~mask.hi });
    const unlike = { lo: usual.lo ^ other.value.lo, hi: usual.hi ^ other.value.hi };
    const bit = lowestBit(both(free, unlike)) ?? lowestBit(free);
    if (bit === undefined) return undefined;
    mask = union(mask, bit);
    if ((other.value.lo & bit.lo) === 0 && (other.value.hi & bit.hi) === 0) value = union(value, bit);
  }
  // An entry of this kind that always breaks a rule: nothing is quick about it.
  const broken = rules.some(({ anyLo, anyHi }) => ((value.lo & anyLo) | (value.hi & anyHi)) !== 0);
  return broken || value.hi !== 0 ? undefined : { mask, value };
}

function both(a: Mask64, b: Mask64): Mask64 {
  return { lo: a.lo & b.lo, hi: a.hi & b.hi };
}

function lowestBit({ lo, hi }: Mask64): Mask64 | undefined {
  if (lo !== 0) return { lo: (lo & -lo) >>> 0, hi: 0 };
  return hi === 0 ? undefined : { lo: 0, hi: (hi & -hi) >>> 0 };
}
