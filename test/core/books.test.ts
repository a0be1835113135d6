import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  alias,
  attach,
  bytes,
  callbacks,
  GuestMemory,
  heap,
  IommuView,
  Iotlb,
  type MemoryBacking,
  ProtectedView,
  share,
  shared,
  trackDirty,
} from '../../src/core/index.ts';
import { collected } from '../support/collected.ts';
import { refused } from '../support/refused.ts';

const PAGE = 0x1000;
const REGIONS = 40;

/** A backing that can be closed, and how often it was listened to. */
function closable(size: number): { backing: MemoryBacking; listeners: (() => void)[] } {
  const listeners: (() => void)[] = [];
  const backing = { ...heap(size), onClose: (listener: () => void) => void listeners.push(listener) };
  return { backing, listeners };
}

/** Plugs and unplugs regions of their own, each written once; what `of` picks from them is to go. */
function plugAndUnplug(
  memory: GuestMemory,
  start: number,
  of: (memory: GuestMemory, backing: MemoryBacking) => object,
): WeakRef<object>[] {
  return Array.from({ length: REGIONS }, (_, i) => {
    const backing = heap(0x10_0000);
    const plugged = memory.insertRegion({ start: start + i * 0x10_0000, backing });
    plugged.writeU8(start + i * 0x10_0000 + PAGE, 1);
    return new WeakRef(of(plugged, backing));
  });
}

function logWords(memory: GuestMemory): object {
  const log = memory.entries.at(-1)?.pieces[0]?.extras.marks[0]?.log;
  assert(log !== undefined);
  return Reflect.get(log, 'words') as object;
}

describe('books on what is gone', () => {
  it('M9: a protected view keeps no region alive that was removed, nor its rights', async () => {
    const view = new ProtectedView(GuestMemory.allocate(PAGE));
    const backings = plugAndUnplug(view.memory(), 0x10_0000, (_, backing) => backing);
    const rights = plugAndUnplug(view.memory(), 0x10_0000, (memory) => {
      const [guard] = memory.entries.at(-1)?.pieces[0]?.extras.guards ?? [];
      assert(guard !== undefined);
      return Reflect.get(guard.rights, 'buffer') as object;
    });
    assert(await collected(backings), 'the bytes are kept');
    // Its own books are looked through when the next region comes.
    const next = (): void =>
      void view.memory().insertRegion({ start: 0x10_0000, backing: bytes(new Uint8Array(8)) });
    assert(await collected(rights, next), 'the rights are kept');
  });

  it('M9: rights hold as long as somebody has a part of the region, and locks are seen through it', () => {
    const view = new ProtectedView(GuestMemory.allocate(PAGE));
    const part = view
      .memory()
      .insertRegion({ start: 0x10_0000, backing: heap(4 * PAGE) })
      .subrange(0x10_1000, 2 * PAGE);
    const locked = part.lockGpns([0]);
    refused(() => view.protect(0x10_0000, 4 * PAGE, 'r'), { code: 'locked' });
    locked.release();
    view.protect(0x10_0000, 4 * PAGE, 'r');
    refused(() => part.writeU8(0, 1), { code: 'denied' });
    assert.equal(view.rightsAt(0x10_2000), 'r');
  });

  it('M12: tracking forgets the log of a region that is gone once it was drained, and loses no page of it', async () => {
    const tracking = trackDirty(GuestMemory.allocate(PAGE));
    const logs = plugAndUnplug(tracking.memory, 0x10_0000, logWords);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const drained = tracking.drain();
    assert.deepEqual(
      drained,
      Array.from({ length: REGIONS }, (_, i) => ({ gpa: 0x10_0000 * (i + 1) + PAGE, length: PAGE })),
    );
    const drain = (): void => assert.deepEqual(tracking.drain(), []);
    assert(await collected(logs, drain), 'the logs are kept');
  });

  it('M12 M14: a log that another thread was given is kept, for it may still mark there', async () => {
    const tracking = trackDirty(GuestMemory.allocate(PAGE, { shared: true }));
    const handles = [0, 1, 2, 3].map((i) =>
      structuredClone(
        share(tracking.memory.insertRegion({ start: 0x10_0000 * (i + 1), backing: shared(2 * PAGE) })),
      ),
    );
    // Whether or not the regions are collected here, the answer is the same.
    await collected([new WeakRef({})], undefined, 1_000);
    tracking.drain();
    for (const [i, handle] of handles.entries()) attach(handle).writeU8(0x10_0000 * (i + 1) + PAGE, 1);
    assert.equal(tracking.drain().length, 4);
  });

  it('M15: a backing gets one listener, however many subranges there are, and all are closed', () => {
    const { backing, listeners } = closable(0x10_0000);
    const memory = GuestMemory.from(backing);
    const kept = Array.from({ length: 500 }, (_, i) => memory.subrange(i * 8, 8));
    const protectedPart = new ProtectedView(memory).memory().subrange(0, 8);
    const again = GuestMemory.fromRegions([{ start: 0x8000, backing }]);
    assert.equal(listeners.length, 1);
    kept[3]?.writeU8(0, 1);
    for (const listener of listeners) listener();
    for (const part of [memory, protectedPart, ...kept]) refused(() => part.readU8(0), { code: 'closed' });
    refused(() => again.readU8(0x8000), { code: 'closed' });
    refused(() => GuestMemory.from(backing).readU8(0), { code: 'closed' });
  });
});

describe('what errors of a map and of a memory behind say', () => {
  it('E A2 insertRegion, removeRegion: a refusal names the memory', () => {
    const memory = GuestMemory.fromRanges([[0x1000, 0x1000]], { name: 'ram' });
    const facts = { memory: 'ram', operation: 'insert a region' };
    refused(() => memory.insertRegion({ start: 0x1800, backing: heap(8) }), { code: 'overlap', ...facts });
    refused(() => memory.insertRegion({ start: 0x2001, backing: heap(8) }), { code: 'misaligned', ...facts });
    refused(() => memory.insertRegion({ start: -8, backing: heap(8) }), { code: 'invalid', ...facts });
    refused(() => memory.removeRegion(0x1000, 8), {
      code: 'unmapped',
      memory: 'ram',
      operation: 'remove a region',
    });
    const part = memory.subrange(0x1800, 8);
    refused(() => part.insertRegion({ start: 0, backing: heap(8) }), { code: 'overlap', memory: 'ram' });
  });

  /** Calls that take so many bytes of each access and then fail. */
  function failing(taken: number): MemoryBacking {
    const stop = (bytes: Uint8Array): never => {
      throw new Error(`no more than ${taken} of ${bytes.length}`);
    };
    return callbacks({ size: 0x1000, read: (_, dest) => stop(dest), write: (_, src) => stop(src) });
  }

  it('M3 E: what a memory behind moved before it failed is counted, through memories upon memories', () => {
    const inner = GuestMemory.fromRegions([
      { start: 0, backing: heap(0x20) },
      { start: 0x20, backing: failing(0) },
    ]);
    const middle = GuestMemory.fromRegions([
      { start: 0, backing: heap(8) },
      { start: 8, backing: alias(inner, 0x10, 0x100) },
    ]);
    const outer = GuestMemory.fromRegions([{ start: 0x1000, backing: alias(middle, 4, 0x100) }]);
    for (const call of [
      () => outer.writeAt(0x1000, new Uint8Array(0x20).fill(1)),
      () => outer.readAt(0x1000, new Uint8Array(0x20)),
      () => outer.fillAt(0x1000, 1, 0x20),
    ]) {
      // 4 bytes in front of the inner memory, 16 of it.
      refused(call, { code: 'fault', gpa: 0x1000, length: 0x20, failedAt: 0x1014, done: 0x14 });
    }
    assert.equal(inner.readU8(0x1f), 1);
    assert.equal(outer.write(0x1000, new Uint8Array(0x20)), 0x14);
    const here = GuestMemory.allocate(0x1000);
    refused(() => outer.copyFrom(here, 0, 0x1000, 0x20), { code: 'fault', failedAt: 0x1014, done: 0x14 });
    refused(() => here.copyFrom(outer, 0x1000, 0, 0x20), { code: 'fault' });
  });

  it('M3 S4: an IOMMU counts what the runs before moved', () => {
    const inner = GuestMemory.fromRegions([
      { start: 0, backing: heap(0x2000) },
      { start: 0x2000, backing: heap(0x10) },
      { start: 0x2010, backing: failing(0) },
    ]);
    const iotlb = new Iotlb();
    iotlb.map(0, 0x1000, 0x1000, 'rw');
    iotlb.map(0x1000, 0x2000, 0x1000, 'rw');
    const memory = new IommuView({ memory: inner, iotlb }).memory();
    refused(() => memory.writeAt(0xff0, new Uint8Array(0x40).fill(1)), {
      code: 'fault',
      gpa: 0xff0,
      failedAt: 0x1010,
      done: 0x20,
    });
    assert.equal(inner.readU8(0x200f), 1);
    assert.equal(memory.read(0xff0, new Uint8Array(0x40)), 0x20);
  });

  it('M3: a memory behind that claims more than it was asked for is not believed', () => {
    const memory = GuestMemory.fromRegions([
      {
        start: 0,
        backing: callbacks({
          size: 0x100,
          read(): void {
            refusal();
          },
        }),
      },
    ]);
    const refusal = (): void =>
      GuestMemory.fromRegions([
        { start: 0, backing: heap(0x1000) },
        { start: 0x1000, backing: failing(0) },
      ]).readAt(0, new Uint8Array(0x1010));
    refused(() => memory.readAt(0, new Uint8Array(16)), { code: 'fault', done: 16, failedAt: 16 });
  });
});

describe('A2: where a subrange ends', () => {
  it('A2 subrange: one that ends with a hole, or is nothing else, keeps its length', () => {
    const memory = GuestMemory.fromRanges([
      [0x1000, 0x1000],
      [0x8000, 0x1000],
    ]);
    const part = memory.subrange(0x1000, 0x4000);
    const hole = memory.subrange(0x3000, 0x2000);
    assert.deepEqual(part.subrange(0, 0x4000).regions.length, 1);
    assert.deepEqual(part.subrange(0x2000, 0x2000).regions, []);
    assert.deepEqual(hole.subrange(0x800, 0x1800).regions, []);
    refused(() => part.subrange(0, 0x4001), { code: 'unmapped', failedAt: 0x4000 });
    refused(() => hole.subrange(0, 0x2001), { code: 'unmapped', failedAt: 0x2000 });
    const changed = part.removeRegion(0, 0x1000);
    changed.subrange(0x3000, 0x1000);
    assert.equal(new ProtectedView(part).memory().subrange(0x1000, 0x3000).regions.length, 0);
    const grown = hole.insertRegion({ start: 0x2000, backing: heap(0x1000) });
    grown.subrange(0, 0x3000);
    refused(() => memory.removeRegion(0x8000, 0x1000).subrange(0, 0x2001), { code: 'unmapped' });
  });

  it('A2 subrange, M14: a handle keeps its length too', () => {
    const memory = GuestMemory.fromRanges(
      [
        [0, 0x2000],
        [0x8000, 0x1000],
      ],
      { shared: true },
    );
    const there = attach(structuredClone(share(memory.subrange(0x1000, 0x4000))));
    there.subrange(0x2000, 0x2000);
    refused(() => there.subrange(0, 0x4001), { code: 'unmapped' });
  });
});
