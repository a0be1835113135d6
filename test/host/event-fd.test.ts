import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { describe, it } from 'node:test';
import { EventFd, Memfd, UnixSocket } from '../../src/host/index.ts';
import { libc } from '../../src/host/libc.ts';

describe('EventFd', () => {
  it('H1: what is signalled, however often, is consumed once', () => {
    const event = EventFd.create();
    assert.equal(event.consume(), false);
    event.signal();
    event.signal();
    assert.equal(event.consume(), true);
    assert.equal(event.consume(), false);
    event.close();
    event.close();
    assert.throws(() => event.signal(), { name: 'HostError', code: 'closed' });
    assert.throws(() => event.consume(), { name: 'HostError', code: 'closed' });
  });

  it('H2: a full counter holds nobody up', () => {
    const event = EventFd.create();
    const c = libc();
    const full = new Uint8Array(new BigUint64Array([2n ** 64n - 2n]).buffer);
    assert.equal(c.write(event.fd, full, 8), 8);
    event.signal();
    assert.equal(event.consume(), true);
    event.close();
  });

  it('H2: one that came from elsewhere is made non-blocking', () => {
    const EFD_CLOEXEC = 0o2000000;
    const fd = libc().eventfd(0, EFD_CLOEXEC);
    const event = EventFd.adopt(fd);
    const O_NONBLOCK = 0o4000;
    assert.notEqual(libc().fcntl(fd, 3, 0) & O_NONBLOCK, 0);
    assert.equal(event.consume(), false);
    event.close();
  });

  it('H2: refuses what is no eventfd, and leaves it open', () => {
    const memfd = Memfd.create(8);
    const [a, b] = UnixSocket.pair();
    const zero = openSync('/dev/zero', 'r');
    for (const fd of [memfd.fd, a.fd, zero]) {
      assert.throws(() => EventFd.adopt(fd), { name: 'HostError', code: 'wrong-kind' });
    }
    assert.equal(memfd.size, 8);
    memfd.close();
    a.close();
    b.close();
    closeSync(zero);
    assert.throws(() => EventFd.adopt(9999), { code: 'system' });
  });
});
