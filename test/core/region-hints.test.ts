import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { callbacks, heap } from '../../src/core/index.ts';
import { MemoryMap, type RegionInit } from '../../src/core/memory-map.ts';

const PARTS = 256;

const calls = (size: number) => callbacks({ size, read: () => undefined });

/** The number of the region that covers most of each part, the first of several; -1 where there is none. */
function mostOfEach(inits: readonly RegionInit[]): number[] {
  const start = Math.min(...inits.map((init) => init.start));
  const end = Math.max(...inits.map((init) => init.start + init.backing.size));
  const part = (end - start) / PARTS;
  assert(Number.isInteger(part), 'a span that is no multiple of 256 needs more than whole numbers');
  return Array.from({ length: PARTS }, (_, i) => {
    const from = start + i * part;
    const covered = inits.map((init) => {
      const first = Math.max(from, init.start);
      return Math.min(from + part, init.start + init.backing.size) - first;
    });
    const most = Math.max(...covered);
    return most > 0 ? covered.indexOf(most) : -1;
  });
}

describe('M1 P2: where a region is looked for first', () => {
  const cases: Readonly<Record<string, readonly RegionInit[]>> = {
    'one region, a byte a part': [{ start: 0x10_0000, backing: heap(PARTS) }],
    'regions that touch': [
      { start: 0x1000, backing: heap(0x800) },
      { start: 0x1800, backing: heap(0x1000) },
      { start: 0x2800, backing: heap(0x2800) },
    ],
    'holes between them, and borders within a part': [
      { start: 0x18, backing: heap(0x108) },
      { start: 0x138, backing: heap(0x6a0) },
      { start: 0x1018, backing: heap(0x8) },
      { start: 0x1f30, backing: heap(0xe8) },
    ],
    'two that have a part in halves': [
      { start: 0, backing: heap(0x1010) },
      { start: 0x1010, backing: heap(0xff0) },
    ],
    'several in one part': [
      { start: 0, backing: heap(0x40) },
      { start: 0x40, backing: heap(0x80) },
      { start: 0xc0, backing: heap(0x40) },
      { start: 0xf000, backing: heap(0x1000) },
    ],
    'calls as well': [
      { start: 0, backing: calls(0x8000) },
      { start: 0x8000, backing: heap(0x1000) },
      { start: 0xa000, backing: calls(0x6000) },
    ],
    'above 4 GiB': [
      { start: 0xf_ffff_0000, backing: heap(0x1_0000) },
      { start: 0x10_0000_8000, backing: heap(0x8000) },
    ],
  };

  for (const [name, inits] of Object.entries(cases)) {
    it(`M1: each of 256 parts has the region that covers most of it; ${name}`, () => {
      const map = MemoryMap.fromRegions(inits, 'make');
      const wanted = mostOfEach(inits);
      const largest = inits
        .filter(({ backing }) => backing.mapped !== undefined)
        .reduce((best, init) => (init.backing.size > best.backing.size ? init : best));
      assert.equal(map.home.start, largest.start);
      assert.equal(map.hints.length, PARTS);
      map.hints.forEach((hint, i) => {
        const index = wanted[i] ?? -1;
        assert.equal(hint, index < 0 ? map.home : map.pieces[index], `part ${i}`);
      });
    });

    it(`M1: an address finds the part that it lies in; ${name}`, () => {
      const map = MemoryMap.fromRegions(inits, 'make');
      const wanted = mostOfEach(inits);
      const part = (map.end - map.hintStart) / PARTS;
      for (let i = 0; i < PARTS; i++) {
        for (const at of [map.hintStart + i * part, map.hintStart + (i + 1) * part - 1])
          assert.equal(Math.floor((at - map.hintStart) * map.hintScale), i, `part ${i} of ${wanted.length}`);
      }
    });
  }

  it('M1: without regions there is nothing to find, and a place to look nevertheless', () => {
    const map = MemoryMap.fromRegions([], 'make');
    assert.deepEqual([map.hintStart, map.end, map.hintScale, map.pieces.length], [0, 0, 0, 0]);
    assert.equal(map.hints.length, PARTS);
    for (const hint of map.hints) assert.equal(hint.holds(0, 1), false);
    assert.equal(map.indexOf(0), -1);
  });

  it('M1: of several as large the first is tried first, and one of calls never', () => {
    const inits = [
      { start: 0, backing: calls(0x4000) },
      { start: 0x4000, backing: heap(0x2000) },
      { start: 0x6000, backing: heap(0x2000) },
    ];
    assert.equal(MemoryMap.fromRegions(inits, 'make').home.start, 0x4000);
    assert.equal(MemoryMap.fromRegions(inits.slice(0, 1), 'make').home.holds(0, 1), false);
  });
});
