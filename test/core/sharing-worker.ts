import { parentPort } from 'node:worker_threads';
import { attach, isGuestMemoryError, type MemoryHandle, u32 } from '../../src/core/index.ts';

/** What the Worker is told to do with the memory it was sent. */
export type SharingTask =
  | { readonly kind: 'fill'; readonly gpa: number; readonly value: number; readonly length: number }
  | { readonly kind: 'add'; readonly gpa: number; readonly steps: number }
  | { readonly kind: 'write'; readonly gpa: number; readonly every: number; readonly count: number };

parentPort?.on('message', ({ handle, task }: { handle: MemoryHandle; task: SharingTask }) => {
  let answer = 'done';
  try {
    const memory = attach(handle);
    if (task.kind === 'fill') memory.fillAt(task.gpa, task.value, task.length);
    else if (task.kind === 'add') for (let i = 0; i < task.steps; i++) memory.fetchAdd(u32, task.gpa, 1);
    else for (let i = 0; i < task.count; i++) memory.writeU8(task.gpa + i * task.every, 1);
  } catch (error) {
    if (!isGuestMemoryError(error)) throw error;
    answer = error.code;
  }
  parentPort?.postMessage(answer);
});
