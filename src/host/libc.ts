/**
 * The only file that knows the foreign-function interface. Everything else in the package speaks to the
 * system through the {@link Libc} below, so that another interface (node:ffi, bun:ffi, Deno.dlopen) can take
 * koffi's place by implementing it.
 */
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import { HostError } from './host-error.ts';

/** The version that was tested; `koffi.node.poll` is undocumented, so that others may differ. */
const KOFFI_VERSION = '3.3.4';

/** A poll handle of the event loop. */
export interface LoopPoll {
  /** To be called when what was ready has been taken: Deno calls back once only, otherwise. */
  rearm(): void;
  close(): void;
}

/**
 * The C library, as far as guestmem needs it. Calls answer as in C: -1 is failure and `errno()`, asked at once,
 * says why. Lengths and offsets are numbers (safe integers), addresses are bigint.
 */
export interface Libc {
  errno(): number;
  /** Address of a view's first byte. It stays put for as long as the view's buffer lives. */
  addressOf(view: Uint8Array): bigint;
  /** Answers the address, or -1n. */
  mmap(
    address: bigint,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): bigint;
  memfd_create(name: string, flags: number): number;
  ftruncate(fd: number, length: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  statx(dirFd: number, path: string, flags: number, mask: number, result: Uint8Array): number;
  sysconf(name: number): number;
  close(fd: number): number;
  read(fd: number, bytes: Uint8Array, length: number): number;
  write(fd: number, bytes: Uint8Array, length: number): number;
  eventfd(initial: number, flags: number): number;
  socket(domain: number, type: number, protocol: number): number;
  socketpair(domain: number, type: number, protocol: number, fds: Int32Array): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, flags: number): number;
  connect(fd: number, address: Uint8Array, length: number): number;
  sendmsg(fd: number, message: Uint8Array, flags: number): number;
  recvmsg(fd: number, message: Uint8Array, flags: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, fd: number, event: Uint8Array | null): number;
  epoll_wait(epoll: number, events: Uint8Array, count: number, timeout: number): number;
  /** Calls back on this thread's event loop whenever `fd` is readable. The callback must not throw. */
  loopPoll(fd: number, ready: () => void): LoopPoll;
}

/** Structure layouts in this room are those of 64-bit little-endian Linux. */
const ARCHITECTURES = new Set(['x64', 'arm64', 'riscv64', 'loong64', 'ppc64']);

let loaded: Libc | undefined;

/**
 * The C library, loaded on first use and kept.
 *
 * @throws {@link HostError} `unsupported` elsewhere than on 64-bit little-endian Linux
 * @throws {@link HostError} `no-ffi` where koffi cannot be loaded
 */
export function libc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  const { platform, arch } = process;
  if (platform !== 'linux' || !ARCHITECTURES.has(arch) || endianness() !== 'LE') {
    const message = `Cannot use guestmem/host on ${platform} ${arch}: it needs 64-bit little-endian Linux`;
    throw new HostError('unsupported', message, { operation: 'load' });
  }
  return bind(loadKoffi());
}

type Koffi = typeof import('koffi');

function loadKoffi(): Koffi {
  try {
    // Synchronous on purpose, so that mapping memory is; not an import, so that importing the package loads nothing.
    const koffi: Koffi = createRequire(import.meta.url)('koffi');
    return koffi;
  } catch (cause) {
    const message = `Cannot load koffi, which guestmem/host needs: install it with "npm install koffi@${KOFFI_VERSION}"`;
    throw new HostError('no-ffi', message, { operation: 'load', cause });
  }
}

function bind(koffi: Koffi): Libc {
  const lib = koffi.load(null);
  const mmap = lib.func(
    'intptr_t mmap(intptr_t address, size_t length, int prot, int flags, int fd, int64_t offset)',
  );
  const accept4 = lib.func('int accept4(int fd, void *address, void *length, int flags)');
  return {
    errno: () => koffi.errno(),
    addressOf: (view) => koffi.address(view),
    // An intptr_t comes back as a number where it is a safe integer.
    mmap: (...args) => BigInt(mmap(...args)),
    memfd_create: lib.func('int memfd_create(const char *name, unsigned int flags)'),
    ftruncate: lib.func('int ftruncate(int fd, int64_t length)'),
    // Variadic in C; passed alike on these architectures.
    fcntl: lib.func('int fcntl(int fd, int command, long argument)'),
    statx: lib.func('int statx(int dirFd, const char *path, int flags, unsigned int mask, void *result)'),
    sysconf: lib.func('long sysconf(int name)'),
    close: lib.func('int close(int fd)'),
    read: lib.func('int64_t read(int fd, void *bytes, size_t length)'),
    write: lib.func('int64_t write(int fd, const void *bytes, size_t length)'),
    eventfd: lib.func('int eventfd(unsigned int initial, int flags)'),
    socket: lib.func('int socket(int domain, int type, int protocol)'),
    socketpair: lib.func('int socketpair(int domain, int type, int protocol, void *fds)'),
    bind: lib.func('int bind(int fd, const void *address, unsigned int length)'),
    listen: lib.func('int listen(int fd, int backlog)'),
    accept4: (fd, flags) => accept4(fd, null, null, flags),
    connect: lib.func('int connect(int fd, const void *address, unsigned int length)'),
    sendmsg: lib.func('int64_t sendmsg(int fd, const void *message, int flags)'),
    recvmsg: lib.func('int64_t recvmsg(int fd, void *message, int flags)'),
    epoll_create1: lib.func('int epoll_create1(int flags)'),
    epoll_ctl: lib.func('int epoll_ctl(int epoll, int operation, int fd, void *event)'),
    epoll_wait: lib.func('int epoll_wait(int epoll, void *events, int count, int timeout)'),
    loopPoll(fd, ready) {
      if ('bun' in process.versions) {
        // libuv's poll is not implemented there: the process aborts (koffi 3.3.4, Bun 1.4).
        throw new HostError(
          'unsupported',
          'Cannot poll on the event loop of Bun: use a BlockingPoller in a Worker',
          {
            operation: 'poll',
          },
        );
      }
      const interest = { readable: true };
      const handle = koffi.node.poll(fd, interest, ready);
      const rearm = (): void => {
        handle.stop();
        handle.start(interest, ready);
      };
      return { rearm: 'Deno' in globalThis ? rearm : () => undefined, close: () => handle.close() };
    },
  };
}
