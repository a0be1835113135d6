import { parentPort, workerData } from 'node:worker_threads';
import { bytes, GuestMemory } from '../../src/core/index.ts';
import { DescriptorChain, layoutSplitQueue, SplitDriverQueue, SplitQueue } from '../../src/virtio/index.ts';

/** What a side does wrong on purpose: the race test has to catch it. */
export type Defect = 'none' | 'device-skips-recheck' | 'driver-skips-recheck';

/** What both sides are given. */
export interface RaceSetup {
  readonly side: 'driver' | 'device';
  readonly ram: SharedArrayBuffer;
  readonly bells: SharedArrayBuffer;
  readonly requests: number;
  readonly eventIndex: boolean;
  readonly indirect: boolean;
  readonly defect: Defect;
  /** How long a side sleeps before it suspects that it was not woken. */
  readonly patience: number;
}

/** What a side reports at its end. */
export interface RaceReport {
  readonly side: 'driver' | 'device';
  readonly moved: number;
  readonly sleeps: number;
  readonly signals: number;
  /** Sleeps that nobody ended although there was work. */
  readonly lost: number;
  readonly wrong: number;
}

const SIZE = 16;
const BUFFERS = 0x8000;
const SLOT = 64;
/** Doorbells: each is a count of how often it was rung. */
const KICK = 0;
const INTERRUPT = 1;
const READY = 2;
const OVER = 3;
/** Never rung. */
const NOTHING = 4;

const setup = workerData as RaceSetup;
const bells = new Int32Array(setup.bells);
const memory = GuestMemory.from(bytes(new Uint8Array(setup.ram)));
const layout = layoutSplitQueue(0, SIZE, { indirectCapacity: 2 });

let sleeps = 0;
let signals = 0;
let lost = 0;

function ring(bell: number): void {
  signals++;
  Atomics.add(bells, bell, 1);
  Atomics.notify(bells, bell);
}

/** Sleeps until `bell` is not `seen` any more; counts it where nobody rang although `work` is there. */
function sleep(bell: number, seen: number, work: () => boolean): void {
  sleeps++;
  if (Atomics.wait(bells, bell, seen, setup.patience) !== 'timed-out') return;
  if (Atomics.load(bells, OVER) !== 0 || !work()) return;
  // The other side may be between showing its work and ringing: give it as long again.
  if (Atomics.wait(bells, bell, seen, setup.patience) === 'timed-out') lost++;
}

/** One wake-up lost says it all; going on would take a `patience` for each. */
function over(): boolean {
  if (lost > 0) Atomics.store(bells, OVER, 1);
  return Atomics.load(bells, OVER) !== 0;
}

/**
 * Now and then, holds this side up between its last look at the ring and its going to sleep. It is where the other
 * side's work must not go unseen, and too short a time to be hit often on a machine that has other things to do.
 */
let rounds = 0;
function dawdle(): void {
  if (++rounds % 64 === 0) Atomics.wait(bells, NOTHING, 0, 0.1);
}

function answerOf(value: number): number {
  return (Math.imul(value, 0x9e3779b1) ^ 0x5bd1e995) >>> 0;
}

function waitFor(bell: number): void {
  while (Atomics.load(bells, bell) === 0) Atomics.wait(bells, bell, 0, 100);
}

function drive(): RaceReport {
  const driver = new SplitDriverQueue(memory, layout, { ...layout, eventIndex: setup.eventIndex });
  Atomics.store(bells, READY, 1);
  Atomics.notify(bells, READY);
  const expected = new Map<number, { slot: number; value: number }>();
  const slots = Array.from({ length: SIZE }, (_, i) => BUFFERS + i * SLOT);
  let random = 12345;
  let submitted = 0;
  let moved = 0;
  let wrong = 0;
  const collectAll = (): void => {
    driver.fetchUsed();
    for (let used = driver.collect(); used !== undefined; used = driver.collect()) {
      const request = expected.get(used.id);
      expected.delete(used.id);
      if (
        request === undefined ||
        used.written !== 4 ||
        memory.readU32(request.slot + 32) !== answerOf(request.value)
      ) {
        wrong++;
      }
      if (request !== undefined) slots.push(request.slot);
      moved++;
    }
  };
  while (moved < setup.requests && !over()) {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0;
    let burst = Math.min(1 + (random >>> 28), setup.requests - submitted);
    for (; burst > 0 && driver.freeDescriptors >= 2; burst--) {
      const slot = slots.pop();
      if (slot === undefined) break;
      memory.writeU32(slot, submitted);
      const id = driver.add([{ gpa: slot, length: 4 }], [{ gpa: slot + 32, length: 4 }], {
        indirect: setup.indirect,
      });
      expected.set(id, { slot, value: submitted });
      submitted++;
    }
    if (driver.publish()) ring(KICK);
    collectAll();
    // Now and then the device gets to the end of its work and has to be woken.
    while (expected.size > (random & 0x300 ? SIZE / 4 : 0) && !over()) {
      const seen = Atomics.load(bells, INTERRUPT);
      collectAll();
      if (expected.size === 0) break;
      dawdle();
      if (!driver.enableNotifications() || setup.defect === 'driver-skips-recheck') {
        sleep(INTERRUPT, seen, () => driver.fetchUsed() > 0);
      }
      collectAll();
    }
  }
  Atomics.store(bells, OVER, 1);
  ring(KICK);
  return { side: 'driver', moved, sleeps, signals, lost, wrong };
}

function serve(): RaceReport {
  waitFor(READY);
  const queue = new SplitQueue(memory, layout, { eventIndex: setup.eventIndex, indirect: setup.indirect });
  const chain = new DescriptorChain();
  let moved = 0;
  while (!over()) {
    const seen = Atomics.load(bells, KICK);
    queue.disableNotifications();
    queue.fetchAvailable();
    while (queue.pop(chain)) {
      chain.writer.writeU32(answerOf(chain.reader.readU32()));
      queue.push(chain.head, 4);
      moved++;
    }
    if (queue.publish()) ring(INTERRUPT);
    dawdle();
    if (!queue.enableNotifications() || setup.defect === 'device-skips-recheck') {
      sleep(KICK, seen, () => queue.fetchAvailable() > 0);
    }
  }
  ring(INTERRUPT);
  return { side: 'device', moved, sleeps, signals, lost, wrong: 0 };
}

parentPort?.postMessage(setup.side === 'driver' ? drive() : serve());
