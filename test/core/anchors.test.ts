import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  alias,
  array,
  attach,
  bytes,
  callbacks,
  GuestMemory,
  GuestMemoryAccessor,
  type HostRun,
  heap,
  lazy,
  ProtectedView,
  share,
  shared,
  struct,
  u8,
  u32,
  u64,
} from '../../src/core/index.ts';
import { ScatteredRuns } from '../support/indirect-memories.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';

// SPEC R: one test for each defect of the projects to beat. Those of locks, dirty tracking and paged ranges are with their
// tests; torn reads (OpenVMM D2) are in tearing.worker.test.ts too. docs/requirements.md lists them all.

describe('R: defects of OpenVMM’s guestmem', () => {
  it('R OpenVMM D2: a scalar through calls upon calls is one call of its width at the bottom', () => {
    const widths: number[] = [];
    const bottom = GuestMemory.from(
      callbacks({
        size: 0x100,
        read: (_, dest) => void widths.push(dest.length),
        write: (_, src) => void widths.push(src.length),
      }),
    );
    const top = GuestMemory.from(alias(GuestMemory.from(alias(bottom, 0, 0x100)), 0, 0x100)).subrange(
      8,
      0x20,
    );
    top.readU16(0);
    top.readU32(4);
    top.readU64(8);
    top.writeU16(0, 1);
    top.writeU32(4, 1);
    top.writeU64(8, 1n);
    assert.deepEqual(widths, [2, 4, 8, 2, 4, 8]);
  });

  it('R OpenVMM D6: a run of pages over a region border is two iovecs, and a full region ends with its last page', () => {
    const memory = GuestMemory.multiRegion(0x1000, [heap(0x1000), heap(0x1000), undefined]);
    assert.deepEqual(
      memory.views(0, 0x2000, 'write').iovecs.map(({ length }) => length),
      [0x1000, 0x1000],
    );
    assert.equal(memory.view(0x1000, 0x1000, 'write').bytes.length, 0x1000);
    memory.probeGpns([0, 1], 'write');
    assert.equal(memory.readU64(0x1ff8), 0n);
    refused(() => memory.views(0x1000, 0x1001, 'read'), { code: 'unmapped', failedAt: 0x2000 });
  });

  it('R OpenVMM D7: compare-exchange and the writable probe work through a translator and an alias', () => {
    for (const memory of [
      GuestMemory.from(new ScatteredRuns(0, 0x100)),
      GuestMemory.from(alias(GuestMemory.allocate(0x1000), 0, 0x100)),
      GuestMemory.from(alias(GuestMemory.from(new ScatteredRuns(0x40, 0x100)), 0x40, 0x100)),
    ]) {
      assert.equal(memory.checkGpaWritable(8), true);
      assert.equal(memory.compareExchange(u64, 8, 0n, 5n), 0n);
      assert.equal(memory.compareExchange(u64, 8, 0n, 6n), 5n);
      assert.equal(memory.readU64(8), 5n);
    }
  });

  it('R OpenVMM D10: errors of a subrange count from its start in the fields, and name both places in the message', () => {
    const memory = GuestMemory.fromRegions([
      { start: 0x1000, backing: heap(0x1000) },
      {
        start: 0x2000,
        backing: callbacks({
          size: 0x1000,
          read() {
            throw new Error('no');
          },
        }),
      },
    ]);
    const part = memory.subrange(0x1800, 0x1800).subrange(0x100, 0x1000);
    for (const [call, code, failedAt, whole] of [
      [() => part.readAt(0x6f0, new Uint8Array(0x20)), 'fault', 0x700, 0x2000],
      [() => part.writeAt(0x6f0, new Uint8Array(0x20)), 'denied', 0x700, 0x2000],
      [() => part.readU32(0x800), 'fault', 0x800, 0x2100],
      [() => part.readU32(0x1200), 'unmapped', 0x1200, 0x2b00],
    ] as const) {
      const { message } = refused(call, { code, failedAt });
      assert(
        message.includes(`0x${failedAt.toString(16)} (0x${whole.toString(16)} in the whole memory)`),
        message,
      );
    }
  });

  it('R OpenVMM D10: a subrange that begins at 1 is one too; one that begins at 0 has only one count', () => {
    const memory = GuestMemory.allocate(0x1000);
    const { message } = refused(() => memory.subrange(1, 8).readU8(8), { code: 'unmapped', failedAt: 8 });
    assert.match(message, /0x8 \(0x9 in the whole memory\)/);
    const same = refused(() => memory.subrange(0, 8).readU8(8), { code: 'unmapped', failedAt: 8 });
    assert.doesNotMatch(same.message, /whole memory/);
  });

  it('R OpenVMM D12: memories nest in memories, of any kinds, and each refusal says what the inner one said', () => {
    const inner = GuestMemory.fromRegions(
      [
        { start: 0, backing: heap(0x100) },
        { start: 0x100, backing: bytes(new Uint8Array(0x100), { readOnly: true }) },
      ],
      { name: 'inner' },
    );
    const outer = GuestMemory.multiRegion(
      0x1000,
      [
        shared(0x1000),
        alias(inner, 0, 0x300),
        alias(GuestMemory.from(new ScatteredRuns(0, 0x100)), 0, 0x100),
      ],
      { name: 'outer' },
    );
    outer.writeU64(0xffc, 0x8877_6655_4433_2211n);
    assert.equal(inner.readU32(0), 0x8877_6655);
    outer.copyFrom(outer, 0xffc, 0x2010, 8);
    assert.equal(outer.readU64(0x2010), 0x8877_6655_4433_2211n);
    const denied = refused(() => outer.writeU8(0x1100, 1), { code: 'denied', memory: 'outer', gpa: 0x1100 });
    refused(
      () => {
        throw denied.cause;
      },
      { code: 'denied', memory: 'inner', failedAt: 0x100 },
    );
    refused(() => outer.readU8(0x1200), { code: 'unmapped', memory: 'outer', failedAt: 0x1200 });
  });
});

describe('R: defects of vm-memory', () => {
  it('R vm-memory 2.4.1: a backing that gives less at a time never leaves a gap in the middle', () => {
    const source = new Uint8Array(0x20).map((_, i) => i + 1);
    const tenAtATime = (start: number): ReturnType<typeof callbacks> =>
      callbacks({
        size: 16,
        read: (offset, dest) => dest.set(source.subarray(start + offset, start + offset + dest.length)),
        probe: (offset, length) => Math.min(length, 10 - Math.min(offset, 10)),
      });
    const memory = GuestMemory.fromRegions([
      { start: 0x1000, backing: tenAtATime(0) },
      { start: 0x1010, backing: tenAtATime(16) },
    ]);
    const dest = new Uint8Array(32);
    assert.equal(memory.read(0x1000, dest), 10);
    sameBytes(
      dest,
      source.map((byte, i) => (i < 10 ? byte : 0)),
    );
  });

  it('R vm-memory 2.4.2: an exact call goes over as many pieces as it takes', () => {
    const pieces = Array.from({ length: 16 }, (_, i) => ({
      start: 0x1000 + i,
      backing: bytesAt(0x1000 + i),
    }));
    const memory = GuestMemory.fromRegions(pieces);
    const source = new Uint8Array(16).map((_, i) => i);
    memory.writeAt(0x1000, source);
    sameBytes(memory.readBytes(0x1000, 16), source);
  });

  it('R vm-memory 2.4.3: a failure in a later piece hides nothing of what an earlier one moved', () => {
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: heap(0x10) },
      {
        start: 0x10,
        backing: callbacks({
          size: 0x10,
          read: () => undefined,
          write() {
            throw new Error('full');
          },
        }),
      },
    ]);
    refused(() => memory.writeAt(8, new Uint8Array(16).fill(1)), {
      code: 'fault',
      gpa: 8,
      failedAt: 0x10,
      done: 8,
    });
    assert.equal(memory.write(8, new Uint8Array(16).fill(2)), 8);
    assert.equal(memory.readU64(8), 0x0202_0202_0202_0202n);
  });

  it('R vm-memory 2.4.4: a sink of 20 bytes takes 20 of 32 and says so', () => {
    const memory = GuestMemory.fromRanges([
      [0, 16],
      [16, 4],
    ]);
    assert.equal(memory.write(0, new Uint8Array(32)), 20);
    assert.equal(memory.read(0, new Uint8Array(32)), 20);
  });

  it('R vm-memory 2.4.5: no read near the top of the space returns 0 bytes and no error', () => {
    const memory = GuestMemory.fromRanges([[0, 0x1000]]);
    const gpa = 2 ** 53 - 4;
    refused(() => memory.read(gpa, new Uint8Array(8)), { code: 'invalid', gpa, length: 8 });
    refused(() => memory.read(gpa, new Uint8Array(4)), { code: 'unmapped', gpa });
    refused(() => memory.readAt(gpa, new Uint8Array(8)), { code: 'invalid' });
  });

  it('R vm-memory 2.4.6: values without a size divide nothing by zero', () => {
    const memory = GuestMemory.allocate(0x1000);
    assert.deepEqual(memory.readPlain(array(u64, 0), 0x1000), []);
    assert.deepEqual(memory.readPlain(array(struct({}), 3), 5), [{}, {}, {}]);
    memory.writePlain(array(u64, 0), 0x1000, []);
  });

  it('R vm-memory 2.4.7: read-only memory refuses writes; nothing crashes', () => {
    const memory = GuestMemory.fromRegions([{ start: 0, backing: heap(0x10), access: 'r' }]);
    refused(() => memory.writeU32(0, 1), { code: 'denied', gpa: 0 });
    refused(() => memory.store(u32, 0, 1), { code: 'denied', gpa: 0 });
    refused(() => memory.compareExchange(u32, 0, 0, 1), { code: 'denied', gpa: 0 });
    assert.equal(memory.load(u32, 0), 0);
  });

  it('R vm-memory 2.4.8: whether bytes are the same is told by the bytes, not by the handle they came through', () => {
    const ram = new SharedArrayBuffer(0x2000);
    const once = GuestMemory.from(bytes(new Uint8Array(ram)));
    const twice = once.insertRegion({ start: 0x8000, backing: bytes(new Uint8Array(ram, 0, 0x2000)) });
    const attached = attach(structuredClone(share(twice)));
    for (const memory of [twice, attached]) {
      for (let i = 0; i < 0x2000; i++) memory.writeU8(i, i % 251);
      const wanted = memory.readBytes(0, 0x1f00);
      memory.copyFrom(memory, 0, 0x8100, 0x1f00);
      sameBytes(memory.readBytes(0x100, 0x1f00), wanted);
      memory.copyFrom(memory, 0x8100, 0, 0x1f00);
      sameBytes(memory.readBytes(0, 0x1f00), wanted);
    }
  });
});

describe('R: defects of axaddrspace', () => {
  it('R axaddrspace A.2.1: host bytes may lie above, below or at the guest’s address', () => {
    for (const [start, at] of [
      [0x1000, 0x9000],
      [0x9000, 0x1000],
      [2 ** 52, 0],
      [0, 0xf000],
    ] as const) {
      const host = new Uint8Array(0x1_0000);
      const memory = GuestMemory.fromRegions([{ start, backing: bytes(host.subarray(at, at + 0x1000)) }]);
      assert.deepEqual(memory.translateAndGetLimit(start + 0x123), {
        buffer: host.buffer,
        byteOffset: at + 0x123,
        limit: 0xedd,
      });
      memory.writeU32(start + 0xffc, 0x0102_0304);
      assert.equal(host[at + 0xfff], 1);
    }
  });

  it('R axaddrspace A.2.2: the limit is what is left from the address, contiguous on the host', () => {
    const memory = GuestMemory.fromRanges([
      [0, 0x3000],
      [0x3000, 0x1000],
    ]);
    assert.equal(memory.translateAndGetLimit(0x3000 - 8)?.limit, 8);
    assert.equal(memory.translateAndGetLimit(0x3000)?.limit, 0x1000);
    assert.equal(memory.translateAndGetLimit(0x3fff)?.limit, 1);
  });

  it('R axaddrspace A.2.3: a range that begins in the middle of a region and does not fit is an error', () => {
    const memory = GuestMemory.fromRanges([[0, 0x3000]]);
    refused(() => memory.views(0x2000, 0x1001, 'write'), { code: 'unmapped', failedAt: 0x3000 });
    assert.equal(memory.views(0x2000, 0x1000, 'write').iovecs[0]?.length, 0x1000);
  });

  it('R axaddrspace A.2.4: a fault on a page that is there keeps it, whoever reports it and how often', () => {
    for (const options of [{}, { shared: true }]) {
      let supplied = 0;
      const backing = lazy(0x3000, (_, dest) => dest.fill(++supplied), options);
      const memory = GuestMemory.from(backing);
      memory.writeU8(0x1000, 0xaa);
      for (const access of ['read', 'write', 'read'] as const)
        assert.equal(backing.onFault?.(0x1000, 0x1000, access), 'retry');
      assert.equal(supplied, 1);
      assert.deepEqual(memory.readBytes(0x1000, 2), Uint8Array.of(0xaa, 1));
    }
  });

  it('R axaddrspace A.2.6: where pages run out half-way, those that came are known and stay, and the rest can come later', () => {
    let left = 2;
    const backing = lazy(0x4000, (offset, dest) => {
      if (left-- <= 0) throw new Error('no more frames');
      dest.fill(1 + offset / 0x1000);
    });
    const memory = GuestMemory.from(backing);
    const source = new Uint8Array(0x4000).fill(0xff);
    const error = refused(() => memory.writeAt(0, source), { code: 'fault', failedAt: 0x2000, done: 0 });
    assert.match(String(error.cause), /no more frames/);
    assert.equal(backing.presentPages(), 2);
    assert.deepEqual(memory.readBytes(0xfff, 2), Uint8Array.of(1, 2), 'nothing was written, nothing lost');
    left = 2;
    memory.writeAt(0, source);
    assert.equal(backing.presentPages(), 4);
    assert.equal(memory.readU8(0x3fff), 0xff);
  });

  it('R axaddrspace A.2.7: a range that runs past the space is false, or invalid, and no crash', () => {
    const memory = GuestMemory.fromRanges([[2 ** 53 - 0x1000, 0x1000]]);
    assert.equal(memory.checkRange(2 ** 53 - 1, 2 ** 53 - 1), false);
    refused(() => memory.probe(2 ** 53 - 1, 2), { code: 'invalid', gpa: 2 ** 53 - 1, length: 2 });
  });

  it('R axaddrspace A.2.9: an access of nothing is allowed and brings no page', () => {
    const backing = lazy(0x2000);
    const memory = new ProtectedView(GuestMemory.from(backing), { initial: '' }).memory();
    memory.readAt(0x1000, new Uint8Array(0));
    memory.writeAt(0x1000, new Uint8Array(0));
    memory.fillAt(0x1000, 1, 0);
    memory.copyFrom(memory, 0, 0x1000, 0);
    memory.probe(0x1000, 0, 'write');
    assert.deepEqual(memory.views(0x1000, 0, 'write').iovecs, []);
    assert.equal(memory.checkRange(0x1000, 0, 'write'), true);
    assert.equal(backing.presentPages(), 0);
    refused(() => memory.readU8(0x1000), { code: 'denied' });
  });

  it('R axaddrspace A.3 limit 0: an error and not an endless loop, wherever it comes', () => {
    const buffer = new ArrayBuffer(16);
    class Stuck extends GuestMemoryAccessor {
      translateAndGetLimit(gpa: number): HostRun | undefined {
        return { buffer, byteOffset: 0, limit: gpa < 8 ? 8 - gpa : 0 };
      }
    }
    const stuck = new Stuck();
    refused(() => stuck.readBuffer(0, new Uint8Array(16)), { code: 'fault', failedAt: 8, done: 0 });
    refused(() => stuck.writeObj(array(u8, 9), 0, new Array(9).fill(1)), { code: 'fault', failedAt: 8 });
    refused(() => GuestMemory.from(stuck).readBytes(4, 8), { code: 'fault', failedAt: 8 });
  });

  it('R axaddrspace A.3 overflow: the next address is never past the space', () => {
    const asked: number[] = [];
    const top = 2 ** 53 - 8;
    const memory = GuestMemory.from({
      translateAndGetLimit(gpa): HostRun | undefined {
        asked.push(gpa);
        return { buffer: new ArrayBuffer(64), byteOffset: 0, limit: 64 };
      },
    });
    assert.equal(memory.readBytes(top, 8).length, 8);
    refused(() => memory.readBytes(top, 9), { code: 'invalid', gpa: top, length: 9 });
    assert(asked.length > 0 && asked.every((gpa) => gpa === top), String(asked));
  });

  it('R axaddrspace A.3 partial: a failure half-way leaves the earlier runs as they were', () => {
    const runs = new ScatteredRuns(0, 0x40);
    refused(() => runs.writeBuffer(0x10, new Uint8Array(0x40).fill(1)), {
      code: 'unmapped',
      failedAt: 0x40,
      done: 0,
    });
    const found = new Uint8Array(0x40);
    runs.readBuffer(0, found);
    sameBytes(found, new Uint8Array(0x40));
  });

  it('R axaddrspace A.3 objects across two regions are read and written whole', () => {
    const runs = new ScatteredRuns(0, 0x40);
    runs.writeObj(u64, 0x1c, 0x1122_3344_5566_7788n);
    assert.equal(runs.readObj(u64, 0x1c), 0x1122_3344_5566_7788n);
  });

  it('R axaddrspace A.3 alignment and rights are checked where they count', () => {
    const runs = new ScatteredRuns(0, 0x40);
    refused(() => runs.readVolatile(u32, 2), { code: 'misaligned' });
    runs.writeBuffer(0, new Uint8Array(1));
    assert.deepEqual(runs.asked, { read: 1, write: 1 });
  });
});

function bytesAt(start: number): ReturnType<typeof bytes> {
  return bytes(new Uint8Array(new ArrayBuffer(16), start % 8, 1));
}
