import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { EventLoopPoller, Memfd, UnixSocket } from '../../src/host/index.ts';
import type { PeerError } from '../../src/vhost-user/index.ts';
import { VhostUserBackend } from '../../src/vhost-user/index.ts';
import {
  BlockDevice,
  MemoryStorage,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
} from '../../src/virtio/index.ts';
import { mappingsOf, openDescriptors } from '../host/host.ts';
import { FEATURES, FrontEnd, negotiate, start, startRing, TestGuest } from './front-end.ts';
import { body, message, NEED_REPLY, type REQUEST, regionFields, tableBody } from './wire.ts';

const DATA = 0x1_0000;

describe('VhostUserBackend', () => {
  let before: number[] = [];
  let poller: EventLoopPoller;
  let guest: TestGuest;
  let storage: MemoryStorage;
  let backend: VhostUserBackend;
  let front: FrontEnd;
  let warnings: string[] = [];
  let reasons: (PeerError | undefined)[] = [];

  const connect = (queueCount = 1): void => {
    const [near, far] = UnixSocket.pair();
    backend = new VhostUserBackend({
      socket: far,
      poller,
      device: new BlockDevice({
        storage,
        serial: 'test',
        queueCount,
        onError: (error) => warnings.push(String(error)),
      }),
      log: { warn: (text) => warnings.push(text) },
      onClose: (reason) => reasons.push(reason),
    });
    front = new FrontEnd(near, poller);
  };

  beforeEach(() => {
    // koffi and the event loop open descriptors of their own at their first use.
    new EventLoopPoller().close();
    before = openDescriptors();
    poller = new EventLoopPoller();
    guest = new TestGuest();
    storage = new MemoryStorage(Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 31 + (i >> 9)) & 0xff));
    warnings = [];
    reasons = [];
    connect();
  });

  afterEach(() => {
    front.close();
    backend.close();
    guest.close();
    poller.close();
    assert.deepEqual(openDescriptors(), before, 'no descriptor is left');
    assert.equal(mappingsOf('memfd:test-guest').length, 0, 'no mapping is left');
  });

  it('V4: serves reads and writes over a ring of the front end', async () => {
    await negotiate(front);
    await start(front, guest);
    assert.equal(await guest.read(3, DATA, 1024), 'ok');
    assert.deepEqual(guest.memory.readBytes(DATA, 1024), storage.bytes.slice(3 * 512, 3 * 512 + 1024));
    guest.memory.fillAt(DATA, 0x5a, 4096);
    assert.equal(await guest.write(8, DATA, 4096), 'ok');
    assert(storage.bytes.subarray(4096, 8192).every((byte) => byte === 0x5a));
    assert.equal(await guest.read(2048, DATA, 512), 'ioerr', 'past the end');
    assert(guest.call.consume(), 'the driver was called');
    assert.deepEqual(warnings, []);
  });

  it('V4: works with the event index and indirect descriptors negotiated', async () => {
    await negotiate(front, FEATURES | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC);
    await start(front, guest);
    for (let i = 0; i < 200; i++) assert.equal(await guest.read(i, DATA, 512), 'ok');
  });

  it('V4: tells its features, queues, memory slots and configuration', async () => {
    connectAnew(2);
    const features = (await front.ask('GET_FEATURES')).getBigUint64(0, true);
    assert.equal(features & FEATURES, FEATURES);
    await negotiate(front);
    assert.equal((await front.ask('GET_QUEUE_NUM')).getBigUint64(0, true), 2n);
    assert.equal((await front.ask('GET_MAX_MEM_SLOTS')).getBigUint64(0, true), 509n);
    const config = await front.ask('GET_CONFIG', body([0, 60, 0], new Uint8Array(60)));
    assert.deepEqual([config.getUint32(0, true), config.getUint32(4, true), config.byteLength], [0, 60, 72]);
    assert.equal(config.getBigUint64(12, true), 2048n, 'capacity in sectors');
    const tail = await front.ask('GET_CONFIG', body([250, 6, 0], new Uint8Array(6)));
    assert.deepEqual(
      new Uint8Array(tail.buffer, tail.byteOffset + 12, 6),
      new Uint8Array(6),
      'past the end: zeros',
    );
    await front.must('SET_CONFIG', body([32, 1, 0], Uint8Array.of(1)));
  });

  it('V4: memory in several regions in any order, replaced while the ring is stopped and while it runs', async () => {
    await negotiate(front);
    const half = 0x20_0000n;
    const low = { ...guest.region(), size: half };
    const high = { gpa: half, size: half, userAddress: 0x1000n, mmapOffset: half };
    await front.must('SET_MEM_TABLE', tableBody([high, low]), [guest.memfd.fd, guest.memfd.fd]);
    await startRing(front, guest);
    assert.equal(await guest.read(0, Number(half), 512), 'ok');
    assert.equal(await guest.read(0, Number(half) - 512, 1024), 'ok', 'across the seam');
    assert.deepEqual(guest.memory.readBytes(Number(half) - 512, 1024), storage.bytes.slice(0, 1024));
    await front.must('SET_MEM_TABLE', tableBody([guest.region()]), [guest.memfd.fd]);
    assert.equal(
      mappingsOf('memfd:test-guest').length,
      2,
      'the old mappings are gone: one here, one of the test',
    );
    assert.equal(await guest.read(5, DATA, 512), 'ok');
  });

  it('V4: a ring waits while its memory is away, and goes on when it is back', async () => {
    await negotiate(front);
    await start(front, guest, { addRegion: true });
    assert.equal(await guest.read(0, DATA, 512), 'ok');
    await front.must('REM_MEM_REG', [0n, ...regionFields(guest.region())]);
    assert.equal(mappingsOf('memfd:test-guest').length, 1);
    const id = guest.disk.read(1, [{ gpa: DATA, length: 512 }]);
    if (guest.disk.queue.publish()) guest.kick.signal();
    await front.must('SET_VRING_ERR', [0n], [guest.error.fd]);
    assert.equal(guest.disk.queue.fetchUsed(), 0);
    await front.must('ADD_MEM_REG', [0n, ...regionFields(guest.region())], [guest.memfd.fd]);
    assert.deepEqual(await guest.completion(), { id, status: 'ok', written: 513 });
    assert.equal(guest.error.consume(), false);
  });

  it('V4: memory plugged while the ring runs is used by the next request', async () => {
    await negotiate(front);
    await start(front, guest);
    const extra = Memfd.create(0x1_0000, { name: 'test-guest-extra' });
    const at = { gpa: 0x1_0000_0000n, size: 0x1_0000n, userAddress: 0x6000_0000_0000n, mmapOffset: 0n };
    await front.must('ADD_MEM_REG', [0n, ...regionFields(at)], [extra.fd]);
    const { disk, memory } = guest;
    const plugged = memory.insertRegion({ start: 0x1_0000_0000, backing: guest.backing });
    assert(plugged.checkRange(0x1_0000_0000, 512));
    assert.equal(await guest.request(() => disk.read(7, [{ gpa: 0x1_0000_0000, length: 512 }])), 'ok');
    await front.must('REM_MEM_REG', [0n, ...regionFields(at)], [extra.fd]);
    extra.close();
  });

  it('V4: GET_VRING_BASE stops the ring and tells where to go on; a restart there loses nothing', async () => {
    await negotiate(front);
    await start(front, guest);
    for (let i = 0; i < 5; i++) await guest.read(i, DATA, 512);
    const state = await front.ask('GET_VRING_BASE', [0, 0]);
    assert.deepEqual([state.getUint32(0, true), state.getUint32(4, true)], [0, 5]);
    // While it is stopped nothing happens, whatever the driver does.
    const id = guest.disk.read(9, [{ gpa: DATA, length: 512 }]);
    guest.disk.queue.publish();
    guest.kick.signal();
    await front.must('SET_VRING_ERR', [0n], [guest.error.fd]);
    assert.equal(guest.disk.queue.fetchUsed(), 0);
    await startRing(front, guest, 5);
    assert.deepEqual(await guest.completion(), { id, status: 'ok', written: 513 });
    assert.deepEqual(guest.memory.readBytes(DATA, 512), storage.bytes.slice(9 * 512, 10 * 512));
    assert.equal((await front.ask('GET_VRING_BASE', [0, 0])).getUint32(4, true), 6);
  });

  it('V4: a disabled ring rests, and goes on where it was', async () => {
    await negotiate(front);
    await start(front, guest);
    await guest.read(0, DATA, 512);
    await front.must('SET_VRING_ENABLE', [0, 0]);
    const id = guest.disk.read(1, [{ gpa: DATA, length: 512 }]);
    guest.disk.queue.publish();
    guest.kick.signal();
    await front.must('SET_VRING_ERR', [0n], [guest.error.fd]);
    assert.equal(guest.disk.queue.fetchUsed(), 0);
    await front.must('SET_VRING_ENABLE', [0, 1]);
    assert.equal((await guest.completion()).id, id);
  });

  it('V4: the ring may be configured in any order', async () => {
    await negotiate(front);
    await front.must('SET_VRING_ENABLE', [0, 1]);
    await front.must('SET_VRING_KICK', [0n], [guest.kick.fd]);
    await front.must('SET_MEM_TABLE', tableBody([guest.region()]), [guest.memfd.fd]);
    await front.must('SET_VRING_ADDR', guest.ringAddresses());
    await front.must('SET_VRING_NUM', [0, guest.layout.size]);
    assert.equal(await guest.read(1, DATA, 512), 'ok');
  });

  it('V4: without a kick descriptor the ring is polled; without a call descriptor nobody is called', async () => {
    await negotiate(front);
    await start(front, guest);
    await front.must('SET_VRING_KICK', [0x100n]);
    await front.must('SET_VRING_CALL', [0x100n]);
    guest.call.consume();
    const id = guest.disk.read(2, [{ gpa: DATA, length: 512 }]);
    guest.disk.queue.publish();
    assert.equal((await guest.completion()).id, id);
    assert.equal(guest.call.consume(), false);
  });

  it('V4: without protocol features rings are enabled from the start, and nothing is acknowledged', async () => {
    front.send('SET_OWNER', [], [], 1 | NEED_REPLY);
    front.send('SET_FEATURES', [1n << 32n]);
    front.send('SET_MEM_TABLE', tableBody([guest.region()]), [guest.memfd.fd]);
    front.send('SET_VRING_NUM', [0, 64]);
    front.send('SET_VRING_ADDR', guest.ringAddresses());
    front.send('SET_VRING_KICK', [0n], [guest.kick.fd]);
    assert.equal(await guest.read(1, DATA, 512), 'ok');
    assert((await front.ask('GET_FEATURES')).byteLength === 8, 'the first reply is that of GET_FEATURES');
  });

  it('V4: RESET_DEVICE stops the rings and forgets their configuration', async () => {
    await negotiate(front);
    await start(front, guest);
    await guest.read(0, DATA, 512);
    await front.must('RESET_DEVICE');
    assert.equal((await front.ask('GET_VRING_BASE', [0, 0])).getUint32(4, true), 0);
    guest.restart();
    await front.must('SET_FEATURES', [FEATURES]);
    await startRing(front, guest);
    assert.equal(await guest.read(0, DATA, 512), 'ok');
  });

  it('V4: refused requests are answered so where asked for, and change nothing', async () => {
    await negotiate(front);
    await start(front, guest);
    const refused: [keyof typeof REQUEST, Uint8Array, number[]][] = [
      ['SET_FEATURES', body([1n << 50n]), []],
      ['SET_PROTOCOL_FEATURES', body([1n << 1n]), []],
      ['SET_VRING_NUM', body([0, 128]), []],
      ['SET_VRING_NUM', body([1, 64]), []],
      ['SET_VRING_BASE', body([0, 1]), []],
      ['SET_VRING_ENABLE', body([0, 2]), []],
      ['SET_VRING_ADDR', body([0, 0, 1n, 2n, 3n, 0n]), []],
      ['SET_VRING_KICK', body([0n]), []],
      ['SET_VRING_KICK', body([0n]), [guest.memfd.fd]],
      ['SET_VRING_CALL', body([0n]), [guest.kick.fd, guest.kick.fd]],
      ['SET_VRING_CALL', body([7n]), [guest.kick.fd]],
      [
        'SET_MEM_TABLE',
        tableBody([guest.region(), guest.region(1n << 40n)]),
        [guest.memfd.fd, guest.memfd.fd],
      ],
      ['SET_MEM_TABLE', tableBody([guest.region()]), [guest.kick.fd]],
      ['ADD_MEM_REG', body([0n, ...regionFields(guest.region())]), [guest.memfd.fd]],
      ['REM_MEM_REG', body([0n, ...regionFields(guest.region(4096n))]), []],
      ['SET_LOG_BASE', body([0n, 0n]), [guest.memfd.fd]],
      ['SET_CONFIG', body([250, 10, 0], new Uint8Array(10)), []],
    ];
    const descriptors = openDescriptors().length;
    for (const [request, content, fds] of refused) {
      assert.equal(await front.acknowledged(request, content, fds), false, request);
      assert.equal(openDescriptors().length, descriptors, `${request} left a descriptor open`);
    }
    assert.equal(warnings.length, refused.length);
    front.raw(message(4711, body([]), 1 | NEED_REPLY));
    assert.equal((await front.reply())?.body.getBigUint64(0, true), 1n);
    assert.equal(await guest.read(0, DATA, 512), 'ok', 'the device works as before');
  });

  it('V4: refused without a wish for an acknowledgement, the connection ends', async () => {
    await negotiate(front);
    front.send('SET_VRING_NUM', [0, 3]);
    assert.equal(await front.reply(), undefined);
    assert.equal(reasons.length, 1);
    assert.equal(reasons[0]?.name, 'VhostUserError');
    assert.equal(reasons[0]?.code, 'invalid');
  });

  it('V4: what has an answer of its own is never answered with a no', async () => {
    await negotiate(front);
    front.send('GET_VRING_BASE', [5, 0], [], 1 | NEED_REPLY);
    assert.equal(await front.reply(), undefined);
    assert.equal(reasons[0]?.code, 'invalid');
  });

  it('V4: needs the protocol feature to be negotiated', async () => {
    front.send('GET_CONFIG', body([0, 8, 0], new Uint8Array(8)));
    assert.equal(await front.reply(), undefined);
    assert.equal(reasons[0]?.code, 'not-negotiated');
  });

  it('V4: a stream that is no longer one ends the connection', async () => {
    front.raw(Uint8Array.from({ length: 12 }, () => 0xff));
    assert.equal(await front.reply(), undefined);
    assert.equal(reasons[0]?.code, 'header');
  });

  it('V1, V4: a malformed ring is reported once through the error descriptor, and a reset makes it good', async () => {
    await negotiate(front);
    await start(front, guest);
    await guest.read(0, DATA, 512);
    guest.memory.writeU16(guest.layout.availableRing + 2, 0x7fff);
    guest.kick.signal();
    while (!guest.error.consume()) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /QueueError/);
    guest.kick.signal();
    await front.ask('GET_VRING_BASE', [0, 0]);
    guest.restart();
    await startRing(front, guest);
    assert.equal(await guest.read(0, DATA, 512), 'ok');
    assert.equal(warnings.length, 1);
  });

  it('V1, V4: ring addresses that no ring can have stop the ring, not the back end', async () => {
    await negotiate(front);
    await start(front, guest);
    await front.ask('GET_VRING_BASE', [0, 0]);
    const [index = 0, flags = 0, descriptors = 0n, ...others] = guest.ringAddresses();
    await front.must('SET_VRING_ADDR', [index, flags, BigInt(descriptors) + 1n, ...others]);
    await front.must('SET_VRING_KICK', [0n], [guest.kick.fd]);
    assert(guest.error.consume());
    assert.match(warnings[0] ?? '', /Ring 0 is stopped/);
    await front.must('SET_VRING_ADDR', guest.ringAddresses());
    await front.must('SET_VRING_KICK', [0n], [guest.kick.fd]);
    assert.equal(await guest.read(0, DATA, 512), 'ok');
  });

  it('V4: each ring of several is served by its own kick', async () => {
    connectAnew(2);
    await negotiate(front);
    await front.must('SET_MEM_TABLE', tableBody([guest.region()]), [guest.memfd.fd]);
    await front.must('SET_VRING_NUM', [1, 64]);
    await front.must('SET_VRING_ADDR', guest.ringAddresses(1));
    await front.must('SET_VRING_KICK', [1n], [guest.kick.fd]);
    await front.must('SET_VRING_ENABLE', [1, 1]);
    assert.equal(await guest.read(4, DATA, 512), 'ok');
    assert.equal((await front.ask('GET_VRING_BASE', [1, 0])).getUint32(4, true), 1);
    assert.equal((await front.ask('GET_VRING_BASE', [0, 0])).getUint32(4, true), 0);
  });

  it('V4: close() in the middle of everything gives everything back, once', async () => {
    await negotiate(front);
    await start(front, guest);
    guest.disk.read(0, [{ gpa: DATA, length: 512 }]);
    guest.disk.queue.publish();
    guest.kick.signal();
    backend.close();
    backend.close();
    assert.deepEqual(reasons, [undefined]);
    assert.equal(await front.reply(), undefined);
  });

  function connectAnew(queueCount: number): void {
    front.close();
    backend.close();
    connect(queueCount);
  }
});
