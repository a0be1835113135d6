import { type GuestMemory, GuestMemory as Memory, type MemoryHandle } from '../../src/core/index.ts';
import { pagesBehind } from '../../src/core/pages-on-demand.ts';

export const PAGE = 0x1000;
export const PAGES = 65;
/** What the image holds at the start of each page. */
export const IMAGE = 0x5151_5151;

/** Cells of the control words. */
export const ARRIVED = 0;
export const STOP = 1;
export const WRONG = 2;
export const SLOW = 3;
/** Then, for each page, how often it was asked for. */
export const ASKED = 4;

export interface OnDemandRaceData {
  readonly handle: MemoryHandle;
  readonly control: Int32Array;
}

export type OnDemandTask =
  /** Both Workers add 1 to the first word of each page, at the same time. */
  | { readonly kind: 'add'; readonly how: 'claimed' | 'planted: not claimed' }
  /** Writes two patterns in turn to the first 8 bytes until it is stopped. */
  | { readonly kind: 'write' }
  /** Writes to the last page, whose source takes as long as it is told to. */
  | { readonly kind: 'slow' };

/** The image, for the thread that has this control. */
export function imageOf(control: Int32Array): (offset: number, dest: Uint8Array) => void {
  return (offset, dest) => {
    const page = Math.floor(offset / PAGE);
    if (dest.length > 8) Atomics.add(control, ASKED + page, 1);
    if (page === PAGES - 1) Atomics.wait(control, SLOW, 1);
    dest.fill(IMAGE & 0xff);
  };
}

/** The defect: who finds a page missing copies it, and does not look whether another does so. */
export function unclaimed(
  memory: GuestMemory,
  image: (offset: number, dest: Uint8Array) => void,
): GuestMemory {
  const [region] = memory.regions;
  const pages = region && pagesBehind(region.backing);
  if (pages === undefined) throw new Error('no memory on demand');
  const { size, mapped, presence } = pages;
  return Memory.from({
    kind: 'unclaimed',
    size,
    mapped,
    presence,
    onFault(offset) {
      const start = offset - (offset % PAGE);
      const bytes = mapped[0]?.subarray(start, start + PAGE);
      if (bytes !== undefined) image(start, bytes);
      presence.set(start, PAGE, 'rwx');
      return 'retry';
    },
  });
}
