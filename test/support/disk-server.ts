/** `guestmem vhost-user-blk` as a test uses it: a child process with a socket of its own. */

import { Child } from './child.ts';
import { guestmemCommand } from './project.ts';

/** What to serve, and how. */
export interface DiskServerOptions {
  readonly socket: string;
  readonly image: string;
  /** More options of the verb. */
  readonly options?: readonly string[];
  /** A program with arguments that starts the command under some restriction, for example `prlimit --fsize=1000000`. */
  readonly under?: readonly string[];
}

/** Starts the back end and waits until it listens. */
export async function startDiskServer({
  socket,
  image,
  options = [],
  under = [],
}: DiskServerOptions): Promise<Child> {
  const verb = ['vhost-user-blk', '--socket', socket, '--image', image, ...options];
  const [program = '', ...args] = [...under, ...guestmemCommand, ...verb];
  const server = new Child(program, args, { name: 'guestmem vhost-user-blk' });
  try {
    // The socket's file is there before anybody listens; this line comes after.
    await server.waitFor(/^Serving /m, 60_000);
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}
