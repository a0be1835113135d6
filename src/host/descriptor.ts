import { readlinkSync } from 'node:fs';
import { HostError, systemError } from './host-error.ts';
import { libc } from './libc.ts';

// linux/stat.h, linux/fcntl.h: the same numbers on every architecture that libc() accepts.
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const S_IFMT = 0o170000;
const F_GETFL = 3;
const F_SETFL = 4;
const F_GET_SEALS = 1034;
const F_SEAL_SHRINK = 2;
const O_NONBLOCK = 0o4000;

/** What a descriptor refers to. */
export type DescriptorKind =
  | 'file'
  | 'directory'
  | 'socket'
  | 'pipe'
  | 'character'
  | 'block'
  | 'link'
  | 'other';

/** The facts of an open descriptor. */
export interface DescriptorInfo {
  readonly kind: DescriptorKind;
  /** Bytes, for a file. */
  readonly size: number;
  /** Device and inode: equal for two descriptors of one file. */
  readonly identity: string;
}

/** By the bits of S_IFMT, inode(7). A Map: TypeScript 7.0.2 emits wrong numbers for octal property names. */
const KINDS: ReadonlyMap<number, DescriptorKind> = new Map([
  [0o010000, 'pipe'],
  [0o020000, 'character'],
  [0o040000, 'directory'],
  [0o060000, 'block'],
  [0o100000, 'file'],
  [0o120000, 'link'],
  [0o140000, 'socket'],
]);

/**
 * Looks at a descriptor. Goes through libc, not `node:fs`: Deno's knows only descriptors that it has opened itself.
 *
 * @throws {@link HostError} `system` where the descriptor is not open
 */
export function describeDescriptor(fd: number): DescriptorInfo {
  // struct statx: stx_mode at 28, stx_ino at 32, stx_size at 40, stx_dev_major and _minor at 136 and 140.
  const stat = new DataView(new ArrayBuffer(256));
  const c = libc();
  if (c.statx(fd, '', AT_EMPTY_PATH, STATX_BASIC_STATS, new Uint8Array(stat.buffer)) < 0) {
    throw systemError('statx', `look at descriptor ${fd}`, c.errno());
  }
  const mode = stat.getUint16(28, true);
  return {
    kind: KINDS.get(mode & S_IFMT) ?? 'other',
    size: Number(stat.getBigUint64(40, true)),
    identity: `${stat.getUint32(136, true)}:${stat.getUint32(140, true)}:${stat.getBigUint64(32, true)}`,
  };
}

/** What `/proc` calls the file behind a descriptor: `/memfd:ram (deleted)`, `anon_inode:[eventfd]`. */
export function descriptorName(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch (cause) {
    throw new HostError(
      'system',
      `Cannot look at descriptor ${fd}: it is not open, or /proc is not mounted`,
      {
        operation: 'readlink',
        cause,
      },
    );
  }
}

/** Whether the file is sealed against shrinking; a file that cannot be sealed is not. */
export function isSealedAgainstShrinking(fd: number): boolean {
  const seals = libc().fcntl(fd, F_GET_SEALS, 0);
  // -1 (EINVAL) is the answer for a file of a kind that knows no seals.
  return seals >= 0 && (seals & F_SEAL_SHRINK) !== 0;
}

/** Makes reads and writes answer EAGAIN where they would wait. */
export function setNonBlocking(fd: number): void {
  const c = libc();
  const flags = c.fcntl(fd, F_GETFL, 0);
  if (flags < 0 || c.fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    throw systemError('fcntl', `make descriptor ${fd} non-blocking`, c.errno());
  }
}

/**
 * Closes a descriptor that this room, or the peer of a socket, has opened. (One from `node:fs` is closed there.)
 *
 * @throws {@link HostError} `system` where it was not open: a defect of the caller, and a dangerous one
 */
export function closeDescriptor(fd: number): void {
  const c = libc();
  if (c.close(fd) < 0) throw systemError('close', `close descriptor ${fd}`, c.errno());
}
