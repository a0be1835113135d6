import { GuestMemoryError, isGuestMemoryError } from './errors.ts';

/**
 * Runs a function that reads memory whose bytes may be on their way (SPEC M16): each time it fails with `pending`,
 * waits for what it asked for and runs it again.
 *
 * @param fn - reads only, or is safe to run again from its start
 * @param options - `attempts`: how often to run it at most, default 1,000
 * @throws GuestMemoryError `retry-limit` after so many attempts; and whatever else `fn` throws
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, settle } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(4096);
 * assert.equal(await settle(() => memory.readU8(0)), 0);
 * ```
 */
export async function settle<T>(fn: () => T, options: { readonly attempts?: number } = {}): Promise<T> {
  const attempts = options.attempts ?? 1000;
  let last: unknown;
  for (let i = 0; i < attempts; i++) {
    try {
      return fn();
    } catch (error) {
      if (!isGuestMemoryError(error) || error.code !== 'pending' || error.ready === undefined) throw error;
      last = error;
      await error.ready;
    }
  }
  throw new GuestMemoryError('retry-limit', `still pending after ${attempts} attempts`, {
    operation: 'settle',
    cause: last,
  });
}
