import { parentPort, workerData } from 'node:worker_threads';
import { bytes, GuestMemory, u8, u16, u32, u64 } from '../../src/core/index.ts';
import {
  type Contender,
  type RaceData,
  type RaceTask,
  throughAlias,
  throughTranslator,
  WRITERS,
} from './races.ts';

const { ram, control } = workerData as RaceData;
const memory = GuestMemory.from(bytes(new Uint8Array(ram)));
const translated = throughTranslator(ram);
const aliased = throughAlias(memory, ram.byteLength);

/** One step of a contender at `gpa`. */
const STEPS: Readonly<Record<Contender, (gpa: number) => void>> = {
  'fetchAdd u8': (gpa) => void memory.fetchAdd(u8, gpa, 1),
  'fetchAdd u16': (gpa) => void memory.fetchAdd(u16, gpa, 1),
  'fetchAdd u32': (gpa) => void memory.fetchAdd(u32, gpa, 1),
  'fetchAdd u64': (gpa) => void memory.fetchAdd(u64, gpa, 1n),
  'fetchSub u32': (gpa) => void memory.fetchSub(u32, gpa, 1),
  'fetchXor u32': (gpa) => void memory.fetchXor(u32, gpa, 0xffff_ffff),
  'compareExchange u32': (gpa) => addByCompareExchange(memory, gpa),
  'compareExchange u32 through a translator': (gpa) => addByCompareExchange(translated, gpa),
  'compareExchange u32 through an alias': (gpa) => addByCompareExchange(aliased, gpa),
  'planted: read, add, write': (gpa) => memory.writeU32(gpa, memory.readU32(gpa) + 1),
};

function addByCompareExchange(through: GuestMemory, gpa: number): void {
  for (let seen = through.readU32(gpa); ; ) {
    const there = through.compareExchange(u32, gpa, seen, seen + 1);
    if (there === seen) return;
    seen = there;
  }
}

/** Writes in turn until told to stop. */
function writeOn({ writer, gpa }: Extract<RaceTask, { kind: 'write' }>): void {
  const write = WRITERS[writer];
  parentPort?.postMessage('started');
  while (Atomics.load(control, 0) === 0) {
    for (let i = 0; i < 500; i++) {
      write(memory, gpa, 0);
      write(memory, gpa, 1);
    }
  }
}

/** Waits for the other side, then takes its steps. */
function contend({ contender, gpa, steps, sides }: Extract<RaceTask, { kind: 'contend' }>): void {
  const step = STEPS[contender];
  Atomics.add(control, 1, 1);
  while (Atomics.load(control, 1) % sides !== 0);
  for (let i = 0; i < steps; i++) step(gpa);
}

parentPort?.on('message', (task: RaceTask) => {
  if (task.kind === 'write') writeOn(task);
  else contend(task);
  parentPort?.postMessage('done');
});
parentPort?.postMessage('ready');
