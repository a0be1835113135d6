import { type MessagePort, parentPort, receiveMessageOnPort } from 'node:worker_threads';
import type { PlugMessage } from './messages.ts';
import type { SharedRam } from './plan.ts';

/** The port to the main thread: this file is for Workers. */
export function workerPort(): MessagePort {
  if (parentPort === null) throw new Error('Cannot run a side of the demo: it is no Worker');
  return parentPort;
}

/** The block of memory that was plugged in, if word of it has come; does not wait. */
export function receivePlug(port: MessagePort): SharedRam | undefined {
  const received: { message: PlugMessage } | undefined = receiveMessageOnPort(port);
  return received?.message.ram;
}
