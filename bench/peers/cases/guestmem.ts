import { AtomicAddressSpace, type GuestMemory, heap, type IntegerType, u16, u32, u64 } from 'guestmem';
import p7 from '../../cases/p7-walk.ts';
import p8 from '../../cases/p8-list.ts';
import p9 from '../../cases/p9-queue.ts';
import type { BenchCase, Measurement } from '../../harness/measurement.ts';
import { pollute } from '../../harness/pollute.ts';
import { marks } from '../harness/dirty.ts';
import { copiesOf, filled } from '../harness/guest-memory.ts';
import { ACROSS, among, INSIDE, seen } from '../harness/plan.ts';
import { MAP } from '../harness/tables.ts';

const ATOMIC = { addresses: INSIDE.addresses(8), length: 2 };

/** The sum of the two halves, as on the other sides; a bigint is taken apart through a buffer, which is cheapest. */
function loads(name: string, load: (memory: GuestMemory) => (gpa: number) => number): Measurement {
  return {
    name: `atomic load ${name}`,
    prepare() {
      pollute();
      const { addresses } = ATOMIC;
      const one = load(filled(INSIDE, heap));
      return {
        operations: addresses.length,
        ours: () => {
          let sum = 0;
          for (let i = 0; i < addresses.length; i++) sum = (sum + one(addresses[i] as number)) | 0;
          return sum >>> 0;
        },
      };
    },
  };
}

const whole = new BigUint64Array(1);
const halves = new Uint32Array(whole.buffer);

const loadU64 = (memory: GuestMemory) => (gpa: number) => {
  whole[0] = memory.load(u64, gpa);
  return (halves[0] as number) + (halves[1] as number);
};

function stores<T extends number | bigint>(
  name: string,
  type: IntegerType<T>,
  value: (i: number) => T,
): Measurement {
  return {
    name: `atomic store ${name}`,
    prepare() {
      pollute();
      const { addresses } = ATOMIC;
      const memory = filled(INSIDE, heap);
      const values = Array.from(addresses, (_, i) => value(i));
      return {
        operations: addresses.length,
        ours: () => {
          for (let i = 0; i < addresses.length; i++) {
            memory.store(type, addresses[i] as number, values[i] as T);
          }
          return seen(ATOMIC, (gpa) => memory.readU8(gpa));
        },
      };
    },
  };
}

const memoryOfSpace: Measurement = {
  name: 'memory() of an atomic address space',
  prepare() {
    const operations = 1000;
    // Two in turn, with maps that have been swapped: with one, the engine would take the load out of the loop.
    const spaces = [0, 1].map(() => {
      const space = new AtomicAddressSpace(filled(among(9), heap));
      space.update((memory) => memory.insertRegion({ start: 0, backing: heap(4096) }));
      return space;
    });
    const wanted = (spaces[1] as AtomicAddressSpace).memory();
    const ours = (): number => {
      let found = 0;
      for (let i = 0; i < operations; i++) {
        if ((spaces[i & 1] as AtomicAddressSpace).memory() === wanted) found++;
      }
      return found;
    };
    return { operations, ours };
  },
};

/** A measurement of `npm run bench`, under the name that the peers' has. */
function borrowed({ id, measurements }: BenchCase, from: string, name: string): Measurement {
  const found = measurements.find((measurement) => measurement.name === from);
  if (found === undefined) throw new Error(`Case ${id} has no measurement ${from}`);
  return { name, prepare: found.prepare };
}

const walk: Measurement = borrowed(p7, 'no TLB', 'walk of 4 levels, no TLB');

/** P7's sum begins at a half, for the engine's sake; the peers' begin at 0. */
const wholeWalk: Measurement = {
  ...walk,
  async prepare() {
    const subject = await walk.prepare();
    return 'ours' in subject ? { ...subject, ours: () => Math.floor(subject.ours()) } : subject;
  },
};

const guestmem: BenchCase = {
  id: 'guestmem',
  title: 'guestmem, private memory',
  measurements: [
    ...copiesOf(heap, [INSIDE, ACROSS]),
    ...[2, 256].flatMap((regions) =>
      copiesOf(heap, [among(regions)]).filter(({ name }) => name.startsWith('read 8 B')),
    ),
    loads('u16', (memory) => (gpa) => memory.load(u16, gpa)),
    loads('u32', (memory) => (gpa) => memory.load(u32, gpa)),
    loads('u64', loadU64),
    stores('u16', u16, (i) => i),
    stores('u32', u32, (i) => i),
    stores('u64', u64, BigInt),
    memoryOfSpace,
    ...marks(false),
    borrowed(p9, 'chain of one descriptor', 'queue: chain of one descriptor, in batches of 16'),
    borrowed(p9, 'with 64 B read and event index', 'queue: the same with 64 B read and event index'),
    wholeWalk,
    MAP,
    borrowed(p8, 'one by one', 'list 1,048,576 leaves one by one'),
    borrowed(p8, 'coalesced', 'list 1,048,576 leaves, neighbours joined'),
  ],
};

export default guestmem;
