/** The thread behind `guestmem vhost-user-blk`: it serves until the stop descriptor becomes readable. */
import { parentPort, workerData } from 'node:worker_threads';
import { BlockingPoller } from '../host/index.ts';
import { VhostUserServer } from '../vhost-user/index.ts';
import { BlockDevice, type BlockStorage } from '../virtio/index.ts';
import { CliError } from './cli-error.ts';
import { describeError } from './describe-error.ts';
import { FileStorage } from './file-storage.ts';

/** What to serve. It crosses to the Worker, so that it is plain data. */
export interface DiskServerJob {
  readonly socket: string;
  readonly image: string;
  readonly readOnly: boolean;
  readonly serial: string;
  readonly queues: number;
  readonly requireSealed: boolean;
  /** Print every message and every transfer. */
  readonly debug: boolean;
  /** An eventfd of the main thread, which signals it to end the server. */
  readonly stopFd: number;
}

/** What the Worker has to say: `line` for standard output, `notice` for standard error, `failed` as the last word. */
export interface DiskServerNews {
  readonly kind: 'line' | 'notice' | 'failed';
  readonly line: string;
  readonly stack?: string | undefined;
}

const SECTOR = 512;

function say(kind: DiskServerNews['kind'], line: string, stack?: string): void {
  parentPort?.postMessage({ kind, line, stack } satisfies DiskServerNews);
}

/** How long the same thing is not said again. */
const QUIET_MS = 60_000;

/**
 * Says a thing once a minute, whatever the numbers in it: a full disk under load fails thousands of requests, each at a place of its
 * own, and a guest must not be able to flood the log. There are only so many shapes of lines, so the map stays small.
 */
function noticeSeldom(): (line: string) => void {
  const said = new Map<string, number>();
  return (line) => {
    const shape = line.replace(/\b(?:0x[0-9a-f]+|[0-9]+)\b/g, '#');
    const now = performance.now();
    if (now - (said.get(shape) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return;
    said.set(shape, now);
    say('notice', line);
  };
}

function serve(job: DiskServerJob): void {
  const image = openImage(job);
  const poller = new BlockingPoller();
  try {
    const server = listen(job, image, poller);
    poller.add(job.stopFd, { readable: true }, () => poller.stop());
    try {
      poller.run();
    } finally {
      // A request is complete before the poller calls back for anything else, so that none is under way here.
      server.close();
      if (!job.readOnly) image.flush();
    }
  } finally {
    poller.close();
    image.close();
  }
}

function listen(job: DiskServerJob, image: FileStorage, poller: BlockingPoller): VhostUserServer {
  const notice = noticeSeldom();
  const device = new BlockDevice({
    storage: job.debug ? logged(image) : image,
    serial: job.serial,
    queueCount: job.queues,
    onError: (error) => notice(describeError(error).line ?? String(error)),
  });
  const server = new VhostUserServer({
    path: job.socket,
    poller,
    device,
    requireSealed: job.requireSealed,
    log: { warn: notice, ...(job.debug ? { debug: (line: string) => say('notice', line) } : {}) },
  });
  say(
    'line',
    `Serving ${job.image} (${image.size} bytes${job.readOnly ? ', read-only' : ''}) at ${job.socket}`,
  );
  return server;
}

function openImage(job: DiskServerJob): FileStorage {
  const image = FileStorage.open(job.image, { readOnly: job.readOnly });
  const tail = image.size % SECTOR;
  if (image.size < SECTOR) {
    image.close();
    throw new CliError(
      'input',
      `Cannot serve ${job.image}: it has ${image.size} bytes, a disk has at least ${SECTOR}`,
    );
  }
  if (tail !== 0) {
    say(
      'notice',
      `${job.image} is not a multiple of ${SECTOR} bytes: the guest does not see its last ${tail} bytes`,
    );
  }
  return image;
}

/** The same storage, telling of every transfer. */
function logged(storage: BlockStorage): BlockStorage {
  const total = (iovecs: readonly Uint8Array[]): number =>
    iovecs.reduce((sum, { length }) => sum + length, 0);
  const tell = (what: string, position: number, iovecs: readonly Uint8Array[]): void =>
    say('notice', `${what} ${total(iovecs)} bytes at 0x${position.toString(16)} (${iovecs.length} pieces)`);
  return {
    size: storage.size,
    readOnly: storage.readOnly,
    readv(position, iovecs) {
      tell('read', position, iovecs);
      storage.readv(position, iovecs);
    },
    writev(position, iovecs) {
      tell('write', position, iovecs);
      storage.writev(position, iovecs);
    },
    flush() {
      say('notice', 'flush');
      storage.flush();
    },
  };
}

try {
  serve(workerData as DiskServerJob);
} catch (error) {
  say('failed', describeError(error).line ?? String(error), error instanceof Error ? error.stack : undefined);
}
