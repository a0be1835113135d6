import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory, heap, lockRange, PagedRange, ProtectedView } from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';

const memoryOf = (): GuestMemory =>
  GuestMemory.fromRegions([
    { start: 0, backing: heap(0x4000) },
    { start: 0x4000, backing: heap(0x4000) },
  ]);

describe('lockRange', () => {
  it('A2 lock_range: one view for each contiguous run, which is the guest memory itself', () => {
    const memory = memoryOf();
    whileLocked(lockRange(memory, new PagedRange(0x800, 0x2000, [1, 2, 6])), (iovecs) => {
      assert.deepEqual(
        iovecs.map((bytes) => bytes.length),
        [0x1800, 0x800],
      );
      iovecs[1]?.fill(7);
    });
    assert.equal(memory.readU8(0x67ff), 7);
    assert.equal(memory.readU8(0x6800), 0);
  });

  it('A2 R OpenVMM D6: page numbers that adjoin across a region border are two runs, not a panic', () => {
    whileLocked(lockRange(memoryOf(), new PagedRange(0, 0x2000, [3, 4])), (iovecs) => {
      assert.deepEqual(
        iovecs.map((bytes) => bytes.length),
        [0x1000, 0x1000],
      );
    });
  });

  it('A2 R OpenVMM D1: a page that may only be read can be locked for reading, and not for writing', () => {
    const view = new ProtectedView(memoryOf());
    view.protect(0x1000, 0x1000, 'r');
    const range = new PagedRange(0, 0x1000, [1]);
    whileLocked(lockRange(view.memory(), range, { access: 'read' }), (iovecs) =>
      assert.equal(iovecs.length, 1),
    );
    refused(() => lockRange(view.memory(), range), { code: 'denied' });
  });

  it('M11: the region stays until the range is released, which may be done twice', () => {
    const memory = memoryOf();
    const locked = lockRange(memory, new PagedRange(0x10, 0x10, [2]));
    refused(() => memory.removeRegion(0, 0x4000), { code: 'locked', failedAt: 0x2000 });
    locked.release();
    locked.release();
    refused(() => locked.iovecs, { code: 'closed' });
    assert.equal(memory.removeRegion(0, 0x4000).regions.length, 1);
  });

  it('M11: a range of which a page is missing leaves nothing locked', () => {
    const memory = memoryOf();
    refused(() => lockRange(memory, new PagedRange(0, 0x2000, [1, 99])), { code: 'unmapped' });
    assert.equal(memory.removeRegion(0, 0x4000).regions.length, 1);
  });
});

function whileLocked(
  locked: { readonly iovecs: readonly Uint8Array[]; release(): void },
  use: (iovecs: readonly Uint8Array[]) => void,
): void {
  try {
    use(locked.iovecs);
  } finally {
    locked.release();
  }
}
