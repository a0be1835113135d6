import type { Closable } from '../core/index.ts';
import { closeDescriptor, MAX_DESCRIPTORS, type UnixSocket } from '../host/index.ts';
import { decodeHeader, type MessageHeader, requestName } from './message.ts';
import { HEADER_SIZE, MAX_BODY_SIZE } from './protocol.ts';
import { VhostUserError } from './vhost-user-error.ts';

/** A message whose framing is sound; its body is not read yet. */
export interface RawMessage {
  readonly header: MessageHeader;
  /** Valid until the next message is received. */
  readonly body: DataView;
  /** Descriptors that came along: the receiver's. */
  readonly fds: number[];
}

/**
 * Cuts the byte stream of a socket into messages. A message that has come in part is kept until the rest is there, so that a slow
 * or a silent front end never holds anybody up.
 *
 * Reads exactly a header, then exactly its body: descriptors travel with the bytes they were sent with, and reading further
 * would mix those of two messages.
 */
export class Connection implements Closable {
  readonly #socket: UnixSocket;
  readonly #bytes = new Uint8Array(new ArrayBuffer(HEADER_SIZE + MAX_BODY_SIZE));
  readonly #view = new DataView(this.#bytes.buffer);
  #filled = 0;
  #header: MessageHeader | undefined;
  #fds: number[] = [];

  constructor(socket: UnixSocket) {
    this.#socket = socket;
  }

  get fd(): number {
    return this.#socket.fd;
  }

  /**
   * The next message; `undefined` where it is not all there yet, `'end'` where the front end has closed.
   *
   * @throws VhostUserError `header`, `descriptors`, or `disconnected` in the middle of a message; HostError for a broken connection.
   * After any of these the connection is of no more use.
   */
  receive(): RawMessage | 'end' | undefined {
    for (;;) {
      if (this.#header === undefined && this.#filled === HEADER_SIZE) this.#header = decodeHeader(this.#view);
      const wanted = HEADER_SIZE + (this.#header?.size ?? 0);
      if (this.#header !== undefined && this.#filled === wanted) return this.#take(this.#header);
      const received = this.#socket.receive(this.#bytes.subarray(this.#filled, wanted));
      if (received === undefined) return undefined;
      this.#fds.push(...received.fds);
      if (this.#fds.length > MAX_DESCRIPTORS) {
        const text = `Cannot read a message: ${this.#fds.length} descriptors came along, wanted at most ${MAX_DESCRIPTORS}`;
        throw new VhostUserError('descriptors', text);
      }
      if (received.length === 0) {
        if (this.#filled === 0) return 'end';
        const part = this.#header === undefined ? 'a header' : requestName(this.#header.request);
        const text = `Cannot read a message: the front end went away after ${this.#filled} of ${wanted} bytes of ${part}`;
        throw new VhostUserError('disconnected', text);
      }
      this.#filled += received.length;
    }
  }

  /**
   * Sends a reply.
   *
   * @throws VhostUserError `not-reading` where the socket is full: no sound front end has so many replies outstanding
   */
  send(bytes: Uint8Array): void {
    if (this.#socket.send(bytes) < bytes.byteLength) {
      throw new VhostUserError('not-reading', 'Cannot reply: the front end does not read its replies');
    }
  }

  /** Closes the socket, and the descriptors of a message that did not come to its end. */
  close(): void {
    for (const fd of this.#fds.splice(0)) closeDescriptor(fd);
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #take(header: MessageHeader): RawMessage {
    const fds = this.#fds;
    this.#fds = [];
    this.#header = undefined;
    this.#filled = 0;
    return { header, body: new DataView(this.#bytes.buffer, HEADER_SIZE, header.size), fds };
  }
}
