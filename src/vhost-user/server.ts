import type { Closable } from '../core/index.ts';
import { type Poller, UnixListener, type UnixSocket, type Watch } from '../host/index.ts';
import type { VirtioDevice } from '../virtio/index.ts';
import { VhostUserBackend, type VhostUserLog } from './backend.ts';

/** What a {@link VhostUserServer} serves, and where. */
export interface VhostUserServerOptions {
  /** Where front ends connect: the path of a Unix socket. A file whose server has gone is replaced. */
  readonly path: string;
  /** What calls the server when there is something to do. */
  readonly poller: Poller;
  /** The device. Front ends get it one after another, reset in between. */
  readonly device: VirtioDevice;
  /** Refuse guest memory that can shrink, which would kill this process. Default false: warn. */
  readonly requireSealed?: boolean;
  readonly log?: VhostUserLog;
}

/**
 * Serves a device to virtual machines, one after another, until it is closed. A second front end waits in the socket's
 * queue until the first has gone, however that went.
 *
 * @example
 * ```ts no-run
 * import { BlockingPoller } from 'guestmem/host';
 * import { VhostUserServer } from 'guestmem/vhost-user';
 * import { BlockDevice, MemoryStorage } from 'guestmem/virtio';
 *
 * const poller = new BlockingPoller();
 * const device = new BlockDevice({ storage: new MemoryStorage(64 << 20) });
 * const server = new VhostUserServer({ path: '/tmp/disk.sock', poller, device });
 * poller.run();
 * server.close();
 * ```
 */
export class VhostUserServer implements Closable {
  readonly #options: VhostUserServerOptions;
  readonly #listener: UnixListener;
  /** Exists while nobody is served. */
  #watch: Watch | undefined;
  #backend: VhostUserBackend | undefined;
  #open = true;

  /** @throws HostError as `UnixListener.bind` does: `in-use`, `wrong-kind`, `too-large`, `system` */
  constructor(options: VhostUserServerOptions) {
    this.#options = options;
    this.#listener = UnixListener.bind(options.path);
    this.#listen();
  }

  /** Ends the present connection, and stops listening. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watch?.close();
    this.#backend?.close();
    this.#listener.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #listen(): void {
    this.#watch = this.#options.poller.add(this.#listener.fd, { readable: true }, () => {
      const socket = this.#listener.accept();
      if (socket !== undefined) this.#serve(socket);
    });
  }

  #serve(socket: UnixSocket): void {
    const { poller, device, requireSealed = false, log } = this.#options;
    this.#watch?.close();
    this.#watch = undefined;
    log?.debug?.('A front end has connected');
    this.#backend = new VhostUserBackend({
      socket,
      poller,
      device,
      requireSealed,
      ...(log === undefined ? {} : { log }),
      onClose: (reason) => {
        this.#backend = undefined;
        if (reason === undefined) log?.debug?.('The front end has disconnected');
        else log?.warn(`The connection is closed: ${reason.message}`);
        if (this.#open) this.#listen();
      },
    });
  }
}
