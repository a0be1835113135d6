import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { EventLoopPoller, UnixSocket } from '../../src/host/index.ts';
import { VhostUserServer } from '../../src/vhost-user/index.ts';
import { BlockDevice, MemoryStorage } from '../../src/virtio/index.ts';
import { mappingsOf, openDescriptors } from '../host/host.ts';
import { FrontEnd, negotiate, start, TestGuest } from './front-end.ts';

const DATA = 0x1_0000;

describe('VhostUserServer', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'guestmem-server-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('V4: serves one front end after another; one that vanishes leaves nothing behind', async () => {
    const path = join(folder, 'disk');
    const poller = new EventLoopPoller();
    const warnings: string[] = [];
    const server = new VhostUserServer({
      path,
      poller,
      device: new BlockDevice({ storage: new MemoryStorage(1 << 20) }),
      log: { warn: (text) => warnings.push(text) },
    });
    const guest = new TestGuest();
    let settled: number[] = [];
    for (let round = 0; round < 5; round++) {
      guest.restart();
      const front = new FrontEnd(UnixSocket.connect(path), poller);
      await negotiate(front);
      await start(front, guest);
      guest.memory.fillAt(DATA, round + 1, 512);
      assert.equal(await guest.write(round, DATA, 512), 'ok');
      guest.memory.fillAt(DATA, 0, 512);
      assert.equal(await guest.read(round, DATA, 512), 'ok');
      assert.equal(guest.memory.readU8(DATA), round + 1);
      assert.equal(mappingsOf('memfd:test-guest').length, 2);
      // As a killed machine leaves: rings running, a request on its way, no goodbye.
      guest.disk.read(0, [{ gpa: DATA, length: 512 }]);
      guest.disk.queue.publish();
      guest.kick.signal();
      front.close();
      while (mappingsOf('memfd:test-guest').length > 1)
        await new Promise((resolve) => setTimeout(resolve, 1));
      if (round === 0) settled = openDescriptors();
    }
    assert.deepEqual(openDescriptors(), settled);
    assert.deepEqual(warnings, []);
    server.close();
    server.close();
    assert(!existsSync(path));
    guest.close();
    poller.close();
  });

  it('V4: a second front end waits until the first has gone', async () => {
    const path = join(folder, 'queue');
    const poller = new EventLoopPoller();
    const device = new BlockDevice({ storage: new MemoryStorage(1 << 20) });
    const server = new VhostUserServer({ path, poller, device });
    const first = new FrontEnd(UnixSocket.connect(path), poller);
    await negotiate(first);
    const second = new FrontEnd(UnixSocket.connect(path), poller);
    second.send('GET_FEATURES');
    await first.must('SET_OWNER');
    first.close();
    assert.equal((await second.reply())?.request, 1);
    second.close();
    server.close();
    poller.close();
  });

  it('V4: a front end that sends nonsense is dropped with one warning, and the next is served', async () => {
    const path = join(folder, 'nonsense');
    const poller = new EventLoopPoller();
    const warnings: string[] = [];
    const device = new BlockDevice({ storage: new MemoryStorage(1 << 20) });
    const server = new VhostUserServer({
      path,
      poller,
      device,
      log: { warn: (text) => warnings.push(text) },
    });
    const bad = new FrontEnd(UnixSocket.connect(path), poller);
    bad.raw(new TextEncoder().encode('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'));
    assert.equal(await bad.reply(), undefined);
    assert.equal(warnings.length, 1);
    assert.match(
      warnings[0] ?? '',
      /^The connection is closed: Cannot read a message: it is of version \d, wanted 1$/,
    );
    const good = new FrontEnd(UnixSocket.connect(path), poller);
    await negotiate(good);
    // The server closes a connection that is under way.
    server.close();
    assert.equal(await good.reply(), undefined);
    bad.close();
    good.close();
    poller.close();
  });
});
