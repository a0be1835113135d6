import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import { DescriptorChain, layoutSplitQueue, SplitDriverQueue, SplitQueue } from '../../src/virtio/index.ts';

const SIZE = 8;

/** A driver, and the used ring as a hostile device may write it. */
function hostile(eventIndex = false): {
  memory: GuestMemory;
  driver: SplitDriverQueue;
  use: (id: number, written: number, index?: number) => void;
} {
  const memory = GuestMemory.allocate(0x10000);
  const layout = layoutSplitQueue(0, SIZE, { indirectCapacity: 4 });
  const driver = new SplitDriverQueue(memory, layout, { ...layout, eventIndex });
  let position = 0;
  const use = (id: number, written: number, index?: number): void => {
    memory.writeU32(layout.usedRing + 4 + (position % SIZE) * 8, id);
    memory.writeU32(layout.usedRing + 8 + (position % SIZE) * 8, written);
    position = (position + 1) & 0xffff;
    memory.writeU16(layout.usedRing + 2, index ?? position);
  };
  return { memory, driver, use };
}

const out = [{ gpa: 0x8000, length: 16 }];
const into = [
  { gpa: 0x9000, length: 512 },
  { gpa: 0xa000, length: 1 },
];

describe('driver side of a split queue', () => {
  it('V1: zeroes its rings, and starts at 0', () => {
    const memory = GuestMemory.allocate(0x10000);
    memory.fillAt(0, 0xff, 0x10000);
    const layout = layoutSplitQueue(0, SIZE);
    const driver = new SplitDriverQueue(memory, layout);
    assert.equal(memory.readU32(layout.availableRing), 0);
    assert.equal(memory.readU32(layout.usedRing), 0);
    assert.equal(memory.readU16(layout.usedRing + 4 + 8 * SIZE), 0);
    assert.equal(driver.fetchUsed(), 0);
    assert.equal(driver.collect(), undefined);
  });

  it('V1: counts descriptors, direct and indirect, and gives them back', () => {
    const { driver, use } = hostile();
    const direct = driver.add(out, into);
    assert.equal(driver.freeDescriptors, 5);
    const indirect = driver.add(out, into, { indirect: true });
    assert.equal(driver.freeDescriptors, 4);
    assert.equal(driver.outstanding, 2);
    driver.publish();
    assert.equal(driver.outstanding, 2);
    use(indirect, 513);
    use(direct, 0);
    assert.equal(driver.fetchUsed(), 2);
    assert.deepEqual(driver.collect(), { id: indirect, written: 513 });
    assert.deepEqual(driver.collect(), { id: direct, written: 0 });
    assert.equal(driver.collect(), undefined);
    assert.equal(driver.freeDescriptors, SIZE);
    assert.equal(driver.outstanding, 0);
  });

  it('V1: queue-full changes nothing, and passes', () => {
    const { driver, use } = hostile();
    const ids = [driver.add(out, into), driver.add(out, into)];
    assert.throws(() => driver.add(out, into), { code: 'queue-full', value: 2, limit: 3 });
    assert.equal(driver.freeDescriptors, 2);
    driver.add(out, into, { indirect: true });
    driver.publish();
    use(ids[1] ?? -1, 0);
    driver.fetchUsed();
    driver.collect();
    assert.equal(driver.freeDescriptors, 4);
    driver.add(out, into);
  });

  it('V1: refuses chains that could never be added', () => {
    const { driver } = hostile();
    assert.throws(() => driver.add([], []), { code: 'invalid' });
    const nine = Array.from({ length: 9 }, () => ({ gpa: 0x8000, length: 1 }));
    assert.throws(() => driver.add(nine, []), { code: 'chain-too-long', limit: 8 });
    assert.throws(() => driver.add(nine.slice(4), [], { indirect: true }), {
      code: 'chain-too-long',
      limit: 4,
    });
    const big = { gpa: 0, length: 0xffff_ffff };
    assert.throws(() => driver.add([big], [{ gpa: 0, length: 2 }]), { code: 'too-many-bytes' });
    driver.add([big], [{ gpa: 0, length: 1 }]);
    for (const buffer of [
      { gpa: -1, length: 1 },
      { gpa: 0.5, length: 1 },
      { gpa: 0, length: -1 },
      { gpa: 0, length: 2 ** 32 },
      { gpa: 2 ** 53 - 1, length: 1 },
      { gpa: Number.NaN, length: 1 },
    ]) {
      assert.throws(() => driver.add([buffer], []), { code: 'invalid' }, JSON.stringify(buffer));
    }
    assert.equal(driver.freeDescriptors, 6);
  });

  it('V1: without room for tables nothing can be indirect', () => {
    const memory = GuestMemory.allocate(0x10000);
    const driver = new SplitDriverQueue(memory, layoutSplitQueue(0, 4));
    assert.throws(() => driver.add(out, [], { indirect: true }), { code: 'chain-too-long', limit: 0 });
    const tables = { indirectTables: 0x1001, indirectCapacity: 4 };
    assert.throws(() => new SplitDriverQueue(memory, layoutSplitQueue(0, 4), tables), {
      code: 'ring-misaligned',
    });
    const beyond = { indirectTables: 0xfff0, indirectCapacity: 4 };
    assert.throws(() => new SplitDriverQueue(memory, layoutSplitQueue(0, 4), beyond), {
      code: 'ring-unmapped',
    });
  });

  it('V1: used-index: a device that claims more than it has', () => {
    const { memory, driver, use } = hostile();
    const id = driver.add(out, into);
    use(id, 0);
    assert.throws(() => driver.fetchUsed(), { code: 'used-index', value: 1, limit: 0 });
    driver.publish();
    assert.equal(driver.fetchUsed(), 1);
    memory.writeU16(layoutSplitQueue(0, SIZE).usedRing + 2, 0xffff);
    assert.throws(() => driver.fetchUsed(), { code: 'used-index', value: 0xffff });
    assert.throws(() => driver.enableNotifications(), { code: 'used-index' });
    assert.deepEqual(driver.collect(), { id, written: 0 });
  });

  it('V1: used-id: a chain that is not with the device', () => {
    const { driver, use } = hostile();
    const first = driver.add(out, into);
    const second = driver.add(out, []);
    driver.publish();
    const unpublished = driver.add(out, []);
    for (const id of [SIZE, 0xffff, 0xffff_ffff, first + 1, unpublished]) {
      const other = hostile();
      other.driver.add(out, into);
      other.driver.add(out, []);
      other.driver.publish();
      other.driver.add(out, []);
      other.use(id, 0);
      assert.equal(other.driver.fetchUsed(), 1);
      assert.throws(() => other.driver.collect(), { code: 'used-id', value: id }, `${id}`);
      assert.equal(other.driver.outstanding, 3);
    }
    // Twice the same: the second time it is nobody's.
    use(first, 0);
    use(first, 0);
    assert.equal(driver.fetchUsed(), 2);
    assert.deepEqual(driver.collect(), { id: first, written: 0 });
    assert.throws(() => driver.collect(), { code: 'used-id' });
    use(second, 0);
    assert.equal(driver.fetchUsed(), 1);
    assert.deepEqual(driver.collect(), { id: second, written: 0 });
  });

  it('V1: used-length: more than the chain has room for', () => {
    const { driver, use } = hostile();
    const id = driver.add(out, into);
    driver.publish();
    use(id, 514);
    driver.fetchUsed();
    assert.throws(() => driver.collect(), { code: 'used-length', head: id, value: 514, limit: 513 });
    assert.equal(driver.freeDescriptors, SIZE);
    assert.equal(driver.outstanding, 0);
  });

  it('V1: what the device does to the descriptor table stays out of the free list', () => {
    const { memory, driver, use } = hostile();
    const id = driver.add(out, into);
    driver.publish();
    memory.fillAt(0, 0xff, SIZE * 16);
    use(id, 0);
    driver.fetchUsed();
    driver.collect();
    const all = new Set(Array.from({ length: SIZE }, () => driver.add(out, [])));
    assert.equal(all.size, SIZE);
    assert([...all].every((head) => head < SIZE));
  });

  it('V1: asks for notifications by flags or by used_event', () => {
    const layout = layoutSplitQueue(0, SIZE);
    const plain = hostile();
    plain.driver.disableNotifications();
    assert.equal(plain.memory.readU16(layout.availableRing), 1);
    assert.equal(plain.driver.enableNotifications(), false);
    assert.equal(plain.memory.readU16(layout.availableRing), 0);

    const indexed = hostile(true);
    indexed.driver.disableNotifications();
    assert.equal(indexed.memory.readU16(layout.availableRing), 0);
    const id = indexed.driver.add(out, into);
    indexed.driver.publish();
    indexed.use(id, 0);
    assert.equal(indexed.driver.enableNotifications(), true);
    indexed.driver.collect();
    assert.equal(indexed.driver.enableNotifications(), false);
    assert.equal(indexed.memory.readU16(layout.availableRing + 4 + 2 * SIZE), 1);
  });

  it('V1: asks from the next chain to collect on, not from the last one fetched', () => {
    const { memory, driver, use } = hostile(true);
    const layout = layoutSplitQueue(0, SIZE);
    const ids = [driver.add(out, []), driver.add(out, [])];
    driver.publish();
    for (const id of ids) use(id, 0);
    assert.equal(driver.fetchUsed(), 2);
    driver.collect();
    assert.equal(driver.enableNotifications(), true);
    assert.equal(memory.readU16(layout.availableRing + 4 + 2 * SIZE), 1);
  });

  it('V1: knows a chain that the device keeps while many others come and go', () => {
    const { driver, use } = hostile();
    const kept = driver.add(out, into);
    driver.publish();
    // Past the ring's size, and past the 16 bits of its indices.
    for (let i = 0; i < 70_000; i++) {
      const id = driver.add(out, []);
      driver.publish();
      use(id, 0);
      driver.fetchUsed();
      assert.equal(driver.collect()?.id, id);
    }
    use(kept, 1);
    driver.fetchUsed();
    assert.deepEqual(driver.collect(), { id: kept, written: 1 });
  });

  it('V1: frees in any order without giving a descriptor twice', () => {
    const { driver, use } = hostile();
    const [a = -1, b = -1, c = -1] = [driver.add(out, []), driver.add(out, []), driver.add(out, into)];
    driver.publish();
    use(a, 0);
    driver.fetchUsed();
    driver.collect();
    const lent = new Set([b, c]);
    while (driver.freeDescriptors > 0) {
      const id = driver.add(out, []);
      assert(!lent.has(id), `${id} is still with the device`);
      lent.add(id);
    }
    // Three for the chain of three, and one for each other.
    assert.equal(lent.size, SIZE - 2);
  });

  it('V1: a closed queue says so', () => {
    const { driver } = hostile();
    driver.close();
    driver.close();
    for (const call of [
      () => driver.add(out, into),
      () => driver.publish(),
      () => driver.fetchUsed(),
      () => driver.collect(),
      () => driver.enableNotifications(),
      () => driver.disableNotifications(),
    ]) {
      assert.throws(call, { code: 'closed' });
    }
  });

  it('V1: goes round the 16-bit indices', () => {
    const memory = GuestMemory.allocate(0x10000);
    const layout = layoutSplitQueue(0, 4);
    const driver = new SplitDriverQueue(memory, layout, { eventIndex: true });
    const queue = new SplitQueue(memory, layout, { eventIndex: true });
    const chain = new DescriptorChain();
    for (let i = 0; i < 70000; i++) {
      const id = driver.add([{ gpa: 0x8000, length: 4 }], []);
      assert(driver.publish());
      assert.equal(queue.fetchAvailable(), 1);
      assert(queue.pop(chain));
      queue.push(chain.head, 0);
      assert(queue.publish());
      assert(!queue.enableNotifications());
      assert.equal(driver.fetchUsed(), 1);
      assert.equal(driver.collect()?.id, id);
      assert(!driver.enableNotifications());
    }
    assert.equal(queue.nextAvail, 70000 & 0xffff);
  });
});
