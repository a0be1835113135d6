import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  type Access,
  Iotlb,
  type IotlbFault,
  type IotlbLookup,
  type IotlbRights,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';

const TOP = 2 ** 53;

describe('Iotlb', () => {
  it('S4: rights are those of each access', () => {
    const iotlb = new Iotlb();
    iotlb.map(0x1000, 0x1000, 0x1000, 'r');
    iotlb.map(0x2000, 0x2000, 0x1000, 'w');
    iotlb.map(0x3000, 0x3000, 0x1000, 'rw');
    for (const [iova, access, allowed] of [
      [0x1000, 'read', true],
      [0x1000, 'write', false],
      [0x2000, 'read', false],
      [0x2000, 'write', true],
      [0x3000, 'read', true],
      [0x3000, 'write', true],
    ] as const) {
      assert.equal(iotlb.find(iova, 8, access), allowed ? iova : -1, `${access} at ${iova}`);
      const { runs, faults } = iotlb.lookup(iova, 8, access);
      assert.deepEqual(runs, allowed ? [{ gpa: iova, length: 8 }] : []);
      assert.deepEqual(faults, allowed ? [] : [{ kind: 'denied', iova, length: 8 }]);
    }
  });

  it('S4: neighbours with the same difference and rights are one entry; with the same target they are not', () => {
    const iotlb = new Iotlb();
    iotlb.map(0x1000, 0x9000, 0x1000, 'rw');
    iotlb.map(0x3000, 0xb000, 0x1000, 'rw');
    iotlb.map(0x2000, 0xa000, 0x1000, 'rw');
    assert.deepEqual(iotlb.entries(), [{ iova: 0x1000, gpa: 0x9000, length: 0x3000, rights: 'rw' }]);
    iotlb.map(0x4000, 0x9000, 0x1000, 'rw');
    iotlb.map(0x5000, 0x9000, 0x1000, 'rw');
    iotlb.map(0x6000, 0xa000, 0x1000, 'r');
    assert.equal(iotlb.size, 4);
    assert.deepEqual(iotlb.lookup(0x5000, 0x2000, 'read').runs, [{ gpa: 0x9000, length: 0x2000 }]);
  });

  it('S4: an invalidation makes a hole in the middle, then all goes', () => {
    const iotlb = new Iotlb();
    iotlb.map(0x1000, 0x9000, 0x3000, 'r');
    iotlb.unmap(0x1800, 0x10);
    assert.deepEqual(iotlb.entries(), [
      { iova: 0x1000, gpa: 0x9000, length: 0x800, rights: 'r' },
      { iova: 0x1810, gpa: 0x9810, length: 0x27f0, rights: 'r' },
    ]);
    assert.deepEqual(iotlb.lookup(0x17f8, 0x20, 'read'), {
      runs: [{ gpa: 0x97f8, length: 8 }],
      faults: [{ kind: 'miss', iova: 0x1800, length: 0x10 }],
    });
    iotlb.unmap(0x8000, 0x1000);
    assert.equal(iotlb.find(0x1000, 1, 'read'), 0x9000);
    iotlb.clear();
    assert.deepEqual([iotlb.size, iotlb.find(0x1000, 1, 'read')], [0, -1]);
  });

  it('S4: a mapping takes the place of what overlaps it', () => {
    const iotlb = new Iotlb();
    iotlb.map(0x1000, 0x10_0000, 0x4000, 'rw');
    iotlb.map(0x2000, 0x20_0000, 0x1000, 'r');
    assert.deepEqual(iotlb.entries(), [
      { iova: 0x1000, gpa: 0x10_0000, length: 0x1000, rights: 'rw' },
      { iova: 0x2000, gpa: 0x20_0000, length: 0x1000, rights: 'r' },
      { iova: 0x3000, gpa: 0x10_2000, length: 0x2000, rights: 'rw' },
    ]);
    assert.equal(iotlb.find(0x1ff8, 16, 'read'), -1);
    iotlb.map(0x2000, 0x10_1000, 0x1000, 'rw');
    assert.equal(iotlb.size, 1);
    assert.equal(iotlb.find(0x1000, 0x4000, 'write'), 0x10_0000);
  });

  it('R vm-memory 2.4.5: zero lengths and ranges that leave the space are errors, up to its very top', () => {
    const iotlb = new Iotlb();
    for (const [iova, length] of [
      [0, 0],
      [0x1000, 0],
      [TOP - 1, 2],
      [TOP - 0x1000, 0x1001],
      [1, TOP - 1 + 1],
      [2 ** 64, 1],
      [-1, 1],
      [0.5, 1],
      [0, 0.5],
      [0, Number.NaN],
    ] as const) {
      refused(() => iotlb.map(iova, 0, length, 'r'), { code: 'invalid' });
      refused(() => iotlb.unmap(iova, length), { code: 'invalid' });
      refused(() => iotlb.lookup(iova, length, 'read'), { code: 'invalid' });
    }
    for (const gpa of [TOP - 0xfff, -1, 0.5, Number.NaN]) {
      refused(() => iotlb.map(0, gpa, 0x1000, 'r'), { code: 'invalid', gpa: 0, length: 0x1000 });
    }
    assert.equal(iotlb.size, 0);
    iotlb.map(TOP - 0x1000, 0, 0x1000, 'r');
    iotlb.map(0, TOP - 0x1000, 0x1000, 'r');
    assert.equal(iotlb.find(TOP - 8, 8, 'read'), 0xff8);
    assert.equal(iotlb.find(0xff8, 8, 'read'), TOP - 8);
    assert.deepEqual(iotlb.lookup(TOP - 1, 1, 'read').runs, [{ gpa: 0xfff, length: 1 }]);
    iotlb.unmap(TOP - 1, 1);
    assert.equal(iotlb.find(TOP - 1, 1, 'read'), -1);
  });

  it('S4: rights and capacities that are none are refused', () => {
    const wrong: IotlbRights = JSON.parse('"x"');
    refused(() => new Iotlb().map(0, 0, 1, wrong), { code: 'invalid' });
    for (const capacity of [0, -1, 0.5, Number.NaN]) {
      refused(() => new Iotlb({ capacity }), { code: 'invalid', operation: 'make an IOTLB' });
    }
  });

  it('S4: find answers no for numbers that are no addresses', () => {
    const iotlb = new Iotlb();
    iotlb.map(0, 0, 0x1000, 'rw');
    for (const last of [0, -1]) {
      iotlb.find(last, 1, 'read');
      for (const bad of [Number.NaN, -1, 0x1000, Number.POSITIVE_INFINITY]) {
        assert.equal(iotlb.find(bad, 1, 'read'), -1);
      }
      assert.equal(iotlb.find(0, Number.NaN, 'read'), -1);
      assert.equal(iotlb.find(0xfff, 2, 'read'), -1);
    }
  });

  it('S4: where it is full, what was used least recently goes', () => {
    const iotlb = new Iotlb({ capacity: 3 });
    for (const page of [1, 3, 5]) iotlb.map(page * 0x1000, 0, 0x1000, 'r');
    assert.notEqual(iotlb.find(0x1000, 1, 'read'), -1);
    assert.equal(iotlb.lookup(0x3000, 1, 'read').faults.length, 0);
    iotlb.map(0x7000, 0, 0x1000, 'r');
    assert.deepEqual(
      iotlb.entries().map(({ iova }) => iova),
      [0x1000, 0x3000, 0x7000],
    );
    assert.equal(iotlb.find(0x5000, 1, 'read'), -1);
    // A refused access is no use.
    assert.equal(iotlb.find(0x1000, 1, 'write'), -1);
    iotlb.map(0x9000, 0, 0x1000, 'r');
    assert.deepEqual(
      iotlb.entries().map(({ iova }) => iova),
      [0x3000, 0x7000, 0x9000],
    );
    assert.equal(iotlb.find(0x1000, 1, 'read'), -1);
    // A split makes one more.
    iotlb.unmap(0x7800, 1);
    assert.deepEqual(
      iotlb.entries().map(({ iova }) => iova),
      [0x7000, 0x7801, 0x9000],
    );
  });

  it('S4: is a map from each byte to its target and rights, whatever is mapped and unmapped', () => {
    const SPAN = 96;
    const rights = fc.constantFrom<IotlbRights>('r', 'w', 'rw');
    const range = fc.tuple(fc.nat(SPAN - 1), fc.integer({ min: 1, max: 40 }));
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.tuple(fc.constant('map'), range, rights, fc.constantFrom(-8, 0, 8, 500)) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('unmap'), range, rights, fc.constant(0)) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('clear'), range, rights, fc.constant(0)) },
    );
    const BASE = 0x1_0000_0000;
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 25 }),
        fc.array(range, { minLength: 4, maxLength: 8 }),
        (steps, asked) => {
          const iotlb = new Iotlb();
          const model = new Map<number, { gpa: number; rights: IotlbRights }>();
          for (const [name, [from, length], right, difference] of steps) {
            if (name === 'clear') {
              iotlb.clear();
              model.clear();
            } else if (name === 'unmap') {
              iotlb.unmap(BASE + from, length);
              for (let i = from; i < from + length; i++) model.delete(i);
            } else {
              iotlb.map(BASE + from, 0x1000 + from + difference, length, right);
              for (let i = from; i < from + length; i++)
                model.set(i, { gpa: 0x1000 + i + difference, rights: right });
            }
            checkShape(iotlb);
          }
          for (const [from, length] of asked) {
            for (const access of ['read', 'write'] as const) {
              const wanted = naiveLookup(model, BASE, from, length, access);
              assert.deepEqual(iotlb.lookup(BASE + from, length, access), wanted);
              const found = iotlb.find(BASE + from, length, access);
              if (found !== -1) assert.deepEqual(wanted, { runs: [{ gpa: found, length }], faults: [] });
              else if (length === 1) assert.equal(wanted.faults.length, 1);
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('S4: never holds more than its capacity, and never answers what was not mapped last', () => {
    const step = fc.tuple(fc.nat(31), fc.integer({ min: 1, max: 6 }), fc.nat(3), fc.boolean());
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 40 }), (capacity, steps) => {
        const iotlb = new Iotlb({ capacity });
        const truth = new Map<number, number>();
        for (const [from, length, target, gone] of steps) {
          if (gone) iotlb.unmap(from, length);
          else iotlb.map(from, target * 100 + from, length, 'rw');
          for (let i = from; i < from + length; i++) {
            if (gone) truth.delete(i);
            else truth.set(i, target * 100 + i);
          }
          assert(iotlb.size <= capacity);
          checkShape(iotlb);
          for (let i = 0; i < 40; i++) {
            const found = iotlb.find(i, 1, 'read');
            if (found !== -1) assert.equal(found, truth.get(i));
          }
          if (!gone) assert.equal(iotlb.find(from, length, 'write'), target * 100 + from, 'the newest stays');
        }
      }),
      { numRuns: 200 },
    );
  });
});

/** Entries are sorted, apart, none is empty, and none that could be joined is not. */
function checkShape(iotlb: Iotlb): void {
  const entries = iotlb.entries();
  assert.equal(entries.length, iotlb.size);
  entries.forEach((entry, i) => {
    assert(entry.length > 0);
    const before = entries[i - 1];
    if (before === undefined) return;
    const gap = entry.iova - (before.iova + before.length);
    assert(gap >= 0, 'sorted and apart');
    const same = before.rights === entry.rights && before.gpa - before.iova === entry.gpa - entry.iova;
    assert(!(gap === 0 && same), 'joined');
  });
}

function naiveLookup(
  model: ReadonlyMap<number, { gpa: number; rights: IotlbRights }>,
  base: number,
  from: number,
  length: number,
  access: Access,
): IotlbLookup {
  const runs: { gpa: number; length: number }[] = [];
  const faults: { kind: IotlbFault['kind']; iova: number; length: number }[] = [];
  for (let i = from; i < from + length; i++) {
    const there = model.get(i);
    if (there?.rights.includes(access === 'write' ? 'w' : 'r') === true) {
      if (faults.length > 0) continue;
      const last = runs.at(-1);
      if (last !== undefined && last.gpa + last.length === there.gpa) last.length++;
      else runs.push({ gpa: there.gpa, length: 1 });
      continue;
    }
    const kind = there === undefined ? 'miss' : 'denied';
    const last = faults.at(-1);
    if (last?.kind === kind && last.iova + last.length === base + i) last.length++;
    else faults.push({ kind, iova: base + i, length: 1 });
  }
  return { runs, faults };
}
