import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  callbacks,
  GuestMemory,
  heap,
  isGuestMemoryError,
  ProtectedView,
  pending,
  settle,
  shared,
  u8,
  u32,
  u64,
} from '../../src/core/index.ts';
import {
  createRoot,
  FrameRange,
  GuestTables,
  isPagingError,
  map,
  Translator,
  VirtualMemory,
  X86_4LEVEL,
} from '../../src/paging/index.ts';
import { refused } from '../support/refused.ts';
import { patternWithoutNaN, SCALARS } from '../support/scalars.ts';
import { byNumber, scatteredVirtualMemory } from '../support/virtual-memories.ts';

const format = X86_4LEVEL;

interface Mapping {
  readonly gva: bigint;
  readonly gpa: number;
  readonly write?: boolean;
  readonly execute?: boolean;
}

/** A virtual memory on regions, with its tables in memory of their own. */
function machine(memory: GuestMemory, mappings: readonly Mapping[]): VirtualMemory {
  const tables = new GuestTables(GuestMemory.allocate(0x2_0000), { frames: new FrameRange(0, 0x2_0000) });
  createRoot(tables, format);
  for (const mapping of mappings) map(tables, { format, length: 0x1000, write: true, ...mapping });
  return new VirtualMemory(memory, new Translator({ tables, format }));
}

/** What the fault at the bottom of an error says. */
function errorCodeOf(call: () => unknown): number | undefined {
  try {
    call();
  } catch (error) {
    assert(isGuestMemoryError(error) && error.code === 'fault' && isPagingError(error.cause), String(error));
    return error.cause.errorCode;
  }
  return assert.fail('nothing was thrown');
}

describe('VirtualMemory, call by call', () => {
  it('T9 M6: every scalar at every place around the end of a page', () => {
    const { virtual, base } = scatteredVirtualMemory(3);
    const values = patternWithoutNaN(0x2000);
    virtual.writeAt(base, values);
    const view = new DataView(values.buffer);
    const numbered = byNumber(virtual, base);
    for (const { name, width, read, write, value } of SCALARS) {
      for (let at = 0xff0; at < 0x1010; at++) {
        assert.equal(read(numbered, at), value(view, at), `read${name} at ${at}`);
        write(numbered, at + 0x1000, value(view, at));
        assert.deepEqual(
          virtual.readBytes(base + BigInt(at + 0x1000), width),
          values.slice(at, at + width),
          `write${name} at ${at}`,
        );
      }
    }
    virtual.writeU64(base + 0xffcn, 2n ** 53n - 1n);
    assert.equal(virtual.readU64Number(base + 0xffcn), 2 ** 53 - 1);
    virtual.writeU64(base + 0xffcn, 2n ** 53n);
    refused(() => virtual.readU64Number(base + 0xffcn), { code: 'too-large', length: 8 });
  });

  it('T9 M5: an aligned scalar is exactly one physical access of its width', () => {
    const widths: number[] = [];
    const device = callbacks({
      size: 0x2000,
      read: (_offset, dest) => void widths.push(dest.length),
      write: (_offset, src) => void widths.push(src.length),
    });
    const virtual = machine(GuestMemory.from(device), [
      { gva: 0x1000n, gpa: 0x1000 },
      { gva: 0x2000n, gpa: 0 },
    ]);
    const numbered = byNumber(virtual, 0x1000n);
    for (const { width, read, write } of SCALARS) {
      widths.length = 0;
      read(numbered, 0x1000 - width);
      write(numbered, 0x1000 - width, 1);
      assert.deepEqual(widths, [width, width]);
    }
    widths.length = 0;
    virtual.readPlain(u64, 0x1ff8n);
    virtual.writePlain(u32, 0x1ffcn, 1);
    assert.deepEqual(widths, [8, 4]);
  });

  it('T9: each kind of access asks for its own right, and the error code says which', () => {
    const memory = GuestMemory.allocate(0x3000);
    const virtual = machine(memory, [{ gva: 0x1000n, gpa: 0, write: false }]);
    const bytes = new Uint8Array(4);
    const P = 1;
    const W = 2;
    const I = 16;
    assert.equal(virtual.readU32(0x1000n), 0);
    for (const write of [
      () => virtual.writeU8(0x1000n, 1),
      () => virtual.writeU32(0x1000n, 1),
      () => virtual.writeF64(0x1000n, 1),
      () => virtual.writeAt(0x1000n, bytes),
      () => virtual.write(0x1000n, bytes),
      () => virtual.fillAt(0x1000n, 0, 4),
      () => virtual.writePlain(u32, 0x1000n, 1),
      () => virtual.store(u32, 0x1000n, 1),
      () => virtual.exchange(u32, 0x1000n, 1),
      () => virtual.fetchAdd(u32, 0x1000n, 0),
      () => virtual.fetchSub(u32, 0x1000n, 0),
      () => virtual.fetchAnd(u32, 0x1000n, 0),
      () => virtual.fetchOr(u32, 0x1000n, 0),
      () => virtual.fetchXor(u32, 0x1000n, 0),
      () => virtual.compareExchange(u32, 0x1000n, 7, 8),
      () => virtual.compareExchangeBytes(0x1000n, bytes, bytes),
      () => virtual.view(0x1000n, 4, 'write'),
      () => virtual.views(0x1000n, 4, 'write'),
      () => virtual.copyFrom(virtual, 0x1000n, 0x1000n, 4),
      () => virtual.probe(0x1000n, 4, 'write'),
    ]) {
      assert.equal(errorCodeOf(write), P | W, String(write));
    }
    for (const fetch of [
      () => virtual.fetchAt(0x1000n, bytes),
      () => virtual.fetch(0x1000n, bytes),
      () => virtual.fetchU16(0x1000n),
      () => virtual.fetchU32(0x1000n),
    ]) {
      assert.equal(errorCodeOf(fetch), P | I, String(fetch));
    }
    assert.equal(
      errorCodeOf(() => virtual.readU8(0x2000n)),
      0,
    );
    assert.equal(virtual.load(u32, 0x1000n), 0, 'a load only reads');
    assert.match(
      refused(() => virtual.writeU8(0x1000n, 1), { code: 'fault', operation: 'write', length: 1 }).message,
      /^Cannot write 1 byte of memory "heap": virtual address 0x1000 has no translation$/,
    );
  });

  it('T9 M9: a fetch also asks the memory for the right to execute', () => {
    const view = new ProtectedView(GuestMemory.allocate(0x2000));
    const virtual = machine(view.memory(), [
      { gva: 0x1000n, gpa: 0, execute: true },
      { gva: 0x2000n, gpa: 0x1000, execute: true },
    ]);
    view.memory().writeU32(0xffc, 0x1234_5678);
    view.protect(0x1000, 0x1000, 'rw');
    const dest = new Uint8Array(8);
    assert.equal(virtual.fetchU32(0x1ffcn), 0x1234_5678);
    assert.equal(virtual.fetchU16(0x1ffen), 0x1234);
    assert.equal(virtual.fetch(0x1ffcn, dest), 4);
    assert.equal(virtual.readU32(0x2000n), 0);
    refused(() => virtual.fetchAt(0x1ffcn, dest), { code: 'denied', operation: 'fetch', failedAt: 0x1000 });
    refused(() => virtual.fetch(0x2000n, dest), { code: 'denied' });
    refused(() => virtual.fetchU32(0x1ffen), { code: 'denied', operation: 'fetch' });
    refused(() => virtual.fetchU32(0x2000n), { code: 'denied', operation: 'fetch' });
  });

  it('T9 M7: atomics are one of the physical memory, and refuse what lies in two pages', () => {
    const memory = GuestMemory.from(shared(0x3000));
    const virtual = machine(memory, [
      { gva: 0x1000n, gpa: 0x1000 },
      { gva: 0x2000n, gpa: 0x2000 },
    ]);
    assert.equal(virtual.fetchAdd(u64, 0x1ff8n, 7n), 0n);
    assert.equal(memory.readU64(0x1ff8), 7n);
    assert.equal(virtual.fetchSub(u64, 0x1ff8n, 1n), 7n);
    assert.equal(virtual.fetchOr(u64, 0x1ff8n, 9n), 6n);
    assert.equal(virtual.fetchAnd(u64, 0x1ff8n, 12n), 15n);
    assert.equal(virtual.fetchXor(u64, 0x1ff8n, 5n), 12n);
    assert.equal(virtual.exchange(u64, 0x1ff8n, 1n), 9n);
    assert.equal(virtual.load(u64, 0x1ff8n), 1n);
    const current = Uint8Array.of(2, 0);
    assert.equal(virtual.compareExchangeBytes(0x1ff8n, current, Uint8Array.of(5, 0)), false);
    assert.deepEqual(current, Uint8Array.of(1, 0));
    assert.equal(virtual.compareExchangeBytes(0x1ff8n, current, Uint8Array.of(5, 0)), true);
    assert.equal(virtual.readU8(0x1ff8n), 5);
    // The two pages are neighbours in memory: it is the address that is refused, not the luck of the mapping.
    for (const call of [
      () => virtual.load(u32, 0x1ffen),
      () => virtual.store(u32, 0x1ffen, 1),
      () => virtual.fetchAdd(u64, 0x1ffcn, 1n),
      () => virtual.compareExchangeBytes(0x1ffdn, new Uint8Array(4), new Uint8Array(4)),
      () => virtual.load(u32, 0x1001n),
    ]) {
      refused(call, { code: 'misaligned' });
    }
    refused(() => virtual.compareExchangeBytes(0x1000n, new Uint8Array(3), new Uint8Array(3)), {
      code: 'invalid',
    });
    refused(() => virtual.compareExchangeBytes(0x1000n, new Uint8Array(0), new Uint8Array(0)), {
      code: 'invalid',
    });
    assert.equal(virtual.load(u8, 0x1fffn), 0);
  });

  it('T9 M8: views lend the host bytes, one array a run, and are given back', () => {
    const memory = GuestMemory.fromRanges([[0, 0x4000]]);
    const virtual = machine(memory, [
      { gva: 0x1000n, gpa: 0x3000 },
      { gva: 0x2000n, gpa: 0x1000 },
      { gva: 0x3000n, gpa: 0x2000 },
    ]);
    const views = virtual.views(0x1ff0n, 0x1020, 'write');
    assert.deepEqual(
      views.iovecs.map(({ length }) => length),
      [0x10, 0x1010],
    );
    views.iovecs[1]?.fill(7);
    assert.equal(virtual.readU8(0x2000n), 7);
    assert.equal(memory.readU8(0x200f), 7);
    views.release();
    assert.throws(() => views.iovecs, { code: 'closed' });
    const view = virtual.view(0x2ff0n, 0x20, 'read');
    assert.equal(view.bytes.length, 0x20);
    view.release();
    refused(() => virtual.view(0x1ff0n, 0x20, 'read'), {
      code: 'unsupported',
      operation: 'view',
      length: 0x20,
    });
    assert.deepEqual(virtual.views(0x1000n, 0, 'read').iovecs, []);
    assert.equal(virtual.view(0x1000n, 0, 'read').bytes.length, 0);
  });

  it('T9 M8: where a later run has no host bytes, the earlier ones are not lent', () => {
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: heap(0x1000) },
      { start: 0x1000, backing: callbacks({ size: 0x1000, read: () => undefined }), access: 'r' },
    ]);
    const virtual = machine(memory, [
      { gva: 0x1000n, gpa: 0 },
      { gva: 0x2000n, gpa: 0x1000 },
    ]);
    refused(() => virtual.views(0x1000n, 0x2000, 'read'), { code: 'unsupported' });
  });

  it('T9 M8: copies between spaces and from physical memory, also over itself and through aliases', () => {
    const memory = GuestMemory.allocate(0x8000);
    const one = machine(memory, [
      { gva: 0x1000n, gpa: 0x3000 },
      { gva: 0x2000n, gpa: 0x1000 },
      { gva: 0x3000n, gpa: 0x3000 },
    ]);
    const other = machine(GuestMemory.allocate(0x4000), [
      { gva: 0x1000n, gpa: 0x2000 },
      { gva: 0x2000n, gpa: 0 },
    ]);
    const bytes = patternWithoutNaN(0x2000);
    other.writeAt(0x1000n, bytes);
    one.copyFrom(other, 0x1000n, 0x1000n, 0x2000);
    assert.deepEqual(one.readBytes(0x1000n, 0x2000), bytes);
    // A page further: the destination's second page is the source's first.
    one.copyFrom(one, 0x1000n, 0x2000n, 0x2000);
    assert.deepEqual(one.readBytes(0x2000n, 0x2000), bytes);
    one.copyFrom(one, 0x2000n, 0x2004n, 0x800);
    assert.deepEqual(one.readBytes(0x2004n, 0x800), bytes.slice(0, 0x800));
    memory.writeAt(0x5ff0, bytes.subarray(0, 0x20));
    one.copyFrom(memory, 0x5ff0, 0x1ff0n, 0x20);
    assert.deepEqual(one.readBytes(0x1ff0n, 0x20), bytes.slice(0, 0x20));
    refused(() => one.copyFrom(memory, 0x7ff0, 0x1000n, 0x20), { code: 'unmapped' });
    refused(() => one.copyFrom(other, 0x2ff0n, 0x1000n, 0x20), { code: 'fault', operation: 'copy' });
    one.copyFrom(memory, 0, 0x9_9999n, 0);
    one.copyFrom(one, 0x9_9999n, 0x9_9999n, 0);
  });

  it('T9 M3: calls that fail half-way say how many bytes were moved', () => {
    const device = callbacks({
      size: 0x1000,
      read() {
        throw new Error('unplugged');
      },
      write() {
        throw new Error('unplugged');
      },
    });
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: heap(0x1000) },
      { start: 0x1000, backing: device },
    ]);
    const virtual = machine(memory, [
      { gva: 0x1000n, gpa: 0x1000 },
      { gva: 0n, gpa: 0 },
    ]);
    const scattered = machine(memory, [
      { gva: 0n, gpa: 0 },
      { gva: 0x1000n, gpa: 0x1000 },
      { gva: 0x2000n, gpa: 0 },
    ]);
    refused(() => virtual.writeAt(0xff0n, new Uint8Array(0x20)), { code: 'fault', done: 0x10 });
    refused(() => scattered.fillAt(0xff0n, 1, 0x1020), { code: 'fault', done: 0x10, operation: 'fill' });
    refused(() => scattered.readAt(0x1ff0n, new Uint8Array(0x20)), { code: 'fault', done: 0 });
    assert.equal(scattered.write(0xff0n, new Uint8Array(0x20)), 0x10, 'a partial call ends there');
    assert.equal(scattered.read(0xff0n, new Uint8Array(0x20)), 0x10);
    refused(() => scattered.read(0x1000n, new Uint8Array(4)), { code: 'fault' });
  });

  it('T9 M16: bytes and tables that are on their way can be waited for', async () => {
    let arrived = false;
    const remote = callbacks({
      size: 0x1000,
      read(_offset, dest) {
        if (!arrived) {
          throw pending(
            Promise.resolve().then(() => {
              arrived = true;
            }),
          );
        }
        dest.fill(5);
      },
    });
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: heap(0x1000) },
      { start: 0x1000, backing: remote },
    ]);
    const virtual = machine(memory, [
      { gva: 0x1000n, gpa: 0x1000 },
      { gva: 0n, gpa: 0 },
      { gva: 0x2000n, gpa: 0 },
    ]);
    assert.throws(() => virtual.readBytes(0x1ff0n, 0x20), { code: 'pending' });
    assert.equal((await settle(() => virtual.readBytes(0x1ff0n, 0x20)))[0], 5);
  });

  it('T9: strings end at their zero byte, and need nothing after it', () => {
    const { virtual, base } = scatteredVirtualMemory(2);
    virtual.writeAt(base + 0xffan, new TextEncoder().encode('guest: läuft\0'));
    assert.equal(virtual.readCString(base + 0xffan, 100), 'guest: läuft');
    refused(() => virtual.readCString(base + 0xffan, 5), { code: 'too-large', operation: 'read a string' });
    virtual.fillAt(base + 0x1ff0n, 0x61, 16);
    virtual.writeU8(base + 0x1fffn, 0);
    assert.equal(virtual.readCString(base + 0x1ff0n, 100), 'a'.repeat(15));
    virtual.writeU8(base + 0x1fffn, 0x61);
    refused(() => virtual.readCString(base + 0x1ff0n, 100), { code: 'fault' });
    assert.equal(virtual.readCString(base + 0xffan, 100), 'guest: läuft');
    refused(() => virtual.readCString(base, -1), { code: 'invalid' });
  });

  it('T9: a string at the end of the space', () => {
    const end = 2n ** 64n;
    const memory = GuestMemory.allocate(0x1000);
    const virtual = machine(memory, [{ gva: end - 0x1000n, gpa: 0 }]);
    memory.fillAt(0xff0, 0x62, 15);
    assert.equal(virtual.readCString(end - 16n, 100), 'b'.repeat(15));
    memory.writeU8(0xfff, 0x62);
    refused(() => virtual.readCString(end - 16n, 100), { code: 'invalid' });
    assert.throws(() => virtual.readCString(end, 1), isPagingError);
  });

  it('T9 M4: what is no address or no length is told apart, and a probe never throws for one', () => {
    const { virtual, base } = scatteredVirtualMemory(2);
    assert.equal(virtual.checkRange(base, 0x2000, 'write'), true);
    assert.equal(virtual.checkRange(base, 0x2001), false);
    assert.equal(virtual.checkRange(base, 4, 'execute'), false);
    for (const [gva, length] of [
      [-1n, 1],
      [2n ** 64n, 0],
      [2n ** 64n - 1n, 2],
      [base, -1],
      [base, 0.5],
      [base, Number.NaN],
    ] as const) {
      assert.equal(virtual.checkRange(gva, length), false);
    }
    assert.equal(virtual.checkRange(0x1234n, 0), true);
    const bytes = new Uint8Array(4);
    refused(() => virtual.writeAt(base, bytes, 2, 4), { code: 'invalid', operation: 'write' });
    refused(() => virtual.write(base, bytes, -1), { code: 'invalid' });
    refused(() => virtual.fetchAt(base, bytes, 5), { code: 'invalid', operation: 'fetch' });
    refused(() => virtual.fillAt(base, 256, 1), { code: 'invalid', operation: 'fill' });
    refused(() => virtual.fillAt(base, 0, -1), { code: 'invalid' });
    refused(() => virtual.views(base, -1, 'read'), { code: 'invalid' });
    refused(() => virtual.copyFrom(virtual, base, base, -1), { code: 'invalid' });
    refused(() => virtual.writeU16(2n ** 64n - 1n, 1), { code: 'invalid' });
    refused(() => virtual.readBytes(base, 2 ** 40), { code: 'fault' });
    assert.throws(() => virtual.writeU8(-1n, 1), isPagingError);
  });
});
