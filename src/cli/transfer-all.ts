/** The kernel takes no more iovecs than this in one call (IOV_MAX, limits.h). */
const MAX_IOVECS = 1024;

/**
 * Calls `step` until all of `iovecs` are through: at most 1024 a call, and going on in the middle of one after a short
 * transfer. `step` answers how many bytes it moved, at least 1, or throws.
 */
export function transferAll(
  position: number,
  iovecs: readonly Uint8Array[],
  step: (batch: readonly Uint8Array[], position: number) => number,
): void {
  let index = 0;
  let within = 0;
  for (;;) {
    while (index < iovecs.length && within >= (iovecs[index]?.length ?? 0)) {
      within -= iovecs[index]?.length ?? 0;
      index += 1;
    }
    const first = iovecs[index];
    if (first === undefined) return;
    // The common case, a chain of at most 1024 pieces transferred whole, hands the caller's array on as it is.
    const whole = index === 0 && within === 0 && iovecs.length <= MAX_IOVECS;
    const batch = whole ? iovecs : [first.subarray(within), ...iovecs.slice(index + 1, index + MAX_IOVECS)];
    const count = step(batch, position);
    position += count;
    within += count;
  }
}
