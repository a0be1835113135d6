import { GuestMemory, heap, shared } from 'guestmem';
import {
  ACCESS,
  type AddressTranslator,
  createRoot,
  FORMATS,
  FrameRange,
  GuestTables,
  map,
  Tlb,
  Translator,
  X86_4LEVEL,
} from 'guestmem/paging';
import type { BenchCase, Measurement } from '../harness/measurement.ts';
import { pollute } from '../harness/pollute.ts';

const RAM = 0x1_0000_0000;
const SIZE = 64 * 1024 * 1024;
/** 8 MiB of pages of 4 KiB, for a working set of four last-level tables. */
const MAPPED = 8 * 1024 * 1024;
const GVA = 0xffff_8880_0000_0000n;
const GVA_HI = 0xffff_8880 | 0;
const WRITE: number = ACCESS.write;
const STEPS = 512;
/**
 * A sum of whole numbers above 2^31 makes V8 14 prove at every step that it stays one (4 to 8 ns, which would be
 * counted as ours); a sum with a fraction is plain floating-point addition.
 */
const START = 0.5;

/** A guest with its RAM and its tables above 4 GiB, mapped in pages of 4 KiB. */
function guest(kind: 'heap' | 'shared'): Translator {
  const backing = kind === 'heap' ? heap(SIZE) : shared(SIZE);
  const memory = GuestMemory.fromRegions([
    { start: 0, backing: heap(0x10_0000) },
    { start: RAM, backing },
  ]);
  const tables = new GuestTables(memory, { frames: new FrameRange(RAM, 0x10_0000) });
  createRoot(tables, X86_4LEVEL);
  map(tables, {
    format: X86_4LEVEL,
    gva: GVA,
    gpa: RAM + 0x10_0000,
    length: MAPPED,
    maxPageSize: 4096,
    write: true,
  });
  return new Translator({ tables, format: X86_4LEVEL });
}

/** Teaches the walker what a real program would: every format, every outcome, and a memory with callbacks. */
function polluteWalks(): void {
  for (const format of FORMATS) {
    const memory = GuestMemory.allocate(0x10_0000);
    const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
    createRoot(tables, format);
    map(tables, { format, gva: 0x1000n, gpa: 0x1000, length: 0x4000, execute: true });
    map(tables, { format, gva: 0x40_0000n, gpa: 0x40_0000, length: 0x40_0000, user: true, execute: true });
    const translator = new Translator({ tables, format });
    const tlb = new Tlb(translator);
    for (let round = 0; round < 2000; round++) {
      tlb.switchTo({ translator, asid: round & 15 });
      for (const lo of [0x1008, 0x4fff, 0x40_0000, 0x7f_ffff, 0x5000, 0x8000_0000]) {
        translator.resolve(lo, 0, ACCESS.write);
        tlb.resolve(lo, 0, ACCESS.userRead);
      }
    }
  }
}

type Loop = (translator: AddressTranslator) => () => number;

const onHalves: Loop = (translator) => () => {
  let sum = START;
  for (let i = 0; i < STEPS; i++) {
    const lo = ((i * 37) & 511) * 4096 + 24;
    sum += translator.resolve(lo, GVA_HI, WRITE);
  }
  return sum;
};

const onBigints: Loop = (translator) => {
  const addresses = Array.from({ length: STEPS }, (_, i) => GVA + BigInt(((i * 37) & 511) * 4096 + 24));
  return () => {
    let sum = START;
    for (let i = 0; i < STEPS; i++) sum += translator.resolveGva(addresses[i] as bigint, WRITE);
    return sum;
  };
};

function measurement(
  name: string,
  atLeast: number | undefined,
  kind: 'heap' | 'shared',
  loop: Loop,
  tlb: boolean,
): Measurement {
  return {
    name,
    ...(atLeast === undefined ? {} : { budget: { figure: 'M/s', atLeast } }),
    prepare() {
      pollute();
      polluteWalks();
      const translator = guest(kind);
      const ours = loop(tlb ? new Tlb(translator) : translator);
      return { operations: STEPS, ours };
    },
  };
}

const walks: BenchCase = {
  id: 'p7',
  title: '4-level walk through GuestMemory, all checks',
  measurements: [
    measurement('no TLB', 30, 'heap', onHalves, false),
    measurement('no TLB, shared memory', undefined, 'shared', onHalves, false),
    measurement('TLB hit, halves', 150, 'heap', onHalves, true),
    measurement('TLB hit, bigint', 80, 'heap', onBigints, true),
  ],
};

export default walks;
