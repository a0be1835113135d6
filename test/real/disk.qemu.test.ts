/**
 * A real Linux guest uses a disk that `guestmem vhost-user-blk` serves: it arrives whole both ways, it survives its users, and what
 * goes wrong with the image is the guest's I/O error and one line for the operator.
 */

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, run } from '../support/child.ts';
import { startDiskServer } from '../support/disk-server.ts';
import { sha256OfFile } from '../support/ext4-image.ts';
import { diskModules, LinuxGuest } from '../support/linux-guest.ts';
import { need } from '../support/need.ts';

const MiB = 2 ** 20;

describe('a Linux guest on a disk served by guestmem', {
  skip: need('qemu-system-x86_64', 'apt-get', 'dpkg-deb', 'setpriv', 'prlimit'),
  timeout: 900_000,
}, () => {
  let folder = '';
  const running: { close(): Promise<void> }[] = [];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'guestmem-disk-'));
  });
  after(async () => {
    for (const one of running) await one.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** A guest with the disk; whatever a failing test leaves behind is closed at the end. */
  const boot = async (socket: string, script: string): Promise<LinuxGuest> => {
    const guest = await LinuxGuest.start({ script, modules: diskModules, disk: socket });
    running.push(guest);
    return guest;
  };
  const serve = async (
    socket: string,
    image: string,
    options: readonly string[] = [],
    under: readonly string[] = [],
  ): Promise<Child> => {
    const server = await startDiskServer({ socket, image, options, under });
    running.push(server);
    return server;
  };
  const stop = async (server: Child): Promise<void> => {
    server.signal('SIGTERM');
    assert.deepEqual(await server.exit(60_000), { status: 0, signal: null }, server.stderr);
  };

  it('V5: 1 GiB is read and written with equal checksums on both sides', async () => {
    const image = join(folder, 'big');
    const { sum: original } = await makeRandomImage(image, 1024 * MiB);
    const turned = await sha256OfChunksTurned(image, 32 * MiB);
    const server = await serve(`${image}.sock`, image, ['--serial', 'guestmem-0001']);
    // The guest reads the whole disk for its checksum, then reads and writes it all again, turning the order of its 32 MiB chunks:
    // what must be in the image at the end is known beforehand, and no part of it stays where it was.
    const guest = await boot(
      `${image}.sock`,
      `
      echo "@@ size $(blockdev --getsize64 /dev/vda) serial $(cat /sys/block/vda/serial)"
      echo "@@ read $(dd if=/dev/vda bs=1M 2>/dev/null | sha256sum)"
      i=0; j=31; failed=0
      while [ $i -lt $j ]; do
        dd if=/dev/vda of=/tmp/i bs=32M skip=$i count=1 2>/dev/null || failed=1
        dd if=/dev/vda of=/tmp/j bs=32M skip=$j count=1 2>/dev/null || failed=1
        dd if=/tmp/j of=/dev/vda bs=1M seek=$((i * 32)) conv=notrunc 2>/dev/null || failed=1
        dd if=/tmp/i of=/dev/vda bs=1M seek=$((j * 32)) conv=notrunc,fsync 2>/dev/null || failed=1
        i=$((i + 1)); j=$((j - 1))
      done
      echo "@@ turned $failed"
      poweroff -f`,
    );
    const [, size, serial] = await guest.waitFor(/^@@ size (\d+) serial (.*?)\r?$/m);
    assert.equal(Number(size), 1024 * MiB);
    assert.equal(serial, 'guestmem-0001');
    const [, read] = await guest.waitFor(/^@@ read ([0-9a-f]{64})/m);
    assert.equal(read, original, 'the guest reads what is in the image');
    await guest.waitFor(/^@@ turned 0\r?$/m);
    await guest.poweredOff();
    await stop(server);
    assert.equal(await sha256OfFile(image), turned, 'the image has what the guest wrote');
    await rm(image);
  });

  it('V5: a QEMU killed in the middle leaves the back end serving the next one', async () => {
    const image = join(folder, 'killed');
    const { head: original } = await makeRandomImage(image, 128 * MiB);
    const server = await serve(`${image}.sock`, image);
    const first = await boot(
      `${image}.sock`,
      `
      while :; do dd if=/dev/vda of=/dev/null bs=1M count=64 iflag=direct 2>/dev/null; done &
      while :; do dd if=/dev/urandom of=/dev/vda bs=1M seek=64 count=64 conv=notrunc,fsync 2>/dev/null && echo "@@ round"; done`,
    );
    await first.waitFor(/^@@ round/m);
    await sleep(300);
    assert.ok(first.console.running);
    await first.close();

    const second = await boot(
      `${image}.sock`,
      `
      echo "@@ head $(dd if=/dev/vda bs=1M count=64 2>/dev/null | sha256sum)"
      dd if=/dev/zero of=/dev/vda bs=1M count=128 conv=fsync 2>/dev/null
      echo "@@ status $?"
      poweroff -f`,
    );
    const [, head] = await second.waitFor(/^@@ head ([0-9a-f]{64})/m);
    assert.equal(head, original, 'what the first guest did not write is as it was');
    await second.waitFor(/^@@ status 0\r?$/m);
    await second.poweredOff();
    await stop(server);
    const zeros = createHash('sha256')
      .update(Buffer.alloc(128 * MiB))
      .digest('hex');
    assert.equal(await sha256OfFile(image), zeros, 'the second guest wrote all of it');
  });

  it('V3: a read-only disk is read-only to the guest', async () => {
    const image = join(folder, 'read-only');
    const { sum } = await makeRandomImage(image, 8 * MiB);
    const server = await serve(`${image}.sock`, image, ['--readonly']);
    const guest = await boot(
      `${image}.sock`,
      `
      echo "@@ ro $(cat /sys/block/vda/ro)"
      dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync 2>/dev/null
      echo "@@ status $?"
      echo "@@ read $(sha256sum < /dev/vda)"
      poweroff -f`,
    );
    await guest.waitFor(/^@@ ro 1\r?$/m);
    await guest.waitFor(/^@@ status [1-9]/m);
    assert.equal((await guest.waitFor(/^@@ read ([0-9a-f]{64})/m))[1], sum);
    await guest.poweredOff();
    await stop(server);
    assert.equal(await sha256OfFile(image), sum);
  });

  it('V3: a full disk is an I/O error in the guest and a line on the host, and serving goes on', async (context) => {
    // The socket stands outside the folder that the small file system may cover.
    const socket = join(folder, 'full.sock');
    const image = join(folder, 'full', 'disk');
    await mkdir(dirname(image));
    await writeFile(image, '');
    await truncate(image, 64 * MiB);
    const under = await fullDisk(image);
    context.diagnostic(`disk made full by ${under[0]}`);
    const server = await serve(socket, image, [], under);
    const guest = await boot(
      socket,
      `
      dd if=/dev/urandom of=/dev/vda bs=1M count=32 conv=fsync 2>/dev/null
      echo "@@ write $?"
      dd if=/dev/urandom of=/tmp/page bs=4k count=1 2>/dev/null
      dd if=/tmp/page of=/dev/vda bs=4k conv=notrunc,fsync 2>/dev/null
      echo 3 > /proc/sys/vm/drop_caches
      dd if=/dev/vda bs=4k count=1 2>/dev/null | cmp - /tmp/page
      echo "@@ room $?"
      poweroff -f`,
    );
    await guest.waitFor(/^@@ write [1-9]/m);
    await guest.waitFor(/^@@ room 0\r?$/m);
    await guest.poweredOff();
    assert.match(guest.console.stdout, /I\/O error, dev vda/);
    // However many requests fail: one line, or the guest could flood the host's log.
    assert.match(server.stderr, /^guestmem: Cannot write .*(?:no space left|past its limit).*\n$/);
    await stop(server);
  });
});

/** Fills a new file with random bytes; answers the sha256 of the whole and of its first half. */
async function makeRandomImage(path: string, size: number): Promise<{ sum: string; head: string }> {
  const whole = createHash('sha256');
  const half = createHash('sha256');
  const file = await open(path, 'wx');
  const step = Math.min(16 * MiB, size / 2);
  for (let done = 0; done < size; done += step) {
    const bytes = randomBytes(step);
    whole.update(bytes);
    if (done < size / 2) half.update(bytes);
    await file.writeFile(bytes);
  }
  await file.close();
  return { sum: whole.digest('hex'), head: half.digest('hex') };
}

/** The sha256 of a file with its chunks in the opposite order. */
async function sha256OfChunksTurned(path: string, size: number): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path);
  const chunk = Buffer.alloc(size);
  for (let at = (await file.stat()).size - size; at >= 0; at -= size) {
    const { bytesRead } = await file.read(chunk, 0, size, at);
    assert.equal(bytesRead, size);
    hash.update(chunk);
  }
  await file.close();
  return hash.digest('hex');
}

/**
 * How to start a program for which the folder of `image` is on a file system that is full after 8 MiB: a small tmpfs in a mount
 * namespace of its own where the system allows that, else a limit on the size of files, which fails the same calls.
 */
async function fullDisk(image: string): Promise<readonly string[]> {
  const mount = 'mount -t tmpfs -o size=8M small "$(dirname "$0")" && truncate -s 64M "$0" && exec "$@"';
  const namespace = ['--user', '--map-root-user', '--mount', 'sh', '-euc', mount, image];
  const { status } = await run('unshare', [...namespace, 'true']);
  return status === 0 ? ['unshare', ...namespace] : ['prlimit', `--fsize=${8 * MiB}`];
}
