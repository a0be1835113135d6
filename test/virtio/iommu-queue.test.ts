import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory, IommuView } from '../../src/core/index.ts';
import {
  DescriptorChain,
  isQueueError,
  layoutSplitQueue,
  SplitDriverQueue,
  SplitQueue,
} from '../../src/virtio/index.ts';

const RING = 0x10_0000;

/** A driver that knows guest-physical addresses, and a device behind an IOMMU that finds the rings elsewhere. */
function makeQueue(): { ram: GuestMemory; view: IommuView; driver: SplitDriverQueue; queue: SplitQueue } {
  const ram = GuestMemory.allocate(0x4_0000);
  const view = new IommuView({ memory: ram });
  view.iotlb.map(RING, 0, 0x1000, 'rw');
  const driver = new SplitDriverQueue(ram, layoutSplitQueue(0, 8));
  return { ram, view, driver, queue: new SplitQueue(view, layoutSplitQueue(RING, 8)) };
}

describe('a queue behind an IOMMU', () => {
  it('S4 V1 V2: rings, buffers and their views are reached by IO virtual addresses', () => {
    const { ram, view, driver, queue } = makeQueue();
    view.iotlb.map(0xffff_0000, 0x2_0000, 0x1000, 'r');
    view.iotlb.map(0xffff_1000, 0x1_0000, 0x1000, 'rw');
    ram.fillAt(0x2_0ff0, 7, 0x10);
    const chain = new DescriptorChain(8);
    driver.add([{ gpa: 0xffff_0ff0, length: 0x20 }], [{ gpa: 0xffff_1800, length: 4 }]);
    driver.publish();
    assert.equal(queue.fetchAvailable(), 1);
    assert(queue.pop(chain));
    const views = chain.reader.views(0x20);
    assert.deepEqual(
      views.iovecs.map((bytes) => [bytes.length, bytes[0]]),
      [
        [0x10, 7],
        [0x10, 0],
      ],
    );
    views.release();
    chain.writer.write(Uint8Array.of(1, 2, 3, 4));
    queue.push(chain.head, 4);
    queue.publish();
    assert.equal(driver.fetchUsed(), 1);
    assert.equal(driver.collect()?.written, 4);
    assert.equal(ram.readU32(0x1_0800), 0x0403_0201);
  });

  it('S4: rings that are mapped elsewhere are found there by the next call, and gone ones are an error', () => {
    const { ram, view, driver, queue } = makeQueue();
    driver.add([{ gpa: RING, length: 1 }], []);
    driver.publish();
    assert.equal(queue.fetchAvailable(), 1);
    ram.copyFrom(ram, 0, 0x1_0000, 0x1000);
    view.iotlb.map(RING, 0x1_0000, 0x1000, 'rw');
    driver.add([{ gpa: RING, length: 1 }], []);
    driver.publish();
    assert.equal(queue.fetchAvailable(), 1, 'the driver went on in the old place');
    view.iotlb.unmap(RING, 0x1000);
    assert.throws(() => queue.fetchAvailable(), isQueueError);
    view.iotlb.map(RING, 0, 0x1000, 'rw');
    assert.equal(queue.fetchAvailable(), 2);
  });
});
