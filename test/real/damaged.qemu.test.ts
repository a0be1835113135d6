/**
 * Damaged input from a real machine: a dump cut short, a socket that is no monitor, a disk that is not there, an address that is
 * nowhere. Each is one clear line and the exit status that SPEC C gives it, and nothing is ever called absent that only is not here.
 */

import assert from 'node:assert/strict';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, it } from 'node:test';
import { openImageFile } from 'guestmem/qemu';
import type { Finished } from '../support/child.ts';
import { leaves, translatorOf } from '../support/leaves.ts';
import { need } from '../support/need.ts';
import { askQemu, choices, type Expected, pausedGuest } from '../support/paused-guest.ts';
import { guestmem } from '../support/project.ts';

/** Fails unless the command said exactly one line on standard error and ended as it should. */
function expectLine({ status, stdout, stderr }: Finished, wanted: number, line: RegExp): void {
  assert.match(stderr, /^guestmem: [^\n]+\n$/, `one line, not ${JSON.stringify(stderr)}`);
  assert.match(stderr, line);
  assert.equal(status, wanted, `${stdout}${stderr}`);
}

describe('damaged input from a real machine', {
  skip: need('qemu-system-x86_64', 'apt-get', 'dpkg-deb', 'setpriv'),
  timeout: 900_000,
}, () => {
  let folder = '';
  let whole = '';
  let size = 0;
  let expected: Expected[];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'guestmem-damaged-'));
    whole = join(folder, 'dump');
    const { guest, machine } = await pausedGuest({ cpu: 'qemu64', memory: '256M' });
    try {
      const pages = leaves(machine).map((leaf) => ({ ...leaf, user: leaf.rights.user }));
      expected = await askQemu(machine, pages, 200, 70, choices(2));
      await machine.qmp.execute(
        'dump-guest-memory',
        { paging: false, protocol: `file:${whole}` },
        { timeoutMs: 60_000 },
      );
      size = (await stat(whole)).size;
    } finally {
      await machine.detach();
      await guest.close();
    }
  });
  after(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  const cutTo = async (length: number): Promise<string> => {
    const path = join(folder, `cut-${length}`);
    // The end of a stream is inclusive, so that an empty one has to be made otherwise.
    if (length === 0) await writeFile(path, '');
    else await pipeline(createReadStream(whole, { end: length - 1 }), createWriteStream(path));
    return path;
  };

  it('I1, T2: a dump cut short never calls absent what is mapped, and never gives another address', async () => {
    let lost = 0;
    for (const part of [1 / 8, 1 / 2, 7 / 8]) {
      const image = openImageFile(await cutTo(Math.floor(size * part)));
      const translator = translatorOf(image);
      for (const { gva, gpa, user } of expected) {
        const got = translator.translate(gva, { kind: 'read', user });
        if (got.kind === 'table-unreadable') lost += 1;
        else
          assert.equal(
            got.kind === 'mapped' ? got.gpa : undefined,
            gpa,
            `0x${gva.toString(16)}, cut to ${part}`,
          );
      }
      image.close();
    }
    assert.ok(lost > 0, 'some tables were in the part that is gone');
  });

  it('I1, C: a dump cut short is a line and status 4, whatever is asked', async () => {
    const cut = await cutTo(Math.floor(size / 2));
    for (const args of [
      ['info', cut],
      ['ranges', cut],
      ['read', cut, '0x7fff000', '16M'],
    ]) {
      expectLine(await guestmem(args), 4, /truncated/);
    }
    const list = await guestmem(['pt', cut]);
    expectLine(list, 4, /truncated/);
    assert.match(list.stdout, /is not in the target/, 'the list names the tables that are gone');
    const { status } = await guestmem(['read', cut, '0x1000', '64']);
    assert.equal(status, 0, 'what is there is there');
  });

  it('I1, C: a dump cut in its headers, or empty, is a line and status 3', async () => {
    for (const length of [0, 3, 40, 63, 100, 300]) {
      expectLine(await guestmem(['info', await cutTo(length)]), 3, /cut-/);
    }
  });

  it('C: an address outside is a line or ?? and status 1; one that cannot exist is status 2', async () => {
    const outside = await guestmem(['read', whole, '0x900000000000', '32']);
    assert.equal(outside.status, 1, outside.stderr);
    assert.match(outside.stdout, /\?\?/);
    const walk = await guestmem(['walk', whole, '0x123456789000']);
    assert.equal(walk.status, 1, walk.stderr);
    for (const address of ['0x20000000000000', '-1', 'here']) {
      expectLine(await guestmem(['read', whole, address]), 2, /address|0x20000000000000|-1/);
    }
  });

  it('I4, C: a socket that is no monitor, or not there, is a line and status 3', async () => {
    const talker = join(folder, 'http.sock');
    const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => server.listen(talker, resolve));
    try {
      expectLine(await guestmem(['info', `qemu:${talker}`]), 3, /http\.sock/);
    } finally {
      server.close();
    }
    expectLine(await guestmem(['info', `qemu:${join(folder, 'none.sock')}`]), 3, /none\.sock/);
    expectLine(await guestmem(['info', `qemu:${whole}`]), 3, /dump/);
  });

  it('C: a disk that is missing or is no disk is a line and status 3', async () => {
    const socket = join(folder, 'disk.sock');
    const empty = join(folder, 'empty.img');
    await writeFile(empty, '');
    for (const image of [join(folder, 'missing.img'), folder, empty]) {
      expectLine(await guestmem(['vhost-user-blk', '--socket', socket, '--image', image]), 3, /disk|Cannot/);
    }
    const good = join(folder, 'good.img');
    await writeFile(good, Buffer.alloc(4096));
    const nowhere = join(folder, 'no', 'such', 'folder.sock');
    expectLine(await guestmem(['vhost-user-blk', '--socket', nowhere, '--image', good]), 3, /folder\.sock/);
  });
});
