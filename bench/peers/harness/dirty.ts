// A log has no door of its own in the package: users mark by writing. The peer's `mark_dirty` is such an inner part too.
import { DirtyLog } from '../../../src/core/dirty-log.ts';
import { PageBits } from '../../../src/core/page-bits.ts';
import type { Measurement } from '../../harness/measurement.ts';

const PAGE = 4096;
const OPERATIONS = 64;

/** Marks one range after another; from the second call on the bits are set already, as in a busy guest. */
export function marks(shared: boolean): Measurement[] {
  return [1, 16, 64, 256].map((pages) => ({
    name: `mark ${pages} page${pages === 1 ? '' : 's'} dirty`,
    prepare() {
      polluteLogs();
      const length = pages * PAGE;
      const log = DirtyLog.create(OPERATIONS * length, { pageSize: PAGE, shared });
      const bits = new PageBits(log.share().words);
      return {
        operations: OPERATIONS,
        ours: () => {
          let dirty = 0;
          for (let i = 0; i < OPERATIONS; i++) log.mark(i * length, length);
          for (let i = 0; i < OPERATIONS; i++) if (bits.has(i * pages)) dirty++;
          return dirty;
        },
      };
    },
  }));
}

/** Shows the logs' code both kinds of log, and ranges of a page and of many. */
function polluteLogs(): void {
  const logs = [false, true].map((shared) => DirtyLog.create(1024 * PAGE, { shared }));
  for (let round = 0; round < 1_000; round++) {
    for (const log of logs) {
      log.mark((round % 512) * PAGE, PAGE);
      log.mark((round % 512) * PAGE, 300 * PAGE);
    }
  }
}
