import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ResolvedControls } from '../../src/paging/architecture.ts';
import { bits, type Mask64, NONE, union } from '../../src/paging/bits.ts';
import { breaks, compileRules, isOn, quickPattern } from '../../src/paging/entry-rules.ts';
import type { AddressField, EntryRule, Pattern } from '../../src/paging/format.ts';
import { reasonOf } from '../../src/paging/verdict.ts';

const CONTROLS: ResolvedControls = { on: true, off: false, width: 40, accessedDirty: 'off' };

/** Bits of an entry that one rule forbids: each is set by itself in an entry that has `others` set. */
function forbidden(
  rule: EntryRule,
  address: readonly AddressField[],
  width: number,
  others: Mask64 = NONE,
): number[] {
  const [compiled] = compileRules([rule], CONTROLS, address, width);
  assert(compiled !== undefined);
  return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => {
    const entry = union(others, bits(bit));
    return breaks(compiled, entry.lo, entry.hi);
  });
}

const range = (high: number, low: number): number[] =>
  Array.from({ length: high - low + 1 }, (_, i) => low + i);

describe('the rules of entries', () => {
  it('T3: the first of several is the one that is broken; each has its reason', () => {
    const rules: EntryRule[] = [
      { reason: 'not-present', pattern: { mask: bits(0), value: NONE } },
      { reason: 'misconfigured', anyOf: union(bits(7), bits(40)) },
    ];
    const compiled = compileRules(rules, CONTROLS, [], 52);
    const broken = (entry: Mask64): string[] =>
      compiled.filter((rule) => breaks(rule, entry.lo, entry.hi)).map(({ verdict }) => reasonOf(verdict));
    assert.deepEqual(broken(NONE), ['not-present']);
    assert.deepEqual(broken(bits(0)), []);
    assert.deepEqual(broken(bits(7)), ['not-present', 'misconfigured']);
    assert.deepEqual(broken(union(bits(0), bits(7))), ['misconfigured']);
    assert.deepEqual(broken(union(bits(0), bits(40))), ['misconfigured']);
  });

  it('T3: a pattern is broken where all of its bits are so, in both halves', () => {
    const pattern: Pattern = {
      mask: union(bits(2), bits(1), bits(63), bits(62)),
      value: union(bits(1), bits(63)),
    };
    const [rule] = compileRules([{ reason: 'reserved', pattern }], CONTROLS, [], 52);
    assert(rule !== undefined);
    const both = union(bits(1), bits(63));
    assert(breaks(rule, both.lo, both.hi));
    assert(breaks(rule, both.lo | 8, both.hi | 8));
    for (const bit of [1, 2, 62, 63]) {
      const { lo, hi } = bits(bit);
      assert(!breaks(rule, both.lo ^ lo, both.hi ^ hi), `bit ${bit}`);
    }
  });

  it('T3: an address that is wider than physical addresses, wherever its bits stand', () => {
    const tooWide: EntryRule = { reason: 'reserved', tooWide: true };
    const plain = [{ from: 12, bits: 40, to: 12 }];
    assert.deepEqual(forbidden(tooWide, plain, 40), range(51, 40));
    assert.deepEqual(forbidden(tooWide, plain, 52), []);
    assert.deepEqual(forbidden(tooWide, plain, 32), range(51, 32));
    // PSE-36: bits 20:13 are bits 39:32.
    const pse36 = [
      { from: 22, bits: 10, to: 22 },
      { from: 13, bits: 8, to: 32 },
    ];
    assert.deepEqual(forbidden(tooWide, pse36, 36), range(20, 17));
    assert.deepEqual(forbidden(tooWide, pse36, 32), range(20, 13));
    assert.deepEqual(forbidden(tooWide, pse36, 40), []);
    // A rule may forbid bits besides, and without `tooWide` says nothing of the address.
    assert.deepEqual(forbidden({ ...tooWide, anyOf: bits(7) }, plain, 50), [7, 50, 51]);
    assert.deepEqual(forbidden({ reason: 'reserved', anyOf: bits(7) }, plain, 40), [7]);
  });

  it('T3: some are in force only while a control is on, or only while one is off', () => {
    const inForce = (rule: Partial<EntryRule>): number =>
      compileRules([{ reason: 'reserved', anyOf: bits(7), ...rule }], CONTROLS, [], 52).length;
    assert.deepEqual(
      [{}, { when: 'on' }, { when: 'off' }, { unless: 'on' }, { unless: 'off' }].map(inForce),
      [1, 1, 0, 0, 1],
    );
    assert.deepEqual(
      [
        { when: 'on', unless: 'on' },
        { when: 'on', unless: 'off' },
        { when: 'off', unless: 'off' },
      ].map(inForce),
      [0, 1, 0],
    );
  });

  it('T3: a control is on or off; `accessFault` is so where missing marks are faults; others are a mistake', () => {
    assert.equal(isOn(CONTROLS, 'on'), true);
    assert.equal(isOn(CONTROLS, 'off'), false);
    assert.deepEqual(
      ['off', 'fault', 'update'].map((accessedDirty) => isOn({ accessedDirty }, 'accessFault')),
      [false, true, false],
    );
    for (const name of ['width', 'unheard'])
      assert.throws(() => isOn(CONTROLS, name), { name: 'RangeError', message: new RegExp(name) });
  });
});

describe('the quick look at an entry', () => {
  const ANY: Pattern = { mask: NONE, value: NONE };
  const notPresent: EntryRule = { reason: 'not-present', pattern: { mask: bits(0), value: NONE } };

  function quick(
    start: Pattern,
    rules: readonly EntryRule[],
    avoided: readonly Pattern[] = [],
    usual: Mask64 = NONE,
  ): Pattern | undefined {
    return quickPattern(start, compileRules(rules, CONTROLS, [], 52), avoided, usual);
  }

  it('T3: wants forbidden bits clear, and of a forbidden pattern one bit other than it has', () => {
    assert.deepEqual(quick(ANY, []), ANY);
    assert.deepEqual(quick(ANY, [notPresent]), { mask: bits(0), value: bits(0) });
    const reserved: EntryRule = { reason: 'reserved', anyOf: union(bits(7), bits(63)) };
    assert.deepEqual(quick(ANY, [notPresent, reserved]), {
      mask: union(bits(0), bits(7), bits(63)),
      value: bits(0),
    });
    // RISC-V's W without R.
    const writeOnly: EntryRule = { reason: 'reserved', pattern: { mask: bits(2, 1), value: bits(2) } };
    assert.deepEqual(quick(ANY, [writeOnly], [], bits(2, 1)), { mask: bits(1), value: bits(1) });
    // Its bits 62:61 must not be 11: bit 61 clear.
    const bothTypes: EntryRule = { reason: 'reserved', pattern: { mask: bits(62, 61), value: bits(62, 61) } };
    assert.deepEqual(quick(ANY, [bothTypes]), { mask: bits(61), value: NONE });
  });

  it('T3: of several bits that tell takes the lowest in which the usual entry is another', () => {
    const pattern: Pattern = { mask: union(bits(4, 3), bits(63, 62)), value: union(bits(4), bits(63)) };
    const told = (...set: readonly number[]): Pattern | undefined =>
      quick(ANY, [], [pattern], union(...set.map((bit) => bits(bit))));
    assert.deepEqual(told(), { mask: bits(4), value: NONE });
    assert.deepEqual(told(4), { mask: bits(63), value: NONE });
    assert.deepEqual(told(3, 4), { mask: bits(3), value: bits(3) });
    assert.deepEqual(told(0, 5, 4, 63, 3), { mask: bits(3), value: bits(3) });
    // A usual entry that is none of the kind leaves the lowest of all.
    assert.deepEqual(told(4, 63), { mask: bits(3), value: bits(3) });
  });

  it('T3: of what is settled already nothing more is wanted', () => {
    const leaf: Pattern = { mask: bits(7), value: bits(7) };
    const table: Pattern = { mask: bits(7), value: NONE };
    assert.deepEqual(quick(leaf, [], [table]), leaf);
    const upper: Pattern = { mask: bits(40), value: NONE };
    assert.deepEqual(quick(upper, [], [{ mask: union(bits(3), bits(40)), value: bits(40) }]), upper);
    // A bit that has to be clear settles a pattern that has it set, and not one that has it clear.
    const reserved: EntryRule = { reason: 'reserved', anyOf: bits(3) };
    const set = { mask: bits(4, 3), value: bits(4, 3) };
    assert.deepEqual(quick(ANY, [reserved], [set]), { mask: bits(3), value: NONE });
    const clear = { mask: bits(4, 3), value: bits(4) };
    assert.deepEqual(quick(ANY, [reserved], [clear]), { mask: bits(4, 3), value: NONE });
  });

  it('T3: is the same for a bit of the upper half, as long as it has to be clear', () => {
    const napot: Pattern = { mask: bits(63), value: bits(63) };
    assert.deepEqual(quick(ANY, [], [napot]), { mask: bits(63), value: NONE });
    const third: Pattern = { mask: union(bits(63), bits(40)), value: union(bits(63), bits(40)) };
    assert.deepEqual(quick(ANY, [], [third]), { mask: bits(40), value: NONE });
    // One that has to be set there is not for a quick look.
    assert.equal(quick(ANY, [], [{ mask: bits(40), value: NONE }]), undefined);
    assert.equal(quick({ mask: bits(40), value: bits(40) }, []), undefined);
  });

  it('T3: is not to be had of what always breaks a rule, or is always what is to be avoided', () => {
    const leaf: Pattern = { mask: bits(7), value: bits(7) };
    // A large page where there are none.
    assert.equal(quick(leaf, [{ reason: 'reserved', anyOf: bits(7) }]), undefined);
    assert.equal(quick(leaf, [notPresent, { reason: 'reserved', anyOf: bits(8, 7) }]), undefined);
    assert.equal(quick(leaf, [], [leaf]), undefined);
    assert.equal(quick(leaf, [], [ANY]), undefined);
    assert.equal(quick(leaf, [{ reason: 'reserved', pattern: leaf }]), undefined);
  });
});
