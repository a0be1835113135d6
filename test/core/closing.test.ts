import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  alias,
  compare,
  GuestMemory,
  indexOf,
  isZero,
  type MemoryBacking,
  readPresent,
  u32,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';

/** A mapping that can go away: its bytes are zero then, as host puts zero pages in their place. */
class Mapping implements MemoryBacking {
  readonly kind = 'mapping';
  readonly size = 0x1000;
  readonly mapped: readonly Uint8Array[] = [new Uint8Array(0x1000).fill(0x5a)];
  readonly iova = 0x10_0000;
  readonly #listeners: (() => void)[] = [];

  onClose(listener: () => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    for (const bytes of this.mapped) bytes.fill(0);
    for (const listener of this.#listeners) listener();
  }
}

/** The same made of calls; `during` runs in the middle of each. */
class Channel implements MemoryBacking {
  readonly kind = 'channel';
  readonly size = 0x1000;
  during: () => void = () => undefined;
  readonly fallback = {
    read: (_offset: number, dest: Uint8Array): void => {
      dest.fill(0x5a);
      this.during();
    },
    write: (): void => this.during(),
    compareExchange: (): boolean => true,
  };
  readonly #listeners: (() => void)[] = [];

  onClose(listener: () => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Every operation there is, on `length` bytes at `gpa`. */
function operations(memory: GuestMemory, gpa: number): readonly (readonly [string, () => unknown])[] {
  const bytes = new Uint8Array(8);
  const other = GuestMemory.allocate(0x1000);
  return [
    ['readU8', () => memory.readU8(gpa)],
    ['readU16', () => memory.readU16(gpa)],
    ['readU32', () => memory.readU32(gpa)],
    ['readU64', () => memory.readU64(gpa)],
    ['readU64Number', () => memory.readU64Number(gpa)],
    ['readU64Into', () => memory.readU64Into(gpa, new Uint32Array(2))],
    ['readF64', () => memory.readF64(gpa)],
    ['readU32 unaligned', () => memory.readU32(gpa + 1)],
    ['writeU8', () => memory.writeU8(gpa, 1)],
    ['writeU16', () => memory.writeU16(gpa, 1)],
    ['writeU32', () => memory.writeU32(gpa, 1)],
    ['writeU64', () => memory.writeU64(gpa, 1n)],
    ['writeU64Halves', () => memory.writeU64Halves(gpa, 1, 1)],
    ['writeF32', () => memory.writeF32(gpa, 1)],
    ['readAt', () => memory.readAt(gpa, bytes)],
    ['writeAt', () => memory.writeAt(gpa, bytes)],
    ['fillAt', () => memory.fillAt(gpa, 0, 8)],
    ['readBytes', () => memory.readBytes(gpa, 8)],
    ['readCString', () => memory.readCString(gpa, 8)],
    ['read', () => memory.read(gpa, bytes)],
    ['write', () => memory.write(gpa, bytes)],
    ['readPlain', () => memory.readPlain(u32, gpa)],
    ['writePlain', () => memory.writePlain(u32, gpa, 1)],
    ['load', () => memory.load(u32, gpa)],
    ['store', () => memory.store(u32, gpa, 1)],
    ['exchange', () => memory.exchange(u32, gpa, 1)],
    ['fetchAdd', () => memory.fetchAdd(u32, gpa, 1)],
    ['compareExchange', () => memory.compareExchange(u32, gpa, 1, 1)],
    ['compareExchangeBytes', () => memory.compareExchangeBytes(gpa, bytes, bytes.slice())],
    ['view', () => memory.view(gpa, 8, 'read')],
    ['views', () => memory.views(gpa, 8, 'write')],
    ['copyFrom it', () => other.copyFrom(memory, gpa, 0, 8)],
    ['copyFrom into it', () => memory.copyFrom(other, 0, gpa, 8)],
    ['compare', () => compare(other, 0, memory, gpa, 8)],
    ['indexOf', () => indexOf(memory, gpa, 8, bytes)],
    ['isZero', () => isZero(memory, gpa, 8)],
    ['probe', () => memory.probe(gpa, 8)],
  ];
}

function checkClosed(memory: GuestMemory, gpa: number): void {
  for (const [name, operation] of operations(memory, gpa)) {
    try {
      refused(operation, { code: 'closed', done: 0 });
    } catch (cause) {
      throw new Error(`${name} is not closed`, { cause });
    }
  }
  assert.equal(memory.checkRange(gpa, 8), false);
  assert.equal(memory.checkGpaReadable(gpa), false);
  assert.equal(memory.checkGpaWritable(gpa), false);
  assert.equal(memory.reach(gpa, 8), 0);
  assert.equal(memory.translateAndGetLimit(gpa), undefined);
  assert.equal(memory.iova(gpa), undefined);
  assert.equal(memory.fullMapping(), undefined);
  assert.deepEqual(readPresent(memory, gpa, new Uint8Array(8)), [{ start: gpa, end: gpa + 8 }]);
}

describe('M15: a mapping that was closed', () => {
  it('M15: every operation is closed afterwards, with the fast paths warmed before', () => {
    const mapping = new Mapping();
    const memory = GuestMemory.from(mapping);
    for (let i = 0; i < 20_000; i++) {
      assert.equal(memory.readU32(0x100), 0x5a5a_5a5a);
      memory.writeU8(0x200, 0x5a);
    }
    memory.fillAt(0x400, 0, 8);
    for (const [, operation] of operations(memory, 0x400)) operation();
    mapping.close();
    checkClosed(memory, 0x400);
    refused(() => memory.probeGpns([0]), { code: 'closed', operation: 'probe' });
    mapping.close();
    checkClosed(memory, 0x400);
  });

  it('M15: subranges, subranges of them, aliases and other maps with the region are closed too', () => {
    const mapping = new Mapping();
    const memory = GuestMemory.fromRanges([[0, 0x1000]]).insertRegion({ start: 0x1000, backing: mapping });
    const part = memory.subrange(0x800, 0x1000);
    const inner = part.subrange(0x801, 0x100);
    const outer = GuestMemory.from(alias(memory, 0x1000, 0x1000));
    const elsewhere = GuestMemory.fromRegions([{ start: 0x7000, backing: mapping }]);
    assert.equal(inner.readU8(0), 0x5a);
    assert.equal(outer.readU8(0), 0x5a);
    mapping.close();
    checkClosed(memory, 0x1000);
    checkClosed(part, 0x800);
    checkClosed(inner, 0x10);
    checkClosed(outer, 0x100);
    checkClosed(elsewhere, 0x7000);
    checkClosed(memory.subrange(0x1000, 0x100), 0x10);
    assert.equal(memory.readU32(0xffc), 0);
    assert.equal(part.readU32(0), 0);
    refused(() => memory.readU64(0xffc), { code: 'closed', failedAt: 0x1000, done: 0 });
    assert.equal(memory.read(0xff0, new Uint8Array(0x20)), 0x10);
  });

  it('M15: calls are closed as well, through a subrange too, though their methods live on a class', () => {
    const channel = new Channel();
    const memory = GuestMemory.from(channel);
    const part = memory.subrange(8, 0x100);
    assert.equal(part.readU8(0), 0x5a);
    channel.close();
    for (const closed of [memory, part]) {
      refused(() => closed.readU32(0), { code: 'closed' });
      refused(() => closed.writeAt(0, new Uint8Array(8)), { code: 'closed' });
      refused(() => closed.compareExchange(u32, 0, 0, 0), { code: 'closed' });
      assert.equal(closed.checkRange(0, 1), false);
    }
  });

  it('M15: held views are closed, and only a raw array that was kept sees the zeros', () => {
    const mapping = new Mapping();
    const memory = GuestMemory.from(mapping);
    const view = memory.view(0x10, 4, 'read');
    const views = memory.subrange(0x20, 0x20).views(0, 4, 'write');
    const kept = view.bytes;
    mapping.close();
    refused(() => view.bytes, { code: 'closed', gpa: 0x10, length: 4 });
    refused(() => view.iovecs, { code: 'closed' });
    refused(() => views.iovecs, { code: 'closed' });
    sameBytes(kept, new Uint8Array(4));
    view.release();
    views.release();
  });

  it('M15: a call that was under way when its mapping closed gives nothing out', () => {
    for (const [operation, call] of [
      ['read', (memory: GuestMemory): unknown => memory.readU32(0x10)],
      ['read', (memory: GuestMemory): unknown => memory.readAt(0x10, new Uint8Array(100))],
      ['write', (memory: GuestMemory): unknown => memory.writeU32(0x10, 1)],
      ['fill', (memory: GuestMemory): unknown => memory.fillAt(0x10, 1, 100)],
      ['read', (memory: GuestMemory): unknown => memory.readU64(0xffc)],
    ] as const) {
      const channel = new Channel();
      const memory = GuestMemory.from(channel).insertRegion({
        start: 0x1000,
        backing: { kind: 'own', size: 8, mapped: [new Uint8Array(8)] },
      });
      channel.during = () => channel.close();
      refused(() => call(memory), { code: 'closed', operation });
    }
  });

  it('M15 M4: nothing may still be done for nothing', () => {
    const mapping = new Mapping();
    const memory = GuestMemory.from(mapping);
    mapping.close();
    memory.readAt(8, new Uint8Array(0));
    memory.fillAt(8, 1, 0);
    assert.equal(memory.checkRange(8, 0), true);
  });

  it('M15 S3: removed from the map before it closes, it leaves the rest untouched', () => {
    const mapping = new Mapping();
    const memory = GuestMemory.allocate(0x1000).insertRegion({ start: 0x1000, backing: mapping });
    const after = memory.removeRegion(0x1000, 0x1000);
    mapping.close();
    assert.equal(after.readU32(0), 0);
    refused(() => after.readU32(0x1000), { code: 'unmapped' });
    refused(() => memory.readU32(0x1000), { code: 'closed' });
    assert.equal(memory.readU32(0), 0);
  });
});
