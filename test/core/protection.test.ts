import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import {
  GuestMemory,
  heap,
  ProtectedView,
  type Rights,
  share,
  shared,
  u32,
  u64,
} from '../../src/core/index.ts';
import { withGlobals } from '../support/engine.ts';
import { type Facts, refused } from '../support/refused.ts';

const ALL: readonly Rights[] = ['', 'r', 'w', 'x', 'rw', 'rx', 'wx', 'rwx'];

/** Every operation that reads, or writes, `length` bytes of mapped memory at an address that is a multiple of 8. */
const READS: Readonly<Record<string, (m: GuestMemory, gpa: number, length: number) => unknown>> = {
  readAt: (m, gpa, length) => m.readAt(gpa, new Uint8Array(length)),
  readBytes: (m, gpa, length) => m.readBytes(gpa, length),
  view: (m, gpa, length) => m.view(gpa, length, 'read').release(),
  views: (m, gpa, length) => m.views(gpa, length, 'read').release(),
  probe: (m, gpa, length) => m.probe(gpa, length),
  'copyFrom, as its source': (m, gpa, length) => GuestMemory.allocate(length).copyFrom(m, gpa, 0, length),
};
const WRITES: Readonly<Record<string, (m: GuestMemory, gpa: number, length: number) => unknown>> = {
  writeAt: (m, gpa, length) => m.writeAt(gpa, new Uint8Array(length).fill(0xee)),
  fillAt: (m, gpa, length) => m.fillAt(gpa, 0xee, length),
  view: (m, gpa, length) => m.view(gpa, length, 'write').release(),
  views: (m, gpa, length) => m.views(gpa, length, 'write').release(),
  probe: (m, gpa, length) => m.probe(gpa, length, 'write'),
  copyFrom: (m, gpa, length) => m.copyFrom(GuestMemory.allocate(length), 0, gpa, length),
};
/** Each on four or eight bytes. */
const SCALAR_READS: readonly ((m: GuestMemory, gpa: number) => unknown)[] = [
  (m, gpa) => m.readU8(gpa),
  (m, gpa) => m.readU16(gpa),
  (m, gpa) => m.readU32(gpa),
  (m, gpa) => m.readU64(gpa),
  (m, gpa) => m.readU64Number(gpa),
  (m, gpa) => m.readU64Into(gpa, new Uint32Array(2)),
  (m, gpa) => m.readU64InPage(Math.floor(gpa / 4096), gpa % 4096, new BigUint64Array(1)),
  (m, gpa) => m.readF64(gpa),
  (m, gpa) => m.readPlain(u32, gpa),
  (m, gpa) => m.load(u64, gpa),
  (m, gpa) => m.readCString(gpa, 8),
  (m, gpa) => m.read(gpa, new Uint8Array(3)),
];
const SCALAR_WRITES: readonly ((m: GuestMemory, gpa: number) => unknown)[] = [
  (m, gpa) => m.writeU8(gpa, 0xee),
  (m, gpa) => m.writeU16(gpa, 0xee),
  (m, gpa) => m.writeU32(gpa, 0xee),
  (m, gpa) => m.writeU64(gpa, 0xeen),
  (m, gpa) => m.writeU64Halves(gpa, 0xee, 0),
  (m, gpa) => m.writeF64(gpa, 1.5),
  (m, gpa) => m.writePlain(u32, gpa, 0xee),
  (m, gpa) => m.store(u32, gpa, 0xee),
  (m, gpa) => m.exchange(u32, gpa, 0xee),
  (m, gpa) => m.fetchAdd(u64, gpa, 1n),
  (m, gpa) => m.compareExchange(u32, gpa, 0, 0xee),
  (m, gpa) => m.write(gpa, Uint8Array.of(1, 2)),
];

describe('M9: protection', () => {
  for (const make of [heap, shared]) {
    describe(`of ${make.name} memory`, () => {
      let ram: GuestMemory;
      let view: ProtectedView;
      let memory: GuestMemory;
      before(() => {
        ram = GuestMemory.fromRegions([{ start: 0x10_0000, backing: make(0x8000) }], { name: 'ram' });
        view = new ProtectedView(ram, { initial: 'rw' });
        memory = view.memory();
      });

      function denied(fn: () => unknown, facts: Partial<Facts>): void {
        const { message } = refused(fn, { code: 'denied', memory: 'ram', done: 0, ...facts });
        assert.match(message, /the page at 0x103000 may not be (read|written)/);
      }

      it('M9: a range with a denied page fails before its first byte, with the page named', () => {
        view.protect(0x10_3000, 0x1000, '');
        for (const [operations, wanted] of [
          [READS, 'read'],
          [WRITES, 'written'],
        ] as const) {
          for (const run of Object.values(operations)) {
            const error = refused(() => run(memory, 0x10_2f00, 0x1200), {
              code: 'denied',
              gpa: 0x10_2f00,
              length: 0x1200,
              failedAt: 0x10_3000,
              done: 0,
            });
            assert(error.message.includes(`the page at 0x103000 may not be ${wanted}`), error.message);
            run(memory, 0x10_2f00, 0x100);
            run(memory, 0x10_4000, 0x100);
            ram.fillAt(0x10_0000, 0, 0x8000);
          }
        }
        refused(() => WRITES['writeAt']?.(memory, 0x10_2ff0, 0x20), { code: 'denied', failedAt: 0x10_3000 });
        assert.equal(memory.readU8(0x10_2ff0), 0);
      });

      it('M9: scalars and atomics, and those that cross into the page', () => {
        for (const [rights, allowed, refusedOnes] of [
          ['r', SCALAR_READS, SCALAR_WRITES],
          ['wx', SCALAR_WRITES, SCALAR_READS],
        ] as const) {
          view.protect(0x10_3000, 0x1000, rights);
          for (const run of allowed) run(memory, 0x10_3008);
          for (const run of refusedOnes)
            denied(() => run(memory, 0x10_3008), { gpa: 0x10_3008, failedAt: 0x10_3008 });
        }
        view.protect(0x10_3000, 0x1000, '');
        denied(() => memory.readU32(0x10_2ffe), { gpa: 0x10_2ffe, failedAt: 0x10_3000 });
        denied(() => memory.writeU64(0x10_2fff, -1n), { gpa: 0x10_2fff, failedAt: 0x10_3000 });
        denied(() => memory.readU16(0x10_3fff), { gpa: 0x10_3fff, failedAt: 0x10_3fff });
        assert.equal(memory.readU8(0x10_2fff), 0);
        assert.equal(memory.readU8(0x10_4000), 0);
      });

      it('M3 M9: partial calls end at the denied page', () => {
        view.protect(0x10_3000, 0x1000, '');
        const bytes = new Uint8Array(0x40).fill(1);
        assert.equal(memory.read(0x10_2ff0, bytes), 0x10);
        assert.equal(memory.write(0x10_2ff0, bytes), 0x10);
        assert.equal(memory.reach(0x10_2000, 0x4000), 0x1000);
        assert.equal(memory.reach(0x10_3000, 0x10), 0);
      });

      it('A2 M9: probes and translations ask for read, write and execute each', () => {
        for (const rights of ALL) {
          view.protect(0x10_3000, 0x1000, rights);
          for (const [access, letter] of [
            ['read', 'r'],
            ['write', 'w'],
            ['execute', 'x'],
          ] as const) {
            const given = rights.includes(letter);
            assert.equal(memory.checkRange(0x10_3ff8, 8, access), given);
            assert.equal(memory.checkRange(0x10_3ff8, 9, access), given && letter !== 'x');
            assert.equal(memory.translateAndGetLimit(0x10_3ffc, access) !== undefined, given);
            assert.equal(ram.checkRange(0x10_3000, 8, access), true);
            if (given) memory.probeGpns([0x103], access);
            else refused(() => memory.probeGpns([0x103], access), { code: 'denied', failedAt: 0x10_3000 });
          }
          assert.equal(memory.checkGpaReadable(0x10_3000), rights.includes('r'));
          assert.equal(memory.checkGpaWritable(0x10_3000), rights.includes('w'));
          assert.equal(view.rightsAt(0x10_3fff), rights);
        }
        assert.equal(view.rightsAt(0xf_ffff), '');
        assert.equal(view.rightsAt(0x10_8000), '');
      });

      it('A1 M9: a translation ends before the first page that is denied', () => {
        view.protect(0x10_3000, 0x1000, 'r');
        assert.equal(memory.translateAndGetLimit(0x10_1008, 'write')?.limit, 0x1ff8);
        assert.equal(memory.translateAndGetLimit(0x10_1008, 'read')?.limit, 0x6ff8);
        assert.equal(memory.fullMapping(), undefined);
      });
    });
  }

  it('M9: views of one memory have rights of their own; one upon the other both hold', () => {
    const ram = GuestMemory.allocate(0x4000);
    const one = new ProtectedView(ram, { initial: 'rw' });
    const two = new ProtectedView(ram);
    const both = new ProtectedView(one.memory());
    one.protect(0x1000, 0x1000, 'r');
    both.protect(0x2000, 0x1000, '');
    two.memory().writeU8(0x1000, 1);
    assert.equal(both.memory().readU8(0x1000), 1);
    refused(() => one.memory().writeU8(0x1000, 2), { code: 'denied' });
    refused(() => both.memory().writeU8(0x1000, 2), { code: 'denied', failedAt: 0x1000 });
    refused(() => both.memory().readU8(0x2000), { code: 'denied' });
    one.memory().writeU8(0x2000, 3);
    one.protect(0x1000, 0x1000, 'rw');
    both.memory().writeU8(0x1000, 4);
    assert.equal(ram.readU8(0x1000), 4);
  });

  it('M9: rights hold in subranges, wherever they begin, and name the page as the whole memory counts', () => {
    const view = new ProtectedView(GuestMemory.allocate(0x8000));
    const part = view.memory().subrange(0x2800, 0x3000).subrange(0x10, 0x2000);
    view.protect(0x3000, 0x1000, 'r');
    part.writeAt(0, new Uint8Array(0x7f0));
    const error = refused(() => part.writeU8(0x800, 1), { code: 'denied', gpa: 0x800, failedAt: 0x800 });
    assert.match(error.message, /the page at 0x3000 of the whole memory may not be written/);
    part.writeU8(0x17f0, 1);
  });

  it('M9: regions inserted later begin with the initial rights, in a subrange too, and can be protected', () => {
    const view = new ProtectedView(GuestMemory.allocate(0x1000), { initial: 'r' });
    const grown = view.memory().insertRegion({ start: 0x1000, backing: heap(0x2000) });
    refused(() => grown.writeU8(0x1000, 1), { code: 'denied' });
    view.protect(0x1000, 0x1000, 'rw');
    grown.writeU8(0x1000, 1);
    refused(() => grown.insertRegion({ start: 0x2000, backing: heap(0x8000) }), { code: 'overlap' });
    assert.equal(view.rightsAt(0x9000), '');
    const part = grown.subrange(0x1000, 0x1000).insertRegion({ start: 0x7000, backing: heap(0x1000) });
    refused(() => part.writeU8(0x7000, 1), { code: 'denied', failedAt: 0x7000 });
    view.protect(0x8000, 0x1000, 'w');
    part.writeU8(0x7000, 1);
  });

  it('M9: a region in the place of one that was removed has its own rights', () => {
    const view = new ProtectedView(GuestMemory.fromRanges([[0, 0x1000]]), { initial: 'r' });
    view.protect(0, 0x1000, 'rw');
    const next = view
      .memory()
      .removeRegion(0, 0x1000)
      .insertRegion({ start: 0, backing: heap(0x2000) });
    assert.equal(view.rightsAt(0), 'r');
    refused(() => next.writeU8(0, 1), { code: 'denied' });
    view.protect(0, 0x1000, 'w');
    next.writeU8(0, 1);
    refused(() => view.memory().readU8(0), { code: 'denied' });
  });

  it('M9: what is no range, or not of whole pages in every region, is refused and changes nothing', () => {
    const ram = GuestMemory.fromRegions([
      { start: 0, backing: heap(0x1000) },
      { start: 0x1000, backing: heap(0x2345) },
      { start: 0x8008, backing: heap(0x2000) },
    ]);
    const view = new ProtectedView(ram, { initial: 'rw' });
    for (const [gpa, length] of [
      [0, 0x1800],
      [0x800, 0x1000],
      [0, 0x9000],
      [-0x1000, 0x2000],
      [Number.NaN, 0x1000],
      [0, Number.NaN],
      [0.5, 0x1000],
      [0x1000, 2 ** 53 - 1],
    ] as const) {
      const error = refused(() => view.protect(gpa, length, ''), { code: 'invalid', operation: 'protect' });
      assert.equal(error.done, 0);
      for (const at of [0, 0x1000, 0x2000, 0x3000, 0x8008, 0x9008])
        assert.equal(view.rightsAt(at), 'rw', `${gpa}`);
    }
    view.protect(0, 0x8000, 'r');
    view.protect(0x8008, 0x1000, 'x');
    assert.deepEqual(
      [0, 0x1000, 0x3344, 0x8008, 0x9007, 0x9008].map((gpa) => view.rightsAt(gpa)),
      ['r', 'r', 'r', 'x', 'x', 'rw'],
    );
    view.protect(0x4000, 0x1000, '');
  });

  it('M9: up to the top of the space, and from where a region ends that is no whole number of pages', () => {
    const view = new ProtectedView(
      GuestMemory.fromRegions([
        { start: 0x1000, backing: heap(0x2348) },
        { start: 0x3348, backing: heap(0x2000) },
      ]),
    );
    view.protect(0x3348, 0x1000, 'r');
    assert.deepEqual(
      [view.rightsAt(0x3347), view.rightsAt(0x3348), view.rightsAt(0x4348)],
      ['rwx', 'r', 'rwx'],
    );
    view.protect(0x3348, 2 ** 53 - 0x3348, 'w');
    assert.equal(view.rightsAt(0x4348), 'w');
    refused(() => view.protect(0x1800, 0x1b48, ''), { code: 'invalid', operation: 'protect' });
    assert.equal(view.rightsAt(0x2000), 'rwx');
  });

  it('M9: a region that came later says nothing of those above it', () => {
    const view = new ProtectedView(GuestMemory.fromRanges([[0x8000, 0x1000]]), { initial: 'r' });
    view.memory().insertRegion({ start: 0x7000, backing: heap(0x1000) });
    view.protect(0x7000, 0x1000, 'w');
    assert.deepEqual(
      [0x6fff, 0x7000, 0x7fff, 0x8000, 0x9000].map((gpa) => view.rightsAt(gpa)),
      ['', 'w', 'w', 'r', ''],
    );
  });

  it('M9 M15: the rights of regions that nobody has are forgotten, unless other threads were given them', async () => {
    let gone = false;
    class Weak {
      private readonly target: unknown;
      constructor(target: unknown) {
        this.target = target;
      }
      deref(): unknown {
        return gone ? undefined : this.target;
      }
    }
    await withGlobals({ WeakRef: Weak }, () => {
      for (const handedOut of [false, true]) {
        gone = false;
        const ram = GuestMemory.fromRanges([[0, 0x1000]], { shared: true });
        const view = new ProtectedView(ram, { initial: 'rw', shared: true });
        const memory = view.memory();
        memory.insertRegion({ start: 0x1000, backing: shared(0x1000) });
        assert.deepEqual([view.rightsAt(0), view.rightsAt(0x1000)], ['rw', 'rw']);
        if (handedOut) share(memory);
        gone = true;
        memory.insertRegion({ start: 0x2000, backing: shared(0x1000) });
        assert.equal(view.rightsAt(0), handedOut ? 'rw' : '');
        assert.equal(view.rightsAt(0x1000), '');
        assert.equal(view.rightsAt(0x2000), 'rw');
        view.protect(0x2000, 0x1000, 'r');
        assert.equal(view.rightsAt(0x2000), 'r');
      }
    });
  });

  it('M9: read-only memory stays so, whatever the view says', () => {
    const rom = GuestMemory.fromRegions([{ start: 0, backing: heap(0x1000), access: 'r' }]);
    const error = refused(() => new ProtectedView(rom).memory().writeU8(0, 1), { code: 'denied' });
    assert.match(error.message, /read-only/);
  });
});
