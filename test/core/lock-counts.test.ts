import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  GuestMemory,
  heap,
  lockRange,
  type MemoryBacking,
  PagedRange,
  ProtectedView,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';

/** Memory that says when its pages are locked and unlocked, and can be closed. */
function lockable(size: number): { backing: MemoryBacking; told: string[]; close: () => void } {
  const told: string[] = [];
  const listeners: (() => void)[] = [];
  const backing: MemoryBacking = {
    ...heap(size),
    lock: (offset, _length, access) => told.push(`lock ${offset} ${access}`),
    unlock: (offset) => told.push(`unlock ${offset}`),
    onClose: (listener) => listeners.push(listener),
  };
  return { backing, told, close: () => listeners.forEach((listener) => void listener()) };
}

describe('M11: locks of both kinds on one page', () => {
  it('M11: the backing hears of the first lock, of the first for writing, and of the last release', () => {
    const { backing, told } = lockable(0x1000);
    const memory = GuestMemory.fromRegions([{ start: 0, backing }]);
    const read = memory.lockGpns([0], { access: 'read' });
    const write = memory.lockGpns([0], { access: 'write' });
    const again = memory.lockGpns([0], { access: 'read' });
    const third = memory.lockGpns([0], { access: 'write' });
    assert.deepEqual(told, ['lock 0 read', 'lock 0 write']);
    for (const locked of [write, read, third]) locked.release();
    assert.equal(told.length, 2);
    again.release();
    assert.deepEqual(told.slice(2), ['unlock 0']);
    memory.lockGpns([0], { access: 'read' }).release();
    assert.deepEqual(told.slice(3), ['lock 0 read', 'unlock 0']);
  });

  it('M9 M11: a right may be taken once the last lock that needs it is gone, though the other kind stays', () => {
    for (const [kept, freed, takes, needs] of [
      ['read', 'write', 'r', 'w'],
      ['write', 'read', 'w', 'r'],
    ] as const) {
      const view = new ProtectedView(GuestMemory.allocate(0x2000), { initial: 'rw' });
      const memory = view.memory();
      const stays = memory.lockGpns([1], { access: kept });
      const goes = memory.lockGpns([1], { access: freed });
      for (const rights of [takes, needs, ''] as const)
        refused(() => view.protect(0x1000, 0x1000, rights), { code: 'locked' });
      goes.release();
      view.protect(0x1000, 0x1000, takes);
      assert.equal(view.rightsAt(0x1000), takes);
      refused(() => view.protect(0x1000, 0x1000, needs), { code: 'locked' });
      stays.release();
      view.protect(0x1000, 0x1000, '');
    }
  });

  it('M11: a range that is locked is told to the backing as one for the kernel, page by page, and unlocked by its disposal', () => {
    const { backing, told } = lockable(0x4000);
    const exposed: number[] = [];
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: { ...backing, expose: (offset) => exposed.push(offset) } },
    ]);
    const locked = lockRange(memory, new PagedRange(0x800, 0x1000, [2, 0]));
    assert.deepEqual(exposed, [0x2000, 0]);
    assert.deepEqual(told, ['lock 8192 write', 'lock 0 write']);
    locked[Symbol.dispose]();
    refused(() => locked.iovecs, { code: 'closed' });
    assert.deepEqual(told.slice(2).sort(), ['unlock 0', 'unlock 8192']);
    const pages = memory.lockGpns([3]);
    assert.deepEqual(exposed, [0x2000, 0], 'a lock without the kernel exposes nothing');
    pages.release();
  });

  it('M11 M15: pages of which one is gone are closed, and are still to be unlocked', () => {
    const [one, two] = [lockable(0x1000), lockable(0x1000)];
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: one.backing },
      { start: 0x1000, backing: two.backing },
    ]);
    const locked = memory.lockGpns([0, 1]);
    one.close();
    refused(() => locked.pages, { code: 'closed', operation: 'use locked pages' });
    locked[Symbol.dispose]();
    assert.deepEqual([one.told.at(-1), two.told.at(-1)], ['unlock 0', 'unlock 0']);
    assert.equal(memory.removeRegion(0x1000, 0x1000).regions.length, 1);
  });
});
