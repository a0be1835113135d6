import type { MemoryBacking } from './backing.ts';

/** What is to be told that its backing closed. */
interface Closing {
  close(): void;
}

/** For each backing that can close, those who are to be told. */
const told = new WeakMap<MemoryBacking, ClosingTogether>();

/**
 * Closes a region when its backing closes. A backing outlives most regions made on it (every subrange is one): it gets one
 * listener for all, and keeps none of them alive.
 */
export function closeWith(backing: MemoryBacking, region: Closing): void {
  if (backing.onClose === undefined) return;
  let together = told.get(backing);
  if (together === undefined) {
    const made = new ClosingTogether();
    together = made;
    told.set(backing, made);
    backing.onClose(() => made.close());
  }
  together.add(region);
}

/** How many are taken in before the first look for those that are gone. */
const FIRST_LOOK = 16;

class ClosingTogether {
  private refs: WeakRef<Closing>[] = [];
  private nextLook = FIRST_LOOK;
  private closed = false;

  add(region: Closing): void {
    if (this.closed) {
      region.close();
      return;
    }
    if (this.refs.length >= this.nextLook) {
      this.refs = this.refs.filter((ref) => ref.deref() !== undefined);
      this.nextLook = Math.max(FIRST_LOOK, 2 * this.refs.length);
    }
    this.refs.push(new WeakRef(region));
  }

  close(): void {
    this.closed = true;
    for (const ref of this.refs) ref.deref()?.close();
    this.refs = [];
  }
}
