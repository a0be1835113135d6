import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type Command, Option } from 'commander';
import { EventFd } from '../host/index.ts';
import { type Console, setAction } from './action.ts';
import { CliError } from './cli-error.ts';
import { ExitStatus } from './exit-status.ts';
import type { DiskServerJob, DiskServerNews } from './vhost-user-blk-worker.ts';

interface VerbOptions {
  readonly socket: string;
  readonly image: string;
  readonly readonly?: boolean;
  readonly serial?: string;
  readonly queues: number;
  readonly requireSealed?: boolean;
}

/** Bytes of the serial number that a driver can read (virtio 1.3, 5.2.6, VIRTIO_BLK_T_GET_ID). */
const MAX_SERIAL = 20;
const MAX_QUEUES = 64;
/** QEMU asks for a queue per virtual CPU, and refuses a back end that has fewer; those not used cost nothing. */
const DEFAULT_QUEUES = 16;

const EPILOGUE = `
The virtual machine needs shared memory. For QEMU, after
  guestmem vhost-user-blk --socket disk.sock --image disk.img
run
  qemu-system-x86_64 -m 1G -object memory-backend-memfd,id=ram,size=1G,share=on -machine q35,memory-backend=ram \\
    -chardev socket,id=disk,path=disk.sock -device vhost-user-blk-pci,chardev=disk ...

It serves one machine after another until SIGINT or SIGTERM. --debug prints every request.`;

/** Adds the verb `vhost-user-blk` to the command. */
export function registerVhostUserBlk(program: Command): void {
  const command = program
    .command('vhost-user-blk')
    .description('give a disk image to a virtual machine, over a vhost-user socket')
    .requiredOption('--socket <path>', 'where to listen; a socket left behind by a dead server is replaced')
    .requiredOption('--image <file>', 'the disk: a raw image, a multiple of 512 bytes')
    .option('--readonly', 'refuse writes; the image is opened for reading only')
    .option('--serial <text>', `serial number the guest sees, at most ${MAX_SERIAL} bytes`)
    .addOption(
      new Option('--queues <n>', 'request queues at most').default(DEFAULT_QUEUES).argParser(parseQueues),
    )
    .option('--require-sealed', 'refuse guest memory that can shrink (it would kill this process)')
    .addHelpText('after', EPILOGUE);
  setAction<VerbOptions>(command, async (console, _args, options) => {
    if (options.serial !== undefined) checkSerial(options.serial);
    await serve(console, options, command.optsWithGlobals<{ debug?: boolean }>().debug === true);
    return ExitStatus.ok;
  });
}

/**
 * Runs the server in a Worker, which blocks in the kernel while nothing happens, and answers when it has ended.
 * This thread stays free for signals, and for printing what the Worker says.
 */
async function serve(console: Console, options: VerbOptions, debug: boolean): Promise<void> {
  const stop = EventFd.create();
  const onSignal = (): void => stop.signal();
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    const job: DiskServerJob = {
      socket: options.socket,
      image: options.image,
      readOnly: options.readonly === true,
      serial: options.serial ?? '',
      queues: options.queues,
      requireSealed: options.requireSealed === true,
      debug,
      stopFd: stop.fd,
    };
    await runWorker(console, job, () => stop.signal());
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    stop.close();
  }
}

/** Answers when the Worker has ended, which `stop` asks it to do. */
function runWorker(console: Console, job: DiskServerJob, stop: () => void): Promise<void> {
  // The same extension as this file: .js where compiled, .ts where the runtime strips types.
  const name = `./vhost-user-blk-worker${extname(fileURLToPath(import.meta.url))}`;
  const worker = new Worker(new URL(name, import.meta.url), { workerData: job });
  return new Promise((resolve, reject) => {
    let failure: unknown;
    const print = async (line: string): Promise<void> => {
      try {
        await console.out.write(`${line}\n`);
        await console.out.flush();
      } catch (error) {
        failure = error;
        stop();
      }
    };
    worker.on('message', (news: DiskServerNews) => {
      if (news.kind === 'line') void print(news.line);
      else if (news.kind === 'notice') console.notice(news.line);
      else failure = workerError(news);
    });
    worker.on('error', reject);
    worker.on('exit', () => (failure === undefined ? resolve() : reject(failure)));
  });
}

/** The Worker's last word as an error, with the stack it had there. */
function workerError({ line, stack }: DiskServerNews): CliError {
  const error = new CliError('input', line);
  if (stack !== undefined) error.stack = stack;
  return error;
}

function parseQueues(text: string): number {
  const queues = Number(text);
  if (/^[0-9]+$/.test(text) && queues >= 1 && queues <= MAX_QUEUES) return queues;
  throw new CliError('usage', `Cannot use "${text}" as the number of queues: want 1 to ${MAX_QUEUES}`);
}

function checkSerial(serial: string): void {
  const length = Buffer.byteLength(serial);
  if (length > MAX_SERIAL) {
    throw new CliError(
      'usage',
      `Cannot use "${serial}" as serial number: it has ${length} bytes, want at most ${MAX_SERIAL}`,
    );
  }
}
