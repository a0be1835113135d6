import { HostError } from './host-error.ts';

export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
export const SOCK_CLOEXEC = 0o2000000;
export const SOCK_NONBLOCK = 0o4000;

/** Bytes of `sun_path`; the last one is the terminating zero. */
const PATH_BYTES = 108;

/**
 * The structure sockaddr_un for a path, unix(7).
 *
 * @throws {@link HostError} `too-large` where it does not fit, `invalid` for an empty path or one with a zero byte
 */
export function socketAddress(path: string): Uint8Array {
  const encoded = new TextEncoder().encode(path);
  if (encoded.length === 0 || encoded.includes(0)) {
    throw new HostError('invalid', `Cannot use "${path}" as the path of a socket`, { operation: 'socket' });
  }
  if (encoded.length >= PATH_BYTES) {
    const message = `Cannot use "${path}" as the path of a socket: it has ${encoded.length} bytes, the system allows ${PATH_BYTES - 1}`;
    throw new HostError('too-large', message, { operation: 'socket' });
  }
  const address = new Uint8Array(2 + PATH_BYTES);
  address[0] = AF_UNIX;
  address.set(encoded, 2);
  return address;
}
