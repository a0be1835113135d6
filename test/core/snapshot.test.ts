import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  callbacks,
  capture,
  difference,
  fork,
  GuestMemory,
  heap,
  lazy,
  restore,
  shared,
  trackDirty,
} from '../../src/core/index.ts';
import { smallPieces } from '../support/memory-kinds.ts';
import { refused } from '../support/refused.ts';

/** Several regions that touch, in pages and not; one of calls; one read-only. */
function machine(): GuestMemory {
  const registers = new Uint8Array(16).fill(3);
  const memory = GuestMemory.fromRegions(
    [
      { start: 0, backing: heap(0x2800) },
      { start: 0x2800, backing: shared(0x1003) },
      {
        start: 0x8000,
        backing: callbacks({
          size: 16,
          read: (at, dest) => dest.set(registers.subarray(at, at + dest.length)),
        }),
      },
      { start: 0x1_0001, backing: smallPieces(0x1234, 0x1_0001).backing },
      { start: 0x10_0000, backing: heap(0x1000), access: 'r' },
    ],
    { name: 'machine' },
  );
  memory.fillAt(0x1ff0, 5, 0x20);
  memory.fillAt(0x37fe, 6, 5);
  memory.fillAt(0x1_1000, 7, 0x100);
  return memory;
}

const WHOLE = [
  [0, 0x2800],
  [0x2800, 0x1003],
  [0x1_0001, 0x1234],
  [0x10_0000, 0x1000],
] as const;
const contents = (memory: GuestMemory): Uint8Array[] =>
  WHOLE.map(([gpa, length]) => memory.readBytes(gpa, length));

describe('M13: snapshots', () => {
  it('M13: capture, change, difference, restore: whole regions, partial last pages, all kinds of mapped memory', () => {
    const memory = machine();
    const before = contents(memory);
    const image = capture(memory);
    assert.equal(image.name, 'machine');
    assert.deepEqual(difference(memory, image), []);
    memory.writeU8(0x27ff, 1);
    memory.writeU8(0x3802, 0);
    memory.fillAt(0x1_1230, 1, 5);
    memory.writeU8(0, 9);
    assert.deepEqual(difference(memory, image), [
      { gpa: 0, length: 0x1000 },
      { gpa: 0x2000, length: 0x800 },
      { gpa: 0x3800, length: 3 },
      { gpa: 0x1_1001, length: 0x234 },
    ]);
    restore(memory, image);
    assert.deepEqual(contents(memory), before);
    assert.deepEqual(difference(memory, image), []);
  });

  it('M13: pages that adjoin are one difference, over the border of regions too', () => {
    const memory = GuestMemory.fromRanges([
      [0, 0x2000],
      [0x2000, 0x2000],
    ]);
    const image = capture(memory);
    memory.writeU8(0x1fff, 1);
    memory.writeU8(0x2000, 1);
    memory.writeU8(0x3fff, 1);
    assert.deepEqual(difference(memory, image), [{ gpa: 0x1000, length: 0x3000 }]);
  });

  it('M13: pages of zeros take no room; regions of calls are left out and not asked', () => {
    const calls: number[] = [];
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: heap(0x10_0000) },
      { start: 0x10_0000, backing: callbacks({ size: 8, read: (at) => void calls.push(at) }) },
    ]);
    memory.writeU8(0x5123, 1);
    memory.writeU8(0xf_ffff, 2);
    const image = capture(memory);
    assert.deepEqual(
      image.regions.map(({ start, size, pages }) => [start, size, [...pages.keys()]]),
      [[0, 0x10_0000, [0x5000, 0xf_f000]]],
    );
    restore(memory, image);
    difference(memory, image);
    assert.deepEqual(calls, []);
  });

  it('M13: a snapshot is a copy: what is written later is not in it', () => {
    const memory = GuestMemory.allocate(0x1000);
    memory.writeU8(0, 1);
    const image = capture(memory);
    memory.writeU8(0, 2);
    memory.writeU8(1, 2);
    restore(memory, image);
    assert.deepEqual([...memory.readBytes(0, 2)], [1, 0]);
  });

  it('M13 M12: restoring writes only pages that differ', () => {
    const tracking = trackDirty(machine());
    const image = capture(tracking.memory);
    tracking.memory.writeU8(0x1_0001, 1);
    tracking.memory.writeU8(0x2000, 5);
    tracking.drain();
    restore(tracking.memory, image);
    assert.deepEqual(tracking.drain(), [{ gpa: 0x1_0001, length: 0x1000 }]);
  });

  it('M13: a memory without the regions of a snapshot is refused before anything is written', () => {
    const memory = GuestMemory.fromRanges([
      [0, 0x1000],
      [0x4000, 0x1000],
    ]);
    const image = capture(memory);
    memory.writeU8(0, 1);
    for (const other of [
      memory.removeRegion(0x4000, 0x1000),
      memory.removeRegion(0x4000, 0x1000).insertRegion({ start: 0x4000, backing: heap(0x2000) }),
    ]) {
      refused(() => restore(other, image), { code: 'unmapped', gpa: 0x4000, length: 0x1000 });
      refused(() => difference(other, image), { code: 'unmapped' });
      assert.equal(other.readU8(0), 1);
    }
    restore(memory.insertRegion({ start: 0x8000, backing: heap(0x1000) }), image);
    assert.equal(memory.readU8(0), 0);
  });

  it('M13 M10: forks hold what the image holds, share it, and cost only what they change', () => {
    const memory = machine();
    const image = capture(memory);
    const wanted = contents(memory);
    const [one, two] = [fork(image), fork(image)];
    assert.equal(one.name, 'machine');
    assert.deepEqual(contents(one), wanted);
    assert.deepEqual(present(one), [0, 0, 0, 0]);
    one.writeU8(0x2000, 1);
    one.writeU8(0x1_1000, 0xff);
    one.writeU64(0x1ffc, 0n);
    assert.deepEqual(present(one), [2, 0, 1, 0]);
    assert.deepEqual(present(two), [0, 0, 0, 0]);
    assert.deepEqual(contents(two), wanted);
    assert.deepEqual(contents(memory), wanted);
    assert.deepEqual(
      difference(one, image).map(({ gpa }) => gpa),
      [0x1000, 0x1_0001],
    );
    const child = capture(one);
    const grandchild = fork(child);
    assert.deepEqual(contents(grandchild), contents(one));
    restore(grandchild, image);
    assert.deepEqual(contents(grandchild), wanted);
  });

  it('M13: a fork is as writable as its regions were', () => {
    const image = capture(machine());
    refused(() => fork(image).writeU8(0x10_0000, 1), { code: 'denied' });
    assert.deepEqual(
      fork(image).regions.map(({ access }) => access),
      ['rw', 'rw', 'rw', 'r'],
    );
  });

  it('M13 M10: capturing a fork copies none of its pages', () => {
    const copied = fork(capture(machine()));
    capture(copied);
    difference(copied, capture(machine()));
    assert.deepEqual(present(copied), [0, 0, 0, 0]);
    const memory = GuestMemory.from(lazy(0x2000, (_, dest) => dest.fill(1)));
    assert.equal(capture(memory).regions[0]?.pages.size, 2);
  });
});

/** Pages of each region that a fork has of its own. */
function present(memory: GuestMemory): number[] {
  return memory.regions.map(({ backing }) =>
    'presentPages' in backing && typeof backing.presentPages === 'function'
      ? Number(backing.presentPages())
      : -1,
  );
}
