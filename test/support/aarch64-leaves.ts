/**
 * The pages of both halves of an AArch64 address space, for tests to choose addresses from: found by going through the tables as
 * they lie there, without a look at rights or rules. What an address translates to is for others to say.
 */

import type { GuestMemory } from 'guestmem';
import type { TcrEl1, TtbrEl1 } from './oracles/aarch64-registers.ts';

export interface AArch64Leaf {
  readonly gva: bigint;
  readonly gpa: number;
  readonly pageSize: number;
  /** AP[1] of the leaf: meant for EL0. */
  readonly user: boolean;
}

/** Bits of the granule by the encodings of TG0 and of TG1. */
const TG0: readonly number[] = [12, 16, 14];
const TG1: readonly (number | undefined)[] = [undefined, 14, 12, 16];

/** @returns the pages of the lower half, then those of the upper one, each in the order of their addresses. */
export function aarch64Leaves(
  memory: GuestMemory,
  { tcr, ttbr0, ttbr1 }: { tcr: TcrEl1; ttbr0: TtbrEl1; ttbr1: TtbrEl1 },
): AArch64Leaf[] {
  const leaves: AArch64Leaf[] = [];
  const upper = BigInt.asUintN(64, -1n << BigInt(64 - tcr.t1sz));
  addLeaves(leaves, memory, TG0[tcr.tg0], tcr.ds, 64 - tcr.t0sz, ttbr0.baddr, 0n);
  addLeaves(leaves, memory, TG1[tcr.tg1], tcr.ds, 64 - tcr.t1sz, ttbr1.baddr, upper);
  return leaves;
}

function addLeaves(
  leaves: AArch64Leaf[],
  memory: GuestMemory,
  granule: number | undefined,
  ds: boolean,
  inputBits: number,
  root: bigint,
  base: bigint,
): void {
  if (granule === undefined) throw new Error('TCR_EL1 has a granule that there is not');
  // Bits 51:48 of an address stand elsewhere: in 64 KiB tables together, with TCR_EL1.DS in two places, in TTBR in a third.
  const addressOf = (descriptor: bigint): bigint => {
    const low = bits(descriptor, 47, granule) << BigInt(granule);
    if (granule === 16) return low | (bits(descriptor, 15, 12) << 48n);
    if (!ds) return low;
    return low | (bits(descriptor, 49, 48) << 48n) | (bits(descriptor, 9, 8) << 50n);
  };
  const go = (table: bigint, above: bigint, top: number): void => {
    // The root has what is left over, every other table a granule's worth of entries.
    const indexBits = ((top - granule - 1) % (granule - 3)) + 1;
    const covered = top - indexBits;
    const bytes = memory.readBytes(Number(table), 8 * 2 ** indexBits);
    for (const [index, descriptor] of new BigUint64Array(bytes.buffer).entries()) {
      const gva = above + (BigInt(index) << BigInt(covered));
      if (!(descriptor & 1n)) continue;
      if (descriptor & 2n && covered > granule) {
        go(addressOf(descriptor), gva, covered);
        continue;
      }
      const gpa = (addressOf(descriptor) >> BigInt(covered)) << BigInt(covered);
      leaves.push({
        gva,
        gpa: Number(gpa),
        pageSize: 2 ** covered,
        user: bits(descriptor, 6, 6) === 1n,
      });
    }
  };
  const wide = ds || granule === 16;
  go(wide ? (bits(root, 47, 6) << 6n) | (bits(root, 5, 2) << 48n) : root, base, inputBits);
}

function bits(value: bigint, high: number, low: number): bigint {
  return (value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);
}
