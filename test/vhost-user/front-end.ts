/** A small vhost-user front end: what a virtual machine monitor does, driven step by step by a test. */
import assert from 'node:assert/strict';
import { GuestMemory } from '../../src/core/index.ts';
import {
  EventFd,
  type FileBacking,
  isHostError,
  Memfd,
  mapFile,
  type Poller,
  type UnixSocket,
  type Watch,
} from '../../src/host/index.ts';
import {
  BlockDriver,
  layoutSplitQueue,
  SplitDriverQueue,
  type SplitQueueSpace,
} from '../../src/virtio/index.ts';
import {
  body,
  type Field,
  message,
  NEED_REPLY,
  REQUEST,
  type Region,
  regionFields,
  tableBody,
} from './wire.ts';

/** A reply of the back end. */
export interface Reply {
  readonly request: number;
  readonly body: DataView;
}

const HEADER = 12;

/** One end of a connection, speaking for a virtual machine. */
export class FrontEnd {
  readonly #socket: UnixSocket;
  readonly #watch: Watch;
  readonly #replies: Reply[] = [];
  #waiting: (() => void) | undefined;
  #pending: Uint8Array = new Uint8Array(0);
  /** The back end has closed the connection. */
  ended = false;

  constructor(socket: UnixSocket, poller: Poller) {
    this.#socket = socket;
    this.#watch = poller.add(socket.fd, { readable: true }, () => this.#receive());
  }

  /** Sends bytes as they are. */
  raw(bytes: Uint8Array, fds: readonly number[] = []): void {
    assert.equal(this.#socket.send(bytes, fds), bytes.length);
  }

  send(
    request: keyof typeof REQUEST,
    fields: readonly Field[] | Uint8Array = [],
    fds: readonly number[] = [],
    flags = 1,
  ): void {
    this.raw(message(REQUEST[request], fields instanceof Uint8Array ? fields : body(fields), flags), fds);
  }

  /** Sends and waits for the reply. */
  async ask(
    request: keyof typeof REQUEST,
    fields: readonly Field[] | Uint8Array = [],
    fds: readonly number[] = [],
    flags = 1,
  ): Promise<DataView> {
    this.send(request, fields, fds, flags);
    const reply = await this.reply();
    assert(reply !== undefined, `no reply to ${request}: the connection was closed`);
    assert.equal(reply.request, REQUEST[request]);
    return reply.body;
  }

  /** Sends with the wish for an acknowledgement; answers whether the back end said yes. */
  async acknowledged(
    request: keyof typeof REQUEST,
    fields: readonly Field[] | Uint8Array = [],
    fds: readonly number[] = [],
  ): Promise<boolean> {
    const answer = await this.ask(request, fields, fds, 1 | NEED_REPLY);
    return answer.getBigUint64(0, true) === 0n;
  }

  /** As {@link acknowledged}, where only yes will do. */
  async must(
    request: keyof typeof REQUEST,
    fields: readonly Field[] | Uint8Array = [],
    fds: readonly number[] = [],
  ): Promise<void> {
    assert(await this.acknowledged(request, fields, fds), `${request} was refused`);
  }

  /** The next reply; `undefined` where the back end has closed the connection. */
  async reply(): Promise<Reply | undefined> {
    while (this.#replies.length === 0 && !this.ended) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return this.#replies.shift();
  }

  close(): void {
    this.#watch.close();
    this.#socket.close();
  }

  #receive(): void {
    const chunk = new Uint8Array(65536);
    const length = this.#read(chunk);
    if (length === undefined) return;
    if (length === 0) {
      this.ended = true;
      this.#watch.close();
    }
    this.#pending = Buffer.concat([this.#pending, chunk.subarray(0, length)]);
    for (;;) {
      const { buffer, byteOffset, byteLength } = this.#pending;
      const view = new DataView(buffer, byteOffset, byteLength);
      if (byteLength < HEADER) break;
      const size = view.getUint32(8, true);
      if (byteLength < HEADER + size) break;
      assert.equal(view.getUint32(4, true), 5, 'flags of a reply: version 1, reply');
      this.#replies.push({
        request: view.getUint32(0, true),
        body: new DataView(buffer, byteOffset + HEADER, size),
      });
      this.#pending = this.#pending.subarray(HEADER + size);
    }
    this.#waiting?.();
  }

  #read(chunk: Uint8Array): number | undefined {
    try {
      return this.#socket.receive(chunk)?.length;
    } catch (error) {
      // A back end that closes with bytes of ours unread resets the connection.
      if (isHostError(error) && error.errno === 'ECONNRESET') return 0;
      throw error;
    }
  }
}

/** Where the "front end" has its RAM mapped: any number will do, as long as ring addresses are told in it. */
export const USER_BASE = 0x7f00_0000_0000n;
export const RAM_SIZE = 0x40_0000;

/** RAM in a memfd, seen through a mapping of the test's own, with one block queue in it. */
export class TestGuest {
  readonly memfd: Memfd;
  readonly backing: FileBacking;
  readonly memory: GuestMemory;
  readonly layout: SplitQueueSpace;
  readonly kick: EventFd = EventFd.create();
  readonly call: EventFd = EventFd.create();
  readonly error: EventFd = EventFd.create();
  disk: BlockDriver;

  constructor(queueSize = 64) {
    this.memfd = Memfd.create(RAM_SIZE, { name: 'test-guest' });
    this.backing = mapFile(this.memfd.fd);
    this.memory = GuestMemory.fromRegions([{ start: 0, backing: this.backing }], { name: 'driver' });
    this.layout = layoutSplitQueue(0x1000, queueSize);
    this.disk = this.#driver();
  }

  /** A driver that begins anew: zeroed rings, nothing outstanding. */
  restart(): void {
    this.disk = this.#driver();
  }

  /** The whole RAM as one region of the table. */
  region(gpa = 0n): Region {
    return { gpa, size: BigInt(RAM_SIZE), userAddress: USER_BASE, mmapOffset: 0n };
  }

  /** Fields of SET_VRING_ADDR for ring `index`. */
  ringAddresses(index = 0): Field[] {
    const user = (gpa: number): bigint => USER_BASE + BigInt(gpa);
    const { descriptorTable, usedRing, availableRing } = this.layout;
    return [index, 0, user(descriptorTable), user(usedRing), user(availableRing), 0n];
  }

  /** Waits for the device's interrupt, then collects one completion. */
  async completion(): Promise<{ id: number; status: string; written: number }> {
    for (;;) {
      this.disk.queue.fetchUsed();
      const done = this.disk.collect();
      if (done !== undefined) return done;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Lets the device run, and answers what came of the one request that `add` puts in. */
  async request(add: () => number): Promise<string> {
    const id = add();
    if (this.disk.queue.publish()) this.kick.signal();
    const done = await this.completion();
    assert.equal(done.id, id);
    return done.status;
  }

  read(sector: number, gpa: number, length: number): Promise<string> {
    return this.request(() => this.disk.read(sector, [{ gpa, length }]));
  }

  write(sector: number, gpa: number, length: number): Promise<string> {
    return this.request(() => this.disk.write(sector, [{ gpa, length }]));
  }

  close(): void {
    this.backing.close();
    this.memfd.close();
    for (const event of [this.kick, this.call, this.error]) event.close();
  }

  #driver(): BlockDriver {
    const queue = new SplitDriverQueue(this.memory, this.layout);
    return new BlockDriver(this.memory, queue, 0x8000);
  }
}

/** Features of a modern driver: VERSION_1 and the protocol features of the transport. */
export const FEATURES: bigint = (1n << 32n) | (1n << 30n);
/** MQ, REPLY_ACK, CONFIG, RESET_DEVICE, CONFIGURE_MEM_SLOTS. */
export const PROTOCOL_FEATURES: bigint = 1n | (1n << 3n) | (1n << 9n) | (1n << 13n) | (1n << 15n);

/** What a monitor does before the guest runs, in QEMU's order. */
export async function negotiate(front: FrontEnd, features: bigint = FEATURES): Promise<void> {
  const offered = (await front.ask('GET_FEATURES')).getBigUint64(0, true);
  assert.equal(features & ~offered, 0n);
  assert.equal((await front.ask('GET_PROTOCOL_FEATURES')).getBigUint64(0, true), PROTOCOL_FEATURES);
  front.send('SET_PROTOCOL_FEATURES', [PROTOCOL_FEATURES]);
  await front.must('SET_OWNER');
  await front.must('SET_FEATURES', [features]);
}

/** What it does when the driver is ready: memory, rings, descriptors, and off. */
export async function start(
  front: FrontEnd,
  guest: TestGuest,
  options: { base?: number; addRegion?: boolean } = {},
): Promise<void> {
  if (options.addRegion === true)
    await front.must('ADD_MEM_REG', [0n, ...regionFields(guest.region())], [guest.memfd.fd]);
  else await front.must('SET_MEM_TABLE', tableBody([guest.region()]), [guest.memfd.fd]);
  await startRing(front, guest, options.base);
}

/** Configures ring 0 and starts it. */
export async function startRing(front: FrontEnd, guest: TestGuest, base = 0): Promise<void> {
  await front.must('SET_VRING_NUM', [0, guest.layout.size]);
  await front.must('SET_VRING_BASE', [0, base]);
  await front.must('SET_VRING_ADDR', guest.ringAddresses());
  await front.must('SET_VRING_KICK', [0n], [guest.kick.fd]);
  await front.must('SET_VRING_CALL', [0n], [guest.call.fd]);
  await front.must('SET_VRING_ERR', [0n], [guest.error.fd]);
  await front.must('SET_VRING_ENABLE', [0, 1]);
}
