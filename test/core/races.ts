import { alias, GuestMemory } from '../../src/core/index.ts';

/** What both sides of a race are given. */
export interface RaceData {
  readonly ram: SharedArrayBuffer;
  /** Cell 0: stop; cell 1: how many have arrived at the start. */
  readonly control: Int32Array;
}

/** How one agent writes the two patterns in turn. */
export type Writer =
  | 'writeU64Halves'
  | 'writeU64'
  | 'writeF64'
  | 'writeU32'
  | 'writeU16'
  | 'planted: two writeU32';

export type Contender =
  | 'fetchAdd u8'
  | 'fetchAdd u16'
  | 'fetchAdd u32'
  | 'fetchAdd u64'
  | 'fetchSub u32'
  | 'fetchXor u32'
  | 'compareExchange u32'
  | 'compareExchange u32 through a translator'
  | 'compareExchange u32 through an alias'
  | 'planted: read, add, write';

export type RaceTask =
  | { readonly kind: 'write'; readonly writer: Writer; readonly gpa: number }
  | {
      readonly kind: 'contend';
      readonly contender: Contender;
      readonly gpa: number;
      readonly steps: number;
      readonly sides: number;
    };

/** A half of each of the two 64-bit patterns; both halves are equal, and the whole is below 2^53. */
export const HALVES = [0x0015_5555, 0x000a_aaaa] as const;
const WHOLE64 = [0x0015_5555_0015_5555n, 0x000a_aaaa_000a_aaaan] as const;
const FLOATS = new Float64Array(new Uint32Array([HALVES[0], HALVES[0], HALVES[1], HALVES[1]]).buffer);
export const WHOLE32 = [0x5555_5555, 0xaaaa_aaaa] as const;
export const WHOLE16 = [0x5555, 0xaaaa] as const;

/** Writes pattern 0 or 1. */
export const WRITERS: Readonly<Record<Writer, (memory: GuestMemory, gpa: number, pattern: 0 | 1) => void>> = {
  writeU64Halves: (memory, gpa, pattern) => memory.writeU64Halves(gpa, HALVES[pattern], HALVES[pattern]),
  writeU64: (memory, gpa, pattern) => memory.writeU64(gpa, WHOLE64[pattern]),
  writeF64: (memory, gpa, pattern) => memory.writeF64(gpa, FLOATS[pattern] ?? 0),
  writeU32: (memory, gpa, pattern) => memory.writeU32(gpa, WHOLE32[pattern]),
  writeU16: (memory, gpa, pattern) => memory.writeU16(gpa, WHOLE16[pattern]),
  'planted: two writeU32': (memory, gpa, pattern) => {
    memory.writeU32(gpa, HALVES[pattern]);
    memory.writeU32(gpa + 4, HALVES[pattern]);
  },
};

/** The shared bytes behind a translator, as an IOMMU's view would have them. */
export function throughTranslator(ram: SharedArrayBuffer): GuestMemory {
  return GuestMemory.from({
    translateAndGetLimit: (gpa) =>
      gpa < ram.byteLength ? { buffer: ram, byteOffset: gpa, limit: ram.byteLength - gpa } : undefined,
  });
}

export function throughAlias(memory: GuestMemory, size: number): GuestMemory {
  return GuestMemory.from(alias(memory, 0, size));
}
