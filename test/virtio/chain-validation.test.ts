import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import { isQueueError, type QueueErrorCode } from '../../src/virtio/index.ts';
import { INDIRECT, NEXT, RawRing, WRITE } from './raw-ring.ts';

/** The chain at `head` is refused with this code, and the queue goes on with the next one. */
function refuses(ring: RawRing, head: number, code: QueueErrorCode, section: string): void {
  const position = ring.queue.nextAvail;
  assert.throws(
    () => ring.take(head),
    (error: unknown) => {
      assert(isQueueError(error), String(error));
      assert.equal(error.code, code, error.message);
      assert.equal(error.section, section);
      assert.match(error.message, new RegExp(`\\(virtio ${section.replaceAll('.', '\\.')}\\)$`));
      return true;
    },
  );
  assert.equal(ring.queue.nextAvail, position + 1);
  if (head < ring.layout.size) ring.queue.push(head, 0);
  // Malformed is not the end of work: a sound chain behind it is found.
  const last = ring.layout.size - 1;
  ring.describe(last, { addr: 0x9000, len: 1, flags: WRITE });
  assert.equal(ring.take(last).writableBytes, 1);
  ring.queue.push(last, 0);
}

describe('chains that keep the rules', () => {
  it('V1: reads a chain of readable, then writable descriptors', () => {
    const ring = new RawRing();
    ring.describe(5, { addr: 0x8000, len: 16, flags: NEXT, next: 2 });
    ring.describe(2, { addr: 0x9000, len: 512, flags: NEXT | WRITE, next: 9 });
    ring.describe(9, { addr: 0xa000, len: 1, flags: WRITE });
    const chain = ring.take(5);
    assert.equal(chain.head, 5);
    assert.equal(chain.count, 3);
    assert.equal(chain.readableCount, 1);
    assert.equal(chain.readableBytes, 16);
    assert.equal(chain.writableBytes, 513);
    assert.deepEqual(
      [0, 1, 2].map((i) => [chain.address(i), chain.length(i)]),
      [
        [0x8000, 16],
        [0x9000, 512],
        [0xa000, 1],
      ],
    );
    assert.throws(() => chain.address(3), { code: 'invalid' });
    assert.throws(() => chain.length(-1), { code: 'invalid' });
  });

  it('V1: takes chains in the order of the available ring (rust-vmm test_iterator)', () => {
    const ring = new RawRing({ size: 8 });
    for (let i = 0; i < 8; i++) ring.describe(i, { addr: 0x8000 + i, len: i });
    for (const head of [3, 0, 7, 3]) ring.offer(head);
    assert.equal(ring.queue.fetchAvailable(), 4);
    const heads: number[] = [];
    while (ring.queue.pop(ring.chain)) heads.push(ring.chain.head);
    assert.deepEqual(heads, [3, 0, 7, 3]);
    assert.equal(ring.queue.pop(ring.chain), false);
    assert.equal(ring.queue.fetchAvailable(), 0);
  });

  it('V1: pops nothing that was not fetched', () => {
    const ring = new RawRing({ size: 8 });
    ring.describe(0, {});
    ring.offer(0);
    assert.equal(ring.queue.pop(ring.chain), false);
    ring.queue.fetchAvailable();
    ring.offer(0);
    assert.equal(ring.queue.pop(ring.chain), true);
    assert.equal(ring.queue.pop(ring.chain), false);
    assert.equal(ring.queue.fetchAvailable(), 1);
  });

  it('V1: takes the longest chain there is', () => {
    const ring = new RawRing({ size: 16 });
    ring.describeChain(Array.from({ length: 16 }, (_, i) => ({ addr: 0x8000 + i * 16, len: 16 })));
    assert.equal(ring.take(0).count, 16);
  });

  it('V1: follows an indirect table anywhere in memory, at any alignment', () => {
    const ring = new RawRing({ indirect: true });
    const table = 0x7ffb;
    ring.describeChain(
      [
        { addr: 0x9000, len: 16 },
        { addr: 0xa000, len: 32, flags: WRITE },
      ],
      table,
    );
    // The write-only flag on the table itself is ignored (2.7.5.3.2).
    ring.describe(0, { addr: table, len: 32, flags: INDIRECT | WRITE });
    const chain = ring.take(0);
    assert.deepEqual([chain.count, chain.readableBytes, chain.writableBytes], [2, 16, 32]);
  });

  it('V1: follows direct descriptors and then a table (2.7.5.3.2)', () => {
    const ring = new RawRing({ indirect: true });
    ring.describe(0, { addr: 0x8000, len: 8, flags: NEXT, next: 4 });
    ring.describe(4, { addr: 0x6000, len: 32, flags: INDIRECT });
    ring.describeChain(
      [
        { addr: 0x9000, len: 16 },
        { addr: 0xa000, len: 32, flags: WRITE },
      ],
      0x6000,
    );
    const chain = ring.take(0);
    assert.deepEqual([chain.count, chain.readableBytes, chain.writableBytes], [3, 24, 32]);
  });

  it('V1: takes a table of as many descriptors as the longest chain', () => {
    const ring = new RawRing({ size: 4, indirect: true, maxChainLength: 200 });
    ring.describeChain(
      Array.from({ length: 200 }, () => ({ addr: 0x8000, len: 1 })),
      0x4000,
    );
    ring.describe(1, { addr: 0x4000, len: 200 * 16, flags: INDIRECT });
    assert.equal(ring.take(1).count, 200);
  });

  it('V1: takes descriptors of no length', () => {
    const ring = new RawRing();
    ring.describeChain([{ len: 0 }, { addr: 0x8000, len: 4 }, { len: 0 }, { len: 0, flags: WRITE }]);
    const chain = ring.take(0);
    assert.deepEqual([chain.count, chain.readableBytes, chain.writableBytes], [4, 4, 0]);
    assert.equal(chain.reader.readU32(), 0);
  });

  it('V1: a chain of 2^32 bytes is the longest', () => {
    // Four times the same GiB would need as much memory; the limit is put to what there is instead.
    const ring = new RawRing({ maxChainBytes: 0x1000 });
    ring.describeChain([
      { addr: 0x8000, len: 0xfff },
      { addr: 0x8000, len: 1 },
    ]);
    assert.equal(ring.take(0).readableBytes, 0x1000);
  });

  it('V1: ignores flags that mean nothing', () => {
    const ring = new RawRing();
    ring.describe(0, { flags: 0xfff8, next: 77 });
    assert.equal(ring.take(0).count, 1);
  });
});

describe('chains that break a rule', () => {
  it('V1: descriptor-index: a head past the queue size', () => {
    const ring = new RawRing({ size: 16 });
    refuses(ring, 16, 'descriptor-index', '2.7.5');
    refuses(ring, 0xffff, 'descriptor-index', '2.7.5');
    // There is nothing that could be given back.
    assert.equal(ring.queue.inFlight, 0);
  });

  it('V1: descriptor-index: a next past the queue size', () => {
    const ring = new RawRing({ size: 16 });
    ring.describe(0, { flags: NEXT, next: 16 });
    refuses(ring, 0, 'descriptor-index', '2.7.5');
    ring.describe(0, { flags: NEXT, next: 0xffff });
    refuses(ring, 0, 'descriptor-index', '2.7.5');
  });

  it('V1: descriptor-index: a next past the end of an indirect table', () => {
    const ring = new RawRing({ indirect: true });
    ring.describe(0, { addr: 0x6000, len: 32, flags: INDIRECT });
    ring.describe(0, { flags: NEXT, next: 2 }, 0x6000);
    refuses(ring, 0, 'descriptor-index', '2.7.5');
  });

  it('V1: descriptor-address: an address above 2^53-1', () => {
    const ring = new RawRing();
    for (const addr of [1n << 53n, 0xffff_ffff_ffff_ffffn, 1n << 63n]) {
      ring.describe(0, { addr, len: 1 });
      refuses(ring, 0, 'descriptor-address', '2.7.5');
    }
  });

  it('V1: buffer-unmapped: a buffer outside memory, wholly or by its last byte', () => {
    const ring = new RawRing();
    const end = 0x10_0000;
    for (const [addr, len] of [
      [end, 1],
      [end - 1, 2],
      [0, end + 1],
      [2 ** 53 - 1, 1],
      [2 ** 53 - 1, 0xffff_ffff],
      [0x8000, 0xffff_ffff],
    ] as const) {
      for (const flags of [0, WRITE]) {
        ring.describe(0, { addr, len, flags });
        refuses(ring, 0, 'buffer-unmapped', '2.7.5');
      }
    }
    ring.describe(0, { addr: end - 1, len: 1 });
    ring.take(0);
  });

  it('V1: buffer-unmapped: a writable buffer on memory that is not', () => {
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: { kind: 'ram', size: 0xa000, mapped: [new Uint8Array(0xa000)] } },
      {
        start: 0xa000,
        backing: { kind: 'rom', size: 0x1000, mapped: [new Uint8Array(0x1000)] },
        access: 'r',
      },
    ]);
    const ring = new RawRing({ memory });
    ring.describe(0, { addr: 0xa000, len: 4 });
    assert.equal(ring.take(0).readableBytes, 4);
    ring.describe(0, { addr: 0xa000, len: 4, flags: WRITE });
    refuses(ring, 0, 'buffer-unmapped', '2.7.5');
  });

  it('V1: chain-loop: a chain that comes back to itself (rust-vmm test_ttl_wrap_around)', () => {
    const ring = new RawRing({ size: 4 });
    ring.describe(0, { flags: NEXT, next: 0 });
    refuses(ring, 0, 'chain-loop', '2.7.5.2');
    const roomy = new RawRing({ size: 4, maxChainLength: 1000 });
    roomy.describe(0, { flags: NEXT, next: 0 });
    refuses(roomy, 0, 'chain-loop', '2.7.5.2');
    for (const [i, next] of [1, 2, 0].entries()) roomy.describe(i, { flags: NEXT, next });
    refuses(roomy, 1, 'chain-loop', '2.7.5.2');
  });

  it('V1: chain-loop: within an indirect table', () => {
    const ring = new RawRing({ size: 4, indirect: true, maxChainLength: 1000 });
    ring.describe(0, { addr: 0x6000, len: 48, flags: INDIRECT });
    for (const [i, next] of [1, 2, 0].entries()) ring.describe(i, { flags: NEXT, next }, 0x6000);
    refuses(ring, 0, 'chain-loop', '2.7.5.2');
  });

  it('V1: chain-too-long: more descriptors than the queue has, by way of a table', () => {
    const ring = new RawRing({ size: 4, indirect: true });
    ring.describe(0, { flags: NEXT, next: 1 });
    ring.describe(1, { addr: 0x6000, len: 64, flags: INDIRECT });
    ring.describeChain([{}, {}, {}, {}], 0x6000);
    refuses(ring, 0, 'chain-too-long', '2.7.5.3.1');
  });

  it('V1: chain-too-long: more descriptors than this device takes', () => {
    const ring = new RawRing({ size: 16, maxChainLength: 3 });
    ring.describeChain([{}, {}, {}]);
    ring.take(0);
    ring.queue.push(0, 0);
    ring.describeChain([{}, {}, {}, {}]);
    refuses(ring, 0, 'chain-too-long', '2.7.5.3.1');
  });

  it('V1: too-many-bytes', () => {
    const ring = new RawRing({ maxChainBytes: 0x1000 });
    ring.describeChain([{ len: 0xfff }, { len: 2 }]);
    refuses(ring, 0, 'too-many-bytes', '2.7.5.2');
  });

  it('V1: readable-after-writable', () => {
    const ring = new RawRing({ indirect: true });
    ring.describeChain([{}, { flags: WRITE }, {}]);
    refuses(ring, 0, 'readable-after-writable', '2.7.4.2');
    ring.describe(0, { addr: 0x6000, len: 32, flags: INDIRECT });
    ring.describeChain([{ flags: WRITE }, {}], 0x6000);
    refuses(ring, 0, 'readable-after-writable', '2.7.4.2');
  });

  it('V1: indirect-not-negotiated', () => {
    const ring = new RawRing({ indirect: false });
    ring.describe(0, { addr: 0x6000, len: 16, flags: INDIRECT });
    refuses(ring, 0, 'indirect-not-negotiated', '2.7.5.3.1');
  });

  it('V1: indirect-in-indirect (rust-vmm: the first of the indirect pair)', () => {
    const ring = new RawRing({ indirect: true });
    ring.describe(0, { addr: 0x6000, len: 16, flags: INDIRECT });
    ring.describe(0, { addr: 0x6000, len: 16, flags: INDIRECT }, 0x6000);
    refuses(ring, 0, 'indirect-in-indirect', '2.7.5.3.1');
  });

  it('V1: indirect-length: zero, no multiple of 16, too long (rust-vmm: the second of the pair)', () => {
    const ring = new RawRing({ size: 16, indirect: true });
    ring.describe(0, {}, 0x6000);
    for (const len of [0, 1, 15, 17, 16 * 16 + 16, 0xffff_fff0, 0xffff_ffff]) {
      ring.describe(0, { addr: 0x6000, len, flags: INDIRECT });
      refuses(ring, 0, 'indirect-length', '2.7.5.3');
    }
  });

  it('V1: indirect-unmapped', () => {
    const ring = new RawRing({ indirect: true });
    for (const addr of [0x10_0000, 0x10_0000 - 16, 2 ** 52]) {
      ring.describe(0, { addr, len: 32, flags: INDIRECT });
      refuses(ring, 0, 'indirect-unmapped', '2.7.5.3');
    }
    ring.describe(0, { addr: 1n << 60n, len: 32, flags: INDIRECT });
    refuses(ring, 0, 'descriptor-address', '2.7.5');
  });

  it('V1: avail-index: an index more than the size ahead (rust-vmm test_invalid_avail_idx)', () => {
    const ring = new RawRing({ size: 4 });
    ring.describe(0, {});
    const set = (index: number): void => ring.memory.writeU16(ring.layout.availableRing + 2, index);
    set(4);
    assert.equal(ring.queue.fetchAvailable(), 4);
    for (const index of [5, 0x8000, 0xffff]) {
      set(index);
      assert.throws(() => ring.queue.fetchAvailable(), { code: 'avail-index', section: '2.7.6', limit: 4 });
      assert.throws(() => ring.queue.enableNotifications(), { code: 'avail-index' });
    }
    // What was found before it went wrong is still there.
    assert(ring.queue.pop(ring.chain));
    // Chains with the device count: there cannot be four more of them.
    set(5);
    assert.throws(() => ring.queue.fetchAvailable(), { code: 'avail-index', limit: 3 });
    set(4);
    assert.equal(ring.queue.fetchAvailable(), 3);
    // An index that goes back says that nearly 65536 chains were added.
    set(0);
    assert.throws(() => ring.queue.fetchAvailable(), { code: 'avail-index' });
  });

  it('V1: a malformed chain can be given back', () => {
    const ring = new RawRing();
    ring.describe(7, { flags: NEXT, next: 99 });
    ring.offer(7);
    ring.queue.fetchAvailable();
    let head: number | undefined;
    try {
      ring.queue.pop(ring.chain);
    } catch (error) {
      if (isQueueError(error)) head = error.head;
    }
    assert.equal(head, 7);
    ring.queue.push(7, 0);
    assert.equal(ring.queue.publish(), true);
    assert.deepEqual(ring.usedElement(0), { id: 7, length: 0 });
  });

  it('V1: what the driver changes after the pop changes nothing', () => {
    const ring = new RawRing({ indirect: true });
    ring.describe(0, { addr: 0x6000, len: 32, flags: INDIRECT });
    ring.describeChain(
      [
        { addr: 0x8000, len: 4 },
        { addr: 0x9000, len: 4, flags: WRITE },
      ],
      0x6000,
    );
    const chain = ring.take(0);
    ring.describe(0, { addr: 1n << 60n, len: 0xffff_ffff, flags: NEXT, next: 999 });
    ring.describe(0, { addr: 1n << 60n, len: 0xffff_ffff, flags: NEXT, next: 999 }, 0x6000);
    chain.writer.writeU32(5);
    assert.equal(ring.memory.readU32(0x9000), 5);
    assert.equal(chain.reader.readU32(), 0);
  });
});

describe('R: defects of v86 (its virtio.js)', () => {
  it('R: v86 ignores the high half of an address', () => {
    const memory = GuestMemory.fromRanges([
      [0, 0x10000],
      [0x1_0000_0000, 0x10000],
    ]);
    const ring = new RawRing({ memory });
    ring.describe(0, { addr: 0x1_0000_8000, len: 4, flags: WRITE });
    ring.take(0).writer.writeU32(0x11223344);
    assert.equal(memory.readU32(0x8000), 0);
    assert.equal(memory.readU32(0x1_0000_8000), 0x11223344);
    ring.describe(0, { addr: 0x2_0000_8000, len: 4, flags: WRITE });
    refuses(ring, 0, 'buffer-unmapped', '2.7.5');
  });

  it('R: v86 reads a length as signed', () => {
    const ring = new RawRing();
    for (const len of [0x8000_0000, 0xffff_ffff]) {
      ring.describeChain([{ addr: 0, len }, { len: 16 }]);
      refuses(ring, 0, 'buffer-unmapped', '2.7.5');
    }
  });

  it('R: v86 does not check the range of next', () => {
    const ring = new RawRing({ size: 16 });
    // What lies behind the table would make a sound descriptor.
    ring.describe(0, { flags: NEXT, next: 20 });
    ring.describe(20, { addr: 0x8000, len: 4 });
    refuses(ring, 0, 'descriptor-index', '2.7.5');
  });

  it('R: v86 starts its counter again at every table, so one that refers to itself never ends', () => {
    const ring = new RawRing({ indirect: true, maxChainLength: 0xffff });
    ring.describe(0, { addr: 0x6000, len: 16, flags: INDIRECT });
    ring.describe(0, { addr: 0x6000, len: 16, flags: INDIRECT | NEXT }, 0x6000);
    refuses(ring, 0, 'indirect-in-indirect', '2.7.5.3.1');
    // The table of which is the descriptor table itself.
    ring.describe(0, { addr: ring.layout.descriptorTable, len: 16 * 16, flags: INDIRECT });
    refuses(ring, 0, 'indirect-in-indirect', '2.7.5.3.1');
  });

  it('R: v86 has no event index, for guests hung with it', () => {
    const ring = new RawRing({ eventIndex: true, size: 4 });
    ring.describe(0, {});
    ring.setUsedEvent(1);
    ring.take(0);
    ring.queue.push(0, 0);
    assert.equal(ring.queue.publish(), false);
    ring.take(0);
    ring.queue.push(0, 0);
    assert.equal(ring.queue.publish(), true);
    assert.equal(ring.queue.enableNotifications(), false);
    assert.equal(ring.availEvent, 2);
    ring.offer(0);
    assert.equal(ring.queue.enableNotifications(), true);
  });
});

describe('R: defects of rust-vmm virtio-queue 0.18', () => {
  it('R: it makes every error the end of the chain', () => {
    const ring = new RawRing();
    ring.describe(0, { addr: 0x8000, len: 16, flags: NEXT, next: 1 });
    ring.describe(1, { addr: 1n << 40n, len: 16, flags: WRITE });
    refuses(ring, 0, 'buffer-unmapped', '2.7.5');
  });

  it('R: it takes NEXT and INDIRECT together', () => {
    const ring = new RawRing({ indirect: true });
    ring.describe(0, { addr: 0x6000, len: 16, flags: INDIRECT | NEXT, next: 1 });
    ring.describe(0, {}, 0x6000);
    ring.describe(1, {});
    refuses(ring, 0, 'indirect-and-next', '2.7.5.3.1');
  });

  it('R: it ends silently at a table of no length', () => {
    const ring = new RawRing({ indirect: true });
    ring.describe(0, { addr: 0x6000, len: 0, flags: INDIRECT });
    refuses(ring, 0, 'indirect-length', '2.7.5.3');
  });

  it('R: it takes readable descriptors after writable ones', () => {
    const ring = new RawRing();
    ring.describeChain([{ flags: WRITE }, { len: 16 }]);
    refuses(ring, 0, 'readable-after-writable', '2.7.4.2');
  });

  it('R: it ignores NO_INTERRUPT without the event index', () => {
    const ring = new RawRing();
    ring.describe(0, {});
    ring.setAvailFlags(1);
    ring.take(0);
    ring.queue.push(0, 0);
    assert.equal(ring.queue.publish(), false);
  });

  it('R: it checked the used ring for writing only and divided by a size of zero', () => {
    assert.throws(() => new RawRing({ size: 0 }), { code: 'queue-size' });
  });

  it('R: it walked for ever after a reset', () => {
    const ring = new RawRing({ size: 4 });
    ring.describe(0, { flags: NEXT, next: 0 });
    ring.queue.close();
    assert.throws(() => ring.take(0), { code: 'closed' });
  });
});
