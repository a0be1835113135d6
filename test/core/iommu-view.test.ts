import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  AtomicAddressSpace,
  GuestMemory,
  heap,
  IommuView,
  iotlbFaults,
  isGuestMemoryError,
  PagedRange,
  readRange,
  writeRange,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { pattern } from '../support/scalars.ts';

/** 64 KiB of RAM behind an IOMMU that knows nothing yet. */
function makeView(): { ram: GuestMemory; view: IommuView; memory: GuestMemory } {
  const ram = GuestMemory.allocate(0x1_0000, { name: 'ram' });
  const view = new IommuView({ memory: ram, name: 'device' });
  return { ram, view, memory: view.memory() };
}

describe('IommuView', () => {
  it('S4: translates every access, and writes at the guest-physical addresses', () => {
    const { ram, view, memory } = makeView();
    view.iotlb.map(0x7_0000_0000, 0x3000, 0x1000, 'rw');
    view.iotlb.map(0x7_0000_1000, 0x1000, 0x1000, 'rw');
    const bytes = pattern(0x1800);
    memory.writeAt(0x7_0000_0400, bytes);
    sameBytes(ram.readBytes(0x3400, 0xc00), bytes.subarray(0, 0xc00));
    sameBytes(ram.readBytes(0x1000, 0xc00), bytes.subarray(0xc00));
    sameBytes(memory.readBytes(0x7_0000_0400, 0x1800), bytes);
    memory.writeU64(0x7_0000_0ffc, 0x1122_3344_5566_7788n);
    assert.deepEqual([ram.readU32(0x3ffc), ram.readU32(0x1000)], [0x5566_7788, 0x1122_3344]);
    assert.equal(memory.readU64(0x7_0000_0ffc), 0x1122_3344_5566_7788n);
  });

  it('S4: any miss or denied byte fails an exact access before its first byte', () => {
    const { ram, view, memory } = makeView();
    view.iotlb.map(0x1000, 0, 0x1000, 'rw');
    view.iotlb.map(0x2000, 0x2000, 0x1000, 'r');
    view.iotlb.map(0x3000, 0x5000, 0x1000, 'rw');
    const src = new Uint8Array(0x2800).fill(1);
    const facts = { memory: 'device', operation: 'write', gpa: 0x1000, done: 0 } as const;
    const denied = refused(() => memory.writeAt(0x1000, src), { ...facts, code: 'denied', failedAt: 0x2000 });
    assert.deepEqual(iotlbFaults(denied), [{ kind: 'denied', iova: 0x2000, length: 0x1000 }]);
    refused(() => memory.fillAt(0x1000, 1, 0x2800), { ...facts, operation: 'fill', code: 'denied' });
    const missed = refused(() => memory.writeAt(0x3ff0, src, 0, 0x20), {
      code: 'unmapped',
      failedAt: 0x4000,
    });
    assert.match(String(missed.cause), /no translation for IO virtual 0x4000-0x4010/);
    sameBytes(ram.readBytes(0, 0x1_0000), new Uint8Array(0x1_0000));
    const dest = new Uint8Array(0x20).fill(9);
    refused(() => memory.readAt(0x3ff0, dest), { code: 'unmapped', failedAt: 0x4000 });
    assert(dest.every((byte) => byte === 9));
  });

  it('S4: misses and denials are both listed, clipped to the request, in order of address', () => {
    const { view, memory } = makeView();
    view.iotlb.map(0x1000, 0, 0x800, 'rw');
    view.iotlb.map(0x2000, 0x2000, 0x800, 'r');
    view.iotlb.map(0x2800, 0x8000, 0x800, 'r');
    view.iotlb.map(0x4000, 0x4000, 0x1000, 'w');
    const error = refused(() => memory.writeAt(0x1700, new Uint8Array(0x3000)), {
      code: 'unmapped',
      gpa: 0x1700,
      length: 0x3000,
      failedAt: 0x1800,
    });
    assert.deepEqual(iotlbFaults(error), [
      { kind: 'miss', iova: 0x1800, length: 0x800 },
      { kind: 'denied', iova: 0x2000, length: 0x1000 },
      { kind: 'miss', iova: 0x3000, length: 0x1000 },
    ]);
    assert.deepEqual(iotlbFaults(new Error('other', { cause: [1] })), []);
    assert.deepEqual(iotlbFaults(undefined), []);
  });

  it('S4: partial reads and writes end at the first byte that is not translated', () => {
    const { ram, view, memory } = makeView();
    view.iotlb.map(0x1000, 0, 0x10, 'rw');
    assert.equal(memory.write(0x1008, new Uint8Array(32).fill(3)), 8);
    assert.equal(ram.readU64(8), 0x0303_0303_0303_0303n);
    assert.equal(memory.read(0x1000, new Uint8Array(32)), 16);
    refused(() => memory.read(0x1010, new Uint8Array(1)), { code: 'unmapped', failedAt: 0x1010 });
    assert.deepEqual([memory.reach(0x1000, 32), memory.checkRange(0x1000, 17)], [16, false]);
  });

  it("S4: where the memory behind has a hole, the error names the IO virtual address and has the memory's own as cause", () => {
    const { view, memory } = makeView();
    view.iotlb.map(0x1000, 0xf000, 0x2000, 'rw');
    const error = refused(() => memory.readAt(0x1ff0, new Uint8Array(0x20)), {
      code: 'unmapped',
      failedAt: 0x2000,
    });
    assert(isGuestMemoryError(error.cause));
    assert.deepEqual([error.cause.memory, error.cause.failedAt], ['ram', 0x1_0000]);
    assert.deepEqual(iotlbFaults(error), []);
  });

  it('S4: a hole in the memory behind ends the reach, whatever is translated after it', () => {
    const { view, memory } = makeView();
    view.iotlb.map(0x1000, 0xff00, 0x200, 'rw');
    view.iotlb.map(0x1200, 0x2000, 0x100, 'rw');
    assert.equal(memory.reach(0x1000, 0x300), 0x100);
    assert.equal(memory.write(0x1000, new Uint8Array(0x300)), 0x100);
    refused(() => memory.readBytes(0x1000, 0x300), { code: 'unmapped', failedAt: 0x1100 });
  });

  it('M4: an empty access succeeds without a translation, also at the top; ranges past it are invalid', () => {
    const { memory, view } = makeView();
    for (const iova of [0, 0x1234, 2 ** 53 - 1]) {
      memory.readAt(iova, new Uint8Array(0));
      memory.writeAt(iova, new Uint8Array(0));
      assert.deepEqual(view.memory().views(iova, 0, 'write').iovecs, []);
    }
    refused(() => memory.readU64(2 ** 53 - 4), { code: 'invalid' });
    refused(() => view.memory().views(2 ** 53 - 4, 8, 'read'), { code: 'invalid' });
    refused(() => view.resolve(0, 0, 'read'), { code: 'invalid' });
  });

  it('S4: an invalidation holds from the next access on, also through a memory taken before', () => {
    const { view, memory } = makeView();
    view.iotlb.map(0x1000, 0x2000, 0x1000, 'rw');
    memory.writeU32(0x1000, 1);
    view.iotlb.unmap(0x1000, 4);
    refused(() => memory.readU32(0x1000), { code: 'unmapped' });
    refused(() => memory.writeU32(0x1000, 2), { code: 'unmapped' });
    assert.equal(memory.readU32(0x1004), 0);
    view.iotlb.map(0x1000, 0x2000, 0x1000, 'r');
    assert.equal(memory.readU32(0x1000), 1);
    refused(() => memory.writeU32(0x1000, 2), { code: 'denied', failedAt: 0x1000 });
    view.iotlb.clear();
    refused(() => memory.readU32(0x1000), { code: 'unmapped' });
  });

  it('S4: bypassed, it is the memory itself', () => {
    const { ram, view } = makeView();
    view.iotlb.map(0x1000, 0x2000, 0x1000, 'rw');
    view.bypass = true;
    assert.equal(view.memory(), ram);
    assert.deepEqual(view.resolve(0x1000, 4, 'read'), [{ gpa: 0x1000, length: 4 }]);
    const views = view.memory().views(0x1000, 4, 'write');
    views.iovecs[0]?.fill(7);
    views.release();
    assert.equal(ram.readU32(0x1000), 0x0707_0707);
    view.bypass = false;
    assert.equal(view.memory().readU32(0x1000), 0);
    assert.equal(new IommuView({ memory: ram, bypass: true }).memory(), ram);
  });

  it('A3 vm-memory with_replaced_backend: the memory behind may change; a memory taken before stays as it was', () => {
    const first = GuestMemory.fromRanges([[0, 0x1000]]);
    const space = new AtomicAddressSpace(first);
    const view = new IommuView({ memory: space });
    view.iotlb.map(0x8000, 0x1000, 0x1000, 'rw');
    const before = view.memory();
    assert.equal(view.memory(), before);
    space.update((memory) => memory.insertRegion({ start: 0x1000, backing: heap(0x1000) }));
    assert.notEqual(view.memory(), before);
    assert.equal(view.memory(), view.memory());
    view.memory().writeU8(0x8000, 1);
    refused(() => before.readU8(0x8000), { code: 'unmapped' });
    view.iotlb.map(0x8000, 0, 0x1000, 'rw');
    assert.equal(before.readU8(0x8000), 0);
  });

  it('S4: views lend the host bytes behind the translation, one for each contiguous run', () => {
    const { ram, view } = makeView();
    view.iotlb.map(0x1000, 0x3000, 0x1000, 'rw');
    view.iotlb.map(0x2000, 0x4000, 0x1000, 'r');
    view.iotlb.map(0x3000, 0x1000, 0x1000, 'rw');
    const views = view.memory().views(0x1800, 0x2000, 'read');
    assert.deepEqual(
      views.iovecs.map((bytes) => bytes.length),
      [0x1800, 0x800],
    );
    views.iovecs[1]?.fill(5);
    assert.equal(ram.readU8(0x17ff), 5);
    views.release();
    refused(() => view.memory().views(0x1800, 0x2000, 'write'), {
      code: 'denied',
      memory: 'device',
      failedAt: 0x2000,
    });
    refused(() => view.memory().views(0x1800, 0x4000, 'read'), {
      code: 'unmapped',
      memory: 'device',
      failedAt: 0x4000,
    });
    view.iotlb.map(0x4000, 0x1_0000, 0x1000, 'rw');
    refused(() => view.memory().views(0x3800, 0x1000, 'read'), {
      code: 'unmapped',
      memory: 'device',
      failedAt: 0x4000,
    });
  });

  it('A2: paged ranges go through it', () => {
    const { ram, view, memory } = makeView();
    view.iotlb.map(0x1000, 0x5000, 0x1000, 'rw');
    view.iotlb.map(0x9000, 0x2000, 0x1000, 'rw');
    const range = new PagedRange(0xff0, 0x20, [9, 1]);
    writeRange(memory, range, pattern(0x20));
    sameBytes(ram.readBytes(0x2ff0, 0x10), pattern(0x20).subarray(0, 0x10));
    const back = new Uint8Array(0x20);
    readRange(memory, range, back);
    sameBytes(back, pattern(0x20));
  });

  it('S4: IOMMUs nest', () => {
    const { ram, view } = makeView();
    const outer = new IommuView({ memory: view, name: 'outer' });
    view.iotlb.map(0x1000, 0x4000, 0x1000, 'rw');
    outer.iotlb.map(0xff_0000, 0x1800, 0x1000, 'rw');
    outer.memory().writeU32(0xff_0000, 42);
    assert.equal(ram.readU32(0x4800), 42);
    const error = refused(() => outer.memory().readU32(0xff_0800), { code: 'unmapped', failedAt: 0xff_0800 });
    assert.deepEqual(iotlbFaults(error), [{ kind: 'miss', iova: 0x2000, length: 1 }]);
  });

  it('S4: a copy between the two sides of a translation is a copy, however the ranges overlap', () => {
    const size = 0x28_0000;
    const ram = GuestMemory.allocate(size);
    const view = new IommuView({ memory: ram });
    view.iotlb.map(0, 0, size, 'rw');
    const bytes = pattern(size);
    for (const [from, to] of [
      [0, 0x8000],
      [0x8000, 0],
    ] as const) {
      const length = size - 0x8000;
      ram.writeAt(0, bytes);
      ram.copyFrom(view.memory(), from, to, length);
      sameBytes(ram.readBytes(to, length), bytes.subarray(from, from + length));
      ram.writeAt(0, bytes);
      view.memory().copyFrom(ram, from, to, length);
      sameBytes(ram.readBytes(to, length), bytes.subarray(from, from + length));
    }
  });
});
