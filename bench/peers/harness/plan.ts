import type { Measurement } from '../../harness/measurement.ts';

/** What is measured: the same addresses, bytes and names as in bench/peers/src/plan.rs. */
export const START = 0x1_0000_0000;
export const REGION: number = 4 * 1024 * 1024;
const SEAM = START + REGION;
const AMONG_REGION = 4096;
const AMONG_STRIDE = 8192;

export interface Place {
  readonly name: string;
  /** Start and size of each region. */
  readonly ranges: readonly (readonly [number, number])[];
  /** Where each operation of one call goes. */
  readonly addresses: (length: number) => Float64Array;
}

export const INSIDE: Place = {
  name: 'inside a region',
  ranges: [[START, REGION]],
  addresses: (length) => {
    const count = Math.min(512, Math.max(4, Math.floor(16384 / length)));
    return Float64Array.from({ length: count }, (_, i) => START + i * length);
  },
};

export const ACROSS: Place = {
  name: 'across a seam',
  ranges: [
    [START, REGION],
    [SEAM, REGION],
  ],
  addresses: (length) => {
    const count = 7 * Math.min(8, Math.max(1, Math.floor(8192 / length)));
    return Float64Array.from({ length: count }, (_, i) => SEAM - ((1 + (i % 7)) * length) / 8);
  },
};

export function among(regions: number): Place {
  return {
    name: `at random among ${regions} regions`,
    ranges: Array.from({ length: regions }, (_, i) => [START + i * AMONG_STRIDE, AMONG_REGION] as const),
    addresses: () => {
      let seed = 1;
      const next = (below: number): number => {
        seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
        return Math.floor((seed * below) / 2 ** 32);
      };
      return Float64Array.from({ length: 1024 }, () => START + next(regions) * AMONG_STRIDE + next(512) * 8);
    },
  };
}

export const SIZES: readonly (readonly [number, string])[] = [
  [8, '8 B'],
  [96, '96 B'],
  [512, '512 B'],
  [4096, '4 KiB'],
  [65536, '64 KiB'],
];

/** What lies from an address on before the first access. */
export function bytesFrom(start: number, length: number): Uint8Array {
  const first = start - START;
  return Uint8Array.from({ length }, (_, i) => (first + i) * 13 + ((first + i) >>> 8) * 7);
}

/** What is written by the writes of blocks. */
export function block(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i * 7 + (i >>> 8));
}

/** One closure's work: its addresses, and the bytes that tell that it was done. */
export interface Plan {
  readonly addresses: Float64Array;
  readonly length: number;
}

/** Answers from what lies at the first address and at both ends of the last write. */
export function seen({ addresses, length }: Plan, byteAt: (gpa: number) => number): number {
  const last = addresses[addresses.length - 1] as number;
  return byteAt(addresses[0] as number) + 256 * byteAt(last) + 65536 * byteAt(last + length - 1);
}

/** What a contender can do: each answers a closure that goes through the addresses once. */
export interface Contender {
  readonly reads: (plan: Plan) => () => number;
  readonly writes: (plan: Plan) => () => number;
}

/** The measurements of reads and writes at one place, for a contender that is made for its ranges. */
export function copies(
  place: Place,
  make: (place: Place) => Contender,
  prepare: () => void = () => undefined,
): Measurement[] {
  return SIZES.flatMap(([length, size]) =>
    (['read', 'write'] as const).map((access) => ({
      name: `${access} ${size} ${place.name}`,
      prepare: () => {
        prepare();
        const contender = make(place);
        const plan = { addresses: place.addresses(length), length };
        return {
          operations: plan.addresses.length,
          bytes: length,
          ours: access === 'read' ? contender.reads(plan) : contender.writes(plan),
        };
      },
    })),
  );
}
