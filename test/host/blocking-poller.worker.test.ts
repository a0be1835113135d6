import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { EventFd, Memfd, mapFile } from '../../src/host/index.ts';

const host = new URL('../../src/host/index.js', import.meta.url).href;

describe('the host room in a Worker', () => {
  it('H1: a BlockingPoller serves eventfds there and is stopped from here', async () => {
    const kick = EventFd.create();
    const answer = EventFd.create();
    const stop = EventFd.create();
    const worker = new Worker(
      `
      const { workerData, parentPort } = require('node:worker_threads');
      import(${JSON.stringify(host)}).then(({ BlockingPoller, EventFd }) => {
      const [kick, answer] = [workerData.kick, workerData.answer].map((fd) => EventFd.adopt(fd));
      const poller = new BlockingPoller();
      let rounds = 0;
      poller.add(kick.fd, { readable: true }, () => { if (kick.consume()) { rounds++; answer.signal(); } });
      poller.add(workerData.stop, { readable: true }, () => poller.stop());
      poller.run();
      parentPort.postMessage(rounds);
      });`,
      { eval: true, workerData: { kick: kick.fd, answer: answer.fd, stop: stop.fd } },
    );
    const said = once(worker, 'message');
    const exited = once(worker, 'exit');
    for (let round = 0; round < 20; round++) {
      kick.signal();
      while (!answer.consume()) await new Promise((resolve) => setImmediate(resolve));
    }
    stop.signal();
    assert.deepEqual(await said, [20]);
    await exited;
    for (const event of [kick, answer, stop]) event.close();
  });

  it('H1: a mapped file is shared memory: Atomics and wait/notify work across threads', async () => {
    const memfd = Memfd.create(0x1_0000);
    const backing = mapFile(memfd.fd);
    const bytes = backing.mapped[0];
    assert(bytes !== undefined);
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, 4);
    const worker = new Worker(
      `
      const { workerData } = require('node:worker_threads');
      Atomics.wait(workerData, 0, 0);
      for (let i = 0; i < 100000; i++) Atomics.add(workerData, 1, 1);
      Atomics.store(workerData, 2, 1);
      Atomics.notify(workerData, 2);`,
      { eval: true, workerData: words },
    );
    const exited = once(worker, 'exit');
    await once(worker, 'online');
    Atomics.store(words, 0, 1);
    Atomics.notify(words, 0);
    for (let i = 0; i < 100_000; i++) Atomics.add(words, 1, 1);
    await exited;
    assert.equal(Atomics.load(words, 1), 200_000);
    assert.equal(words[2], 1);
    backing.close();
    memfd.close();
  });
});
