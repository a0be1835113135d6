import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { callbacks, GuestMemory, heap, IommuView, trackDirty } from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';

/** 64 KiB of RAM behind an IOMMU that knows nothing yet. */
function makeView(): { ram: GuestMemory; view: IommuView; memory: GuestMemory } {
  const ram = GuestMemory.allocate(0x1_0000, { name: 'ram' });
  const view = new IommuView({ memory: ram, name: 'device' });
  return { ram, view, memory: view.memory() };
}

describe('views through an IommuView', () => {
  it('S4: who keeps a view learns by another memory that a translation has gone, and by nothing else', () => {
    const { view, memory } = makeView();
    view.iotlb.map(0x1000, 0x3000, 0x1000, 'rw');
    view.iotlb.unmap(0x1800, 0x10);
    assert.equal(view.memory(), memory, 'nothing was lent');
    const lent = memory.view(0x1000, 0x100, 'write');
    view.iotlb.map(0x8000, 0x8000, 0x1000, 'rw');
    view.iotlb.unmap(0x2_0000, 0x1000);
    assert.equal(view.memory(), memory, 'nothing has gone');
    view.iotlb.unmap(0x1000, 0x100);
    const next = view.memory();
    assert.notEqual(next, memory);
    assert.equal(view.memory(), next);
    lent.bytes[0] = 1;
    lent.release();
    view.iotlb.map(0x1000, 0x4000, 0x1000, 'rw');
    next.view(0x1000, 1, 'read').release();
    view.iotlb.clear();
    assert.notEqual(view.memory(), next);
  });

  it('M12: what a view of it writes is dirty in the memory behind, until it is released', () => {
    const { ram } = makeView();
    const tracking = trackDirty(ram);
    const view = new IommuView({ memory: tracking.memory });
    view.iotlb.map(0x1000, 0x3000, 0x1000, 'rw');
    view.iotlb.map(0x2000, 0x5000, 0x1000, 'rw');
    const views = view.memory().views(0x1800, 0x1000, 'write');
    tracking.drain();
    const both = [
      { gpa: 0x3000, length: 0x1000 },
      { gpa: 0x5000, length: 0x1000 },
    ];
    assert.deepEqual(tracking.drain(), both);
    views.release();
    assert.deepEqual(tracking.drain(), both);
    assert.deepEqual(tracking.drain(), []);
    view.memory().views(0x1800, 0x1000, 'read').release();
    assert.deepEqual(tracking.drain(), []);
  });

  it('M12: a part of it that keeps a log of its own lends nothing', () => {
    const { view, memory } = makeView();
    view.iotlb.map(0x1000, 0x3000, 0x1000, 'rw');
    const tracking = trackDirty(memory.subrange(0x1000, 0x1000));
    refused(() => tracking.memory.views(0, 8, 'write'), { code: 'unsupported' });
    tracking.memory.writeU8(0, 1);
    assert.deepEqual(tracking.drain(), [{ gpa: 0, length: 0x1000 }]);
  });

  it('S4: where the memory behind has no host bytes for a part, nothing is lent', () => {
    const calls = callbacks({ size: 0x1000, read: () => undefined, write: () => undefined });
    const tracking = trackDirty(
      GuestMemory.fromRegions([
        { start: 0, backing: heap(0x1000) },
        { start: 0x8000, backing: calls },
      ]),
    );
    const view = new IommuView({ memory: tracking.memory });
    view.iotlb.map(0x1000, 0, 0x1000, 'rw');
    view.iotlb.map(0x2000, 0x8000, 0x1000, 'rw');
    refused(() => view.memory().views(0x1800, 0x1000, 'write'), { code: 'unsupported' });
    tracking.drain();
    assert.deepEqual(tracking.drain(), []);
  });
});
