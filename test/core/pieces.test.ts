import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { callbacks, GuestMemory, heap, type MemoryBacking, trackDirty } from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';

const PAGE = 0x1000;

/** A backing of several mapped pieces, as one of more than 4 GiB is. */
function inPieces(...sizes: readonly number[]): MemoryBacking & { readonly mapped: readonly Uint8Array[] } {
  const mapped = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
  return { kind: 'pieces', size: sizes.reduce((sum, size) => sum + size, 0), mapped };
}

describe('M1 M2: a region of several pieces', () => {
  it('M1: a mapped piece of more than 4 GiB is refused', () => {
    class Long extends Uint8Array {
      override get byteLength(): number {
        return 2 ** 32 + 8;
      }
    }
    const backing: MemoryBacking = { kind: 'long', size: 2 ** 32 + 8, mapped: [new Long(8)] };
    refused(() => GuestMemory.fromRegions([{ start: 0x1000, backing }]), { code: 'too-large', gpa: 0x1000 });
  });

  it('A2 subrange: has the pieces that it touches, cut to it, and no other', () => {
    const memory = GuestMemory.fromRegions([{ start: PAGE, backing: inPieces(PAGE, 2 * PAGE, PAGE) }]);
    for (const [offset, length, runs] of [
      [PAGE, PAGE, [PAGE]],
      [PAGE + 8, PAGE - 8, [PAGE - 8]],
      [2 * PAGE, 2 * PAGE, [2 * PAGE]],
      [2 * PAGE + 8, 16, [16]],
      [4 * PAGE, PAGE, [PAGE]],
      [PAGE, 3 * PAGE, [PAGE, 2 * PAGE]],
      [2 * PAGE - 8, 2 * PAGE + 16, [8, 2 * PAGE, 8]],
    ] as const) {
      const part = memory.subrange(offset, length);
      assert.equal(part.regions.length, 1);
      assert.equal(part.regions[0]?.size, length);
      assert.equal(part.reach(0, 8 * PAGE), length);
      refused(() => part.readU8(length), { code: 'unmapped', failedAt: length });
      const views = part.views(0, length, 'read');
      assert.deepEqual(
        views.iovecs.map((run) => run.length),
        runs,
      );
      views.release();
      assert.equal(part.fullMapping()?.length, runs.length === 1 ? length : undefined);
      assert.deepEqual(part.readBytes(0, length), memory.readBytes(offset, length));
    }
  });

  it('M12 M3: what crosses the pieces is one access, marked in each of them', () => {
    const tracking = trackDirty(GuestMemory.fromRegions([{ start: 0, backing: inPieces(PAGE, PAGE, PAGE) }]));
    const { memory } = tracking;
    memory.writeU64(PAGE - 3, 0x0807_0605_0403_0201n);
    assert.equal(memory.readU64(PAGE - 3), 0x0807_0605_0403_0201n);
    assert.deepEqual(tracking.drain(), [{ gpa: 0, length: 2 * PAGE }]);
    memory.writeAt(PAGE - 1, new Uint8Array(PAGE + 2).fill(9));
    assert.deepEqual(memory.readBytes(PAGE - 2, 3), Uint8Array.of(2, 9, 9));
    assert.deepEqual(tracking.drain(), [{ gpa: 0, length: 3 * PAGE }]);
  });
});

describe('M2: a region that is read-only in the map', () => {
  it('M2: refuses every write before its first byte, though its backing would take it, of calls as well', () => {
    let written = 0;
    const calls = callbacks({
      size: PAGE,
      read: (_offset, dest) => void dest.fill(5),
      write: () => void written++,
    });
    for (const backing of [calls, heap(PAGE)]) {
      const memory = GuestMemory.fromRegions([{ start: PAGE, backing, access: 'r' }], { name: 'rom' });
      assert.equal(memory.regions[0]?.access, 'r');
      for (const run of [
        () => memory.writeU8(PAGE + 8, 1),
        () => memory.writeU64(PAGE + 8, 1n),
        () => memory.writeU32(PAGE + 9, 1),
        () => memory.writeAt(PAGE + 8, Uint8Array.of(1)),
        () => memory.write(PAGE + 8, Uint8Array.of(1)),
        () => memory.fillAt(PAGE + 8, 1, 1),
      ])
        refused(run, { code: 'denied', memory: 'rom' });
      assert.equal(memory.checkRange(PAGE, PAGE, 'write'), false);
      assert.equal(memory.checkRange(PAGE, PAGE), true);
    }
    assert.equal(written, 0);
  });
});
