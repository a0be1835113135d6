import { GuestMemoryError } from './errors.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { IntegerType } from './layout.ts';
import type { Region } from './region.ts';
import { scratch } from './scratch.ts';

/** How a wait ended: woken by {@link notify}; another value was there already; nobody woke it in time. */
export type WaitResult = 'ok' | 'not-equal' | 'timed-out';

/**
 * Sleeps while an aligned integer of 4 or 8 bytes holds `expected`, until another thread wakes it by {@link notify} or the
 * time is over (SPEC M7). Look and sleep are one step: a notify after a store of another value is not missed.
 *
 * Threads of this process wake one another, whichever views of the bytes they use; a process that shares the memory through a
 * file does not.
 *
 * @param timeoutMs - milliseconds, at least 0; default: for ever
 * @throws GuestMemoryError `unsupported` for another width, on memory that is not shared, on a region of calls, and on a
 * thread that may not block, as a page's main thread (take {@link waitAsync}); `misaligned`; `invalid` for a timeout that is none;
 * `closed` where the mapping was closed meanwhile; else as a read
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, u32, wait } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x1000, { shared: true });
 * memory.store(u32, 0x40, 1);
 * assert.equal(wait(memory, u32, 0x40, 0), 'not-equal');
 * assert.equal(wait(memory, u32, 0x40, 1, 0), 'timed-out');
 * assert.throws(() => wait(GuestMemory.allocate(0x1000), u32, 0x40, 0), { code: 'unsupported' });
 * ```
 */
export function wait<T extends number | bigint>(
  memory: GuestMemory,
  type: IntegerType<T>,
  gpa: number,
  expected: T,
  timeoutMs: number = Number.POSITIVE_INFINITY,
): WaitResult {
  const operation = 'wait';
  const place = placeOf(memory, type, gpa, timeoutMs, operation);
  type.encode(scratch.view, 0, expected);
  let result: WaitResult;
  try {
    result =
      type.size === 8
        ? Atomics.wait(words64(place), 0, scratch.i64[0] as bigint, timeoutMs)
        : Atomics.wait(words32(place), 0, scratch.u32[0] as number, timeoutMs);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw refusal('unsupported', 'this thread may not block; take waitAsync()', place, cause);
  }
  checkOpen(place);
  return result;
}

/**
 * {@link wait} without blocking: the promise is fulfilled with what `wait` would return. It keeps no process running.
 *
 * @param timeoutMs - milliseconds, at least 0; default: for ever
 * @throws GuestMemoryError (the promise rejects) as {@link wait}; `unsupported` also where the engine has no
 * `Atomics.waitAsync`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, notify, u32, waitAsync } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x1000, { shared: true });
 * if ('waitAsync' in Atomics) {
 *   const woken = waitAsync(memory, u32, 0x40, 0);
 *   memory.store(u32, 0x40, 1);
 *   assert.equal(notify(memory, u32, 0x40), 1);
 *   assert.equal(await woken, 'ok');
 * }
 * ```
 */
export async function waitAsync<T extends number | bigint>(
  memory: GuestMemory,
  type: IntegerType<T>,
  gpa: number,
  expected: T,
  timeoutMs: number = Number.POSITIVE_INFINITY,
): Promise<WaitResult> {
  const place = placeOf(memory, type, gpa, timeoutMs, 'wait');
  const { waitAsync: begin } = Atomics as { waitAsync?: WaitAsync };
  if (begin === undefined) throw refusal('unsupported', 'this engine has no Atomics.waitAsync', place);
  type.encode(scratch.view, 0, expected);
  const { value } =
    type.size === 8
      ? begin(words64(place), 0, scratch.i64[0] as bigint, timeoutMs)
      : begin(words32(place), 0, scratch.u32[0] as number, timeoutMs);
  const result = await value;
  checkOpen(place);
  return result;
}

/**
 * Wakes threads that {@link wait} for an aligned integer of 4 or 8 bytes; store the new value before.
 *
 * @param type - as the waiting threads gave it: 4 and 8 bytes at one address are two places
 * @param count - how many to wake at most; default: all
 * @returns how many were woken
 * @throws GuestMemoryError `unsupported` for another width, on memory that is not shared and on a region of calls;
 * `misaligned`; `invalid` for a count that is none; else as a read
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, notify, u32 } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(0x1000, { shared: true });
 * memory.store(u32, 0x40, 1);
 * assert.equal(notify(memory, u32, 0x40), 0); // nobody waits
 * ```
 */
export function notify<T extends number | bigint>(
  memory: GuestMemory,
  type: IntegerType<T>,
  gpa: number,
  count: number = Number.POSITIVE_INFINITY,
): number {
  const place = placeOf(memory, type, gpa, 0, 'notify');
  if (!(count >= 0)) throw refusal('invalid', `current count ${count}, wanted at least 0`, place);
  return type.size === 8
    ? Atomics.notify(words64(place), 0, count)
    : Atomics.notify(words32(place), 0, count);
}

type WaitAsync = <W extends Int32Array | BigInt64Array>(
  words: W,
  at: number,
  value: number | bigint,
  timeoutMs: number,
) => { readonly value: WaitResult | Promise<WaitResult> };

/** Where an integer lies: for the engine, and for the errors. */
interface Place {
  readonly memory: string;
  readonly operation: string;
  readonly gpa: number;
  readonly length: number;
  readonly piece: Region;
}

function placeOf(
  memory: GuestMemory,
  { name, size }: { readonly name: string; readonly size: number },
  gpa: number,
  timeoutMs: number,
  operation: string,
): Place {
  const piece = memory.integerPiece(gpa, size, 'read', operation);
  const place = { memory: memory.name, operation, gpa, length: size, piece };
  if (size < 4) throw refusal('unsupported', `current type ${name}, wanted one of 4 or 8 bytes`, place);
  if (!piece.shared)
    throw refusal('unsupported', `no other thread can reach the ${piece.backing.kind} region`, place);
  if (!(timeoutMs >= 0))
    throw refusal('invalid', `current timeout ${timeoutMs}, wanted at least 0 milliseconds`, place);
  return place;
}

function words32({ piece, gpa }: Place): Int32Array {
  return new Int32Array(piece.u8.buffer, piece.u8.byteOffset + gpa - piece.start, 1);
}

function words64({ piece, gpa }: Place): BigInt64Array {
  return new BigInt64Array(piece.u8.buffer, piece.u8.byteOffset + gpa - piece.start, 1);
}

/** SPEC M15: the mapping may have gone meanwhile. */
function checkOpen(place: Place): void {
  if (place.piece.closed) throw refusal('closed', 'the mapping behind it was closed', place);
}

function refusal(
  code: 'invalid' | 'unsupported' | 'closed',
  reason: string,
  { memory, operation, gpa, length }: Place,
  cause?: unknown,
): GuestMemoryError {
  return new GuestMemoryError(code, reason, { memory, operation, gpa, length, failedAt: gpa, cause });
}
