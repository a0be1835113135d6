import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { alias, bytes, callbacks, GuestMemory, heap, wasm } from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { newWasmMemory } from '../support/wasm-memory.ts';

describe('M2: kinds', () => {
  it('M2: read-only memory is read like any other and its writes are denied before their first byte', () => {
    const rom = new Uint8Array(16).fill(9);
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: heap(16) },
      { start: 16, backing: bytes(rom, { readOnly: true }) },
      { start: 32, backing: heap(16), access: 'r' },
    ]);
    assert.equal(memory.readU32(16), 0x0909_0909);
    const facts = { code: 'denied', failedAt: 16, done: 0 } as const;
    refused(() => memory.writeU8(16, 1), { ...facts, gpa: 16, length: 1 });
    refused(() => memory.writeU64(9, 1n), { ...facts, gpa: 9, length: 8 });
    refused(() => memory.writeAt(8, new Uint8Array(16)), { ...facts, gpa: 8, length: 16 });
    refused(() => memory.fillAt(8, 1, 9), { ...facts, gpa: 8, length: 9 });
    refused(() => memory.view(16, 4, 'write'), { ...facts, gpa: 16 });
    refused(() => memory.probe(0, 17, 'write'), { ...facts, gpa: 0 });
    refused(() => memory.copyFrom(memory, 0, 8, 9), { ...facts, gpa: 8 });
    refused(() => memory.writeU8(32, 1), { code: 'denied', failedAt: 32 });
    assert.equal(memory.write(8, new Uint8Array(20).fill(3)), 8);
    assert.equal(memory.checkRange(8, 9, 'write'), false);
    assert.equal(memory.checkRange(8, 9, 'read'), true);
    assert.equal(memory.translateAndGetLimit(16, 'write'), undefined);
    assert.equal(memory.translateAndGetLimit(16, 'read')?.limit, 16);
    sameBytes(memory.view(16, 4, 'read').bytes, new Uint8Array(4).fill(9));
    sameBytes(rom, new Uint8Array(16).fill(9));
  });

  it('M2: calls without a write are read-only, whoever made the backing', () => {
    const memory = GuestMemory.from({ kind: 'own', size: 8, fallback: { read: (_, dest) => dest.fill(5) } });
    assert.equal(memory.readU16(0), 0x0505);
    assert.equal(memory.regions[0]?.access, 'r');
    refused(() => memory.writeU8(0, 1), { code: 'denied', failedAt: 0 });
    refused(() => memory.writeAt(0, new Uint8Array(8)), { code: 'denied' });
    refused(() => memory.fillAt(0, 0, 8), { code: 'denied' });
    assert.equal(memory.checkGpaWritable(0), false);
  });

  it('M2: a WebAssembly.Memory survives growth, in a subrange too; its views are closed then', () => {
    const module = newWasmMemory({ initial: 1, maximum: 10 });
    const memory = GuestMemory.from(wasm(module));
    const part = memory.subrange(0x8001, 0x100);
    const view = memory.view(0x8000, 4, 'write');
    part.writeU32(0, 0xdead_beef);
    module.grow(2);
    assert.equal(part.readU32(0), 0xdead_beef);
    assert.equal(memory.readU32(0x8001), 0xdead_beef);
    refused(() => view.bytes, { code: 'closed', gpa: 0x8000 });
    memory.writeU8(0x8002, 0);
    module.grow(1);
    assert.equal(part.readU32(0), 0xdead_00ef);
    assert.equal(memory.fullMapping()?.[0x8002], 0);
    refused(() => memory.readU8(0x1_0000), { code: 'unmapped' });
  });

  it('M2: a window of a WebAssembly.Memory has to lie inside it', () => {
    const module = newWasmMemory({ initial: 1, maximum: 1 });
    assert.equal(wasm(module, 0x100).size, 0xff00);
    for (const [offset, size] of [
      [0x1_0000, 1],
      [0, 0x1_0001],
      [-8, 8],
      [0.5, 8],
      [Number.NaN, 8],
    ] as const) {
      refused(() => wasm(module, offset, size), { code: 'invalid' });
    }
    refused(() => wasm(module, 0x2_0000), { code: 'invalid' });
  });

  it('M2: an alias has to be a window inside the space; holes behind it stay holes', () => {
    const ram = GuestMemory.fromRanges([[0x1000, 0x1000]]);
    for (const [gpa, size] of [
      [-1, 8],
      [0, 0],
      [0, 0.5],
      [2 ** 53 - 4, 8],
      [0, 2 ** 53],
      [Number.NaN, 8],
    ] as const) {
      refused(() => alias(ram, gpa, size), { code: 'invalid' });
    }
    const memory = GuestMemory.from(alias(ram, 0, 0x4000));
    assert.equal(memory.readU8(0x1fff), 0);
    assert.equal(memory.reach(0x1800, 0x2000), 0x800);
    for (const gpa of [0, 0xfff, 0x2000, 0x3fff])
      refused(() => memory.readU8(gpa), { code: 'unmapped', failedAt: gpa });
    refused(() => memory.writeU64(0x1ffc, 0n), { code: 'unmapped', failedAt: 0x2000, done: 0 });
  });

  it('M2: the address space above 1 TiB, and a guest of more than 4 GiB', () => {
    const memory = GuestMemory.fromRanges([
      [0, 0x1000],
      [2 ** 41, 2 ** 32 + 0x1_0000],
    ]);
    const seam = 2 ** 41 + 2 ** 32;
    memory.writeU64(seam - 4, 0x1122_3344_5566_7788n);
    assert.equal(memory.readU64(seam - 4), 0x1122_3344_5566_7788n);
    assert.equal(memory.readU32(seam), 0x1122_3344);
    assert.equal(memory.regions.length, 2);
    assert.equal(memory.translateAndGetLimit(seam)?.limit, 0x1_0000);
    assert.equal(memory.subrange(seam - 2, 4).readU32(0), 0x3344_5566);
    assert.equal(memory.views(seam - 8, 16, 'read').iovecs.length, 2);
    refused(() => memory.readU8(2 ** 41 - 1), { code: 'unmapped' });
  });

  it('M2 M8: a buffer of more than 4 GiB is filled and copied where it was said', () => {
    let large: Uint8Array;
    try {
      large = new Uint8Array(2 ** 32 + 0x2000);
    } catch (error) {
      // Node 20 and Bun: no such buffer can be handed in.
      assert(error instanceof RangeError);
      return;
    }
    const at = 2 ** 32 + 0x100;
    for (const isShared of [false, true]) {
      const memory = GuestMemory.allocate(0x1000, { shared: isShared });
      const source = new Uint8Array(0x1000).map((_, i) => i * 7);
      memory.writeAt(0, source);
      memory.readAt(1, large, at, 0x800);
      sameBytes(large.subarray(at, at + 0x800), source.subarray(1, 0x801));
      assert.equal(isZeroAt(large, 0, 0x1000), true, 'nothing landed at the address modulo 2^32');
      memory.fillAt(0, 0, 0x1000);
      memory.writeAt(3, large, at, 0x800);
      sameBytes(memory.readBytes(3, 0x800), source.subarray(1, 0x801));
      large.fill(0, at, at + 0x800);
    }
  });

  it('M2: too much for the engine is an error of its own', () => {
    refused(() => heap(2 ** 52), { code: 'too-large' });
    refused(
      () => GuestMemory.from(callbacks({ size: 2 ** 50, read: () => undefined })).readBytes(0, 2 ** 45),
      {
        code: 'too-large',
        length: 2 ** 45,
      },
    );
  });
});

function isZeroAt(bytes: Uint8Array, at: number, length: number): boolean {
  return bytes.subarray(at, at + length).every((byte) => byte === 0);
}
