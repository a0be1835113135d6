import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import {
  bytes,
  GuestMemory,
  GuestMemoryAccessor,
  type HostRun,
  heap,
  shared,
  u16,
  u32,
  u64,
} from '../../src/core/index.ts';
import {
  HALVES,
  type RaceTask,
  throughAlias,
  throughTranslator,
  WHOLE16,
  WHOLE32,
  type Writer,
} from './races.ts';

const [HALF_A, HALF_B] = HALVES;
const halves = new Uint32Array(2);
const float = new Float64Array(1);
const floatBits = new Uint32Array(float.buffer);

/** What one read saw: pattern 0, pattern 1, or 2 for neither, which is a torn value. */
type Seen = 0 | 1 | 2;
type Reader = (memory: GuestMemory, gpa: number) => Seen;

function whole64(lo: number, hi: number): Seen {
  return lo === HALF_A && hi === HALF_A ? 0 : lo === HALF_B && hi === HALF_B ? 1 : 2;
}

const nothing = new Int32Array(new SharedArrayBuffer(4));
let halfReads = 0;

/**
 * Now and then holds a planted reader up between its halves, for about as long as it takes in between: where threads have
 * to share a processor, one that is seldom there is never stopped there.
 */
function dawdle(): void {
  if (++halfReads % 64 === 0) for (let i = 0; i < 1000; i++) Atomics.load(nothing, 0);
}

function oneOf(value: number, [a, b]: readonly [number, number]): Seen {
  return value === a ? 0 : value === b ? 1 : 2;
}

const READERS = {
  readU64Into(memory, gpa) {
    memory.readU64Into(gpa, halves);
    return whole64(halves[0] ?? 0, halves[1] ?? 0);
  },
  readU64Number(memory, gpa) {
    const value = memory.readU64Number(gpa);
    return whole64(value % 2 ** 32, Math.floor(value / 2 ** 32));
  },
  readU64(memory, gpa) {
    const value = memory.readU64(gpa);
    return whole64(Number(value & 0xffff_ffffn), Number(value >> 32n));
  },
  readF64(memory, gpa) {
    float[0] = memory.readF64(gpa);
    return whole64(floatBits[0] ?? 0, floatBits[1] ?? 0);
  },
  'readPlain u64'(memory, gpa) {
    const value = memory.readPlain(u64, gpa);
    return whole64(Number(value & 0xffff_ffffn), Number(value >> 32n));
  },
  readU32: (memory, gpa) => oneOf(memory.readU32(gpa), WHOLE32),
  'readPlain u32': (memory, gpa) => oneOf(memory.readPlain(u32, gpa), WHOLE32),
  readU16: (memory, gpa) => oneOf(memory.readU16(gpa), WHOLE16),
  'readPlain u16': (memory, gpa) => oneOf(memory.readPlain(u16, gpa), WHOLE16),
  'planted: two readU32': (memory, gpa) => {
    const lo = memory.readU32(gpa);
    dawdle();
    return whole64(lo, memory.readU32(gpa + 4));
  },
  'planted: two readU16': (memory, gpa) => {
    const lo = memory.readU16(gpa);
    dawdle();
    return oneOf(lo + memory.readU16(gpa + 2) * 0x1_0000, WHOLE32);
  },
  'planted: two readU8': (memory, gpa) => {
    const lo = memory.readU8(gpa);
    dawdle();
    return oneOf(lo + memory.readU8(gpa + 1) * 0x100, WHOLE16);
  },
} as const satisfies Record<string, Reader>;

type ReaderName = keyof typeof READERS;

/** What has not happened after so long is not going to happen on this runtime. */
const LIMIT_MS = 60_000;
/** So many changes from one pattern to the other, as seen by the reader, show that both sides ran at once. */
const CHANGES = 25;
const SIZE = 0x10_0000;
const GPA = 0x8_0040;

describe('M5: scalars never tear', () => {
  const [mapped] = shared(SIZE).mapped ?? [];
  assert(mapped !== undefined && mapped.buffer instanceof SharedArrayBuffer);
  const ram = mapped.buffer;
  const control = new Int32Array(new SharedArrayBuffer(8));
  const memory = GuestMemory.from(bytes(new Uint8Array(ram)), { name: 'ram' });
  let worker: Worker;
  let heard: (message: unknown) => void = () => undefined;
  const next = (wanted: string): Promise<void> =>
    new Promise((resolve, reject) => {
      heard = (message) =>
        message === wanted ? resolve() : reject(new Error(`the worker said ${String(message)}`));
    });

  before(async () => {
    worker = new Worker(new URL('./race-worker.js', import.meta.url), { workerData: { ram, control } });
    worker.on('message', (message: unknown) => heard(message));
    worker.on('error', (error: unknown) => heard(error));
    await next('ready');
  });
  after(async () => {
    await worker.terminate();
  });

  /** Reads while the worker writes, until `enough` says so. */
  async function race(
    writer: Writer,
    read: () => Seen,
    enough: (rounds: number, torn: number, changes: number) => boolean,
  ): Promise<{ rounds: number; torn: number; changes: number }> {
    Atomics.store(control, 0, 0);
    const task: RaceTask = { kind: 'write', writer, gpa: GPA };
    const started = next('started');
    worker.postMessage(task);
    await started;
    const done = next('done');
    let rounds = 0;
    let torn = 0;
    let changes = 0;
    let last: Seen = read();
    // Before the first write of this pattern, an earlier one is still there.
    while (last === 2) last = read();
    const began = performance.now();
    do {
      for (let i = 0; i < 20_000; i++) {
        const seen = read();
        if (seen === 2) torn++;
        else if (seen !== last) {
          changes++;
          last = seen;
        }
      }
      rounds += 20_000;
    } while (!enough(rounds, torn, changes) && performance.now() - began < LIMIT_MS);
    Atomics.store(control, 0, 1);
    await done;
    return { rounds, torn, changes };
  }

  /** So many rounds, and as many changes as show that both sides ran at once. */
  function never(writer: Writer, name: string, rounds: number, read: () => Seen): void {
    it(`M5: ${name} against ${writer}`, async () => {
      // Patterns of another width have to go first.
      memory.fillAt(GPA, 0, 8);
      const began = performance.now();
      const result = await race(
        writer,
        read,
        (done, _, changes) => done >= rounds && changes >= CHANGES && performance.now() - began > 60,
      );
      assert.equal(result.torn, 0, `${result.torn} torn of ${result.rounds}`);
      assert(result.rounds >= rounds);
      assert(
        result.changes >= CHANGES,
        `only ${result.changes} changes were seen in ${result.rounds} rounds: it proves nothing here`,
      );
    });
  }

  const MILLIONS = 2_000_000;
  const cases: readonly (readonly [Writer, readonly ReaderName[]])[] = [
    ['writeU64Halves', ['readU64Into', 'readU64Number', 'readU64', 'readPlain u64']],
    ['writeU64', ['readU64Into', 'readU64Number']],
    ['writeF64', ['readF64']],
    ['writeU32', ['readU32', 'readPlain u32']],
    ['writeU16', ['readU16', 'readPlain u16']],
  ];
  for (const [writer, readers] of cases) {
    for (const reader of readers) {
      const rounds = reader.startsWith('readPlain') || reader === 'readU64' ? MILLIONS / 4 : MILLIONS;
      never(writer, reader, rounds, () => READERS[reader](memory, GPA));
    }
  }

  const far = GuestMemory.fromRegions([
    { start: 0, backing: heap(SIZE * 2) },
    { start: 0x1_0000_0000, backing: bytes(new Uint8Array(ram)) },
  ]);
  never('writeU64Halves', 'readU64Into of a second region', MILLIONS, () =>
    READERS.readU64Into(far, 0x1_0000_0000 + GPA),
  );
  const part = memory.subrange(GPA - 0x20, 0x100);
  never('writeU64Halves', 'readU64Into of a subrange', MILLIONS, () => READERS.readU64Into(part, 0x20));
  const crooked = memory.subrange(GPA - 0x23, 0x100);
  never('writeU32', 'readU32 of a subrange at an odd offset', MILLIONS / 10, () =>
    READERS.readU32(crooked, 0x23),
  );

  for (const [name, indirect] of [
    ['an alias', throughAlias(memory, SIZE)],
    ['a translator', throughTranslator(ram)],
    ['an alias of a translator', throughAlias(throughTranslator(ram), SIZE)],
  ] as const) {
    never('writeU64', `R OpenVMM D2: readU64Into through ${name}`, MILLIONS / 10, () =>
      READERS.readU64Into(indirect, GPA),
    );
    never('writeU32', `R OpenVMM D2: readU32 through ${name}`, MILLIONS / 10, () =>
      READERS.readU32(indirect, GPA),
    );
    never('writeU16', `R OpenVMM D2: readU16 through ${name}`, MILLIONS / 10, () =>
      READERS.readU16(indirect, GPA),
    );
  }

  class Window extends GuestMemoryAccessor {
    translateAndGetLimit(gpa: number): HostRun {
      return { buffer: ram, byteOffset: gpa, limit: SIZE - gpa };
    }
  }
  const window = new Window();
  never('writeU32', 'A1 readObj of an accessor', MILLIONS / 10, () =>
    oneOf(window.readObj(u32, GPA), WHOLE32),
  );
  never('writeU32', 'A1 readVolatile of an accessor', MILLIONS / 10, () =>
    oneOf(window.readVolatile(u32, GPA), WHOLE32),
  );

  const planted: readonly (readonly [Writer, ReaderName])[] = [
    ['writeU64', 'planted: two readU32'],
    ['writeU32', 'planted: two readU16'],
    ['writeU16', 'planted: two readU8'],
    ['planted: two writeU32', 'readU64Into'],
  ];
  for (const [writer, reader] of planted) {
    it(`M5: this race catches ${reader} against ${writer}`, async () => {
      const read = READERS[reader];
      memory.fillAt(GPA, 0, 8);
      const { torn, rounds } = await race(
        writer,
        () => read(memory, GPA),
        (_, seen) => seen > 0,
      );
      assert(torn > 0, `no torn value in ${rounds} rounds: the tests above prove nothing on this runtime`);
    });
  }
});
