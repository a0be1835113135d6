import {
  alias,
  bytes,
  callbacks,
  capture,
  copyOnWrite,
  fork,
  GuestMemory,
  heap,
  lazy,
  type MemoryBacking,
  ProtectedView,
  type RegionInit,
  shared,
  trackDirty,
  wasm,
} from '../../src/core/index.ts';
import { byteByByte, ScatteredRuns, TableWalk } from './indirect-memories.ts';
import { scatteredIommu } from './iommu-memories.ts';
import { virtualCalls } from './virtual-memories.ts';
import { newWasmMemory } from './wasm-memory.ts';

/** A memory and the stretch of it that a suite may write: `length` zeroed, writable bytes from `start` on. */
export interface MemoryUnderTest {
  readonly memory: GuestMemory;
  readonly start: number;
  readonly length: number;
  /** Nothing is at `start - 1`. */
  readonly holeBefore: boolean;
  /** What an access past the last byte is refused with; absent where memory goes on. */
  readonly pastEnd?: 'unmapped' | 'invalid';
  /** `gpa + skew` is aligned where the host bytes are. */
  readonly skew: number;
  /** Addresses at which another piece of host memory begins. */
  readonly seams: readonly number[];
  /** Whether the byte at an address is host bytes of this memory, so that views and all atomics work. */
  mapped(gpa: number): boolean;
  /** Whether views are lent of the byte at an address; default: where it is mapped. */
  lends?(gpa: number): boolean;
  /** Whether compare-exchange works at an aligned address. */
  exchanges(gpa: number): boolean;
  /** Something that must not be noticed, such as the growth of a WebAssembly.Memory. */
  disturb?(): void;
}

export interface MemoryKind {
  readonly name: string;
  make(): MemoryUnderTest;
}

const SIZE = 0x100;
const TOP = 2 ** 53;
const GIB4 = 2 ** 32;

/** A kind that is one window of host bytes, with whatever is different. */
function mapped(name: string, make: () => Partial<MemoryUnderTest> & { memory: GuestMemory }): MemoryKind {
  return kind(name, make, true);
}

/** A kind that is made of calls. */
function called(
  name: string,
  make: () => Partial<MemoryUnderTest> & { memory: GuestMemory },
  exchanges = true,
): MemoryKind {
  return kind(name, make, false, exchanges);
}

function kind(
  name: string,
  make: () => Partial<MemoryUnderTest> & { memory: GuestMemory },
  isMapped: boolean,
  exchanges = true,
): MemoryKind {
  return {
    name,
    make: () => ({
      start: 0x1000,
      length: SIZE,
      holeBefore: true,
      pastEnd: 'unmapped',
      skew: 0,
      seams: [],
      mapped: () => isMapped,
      exchanges: () => exchanges,
      ...make(),
    }),
  };
}

function one(backing: MemoryBacking, start = 0x1000): { memory: GuestMemory } {
  return { memory: GuestMemory.fromRegions([{ start, backing }], { name: 'one' }) };
}

/**
 * A backing of many small pieces, each in a buffer of its own, every other one shared. Its seams are at all
 * alignments.
 */
export function smallPieces(size: number, start: number): { backing: MemoryBacking; seams: number[] } {
  const lengths = [1, 2, 3, 5, 8, 13, 7, 16, 4, 32];
  const pieces: Uint8Array[] = [];
  const seams: number[] = [];
  for (let at = 0, i = 0; at < size; i++) {
    const length = Math.min(size - at, lengths[i % lengths.length] ?? 1);
    const skew = (start + at) % 8;
    const buffer = i % 2 === 0 ? new ArrayBuffer(skew + length) : new SharedArrayBuffer(skew + length);
    pieces.push(new Uint8Array(buffer, skew, length));
    if (at > 0) seams.push(start + at);
    at += length;
  }
  return { backing: { kind: 'pieces', size, mapped: pieces }, seams };
}

/** Calls that move bytes of an array; without `exchange`, they offer no compare-exchange. */
export function arrayCalls(store: Uint8Array, options: { exchange: boolean }): MemoryBacking {
  return callbacks({
    size: store.length,
    read: (offset, dest) => dest.set(store.subarray(offset, offset + dest.length)),
    write: (offset, src) => store.set(src, offset),
    ...(options.exchange && {
      compareExchange(offset: number, expected: Uint8Array, desired: Uint8Array): boolean {
        const there = store.subarray(offset, offset + expected.length);
        const equal = there.every((byte, i) => byte === expected[i]);
        (equal ? there : expected).set(equal ? desired : there);
        return equal;
      },
      probe: (_offset: number, length: number) => length,
    }),
  });
}

function adjoining(): Partial<MemoryUnderTest> & { memory: GuestMemory } {
  const behind = GuestMemory.allocate(0x1000);
  const { backing } = smallPieces(0x80, 0x1180);
  const regions: RegionInit[] = [
    { start: 0x1180, backing },
    { start: 0x1000, backing: heap(0x78) },
    { start: 0x1078, backing: arrayCalls(new Uint8Array(0x48), { exchange: true }) },
    { start: 0x10c0, backing: alias(behind, 0x3c0, 0x40) },
    { start: 0x1100, backing: shared(0x80) },
  ];
  const calls = (gpa: number): boolean => gpa >= 0x1078 && gpa < 0x1100;
  return {
    memory: GuestMemory.fromRegions(regions, { name: 'adjoining' }),
    length: 0x200,
    seams: [0x1078, 0x10c0, 0x1100, 0x1180, ...smallPieces(0x80, 0x1180).seams],
    mapped: (gpa) => !calls(gpa),
  };
}

function overFourGiB(
  backing: MemoryBacking,
  name: string,
): Partial<MemoryUnderTest> & { memory: GuestMemory } {
  const base = 0x1_0000_0000;
  const seam = base + GIB4;
  return {
    memory: GuestMemory.fromRegions([{ start: base, backing }], { name }),
    start: seam - SIZE / 2,
    holeBefore: false,
    seams: [seam],
  };
}

/** Every kind of memory that exists, each with an awkward shape. */
export const KINDS: readonly MemoryKind[] = [
  mapped('heap', () => one(heap(SIZE))),
  mapped('shared, small', () => one(shared(SIZE))),
  mapped('shared, large', () => ({
    ...one(shared(0x20_0000), 0x10_0000),
    start: 0x30_0000 - SIZE,
    holeBefore: false,
  })),
  mapped('bytes at an odd offset of a private buffer', () => ({
    ...one(bytes(new Uint8Array(new ArrayBuffer(0x2000), 0x1003, 0x1fb)), 0x2003),
    start: 0x2003,
    length: 0x1fb,
  })),
  mapped('bytes at an odd offset of a shared buffer', () => ({
    ...one(bytes(new Uint8Array(new SharedArrayBuffer(0x2000), 0x1005, 0x1f9)), 0x200d),
    start: 0x200d,
    length: 0x1f9,
  })),
  mapped('private WebAssembly.Memory that grows', () => {
    const module = newWasmMemory({ initial: 1, maximum: 2000 });
    return { ...one(wasm(module, 0x100, SIZE)), disturb: () => void module.grow(1) };
  }),
  mapped('shared WebAssembly.Memory that grows', () => {
    const module = newWasmMemory({ initial: 1, maximum: 2000, shared: true });
    return { ...one(wasm(module, 0x100, SIZE)), disturb: () => void module.grow(1) };
  }),
  called('callbacks', () => one(arrayCalls(new Uint8Array(SIZE), { exchange: true }))),
  called(
    'callbacks without compare-exchange',
    () => one(arrayCalls(new Uint8Array(SIZE), { exchange: false })),
    false,
  ),
  called(
    'callbacks that go byte by byte through another memory',
    () => one(byteByByte(GuestMemory.from(arrayCalls(new Uint8Array(SIZE), { exchange: false })), SIZE)),
    false,
  ),
  called('alias', () => one(alias(GuestMemory.allocate(0x1000), 0x318, SIZE))),
  called('alias of small pieces', () => {
    const { backing, seams } = smallPieces(SIZE, 0x8000);
    return {
      ...one(alias(GuestMemory.fromRegions([{ start: 0x8000, backing }]), 0x8000, SIZE)),
      seams: seams.map((seam) => seam - 0x7000),
    };
  }),
  mapped('multi-region', () => ({
    memory: GuestMemory.multiRegion(0x1000, [heap(0x1000), shared(SIZE / 2), undefined], { name: 'multi' }),
    start: 0x1000 - SIZE / 2,
    holeBefore: false,
    seams: [0x1000],
  })),
  mapped('small pieces', () => {
    const { backing, seams } = smallPieces(SIZE, 0x1000);
    return { ...one(backing), seams };
  }),
  mapped('small ranges that touch', () => ({
    memory: GuestMemory.fromRanges(
      [
        [0x1006, 3],
        [0x1001, 5],
        [0x1009, 0x1e],
      ],
      { name: 'ranges' },
    ),
    start: 0x1001,
    length: 0x26,
    seams: [0x1006, 0x1009],
  })),
  mapped('subrange at an odd offset', () => ({
    memory: GuestMemory.from(heap(0x1000)).subrange(0x103, SIZE),
    start: 0,
    holeBefore: false,
    skew: 3,
  })),
  mapped('subrange of a subrange of small pieces', () => {
    const { backing, seams } = smallPieces(0x400, 0x1000);
    const outer = GuestMemory.fromRegions([{ start: 0x1000, backing }], { name: 'outer' });
    return {
      memory: outer.subrange(0x1011, 0x300).subrange(0x20, SIZE),
      start: 0,
      holeBefore: false,
      skew: 1,
      seams: seams.map((seam) => seam - 0x1031).filter((seam) => seam > 0 && seam < SIZE),
    };
  }),
  called('subrange of callbacks at an odd offset', () => ({
    memory: one(arrayCalls(new Uint8Array(0x300), { exchange: true })).memory.subrange(0x1003, SIZE),
    start: 0,
    skew: 3,
    holeBefore: false,
  })),
  mapped('more than 4 GiB', () => overFourGiB(heap(GIB4 + SIZE / 2), 'large')),
  mapped('more than 4 GiB, shared', () => ({
    ...overFourGiB(shared(GIB4 + SIZE / 2), 'large and shared'),
  })),
  mapped('the top of the address space', () => ({
    ...one(heap(SIZE), TOP - SIZE),
    start: TOP - SIZE,
    pastEnd: 'invalid' as const,
  })),
  called('translator of scattered runs', () => {
    const runs = new ScatteredRuns(0x1000, SIZE);
    return { memory: GuestMemory.from(runs, { name: 'scattered' }), seams: runs.seams };
  }),
  called('translator that walks tables in another memory', () => {
    const walk = new TableWalk(0x1000, SIZE);
    return { memory: GuestMemory.from(walk, { name: 'walk' }), seams: walk.seams };
  }),
  called('alias of a translator', () => {
    const runs = new ScatteredRuns(0x5000, SIZE);
    return {
      ...one(alias(GuestMemory.from(runs), 0x5000, SIZE)),
      seams: runs.seams.map((seam) => seam - 0x4000),
    };
  }),
  called('virtual memory behind calls', () => one(virtualCalls(SIZE))),
  called('IOMMU view', () => {
    const { view, seams } = scatteredIommu(0x1000, SIZE, { onMiss: false });
    return { memory: view.memory(), seams, lends: () => true };
  }),
  called('IOMMU view that learns by misses and forgets', () => {
    const { view, seams } = scatteredIommu(0x1000, SIZE, { onMiss: true });
    return { memory: view.memory(), seams, lends: () => true, disturb: () => view.iotlb.clear() };
  }),
  called('subrange of an IOMMU view at an odd offset', () => {
    const { view, seams } = scatteredIommu(0x1003, SIZE, { onMiss: false });
    return {
      memory: view.memory().subrange(0x1003, SIZE),
      start: 0,
      lends: () => true,
      holeBefore: false,
      skew: 3,
      seams: seams.map((seam) => seam - 0x1003),
    };
  }),
  mapped('protected view with all rights', () => ({
    memory: new ProtectedView(one(heap(SIZE)).memory).memory(),
  })),
  mapped('tracked memory', () => ({ memory: trackDirty(one(heap(SIZE)).memory).memory })),
  mapped('tracked shared memory, tracked twice, byte by byte', () => {
    const tracked = trackDirty(one(shared(SIZE)).memory, { pageSize: 1 }).memory;
    return { memory: trackDirty(tracked).memory };
  }),
  mapped('lazy memory', () => one(lazy(SIZE))),
  mapped('lazy shared memory from a source', () =>
    one(lazy(SIZE, (_offset, dest) => dest.fill(0), { shared: true })),
  ),
  mapped('copy-on-write fork at an odd address', () => ({
    memory: fork(capture(GuestMemory.fromRanges([[0x2003, 0x1fb]]))),
    start: 0x2003,
    length: 0x1fb,
  })),
  mapped('subrange of a tracked view of a shared copy on write', () => {
    const copied = one(copyOnWrite(0x1000, (_offset, dest) => dest.fill(0), { shared: true })).memory;
    return {
      memory: new ProtectedView(trackDirty(copied).memory).memory().subrange(0x1103, SIZE),
      start: 0,
      holeBefore: false,
      skew: 3,
    };
  }),
  called('protected, tracked callbacks', () => {
    const { memory } = one(arrayCalls(new Uint8Array(SIZE), { exchange: true }));
    return { memory: trackDirty(new ProtectedView(memory).memory()).memory };
  }),
  mapped('kinds that adjoin', adjoining),
];
