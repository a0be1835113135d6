import { workerData } from 'node:worker_threads';
import { Doorbells } from './doorbells.ts';
import { errorLine } from './error-line.ts';
import { GuestDisk } from './guest-disk.ts';
import { GuestKernel } from './guest-kernel.ts';
import type { GuestMachine, GuestMessage, Marker } from './messages.ts';
import { BLOCK_SIZE, DEPTH, LAYOUT, memoryOver, type SharedRam, VIRTUAL } from './plan.ts';
import { receivePlug, workerPort } from './worker-port.ts';

const MARKER_TEXT = 'Here is the guest, in memory plugged while it ran.';
/** Somewhere in the plugged buffers that no request uses: those of even slots stay where they were. */
const MARKER_OFFSET = 0x5120n;

/** The guest side: boots, moves every block to the disk and back, and takes a block of memory on the way. */
function runGuest(machine: GuestMachine): void {
  const memory = memoryOver(machine.ram, 'guest');
  const kernel = new GuestKernel(memory);
  kernel.mapScattered(VIRTUAL.buffers, DEPTH * BLOCK_SIZE, [LAYOUT.lowBuffers, LAYOUT.highBuffers]);
  const { root, leaves, tables } = kernel;
  post({ kind: 'booted', root, leaves, tables });

  const disk = new GuestDisk(memory, kernel, new Doorbells(machine.doorbells), machine.blocks);
  const serial = disk.readSerial();
  const written = disk.writeAll(() => waitForPlug(machine.blocks, kernel, disk));
  const flushSeconds = disk.flush();
  const { transfer: read, mismatches } = disk.readAll();
  post({ kind: 'result', written, read, flushSeconds, checksums: disk.checksums, mismatches, serial });
}

let asked = false;
let plugged = false;

/**
 * Called after each block is handed to the disk: asks for memory half way through, takes it when it comes, and does not
 * go past three quarters without it. Requests are in flight whenever this is called.
 */
function waitForPlug(blocks: number, kernel: GuestKernel, disk: GuestDisk): void {
  if (plugged || disk.submitted * 2 < blocks) return;
  if (!asked) post({ kind: 'wants-memory' });
  asked = true;
  const patient = disk.submitted * 4 >= blocks * 3;
  for (;;) {
    const seen = disk.doorbells.interrupts;
    const ram = receivePlug(port);
    if (ram !== undefined) {
      take(ram, kernel, disk);
      return;
    }
    if (!patient || disk.doorbells.stopped) return;
    disk.doorbells.waitForInterrupt(seen);
  }
}

function take(ram: SharedRam, kernel: GuestKernel, disk: GuestDisk): void {
  plugged = true;
  const inFlight = disk.inFlight;
  kernel.plug(ram);
  const half = ram.buffer.byteLength / 2;
  kernel.mapScattered(VIRTUAL.pluggedBuffers, DEPTH * BLOCK_SIZE, [ram.start, ram.start + half]);
  disk.useBuffers(VIRTUAL.pluggedBuffers, (slot) => slot % 2 === 1);
  post({ kind: 'plugged', inFlight, marker: leaveMarker(kernel) });
}

function leaveMarker(kernel: GuestKernel): Marker {
  const gva = VIRTUAL.pluggedBuffers + MARKER_OFFSET;
  const page = new Uint8Array(4096);
  new TextEncoder().encodeInto(MARKER_TEXT, page.subarray(Number(gva % 4096n)));
  kernel.write(gva - (gva % 4096n), page);
  return { gva, gpa: kernel.toPhysical(gva), text: MARKER_TEXT };
}

function post(message: GuestMessage): void {
  port.postMessage(message);
}

const port = workerPort();
try {
  runGuest(workerData);
} catch (error) {
  post({ kind: 'failed', message: errorLine(error) });
}
