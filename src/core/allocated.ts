import { isGpa } from './addresses.ts';
import type { MemoryBacking } from './backing.ts';
import { heap, shared } from './backings.ts';
import { GuestMemoryError } from './errors.ts';

/**
 * Zeroed memory for a region that begins at `start`, anywhere.
 *
 * @throws GuestMemoryError `misaligned` for a start that is no multiple of 8 where there are more than 4 GiB; else as
 * {@link heap} and {@link shared}
 */
export function allocated(
  size: number,
  options: { readonly shared?: boolean },
  start: number,
): MemoryBacking {
  const make = options.shared === true ? shared : heap;
  const skew = start % 8;
  if (skew === 0 || !isGpa(size) || size === 0) return make(size);
  // SPEC M1: the bytes must lie congruent to the start, so the allocation begins up to 7 bytes early.
  const whole = make(size + skew);
  if (whole.mapped?.length !== 1) {
    throw new GuestMemoryError('misaligned', 'a range of more than 4 GiB has to start at a multiple of 8', {
      operation: 'allocate memory',
      gpa: start,
      length: size,
    });
  }
  const { wasm } = whole;
  return {
    ...whole,
    size,
    mapped: whole.mapped.map((view) => view.subarray(skew)),
    ...(wasm && { wasm: { memory: wasm.memory, offset: wasm.offset + skew } }),
  };
}
