import { createConnection, type Socket } from 'node:net';
import { QmpError } from './qmp-error.ts';

/** `sun_path` has 108 bytes, the last of which is the terminating zero (unix(7)); longer ones would be cut. */
const MAX_PATH = 107;

/**
 * Connects to a monitor's socket.
 *
 * @throws QmpError `connect`, or `busy` where too many wait for it already
 */
export function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const length = Buffer.byteLength(path);
    if (length === 0 || length > MAX_PATH) {
      const what = `Cannot connect to QEMU: current path of ${length} bytes, wanted 1 to ${MAX_PATH}`;
      reject(new QmpError('connect', what, { path }));
      return;
    }
    const socket = createConnection({ path });
    const failed = (cause: NodeJS.ErrnoException): void => {
      socket.destroy();
      // A Unix socket whose queue of unaccepted connections is full refuses with EAGAIN.
      const code = cause.code === 'EAGAIN' ? 'busy' : 'connect';
      reject(new QmpError(code, `Cannot connect to QEMU at ${path}: ${reasonOf(cause)}`, { path, cause }));
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      resolve(socket);
    });
  });
}

function reasonOf(cause: NodeJS.ErrnoException): string {
  switch (cause.code) {
    case 'ENOENT':
      return 'there is no such socket';
    case 'ECONNREFUSED':
      return 'nobody listens there (a left-over of a machine that is gone?)';
    case 'EACCES':
    case 'EPERM':
      return 'permission denied';
    case 'ENOTSOCK':
      return 'it is not a socket';
    case 'EAGAIN':
      return 'too many clients are waiting for it already';
    default:
      return cause.message;
  }
}
