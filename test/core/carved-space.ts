import assert from 'node:assert/strict';
import {
  type AttachedAddressSpace,
  bytes,
  GuestMemory,
  type RegionInit,
  SharedAddressSpace,
  type SharedAddressSpaceOptions,
  shared,
} from '../../src/core/index.ts';

export const PAGE = 0x1000;
export const HIGH = 0x1_0000_0000;

/** A turn of the event loop, or some. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** Lets messages arrive until something is so. */
export async function until(check: () => boolean): Promise<void> {
  const began = performance.now();
  while (!check()) {
    assert(performance.now() - began < 60_000, 'it has not happened for a minute');
    await turn();
  }
}

/** Whether a promise resolves within some turns of the event loop. */
export async function resolves(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([
    promise.then(() => true),
    turn()
      .then(turn)
      .then(turn)
      .then(() => false),
  ]);
}

/** A space over a pool of `pages`, the first two plugged at 0, and so many Workers (here all in one thread). */
export function over(
  pages: number,
  workers: number,
  options: SharedAddressSpaceOptions = {},
): {
  space: SharedAddressSpace;
  there: AttachedAddressSpace[];
  carve: (start: number, page: number) => RegionInit;
  close: () => void;
} {
  const pool = shared(pages * PAGE);
  const [ram = new Uint8Array()] = pool.mapped ?? [];
  const carve = (start: number, page: number): RegionInit => ({
    start,
    backing: bytes(ram.subarray(page * PAGE, (page + 1) * PAGE)),
  });
  const initial = GuestMemory.fromRegions([carve(0, 0), carve(PAGE, 1)], { name: 'ram' });
  const space = new SharedAddressSpace(initial, { pools: [pool], ...options });
  const there = Array.from({ length: workers }, () => SharedAddressSpace.attach(space.share()));
  return {
    space,
    there,
    carve,
    close: () => {
      for (const one of there) one.close();
      space.close();
    },
  };
}
