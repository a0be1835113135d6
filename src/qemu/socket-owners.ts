import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';

/** Who holds a Unix socket, as far as we may know. */
export interface SocketOwners {
  readonly pids: readonly number[];
  /** Why there are none, for people. */
  readonly why: string;
}

// "0000000087e40b6c: 00000002 00000000 00010000 0001 01 30731 /tmp/qmp.sock": inode and path are the last two.
const SOCKET = /^[0-9a-f]+: (?:[0-9a-f]+ ){5}\s*(\d+) (.+)$/i;

/**
 * Finds the processes that hold a socket bound at `path`: the kernel lists bound sockets with their inodes in
 * `/proc/net/unix`, and a process's descriptors say `socket:[inode]`. QEMU keeps the listening one open, so that
 * this finds it while other processes' monitors stay out.
 */
export function socketOwners(path: string): SocketOwners {
  let bound: BoundSocket[];
  try {
    bound = boundSockets(path);
  } catch (error) {
    return { pids: [], why: `/proc/net/unix cannot be read (${reasonOf(error)})` };
  }
  if (bound.length === 0) return { pids: [], why: `no socket of this network namespace is bound at ${path}` };
  const pids: number[] = [];
  let closed = 0;
  for (const pid of processes()) {
    const links = descriptorLinks(pid);
    if (links === undefined) closed++;
    else if (bound.some((socket) => links.has(`socket:[${socket.inode}]`) && isAt(socket, pid, path)))
      pids.push(pid);
  }
  const why = `no process that we may look into holds ${path} (${closed} are closed to us: be QEMU's user, or root)`;
  return { pids, why };
}

interface BoundSocket {
  readonly inode: string;
  /** As it was given to bind(2): perhaps relative to the working directory of whoever did it. */
  readonly path: string;
}

function boundSockets(path: string): BoundSocket[] {
  const wanted = real(path);
  const name = wanted.slice(wanted.lastIndexOf('/') + 1);
  const sockets: BoundSocket[] = [];
  for (const line of readFileSync('/proc/net/unix', 'utf8').split('\n')) {
    const [, inode, bound] = SOCKET.exec(line) ?? [];
    if (inode === undefined || bound === undefined) continue;
    if (isAbsolute(bound) ? real(bound) === wanted : bound.endsWith(name))
      sockets.push({ inode, path: bound });
  }
  return sockets;
}

/** Whether a socket that was bound at a relative path is the one meant, seen from its holder's working directory. */
function isAt(socket: BoundSocket, pid: number, path: string): boolean {
  if (isAbsolute(socket.path)) return true;
  try {
    return real(resolve(readlinkSync(`/proc/${pid}/cwd`), socket.path)) === real(path);
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** What a process's descriptors point to, or `undefined` where we may not look or it is gone. */
function descriptorLinks(pid: number): Set<string> | undefined {
  try {
    const links = new Set<string>();
    for (const name of readdirSync(`/proc/${pid}/fd`)) {
      const link = linkOf(`/proc/${pid}/fd/${name}`);
      if (link !== undefined) links.add(link);
    }
    return links;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** A symbolic link's text, or `undefined` where it has gone since it was listed. */
export function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Errors that mean "not for us, or no longer": processes end and close descriptors while we look. */
export function isGone(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM' || code === 'EINVAL';
}

/** The code of a system call's error (`EACCES`), or its message. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}

function real(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (isGone(error)) return resolve(path);
    throw error;
  }
}
