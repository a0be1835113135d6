import { inspect } from 'node:util';
import type { Closable } from '../core/index.ts';
import { closeDescriptor, EventFd, type Poller, type UnixSocket, type Watch } from '../host/index.ts';
import type { VirtioDevice } from '../virtio/index.ts';
import { Connection, type RawMessage } from './connection.ts';
import { MemoryTable } from './memory-table.ts';
import { decodeMessage, encodeReply, type FrontEndMessage, requestName } from './message.ts';
import { isPeerError, type PeerError } from './peer-error.ts';
import {
  MAX_MEMORY_SLOTS,
  OFFERED_PROTOCOL_FEATURES,
  PROTOCOL_FEATURES,
  type ProtocolFeature,
  VHOST_USER_F_PROTOCOL_FEATURES,
} from './protocol.ts';
import { encodeConfig, encodeRingState, encodeU64 } from './reply.ts';
import { VhostUserError } from './vhost-user-error.ts';
import { Vring, type VringHost } from './vring.ts';

/** Where a back end says what happens. */
export interface VhostUserLog {
  /** Something that a person should know: a broken ring, a refused message, a file that can shrink. */
  warn(message: string): void;
  /** Every message of the front end. */
  debug?(message: string): void;
}

/** What a {@link VhostUserBackend} works with. */
export interface VhostUserBackendOptions {
  /** The connection to the front end. The back end closes it. */
  readonly socket: UnixSocket;
  /** What calls the back end when there is something to do. */
  readonly poller: Poller;
  /** The device that the virtual machine gets. It is reset at the end. */
  readonly device: VirtioDevice;
  /** Refuse guest memory that can shrink, which would kill this process. Default false: warn. */
  readonly requireSealed?: boolean;
  readonly log?: VhostUserLog;
  /** Called once, when the connection has ended and everything is given back; with the error that ended it, if one did. */
  readonly onClose?: (reason: PeerError | undefined) => void;
}

/** The protocol feature without which a request is refused. */
const NEEDED_FEATURE: Partial<Record<FrontEndMessage['request'], ProtocolFeature>> = {
  GET_QUEUE_NUM: 'MQ',
  GET_CONFIG: 'CONFIG',
  SET_CONFIG: 'CONFIG',
  GET_MAX_MEM_SLOTS: 'CONFIGURE_MEM_SLOTS',
  ADD_MEM_REG: 'CONFIGURE_MEM_SLOTS',
  REM_MEM_REG: 'CONFIGURE_MEM_SLOTS',
  RESET_DEVICE: 'RESET_DEVICE',
};

/**
 * The back end of one vhost-user connection: it gives a device of this process to a virtual machine of another one. It handles a
 * message at a time, and nothing that a front end sends throws out of it, blocks it, or leaves a descriptor open.
 *
 * A request that is refused is answered so where the front end asked for an acknowledgement; otherwise the connection ends,
 * because the two sides no longer agree about the state.
 */
export class VhostUserBackend implements Closable {
  readonly #options: VhostUserBackendOptions;
  readonly #connection: Connection;
  readonly #watch: Watch;
  readonly #memory: MemoryTable;
  readonly #rings: readonly Vring[];
  #features = 0n;
  #protocolFeatures = 0n;
  #open = true;

  constructor(options: VhostUserBackendOptions) {
    const { device, poller, socket, requireSealed = false } = options;
    this.#options = options;
    this.#connection = new Connection(socket);
    const warn = (message: string): void => this.#warn(message);
    this.#memory = new MemoryTable({ requireSealed, warn });
    const host: VringHost = {
      device,
      poller,
      space: this.#memory.space,
      features: () => this.#features,
      translate: (address) => this.#memory.translate(address),
      warn,
    };
    this.#rings = Array.from({ length: device.queueCount }, (_, index) => new Vring(index, host));
    this.#watch = poller.add(socket.fd, { readable: true }, () => this.#receive());
  }

  /** Ends the connection and gives everything back: rings, descriptors, mappings. The device is reset. */
  close(): void {
    this.#end(undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #end(reason: PeerError | undefined): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watch.close();
    for (const ring of this.#rings) ring.close();
    this.#memory.close();
    this.#connection.close();
    this.#options.device.reset();
    this.#options.onClose?.(reason);
  }

  /** One message a call: the poller serves the rings in between. */
  #receive(): void {
    try {
      const message = this.#connection.receive();
      if (message === 'end') this.#end(undefined);
      else if (message !== undefined) this.#handle(message);
    } catch (error) {
      if (!isPeerError(error)) throw error;
      this.#end(error);
    }
  }

  #handle(raw: RawMessage): void {
    const { header, body, fds } = raw;
    const acknowledge = header.needReply && (this.#protocolFeatures & PROTOCOL_FEATURES.REPLY_ACK) !== 0n;
    let reply: Uint8Array | undefined;
    try {
      const message = decodeMessage(header.request, body, fds.length);
      this.#options.log?.debug?.(describe(message));
      reply = this.#dispatch(message, fds);
    } catch (error) {
      const name = requestName(header.request);
      // A request that has an answer of its own has none that says no.
      if (!isPeerError(error) || !acknowledge || name.startsWith('GET_')) throw error;
      this.#warn(error.message);
      this.#connection.send(encodeReply(header.request, encodeU64(1n)));
      return;
    } finally {
      // Those that were kept have been taken out of the list.
      for (const fd of fds) closeDescriptor(fd);
    }
    if (reply !== undefined) this.#connection.send(encodeReply(header.request, reply));
    else if (acknowledge) this.#connection.send(encodeReply(header.request, encodeU64(0n)));
  }

  /** Does what the message says; answers the body of the reply, where the request has one. */
  #dispatch(message: FrontEndMessage, fds: number[]): Uint8Array | undefined {
    this.#checkNegotiated(message.request);
    const { device } = this.#options;
    switch (message.request) {
      case 'GET_FEATURES':
        return encodeU64(device.features | VHOST_USER_F_PROTOCOL_FEATURES);
      case 'SET_FEATURES':
        this.#acceptFeatures(message.features);
        return undefined;
      case 'GET_PROTOCOL_FEATURES':
        return encodeU64(OFFERED_PROTOCOL_FEATURES);
      case 'SET_PROTOCOL_FEATURES':
        checkOffered(message.request, message.features, OFFERED_PROTOCOL_FEATURES);
        this.#protocolFeatures = message.features;
        return undefined;
      case 'GET_QUEUE_NUM':
        return encodeU64(BigInt(device.queueCount));
      case 'GET_MAX_MEM_SLOTS':
        return encodeU64(BigInt(MAX_MEMORY_SLOTS));
      case 'SET_OWNER':
        return undefined;
      case 'RESET_OWNER':
      case 'RESET_DEVICE':
        this.#resetDevice();
        return undefined;
      case 'SET_MEM_TABLE':
        this.#memory.replace(message.regions, fds);
        this.#updateRings();
        return undefined;
      case 'ADD_MEM_REG':
        this.#memory.add(message.region, fds[0] ?? -1);
        this.#updateRings();
        return undefined;
      case 'REM_MEM_REG':
        this.#memory.remove(message.region);
        this.#updateRings();
        return undefined;
      case 'SET_VRING_NUM':
        this.#ring(message).setSize(message.value);
        return undefined;
      case 'SET_VRING_BASE':
        this.#ring(message).setBase(message.value);
        return undefined;
      case 'SET_VRING_ADDR':
        this.#ring(message).setAddresses(message.addresses);
        return undefined;
      case 'SET_VRING_ENABLE':
        if (message.value > 1) {
          throw new VhostUserError(
            'invalid',
            `Cannot enable ring ${message.index}: the value is ${message.value}, wanted 0 or 1`,
            {
              request: message.request,
            },
          );
        }
        this.#ring(message).setEnabled(message.value === 1);
        return undefined;
      case 'GET_VRING_BASE': {
        const base = this.#ring(message).stop();
        this.#recoverDevice();
        return encodeRingState(message.index, base);
      }
      case 'SET_VRING_KICK':
        this.#ring(message).setKick(takeEventFd(fds));
        return undefined;
      case 'SET_VRING_CALL':
        this.#ring(message).setCall(takeEventFd(fds));
        return undefined;
      case 'SET_VRING_ERR':
        this.#ring(message).setError(takeEventFd(fds));
        return undefined;
      case 'GET_CONFIG':
        return encodeConfig(message.offset, message.size, (bytes) =>
          device.readConfig(message.offset, bytes),
        );
      case 'SET_CONFIG':
        device.writeConfig(message.offset, message.bytes);
        return undefined;
    }
  }

  #acceptFeatures(features: bigint): void {
    const { device } = this.#options;
    checkOffered('SET_FEATURES', features, device.features | VHOST_USER_F_PROTOCOL_FEATURES);
    device.acceptFeatures(features & ~VHOST_USER_F_PROTOCOL_FEATURES);
    this.#features = features;
    // "If VHOST_USER_F_PROTOCOL_FEATURES has not been negotiated, the ring starts directly in the enabled state."
    if ((features & VHOST_USER_F_PROTOCOL_FEATURES) === 0n)
      for (const ring of this.#rings) ring.setEnabled(true);
  }

  #resetDevice(): void {
    for (const ring of this.#rings) ring.reset();
    this.#options.device.reset();
    this.#features = 0n;
  }

  /** A device that a malformed ring has put out of service comes back with the last ring's stop: that is the driver's reset. */
  #recoverDevice(): void {
    const { device } = this.#options;
    if (!device.needsReset || this.#rings.some((ring) => ring.started)) return;
    device.reset();
    device.acceptFeatures(this.#features & ~VHOST_USER_F_PROTOCOL_FEATURES);
  }

  #updateRings(): void {
    for (const ring of this.#rings) ring.update();
  }

  #ring(message: { readonly request: string; readonly index: number }): Vring {
    const ring = this.#rings[message.index];
    if (ring !== undefined) return ring;
    const text = `Cannot handle ${message.request}: there is no ring ${message.index}, only ${this.#rings.length}`;
    throw new VhostUserError('invalid', text, { request: message.request });
  }

  #checkNegotiated(request: FrontEndMessage['request']): void {
    const feature = NEEDED_FEATURE[request];
    if (feature === undefined || (this.#protocolFeatures & PROTOCOL_FEATURES[feature]) !== 0n) return;
    const text = `Cannot handle ${request}: the front end has not negotiated ${feature}`;
    throw new VhostUserError('not-negotiated', text, { request });
  }

  #warn(message: string): void {
    this.#options.log?.warn(message);
  }
}

function checkOffered(request: string, features: bigint, offered: bigint): void {
  const others = features & ~offered;
  if (others === 0n) return;
  const text = `Cannot handle ${request}: features 0x${others.toString(16)} were not offered`;
  throw new VhostUserError('unsupported', text, { request });
}

/** The message's descriptor as an eventfd, taken out of the list; `undefined` where none came. */
function takeEventFd(fds: number[]): EventFd | undefined {
  const fd = fds[0];
  if (fd === undefined) return undefined;
  const event = EventFd.adopt(fd);
  fds.shift();
  return event;
}

function describe(message: FrontEndMessage): string {
  const { request, ...facts } = message;
  const values = Object.entries(facts).map(
    ([name, value]) => `${name} ${inspect(value, { breakLength: Number.POSITIVE_INFINITY })}`,
  );
  return [request, ...values].join(' ');
}
