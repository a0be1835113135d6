import { bytes, GuestMemory } from '../../core/index.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Bytes one request moves, and the unit that checksums are kept for. */
export const BLOCK_SIZE: number = 128 * KIB;
/** Requests the guest keeps in flight. */
export const DEPTH = 16;
/** Entries of the ring: one indirect descriptor a request. */
export const QUEUE_SIZE = 64;
export const SECTOR_SIZE = 512;

/** Where things stand in the guest's physical memory; the guest decides, as a kernel would. */
export const LAYOUT: {
  /** The rings and the driver's request headers. */
  readonly queue: number;
  readonly pageTables: { readonly gpa: number; readonly length: number };
  /** Pages the guest makes its I/O buffers of: half below the hole, half above 4 GiB. */
  readonly lowBuffers: number;
  readonly highBuffers: number;
} = {
  queue: 0x1_0000,
  pageTables: { gpa: 1 * MIB, length: 1 * MIB },
  lowBuffers: 16 * MIB,
  highBuffers: 4 * GIB + 16 * MIB,
};

/** Where things stand in the guest's virtual memory. */
export const VIRTUAL = {
  /** All of RAM, one to one, in the largest pages that fit. */
  directMap: 0xffff_8880_0000_0000n,
  /** I/O buffers in 4 KiB pages that are scattered over physical memory. */
  buffers: 0xffff_c900_0000_0000n,
  /** The same, made of pages of the block that is plugged in later. */
  pluggedBuffers: 0xffff_c900_4000_0000n,
} as const;

/** RAM that both threads see. */
export interface SharedRam {
  readonly start: number;
  readonly label: string;
  readonly buffer: SharedArrayBuffer;
}

/** The machine as it is switched on: low RAM, a hole, RAM up to the next hole, RAM above 4 GiB. */
export function makeRam(): SharedRam[] {
  return [
    { start: 0, label: 'low', buffer: new SharedArrayBuffer(640 * KIB) },
    { start: 1 * MIB, label: 'ram', buffer: new SharedArrayBuffer(63 * MIB) },
    { start: 4 * GIB, label: 'ram', buffer: new SharedArrayBuffer(64 * MIB) },
  ];
}

/** The block that is plugged in while the machine works. */
export function makePluggedRam(): SharedRam {
  return { start: 8 * GIB, label: 'plugged', buffer: new SharedArrayBuffer(64 * MIB) };
}

/** A thread's own map over the RAM that all of them share. */
export function memoryOver(ram: readonly SharedRam[], name: string): GuestMemory {
  return GuestMemory.fromRegions(
    ram.map(({ start, buffer }) => ({ start, backing: bytes(new Uint8Array(buffer)) })),
    { name },
  );
}

/** The map with one more block of shared RAM in it. */
export function withRam(memory: GuestMemory, ram: SharedRam): GuestMemory {
  return memory.insertRegion({ start: ram.start, backing: bytes(new Uint8Array(ram.buffer)) });
}
