import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  alias,
  attach,
  attachTracking,
  bytes,
  callbacks,
  copyOnWrite,
  GuestMemory,
  heap,
  lazy,
  type MemoryHandle,
  PageRights,
  ProtectedView,
  share,
  shared,
  trackDirty,
  u32,
  wasm,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { newWasmMemory } from '../support/wasm-memory.ts';

const MIB = 0x10_0000;

/** A handle as another thread gets it. */
function posted(handle: MemoryHandle): MemoryHandle {
  return structuredClone(handle);
}

describe('M14: sharing a memory', () => {
  it('M14: the same map: names, starts, sizes, kinds, access', () => {
    const rom = new Uint8Array(new SharedArrayBuffer(0x2000));
    const memory = GuestMemory.fromRegions(
      [
        { start: 0, backing: shared(MIB) },
        { start: 0x20_0000, backing: bytes(rom, { readOnly: true }) },
        { start: 0x30_0000, backing: shared(0x1000), access: 'r' },
        { start: 0x1_0000_0000, backing: { ...shared(0x1000), iova: 0x5000 } },
      ],
      { name: 'ram' },
    );
    const same = attach(posted(share(memory)));
    const facts = (of: GuestMemory): object[] =>
      of.regions.map(({ start, size, end, kind, access }) => ({ start, size, end, kind, access }));
    assert.equal(same.name, 'ram');
    assert.deepEqual(facts(same), facts(memory));
    assert.equal(same.iova(0x1_0000_0010), 0x5010);
    refused(() => same.writeU8(0x20_0000, 1), { code: 'denied', memory: 'ram' });
    refused(() => same.writeU8(0x30_0000, 1), { code: 'denied' });
    refused(() => same.readU8(0x10_0000), { code: 'unmapped' });
  });

  it('M14: the same bytes, at every address, both ways', () => {
    const memory = GuestMemory.fromRanges(
      [
        [0, 0x3000],
        [0x3000, MIB],
        [0x20_0005, 0x1003],
      ],
      { shared: true },
    );
    const same = attach(posted(share(memory)));
    for (const [i, gpa] of [0, 0x2ffd, 0x3000, 0x10_2ff8, 0x20_0005, 0x20_1004].entries()) {
      memory.writeU8(gpa, i + 1);
      assert.equal(same.readU8(gpa), i + 1);
      same.writeU8(gpa, i + 101);
      assert.equal(memory.readU8(gpa), i + 101);
    }
    same.fillAt(0x2ff0, 0xab, 0x8_0000);
    assert.deepEqual(memory.readBytes(0x2ff0, 0x8_0000), new Uint8Array(0x8_0000).fill(0xab));
    same.fetchAdd(u32, 0x3000, 1);
    assert.equal(memory.load(u32, 0x3000), 0xabab_abac);
  });

  it('M14: memory of a WebAssembly module keeps its quick fill, after it grew too', () => {
    const module = newWasmMemory({ initial: 2, maximum: 4, shared: true });
    const memory = GuestMemory.from(wasm(module, 0x1000, 0x1_0000));
    const same = attach(posted(share(memory)));
    assert.notEqual(same.regions[0]?.backing.wasm, undefined);
    module.grow(1);
    same.fillAt(0x10, 7, 0x8000);
    assert.deepEqual(
      new Uint8Array(module.buffer, 0x1010, 0x8000),
      new Uint8Array(module.buffer, 0x1010, 0x8000).fill(7),
    );
    assert.equal(memory.readU8(0xf), 0);
    assert.equal(memory.readU8(0x8010), 0);
    assert.equal(memory.readU8(0x800f), 7);
  });

  it('M14: a subrange, with its seams, its odd first byte and its two addresses', () => {
    const whole = GuestMemory.fromRanges(
      [
        [0, 0x2000],
        [0x2000, MIB],
      ],
      { shared: true, name: 'ram' },
    );
    const part = whole.subrange(0x1003, 0x5000);
    const same = attach(posted(share(part)));
    same.writeU32(0xffb, 0x0102_0304);
    assert.equal(whole.readU32(0x1ffe), 0x0102_0304);
    same.writeU32(1, 0x0506_0708);
    assert.equal(whole.readU32(0x1004), 0x0506_0708);
    const error = refused(() => same.readU8(0x5000), { code: 'unmapped', gpa: 0x5000 });
    assert.match(error.message, /0x6003 in the whole memory/);
    same.fillAt(0, 9, 0x5000);
    assert.equal(whole.readU8(0x1002), 0);
    assert.equal(whole.readU8(0x1003), 9);
    assert.equal(whole.readU8(0x6002), 9);
    assert.equal(whole.readU8(0x6003), 0);
  });

  it('M14: regions on one buffer overlap there as here', () => {
    const buffer = new Uint8Array(new SharedArrayBuffer(0x3000));
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: bytes(buffer.subarray(0, 0x2000)) },
      { start: 0x1_0000, backing: bytes(buffer.subarray(0x1000)) },
    ]);
    const same = attach(posted(share(memory)));
    for (let i = 0; i < 0x2000; i++) same.writeU8(i, i >> 4);
    const wanted = same.readBytes(0, 0x2000);
    same.copyFrom(same, 0, 0x1_0000, 0x2000);
    assert.deepEqual(same.readBytes(0x1_0000, 0x2000), wanted);
  });

  it('M14: page rights are the same and live', () => {
    const ram = GuestMemory.fromRanges([[0x1_0000, 0x4000]], { shared: true });
    const view = new ProtectedView(ram, { shared: true, initial: 'rw' });
    const part = view.memory().subrange(0x1_1000, 0x3000);
    const same = attach(posted(share(view.memory())));
    const samePart = attach(posted(share(part)));
    same.writeU8(0x1_2000, 1);
    view.protect(0x1_2000, 0x1000, 'r');
    refused(() => same.writeAt(0x1_1ff0, new Uint8Array(0x20)), { code: 'denied', failedAt: 0x1_2000 });
    refused(() => samePart.writeU8(0x1000, 1), { code: 'denied', failedAt: 0x1000 });
    assert.equal(samePart.readU8(0x1000), 1);
    view.protect(0x1_2000, 0x1000, 'rw');
    samePart.writeU8(0x1000, 2);
    assert.equal(ram.readU8(0x1_2000), 2);
  });

  it('M10 M14: of memory on demand only pages that begin as zeros come without a source on the other side', () => {
    const source = (): void => undefined;
    for (const [backing, kind, zeroed] of [
      [lazy(0x1000, undefined, { shared: true }), 'lazy', true],
      [lazy(0x1000, source, { shared: true }), 'lazy', false],
      [copyOnWrite(0x1000, source, { shared: true }), 'copy-on-write', false],
    ] as const) {
      const same = attach(posted(share(GuestMemory.from(backing))));
      assert.deepEqual([backing.kind, same.regions[0]?.kind], [kind, kind]);
      if (zeroed) same.writeU8(0, 1);
      else refused(() => same.writeU8(0, 1), { code: 'unsupported' });
      assert.equal(backing.presentPages(), zeroed ? 1 : 0);
    }
  });

  it('M12 M14: an attached memory marks into the same log; either side drains it', () => {
    const here = trackDirty(GuestMemory.fromRanges([[0x1_0000, 0x8000]], { shared: true }), {
      pageSize: 0x2000,
    });
    const there = attachTracking(posted(share(here.memory)));
    const part = attach(posted(share(here.memory.subrange(0x1_2000, 0x4000))));
    there.memory.writeU32(0x1_0000, 1);
    part.fillAt(0x2000, 1, 8);
    assert.deepEqual(here.drain(), [
      { gpa: 0x1_0000, length: 0x2000 },
      { gpa: 0x1_4000, length: 0x2000 },
    ]);
    here.memory.writeU8(0x1_7fff, 1);
    assert.deepEqual(there.drain(), [{ gpa: 0x1_6000, length: 0x2000 }]);
    assert.deepEqual(here.drain(), []);
    const view = there.memory.view(0x1_2000, 8, 'write');
    assert.deepEqual(here.drain(), [{ gpa: 0x1_2000, length: 0x2000 }]);
    assert.deepEqual(here.drain(), [{ gpa: 0x1_2000, length: 0x2000 }]);
    view.release();
    here.drain();
    assert.deepEqual(here.drain(), []);
  });

  it('M14: of two trackings, one over the other, the outer one is attached and both are marked', () => {
    const inner = trackDirty(GuestMemory.allocate(0x4000, { shared: true }));
    const outer = trackDirty(inner.memory);
    const there = attachTracking(posted(share(outer.memory)));
    there.memory.writeU8(0x1000, 1);
    assert.deepEqual(there.drain(), [{ gpa: 0x1000, length: 0x1000 }]);
    assert.deepEqual(outer.drain(), []);
    assert.deepEqual(inner.drain(), [{ gpa: 0x1000, length: 0x1000 }]);
  });

  it('M14: a memory without a log of its own has none to attach to', () => {
    const plain = share(GuestMemory.allocate(0x1000, { shared: true, name: 'ram' }));
    refused(() => attachTracking(plain), { code: 'invalid', memory: 'ram', gpa: 0 });
    const tracked = trackDirty(GuestMemory.allocate(0x4000, { shared: true })).memory.subrange(
      0x1000,
      0x1000,
    );
    refused(() => attachTracking(share(tracked)), { code: 'invalid' });
  });

  it('M14: an empty memory', () => {
    const same = attach(posted(share(GuestMemory.empty())));
    assert.deepEqual(same.regions, []);
    refused(() => same.readU8(0), { code: 'unmapped', memory: 'empty' });
  });

  it('M15: a handle of closed memory is refused', () => {
    let close = (): void => undefined;
    const memory = GuestMemory.from({
      ...shared(0x1000),
      onClose: (listener) => {
        close = listener;
      },
    });
    share(memory);
    close();
    refused(() => share(memory), { code: 'closed', gpa: 0, operation: 'share' });
  });

  const page = shared(0x1000);
  const refusals: readonly (readonly [string, () => GuestMemory, RegExp])[] = [
    ['private memory', () => GuestMemory.from(heap(0x1000)), /heap region .*private to this thread/],
    [
      'calls',
      () => GuestMemory.from(callbacks({ size: 8, kind: 'uart', read: (_, dest) => dest.fill(0) })),
      /uart region .*calls of this thread/,
    ],
    ['an alias', () => GuestMemory.from(alias(GuestMemory.from(page), 0, 0x1000)), /alias region/],
    ['private lazy pages', () => GuestMemory.from(lazy(0x1000)), /pages are private .*shared: true/],
    [
      'private copy-on-write pages',
      () => GuestMemory.from(copyOnWrite(0x1000, (_, dest) => dest.fill(0))),
      /pages are private .*shared: true/,
    ],
    [
      'faults that a backing of one’s own answers',
      () => GuestMemory.from({ ...page, onFault: () => 'fail', presence: new PageRights(0x1000) }),
      /pages that are brought by calls/,
    ],
    ['lock hooks', () => GuestMemory.from({ ...page, lock: () => undefined }), /hooks for locked pages/],
    ['unlock hooks', () => GuestMemory.from({ ...page, unlock: () => undefined }), /hooks for locked pages/],
    ['expose hooks', () => GuestMemory.from({ ...page, expose: () => undefined }), /hooks for locked pages/],
    ['private rights', () => new ProtectedView(GuestMemory.from(page)).memory(), /page rights are private/],
    [
      'a private log',
      () => trackDirty(GuestMemory.from(page), { shared: false }).memory,
      /dirty log is private/,
    ],
  ];
  for (const [what, make, reason] of refusals) {
    it(`M14: ${what} cannot be shared`, () => {
      const memory = GuestMemory.fromRegions([{ start: 0x10_0000, backing: page }]);
      const other = make();
      const { message } = refused(() => share(other), { code: 'unsupported', gpa: 0, memory: other.name });
      assert.match(message, reason);
      assert.equal(share(memory).regions.length, 1);
    });
  }
});
