import type { BenchCase } from '../../harness/measurement.ts';
import {
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

/** A new typed array over the guest's buffer for each access, as v86's devices make them. */
function open(): Contender {
  const { buffer } = bytesFrom(START, REGION);
  const byteAt = (gpa: number): number => new Uint8Array(buffer, gpa - START, 1)[0] as number;
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
            const words = new Uint32Array(buffer, at[i], 2);
            sum = (sum + (words[0] as number) + (words[1] as number)) | 0;
          }
          return sum >>> 0;
        };
      }
      return () => {
        let sum = 0;
        for (let i = 0; i < at.length; i++) {
          dest.set(new Uint8Array(buffer, at[i], length));
          sum = (sum + (dest[i & 63] as number)) | 0;
        }
        return sum;
      };
    },
    writes(plan) {
      const at = offsets(plan);
      const { length } = plan;
      const src = block(length);
      if (length === 8) {
        return () => {
          for (let i = 0; i < at.length; i++) {
            const words = new Uint32Array(buffer, at[i], 2);
            words[0] = i;
            words[1] = ~i;
          }
          return seen(plan, byteAt);
        };
      }
      return () => {
        for (let i = 0; i < at.length; i++) new Uint8Array(buffer, at[i], length).set(src);
        return seen(plan, byteAt);
      };
    },
  };
}

const freshViews: BenchCase = {
  id: 'fresh-views',
  title: 'a fresh typed array for each access, as in v86',
  measurements: copies(INSIDE, open),
};

export default freshViews;
