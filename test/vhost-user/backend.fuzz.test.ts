import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { EventFd, Memfd, UnixSocket } from '../../src/host/index.ts';
import { type PeerError, VhostUserBackend } from '../../src/vhost-user/index.ts';
import { BlockDevice, MemoryStorage } from '../../src/virtio/index.ts';
import { mappingsOf, openDescriptors } from '../host/host.ts';
import { FEATURES, PROTOCOL_FEATURES, RAM_SIZE, TestGuest, USER_BASE } from './front-end.ts';
import { ManualPoller } from './manual-poller.ts';
import { body, message, REQUEST, tableBody } from './wire.ts';

/** A back end and a front end's socket, in one thread, turned by hand. */
function connected(): {
  front: UnixSocket;
  poller: ManualPoller;
  backend: VhostUserBackend;
  ends: (PeerError | undefined)[];
} {
  const [front, back] = UnixSocket.pair();
  const poller = new ManualPoller();
  const ends: (PeerError | undefined)[] = [];
  const device = new BlockDevice({ storage: new MemoryStorage(1 << 20), queueCount: 2 });
  const backend = new VhostUserBackend({
    socket: back,
    poller,
    device,
    onClose: (reason) => ends.push(reason),
  });
  return { front, poller, backend, ends };
}

/** What is sent, and which kinds of descriptors go with it. */
interface Sent {
  readonly bytes: Uint8Array;
  readonly fds: readonly ('memfd' | 'eventfd')[];
}

const small = fc.integer({ min: 0, max: 3 });
const fds = fc.array(fc.constantFrom('memfd', 'eventfd'), { maxLength: 3 });
const flags = fc.constantFrom(1, 9);
const address = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.integer({ min: 0, max: RAM_SIZE / 16 }).map((n) => USER_BASE + BigInt(n) * 16n),
);
const size = fc.constantFrom(0n, 4096n, BigInt(RAM_SIZE), BigInt(RAM_SIZE) + 1n, 2n ** 64n - 4096n);
const region = fc.record({ gpa: fc.oneof(address, size), size, userAddress: address, mmapOffset: size });

/** Anything at all under a sound header, or not even that. */
const noise = fc.oneof(
  fc
    .tuple(fc.integer({ min: 0, max: 48 }), fc.uint8Array({ maxLength: 64 }), flags, fds)
    .map(([request, content, flag, kinds]): Sent => ({ bytes: message(request, content, flag), fds: kinds })),
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fds)
    .map(([bytes, kinds]): Sent => ({ bytes, fds: kinds })),
);

/** Messages that get past the decoder, with values that may or may not make sense. */
const shaped = fc
  .tuple(
    fc.oneof(
      fc.tuple(
        fc.constantFrom(
          REQUEST.SET_VRING_NUM,
          REQUEST.SET_VRING_BASE,
          REQUEST.GET_VRING_BASE,
          REQUEST.SET_VRING_ENABLE,
        ),
        fc
          .tuple(small, fc.oneof(small, fc.constantFrom(16, 256, 65535, 0xffff_ffff)))
          .map((fields) => body(fields)),
      ),
      fc.tuple(
        fc.constant(REQUEST.SET_VRING_ADDR),
        fc.tuple(small, address, address, address).map(([i, d, u, a]) => body([i, 0, d, u, a, 0n])),
      ),
      fc.tuple(
        fc.constantFrom(REQUEST.SET_VRING_KICK, REQUEST.SET_VRING_CALL, REQUEST.SET_VRING_ERR),
        fc.constantFrom(0n, 1n, 2n, 0x100n).map((value) => body([value])),
      ),
      fc.tuple(
        fc.constantFrom(REQUEST.ADD_MEM_REG, REQUEST.REM_MEM_REG),
        region.map((r) => body([0n, r.gpa, r.size, r.userAddress, r.mmapOffset])),
      ),
      fc.tuple(
        fc.constant(REQUEST.SET_MEM_TABLE),
        fc.array(region, { maxLength: 3 }).map((regions) => tableBody(regions)),
      ),
      fc.tuple(
        fc.constantFrom(REQUEST.RESET_DEVICE, REQUEST.RESET_OWNER, REQUEST.GET_QUEUE_NUM),
        fc.constant(body([])),
      ),
      fc.tuple(
        fc.constant(REQUEST.SET_FEATURES),
        fc.constantFrom(FEATURES, 1n << 32n, 0n, 1n << 63n).map((f) => body([f])),
      ),
    ),
    fds,
  )
  .map(([[request, content], kinds]): Sent => ({ bytes: message(request, content, 9), fds: kinds }));

describe('VhostUserBackend, fuzzed', () => {
  let memfd: Memfd;
  let event: EventFd;
  before(() => {
    memfd = Memfd.create(RAM_SIZE, { name: 'fuzz' });
    event = EventFd.create();
  });
  after(() => {
    memfd.close();
    event.close();
  });

  const converse = (sent: readonly Sent[], opening: readonly Uint8Array[]): void => {
    const descriptors = openDescriptors();
    const { front, poller, backend, ends } = connected();
    const into = new Uint8Array(65536);
    const send = (bytes: Uint8Array, kinds: Sent['fds']): void => {
      if (ends.length > 0) return;
      front.send(
        bytes,
        kinds.map((kind) => (kind === 'memfd' ? memfd.fd : event.fd)),
      );
      poller.turn();
      poller.turn();
      if (ends.length === 0) front.receive(into);
    };
    for (const bytes of opening) send(bytes, []);
    for (const { bytes, fds: kinds } of sent) send(bytes, kinds);
    const watches = poller.size;
    assert.equal(watches > 0, ends.length === 0);
    backend.close();
    front.close();
    assert.equal(ends.length, 1);
    assert.equal(poller.size, 0, 'no watch is left');
    assert.deepEqual(openDescriptors(), descriptors, 'no descriptor is left');
    assert.equal(mappingsOf('memfd:fuzz').length, 0, 'no mapping is left');
  };

  const negotiated = [
    message(REQUEST.SET_PROTOCOL_FEATURES, body([PROTOCOL_FEATURES])),
    message(REQUEST.SET_FEATURES, body([FEATURES])),
  ];

  it('V4: noise ends in typed errors, and leaves nothing open', () => {
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 8 }), (sent) => converse(sent, negotiated)),
      { numRuns: 400 },
    );
  });

  it('V4: sound messages in any order with any values end in typed errors, and leave nothing open', () => {
    fc.assert(
      fc.property(fc.array(shaped, { maxLength: 25 }), (sent) => converse(sent, negotiated)),
      { numRuns: 400 },
    );
  });

  it('V1, V4: whatever a guest writes into its rings, the back end goes on', () => {
    const guest = new TestGuest(16);
    const { front, poller, backend, ends } = connected();
    const into = new Uint8Array(65536);
    const send = (request: keyof typeof REQUEST, content: Uint8Array, descriptors: number[] = []): void => {
      front.send(message(REQUEST[request], content, 1), descriptors);
      poller.turn();
      front.receive(into);
    };
    for (const bytes of negotiated) {
      front.send(bytes);
      poller.turn();
    }
    send('SET_MEM_TABLE', tableBody([guest.region()]), [guest.memfd.fd]);
    const { start, end } = guest.layout;
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: end - start, maxLength: end - start, size: 'max' }),
        fc.integer({ min: 0, max: 20 }),
        fc.boolean(),
        (rings, ahead, indirect) => {
          // Plausible enough to get past the first check: some chains wait, and their buffers lie in RAM more often than not.
          for (let at = 0; at < 16 * 16; at += 16) rings.fill(0, at + 3, at + 8).fill(0, at + 10, at + 12);
          const avail = guest.layout.availableRing - start;
          rings.set([0, 0, ahead, 0], avail);
          guest.memory.writeAt(start, rings);
          send('SET_FEATURES', body([FEATURES | (indirect ? 3n << 28n : 0n)]));
          send('SET_VRING_NUM', body([0, 16]));
          send('SET_VRING_BASE', body([0, 0]));
          send('SET_VRING_ADDR', body(guest.ringAddresses()));
          send('SET_VRING_KICK', body([0n]), [guest.kick.fd]);
          send('SET_VRING_ENABLE', body([0, 1]));
          guest.kick.signal();
          poller.turn();
          poller.turn();
          send('GET_VRING_BASE', body([0, 0]));
          assert.deepEqual(ends, []);
        },
      ),
      { numRuns: 300 },
    );
    backend.close();
    front.close();
    guest.close();
  });
});
