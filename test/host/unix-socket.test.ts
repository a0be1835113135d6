import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  closeDescriptor,
  describeDescriptor,
  MAX_DESCRIPTORS,
  Memfd,
  UnixListener,
  UnixSocket,
} from '../../src/host/index.ts';
import { libc } from '../../src/host/libc.ts';
import { openDescriptors } from './host.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (view: Uint8Array): string => new TextDecoder().decode(view);

describe('UnixSocket', () => {
  it('H1: carries bytes, and says when there are none and when the peer has gone', () => {
    const [a, b] = UnixSocket.pair();
    const into = new Uint8Array(16);
    assert.equal(b.receive(into), undefined);
    assert.equal(a.send(bytes('hello')), 5);
    assert.deepEqual(b.receive(into.subarray(0, 2)), { length: 2, fds: [] });
    assert.deepEqual(b.receive(into.subarray(2)), { length: 3, fds: [] });
    assert.equal(text(into.subarray(0, 5)), 'hello');
    a.close();
    assert.deepEqual(b.receive(into), { length: 0, fds: [] });
    assert.throws(() => b.send(bytes('x')), { name: 'HostError', code: 'system', errno: 'EPIPE' });
    b.close();
    b.close();
    assert.throws(() => b.send(bytes('x')), { code: 'closed' });
    assert.throws(() => b.receive(into), { code: 'closed' });
  });

  it('H1: carries descriptors, each batch with its own bytes', () => {
    const [a, b] = UnixSocket.pair();
    const files = Array.from({ length: MAX_DESCRIPTORS }, (_, i) => Memfd.create(i + 1));
    const fds = files.map((file) => file.fd);
    a.send(bytes('one'), fds.slice(0, 1));
    a.send(bytes('all'), fds);
    a.send(bytes('none'));
    const into = new Uint8Array(64);
    const first = b.receive(into);
    assert.equal(first?.length, 3, 'stops before the bytes with other descriptors');
    assert.deepEqual(
      first?.fds.map((fd) => describeDescriptor(fd).size),
      [1],
    );
    const second = b.receive(into.subarray(0, 3));
    assert.deepEqual(
      second?.fds.map((fd) => describeDescriptor(fd).size),
      files.map((_, i) => i + 1),
    );
    assert.deepEqual(b.receive(into), { length: 4, fds: [] });
    for (const fd of [...(first?.fds ?? []), ...(second?.fds ?? [])]) {
      assert.notEqual(libc().fcntl(fd, 1, 0) & 1, 0, 'close-on-exec');
      closeDescriptor(fd);
    }
    for (const file of files) file.close();
    a.close();
    b.close();
  });

  it('H2: refuses more descriptors than fit, and descriptors without a byte', () => {
    const [a, b] = UnixSocket.pair();
    const many = Array.from({ length: MAX_DESCRIPTORS + 1 }, () => a.fd);
    assert.throws(() => a.send(bytes('x'), many), { name: 'HostError', code: 'too-large' });
    assert.throws(() => a.send(new Uint8Array(0), [a.fd]), { code: 'invalid' });
    assert.throws(() => a.send(bytes('x'), [9999]), { code: 'system', errno: 'EBADF' });
    assert.throws(() => b.receive(new Uint8Array(0)), { code: 'invalid' });
    a.close();
    b.close();
  });

  it('H2: truncated control data closes every descriptor that came, and is an error', () => {
    const [a, b] = UnixSocket.pair();
    sendRaw(
      a.fd,
      Array.from({ length: MAX_DESCRIPTORS + 8 }, () => a.fd),
    );
    const before = openDescriptors();
    assert.throws(() => b.receive(new Uint8Array(4)), { name: 'HostError', code: 'truncated' });
    assert.deepEqual(openDescriptors(), before);
    a.close();
    b.close();
  });

  it('H2: a peer that does not read never holds the sender up', () => {
    const [a, b] = UnixSocket.pair();
    const block = new Uint8Array(65536);
    let sent = 0;
    for (let last = 1; last > 0; sent += last) last = a.send(block);
    assert(sent > 0);
    assert.equal(a.send(block), 0);
    a.close();
    b.close();
  });

  it('H2: adopts sockets only', () => {
    const memfd = Memfd.create(1);
    assert.throws(() => UnixSocket.adopt(memfd.fd), { name: 'HostError', code: 'wrong-kind' });
    memfd.close();
  });
});

describe('UnixListener', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'guestmem-listen-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('H1: accepts connections and removes its file at the end', () => {
    const path = join(folder, 'plain');
    const listener = UnixListener.bind(path);
    assert.equal(listener.accept(), undefined);
    const client = UnixSocket.connect(path);
    const server = listener.accept();
    assert(server !== undefined);
    client.send(bytes('hi'));
    assert.equal(server.receive(new Uint8Array(8))?.length, 2);
    listener.close();
    listener.close();
    assert(!existsSync(path));
    assert.throws(() => listener.accept(), { code: 'closed' });
    assert.throws(() => UnixSocket.connect(path), { code: 'system', errno: 'ENOENT' });
    client.close();
    server.close();
  });

  it('H1: replaces the socket of a dead server, and refuses that of a live one', () => {
    const path = join(folder, 'stale');
    const first = UnixListener.bind(path);
    assert.throws(() => UnixListener.bind(path), { name: 'HostError', code: 'in-use' });
    first.accept()?.close();
    // As a killed server leaves it: the descriptor is gone, the file is not.
    closeDescriptor(first.fd);
    const second = UnixListener.bind(path);
    const client = UnixSocket.connect(path);
    client.close();
    second.close();
    assert(!existsSync(path));
  });

  it('H1: a live server with a full queue is live', () => {
    const path = join(folder, 'full');
    const listener = UnixListener.bind(path, { backlog: 0 });
    const waiting = UnixSocket.connect(path);
    assert.throws(() => UnixListener.bind(path), { code: 'in-use' });
    waiting.close();
    listener.close();
  });

  it('H1: never touches what is no socket, nor a socket that somebody else put there since', () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'precious');
    assert.throws(() => UnixListener.bind(file), { name: 'HostError', code: 'wrong-kind' });
    assert.equal(statSync(file).size, 8);

    const path = join(folder, 'moved');
    const mine = UnixListener.bind(path);
    rmSync(path);
    const theirs = UnixListener.bind(path);
    mine.close();
    assert(existsSync(path));
    theirs.close();
  });

  it('H2: refuses paths that do not fit, and reports what the system refuses', () => {
    assert.throws(() => UnixListener.bind(`/tmp/${'x'.repeat(103)}`), {
      name: 'HostError',
      code: 'too-large',
    });
    assert.throws(() => UnixListener.bind(''), { code: 'invalid' });
    assert.throws(() => UnixListener.bind('a\0b'), { code: 'invalid' });
    const before = openDescriptors();
    assert.throws(() => UnixListener.bind(join(folder, 'no', 'such')), { code: 'system', errno: 'ENOENT' });
    assert.deepEqual(openDescriptors(), before);
  });
});

/** Sends one byte with any number of descriptors, as a hostile peer can. */
function sendRaw(socket: number, fds: number[]): void {
  const c = libc();
  const control = new DataView(new ArrayBuffer(16 + 4 * fds.length));
  control.setBigUint64(0, BigInt(control.byteLength), true);
  control.setUint32(8, 1, true);
  control.setUint32(12, 1, true);
  for (const [i, fd] of fds.entries()) control.setInt32(16 + 4 * i, fd, true);
  const byte = new Uint8Array(new ArrayBuffer(1));
  const iovec = new BigUint64Array([c.addressOf(byte), 1n]);
  const address = (view: ArrayBufferLike): bigint => c.addressOf(new Uint8Array(view));
  const header = new BigUint64Array([
    0n,
    0n,
    address(iovec.buffer),
    1n,
    address(control.buffer),
    BigInt(control.byteLength),
    0n,
  ]);
  assert.equal(c.sendmsg(socket, new Uint8Array(header.buffer), 0), 1);
}
