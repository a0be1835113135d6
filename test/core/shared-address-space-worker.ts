import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import {
  type AttachedAddressSpace,
  type GuestMemory,
  SharedAddressSpace,
  type SharedSpaceHandle,
  settle,
  u32,
} from '../../src/core/index.ts';
import { COUNTS, LANE, PAIRS, PLUG_SIZE, POISON, pairAt, STOP } from './hot-plug.ts';

/** What a Worker is to do with the address space it is handed. */
export interface SpaceTask {
  readonly kind: 'load' | 'write' | 'hold';
  readonly handle: SharedSpaceHandle;
  readonly control: Int32Array;
  /** Which part of each region is this Worker's own. */
  readonly lane: number;
  /** Take messages at once, without yielding for them. */
  readonly atOnce: boolean;
}

/** Fills this Worker's lane of every pair that is there, reads it back, and counts what may not be. */
function round(memory: GuestMemory, control: Int32Array, lane: number, value: number): void {
  for (let pair = 0; pair < PAIRS; pair++) {
    const [a, b] = pairAt(pair);
    const there = memory.checkRange(a, PLUG_SIZE);
    if (there !== memory.checkRange(b, PLUG_SIZE)) Atomics.add(control, COUNTS.mixes, 1);
    if (!there || !memory.checkRange(b, PLUG_SIZE)) continue;
    for (const start of [a, b]) memory.fillAt(start + lane * LANE, value, LANE);
    for (const start of [a, b]) {
      const read = memory.readBytes(start + lane * LANE, LANE);
      if (read.some((byte) => byte === POISON)) Atomics.add(control, COUNTS.poison, 1);
      else if (read.some((byte) => byte !== value)) Atomics.add(control, COUNTS.lost, 1);
    }
  }
  memory.fetchAdd(u32, 4 * lane, 1);
  Atomics.add(control, COUNTS.rounds, 1);
}

/** Looks for half a change as often as it can. */
function watch(space: AttachedAddressSpace, control: Int32Array): void {
  for (let i = 0; i < 2000; i++) {
    const memory = space.memory();
    const [a, b] = pairAt(i % PAIRS);
    if (memory.checkRange(a, PLUG_SIZE) !== memory.checkRange(b, PLUG_SIZE))
      Atomics.add(control, COUNTS.mixes, 1);
  }
}

function tick(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** I/O on whatever is there until told to stop; between, it sleeps with nothing lent, or with a pin. */
async function load(space: AttachedAddressSpace, { control, lane }: SpaceTask): Promise<void> {
  let last: GuestMemory | undefined;
  for (let turn = 0; Atomics.load(control, STOP) === 0; turn++) {
    for (let i = 0; i < 4; i++) {
      const memory = await settle(() => space.memory());
      if (memory !== last) Atomics.add(control, COUNTS.changes, 1);
      last = memory;
      round(memory, control, lane, 1 + (turn % 100));
    }
    watch(space, control);
    if (turn % 2 === 0) {
      space.idle();
      await tick();
    } else {
      const pin = space.pin();
      space.idle();
      await tick();
      round(pin.memory, control, lane, 101 + (turn % 100));
      pin.release();
    }
  }
}

/** Writes ever new values to the pages of a region, through whatever map is there. */
async function write(space: AttachedAddressSpace, { control, lane }: SpaceTask): Promise<void> {
  // The owner may have changed the map since it shared it. From here on a map is lent all along.
  await settle(() => space.memory());
  for (let value = 1; Atomics.load(control, STOP) === 0; value++) {
    for (let page = lane; page < 64; page += 2) space.memory().writeU32(page * 0x1000 + 8, value);
    Atomics.add(control, COUNTS.rounds, 1);
    if (value % 16 === 0) await tick();
  }
}

parentPort?.on('message', async (task: SpaceTask) => {
  const space = SharedAddressSpace.attach(task.handle, {
    ...(task.atOnce && { receive: (port) => receiveMessageOnPort(port)?.message }),
  });
  if (task.kind === 'hold') {
    space.memory();
    parentPort?.postMessage('holding');
    return;
  }
  if (task.kind === 'load') await load(space, task);
  else await write(space, task);
  space.close();
  parentPort?.postMessage('done');
});
