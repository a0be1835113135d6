import { GuestMemory, type MemoryBacking } from 'guestmem';
import type { Measurement } from '../../harness/measurement.ts';
import { pollute } from '../../harness/pollute.ts';
import { block, bytesFrom, type Contender, copies, type Place, type Plan, seen } from './plan.ts';

const reads8 = (memory: GuestMemory, { addresses }: Plan): (() => number) => {
  const halves = new Uint32Array(2);
  return () => {
    let sum = 0;
    for (let i = 0; i < addresses.length; i++) {
      memory.readU64Into(addresses[i] as number, halves);
      sum = (sum + (halves[0] as number) + (halves[1] as number)) | 0;
    }
    return sum >>> 0;
  };
};

const readsBlocks = (memory: GuestMemory, { addresses, length }: Plan): (() => number) => {
  const dest = new Uint8Array(length);
  return () => {
    let sum = 0;
    for (let i = 0; i < addresses.length; i++) {
      memory.readAt(addresses[i] as number, dest);
      sum = (sum + (dest[i & 63] as number)) | 0;
    }
    return sum;
  };
};

const writes8 = (memory: GuestMemory, plan: Plan): (() => number) => {
  const { addresses } = plan;
  return () => {
    for (let i = 0; i < addresses.length; i++) memory.writeU64Halves(addresses[i] as number, i, ~i);
    return seen(plan, (gpa) => memory.readU8(gpa));
  };
};

const writesBlocks = (memory: GuestMemory, plan: Plan): (() => number) => {
  const { addresses } = plan;
  const src = block(plan.length);
  return () => {
    for (let i = 0; i < addresses.length; i++) memory.writeAt(addresses[i] as number, src);
    return seen(plan, (gpa) => memory.readU8(gpa));
  };
};

type Make = (size: number) => MemoryBacking;

/** A memory whose every byte is there before the clock runs. */
export function filled(place: Place, make: Make): GuestMemory {
  const memory = GuestMemory.fromRegions(
    place.ranges.map(([start, size]) => ({ start, backing: make(size) })),
  );
  for (const [start, size] of place.ranges) memory.writeAt(start, bytesFrom(start, size));
  return memory;
}

/** Reads and writes of memories whose regions lie in backings of one kind. */
export function copiesOf(make: Make, places: readonly Place[]): Measurement[] {
  const open = (place: Place): Contender => {
    const memory = filled(place, make);
    return {
      reads: (plan) => (plan.length === 8 ? reads8 : readsBlocks)(memory, plan),
      writes: (plan) => (plan.length === 8 ? writes8 : writesBlocks)(memory, plan),
    };
  };
  return places.flatMap((place) => copies(place, open, pollute));
}
