import { parentPort, workerData } from 'node:worker_threads';
import { DirtyLog } from '../../src/core/dirty-log.ts';
import { bytes, GuestMemory, isGuestMemoryError, PageRights, u32 } from '../../src/core/index.ts';
import { PageStates } from '../../src/core/page-states.ts';
import { withRights } from '../../src/core/protection.ts';
import {
  DONE,
  LOG_PAGE,
  PAGES,
  type PageRaceData,
  type PageTask,
  type PageWriter,
  RANGE_PAGES,
  ROUND,
  SEEN,
  tracked,
  type Width,
} from './page-races.ts';

const { ram, logs, rights, states, brought, control, side } = workerData as PageRaceData;
const plain = GuestMemory.from(bytes(new Uint8Array(ram)));

/** Writes every other page twice, so that the second mark finds the first: both Workers mark in the same words. */
function eachPage(width: Width, write: (gpa: number, value: number) => void): (value: number) => void {
  const pages = PAGES[width];
  return (value) => {
    for (let page: number = side; page < pages; page += 2) {
      write(page * LOG_PAGE, value - 1);
      write(page * LOG_PAGE, value);
    }
  };
}

function ranges(memory: GuestMemory): (value: number) => void {
  const source = new Uint8Array(RANGE_PAGES * LOG_PAGE);
  const values = new Uint32Array(source.buffer);
  return (value) => {
    values.fill(value);
    for (let page: number = side * RANGE_PAGES; page + RANGE_PAGES <= PAGES.wide; page += 2 * RANGE_PAGES)
      memory.writeAt(page * LOG_PAGE, source);
  };
}

const WRITERS: Readonly<Record<PageWriter, (width: Width) => (value: number) => void>> = {
  scalars: (width) => {
    const memory = tracked(ram, new DirtyLog(logs[width]));
    return eachPage(width, (gpa, value) => memory.writeU32(gpa, value));
  },
  atomics: (width) => {
    const memory = tracked(ram, new DirtyLog(logs[width]));
    return eachPage(width, (gpa, value) => memory.store(u32, gpa, value));
  },
  ranges: (width) => ranges(tracked(ram, new DirtyLog(logs[width]))),
  'planted: mark first': (width) => {
    const log = new DirtyLog(logs[width]);
    return eachPage(width, (gpa, value) => {
      log.markOne(gpa);
      plain.writeU32(gpa, value);
    });
  },
};

/** One pass in each round that the other thread begins. */
function write({ writer, width, rounds }: Extract<PageTask, { kind: 'write' }>): void {
  const pass = WRITERS[writer](width);
  for (let round = 0; round < rounds; ) {
    Atomics.wait(control, ROUND, round);
    const now = Atomics.load(control, ROUND);
    if (now < 0) return;
    if (now === round) continue;
    round = now;
    pass(round * 2);
    Atomics.add(control, DONE, 1);
  }
}

/** Brings all pages, in the order in which the other Worker brings them too. */
function bring(): void {
  const pages = new PageStates(states);
  Atomics.add(control, ROUND, 1);
  while (Atomics.load(control, ROUND) < 2);
  for (let page = 0; page < states.length; page++) {
    while (Atomics.load(states, page) !== 2) {
      pages.bring(page, () => {
        Atomics.add(brought, page, 1);
        plain.fillAt(page * 16, page % 251, 16);
      });
    }
    // Whoever brought it, it is whole.
    for (let i = 0; i < 16; i++)
      if (plain.readU8(page * 16 + i) !== page % 251) Atomics.add(control, SEEN, 1);
  }
}

/** Writes until that is denied, and says so; then waits until it is allowed again. */
function obey(): void {
  const memory = plain.derive((entry) => withRights(entry, PageRights.attach(rights)));
  try {
    for (;;) memory.writeU32(0x1000, 1);
  } catch (error) {
    if (!isGuestMemoryError(error) || error.code !== 'denied') throw error;
  }
  Atomics.add(control, SEEN, 1);
  while (!memory.checkRange(0x1000, 4, 'write'));
  Atomics.add(control, SEEN, 1);
}

parentPort?.on('message', (task: PageTask) => {
  if (task.kind === 'write') write(task);
  else if (task.kind === 'bring') bring();
  else obey();
  parentPort?.postMessage('done');
});
parentPort?.postMessage('ready');
