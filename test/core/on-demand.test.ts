import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  copyOnWrite,
  type FallbackAccess,
  GuestMemory,
  heap,
  lazy,
  type MemoryBacking,
  PageRights,
  ProtectedView,
  pending,
  settle,
  trackDirty,
  u32,
  u64,
} from '../../src/core/index.ts';
import { bringPages } from '../../src/core/page-faults.ts';
import { refused } from '../support/refused.ts';

const PAGE = 0x1000;

/** Mapped pages none of which is there; what a fault does is the test's to say. */
function faulting(
  pages: number,
  onFault: (
    presence: PageRights,
    offset: number,
    length: number,
    access: string,
  ) => 'retry' | 'fallback' | 'fail',
  fallback?: FallbackAccess,
): MemoryBacking {
  const presence = new PageRights(pages * PAGE);
  return {
    ...heap(pages * PAGE),
    kind: 'faulting',
    presence,
    ...(fallback && { fallback }),
    onFault: (offset, length, access) => onFault(presence, offset, length, access),
  };
}

describe('M10: faults', () => {
  it('M10: the first missing page is asked for, with what is left of the access; then what is there is not', () => {
    const asked: unknown[] = [];
    const memory = GuestMemory.fromRegions([
      {
        start: 0x8000,
        backing: faulting(4, (presence, offset, length, access) => {
          asked.push([offset, length, access]);
          presence.set(offset - (offset % PAGE), PAGE, 'r');
          return 'retry';
        }),
      },
    ]);
    memory.readAt(0x8ff0, new Uint8Array(0x1020));
    assert.deepEqual(asked.splice(0), [
      [0xff0, 0x1020, 'read'],
      [0x1000, 0x1010, 'read'],
      [0x2000, 0x10, 'read'],
    ]);
    memory.readU32(0x9000);
    assert.equal(memory.checkRange(0x8000, 0x3000), true);
    assert.deepEqual(asked, []);
    assert.equal(memory.checkRange(0x8000, 0x1000, 'execute'), false);
    asked.splice(0);
    refused(() => memory.writeU8(0x8000, 1), { code: 'retry-limit', gpa: 0x8000, failedAt: 0x8000, done: 0 });
    assert.equal(asked.length, 1001);
    assert.deepEqual(asked.at(-1), [0, 1, 'write']);
  });

  it('M10: "retry" for ever ends in retry-limit, for every page on its own', () => {
    let asked = 0;
    const memory = GuestMemory.from(
      faulting(4, (presence, offset) => {
        // Each page comes at the 700th attempt.
        if (++asked % 700 === 0) presence.set(offset - (offset % PAGE), PAGE, 'rw');
        return 'retry';
      }),
    );
    memory.fillAt(0, 1, 0x4000);
    assert.equal(asked, 2800);
    const never = GuestMemory.from(faulting(1, () => 'retry'));
    refused(() => never.readU64(8), { code: 'retry-limit', gpa: 8, operation: 'read' });
    assert.equal(never.checkRange(8, 8), false);
    assert.equal(never.reach(8, 8), 0);
  });

  it('M10 M3: "fail" is a fault at its page, before the first byte; partial calls end there', () => {
    const memory = GuestMemory.from(
      faulting(4, (presence, offset) => {
        if (offset >= 0x2000) return 'fail';
        presence.set(offset - (offset % PAGE), PAGE, 'rw');
        return 'retry';
      }),
    );
    const facts = { code: 'fault', gpa: 0, length: 0x2001, failedAt: 0x2000, done: 0 } as const;
    refused(() => memory.fillAt(0, 1, 0x2001), { ...facts, operation: 'fill' });
    refused(() => memory.readAt(0, new Uint8Array(0x2001)), facts);
    assert.equal(memory.readU8(0), 0);
    refused(() => memory.writeU32(0x1ffe, -1), { code: 'fault', failedAt: 0x2000 });
    assert.equal(memory.readU16(0x1ffe), 0);
    assert.equal(memory.write(0x1ffe, new Uint8Array(9)), 2);
    assert.equal(memory.reach(0x800, 0x4000), 0x1800);
    assert.equal(memory.translateAndGetLimit(0x2000), undefined);
    const none = GuestMemory.from({ ...heap(PAGE), presence: new PageRights(PAGE) });
    refused(() => none.readU8(0), { code: 'fault' });
  });

  it('M10: what a fault throws is the cause, at its page; a typed error keeps its code', () => {
    const broken = new Error('disk on fire');
    const memory = GuestMemory.from(
      faulting(4, (presence, offset) => {
        if (offset >= 0x3000) throw pending(Promise.resolve());
        if (offset >= 0x1000) throw broken;
        presence.set(offset - (offset % PAGE), PAGE, 'rw');
        return 'retry';
      }),
      { name: 'pages' },
    );
    const facts = {
      code: 'fault',
      memory: 'pages',
      gpa: 0xff8,
      length: 16,
      failedAt: 0x1000,
      done: 0,
    } as const;
    for (const run of [
      () => memory.readAt(0xff8, new Uint8Array(16)),
      () => memory.writeAt(0xff8, new Uint8Array(16).fill(1)),
      () => memory.fillAt(0xff8, 1, 16),
      () => memory.view(0xff8, 16, 'write'),
      () => memory.probe(0xff8, 16),
    ]) {
      assert.equal(refused(run, facts).cause, broken);
    }
    assert.equal(refused(() => memory.readU64(0xffc), { code: 'fault', failedAt: 0x1000 }).cause, broken);
    refused(() => memory.lockGpns([0, 1]), { code: 'fault', failedAt: 0x1000 });
    refused(() => memory.load(u32, 0x1000), { code: 'fault', failedAt: 0x1000 });
    assert.equal(memory.readU8(0xff8), 0);
    assert.equal(memory.read(0xff8, new Uint8Array(16)), 8);
    assert.equal(memory.reach(0xff8, 16), 8);
    assert.equal(memory.checkRange(0x1000, 1), false);
    refused(() => memory.read(0x1000, new Uint8Array(16)), { code: 'fault', gpa: 0x1000 });
    assert(refused(() => memory.readU8(0x3000), { code: 'pending' }).ready instanceof Promise);
  });

  it('M10 M5: "fallback" serves the access by calls, an aligned scalar by one; without a call for it, it fails', () => {
    const calls: string[] = [];
    const fallback: FallbackAccess = {
      read: (offset, dest) => {
        calls.push(`read ${offset} ${dest.length}`);
        dest.fill(7);
      },
    };
    const memory = GuestMemory.from(faulting(2, () => 'fallback', fallback));
    assert.equal(memory.readU32(8), 0x0707_0707);
    assert.equal(memory.readU64(0x1008), 0x0707_0707_0707_0707n);
    assert.deepEqual(calls.splice(0), ['read 8 4', 'read 4104 8']);
    refused(() => memory.writeU32(8, 1), { code: 'fault', failedAt: 8 });
    refused(() => memory.fillAt(0, 1, 16), { code: 'fault', failedAt: 0 });
    refused(() => memory.view(0, 8, 'read'), { code: 'unsupported' });
    refused(() => memory.load(u32, 0), { code: 'unsupported' });
    const nothing = GuestMemory.from(faulting(1, () => 'fallback'));
    refused(() => nothing.readU32(0), { code: 'fault' });
    const written: number[] = [];
    const both = trackDirty(
      GuestMemory.from(
        faulting(2, () => 'fallback', { ...fallback, write: (offset) => void written.push(offset) }),
      ),
    );
    both.memory.writeU16(0x1000, 1);
    assert.deepEqual(written, [0x1000]);
    assert.deepEqual(both.drain(), [{ gpa: 0x1000, length: PAGE }]);
  });
});

describe('M10: bringing pages', () => {
  it('M10: calls serve what is left behind the pages that are there; without a fault handler nothing comes', () => {
    const presence = new PageRights(4 * PAGE);
    presence.set(PAGE, PAGE, 'r');
    const asked: unknown[] = [];
    const byCalls = (...range: number[]): number => asked.push(range);
    const bring = (backing: MemoryBacking, offset = PAGE + 0x800): number =>
      bringPages(backing, offset, 0x1000, 'read', byCalls);
    const backing: MemoryBacking = { ...heap(4 * PAGE), presence, onFault: () => 'fallback' };
    assert.equal(bring(backing), 0x801);
    assert.deepEqual(asked, [[2 * PAGE, 0x800]]);
    assert.equal(bring({ ...heap(4 * PAGE), presence }), 0x800);
    assert.equal(bring(heap(4 * PAGE)), 0);
    refused(() => bring({ ...backing, onFault: () => 'retry' }, 0), {
      code: 'retry-limit',
      operation: 'read',
    });
    presence.set(2 * PAGE, 2 * PAGE, 'r');
    assert.equal(bring(backing), 0x1000);
  });
});

describe('M10: lazy memory', () => {
  it('M10: zeroed pages come when touched, each once, the last one partial', () => {
    const backing = lazy(0x2345);
    const memory = GuestMemory.fromRegions([{ start: 0x1000, backing }]);
    assert.equal(backing.presentPages(), 0);
    assert.equal(memory.readU8(0x3344), 0);
    assert.equal(backing.presentPages(), 1);
    memory.writeU64(0x1ffc, -1n);
    assert.equal(backing.presentPages(), 3);
    assert.equal(memory.readU64(0x1ffc), 2n ** 64n - 1n);
    refused(() => memory.readU8(0x3345), { code: 'unmapped' });
    for (const size of [0, -1, 0.5, Number.NaN]) refused(() => lazy(size), { code: 'invalid' });
  });

  for (const shared of [false, true]) {
    it(`M10: ${shared ? 'shared' : 'private'} pages from a source, asked for once each, whatever touches them`, () => {
      const asked: string[] = [];
      const backing = lazy(
        0x5800,
        (offset, dest) => {
          asked.push(`${offset / PAGE} ${dest.length}`);
          dest.fill(offset / PAGE + 1);
        },
        { shared },
      );
      const memory = GuestMemory.from(backing);
      assert.equal(memory.load(u64, 0x1008), 0x0202_0202_0202_0202n);
      assert.equal(memory.fetchAdd(u32, 0x2000, 1), 0x0303_0303);
      const view = memory.view(0x2ff0, 0x20, 'read');
      assert.deepEqual([view.bytes[0], view.bytes[0x10]], [3, 4]);
      view.release();
      assert.equal(memory.translateAndGetLimit(0x4010)?.limit, 0xff0);
      assert.equal(memory.readBytes(0x5000, 0x800)[0x7ff], 6);
      memory.lockGpns([0]).release();
      memory.readBytes(0, 0x5800);
      assert.deepEqual(asked, ['1 4096', '2 4096', '3 4096', '4 4096', '5 2048', '0 4096']);
      assert.equal(backing.presentPages(), 6);
    });
  }

  it('M10 M16: a source that has to wait: pending, then settled, page by page', async () => {
    const here = new Set<number>();
    const asked: number[] = [];
    const memory = GuestMemory.from(
      lazy(0x4000, (offset, dest) => {
        asked.push(offset);
        if (!here.has(offset)) throw pending(Promise.resolve().then(() => void here.add(offset)));
        dest.fill(offset / PAGE + 1);
      }),
    );
    assert(
      refused(() => memory.readU8(0x1000), { code: 'pending', failedAt: 0x1000 }).ready instanceof Promise,
    );
    const bytes = await settle(() => memory.readBytes(0x0ff8, 0x1010));
    assert.deepEqual([bytes[0], bytes[8], bytes[0x100f]], [1, 2, 3]);
    assert.equal(await settle(() => memory.readU64(0x2ffc)), 0x0404_0404_0303_0303n);
    assert(asked.length <= 10, `${asked.length} calls`);
  });

  it('M10: a page whose source failed is asked for again', () => {
    let attempts = 0;
    const backing = lazy(PAGE, (_offset, dest) => {
      if (++attempts < 3) throw new Error('not yet');
      dest.fill(9);
    });
    const memory = GuestMemory.from(backing);
    for (let i = 0; i < 2; i++) refused(() => memory.readU8(0), { code: 'fault', failedAt: 0 });
    assert.equal(backing.presentPages(), 0);
    assert.equal(memory.readU8(0), 9);
    assert.equal(attempts, 3);
  });

  it('M10: a source that touches the page it is to bring ends in retry-limit', () => {
    const memory: GuestMemory = GuestMemory.from(lazy(PAGE, () => void memory.readU8(5)));
    refused(() => memory.readU8(0), { code: 'retry-limit' });
  });
});

describe('M10: copy on write', () => {
  const SIZE = 0x4800;
  const image = Uint8Array.from({ length: SIZE }, (_, i) => (i * 7 + Math.floor(i / PAGE)) % 256);
  const make = (shared = false) => {
    const backing = copyOnWrite(
      SIZE,
      (offset, dest) => dest.set(image.subarray(offset, offset + dest.length)),
      { shared },
    );
    return { backing, memory: GuestMemory.fromRegions([{ start: 0x1_0000, backing }], { name: 'fork' }) };
  };
  const before = image.slice();

  it('M10: reads never copy a page', () => {
    const { backing, memory } = make();
    assert.deepEqual(memory.readBytes(0x1_0000, SIZE), image);
    memory.readU32(0x1_0ffe);
    assert.equal(memory.readU8(0x1_47ff), image[0x47ff]);
    assert.equal(memory.checkRange(0x1_0000, SIZE), true);
    assert.equal(memory.checkRange(0x1_0000, SIZE, 'execute'), true);
    GuestMemory.allocate(SIZE).copyFrom(memory, 0x1_0000, 0, SIZE);
    assert.equal(backing.presentPages(), 0);
  });

  for (const shared of [false, true]) {
    it(`M10: the first write to a page copies that page, once; reads mix (${shared ? 'shared' : 'private'})`, () => {
      const { backing, memory } = make(shared);
      const model = image.slice();
      memory.writeU8(0x1_1800, 0xaa);
      model[0x1800] = 0xaa;
      assert.equal(backing.presentPages(), 1);
      memory.writeU16(0x1_2fff, 0xbbcc);
      model.set([0xcc, 0xbb], 0x2fff);
      assert.equal(backing.presentPages(), 3);
      assert.deepEqual(memory.readBytes(0x1_0000, SIZE), model);
      for (const gpa of [0x0ffd, 0x0ffe, 0x1ffd, 0x2ffc, 0x3ffe]) {
        assert.equal(memory.readU32(0x1_0000 + gpa), new DataView(model.buffer).getUint32(gpa, true));
      }
      memory.writeAt(0x1_1000, new Uint8Array(8));
      assert.equal(backing.presentPages(), 3);
      memory.fillAt(0x1_4000, 1, 0x800);
      assert.equal(backing.presentPages(), 4);
      assert.deepEqual(image, before);
    });
  }

  it('M10 M7: atomics, views, locks and translations have pages of their own', () => {
    for (const run of [
      (m: GuestMemory) =>
        assert.equal(m.load(u32, 0x1_1004), new DataView(image.buffer).getUint32(0x1004, true)),
      (m: GuestMemory) => m.compareExchange(u32, 0x1_1004, 0, 0),
      (m: GuestMemory) => m.fetchOr(u32, 0x1_1004, 1),
      (m: GuestMemory) =>
        assert.deepEqual([...m.view(0x1_1004, 4, 'read').bytes], [...image.subarray(0x1004, 0x1008)]),
      (m: GuestMemory) => m.view(0x1_1004, 4, 'write').release(),
      (m: GuestMemory) => assert.equal(m.lockGpns([0x11], { access: 'read' }).pages[0]?.[5], image[0x1005]),
      (m: GuestMemory) => {
        const run = m.translateAndGetLimit(0x1_1004);
        assert(run !== undefined);
        assert.equal(run.limit, 0xffc);
        assert.equal(new Uint8Array(run.buffer, run.byteOffset)[0], image[0x1004]);
      },
      (m: GuestMemory) => m.translateAndGetLimit(0x1_1004, 'write'),
    ]) {
      const { backing, memory } = make();
      run(memory);
      assert.equal(backing.presentPages(), 1, String(run));
    }
  });

  it('M10 M9: a page that may only be read is still loaded, viewed and translated', () => {
    const { memory } = make();
    const rom = GuestMemory.fromRegions([{ start: 0, backing: make().backing, access: 'r' }]);
    const view = new ProtectedView(memory.subrange(0x1_0000, SIZE), { initial: 'r' });
    for (const readable of [rom, view.memory()]) {
      assert.equal(readable.load(u32, 0x1000), new DataView(image.buffer).getUint32(0x1000, true));
      const lent = readable.view(0x2000, 0x800, 'read');
      assert.equal(lent.bytes[1], image[0x2001]);
      lent.release();
      assert(readable.translateAndGetLimit(0x3000) !== undefined);
      assert.equal(readable.translateAndGetLimit(0x3000, 'write'), undefined);
      refused(() => readable.writeU8(0x2000, 1), { code: 'denied' });
      refused(() => readable.store(u32, 0x2000, 1), { code: 'denied' });
    }
  });

  it('M10 M12: copying a page in dirties nothing; the write does', () => {
    const tracking = trackDirty(make().memory);
    tracking.memory.load(u32, 0x1_0000);
    tracking.memory.view(0x1_2000, 8, 'read').release();
    assert.deepEqual(tracking.drain(), []);
    tracking.memory.writeU8(0x1_3000, 1);
    assert.deepEqual(tracking.drain(), [{ gpa: 0x1_3000, length: PAGE }]);
  });

  it('M10: what the image throws fails the access; nothing was written', () => {
    const broken = new Error('gone');
    const memory = GuestMemory.from(
      copyOnWrite(0x2000, (offset, dest) => {
        if (offset + dest.length > 0x1000) throw broken;
        dest.fill(1);
      }),
    );
    assert.equal(
      refused(() => memory.writeAt(0xff0, new Uint8Array(32)), { code: 'fault', done: 0 }).cause,
      broken,
    );
    assert.equal(memory.readU8(0xff0), 1);
    assert.equal(refused(() => memory.readU8(0x1000), { code: 'fault' }).cause, broken);
  });
});
