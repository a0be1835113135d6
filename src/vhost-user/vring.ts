import type { Closable, GuestAddressSpace, GuestMemory } from '../core/index.ts';
import type { EventFd, Poller, Watch } from '../host/index.ts';
import {
  SplitQueue,
  type SplitQueueLayout,
  serviceQueue,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  type VirtioDevice,
} from '../virtio/index.ts';
import type { RingAddresses } from './message.ts';
import { isPeerError } from './peer-error.ts';
import { VhostUserError } from './vhost-user-error.ts';

/** A ring without a kick descriptor is looked at this often. */
const POLL_INTERVAL_MS = 1;
const MAX_RING_SIZE = 32_768;

/** What a ring needs of its back end. */
export interface VringHost {
  readonly device: VirtioDevice;
  readonly poller: Poller;
  readonly space: GuestAddressSpace<GuestMemory>;
  /** The features that were negotiated last. */
  readonly features: () => bigint;
  /** The gpa of an address of the front end. */
  readonly translate: (userAddress: bigint) => number | undefined;
  readonly warn: (message: string) => void;
}

/**
 * One ring, as the front end configures it piece by piece, in an order of its choice. It runs as soon as, and as long as, nothing is
 * missing: size, addresses that the memory table holds, a kick (or the word that there is none), and the enable bit.
 */
export class Vring implements Closable {
  readonly #index: number;
  readonly #host: VringHost;
  #size = 0;
  #base = 0;
  #addresses: RingAddresses | undefined;
  #kick: EventFd | 'polled' | undefined;
  #call: EventFd | undefined;
  #error: EventFd | undefined;
  #enabled = false;
  /** Exists from the first run until the ring is stopped, also while it is disabled: it has the position. */
  #queue: SplitQueue | undefined;
  /** Exists while the ring runs. */
  #watch: Watch | undefined;
  /** A ring whose contents are beyond use waits to be stopped. */
  #broken = false;

  constructor(index: number, host: VringHost) {
    this.#index = index;
    this.#host = host;
  }

  /** Whether it was started and not stopped since. */
  get started(): boolean {
    return this.#queue !== undefined;
  }

  /** SET_VRING_NUM. */
  setSize(size: number): void {
    this.#refuseStarted('SET_VRING_NUM');
    if (size < 1 || size > MAX_RING_SIZE || (size & (size - 1)) !== 0) {
      throw this.#invalid(
        'SET_VRING_NUM',
        `its size is ${size}, wanted a power of two up to ${MAX_RING_SIZE}`,
      );
    }
    this.#size = size;
    this.update();
  }

  /** SET_VRING_BASE: where in the available ring to go on. */
  setBase(base: number): void {
    this.#refuseStarted('SET_VRING_BASE');
    if (base > 0xffff) throw this.#invalid('SET_VRING_BASE', `its base is ${base}, wanted at most 65535`);
    this.#base = base;
  }

  /** SET_VRING_ADDR. A running ring goes on at its new addresses. */
  setAddresses(addresses: RingAddresses): void {
    for (const [part, address] of Object.entries(addresses)) {
      if (this.#host.translate(address) !== undefined) continue;
      const text = `Cannot set the addresses of ring ${this.#index}: no memory region holds its ${part} at 0x${address.toString(16)}`;
      throw new VhostUserError('unmapped', text, { request: 'SET_VRING_ADDR' });
    }
    this.#addresses = addresses;
    this.update();
  }

  /** SET_VRING_KICK: what tells that the driver has added something. Starts a ring that was stopped. */
  setKick(kick: EventFd | undefined): void {
    this.#pause();
    this.#closeKick();
    this.#kick = kick ?? 'polled';
    this.#broken = false;
    this.update();
  }

  /** SET_VRING_CALL: how to tell the driver that something was used; `undefined`: it looks for itself. */
  setCall(call: EventFd | undefined): void {
    this.#call?.close();
    this.#call = call;
    // What was used before there was somebody to tell may still be unknown to the driver; a call too many is allowed.
    if (this.#queue !== undefined) call?.signal();
  }

  /** SET_VRING_ERR: how to tell the front end that the ring is broken. */
  setError(error: EventFd | undefined): void {
    this.#error?.close();
    this.#error = error;
  }

  /** SET_VRING_ENABLE. */
  setEnabled(enabled: boolean): void {
    this.#enabled = enabled;
    this.update();
  }

  /**
   * GET_VRING_BASE: stops the ring until the next SET_VRING_KICK. When this returns nothing of the ring is in use:
   * devices complete a request before they return, so that none is under way.
   *
   * @returns the index in the available ring to go on from
   */
  stop(): number {
    this.#pause();
    this.#closeKick();
    this.#broken = false;
    if (this.#queue !== undefined) {
      this.#base = this.#queue.nextAvail;
      this.#queue.close();
      this.#queue = undefined;
    }
    return this.#base;
  }

  /** Stops the ring and forgets its configuration. */
  reset(): void {
    this.stop();
    this.#size = 0;
    this.#base = 0;
    this.#addresses = undefined;
    this.#enabled = false;
  }

  close(): void {
    this.reset();
    this.setCall(undefined);
    this.setError(undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Runs the ring, or holds it, by what is configured now. To be called after every change of the memory table. */
  update(): void {
    const layout = this.#layout();
    const kick = this.#kick;
    if (layout === undefined || kick === undefined || !this.#enabled || this.#broken) {
      this.#pause();
      return;
    }
    try {
      if (this.#queue === undefined || !isSameLayout(this.#queue.layout, layout)) this.#start(layout);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (this.#watch !== undefined) return;
    const { poller } = this.#host;
    this.#watch =
      kick === 'polled'
        ? poller.every(POLL_INTERVAL_MS, () => this.#service())
        : poller.add(kick.fd, { readable: true }, () => this.#service());
    // The kick for what is in the ring already may have come, and been taken, before this.
    this.#service();
  }

  #start(layout: SplitQueueLayout): void {
    const { space, device } = this.#host;
    const features = this.#host.features();
    const queue = new SplitQueue(space, layout, {
      eventIndex: (features & VIRTIO_F_EVENT_IDX) !== 0n,
      indirect: (features & VIRTIO_F_INDIRECT_DESC) !== 0n,
      nextAvail: this.#queue?.nextAvail ?? this.#base,
      nextUsed: 'ring',
      maxChainLength: Math.max(layout.size, device.maxChainLength),
    });
    this.#queue?.close();
    this.#queue = queue;
  }

  #service(): void {
    const { device } = this.#host;
    const queue = this.#queue;
    if (queue === undefined) return;
    try {
      if (this.#kick instanceof Object) this.#kick.consume();
      const { notify, more } = serviceQueue(device, this.#index, queue);
      if (notify) this.#call?.signal();
      // One budget of work at a time: the poller looks after the others first, then comes back.
      if (more && this.#kick instanceof Object) this.#kick.signal();
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (device.needsReset) this.#break();
  }

  /** Errors that a guest or front end can cause break this ring only. */
  #fail(error: unknown): void {
    if (!isPeerError(error)) throw error;
    this.#host.warn(`Ring ${this.#index} is stopped: ${error.message}`);
    this.#break();
  }

  #break(): void {
    this.#broken = true;
    this.#pause();
    this.#error?.signal();
  }

  #pause(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  #closeKick(): void {
    if (this.#kick instanceof Object) this.#kick.close();
    this.#kick = undefined;
  }

  #layout(): SplitQueueLayout | undefined {
    if (this.#addresses === undefined || this.#size === 0) return undefined;
    const { translate } = this.#host;
    const descriptorTable = translate(this.#addresses.descriptorTable);
    const availableRing = translate(this.#addresses.availableRing);
    const usedRing = translate(this.#addresses.usedRing);
    if (descriptorTable === undefined || availableRing === undefined || usedRing === undefined)
      return undefined;
    return { size: this.#size, descriptorTable, availableRing, usedRing };
  }

  #refuseStarted(request: string): void {
    if (!this.started) return;
    throw new VhostUserError('ring-state', `Cannot handle ${request}: ring ${this.#index} is running`, {
      request,
    });
  }

  #invalid(request: string, why: string): VhostUserError {
    return new VhostUserError('invalid', `Cannot configure ring ${this.#index}: ${why}`, { request });
  }
}

function isSameLayout(a: SplitQueueLayout, b: SplitQueueLayout): boolean {
  return (
    a.size === b.size &&
    a.descriptorTable === b.descriptorTable &&
    a.availableRing === b.availableRing &&
    a.usedRing === b.usedRing
  );
}
