import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  attach,
  attachTracking,
  capture,
  copyOnWrite,
  fork,
  GuestMemory,
  lazy,
  type MemoryHandle,
  type OnDemandBacking,
  type PageSource,
  ProtectedView,
  pending,
  SharedAddressSpace,
  settle,
  share,
  snapshotSource,
  trackDirty,
  u32,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';

const PAGE = 0x1000;
const SHARED = { shared: true };

/** A handle as another thread gets it. */
function posted(handle: MemoryHandle): MemoryHandle {
  return structuredClone(handle);
}

/** Pages of their own numbers, and which were asked for. */
function numbered(asked: number[] = []): PageSource {
  return (offset, dest) => {
    asked.push(offset / PAGE);
    for (let i = 0; i < dest.length; i++) dest[i] = (offset + i) / PAGE;
  };
}

function presentIn(memory: GuestMemory): number {
  const [region] = memory.regions;
  return region === undefined ? 0 : (region.backing as OnDemandBacking).presentPages();
}

describe('M14: sharing memory on demand', () => {
  it('M14 M10: a page comes once, on whichever side it is touched first, and both see it', () => {
    const [asked, askedThere]: [number[], number[]] = [[], []];
    const memory = GuestMemory.fromRegions([
      { start: 0x8000, backing: lazy(4 * PAGE + 5, numbered(asked), SHARED) },
    ]);
    const same = attach(posted(share(memory)), { source: () => numbered(askedThere) });
    assert.equal(same.readU8(0x9fff), 1);
    assert.equal(memory.readU8(0x9000), 1);
    memory.writeU8(0xa000, 0xaa);
    assert.equal(same.readU8(0xa000), 0xaa);
    assert.equal(same.readU8(0xc004), 4, 'the rest of a page, at the end');
    assert.deepEqual([asked, askedThere], [[2], [1, 4]]);
    assert.deepEqual([presentIn(memory), presentIn(same)], [3, 3]);
    same.fetchAdd(u32, 0x8000, 1);
    assert.equal(memory.load(u32, 0x8000), 1);
    assert.equal(same.regions[0]?.kind, 'lazy');
  });

  it('M14: without a source, pages that are here are used, and others are unsupported', () => {
    const memory = GuestMemory.fromRegions([{ start: 0x8000, backing: lazy(4 * PAGE, numbered(), SHARED) }], {
      name: 'ram',
    });
    const same = attach(posted(share(memory)));
    refused(() => same.readU8(0x9000), { code: 'unsupported', memory: 'ram', gpa: 0x9000 });
    memory.readU8(0x9000);
    assert.equal(same.readU8(0x9000), 1);
    same.writeU8(0x9001, 7);
    const error = refused(() => same.writeAt(0x9000, new Uint8Array(2 * PAGE)), {
      code: 'unsupported',
      failedAt: 0xa000,
      done: 0,
    });
    assert.match(error.message, /region|backing/);
    assert.equal(memory.readU8(0x9001), 7, 'nothing was written');
    assert.equal(same.read(0x9ff0, new Uint8Array(PAGE)), 0x10);
    assert.equal(presentIn(same), 1);
    memory.readU8(0xa000);
    assert.equal(same.readU8(0xa000), 2, 'and the page may still come');
  });

  it('M14: pages of zeros need no source', () => {
    const memory = GuestMemory.from(lazy(4 * PAGE, undefined, SHARED));
    const same = attach(posted(share(memory)));
    assert.equal(same.readU32(0x1000), 0);
    same.writeU32(0x2000, 5);
    assert.equal(memory.readU32(0x2000), 5);
    assert.equal(presentIn(memory), 2);
  });

  it('M14 M10: copied on write once; until then each side reads its own image', () => {
    const [asked, askedThere]: [number[], number[]] = [[], []];
    const memory = GuestMemory.from(copyOnWrite(4 * PAGE, numbered(asked), SHARED));
    const same = attach(posted(share(memory)), { source: () => numbered(askedThere) });
    assert.deepEqual([memory.readU8(PAGE), same.readU8(PAGE)], [1, 1]);
    assert.equal(presentIn(memory), 0);
    asked.length = 0;
    askedThere.length = 0;
    same.writeU8(PAGE + 1, 9);
    assert.deepEqual(memory.readBytes(PAGE, 3), Uint8Array.of(1, 9, 1));
    memory.writeU8(PAGE + 2, 8);
    assert.deepEqual(same.readBytes(PAGE, 3), Uint8Array.of(1, 9, 8));
    assert.deepEqual([asked, askedThere], [[], [1]]);
    assert.equal(presentIn(same), 1);
    const blind = attach(posted(share(memory)));
    assert.equal(blind.readU8(PAGE + 2), 8);
    refused(() => blind.readU8(0), { code: 'unsupported' });
  });

  it('M14: a part of it, from an odd address, and what was attached attaches again', () => {
    const memory = GuestMemory.fromRegions([
      { start: 0x8003, backing: lazy(4 * PAGE, numbered(), { shared: true, start: 0x8003 }) },
    ]);
    const part = memory.subrange(0x8003 + PAGE - 2, 2 * PAGE);
    const asked: number[] = [];
    const there = attach(posted(share(part)), { source: () => numbered(asked) });
    const again = attach(posted(share(there)), { source: () => numbered(asked) });
    assert.deepEqual(again.readBytes(0, 4), Uint8Array.of(0, 0, 1, 1));
    again.writeU16(1, 0xabcd);
    assert.equal(memory.readU16(0x8003 + PAGE - 1), 0xabcd);
    assert.deepEqual(asked, [0, 1]);
    refused(() => again.readU8(2 * PAGE), { code: 'unmapped' });
  });

  it('M14 M9 M12: rights and dirty logs go along', () => {
    const view = new ProtectedView(GuestMemory.from(lazy(4 * PAGE, numbered(), SHARED)), SHARED);
    const here = trackDirty(view.memory());
    const there = attachTracking(posted(share(here.memory)), { source: () => numbered() });
    view.protect(2 * PAGE, PAGE, 'r');
    assert.equal(there.memory.readU8(2 * PAGE), 2);
    refused(() => there.memory.writeU8(2 * PAGE, 1), { code: 'denied' });
    assert.deepEqual(here.drain(), []);
    there.memory.writeU8(PAGE, 1);
    assert.deepEqual(here.drain(), [{ gpa: PAGE, length: PAGE }]);
  });

  it('M14 M13: a fork, with the snapshot as the source on the other side', () => {
    const memory = GuestMemory.fromRanges([
      [0, 2 * PAGE],
      [0x1_0000, 2 * PAGE],
    ]);
    memory.writeU32(0x1_1000, 7);
    const image = capture(memory);
    const copy = structuredClone(image);
    const forked = fork(image, SHARED);
    const there = attach(posted(share(forked)), {
      source: ({ start }) => {
        const region = copy.regions.find((of) => of.start === start);
        return region && snapshotSource(region);
      },
    });
    assert.equal(there.readU32(0x1_1000), 7);
    there.writeU32(0x1_1004, 8);
    assert.equal(forked.readU32(0x1_1000), 7);
    assert.equal(forked.readU32(0x1_1004), 8);
    assert.equal(presentIn(forked), 0);
    refused(() => share(fork(image)), { code: 'unsupported' });
  });

  it('M14 M16: a source that has to wait is pending there too', async () => {
    let arrived = false;
    const memory = GuestMemory.from(lazy(PAGE, numbered(), SHARED));
    const there = attach(posted(share(memory)), {
      source: () => (_, dest) => {
        const ready = Promise.resolve().then(() => {
          arrived = true;
        });
        if (!arrived) throw pending(ready);
        dest.fill(3);
      },
    });
    refused(() => there.readU8(0), { code: 'pending' });
    assert.equal(await settle(() => there.readU8(0)), 3);
    assert.equal(memory.readU8(0), 3);
  });

  it('M14 S2: in a shared address space, for those who attach with a source', async () => {
    const space = new SharedAddressSpace(GuestMemory.from(lazy(4 * PAGE, numbered(), SHARED)));
    const there = SharedAddressSpace.attach(space.share(), { source: ({ kind }) => numbered([kind.length]) });
    assert.equal(there.memory().readU8(3 * PAGE), 3);
    assert.equal(presentIn(space.memory()), 1);
    there.close();
    space.close();
  });
});
