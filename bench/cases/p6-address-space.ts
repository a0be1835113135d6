import {
  AtomicAddressSpace,
  type AttachedAddressSpace,
  GuestMemory,
  heap,
  SharedAddressSpace,
  shared,
} from 'guestmem';
import type { BenchCase } from '../harness/measurement.ts';

const OPERATIONS = 1000;

const benchCase: BenchCase = {
  id: 'p6',
  title: 'memory() of an address space',
  measurements: [
    {
      name: 'memory() of AtomicAddressSpace',
      budget: { figure: 'ns', atMost: 2 },
      prepare() {
        // Two in turn, with maps that have been swapped: with one, the engine would take the load out of the loop.
        const spaces = [0, 1].map(() => {
          const space = new AtomicAddressSpace(GuestMemory.allocate(4096));
          for (let i = 1; i < 10; i++) {
            space.update((memory) => memory.insertRegion({ start: i * 65536, backing: heap(4096) }));
          }
          return space;
        });
        const wanted = (spaces[1] as AtomicAddressSpace).memory();
        const ours = (): number => {
          let found = 0;
          for (let i = 0; i < OPERATIONS; i++) {
            if ((spaces[i & 1] as AtomicAddressSpace).memory() === wanted) found++;
          }
          return found;
        };
        return { operations: OPERATIONS, ours };
      },
    },
    {
      name: 'memory() of SharedAddressSpace, attached',
      budget: { figure: 'ns', atMost: 10 },
      async prepare() {
        const spaces: AttachedAddressSpace[] = [];
        for (const _ of [0, 1]) {
          const space = new SharedAddressSpace(GuestMemory.allocate(4096, { shared: true }));
          for (let i = 1; i < 10; i++) {
            await space.update((memory) => memory.insertRegion({ start: i * 65536, backing: shared(4096) }));
          }
          spaces.push(SharedAddressSpace.attach(space.share()));
        }
        const wanted = (spaces[1] as AttachedAddressSpace).memory();
        const ours = (): number => {
          let found = 0;
          for (let i = 0; i < OPERATIONS; i++) {
            if ((spaces[i & 1] as AttachedAddressSpace).memory() === wanted) found++;
          }
          return found;
        };
        return { operations: OPERATIONS, ours };
      },
    },
  ],
};

export default benchCase;
