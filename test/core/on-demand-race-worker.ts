import { parentPort, workerData } from 'node:worker_threads';
import { attach, type GuestMemory, u32 } from '../../src/core/index.ts';
import {
  ARRIVED,
  imageOf,
  type OnDemandRaceData,
  type OnDemandTask,
  PAGE,
  PAGES,
  STOP,
  unclaimed,
} from './on-demand-races.ts';

const { handle, control } = workerData as OnDemandRaceData;
const image = imageOf(control);
const memory = attach(handle, { source: () => image });
const planted = unclaimed(memory, image);

/** Goes on when both are there, at the same time where each has a processor; else the other gets this one's. */
function arrive(wanted: number): void {
  Atomics.add(control, ARRIVED, 1);
  Atomics.notify(control, ARRIVED);
  for (let looks = 0; ; looks++) {
    const there = Atomics.load(control, ARRIVED);
    if (there >= wanted) return;
    if (looks > 10_000) Atomics.wait(control, ARRIVED, there, 10);
  }
}

function add(on: GuestMemory): void {
  for (let page = 0; page < PAGES - 1; page++) {
    arrive(2 * (page + 1));
    on.fetchAdd(u32, page * PAGE, 1);
  }
}

function write(): void {
  for (let i = 0; Atomics.load(control, STOP) === 0; i++)
    for (let times = 0; times < 100; times++)
      memory.writeU64(0, (i + times) % 2 === 0 ? 0n : 0xffff_ffff_ffff_ffffn);
}

parentPort?.on('message', (task: OnDemandTask) => {
  if (task.kind === 'add') add(task.how === 'claimed' ? memory : planted);
  else if (task.kind === 'write') write();
  else memory.writeU8((PAGES - 1) * PAGE + 8, 1);
  parentPort?.postMessage('done');
});
parentPort?.postMessage('ready');
