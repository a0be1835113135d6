/** Pairs of regions that are plugged and unplugged as one: a memory that has one of the two has seen half a change. */
export const PAIRS = 4;
export const PLUG_SIZE = 0x8000;
/** The part of each region that one Worker fills and reads back. */
export const LANE: number = PLUG_SIZE / 2;
/** What memory that was given back is filled with; no Worker writes it. */
export const POISON = 0xee;

/** Addresses of the regions of a pair. */
export function pairAt(pair: number): readonly [number, number] {
  return [0x1_0000_0000 + pair * 0x10_0000, 0x2_0000_0000 + pair * 0x10_0000];
}

/** Word of the control block that tells Workers to stop. */
export const STOP = 0;
/** Words of the control block in which Workers count. */
export const COUNTS = { mixes: 1, poison: 2, lost: 3, rounds: 4, changes: 5 } as const;
