import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AtomicAddressSpace, bytes, callbacks, GuestMemory, shared, wasm } from '../../src/core/index.ts';
import { DescriptorChain, layoutSplitQueue, SplitDriverQueue, SplitQueue } from '../../src/virtio/index.ts';
import { RawRing } from './raw-ring.ts';

/** The types of WebAssembly come with a browser's library, which is not loaded here. */
const engine = (
  globalThis as { WebAssembly?: { Memory: new (limits: { initial: number }) => GrowingMemory } }
).WebAssembly;
interface GrowingMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): void;
}

const good = { size: 16, descriptorTable: 0x1000, availableRing: 0x2000, usedRing: 0x3000 };

describe('configuration of a split queue', () => {
  const memory = GuestMemory.allocate(0x10_0000);

  it('V1: takes any power of two up to 32768 (rust-vmm test_queue_is_valid)', () => {
    for (let size = 1; size <= 32768; size *= 2) {
      const layout = layoutSplitQueue(0x10, size);
      const queue = new SplitQueue(memory, layout);
      assert.equal(queue.size, size);
      assert.equal(queue.fetchAvailable(), 0);
      queue.close();
    }
  });

  it('V1: refuses any other size', () => {
    for (const size of [
      0,
      -1,
      3,
      24,
      65536,
      2 ** 32,
      2 ** 32 + 16,
      1.5,
      Number.NaN,
      Number.POSITIVE_INFINITY,
    ]) {
      assert.throws(
        () => new SplitQueue(memory, { ...good, size }),
        { code: 'queue-size', section: '2.7' },
        `${size}`,
      );
    }
  });

  it('V1: refuses parts that are not aligned to 16, 2 and 4 (rust-vmm test_queue_is_valid)', () => {
    for (const offset of [1, 2, 4, 8]) {
      const layout = { ...good, descriptorTable: 0x1000 + offset };
      assert.throws(() => new SplitQueue(memory, layout), { code: 'ring-misaligned', limit: 16 });
    }
    assert.throws(() => new SplitQueue(memory, { ...good, availableRing: 0x2001 }), {
      code: 'ring-misaligned',
      limit: 2,
    });
    for (const offset of [1, 2, 3]) {
      const layout = { ...good, usedRing: 0x3000 + offset };
      assert.throws(() => new SplitQueue(memory, layout), { code: 'ring-misaligned', limit: 4 });
    }
    for (const gpa of [-16, 0.5, Number.NaN, 2 ** 53]) {
      assert.throws(() => new SplitQueue(memory, { ...good, descriptorTable: gpa }), {
        code: 'ring-misaligned',
      });
    }
  });

  it('V1: refuses parts that are not in memory, up to the last byte', () => {
    const end = 0x10_0000;
    const parts = [
      { part: 'descriptorTable', size: 16 * 16, align: 16 },
      { part: 'availableRing', size: 6 + 2 * 16, align: 2 },
      { part: 'usedRing', size: 6 + 8 * 16, align: 4 },
    ];
    for (const { part, size, align } of parts) {
      const last = Math.floor((end - size) / align) * align;
      new SplitQueue(memory, { ...good, [part]: last }).close();
      for (const gpa of [last + align, end, 2 ** 52]) {
        assert.throws(
          () => new SplitQueue(memory, { ...good, [part]: gpa }),
          { code: 'ring-unmapped' },
          `${part} ${gpa}`,
        );
      }
    }
  });

  it('V1: refuses a part across a seam, on read-only memory, or behind callbacks', () => {
    const seam = GuestMemory.fromRanges([
      [0, 0x1000],
      [0x1000, 0x1000],
    ]);
    const across = { size: 16, descriptorTable: 0xff0, availableRing: 0x100, usedRing: 0x200 };
    assert.throws(
      () => new SplitQueue(seam, across),
      (error: Error) => {
        assert.equal((error as Error & { code: string }).code, 'ring-unmapped');
        assert.equal((error.cause as { code: string }).code, 'unsupported');
        return true;
      },
    );

    const rom = GuestMemory.fromRegions([
      { start: 0, backing: bytes(new Uint8Array(0x1000)) },
      { start: 0x1000, backing: bytes(new Uint8Array(0x1000), { readOnly: true }) },
    ]);
    // The device only reads the two parts that the driver writes.
    new SplitQueue(rom, { size: 4, descriptorTable: 0x1000, availableRing: 0x1100, usedRing: 0 }).close();
    assert.throws(
      () => new SplitQueue(rom, { size: 4, descriptorTable: 0, availableRing: 0x100, usedRing: 0x1000 }),
      {
        code: 'ring-unmapped',
      },
    );

    const device = GuestMemory.from(callbacks({ size: 0x1000, read: (_, dest) => dest.fill(0) }));
    assert.throws(() => new SplitQueue(device, layoutSplitQueue(0, 4)), { code: 'ring-unmapped' });
  });

  it('V1: works at the top of a memory above 4 GiB', () => {
    const high = GuestMemory.fromRanges([[0x1_0000_0000, 0x10000]]);
    const ring = new RawRing({ memory: high, start: 0x1_0000_0000 });
    ring.describe(3, { addr: 0x1_0000_ff00, len: 0x100, flags: 2 });
    assert.equal(ring.take(3).address(0), 0x1_0000_ff00);
  });

  it('V1: refuses options out of range', () => {
    for (const options of [
      { nextAvail: -1 },
      { nextAvail: 65536 },
      { nextUsed: 0.5 },
      { maxChainLength: 0 },
      { maxChainLength: 65536 },
      { maxChainBytes: 0 },
      { maxChainBytes: Number.NaN },
    ]) {
      assert.throws(
        () => new SplitQueue(memory, good, options),
        { code: 'invalid' },
        JSON.stringify(options),
      );
    }
  });

  it('V1: lays rings out without overlap, each aligned', () => {
    for (let size = 1; size <= 32768; size *= 2) {
      const { descriptorTable, availableRing, usedRing, indirectTables, end } = layoutSplitQueue(0x30, size, {
        indirectCapacity: 3,
      });
      assert.equal(descriptorTable, 0x30);
      assert(availableRing >= descriptorTable + 16 * size && availableRing % 2 === 0);
      assert(usedRing >= availableRing + 6 + 2 * size && usedRing % 4 === 0);
      assert(
        indirectTables !== undefined &&
          indirectTables >= usedRing + 6 + 8 * size &&
          indirectTables % 16 === 0,
      );
      assert.equal(end, indirectTables + size * 3 * 16);
    }
    assert.throws(() => layoutSplitQueue(8, 16), { code: 'ring-misaligned' });
    assert.throws(() => layoutSplitQueue(-16, 16), { code: 'ring-misaligned' });
    assert.throws(() => layoutSplitQueue(0, 16, { indirectCapacity: -1 }), { code: 'invalid' });
  });
});

describe('life of a split queue', () => {
  it('V1: goes on where it was told to, over the end of the 16-bit indices', () => {
    const ring = new RawRing({ size: 4, nextAvail: 65534 });
    ring.describe(2, { flags: 2 });
    assert.equal(ring.queue.nextUsed, 65534);
    for (const position of [65534, 65535, 0, 1, 2]) {
      assert.equal(ring.queue.nextAvail, position);
      ring.take(2);
      ring.queue.push(2, position + 1);
      ring.queue.publish();
      assert.equal(ring.usedIndex, (position + 1) & 0xffff);
      assert.deepEqual(ring.usedElement(position), { id: 2, length: position + 1 });
    }
    assert.equal(ring.queue.inFlight, 0);
  });

  it('V1: goes on from the used index of the ring', () => {
    const memory = GuestMemory.allocate(0x10000);
    const layout = layoutSplitQueue(0, 4);
    memory.writeU16(layout.usedRing + 2, 7);
    memory.writeU16(layout.availableRing + 2, 9);
    const queue = new SplitQueue(memory, layout, { nextAvail: 8, nextUsed: 'ring' });
    assert.deepEqual([queue.nextAvail, queue.nextUsed], [8, 7]);
    assert.equal(queue.fetchAvailable(), 1);
  });

  it('V1: a new queue on a ring has nothing left of the one before', () => {
    const ring = new RawRing({ size: 4 });
    ring.describe(0, {});
    ring.take(0);
    ring.queue.close();
    ring.memory.fillAt(0, 0, ring.layout.end);
    const again = new SplitQueue(ring.memory, ring.layout);
    assert.equal(again.fetchAvailable(), 0);
    assert.equal(again.pop(ring.chain), false);
    assert.deepEqual([again.nextAvail, again.nextUsed, again.inFlight], [0, 0, 0]);
  });

  it('V1: a closed queue says so, and keeps its position', () => {
    const ring = new RawRing({ size: 4 });
    ring.describe(0, {});
    ring.take(0);
    ring.queue.close();
    ring.queue.close();
    for (const call of [
      () => ring.queue.fetchAvailable(),
      () => ring.queue.pop(ring.chain),
      () => ring.queue.push(0, 0),
      () => ring.queue.publish(),
      () => ring.queue.enableNotifications(),
      () => ring.queue.disableNotifications(),
    ]) {
      assert.throws(call, { code: 'closed' });
    }
    assert.equal(ring.queue.nextAvail, 1);
    assert.equal(ring.queue.inFlight, 1);
  });

  it('V1: refuses to push what was not popped', () => {
    const ring = new RawRing({ size: 4 });
    assert.throws(() => ring.queue.push(0, 0), { code: 'invalid' });
    ring.describe(0, {});
    ring.take(0);
    for (const [head, written] of [
      [4, 0],
      [-1, 0],
      [0.5, 0],
      [0, -1],
      [0, 2 ** 32],
      [0, Number.NaN],
    ] as const) {
      assert.throws(() => ring.queue.push(head, written), { code: 'invalid' }, `${head} ${written}`);
    }
    ring.queue.push(0, 0xffff_ffff);
    assert.throws(() => ring.queue.push(0, 0), { code: 'invalid' });
  });

  it('A3: finds its rings again in a new map, and chains in memory plugged since', () => {
    const first = GuestMemory.fromRegions([{ start: 0, backing: shared(0x4000) }], { name: 'ram' });
    const space = new AtomicAddressSpace(first);
    const layout = layoutSplitQueue(0, 16);
    const driver = new SplitDriverQueue(first, layout);
    const queue = new SplitQueue(space, layout);
    const chain = new DescriptorChain();

    driver.add([], [{ gpa: 0x8000, length: 8 }]);
    driver.publish();
    queue.fetchAvailable();
    assert.throws(() => queue.pop(chain), { code: 'buffer-unmapped', value: 0x8000 });

    space.update((map) => map.insertRegion({ start: 0x8000, backing: shared(0x1000) }));
    driver.add([], [{ gpa: 0x8000, length: 8 }]);
    driver.publish();
    queue.fetchAvailable();
    assert(queue.pop(chain));
    assert.equal(chain.memory, space.memory());
    queue.push(chain.head, 8);
    queue.publish();
    assert.equal(driver.fetchUsed(), 1);
  });

  it('A3: moves with its rings when another backing takes their place', () => {
    const layout = layoutSplitQueue(0, 4);
    const before = GuestMemory.allocate(0x1000);
    const after = GuestMemory.allocate(0x1000);
    const space = new AtomicAddressSpace(before);
    const queue = new SplitQueue(space, layout);
    assert.equal(queue.fetchAvailable(), 0);
    after.writeU16(layout.availableRing + 2, 1);
    space.replace(after);
    assert.equal(queue.fetchAvailable(), 1);
    assert(queue.pop(new DescriptorChain()));
    queue.push(0, 0);
    queue.publish();
    assert.equal(before.readU16(layout.usedRing + 2), 0);
    assert.equal(after.readU16(layout.usedRing + 2), 1);
  });

  it('A3: a queue whose ring was unplugged fails, and works again once it is back', () => {
    const backing = shared(0x1000);
    const map = GuestMemory.fromRegions([{ start: 0, backing }]);
    const space = new AtomicAddressSpace(map);
    const queue = new SplitQueue(space, layoutSplitQueue(0, 4));
    space.replace(GuestMemory.fromRanges([[0x8000, 0x1000]]));
    assert.throws(() => queue.fetchAvailable(), { code: 'ring-unmapped' });
    assert.throws(() => queue.enableNotifications(), { code: 'ring-unmapped' });
    space.replace(map);
    assert.equal(queue.fetchAvailable(), 0);
  });

  it('M2: survives the growth of a WebAssembly memory under its rings', () => {
    assert(engine !== undefined);
    const wasmMemory = new engine.Memory({ initial: 1 });
    const memory = GuestMemory.from(wasm(wasmMemory, 0, 0x8000));
    const layout = layoutSplitQueue(0, 4);
    const queue = new SplitQueue(memory, layout);
    wasmMemory.grow(1);
    memory.writeU16(layout.availableRing + 2, 2);
    assert.equal(queue.fetchAvailable(), 2);
    const chain = new DescriptorChain();
    assert(queue.pop(chain));
    wasmMemory.grow(1);
    queue.push(0, 0);
    queue.publish();
    assert.equal(memory.readU16(layout.usedRing + 2), 1);
  });

  it('M2: each part of the ring may lie in a memory of its own that grows', () => {
    const engineMemory = engine?.Memory;
    assert(engineMemory !== undefined);
    const memories = [0, 1, 2].map(() => new engineMemory({ initial: 1 }));
    const memory = GuestMemory.fromRegions(
      memories.map((m, i) => ({ start: i * 0x1000, backing: wasm(m, 0, 0x1000) })),
    );
    const queue = new SplitQueue(memory, {
      size: 4,
      descriptorTable: 0,
      availableRing: 0x1000,
      usedRing: 0x2000,
    });
    const chain = new DescriptorChain();
    for (const [i, part] of memories.entries()) {
      part.grow(1);
      memory.writeU32(8, i);
      memory.writeU16(0x1002, i + 1);
      assert.equal(queue.fetchAvailable(), 1);
      assert(queue.pop(chain));
      assert.equal(chain.readableBytes, i);
      queue.push(0, 0);
      queue.publish();
      assert.equal(memory.readU16(0x2002), i + 1);
    }
  });

  it('M15: says so when the mapping under any part of the ring was closed', () => {
    for (const closing of [0, 1, 2]) {
      const listeners: (() => void)[] = [];
      const memory = GuestMemory.fromRegions(
        [0, 1, 2].map((i) => ({
          start: i * 0x1000,
          backing: {
            kind: 'closing',
            size: 0x1000,
            mapped: [new Uint8Array(0x1000)],
            onClose: (listener: () => void) => {
              listeners[i] = listener;
            },
          },
        })),
      );
      const layout = { size: 4, descriptorTable: 0, availableRing: 0x1000, usedRing: 0x2000 };
      const queue = new SplitQueue(memory, layout);
      assert.equal(queue.fetchAvailable(), 0);
      listeners[closing]?.();
      assert.throws(() => queue.fetchAvailable(), { code: 'ring-unmapped' });
    }
  });
});
