declare const gc: (() => void) | undefined;
declare const Bun: { gc(force: boolean): void } | undefined;

/**
 * Waits until the engine has collected most of these: all but the few that a stack or a register may still seem to hold.
 * Where it cannot be asked to, it is given reason to.
 *
 * @param limitMs - after so long it answers false
 * @param meanwhile - what is to be done between two looks
 */
export async function collected(
  refs: readonly WeakRef<object>[],
  meanwhile: () => void = () => undefined,
  limitMs = 60_000,
): Promise<boolean> {
  const limit = performance.now() + limitMs;
  let garbage: number[][] = [];
  while (performance.now() < limit && garbage.length < 1e9) {
    meanwhile();
    // A WeakRef that was looked at keeps its target until the job ends.
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (typeof gc !== 'undefined') gc();
    else if (typeof Bun !== 'undefined') Bun.gc(true);
    else garbage = Array.from({ length: 30 }, (_, i) => new Array<number>(200_000).fill(i));
    await new Promise((resolve) => setTimeout(resolve, 1));
    const left = refs.filter((ref) => ref.deref() !== undefined).length;
    if (left <= refs.length / 4) return true;
  }
  return false;
}
