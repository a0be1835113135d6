import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { closeDescriptor, describeDescriptor, Memfd, UnixSocket } from '../../src/host/index.ts';
import { Connection } from '../../src/vhost-user/connection.ts';
import { openDescriptors } from '../host/host.ts';
import { body, message } from './wire.ts';

function connected(): { front: UnixSocket; connection: Connection } {
  const [front, back] = UnixSocket.pair();
  return { front, connection: new Connection(back) };
}

describe('Connection', () => {
  it('V4: puts a message together however it was cut, with its descriptors', () => {
    const { front, connection } = connected();
    const memfd = Memfd.create(3);
    const bytes = message(2, body([0x1234n]));
    for (const [i, byte] of bytes.entries()) {
      assert.equal(connection.receive(), undefined);
      front.send(Uint8Array.of(byte), i === 5 ? [memfd.fd] : []);
    }
    const got = connection.receive();
    assert(got !== undefined && got !== 'end');
    assert.deepEqual(got.header, { request: 2, needReply: false, size: 8 });
    assert.equal(got.body.getBigUint64(0, true), 0x1234n);
    assert.deepEqual(
      got.fds.map((fd) => describeDescriptor(fd).size),
      [3],
    );
    for (const fd of got.fds) closeDescriptor(fd);
    assert.equal(connection.receive(), undefined);
    front.close();
    assert.equal(connection.receive(), 'end');
    connection.close();
    memfd.close();
  });

  it('V4: keeps apart messages that came together', () => {
    const { front, connection } = connected();
    front.send(Buffer.concat([message(1, body([])), message(2, body([7n])), message(3, body([]))]));
    const requests: number[] = [];
    for (let got = connection.receive(); got !== undefined && got !== 'end'; got = connection.receive()) {
      requests.push(got.header.request);
    }
    assert.deepEqual(requests, [1, 2, 3]);
    front.close();
    connection.close();
  });

  it('V4: refuses too many descriptors, also in small portions, and leaks none', () => {
    const before = openDescriptors();
    const { front, connection } = connected();
    const bytes = message(2, body([0n]));
    const fds = Array.from({ length: 20 }, () => front.fd);
    front.send(bytes.subarray(0, 4), fds);
    front.send(bytes.subarray(4), fds);
    assert.throws(() => connection.receive(), { name: 'VhostUserError', code: 'descriptors' });
    connection.close();
    front.close();
    assert.deepEqual(openDescriptors(), before);
  });

  it('V4: closes the descriptors of a message that never came to its end', () => {
    const memfd = Memfd.create(1);
    const before = openDescriptors();
    const { front, connection } = connected();
    front.send(message(2, body([0n])).subarray(0, 14), [memfd.fd, memfd.fd]);
    assert.equal(connection.receive(), undefined);
    front.close();
    assert.throws(() => connection.receive(), {
      name: 'VhostUserError',
      code: 'disconnected',
      message: /after 14 of 20 bytes of SET_FEATURES/,
    });
    connection.close();
    assert.deepEqual(openDescriptors(), before);
    memfd.close();
  });

  it('V4: gives up on a front end that does not read', () => {
    const { front, connection } = connected();
    assert.throws(
      () => {
        for (let i = 0; i < 100_000; i++) connection.send(new Uint8Array(4096));
      },
      { name: 'VhostUserError', code: 'not-reading' },
    );
    front.close();
    connection.close();
  });
});
