import type { BenchCase, Measurement } from '../../harness/measurement.ts';
import {
  among,
  block,
  bytesFrom,
  type Contender,
  copies,
  INSIDE,
  type Plan,
  REGION,
  START,
  seen,
} from '../harness/plan.ts';

/** One flat array made once, no checks: what a program does that has one region and trusts its addresses. */
function open(): Contender {
  const bytes = bytesFrom(START, REGION);
  const words = new Uint32Array(bytes.buffer);
  const byteAt = (gpa: number): number => bytes[gpa - START] as number;
  const offsets = ({ addresses }: Plan): Int32Array => Int32Array.from(addresses, (gpa) => gpa - START);
  return {
    reads(plan) {
      const at = offsets(plan);
      const { length } = plan;
      const dest = new Uint8Array(length);
      if (length === 8) {
        return () => {
          let sum = 0;
          for (let i = 0; i < at.length; i++) {
            const word = (at[i] as number) >>> 2;
            sum = (sum + (words[word] as number) + (words[word + 1] as number)) | 0;
          }
          return sum >>> 0;
        };
      }
      return () => {
        let sum = 0;
        for (let i = 0; i < at.length; i++) {
          dest.set(bytes.subarray(at[i], (at[i] as number) + length));
          sum = (sum + (dest[i & 63] as number)) | 0;
        }
        return sum;
      };
    },
    writes(plan) {
      const at = offsets(plan);
      const src = block(plan.length);
      if (plan.length === 8) {
        return () => {
          for (let i = 0; i < at.length; i++) {
            const word = (at[i] as number) >>> 2;
            words[word] = i;
            words[word + 1] = ~i;
          }
          return seen(plan, byteAt);
        };
      }
      return () => {
        for (let i = 0; i < at.length; i++) bytes.set(src, at[i]);
        return seen(plan, byteAt);
      };
    },
  };
}

/** An array for each region, and for each operation the number of its array: the look-up itself is free. */
function readAmong(regions: number): Measurement {
  const place = among(regions);
  return {
    name: `read 8 B ${place.name}`,
    prepare() {
      const arrays = place.ranges.map(([start, size]) => new Uint32Array(bytesFrom(start, size).buffer));
      const addresses = place.addresses(8);
      const which = Uint16Array.from(addresses, (gpa) => Math.floor((gpa - START) / 8192));
      const word = Uint16Array.from(addresses, (gpa) => (gpa % 8192) / 4);
      return {
        operations: addresses.length,
        ours: () => {
          let sum = 0;
          for (let i = 0; i < which.length; i++) {
            const words = arrays[which[i] as number] as Uint32Array;
            const at = word[i] as number;
            sum = (sum + (words[at] as number) + (words[at + 1] as number)) | 0;
          }
          return sum >>> 0;
        },
      };
    },
  };
}

const typedArrays: BenchCase = {
  id: 'typed-arrays',
  title: 'raw typed arrays',
  measurements: [...copies(INSIDE, open), readAmong(2), readAmong(256)],
};

export default typedArrays;
