import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import { layoutSplitQueue, SplitDriverQueue, SplitQueue } from '../../src/virtio/index.ts';
import { needsEvent } from '../../src/virtio/need-event.ts';
import { RawRing } from './raw-ring.ts';

/** The definition of 2.7.7.2, one entry after another: was any of those added the one asked for? */
function asked(event: number, next: number, previous: number): boolean {
  for (let entry = previous; entry !== next; entry = (entry + 1) & 0xffff) {
    if (entry === event) return true;
  }
  return false;
}

describe('event index', () => {
  it('V1: is the definition of 2.7.7.2, over the end of 16 bits too', () => {
    const edges = [0, 1, 2, 3, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffd, 0xfffe, 0xffff];
    for (const event of edges) {
      for (const previous of edges) {
        for (const added of [0, 1, 2, 3, 255, 32768]) {
          const next = (previous + added) & 0xffff;
          assert.equal(
            needsEvent(event, next, previous),
            asked(event, next, previous),
            `${event} ${next} ${previous}`,
          );
        }
      }
    }
  });

  it('V1: the device notifies when it passes used_event (rust-vmm test_needs_notification)', () => {
    const ring = new RawRing({ size: 16, eventIndex: true });
    ring.describe(0, {});
    const use = (count: number): boolean => {
      for (let i = 0; i < count; i++) {
        ring.take(0);
        ring.queue.push(0, 0);
      }
      return ring.queue.publish();
    };
    ring.setUsedEvent(0);
    assert.equal(use(1), true);
    assert.equal(use(1), false);
    ring.setUsedEvent(4);
    assert.equal(use(2), false);
    assert.equal(use(1), true);
    assert.equal(use(1), false);
    ring.setUsedEvent(10);
    assert.equal(use(9), true);
    // The flags mean nothing here (2.7.7.2).
    ring.setAvailFlags(1);
    ring.setUsedEvent(15);
    assert.equal(use(1), true);
  });

  it('V1: nothing to publish is nothing to notify', () => {
    for (const eventIndex of [false, true]) {
      const ring = new RawRing({ eventIndex });
      assert.equal(ring.queue.publish(), false);
      assert.equal(ring.usedIndex, 0);
    }
  });

  it('V1: a ring that was in use before is notified once, whatever used_event says', () => {
    const ring = new RawRing({ eventIndex: true, nextAvail: 100 });
    ring.describe(0, {});
    ring.setUsedEvent(50);
    for (const expected of [true, false]) {
      ring.take(0);
      ring.queue.push(0, 0);
      assert.equal(ring.queue.publish(), expected);
    }
  });

  it('V1: used entries are not seen before they are published', () => {
    const ring = new RawRing();
    ring.describe(1, {});
    ring.take(1);
    ring.queue.push(1, 9);
    assert.equal(ring.usedIndex, 0);
    ring.queue.publish();
    assert.equal(ring.usedIndex, 1);
    assert.deepEqual(ring.usedElement(0), { id: 1, length: 9 });
  });
});

describe('notification suppression by the device', () => {
  it('V1: by flags without the event index', () => {
    const ring = new RawRing();
    ring.queue.disableNotifications();
    assert.equal(ring.usedFlags, 1);
    assert.equal(ring.queue.enableNotifications(), false);
    assert.equal(ring.usedFlags, 0);
    assert.equal(ring.availEvent, 0);
  });

  it('V1: a new queue on a ring that was silenced enables it again', () => {
    const ring = new RawRing();
    ring.queue.disableNotifications();
    ring.queue.close();
    const again = new SplitQueue(ring.memory, ring.layout);
    again.enableNotifications();
    assert.equal(ring.usedFlags, 0);
  });

  it('V1: by avail_event with it, and never by flags (2.7.10.2)', () => {
    const ring = new RawRing({ eventIndex: true });
    ring.describe(0, {});
    ring.take(0);
    ring.queue.disableNotifications();
    assert.equal(ring.usedFlags, 0);
    ring.queue.enableNotifications();
    assert.equal(ring.usedFlags, 0);
    assert.equal(ring.availEvent, 1);
  });

  it('V1: enabling says what came in meanwhile, and fetches it', () => {
    for (const eventIndex of [false, true]) {
      const ring = new RawRing({ eventIndex });
      ring.describe(0, {});
      ring.queue.disableNotifications();
      ring.queue.fetchAvailable();
      ring.offer(0);
      assert.equal(ring.queue.enableNotifications(), true);
      assert(ring.queue.pop(ring.chain));
      assert.equal(ring.queue.enableNotifications(), false);
    }
  });
});

describe('notification suppression, both sides', () => {
  for (const eventIndex of [false, true]) {
    it(`V1: a kick comes exactly when asked for ${eventIndex ? 'with' : 'without'} the event index`, () => {
      const memory = GuestMemory.allocate(0x10000);
      const layout = layoutSplitQueue(0, 8);
      const driver = new SplitDriverQueue(memory, layout, { eventIndex });
      const queue = new SplitQueue(memory, layout, { eventIndex });
      const add = (): boolean => {
        driver.add([{ gpa: 0x8000, length: 1 }], []);
        return driver.publish();
      };
      assert.equal(driver.publish(), false);
      assert.equal(add(), true);
      queue.disableNotifications();
      assert.equal(add(), false);
      assert.equal(queue.fetchAvailable(), 2);
      assert.equal(queue.enableNotifications(), true);
      assert.equal(driver.enableNotifications(), false);
    });
  }
});
