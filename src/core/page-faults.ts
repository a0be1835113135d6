import type { Access } from './access.ts';
import { FAULT_RETRIES, type FaultAnswer, type MemoryBacking } from './backing.ts';
import { GuestMemoryError } from './errors.ts';

/**
 * SPEC M10: how many bytes from `offset` on can be accessed where pages come on demand. Asks the backing for each that is
 * not there, until it is, or the rest is served by calls, or not at all. What the first page's fault throws is thrown; a
 * later page only ends the reach, so that partial calls get the pages before it.
 *
 * @param offset - first byte, in the backing
 * @param reachByCalls - how far calls serve a range
 */
export function bringPages(
  backing: MemoryBacking,
  offset: number,
  length: number,
  access: Access,
  reachByCalls: (offset: number, length: number) => number,
): number {
  for (let done = 0, tries = 0; ; tries++) {
    const here = backing.presence?.reach(offset + done, length - done, access) ?? 0;
    if (here > 0) tries = 0;
    done += here;
    if (done >= length) return length;
    let answer: FaultAnswer;
    try {
      if (tries > FAULT_RETRIES) throw tooOften(tries, access);
      answer = backing.onFault?.(offset + done, length - done, access) ?? 'fail';
    } catch (cause) {
      if (done > 0) return done;
      throw cause;
    }
    if (answer === 'fail') return done;
    if (answer === 'fallback') return done + reachByCalls(offset + done, length - done);
  }
}

function tooOften(tries: number, operation: Access): GuestMemoryError {
  return new GuestMemoryError('retry-limit', `the page is still not there after ${tries} attempts`, {
    operation,
  });
}
