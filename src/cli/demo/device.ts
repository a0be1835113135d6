import { workerData } from 'node:worker_threads';
import { AtomicAddressSpace } from '../../core/index.ts';
import { BlockDevice, SplitQueue, type SplitQueueLayout, serviceQueue } from '../../virtio/index.ts';
import { FileStorage } from '../file-storage.ts';
import { Doorbells } from './doorbells.ts';
import { errorLine } from './error-line.ts';
import type { DeviceMachine, DeviceMessage } from './messages.ts';
import { memoryOver, withRam } from './plan.ts';
import { receivePlug, workerPort } from './worker-port.ts';

/** The device side: a virtio disk that serves the guest's rings from a file, in a thread of its own. */
function serve(machine: DeviceMachine): void {
  const doorbells = new Doorbells(machine.doorbells);
  const space = new AtomicAddressSpace(memoryOver(machine.ram, 'device'));
  const storage = FileStorage.open(machine.diskPath);
  let broken: unknown;
  const device = new BlockDevice({
    storage,
    serial: 'guestmem-demo',
    onError: (error) => {
      broken ??= error;
    },
  });
  post({ kind: 'ready' });
  try {
    const layout = waitForDriver(doorbells);
    if (layout === undefined) return;
    device.acceptFeatures(device.features);
    const queue = new SplitQueue(space, layout, {
      eventIndex: true,
      indirect: true,
      maxChainLength: Math.max(layout.size, device.maxChainLength),
    });
    let interrupts = 0;
    while (!doorbells.stopped) {
      const seen = doorbells.kicks;
      // The driver may be told about new memory only after this map has it, so it is looked for before each batch.
      takePlug(space);
      const { notify, more } = serviceQueue(device, 0, queue);
      if (notify) {
        interrupts += 1;
        doorbells.interrupt();
      }
      if (broken !== undefined) throw broken;
      if (device.needsReset) throw new Error('The device stopped: the driver broke a rule of the ring');
      if (!more) doorbells.waitForKick(seen);
    }
    queue.close();
    post({ kind: 'result', interrupts, kicks: doorbells.kicks });
  } finally {
    storage.close();
  }
}

/** Where the rings are, once the driver says so; undefined when the demo ends before. */
function waitForDriver(doorbells: Doorbells): SplitQueueLayout | undefined {
  while (!doorbells.stopped) {
    const seen = doorbells.kicks;
    const layout = doorbells.announced();
    if (layout !== undefined) return layout;
    doorbells.waitForKick(seen);
  }
  return undefined;
}

/** Takes a block of memory that was plugged in: one atomic exchange of the map, while requests are in flight. */
function takePlug(space: AtomicAddressSpace): void {
  const ram = receivePlug(port);
  if (ram === undefined) return;
  const map = space.update((memory) => withRam(memory, ram));
  post({ kind: 'plugged', regions: map.regions.length });
}

function post(message: DeviceMessage): void {
  port.postMessage(message);
}

const port = workerPort();
try {
  serve(workerData);
} catch (error) {
  post({ kind: 'failed', message: errorLine(error) });
}
