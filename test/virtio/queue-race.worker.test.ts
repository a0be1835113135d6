import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Defect, RaceReport, RaceSetup } from './race-sides-worker.ts';

type Run = Pick<RaceSetup, 'requests' | 'eventIndex' | 'indirect' | 'defect' | 'patience'>;

/** Driver and device, each in a thread of its own, over one shared memory; they sleep when they have nothing to do. */
async function race(run: Run): Promise<{ driver: RaceReport; device: RaceReport }> {
  const shared = { ram: new SharedArrayBuffer(0x10000), bells: new SharedArrayBuffer(64) };
  const start = (side: RaceSetup['side']): Promise<RaceReport> =>
    new Promise((resolve, reject) => {
      const workerData: RaceSetup = { side, ...shared, ...run };
      const worker = new Worker(new URL('./race-sides-worker.js', import.meta.url), { workerData });
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', (code) =>
        reject(new Error(`The ${side} ended with code ${code} before its report`)),
      );
    });
  const [driver, device] = await Promise.all([start('driver'), start('device')]);
  return { driver, device };
}

describe('driver and device in two threads', () => {
  for (const { requests, eventIndex, indirect } of [
    { requests: 100_000, eventIndex: true, indirect: false },
    { requests: 30_000, eventIndex: true, indirect: true },
    { requests: 30_000, eventIndex: false, indirect: false },
  ]) {
    const how = `${eventIndex ? 'event index' : 'flags'}${indirect ? ', indirect' : ''}`;
    it(`V1: ${requests} requests, no wake-up lost (${how})`, async () => {
      const { driver, device } = await race({
        requests,
        eventIndex,
        indirect,
        defect: 'none',
        patience: 10_000,
      });
      assert.equal(driver.moved, requests);
      assert.equal(device.moved, requests);
      assert.equal(driver.wrong, 0);
      assert.equal(driver.lost, 0);
      assert.equal(device.lost, 0);
      // A run in which nobody slept shows nothing, and one with a signal for each request suppresses nothing.
      assert(driver.sleeps > 100 && device.sleeps > 100, `slept ${driver.sleeps} and ${device.sleeps} times`);
      assert(driver.signals < requests, `${driver.signals} kicks`);
      assert(device.signals < requests, `${device.signals} interrupts`);
    });
  }

  const defects: readonly Defect[] = ['device-skips-recheck', 'driver-skips-recheck'];
  for (const defect of defects) {
    it(`V1: the same run catches a planted defect: ${defect}`, async () => {
      const { driver, device } = await race({
        requests: 1_000_000,
        eventIndex: true,
        indirect: false,
        defect,
        patience: 100,
      });
      assert(driver.lost + device.lost > 0, `moved ${driver.moved} requests and lost no wake-up`);
    });
  }
});
