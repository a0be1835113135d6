import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  AtomicAddressSpace,
  alias,
  callbacks,
  type FallbackAccess,
  GuestMemory,
  heap,
  IommuView,
  Iotlb,
  type IotlbRights,
  iotlbFaults,
  isGuestMemoryError,
  PagedRange,
  pending,
  readRange,
  settle,
  u8,
  u16,
  u32,
  u64,
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
      assert.deepEqual(view.views(iova, 0, 'write').iovecs, []);
    }
    refused(() => memory.readU64(2 ** 53 - 4), { code: 'invalid' });
    refused(() => view.views(2 ** 53 - 4, 8, 'read'), { code: 'invalid' });
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
    const views = view.views(0x1000, 4, 'write');
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
    const views = view.views(0x1800, 0x2000, 'read');
    assert.deepEqual(
      views.iovecs.map((bytes) => bytes.length),
      [0x1800, 0x800],
    );
    views.iovecs[1]?.fill(5);
    assert.equal(ram.readU8(0x17ff), 5);
    views.release();
    refused(() => view.views(0x1800, 0x2000, 'write'), {
      code: 'denied',
      memory: 'device',
      failedAt: 0x2000,
    });
    refused(() => view.views(0x1800, 0x4000, 'read'), {
      code: 'unmapped',
      memory: 'device',
      failedAt: 0x4000,
    });
    view.iotlb.map(0x4000, 0x1_0000, 0x1000, 'rw');
    refused(() => view.views(0x3800, 0x1000, 'read'), {
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

describe('misses of an IommuView', () => {
  it('S4: a miss and a missing right are asked for, with the part of the request that they concern', () => {
    const ram = GuestMemory.allocate(0x1_0000);
    const asked: [number, number, string][] = [];
    const view = new IommuView({
      memory: ram,
      onMiss(iova, length, access) {
        asked.push([iova, length, access]);
        view.iotlb.map(iova, iova, length, 'rw');
        return true;
      },
    });
    view.iotlb.map(0x1000, 0x1000, 0x1000, 'rw');
    view.iotlb.map(0x2000, 0x2000, 0x1000, 'r');
    const memory = view.memory();
    memory.writeAt(0x1f00, new Uint8Array(0x1200));
    assert.deepEqual(asked, [
      [0x2000, 0x1000, 'write'],
      [0x3000, 0x100, 'write'],
    ]);
    memory.writeAt(0x1f00, new Uint8Array(0x1200));
    assert.equal(asked.length, 2);
    memory.readU64(0x8000);
    assert.deepEqual(asked[2], [0x8000, 8, 'read']);
  });

  it('S4: may answer a page at a time', () => {
    const ram = GuestMemory.allocate(0x20_0000);
    let calls = 0;
    const view = new IommuView({
      memory: ram,
      onMiss(iova) {
        calls++;
        view.iotlb.map(iova, iova, 0x1000, 'rw');
        return true;
      },
    });
    view.memory().fillAt(0, 1, 0x20_0000);
    assert.equal(calls, 0x200);
  });

  it('S4: one that answers the first fault only still lets a partial access come that far', () => {
    const asked: number[] = [];
    const view = new IommuView({
      memory: GuestMemory.allocate(0x1_0000),
      onMiss(iova, length) {
        asked.push(iova);
        if (iova >= 0x3000) return false;
        view.iotlb.map(iova, iova, length, 'r');
        return true;
      },
    });
    view.iotlb.map(0x2000, 0x2000, 0x1000, 'r');
    assert.equal(view.memory().read(0x1000, new Uint8Array(0x3000)), 0x2000);
    assert.deepEqual(asked.slice(0, 2), [0x1000, 0x3000]);
  });

  it('S4: one that says no leaves the access unmapped or denied', () => {
    const ram = GuestMemory.allocate(0x1000);
    let calls = 0;
    const view = new IommuView({
      memory: ram,
      onMiss: () => {
        calls++;
        return false;
      },
    });
    refused(() => view.memory().readU8(0x10), { code: 'unmapped', failedAt: 0x10 });
    assert(calls > 0);
    view.iotlb.map(0, 0, 0x1000, 'r');
    refused(() => view.memory().writeU8(0x10, 1), { code: 'denied', failedAt: 0x10 });
  });

  it('R OpenVMM 2.4: one that says "look again" for ever ends in retry-limit', () => {
    let calls = 0;
    const view = new IommuView({
      memory: GuestMemory.allocate(0x1000),
      onMiss: () => {
        calls++;
        return true;
      },
    });
    const error = refused(() => view.memory().readU32(0x10), { code: 'retry-limit', failedAt: 0x10 });
    assert.deepEqual(iotlbFaults(error), [{ kind: 'miss', iova: 0x10, length: 4 }]);
    assert(calls < 100, `${calls} calls`);
  });

  it('S4: an IOTLB too small for one request ends in retry-limit, and still serves smaller ones', () => {
    const ram = GuestMemory.allocate(0x1_0000);
    const view = new IommuView({
      memory: ram,
      iotlb: new Iotlb({ capacity: 2 }),
      onMiss(iova) {
        const page = iova - (iova % 0x1000);
        view.iotlb.map(page, (0xf000 - page) % 0x1_0000, 0x1000, 'rw');
        return true;
      },
    });
    refused(() => view.memory().writeAt(0, new Uint8Array(0x3000).fill(1)), { code: 'retry-limit' });
    sameBytes(ram.readBytes(0, 0x1_0000), new Uint8Array(0x1_0000));
    for (let iova = 0; iova < 0xf000; iova += 0x800) view.memory().fillAt(iova, 2, 0x1000);
    assert.equal(view.iotlb.size, 2);
  });

  it('S4: an access that it makes through the same IOMMU does not ask it again', () => {
    const reasons: unknown[] = [];
    const view = new IommuView({
      memory: GuestMemory.allocate(0x1000),
      onMiss(iova, length) {
        try {
          view.memory().readU8(0x800);
        } catch (error) {
          reasons.push(isGuestMemoryError(error) ? error.code : error);
        }
        view.iotlb.map(iova, iova, length, 'r');
        return true;
      },
    });
    assert.equal(view.memory().readU8(0), 0);
    assert.deepEqual(reasons, ['unmapped']);
  });

  it('M16: one that has to wait throws pending, and settle waits for it', async () => {
    const ram = GuestMemory.allocate(0x1000);
    ram.writeU32(0x40, 7);
    const view = new IommuView({
      memory: ram,
      onMiss(iova, length) {
        throw pending(Promise.resolve().then(() => view.iotlb.map(iova, iova, length, 'r')));
      },
    });
    refused(() => view.memory().readU32(0x40), { code: 'pending' });
    assert.equal(await settle(() => view.memory().readU32(0x40)), 7);
  });

  it("E: what it throws is the cause of the access's error, and it is asked again the next time", () => {
    const boom = new Error('no connection');
    let broken = true;
    const view = new IommuView({
      memory: GuestMemory.allocate(0x1000),
      onMiss(iova, length) {
        if (broken) throw boom;
        view.iotlb.map(iova, iova, length, 'r');
        return true;
      },
    });
    const error = refused(() => view.memory().readU8(1), { code: 'fault', failedAt: 1 });
    assert.equal(error.cause, boom);
    broken = false;
    assert.equal(view.memory().readU8(1), 0);
  });
});

describe('scalars and atomics of an IommuView', () => {
  /** A target of calls that counts them by width. */
  function countingTarget(): { memory: GuestMemory; calls: string[] } {
    const store = new Uint8Array(0x1000);
    const calls: string[] = [];
    const access: FallbackAccess = {
      read(offset, dest) {
        calls.push(`read ${dest.length}`);
        dest.set(store.subarray(offset, offset + dest.length));
      },
      write(offset, src) {
        calls.push(`write ${src.length}`);
        store.set(src, offset);
      },
      compareExchange(_offset, expected) {
        calls.push(`exchange ${expected.length}`);
        return true;
      },
    };
    return { memory: GuestMemory.from(callbacks({ size: 0x1000, ...access })), calls };
  }

  it('R OpenVMM D2: an aligned scalar is exactly one access of its width behind the translation', () => {
    const { memory: target, calls } = countingTarget();
    const view = new IommuView({ memory: target });
    view.iotlb.map(0x1_0000, 0x100, 0x100, 'rw');
    // Two entries whose bytes touch in the guest are no seam.
    view.iotlb.map(0x1_0100, 0x200, 0x100, 'r');
    view.iotlb.map(0x1_0104, 0x204, 4, 'rw');
    const memory = view.memory();
    for (const iova of [0x1_0008, 0x1_0100]) {
      memory.readU8(iova);
      memory.readU16(iova);
      memory.readU32(iova);
      memory.readU64(iova);
      assert.deepEqual(calls.splice(0), ['read 1', 'read 2', 'read 4', 'read 8']);
    }
    memory.writeU8(0x1_0008, 1);
    memory.writeU16(0x1_0008, 1);
    memory.writeU32(0x1_0008, 1);
    memory.writeU64(0x1_0008, 1n);
    assert.deepEqual(calls.splice(0), ['write 1', 'write 2', 'write 4', 'write 8']);
    // Through another memory of calls as well.
    const again = GuestMemory.from(alias(memory, 0x1_0000, 0x100));
    again.readU64(8);
    again.writeU32(8, 1);
    assert.deepEqual(calls.splice(0), ['read 8', 'write 4']);
  });

  it('R OpenVMM D7: compare-exchange works through an IOMMU, on every width', () => {
    const { ram, view, memory } = makeView();
    view.iotlb.map(0x1000, 0x4000, 0x1000, 'rw');
    for (const type of [u8, u16, u32] as const) {
      memory.writePlain(type, 0x1008, 5);
      assert.equal(memory.compareExchange(type, 0x1008, 6, 7), 5);
      assert.equal(memory.compareExchange(type, 0x1008, 5, 7), 5);
      assert.equal(ram.readPlain(type, 0x4008), 7);
    }
    memory.writeU64(0x1010, 5n);
    assert.equal(memory.compareExchange(u64, 0x1010, 5n, 2n ** 60n), 5n);
    assert.equal(ram.readU64(0x4010), 2n ** 60n);
    assert.equal(memory.checkGpaWritable(0x1010), true);
  });

  it('S4: compare-exchange tells what is there, and so needs both rights', () => {
    const { ram, view, memory } = makeView();
    view.iotlb.map(0x1000, 0x4000, 0x1000, 'w');
    ram.writeU32(0x4000, 9);
    refused(() => memory.compareExchange(u32, 0x1000, 0, 1), { code: 'denied', failedAt: 0x1000 });
    memory.writeU32(0x1000, 3);
    refused(() => memory.readU32(0x1000), { code: 'denied' });
    view.iotlb.map(0x1000, 0x4000, 0x1000, 'r');
    refused(() => memory.compareExchange(u32, 0x1000, 3, 1), { code: 'denied', failedAt: 0x1000 });
    assert.equal(ram.readU32(0x4000), 3);
  });

  it('R vm-memory 2.5: an atomic step across two translations, or on one that is not congruent, is an error', () => {
    const { ram, view, memory } = makeView();
    view.iotlb.map(0x1000, 0x4000, 4, 'rw');
    view.iotlb.map(0x1004, 0x8004, 4, 'rw');
    refused(() => memory.compareExchange(u64, 0x1000, 0n, 1n), { code: 'misaligned' });
    refused(() => memory.compareExchange(u32, 0x1002, 0, 1), { code: 'misaligned' });
    view.iotlb.map(0x2000, 0x4001, 8, 'rw');
    refused(() => memory.compareExchange(u32, 0x2000, 0, 1), { code: 'misaligned' });
    sameBytes(ram.readBytes(0, 0x1_0000), new Uint8Array(0x1_0000));
    memory.writeU64(0x1000, 0x2222_2222_1111_1111n);
    assert.deepEqual([ram.readU32(0x4000), ram.readU32(0x8004)], [0x1111_1111, 0x2222_2222]);
  });

  it('R vm-memory 2.4.5: an atomic step without any translation is an error, not a crash', () => {
    const { memory } = makeView();
    refused(() => memory.compareExchange(u32, 0x1000, 0, 1), { code: 'unmapped', failedAt: 0x1000 });
    refused(() => memory.load(u32, 0x1000), { code: 'unmapped', failedAt: 0x1000 });
    refused(() => memory.store(u32, 0x1000, 1), { code: 'unmapped', failedAt: 0x1000 });
    refused(() => memory.readU8(2 ** 53 - 1), { code: 'unmapped', failedAt: 2 ** 53 - 1 });
  });
});

describe('an IommuView against a map of bytes', () => {
  it('S4 M3: reads and writes what a table of each byte says, and nothing where a byte is missing', () => {
    const rights = fc.constantFrom<IotlbRights>('r', 'w', 'rw', 'rw');
    const mapping = fc.tuple(
      fc.nat(0x70),
      fc.nat(0x70),
      fc.integer({ min: 1, max: 0x30 }),
      rights,
      fc.boolean(),
    );
    const access = fc.tuple(fc.boolean(), fc.nat(0x7f), fc.integer({ min: 1, max: 0x28 }));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(mapping, fc.array(access, { maxLength: 4 })), { maxLength: 12 }),
        (steps) => {
          const ram = GuestMemory.fromRanges([
            [0, 0x40],
            [0x40, 0x60],
          ]);
          const view = new IommuView({ memory: ram });
          const memory = view.memory();
          const bytes = new Uint8Array(0xa0);
          const table = new Map<number, { gpa: number; rights: IotlbRights }>();
          let seed = 0;
          for (const [[iova, gpa, length, right, gone], accesses] of steps) {
            if (gone) view.iotlb.unmap(iova, length);
            else view.iotlb.map(iova, gpa, length, right);
            for (let i = 0; i < length; i++) {
              if (gone) table.delete(iova + i);
              else table.set(iova + i, { gpa: gpa + i, rights: right });
            }
            for (const [write, at, count] of accesses) {
              const places = Array.from({ length: count }, (_, i) => table.get(at + i));
              const failing = places.findIndex((place) => place?.rights.includes(write ? 'w' : 'r') !== true);
              const data = pattern(count, ++seed);
              const act = (): void => (write ? memory.writeAt(at, data) : memory.readAt(at, data));
              if (failing >= 0) {
                const code = places[failing] === undefined ? 'unmapped' : 'denied';
                refused(act, { code, gpa: at, failedAt: at + failing, done: 0 });
              } else {
                act();
                places.forEach((place, i) => {
                  if (write) bytes[place?.gpa ?? 0] = data[i] ?? 0;
                });
                if (!write)
                  sameBytes(
                    data,
                    Uint8Array.from(places, (place) => bytes[place?.gpa ?? 0] ?? 0),
                  );
              }
              sameBytes(ram.readBytes(0, 0xa0), bytes);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
