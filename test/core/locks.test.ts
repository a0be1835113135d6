import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  bytes,
  callbacks,
  copyOnWrite,
  GuestMemory,
  heap,
  lockRange,
  type MemoryBacking,
  PagedRange,
  ProtectedView,
  shared,
  trackDirty,
  wasm,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { newWasmMemory } from '../support/wasm-memory.ts';

const PAGE = 0x1000;

/** A backing that writes down what it is told; `refuse` throws in the hook of that name at that offset. */
function hooked(
  size: number,
  refuse?: { hook: 'lock' | 'unlock' | 'expose'; offset: number },
): { backing: MemoryBacking; told: string[] } {
  const told: string[] = [];
  const tell = (hook: 'lock' | 'unlock' | 'expose', offset: number, length: number, access = ''): void => {
    told.push(`${hook} ${offset / PAGE} ${length} ${access}`.trim());
    if (refuse?.hook === hook && refuse.offset === offset) throw new Error('the kernel says no');
  };
  return {
    told,
    backing: {
      ...heap(size),
      lock: (offset, length, access) => tell('lock', offset, length, access),
      unlock: (offset, length) => tell('unlock', offset, length),
      expose: (offset, length) => tell('expose', offset, length),
    },
  };
}

describe('M11: locked pages', () => {
  it('M11: a view for each page asked for, in that order, of the guest bytes themselves', () => {
    const memory = GuestMemory.fromRegions([{ start: 0x10_0000, backing: shared(0x4000) }]);
    const locked = memory.lockGpns([0x102, 0x100, 0x102]);
    assert.deepEqual(
      locked.pages.map((page) => page.length),
      [PAGE, PAGE, PAGE],
    );
    assert.deepEqual([...locked.gpns], [0x102, 0x100, 0x102]);
    locked.pages[0]?.fill(7);
    assert.equal(memory.readU8(0x10_2fff), 7);
    assert.equal(memory.readU8(0x10_0000), 0);
    memory.writeU8(0x10_0001, 9);
    assert.equal(locked.pages[1]?.[1], 9);
    locked.release();
    refused(() => locked.pages, { code: 'closed' });
  });

  it('M11: removal is refused with the list of locked pages, and works after the last release', () => {
    const memory = GuestMemory.fromRegions([{ start: 0x10_0000, backing: heap(0x4000) }], { name: 'ram' });
    const one = memory.lockGpns([0x103, 0x101], { access: 'read' });
    const two = memory.lockGpns([0x101]);
    const facts = { code: 'locked', memory: 'ram', gpa: 0x10_0000, failedAt: 0x10_1000 } as const;
    assert.match(refused(() => memory.removeRegion(0x10_0000, 0x4000), facts).message, /0x101000, 0x103000/);
    one.release();
    one.release();
    one[Symbol.dispose]();
    assert.match(refused(() => memory.removeRegion(0x10_0000, 0x4000), facts).message, /locked: 0x101000$/);
    two.release();
    assert.equal(memory.removeRegion(0x10_0000, 0x4000).regions.length, 0);
  });

  it('M11 R OpenVMM D4: a lock through a subrange pins the page for the whole memory, and the other way round', () => {
    const memory = GuestMemory.fromRanges([[0, 0x4000]]);
    const part = memory.subrange(0x1000, 0x2000);
    const locked = part.lockGpns([1]);
    assert.match(refused(() => memory.removeRegion(0, 0x4000), { code: 'locked' }).message, /0x2000/);
    refused(() => part.removeRegion(0, 0x2000), { code: 'locked', failedAt: 0x1000 });
    locked.release();
    const outside = memory.lockGpns([3]);
    part.removeRegion(0, 0x2000);
    outside.release();
    memory.removeRegion(0, 0x4000);
  });

  it('M11 R OpenVMM D3: a subrange of 16 bytes locks no page, nor does one that begins in the middle lend bytes outside', () => {
    const memory = GuestMemory.allocate(0x3000);
    for (const offset of [0, 0x10, 0x1ff8]) {
      const part = memory.subrange(offset, 16);
      for (const access of ['read', 'write'] as const) {
        refused(() => part.lockGpns([0], { access }), { code: 'unmapped', failedAt: 16 });
      }
    }
    const odd = memory.subrange(0x808, 0x1800);
    const locked = odd.lockGpns([0]);
    locked.pages[0]?.fill(1);
    assert.deepEqual(
      [memory.readU8(0x807), memory.readU8(0x808), memory.readU8(0x1807), memory.readU8(0x1808)],
      [0, 1, 1, 0],
    );
    refused(() => odd.lockGpns([1]), { code: 'unmapped', failedAt: 0x1800 });
    locked.release();
    memory.removeRegion(0, 0x3000);
  });

  it('M11 R OpenVMM D5: where one page fails none is locked, and each backing hears of exactly the locks it gave', () => {
    const first = hooked(0x2000);
    const second = hooked(0x2000, { hook: 'lock', offset: PAGE });
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: first.backing },
      { start: 0x2000, backing: second.backing },
    ]);
    const error = refused(() => memory.lockGpns([0, 1, 2, 3]), {
      code: 'fault',
      operation: 'lock',
      failedAt: 0x3000,
    });
    assert.match(String(error.cause), /the kernel says no/);
    assert.deepEqual(first.told, [
      'lock 0 4096 write',
      'lock 1 4096 write',
      'unlock 0 4096',
      'unlock 1 4096',
    ]);
    assert.deepEqual(second.told, ['lock 0 4096 write', 'lock 1 4096 write', 'unlock 0 4096']);
    refused(() => memory.lockGpns([0, 9]), { code: 'unmapped', failedAt: 0x9000 });
    for (const gpn of [-1, 0.5, Number.NaN, 2 ** 41])
      refused(() => memory.lockGpns([1, gpn]), { code: 'invalid' });
    memory.removeRegion(0, 0x2000).removeRegion(0x2000, 0x2000);
  });

  it('M11 A2 lock_gpns: hooks hear of the first lock and the last release of a page; expose only of what goes to the kernel', () => {
    const { backing, told } = hooked(0x3000);
    const memory = GuestMemory.fromRegions([{ start: 0x4000, backing }]);
    const hear = (wanted: readonly string[]): void => assert.deepEqual(told.splice(0), wanted);
    const reader = memory.lockGpns([5], { access: 'read' });
    hear(['lock 1 4096 read']);
    const again = memory.lockGpns([5, 6], { access: 'read', kernelAccess: true });
    hear(['expose 1 4096', 'expose 2 4096', 'lock 2 4096 read']);
    const writer = memory.subrange(0x5000, PAGE).lockGpns([0]);
    hear(['lock 1 4096 write']);
    reader.release();
    writer.release();
    writer.release();
    hear([]);
    again.release();
    hear(['unlock 1 4096', 'unlock 2 4096']);
    const twice = memory.lockGpns([4, 4]);
    hear(['lock 0 4096 write']);
    twice.release();
    hear(['unlock 0 4096']);
  });

  it('M11 R axaddrspace A.2.8: a backing that fails to unlock a page keeps no other locked, and is told of each once', () => {
    const { backing, told } = hooked(0x4000, { hook: 'unlock', offset: PAGE });
    const other = hooked(0x1000);
    const memory = GuestMemory.fromRegions(
      [
        { start: 0, backing },
        { start: 0x4000, backing: other.backing },
      ],
      { name: 'ram' },
    );
    const tracking = trackDirty(memory);
    const locked = tracking.memory.lockGpns([0, 1, 2, 4]);
    told.length = 0;
    const error = refused(() => locked.release(), {
      code: 'fault',
      operation: 'unlock pages',
      memory: 'ram',
    });
    assert.match(String(error.cause), /the kernel says no/);
    assert.deepEqual(told.splice(0), ['unlock 0 4096', 'unlock 1 4096', 'unlock 2 4096']);
    assert.deepEqual(other.told, ['lock 0 4096 write', 'unlock 0 4096']);
    locked.release();
    assert.deepEqual(told, [], 'released once');
    tracking.drain();
    assert.deepEqual(tracking.drain(), [], 'no page is held any more');
    memory.removeRegion(0, 0x4000).removeRegion(0x4000, 0x1000);

    const both = memory.lockGpns([1, 1]);
    const again = memory.lockGpns([1, 2]);
    both.release();
    const { cause } = refused(() => again.release(), { code: 'fault' });
    assert(cause instanceof Error && !(cause instanceof AggregateError));
    memory.removeRegion(0, 0x4000);
  });

  it('M11 E: of several backings that fail to unlock a page each is told', () => {
    const memory = GuestMemory.fromRegions(
      [0, 0x2000].map((start) => ({ start, ...hooked(0x2000, { hook: 'unlock', offset: 0 }) })),
    );
    const locked = memory.lockGpns([0, 1, 2]);
    const { cause, message } = refused(() => locked.release(), { code: 'fault' });
    assert(cause instanceof AggregateError);
    assert.equal(cause.errors.length, 2);
    assert.match(message, /2 of 3 pages/);
  });

  it('M11: what fails while a failed lock is given back is not lost, and neither is why it failed', () => {
    const first = hooked(0x2000, { hook: 'unlock', offset: 0 });
    const memory = GuestMemory.fromRegions([{ start: 0, backing: first.backing }]);
    const { cause } = refused(() => memory.lockGpns([0, 1, 7]), {
      code: 'fault',
      operation: 'lock',
      gpa: 0x7000,
    });
    assert(cause instanceof AggregateError);
    const [why, then] = cause.errors as readonly unknown[];
    assert.match(String(why), /0x7000/);
    assert.match(String(then), /the kernel says no/);
    memory.removeRegion(0, 0x2000);
    refused(() => lockRange(memory, new PagedRange(0, 0x1000, [7])), { code: 'unmapped' });
    let lends = true;
    const range = new PagedRange(0, 0x1000, [0]);
    const fickle = Object.create(range, {
      runs: {
        value: () => {
          lends = false;
          throw new Error('no runs');
        },
      },
    }) as PagedRange;
    const failed = refused(() => lockRange(memory, fickle), { code: 'fault', operation: 'lock a range of' });
    assert.equal(lends, false);
    assert(failed.cause instanceof AggregateError && failed.cause.errors.length === 2);
    memory.removeRegion(0, 0x2000);
  });

  it('M11 R OpenVMM D11: whoever would take a locked page away is refused, by whichever view it was locked', () => {
    const ram = GuestMemory.allocate(0x4000);
    const [first, second] = [new ProtectedView(ram), new ProtectedView(ram.subrange(0x1000, 0x2000))];
    const locked = first.memory().subrange(0x800, 0x2000).subrange(0x800, 0x1000).lockGpns([0]);
    for (const view of [first, second]) {
      const gpa = view === first ? 0x1000 : 0;
      refused(() => view.protect(gpa, 0x1000, ''), { code: 'locked' });
      view.protect(gpa + 0x1000, 0x1000, '');
    }
    for (const memory of [ram, first.memory(), trackDirty(ram).memory])
      refused(() => memory.removeRegion(0, 0x4000), { code: 'locked', failedAt: 0x1000 });
    locked.release();
    for (const view of [first, second]) view.protect(view === first ? 0x1000 : 0, 0x1000, '');
    ram.removeRegion(0, 0x4000);
  });

  it('M11 R OpenVMM D11: a locked page is found without a look at all the others', () => {
    // A look at all of them for each page would be 64 million looks, 5 seconds.
    const pages = 16_000;
    const ram = GuestMemory.allocate(pages * PAGE, { shared: false });
    const view = new ProtectedView(ram);
    const locked = ram.lockGpns(
      Array.from({ length: pages }, (_, i) => i).filter((gpn) => gpn % 2 === 0),
      { access: 'read' },
    );
    const began = performance.now();
    for (let gpn = 1; gpn < pages; gpn += 2) view.protect(gpn * PAGE, PAGE, '');
    const odd = performance.now() - began;
    for (const gpn of [0, 2, pages - 2])
      refused(() => view.protect(gpn * PAGE, PAGE, ''), { code: 'locked' });
    refused(() => view.protect(0, pages * PAGE, ''), { code: 'locked' });
    locked.release();
    const again = performance.now();
    for (let gpn = 1; gpn < pages; gpn += 2) view.protect(gpn * PAGE, PAGE, 'rwx');
    const none = performance.now() - again;
    assert(odd < 20 * none + 2_000, `${odd} ms with locks, ${none} ms without`);
  });

  it('M11: pages that begin in the middle of others are found by each of their bytes', () => {
    const backing = heap(0x4000);
    const aligned = GuestMemory.from(backing);
    const odd = GuestMemory.fromRegions([{ start: 0x1_0800, backing }]);
    const view = new ProtectedView(aligned);
    const other = odd.lockGpns([0x12], { access: 'read' }); // bytes 0x1800 to 0x2800
    for (const gpa of [0x1000, 0x2000]) refused(() => view.protect(gpa, PAGE, ''), { code: 'locked' });
    const both = aligned.lockGpns([1], { access: 'read' });
    other.release();
    refused(() => view.protect(0x1000, PAGE, ''), { code: 'locked' });
    view.protect(0x2000, PAGE, '');
    both.release();
    view.protect(0x1000, PAGE, '');
  });

  it('M11: a backing that refuses to expose a page leaves nothing locked', () => {
    const { backing, told } = hooked(0x2000, { hook: 'expose', offset: PAGE });
    const memory = GuestMemory.from(backing);
    refused(() => memory.lockGpns([0, 1], { kernelAccess: true }), { code: 'fault', failedAt: PAGE });
    assert.deepEqual(told, ['expose 0 4096', 'lock 0 4096 write', 'expose 1 4096', 'unlock 0 4096']);
    memory.lockGpns([1]).release();
    memory.removeRegion(0, 0x2000);
  });

  it('M11 R OpenVMM D6: neighbours on both sides of a border, and the last page of a region filled to its end', () => {
    const memory = GuestMemory.multiRegion(0x2000, [heap(0x2000), shared(0x2000)]);
    const locked = memory.lockGpns([1, 2, 3]);
    for (const [i, page] of locked.pages.entries()) page.fill(i + 1);
    assert.deepEqual(
      [0x1fff, 0x2000, 0x3fff].map((gpa) => memory.readU8(gpa)),
      [1, 2, 3],
    );
    locked.release();
    const top = GuestMemory.fromRegions([{ start: 2 ** 53 - 0x1000, backing: heap(0x1000) }]);
    top.lockGpns([2 ** 41 - 1]).release();
  });

  it('M11: a page that lies in two runs, or has no host bytes, cannot be locked', () => {
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: heap(0x800) },
      { start: 0x800, backing: heap(0x800) },
      {
        start: 0x1000,
        backing: callbacks({ size: PAGE, read: (_, dest) => dest.fill(0), write: () => undefined }),
      },
    ]);
    refused(() => memory.lockGpns([0]), { code: 'unsupported', operation: 'lock', gpa: 0 });
    refused(() => memory.lockGpns([1]), { code: 'unsupported', gpa: 0x1000 });
    memory.removeRegion(0, 0x800);
  });

  it('M11 R OpenVMM D1: a page that may only be read is locked for reading, not for writing', () => {
    const rom = GuestMemory.from(bytes(new Uint8Array(0x2000).fill(5), { readOnly: true }));
    const locked = rom.lockGpns([0, 1], { access: 'read' });
    assert.equal(locked.pages[1]?.[0], 5);
    locked.release();
    refused(() => rom.lockGpns([0]), { code: 'denied' });
    const view = new ProtectedView(GuestMemory.from(copyOnWrite(0x2000, (_, dest) => dest.fill(6))), {
      initial: 'r',
    });
    const copied = view.memory().lockGpns([1], { access: 'read' });
    assert.equal(copied.pages[0]?.[0], 6);
    copied.release();
    refused(() => view.memory().lockGpns([1]), { code: 'denied', failedAt: 0x1000 });
  });

  it('M11 M9: rights of a locked page cannot be taken; others can, and new ones given; nothing changes on refusal', () => {
    const ram = GuestMemory.allocate(0x4000);
    const view = new ProtectedView(ram);
    const reader = view.memory().lockGpns([1], { access: 'read' });
    view.protect(0, 0x4000, 'r');
    refused(() => view.protect(0, 0x4000, 'x'), { code: 'locked', operation: 'protect' });
    assert.deepEqual(
      [0, 0x1000, 0x2000].map((gpa) => view.rightsAt(gpa)),
      ['r', 'r', 'r'],
    );
    view.protect(0, 0x4000, 'rwx');
    const writer = view.memory().subrange(0x1000, 0x2000).lockGpns([1]);
    assert.match(refused(() => view.protect(0x2000, 0x1000, 'r'), { code: 'locked' }).message, /0x2000/);
    view.protect(0x3000, 0x1000, '');
    const both = view.memory().lockGpns([2], { access: 'read' });
    view.protect(0x2000, 0x1000, 'rw');
    refused(() => view.protect(0x2000, 0x1000, 'w'), { code: 'locked' });
    both.release();
    view.protect(0x2000, 0x1000, 'w');
    reader.release();
    view.protect(0x1000, 0x1000, '');
    writer.release();
    view.protect(0, 0x4000, '');
    refused(() => view.memory().lockGpns([1], { access: 'read' }), { code: 'denied' });
  });

  it('M11 M12: pages locked for writing are in every drain until released; those for reading in none', () => {
    const tracking = trackDirty(GuestMemory.allocate(0x4000));
    const reader = tracking.memory.lockGpns([0], { access: 'read' });
    const writer = tracking.memory.lockGpns([2, 2]);
    for (let i = 0; i < 3; i++) assert.deepEqual(tracking.drain(), [{ gpa: 0x2000, length: PAGE }]);
    refused(() => tracking.memory.lockGpns([1, 9]), { code: 'unmapped' });
    writer.release();
    writer.release();
    reader.release();
    assert.deepEqual(tracking.drain(), [{ gpa: 0x2000, length: PAGE }]);
    assert.deepEqual(tracking.drain(), []);
  });

  it('M15: locked pages whose bytes were detached, or whose mapping was closed, are closed', () => {
    const module = newWasmMemory({ initial: 1, maximum: 4 });
    const locked = GuestMemory.from(wasm(module)).lockGpns([0]);
    module.grow(1);
    refused(() => locked.pages, { code: 'closed' });
    locked.release();
    const listeners: (() => void)[] = [];
    const memory = GuestMemory.from({
      ...heap(0x1000),
      onClose: (listener) => void listeners.push(listener),
    });
    const page = memory.lockGpns([0]);
    for (const close of listeners) close();
    refused(() => page.pages, { code: 'closed' });
    page.release();
    refused(() => memory.lockGpns([0]), { code: 'closed' });
  });
});
