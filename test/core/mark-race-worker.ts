import { parentPort, workerData } from 'node:worker_threads';
import { DirtyLog } from '../../src/core/dirty-log.ts';
import { u32 } from '../../src/core/index.ts';
import {
  ARRIVED,
  BALLAST,
  LINE,
  LOST,
  type Marker,
  type MarkRaceData,
  type MarkTask,
  PAGES,
  PlainOr,
  RACED,
  ROUNDS,
  STOP,
  TestAndSkip,
} from './mark-races.ts';
import { tracked } from './page-races.ts';

const { ram, log: handle, control, side } = workerData as MarkRaceData;
const words = new Uint32Array(ram);
const log = new DirtyLog(handle);

const MARKERS: Readonly<Record<Marker, () => (gpa: number, value: number) => void>> = {
  scalars: () => {
    const memory = tracked(ram, new DirtyLog(handle));
    return (gpa, value) => memory.writeU32(gpa, value);
  },
  atomics: () => {
    const memory = tracked(ram, new DirtyLog(handle));
    return (gpa, value) => memory.store(u32, gpa, value);
  },
  ranges: () => {
    const memory = tracked(ram, new DirtyLog(handle));
    const source = new Uint32Array(1);
    const bytes = new Uint8Array(source.buffer);
    return (gpa, value) => {
      source[0] = value;
      memory.writeAt(gpa, bytes);
    };
  },
  'planted: test and skip': () => {
    const memory = tracked(ram, new TestAndSkip(handle));
    return (gpa, value) => memory.writeU32(gpa, value);
  },
  'planted: plain or': () => {
    const memory = tracked(ram, new PlainOr(handle));
    return (gpa, value) => memory.writeU32(gpa, value);
  },
};

/** How often a side looks for the other before it gives its processor away. */
const LOOKS = 20_000;
/** So soon the other comes where it runs already. */
const SOON = 2_000;
let arrivals = 0;
/** Whether the other came soon to all meetings of this round. */
let together = true;

/** Both go on from here at the same time, to within a few dozen nanoseconds where each has a processor. */
function meet(): void {
  arrivals += 2;
  Atomics.add(control, ARRIVED, 1);
  Atomics.notify(control, ARRIVED);
  for (let looks = 0; ; looks++) {
    const there = Atomics.load(control, ARRIVED);
    if (there >= arrivals) return;
    if (looks > SOON) together = false;
    if (looks > LOOKS) Atomics.wait(control, ARRIVED, there, 10);
  }
}

interface Limits {
  readonly until: number;
  readonly enough: number;
}

/** Says how many pages were lost in a round, and whether it was the last one. */
function judge(lost: number, round: number, { until, enough }: Limits): void {
  if (lost > 0) Atomics.add(control, LOST, lost);
  const raced = together ? Atomics.add(control, RACED, 1) + 1 : 0;
  together = true;
  if (lost === 0 && raced < enough && (round % 32 !== 0 || performance.now() < until)) return;
  Atomics.store(control, ROUNDS, round);
  Atomics.store(control, STOP, 1);
}

/** Both mark every other page of one word. */
function neighbours(write: (gpa: number, value: number) => void, limits: Limits): void {
  for (let round = 1; Atomics.load(control, STOP) === 0; round++) {
    meet();
    for (let page: number = side; page < PAGES; page += 2) write(page * LINE, round);
    meet();
    if (side === 0) judge(PAGES - log.drain().length, round, limits);
    meet();
  }
}

/**
 * A store takes its time where another processor has the line; meanwhile a look at the mark sees it set, and a drain that
 * comes between the look and the store copies what was there before.
 */
function writeWhileDrained(write: (gpa: number, value: number) => void): void {
  for (let round = 1; Atomics.load(control, STOP) === 0; round++) {
    for (const value of [2 * round, 2 * round + 1]) {
      meet();
      for (let line = PAGES; line < PAGES + BALLAST; line++) words[(line * LINE) / 4] = value;
      // The last one is the first that a drain copies.
      for (let page = PAGES - 1; page >= 0; page--) write(page * LINE, value);
      meet();
    }
    meet();
  }
}

function drain(limits: Limits): void {
  const copy = new Uint32Array(PAGES);
  const copyDirty = (): void => {
    for (const offset of log.drain()) copy[offset / LINE] = words[offset / 4] as number;
  };
  let idle = 0;
  for (let round = 1; Atomics.load(control, STOP) === 0; round++) {
    meet();
    meet();
    // All are marked now; the lines come here.
    for (let line = 0; line < PAGES + BALLAST; line++) words[(line * LINE) / 4 + 1] = round;
    meet();
    // The right moment is a few hundred nanoseconds to a few microseconds away, by runtime and by how warm it is.
    for (let i = (round * 37) % (250 << (round % 6)); i > 0; i--) idle += i;
    copyDirty();
    meet();
    copyDirty();
    let lost = 0;
    for (let page = 0; page < PAGES; page++) if (copy[page] !== words[(page * LINE) / 4]) lost++;
    judge(lost, round, limits);
    meet();
  }
  if (idle < 0) throw new Error('nobody reads this');
}

parentPort?.on('message', ({ kind, marker, ms, raced }: MarkTask) => {
  arrivals = 0;
  together = true;
  const limits = { until: performance.now() + ms, enough: raced };
  const write = MARKERS[marker]();
  if (kind === 'neighbours') neighbours(write, limits);
  else if (side === 0) writeWhileDrained(write);
  else drain(limits);
  parentPort?.postMessage('done');
});
parentPort?.postMessage('ready');
