import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory, heap, shared, u16 } from '../../src/core/index.ts';

// V8's heapUsed counts each object as it is made; Bun's does not, and the last test would say so.

const ROUNDS = 1_000_000;
const RUNS = 50;
/** The runtime itself makes some objects meanwhile. One of 16 bytes for each access would be 16 MB. */
const TOLERANCE = 500_000;
/** A loop that still allocates after so long always does. */
const LIMIT_MS = 20_000;

/** Above 4 GiB, where an address is an object unless the optimiser keeps it in a register. */
const BASE = 0x1_0000_0000;
const memory = GuestMemory.fromRegions([
  { start: 0, backing: heap(0x1000) },
  { start: BASE, backing: shared(0x1_0000) },
]);
const halves = new Uint32Array(2);

type Loop = (rounds: number) => number;

/** Each access in a loop of its own, as an optimised device has it. Sums are kept to 32 bits, for larger ones are objects. */
const LOOPS: Readonly<Record<string, Loop>> = {
  readU8: (rounds) => {
    let sum = 0;
    for (let i = 0; i < rounds; i++) sum = (sum + memory.readU8(BASE + ((i & 0xfff) << 3))) | 0;
    return sum;
  },
  readU16: (rounds) => {
    let sum = 0;
    for (let i = 0; i < rounds; i++) sum = (sum + memory.readU16(BASE + ((i & 0xfff) << 3))) | 0;
    return sum;
  },
  readU32: (rounds) => {
    let sum = 0;
    for (let i = 0; i < rounds; i++) sum = (sum + memory.readU32(BASE + ((i & 0xfff) << 3))) | 0;
    return sum;
  },
  readU64Into: (rounds) => {
    let sum = 0;
    for (let i = 0; i < rounds; i++) {
      memory.readU64Into(BASE + ((i & 0xfff) << 3), halves);
      sum = (sum + (halves[1] ?? 0)) | 0;
    }
    return sum;
  },
  writeU8: (rounds) => {
    for (let i = 0; i < rounds; i++) memory.writeU8(BASE + ((i & 0xfff) << 3), i);
    return 0;
  },
  writeU16: (rounds) => {
    for (let i = 0; i < rounds; i++) memory.writeU16(BASE + ((i & 0xfff) << 3), i);
    return 0;
  },
  writeU32: (rounds) => {
    for (let i = 0; i < rounds; i++) memory.writeU32(BASE + ((i & 0xfff) << 3), i);
    return 0;
  },
  writeU64Halves: (rounds) => {
    for (let i = 0; i < rounds; i++) memory.writeU64Halves(BASE + ((i & 0xfff) << 3), i, i);
    return 0;
  },
  load: (rounds) => {
    let sum = 0;
    for (let i = 0; i < rounds; i++) sum = (sum + memory.load(u16, BASE + ((i & 0xfff) << 3))) | 0;
    return sum;
  },
  store: (rounds) => {
    for (let i = 0; i < rounds; i++) memory.store(u16, BASE + ((i & 0xfff) << 3), i);
    return 0;
  },
  fetchAdd: (rounds) => {
    let sum = 0;
    for (let i = 0; i < rounds; i++) sum = (sum + memory.fetchAdd(u16, BASE + ((i & 0xfff) << 3), 1)) | 0;
    return sum;
  },
  compareExchange: (rounds) => {
    let sum = 0;
    for (let i = 0; i < rounds; i++) {
      sum = (sum + memory.compareExchange(u16, BASE + ((i & 0xfff) << 3), 1, 2)) | 0;
    }
    return sum;
  },
};

/** Bytes allocated by so many rounds, counted in short runs: one into which a collection falls goes down, and is left out. */
function allocatedBy(loop: Loop): number {
  for (let i = 0; i < 2000; i++) loop(100);
  loop(ROUNDS);
  let sum = 0;
  for (let run = 0; run < RUNS; run++) {
    const before = process.memoryUsage().heapUsed;
    loop(ROUNDS / RUNS);
    sum += Math.max(0, process.memoryUsage().heapUsed - before);
  }
  return sum;
}

describe('P1: scalar accesses allocate nothing', () => {
  for (const [name, loop] of Object.entries(LOOPS)) {
    it(`P1: a million times ${name}`, () => {
      // What the runtime does beside it is not there every time, an object for each access is. And until the optimiser has had
      // its turn, which on a busy machine may take seconds, there is one too.
      let used = allocatedBy(loop);
      for (const began = performance.now(); used >= TOLERANCE && performance.now() - began < LIMIT_MS; )
        used = allocatedBy(loop);
      assert(used < TOLERANCE, `${used} bytes`);
    });
  }

  it('P1: this test sees one small object for each round', () => {
    const keep: { at: number }[] = [];
    const used = allocatedBy((rounds) => {
      for (let i = 0; i < rounds; i++) keep[i & 1] = { at: i };
      return 0;
    });
    assert(used > TOLERANCE, `${used} bytes: it proves nothing here`);
  });
});
