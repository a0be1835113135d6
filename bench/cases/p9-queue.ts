import { GuestMemory } from 'guestmem';
import { DescriptorChain, layoutSplitQueue, SplitQueue } from 'guestmem/virtio';
import type { BenchCase, Timed } from '../harness/measurement.ts';
import { pollute } from '../harness/pollute.ts';

const BATCH = 16;
const PAYLOAD = 64;
const BUFFERS = 0x10000;

/**
 * The device side of batches of 16 chains of one descriptor. The driver is as little as can be: it offers the same 16
 * heads again and again by moving the available index, so that the figure is the device's.
 */
function batches(eventIndex: boolean, work: (chain: DescriptorChain) => number): Timed {
  pollute();
  const memory = GuestMemory.allocate(0x10_0000, { shared: true });
  const layout = layoutSplitQueue(0, 256);
  for (let head = 0; head < 256; head++) {
    const descriptor = layout.descriptorTable + head * 16;
    memory.writeU64Halves(descriptor, BUFFERS + (head % BATCH) * PAYLOAD, 0);
    memory.writeU32(descriptor + 8, PAYLOAD);
    memory.writeU16(layout.availableRing + 4 + head * 2, head);
    memory.writeU8(BUFFERS + (head % BATCH) * PAYLOAD, (head % BATCH) + 1);
  }
  const queue = new SplitQueue(memory, layout, { eventIndex });
  const chain = new DescriptorChain();
  let available = 0;
  return {
    operations: BATCH,
    ours: () => {
      available = (available + BATCH) & 0xffff;
      memory.writeU16(layout.availableRing + 2, available);
      let sum = 0;
      queue.fetchAvailable();
      while (queue.pop(chain)) {
        sum += work(chain);
        queue.push(chain.head, 0);
      }
      return sum + (queue.publish() ? 1 : 0);
    },
  };
}

const payload = new Uint8Array(PAYLOAD);

const benchCase: BenchCase = {
  id: 'p9',
  title: 'Split queue, batches of 16',
  measurements: [
    {
      name: 'chain of one descriptor',
      prepare: () => batches(false, (chain) => chain.address(0)),
    },
    {
      name: 'with 64 B read and event index',
      prepare: () =>
        batches(true, (chain) => {
          chain.reader.read(payload);
          return payload[0] ?? 0;
        }),
    },
  ],
};

export default benchCase;
