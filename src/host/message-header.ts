import { libc } from './libc.ts';

/** The most descriptors in one message here; vhost-user has at most 32 (the kernel would take 253). */
export const MAX_DESCRIPTORS = 32;

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const CMSG_HEADER = 16;

/**
 * The structures of sendmsg(2) and recvmsg(2), laid out by hand and reused for every message:
 *
 *     struct msghdr   0 name  8 namelen  16 iov  24 iovlen  32 control  40 controllen  48 flags
 *     struct iovec    0 base  8 len
 *     struct cmsghdr  0 len   8 level    12 type   16 data (descriptors, 4 bytes each)
 */
export class MessageHeader {
  readonly bytes: Uint8Array;
  readonly #header = new DataView(new ArrayBuffer(56));
  readonly #iovec = new DataView(new ArrayBuffer(16));
  readonly #control = new DataView(new ArrayBuffer(CMSG_HEADER + 4 * MAX_DESCRIPTORS));

  constructor() {
    this.bytes = viewOf(this.#header);
    const { addressOf } = libc();
    this.#header.setBigUint64(16, addressOf(viewOf(this.#iovec)), true);
    this.#header.setBigUint64(24, 1n, true);
  }

  /** Prepares to send `bytes` with `fds`. */
  forSending(bytes: Uint8Array, fds: readonly number[]): void {
    this.#point(bytes);
    const length = CMSG_HEADER + 4 * fds.length;
    this.#control.setBigUint64(0, BigInt(length), true);
    this.#control.setUint32(8, SOL_SOCKET, true);
    this.#control.setUint32(12, SCM_RIGHTS, true);
    for (const [i, fd] of fds.entries()) this.#control.setInt32(CMSG_HEADER + 4 * i, fd, true);
    this.#setControl(fds.length === 0 ? 0 : length);
  }

  /** Prepares to receive into `bytes`, with room for {@link MAX_DESCRIPTORS}. */
  forReceiving(bytes: Uint8Array): void {
    this.#point(bytes);
    this.#setControl(this.#control.byteLength);
  }

  /** The descriptors that came. Some may be missing: see {@link MessageHeader.isTruncated}. */
  receivedDescriptors(): number[] {
    const end = Number(this.#header.getBigUint64(40, true));
    const fds: number[] = [];
    // Nothing but SCM_RIGHTS was asked for, and the kernel puts all descriptors into one control message.
    if (end < CMSG_HEADER || this.#control.getUint32(12, true) !== SCM_RIGHTS) return fds;
    const length = Math.min(Number(this.#control.getBigUint64(0, true)), end);
    for (let at = CMSG_HEADER; at + 4 <= length; at += 4) fds.push(this.#control.getInt32(at, true));
    return fds;
  }

  /** Whether control data was lost, and with it descriptors. */
  isTruncated(): boolean {
    return (this.#header.getUint32(48, true) & MSG_CTRUNC) !== 0;
  }

  #point(bytes: Uint8Array): void {
    this.#iovec.setBigUint64(0, libc().addressOf(bytes), true);
    this.#iovec.setBigUint64(8, BigInt(bytes.byteLength), true);
    this.#header.setUint32(48, 0, true);
  }

  #setControl(length: number): void {
    this.#header.setBigUint64(32, length === 0 ? 0n : libc().addressOf(viewOf(this.#control)), true);
    this.#header.setBigUint64(40, BigInt(length), true);
  }
}

function viewOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
