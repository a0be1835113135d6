/** `guestmem vhost-user-blk` as a person meets it: what it prints, what it refuses, and how it ends. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { EventLoopPoller, UnixSocket } from '../../src/host/index.ts';
import type { Child } from '../support/child.ts';
import { startDiskServer } from '../support/disk-server.ts';
import { need } from '../support/need.ts';
import { guestmem } from '../support/project.ts';
import { FrontEnd, negotiate, start, TestGuest } from './front-end.ts';

const DATA = 0x1_0000;
/** What has not happened after so long does not happen. */
const LIMIT_MS = 60_000;

describe('guestmem vhost-user-blk', { skip: need('setpriv') }, () => {
  let folder = '';
  let image = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'guestmem-command-'));
    image = join(folder, 'disk.img');
    writeFileSync(
      image,
      Uint8Array.from({ length: 1 << 20 }, (_, i) => i >> 9),
    );
  });
  after(() => rmSync(folder, { recursive: true }));

  /** One line on standard error, none on standard output, and this exit status. */
  const refused = async (args: readonly string[], status: number, line: RegExp): Promise<void> => {
    const result = await guestmem(['vhost-user-blk', ...args]);
    assert.equal(result.status, status, result.stderr);
    assert.equal(result.stdout, '');
    assert.match(result.stderr, line);
    assert.equal(result.stderr.trimEnd().split('\n').length, 1, result.stderr);
  };
  const stop = async (server: Child, signal: NodeJS.Signals): Promise<void> => {
    server.signal(signal);
    assert.deepEqual(await server.exit(LIMIT_MS), { status: 0, signal: null }, server.stderr);
  };

  it('C: refuses a command line that makes no sense with status 2', async () => {
    const socket = join(folder, 'usage.sock');
    const both = ['--socket', socket, '--image', image];
    await refused(['--image', image], 2, /--socket/);
    await refused(['--socket', socket], 2, /--image/);
    await refused([...both, '--serial', 'x'.repeat(21)], 2, /21 bytes, want at most 20/);
    await refused([...both, '--queues', '0'], 2, /want 1 to 64/);
    await refused([...both, 'more'], 2, /Too many arguments/);
    assert(!existsSync(socket));
  });

  it('C: refuses an image that cannot be a disk with status 3', async () => {
    const socket = join(folder, 'image.sock');
    const tiny = join(folder, 'tiny');
    writeFileSync(tiny, 'x'.repeat(511));
    await refused(
      ['--socket', socket, '--image', join(folder, 'none')],
      3,
      /none: no such file or directory/,
    );
    await refused(['--socket', socket, '--image', folder], 3, /it is a directory/);
    await refused(['--socket', socket, '--image', '/dev/zero'], 3, /it is no regular file/);
    await refused(['--socket', socket, '--image', tiny], 3, /it has 511 bytes, a disk has at least 512/);
    // A program that runs cannot be opened for writing, not even by root.
    await refused(['--socket', socket, '--image', process.execPath], 3, /Cannot open the disk/);
    assert(!existsSync(socket));
  });

  it('C: refuses a socket path that is taken with status 3, and replaces what a dead server left', async () => {
    const socket = join(folder, 'taken.sock');
    const server = await startDiskServer({ socket, image });
    await refused(['--socket', socket, '--image', image], 3, /a live server listens there/);
    await server.close();
    assert(existsSync(socket), 'a killed server leaves its socket');
    const next = await startDiskServer({ socket, image });
    await stop(next, 'SIGTERM');
    const file = join(folder, 'file.sock');
    writeFileSync(file, 'precious');
    await refused(['--socket', file, '--image', image], 3, /no socket/);
    assert.equal(readFileSync(file, 'utf8'), 'precious');
    await refused(['--socket', join(folder, 'x'.repeat(120)), '--image', image], 3, /the system allows 107/);
    mkdirSync(join(folder, 'dir.sock'));
    await refused(['--socket', join(folder, 'dir.sock'), '--image', image], 3, /no socket/);
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`C: ends cleanly at ${signal}, with a machine connected and nothing lost`, async () => {
      const socket = join(folder, `${signal}.sock`);
      const server = await startDiskServer({ socket, image, options: ['--serial', 'abc'] });
      const poller = new EventLoopPoller();
      const guest = new TestGuest();
      const front = new FrontEnd(UnixSocket.connect(socket), poller);
      await negotiate(front);
      await start(front, guest);
      assert.equal(await guest.read(7, DATA, 512), 'ok');
      assert.deepEqual(guest.memory.readBytes(DATA, 512), new Uint8Array(512).fill(7));
      assert.equal(await guest.request(() => guest.disk.getId({ gpa: DATA, length: 20 })), 'ok');
      assert.equal(guest.memory.readCString(DATA, 20), 'abc');
      const mark = signal === 'SIGINT' ? 0x51 : 0x52;
      guest.memory.fillAt(DATA, mark, 1024);
      assert.equal(await guest.write(100, DATA, 1024), 'ok');
      await stop(server, signal);
      assert.equal(await front.reply(), undefined);
      front.close();
      guest.close();
      poller.close();
      assert(!existsSync(socket));
      assert(
        readFileSync(image)
          .subarray(51_200, 52_224)
          .every((byte) => byte === mark),
      );
      assert.equal(server.stdout, `Serving ${image} (1048576 bytes) at ${socket}\n`);
      assert.equal(server.stderr, '');
    });
  }

  it('C: says what happens to a last sector that is not whole, and serves the rest read-only', async () => {
    const odd = join(folder, 'odd');
    writeFileSync(odd, '');
    truncateSync(odd, 4096 + 100);
    const socket = join(folder, 'odd.sock');
    const server = await startDiskServer({ socket, image: odd, options: ['--readonly'] });
    await server.waitFor(/the guest does not see its last 100 bytes/, LIMIT_MS, 'stderr');
    const poller = new EventLoopPoller();
    const guest = new TestGuest();
    const front = new FrontEnd(UnixSocket.connect(socket), poller);
    await negotiate(front);
    await start(front, guest);
    assert.equal(await guest.read(7, DATA, 512), 'ok');
    assert.equal(await guest.read(8, DATA, 512), 'ioerr');
    assert.equal(await guest.write(0, DATA, 512), 'ioerr');
    front.close();
    guest.close();
    poller.close();
    await stop(server, 'SIGTERM');
  });

  it('C: --debug prints messages and requests', async () => {
    const socket = join(folder, 'debug.sock');
    const server = await startDiskServer({ socket, image, options: ['--debug'] });
    const poller = new EventLoopPoller();
    const guest = new TestGuest();
    const front = new FrontEnd(UnixSocket.connect(socket), poller);
    await negotiate(front);
    await start(front, guest);
    assert.equal(await guest.read(3, DATA, 1024), 'ok');
    await server.waitFor(/GET_FEATURES/, LIMIT_MS, 'stderr');
    await server.waitFor(/SET_VRING_NUM index 0 value 64/, LIMIT_MS, 'stderr');
    await server.waitFor(/read 1024 bytes at 0x600 \(1 pieces\)/, LIMIT_MS, 'stderr');
    front.close();
    guest.close();
    poller.close();
    await stop(server, 'SIGTERM');
  });
});
