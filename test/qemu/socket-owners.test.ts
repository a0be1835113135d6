import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { socketOwners } from '../../src/qemu/socket-owners.ts';

describe('socketOwners', () => {
  const here = process.cwd();
  const servers: Server[] = [];
  let folder = '';
  const listen = async (path: string): Promise<void> => {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(path, resolve));
  };
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'owners-'));
    await listen(join(folder, 'absolute.sock'));
    process.chdir(folder);
    await listen('relative.sock');
    symlinkSync(folder, join(folder, 'link'));
  });
  after(async () => {
    process.chdir(here);
    for (const server of servers) await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  });

  it('I4: finds who holds a socket, bound absolutely or relatively, by any path to it', () => {
    assert.deepEqual(socketOwners(join(folder, 'absolute.sock')).pids, [process.pid]);
    assert.deepEqual(socketOwners(join(folder, 'relative.sock')).pids, [process.pid]);
    assert.deepEqual(socketOwners('relative.sock').pids, [process.pid]);
    assert.deepEqual(socketOwners(join(folder, 'link', 'absolute.sock')).pids, [process.pid]);
  });

  it('I4: a relative name in another folder is another socket', () => {
    const { pids, why } = socketOwners(join(tmpdir(), 'relative.sock'));
    assert.deepEqual(pids, []);
    assert.match(why, /no process that we may look into holds/);
  });

  it('I4: says so where nothing is bound at the path', () => {
    assert.match(
      socketOwners(join(folder, 'none.sock')).why,
      /^no socket of this network namespace is bound at /,
    );
  });
});
