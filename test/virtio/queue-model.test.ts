import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory } from '../../src/core/index.ts';
import {
  DescriptorChain,
  type GuestBuffer,
  layoutSplitQueue,
  SplitDriverQueue,
  SplitQueue,
} from '../../src/virtio/index.ts';

/** What a driver lent: the naive model keeps the buffers themselves. */
interface Lent {
  readonly id: number;
  readonly out: readonly GuestBuffer[];
  readonly into: readonly GuestBuffer[];
}

interface Op {
  readonly kind: 'add' | 'publish' | 'serve' | 'complete' | 'collect' | 'sleep' | 'quiet';
  readonly out: readonly number[];
  readonly into: readonly number[];
  readonly indirect: boolean;
  readonly pick: number;
}

const op: fc.Arbitrary<Op> = fc.record({
  kind: fc.constantFrom(
    'add',
    'add',
    'add',
    'publish',
    'publish',
    'serve',
    'serve',
    'complete',
    'collect',
    'sleep',
    'quiet',
  ),
  out: fc.array(fc.nat(40), { maxLength: 4 }),
  into: fc.array(fc.nat(40), { maxLength: 4 }),
  indirect: fc.boolean(),
  pick: fc.nat(1000),
});

/** RAM in pieces, with a hole, buffers in the last two; rings at any 16-aligned place of the first. */
function makeMemory(): GuestMemory {
  return GuestMemory.fromRanges([
    [0, 0x4000],
    [0x6000, 0x4000],
    [0x1_0000_0000, 0x8000],
    [0x1_0000_8000, 0x8000],
  ]);
}

class Model {
  readonly memory: GuestMemory = makeMemory();
  readonly driver: SplitDriverQueue;
  readonly device: SplitQueue;
  readonly eventIndex: boolean;
  readonly size: number;
  added: Lent[] = [];
  published: Lent[] = [];
  held: { lent: Lent; chain: DescriptorChain }[] = [];
  done: { lent: Lent; written: number }[] = [];
  freeDescriptors: number;
  readonly costs: Map<number, number> = new Map();
  /** Free-running counts; the rings have them modulo 65536. */
  availCount = 0;
  usedCount = 0;
  wakeAt: number | 'always' | 'never';
  buffer = 0;

  constructor(size: number, start: number, eventIndex: boolean) {
    const layout = layoutSplitQueue(start, size, { indirectCapacity: 8 });
    this.size = size;
    this.eventIndex = eventIndex;
    this.driver = new SplitDriverQueue(this.memory, layout, { ...layout, eventIndex });
    this.device = new SplitQueue(this.memory, layout, { eventIndex, indirect: true });
    this.freeDescriptors = size;
    this.wakeAt = eventIndex ? 0 : 'always';
  }

  step({ kind, out, into, indirect, pick }: Op): void {
    if (kind === 'add') this.add(out, into, indirect);
    else if (kind === 'publish') this.publish();
    else if (kind === 'serve') this.serve(pick);
    else if (kind === 'complete') this.complete(pick);
    else if (kind === 'collect') this.collect();
    else if (kind === 'sleep') this.sleep();
    else this.quiet();
    assert.equal(this.driver.freeDescriptors, this.freeDescriptors);
    assert.equal(
      this.driver.outstanding,
      this.added.length + this.published.length + this.held.length + this.done.length,
    );
    assert.equal(this.device.inFlight, this.held.length);
  }

  add(outLengths: readonly number[], intoLengths: readonly number[], indirect: boolean): void {
    const place = (length: number): GuestBuffer => {
      // Around the seam of the two high regions, or anywhere in the first of them.
      const gpa =
        this.buffer % 3 === 0 ? 0x1_0000_8000 - (length >> 1) : 0x1_0000_0000 + ((this.buffer * 64) % 0x7000);
      this.buffer++;
      return { gpa, length };
    };
    const out = outLengths.map(place);
    const into = intoLengths.map(place);
    const count = out.length + into.length;
    const cost = indirect ? 1 : count;
    if (count === 0 || count > this.size) {
      assert.throws(() => this.driver.add(out, into, { indirect }), {
        code: count === 0 ? 'invalid' : 'chain-too-long',
      });
      return;
    }
    if (cost > this.freeDescriptors) {
      assert.throws(() => this.driver.add(out, into, { indirect }), { code: 'queue-full' });
      return;
    }
    const id = this.driver.add(out, into, { indirect });
    assert(!this.costs.has(id));
    this.costs.set(id, cost);
    this.freeDescriptors -= cost;
    this.added.push({ id, out, into });
  }

  publish(): void {
    const from = this.availCount;
    this.availCount += this.added.length;
    this.published.push(...this.added);
    this.added = [];
    assert.equal(this.driver.publish(), this.kicks(from, this.availCount));
  }

  /** Straight from the text of 2.7.10.1. */
  kicks(from: number, to: number): boolean {
    if (from === to || this.wakeAt === 'never') return false;
    if (this.wakeAt === 'always') return true;
    return this.wakeAt % 65536 >= from % 65536 && this.wakeAt % 65536 < (from % 65536) + (to - from);
  }

  serve(pick: number): void {
    assert.equal(this.device.fetchAvailable(), this.published.length);
    for (let n = pick % 4; n >= 0; n--) {
      const chain = new DescriptorChain(1);
      const lent = this.published.shift();
      assert.equal(this.device.pop(chain), lent !== undefined);
      if (lent === undefined) return;
      assert.equal(chain.head, lent.id);
      assert.equal(chain.count, lent.out.length + lent.into.length);
      assert.equal(chain.readableCount, lent.out.length);
      const expected = lent.out.flatMap(({ gpa, length }) => [...this.memory.readBytes(gpa, length)]);
      const got = new Uint8Array(chain.readableBytes);
      chain.reader.read(got);
      assert.deepEqual([...got], expected);
      this.held.push({ lent, chain });
    }
  }

  complete(pick: number): void {
    const [held] = this.held.splice(pick % Math.max(this.held.length, 1), 1);
    if (held === undefined) {
      assert.equal(this.device.publish(), false);
      return;
    }
    const { lent, chain } = held;
    const written = pick % (chain.writableBytes + 1);
    const answer = Uint8Array.from({ length: written }, (_, i) => (i + pick) & 0xff);
    // No other buffer may be touched: buffers overlap at will here, so the check is of this one alone.
    chain.writer.write(answer);
    const stored = lent.into.flatMap(({ gpa, length }) => [...this.memory.readBytes(gpa, length)]);
    if (!overlapping(lent.into)) assert.deepEqual(stored.slice(0, written), [...answer]);
    this.device.push(chain.head, written);
    this.device.publish();
    this.usedCount++;
    this.done.push({ lent, written });
  }

  collect(): void {
    assert.equal(this.driver.fetchUsed(), this.done.length);
    for (const { lent, written } of this.done) {
      assert.deepEqual(this.driver.collect(), { id: lent.id, written });
      this.freeDescriptors += this.costs.get(lent.id) ?? 0;
      this.costs.delete(lent.id);
    }
    assert.equal(this.driver.collect(), undefined);
    this.done = [];
  }

  sleep(): void {
    const waiting = this.published.length;
    assert.equal(this.device.enableNotifications(), waiting > 0);
    this.wakeAt = this.eventIndex ? this.availCount - waiting : 'always';
  }

  quiet(): void {
    this.device.disableNotifications();
    if (!this.eventIndex) this.wakeAt = 'never';
  }
}

function overlapping(buffers: readonly GuestBuffer[]): boolean {
  return buffers.some((a, i) =>
    buffers.some((b, k) => k > i && a.gpa < b.gpa + b.length && b.gpa < a.gpa + a.length),
  );
}

describe('split queue against a naive model', () => {
  for (const eventIndex of [false, true]) {
    it(`V1: any sequence of driver and device steps, ${eventIndex ? 'with' : 'without'} the event index`, () => {
      fc.assert(
        fc.property(
          fc.constantFrom(1, 2, 4, 8, 16),
          fc.nat(64),
          fc.array(op, { maxLength: 120, size: 'max' }),
          (size, start, ops) => {
            const model = new Model(size, start * 16, eventIndex);
            for (const step of ops) model.step(step);
          },
        ),
        { numRuns: 300 },
      );
    });
  }
});
