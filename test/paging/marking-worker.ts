import { parentPort, workerData } from 'node:worker_threads';
import { bytes, GuestMemory } from '../../src/core/index.ts';
import { ACCESS, GuestTables, type TableReadOps, Translator, X86_4LEVEL } from '../../src/paging/index.ts';

/** What a Worker of the race is told: whose tables, which leaf, and how it marks. */
export interface MarkingTask {
  readonly ram: SharedArrayBuffer;
  readonly root: number;
  readonly leaf: number;
  /** Rounds done, then 1 once the other side is at work, then 1 to stop. */
  readonly control: SharedArrayBuffer;
  /** Plants the defect: compares and stores in two steps. */
  readonly torn: boolean;
}

/** Walks and marks one page for ever, after clearing its mark, until it is told to stop. */
function run({ ram, root, leaf, control, torn }: MarkingTask): void {
  const memory = GuestMemory.from(bytes(new Uint8Array(ram)));
  const flags = new Int32Array(control);
  const tables = new GuestTables(memory, { root });
  const twoSteps: TableReadOps<number> = {
    entryAddr: (addr, offset) => addr + offset,
    readEntry: (addr, size) => tables.readEntry(addr, size),
    compareExchangeEntry(addr, expected, desired, size) {
      if (tables.readEntry(addr, size) !== expected) return false;
      tables.writeEntry(addr, desired, size);
      return true;
    },
    toPhys: (addr) => addr,
    fromPhys: (gpa) => gpa,
    rootTable: () => root,
  };
  const controls = { accessedDirty: 'update' } as const;
  const translator = new Translator<number>({
    tables: torn ? twoSteps : tables,
    format: X86_4LEVEL,
    controls,
  });
  Atomics.store(flags, 1, 1);
  while (Atomics.load(flags, 2) === 0) {
    for (let i = 0; i < 200; i++) {
      // The accessed flag goes with an atomic that leaves all else alone, so that there is always one to set.
      memory.compareExchangeBytes(leaf, Uint8Array.of(0x21), Uint8Array.of(0x01));
      if (translator.resolve(0x123, 0, ACCESS.read) !== 0x5123) throw new Error('The page is elsewhere');
    }
    Atomics.add(flags, 0, 1);
  }
  parentPort?.postMessage('done');
}

run(workerData);
