import { crc32 } from 'node:zlib';
import { Translator, X86_4LEVEL } from '../../paging/index.ts';
import { CliError } from '../cli-error.ts';
import type { FileStorage } from '../file-storage.ts';
import { dataChecks, markerCheck, plugChecks } from './checks.ts';
import { Doorbells } from './doorbells.ts';
import type { DeviceMachine, DeviceMessage, GuestMachine, GuestMessage, PlugMessage } from './messages.ts';
import { BLOCK_SIZE, makePluggedRam, makeRam, memoryOver, withRam } from './plan.ts';
import type { DemoReport } from './report.ts';
import { Side } from './side.ts';
import { TemporaryDisk } from './temporary-disk.ts';

/** Without a block moved for this long, something is wrong. */
const STALL_MS = 30_000;
const TICK_MS = 50;

/** What {@link runDemo} is told. */
export interface DemoOptions {
  /** Bytes moved each way; a multiple of 128 KiB. */
  readonly bytes: number;
  /** The directory that the disk's file is made in. */
  readonly directory: string;
  /** Told how far it is, from 0 to 1, a few times a second. */
  readonly onProgress: (part: number, phase: 'write' | 'read' | 'verify') => void;
}

/**
 * Runs the built-in machine: a guest in one Worker, its disk in another, memory shared by both, a block of memory
 * plugged in on the way; then checks from outside what both did.
 *
 * @throws {CliError} `input` when there is no room for the disk, or a side failed.
 */
export async function runDemo(options: DemoOptions): Promise<DemoReport> {
  const start = performance.now();
  const disk = TemporaryDisk.create(options.directory, options.bytes);
  try {
    return await runMachine(disk, options, start);
  } finally {
    disk.close();
  }
}

async function runMachine(disk: TemporaryDisk, options: DemoOptions, start: number): Promise<DemoReport> {
  const blocks = options.bytes / BLOCK_SIZE;
  const doorbells = new Doorbells();
  const ram = makeRam();
  const machine = { ram, doorbells: doorbells.buffer };
  const device = new Side<DeviceMessage>('device', {
    ...machine,
    diskPath: disk.path,
  } satisfies DeviceMachine);
  const sides: Pick<Side<DeviceMessage>, 'failed' | 'terminate'>[] = [device];
  const watch = watchProgress(doorbells, blocks, options);
  const before = <T>(promise: Promise<T>): Promise<T> =>
    Promise.race([promise, watch.stalled, ...sides.map((side) => side.failed)]);
  try {
    await before(device.next('ready'));
    // Both sides have the file open: from here on nothing is left behind, whatever ends this process.
    disk.unlink();
    const guest = new Side<GuestMessage>('guest', { ...machine, blocks } satisfies GuestMachine);
    sides.push(guest);
    const booted = await before(guest.next('booted'));
    await before(guest.next('wants-memory'));
    const plugged = makePluggedRam();
    // The device first: once the guest knows of the memory it uses it at once.
    await before(plugInto(device, plugged, () => doorbells.kick()));
    guest.send({ kind: 'plug', ram: plugged } satisfies PlugMessage);
    doorbells.interrupt();
    const { inFlight, marker } = await before(guest.next('plugged'));
    const result = await before(guest.next('result'));
    doorbells.stop();
    const { kicks, interrupts } = await before(device.next('result'));
    const corrupt = countCorrupt(disk.storage, result.checksums, options);
    const memory = withRam(memoryOver(ram, 'outside'), plugged);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: booted.root });
    const walk = translator.translate(marker.gva);
    const plugEnd = plugged.start + plugged.buffer.byteLength;
    const bytesThrough = result.written.pluggedBytes + result.read.pluggedBytes;
    const labels = new Map([...ram, plugged].map((block) => [block.start, block.label]));
    return {
      memory: memory.regions.map(({ start: from, end }) => ({
        start: from,
        end,
        label: labels.get(from) ?? '',
      })),
      tables: booted,
      disk: { bytes: options.bytes, serial: result.serial },
      written: result.written,
      read: result.read,
      flushSeconds: result.flushSeconds,
      requests: 2 * blocks + 2,
      kicks,
      interrupts,
      plug: { start: plugged.start, end: plugEnd, inFlight, bytesThrough },
      walk,
      format: X86_4LEVEL,
      checks: [
        ...dataChecks(result, corrupt, blocks),
        ...plugChecks(result, inFlight),
        markerCheck(memory, marker, walk.kind === 'mapped' ? walk.gpa : undefined),
      ],
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    watch.end();
    doorbells.stop();
    await Promise.all(sides.map((side) => side.terminate()));
  }
}

async function plugInto(
  device: Side<DeviceMessage>,
  ram: PlugMessage['ram'],
  wake: () => void,
): Promise<void> {
  device.send({ kind: 'plug', ram } satisfies PlugMessage);
  // The message is in its queue before the doorbell: whoever wakes finds it.
  wake();
  await device.next('plugged');
}

/** Reads the disk's file from outside and counts the blocks whose checksum is not the one the guest made. */
function countCorrupt(storage: FileStorage, checksums: Uint32Array, options: DemoOptions): number {
  const block = new Uint8Array(BLOCK_SIZE);
  let corrupt = 0;
  checksums.forEach((checksum, index) => {
    storage.readv(index * BLOCK_SIZE, [block]);
    if (crc32(block) !== checksum) corrupt += 1;
    if (index % 256 === 0) options.onProgress(index / checksums.length, 'verify');
  });
  return corrupt;
}

/** Shows progress, and notices when there is none for too long. */
function watchProgress(doorbells: Doorbells, blocks: number, options: DemoOptions) {
  let seen = -1;
  let since = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      const { done } = doorbells;
      if (done !== seen) since = performance.now();
      seen = done;
      options.onProgress((done % blocks) / blocks, done < blocks ? 'write' : 'read');
      if (performance.now() - since > STALL_MS) {
        reject(new CliError('input', `The demo stands still: no block moved for ${STALL_MS / 1000} s`));
      }
    }, TICK_MS);
  });
  stalled.catch(() => undefined);
  return { stalled, end: () => clearInterval(timer) };
}
