import { parentPort } from 'node:worker_threads';
import {
  SpaceTable,
  type SpaceTableShape,
  type TableRow,
} from '../../src/core/shared-address-space-table.ts';

/** What the Worker is to publish to. */
export interface PublishTask {
  readonly words: Int32Array;
  readonly shape: SpaceTableShape;
  readonly stop: Int32Array;
  /** Planted defect: always into the table that is in force. */
  readonly inPlace: boolean;
}

class InPlace extends SpaceTable {
  override get generation(): number {
    return 1;
  }
}

parentPort?.on('message', ({ words, shape, stop, inPlace }: PublishTask) => {
  const table = inPlace ? new InPlace(words, shape) : new SpaceTable(words, shape);
  for (let id = 1; Atomics.load(stop, 0) === 0; id++) {
    const row: TableRow = { id, start: id, size: id, pool: 0, offset: id, kind: 'shared', access: 'rw' };
    table.publish(new Array<TableRow>(shape.maxRegions).fill(row), id);
    // A reader whose table is always written anew before its end never has one.
    for (let i = 0; i < 500 && Atomics.load(stop, 0) === 0; i++);
  }
  parentPort?.postMessage('done');
});
