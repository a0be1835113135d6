import { parentPort } from 'node:worker_threads';
import {
  attach,
  isGuestMemoryError,
  type MemoryHandle,
  u32,
  u64,
  wait,
  waitAsync,
} from '../../src/core/index.ts';

/** Waits for a value that is 0 to change, and says how that ended and what is there then. */
export interface WaitTask {
  readonly handle: MemoryHandle;
  readonly width: 4 | 8;
  readonly gpa: number;
  readonly how: 'block' | 'promise';
  readonly timeoutMs: number;
}

export type WaitAnswer = readonly [result: string, value: bigint];

parentPort?.on('message', async ({ handle, width, gpa, how, timeoutMs }: WaitTask) => {
  const memory = attach(handle);
  let result: string;
  try {
    const begin = how === 'block' ? wait : waitAsync;
    result = await (width === 4
      ? begin(memory, u32, gpa, 0, timeoutMs)
      : begin(memory, u64, gpa, 0n, timeoutMs));
  } catch (error) {
    if (!isGuestMemoryError(error)) throw error;
    result = error.code;
  }
  const answer: WaitAnswer = [result, width === 4 ? BigInt(memory.load(u32, gpa)) : memory.load(u64, gpa)];
  parentPort?.postMessage(answer);
});
