import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AtomicAddressSpace, type GuestAddressSpace, GuestMemory, heap } from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';

/** The seed's device, which works with an immutable map and with one that changes. */
class VirtioDevice<AS extends GuestAddressSpace<GuestMemory>> {
  #space: AS | undefined;

  activate(space: AS): void {
    this.#space = space;
  }

  /** Work as a device does it: one snapshot for one piece of work. */
  sum(gpa: number, count: number): number {
    const memory = this.#space?.memory();
    if (memory === undefined) throw new Error('not activated');
    let sum = 0;
    for (let i = 0; i < count; i++) sum += memory.readU32(gpa + 4 * i);
    return sum;
  }
}

function plugged(memory: GuestMemory): GuestMemory {
  return memory.insertRegion({ start: 0x1000, backing: heap(0x1000) });
}

describe('A3: address spaces', () => {
  it('A3 VirtioDevice, impl: with an immutable map, a memory is its own address space', () => {
    const memory = GuestMemory.fromRanges([[0x1000, 0x400]]);
    memory.writeU32(0x1004, 7);
    const device = new VirtioDevice<GuestMemory>();
    const another = new VirtioDevice<GuestMemory>();
    device.activate(memory);
    another.activate(memory);
    assert.equal(memory.memory(), memory);
    assert.equal(device.sum(0x1000, 4), 7);
    assert.equal(another.sum(0x1000, 4), 7);
  });

  it('A3 VirtioDevice: with a mutable map, memory plugged while two devices work', () => {
    const space = new AtomicAddressSpace(GuestMemory.fromRanges([[0, 0x1000]]));
    const device = new VirtioDevice<AtomicAddressSpace>();
    const another = new VirtioDevice<AtomicAddressSpace>();
    device.activate(space);
    another.activate(space);
    refused(() => device.sum(0x0ffc, 2), { code: 'unmapped', failedAt: 0x1000 });
    space.update(plugged);
    space.memory().writeU32(0x1000, 5);
    assert.equal(device.sum(0x0ffc, 2), 5);
    assert.equal(another.sum(0x0ffc, 2), 5);
    space.update((memory) => memory.removeRegion(0x1000, 0x1000));
    refused(() => another.sum(0x0ffc, 2), { code: 'unmapped' });
  });

  it('A3 memory(): a snapshot is never half of a change and stays whole while it is held', () => {
    const space = new AtomicAddressSpace(GuestMemory.fromRanges([[0, 0x1000]]));
    const before = space.memory();
    assert.equal(space.memory(), before);
    const returned = space.update((memory) => {
      assert.equal(space.memory(), before);
      const half = plugged(memory);
      assert.equal(space.memory(), before);
      return half.insertRegion({ start: 0x2000, backing: heap(0x1000) });
    });
    assert.equal(space.memory(), returned);
    assert.deepEqual([before.regions.length, returned.regions.length], [1, 3]);
    refused(() => before.readU8(0x1000), { code: 'unmapped' });
    const later = space.memory();
    space.replace(GuestMemory.empty());
    assert.equal(later.readU8(0x2fff), 0);
    refused(() => space.memory().readU8(0), { code: 'unmapped' });
  });

  it('S1 A3: an exception inside update changes nothing, and the next update works', () => {
    const space = new AtomicAddressSpace(GuestMemory.fromRanges([[0, 0x1000]], { name: 'ram' }));
    const before = space.memory();
    let told = 0;
    space.subscribe(() => told++);
    const why = new Error('no');
    assert.throws(
      () =>
        space.update((memory) => {
          plugged(memory);
          throw why;
        }),
      (error) => error === why,
    );
    refused(() => space.update((memory) => memory.insertRegion({ start: 0, backing: heap(8) })), {
      code: 'overlap',
    });
    assert.equal(space.memory(), before);
    assert.equal(told, 0);
    space.update(plugged);
    assert.equal(told, 1);
  });

  it('A3 update: one exclusive read-modify-write; an update within would lose one of the two', () => {
    const space = new AtomicAddressSpace(GuestMemory.fromRanges([[0, 0x1000]], { name: 'ram' }));
    space.update((memory) => {
      refused(() => space.update((inner) => inner), {
        code: 'locked',
        memory: 'ram',
        operation: 'update the map',
      });
      refused(() => space.replace(memory), { code: 'locked' });
      return plugged(memory);
    });
    assert.equal(space.memory().regions.length, 2);
    space.update((memory) => memory);
  });

  it('A3 replace: the whole map at once; who holds the one before keeps it', () => {
    const first = GuestMemory.fromRanges([[0, 0x1000]]);
    const second = GuestMemory.fromRanges([[0x2000, 0x1000]]);
    const space = new AtomicAddressSpace(first);
    const held = space.memory();
    space.replace(second);
    assert.equal(space.memory(), second);
    held.writeU8(0xfff, 1);
    assert.equal(first.readU8(0xfff), 1);
    refused(() => space.memory().readU8(0), { code: 'unmapped' });
  });

  it('A3 subscribe: every listener, after each change, with both memories, until it unsubscribes', () => {
    const space = new AtomicAddressSpace(GuestMemory.empty());
    const seen: [number, number, boolean][] = [];
    const listener = (next: GuestMemory, previous: GuestMemory): void => {
      seen.push([next.regions.length, previous.regions.length, space.memory() === next]);
    };
    const stop = space.subscribe(listener);
    const stopTwin = space.subscribe(listener);
    space.update(plugged);
    assert.deepEqual(seen, [
      [1, 0, true],
      [1, 0, true],
    ]);
    stopTwin();
    stopTwin();
    space.replace(GuestMemory.empty());
    assert.deepEqual(seen.slice(2), [[0, 1, true]]);
    stop();
    space.update(plugged);
    assert.equal(seen.length, 3);
  });

  it('A3 subscribe: a listener that throws keeps no other from hearing; the change stands', () => {
    const space = new AtomicAddressSpace(GuestMemory.empty());
    const first = new Error('first');
    let heard = 0;
    space.subscribe(() => {
      throw first;
    });
    space.subscribe(() => {
      throw new Error('second');
    });
    space.subscribe(() => heard++);
    assert.throws(
      () => space.update(plugged),
      (error) => error === first,
    );
    assert.equal(heard, 1);
    assert.equal(space.memory().regions.length, 1);
    assert.throws(
      () => space.replace(GuestMemory.empty()),
      (error) => error === first,
    );
    assert.equal(heard, 2);
  });

  it('A3 subscribe: changes made by a listener are heard in their order, by all', () => {
    const space = new AtomicAddressSpace(GuestMemory.empty());
    const seen: string[] = [];
    space.subscribe((next) => {
      if (next.regions.length === 1) {
        const inner = space.update((memory) => memory.insertRegion({ start: 0, backing: heap(8) }));
        assert.equal(space.memory(), inner);
      }
    });
    space.subscribe((next, previous) => seen.push(`${previous.regions.length} to ${next.regions.length}`));
    space.update(plugged);
    assert.deepEqual(seen, ['0 to 1', '1 to 2']);
  });

  it('A3 subscribe: who unsubscribes while a change is told hears no more', () => {
    const space = new AtomicAddressSpace(GuestMemory.empty());
    const seen: string[] = [];
    const stops: (() => void)[] = [];
    space.subscribe(() => {
      seen.push('first');
      for (const stop of stops) stop();
    });
    stops.push(space.subscribe(() => seen.push('second')));
    space.update(plugged);
    space.update((memory) => memory);
    assert.deepEqual(seen, ['first', 'first']);
  });
});
