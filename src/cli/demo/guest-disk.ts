import { crc32 } from 'node:zlib';
import type { GuestMemory } from '../../core/index.ts';
import { ACCESS } from '../../paging/index.ts';
import { type BlockCompletion, BlockDriver, layoutSplitQueue, SplitDriverQueue } from '../../virtio/index.ts';
import type { Doorbells } from './doorbells.ts';
import { fillBlock } from './fill-block.ts';
import type { GuestKernel } from './guest-kernel.ts';
import type { Transfer } from './messages.ts';
import { BLOCK_SIZE, DEPTH, LAYOUT, QUEUE_SIZE, SECTOR_SIZE, VIRTUAL } from './plan.ts';

/** Pages of one block, its header and its status. */
const SEGMENTS = BLOCK_SIZE / 4096 + 2;
const SECTORS = BLOCK_SIZE / SECTOR_SIZE;
const SERIAL_LENGTH = 20;

/** A buffer that one request at a time uses. */
interface Slot {
  readonly index: number;
  gva: bigint;
  block: number;
}

/**
 * The guest's disk driver at work: keeps requests in flight from buffers at virtual addresses, sleeps when there is
 * nothing to do, and checks every block by its checksum.
 */
export class GuestDisk {
  readonly doorbells: Doorbells;
  /** The CRC-32 of every block as it was made. */
  readonly checksums: Uint32Array;
  /** Blocks handed to the device in the direction that is under way. */
  submitted = 0;
  readonly #kernel: GuestKernel;
  readonly #queue: SplitDriverQueue;
  readonly #driver: BlockDriver;
  /** In turn, the longest free first: so that a few blocks suffice to use buffers of both kinds. */
  readonly #free: Slot[] = [];
  readonly #busy = new Map<number, Slot>();
  readonly #scratch = new Uint8Array(BLOCK_SIZE);
  #moves: ((slot: number) => bigint) | undefined;
  #moved = 0;
  #pluggedBytes = 0;

  constructor(memory: GuestMemory, kernel: GuestKernel, doorbells: Doorbells, blocks: number) {
    this.doorbells = doorbells;
    this.checksums = new Uint32Array(blocks);
    this.#kernel = kernel;
    const layout = layoutSplitQueue(LAYOUT.queue, QUEUE_SIZE, { indirectCapacity: SEGMENTS });
    const options = layout.indirectTables === undefined ? {} : { indirectTables: layout.indirectTables };
    this.#queue = new SplitDriverQueue(memory, layout, {
      ...options,
      eventIndex: true,
      indirectCapacity: SEGMENTS,
    });
    this.#driver = new BlockDriver(memory, this.#queue, layout.end, { indirect: true });
    for (let index = 0; index < DEPTH; index++) {
      this.#free.push({ index, gva: VIRTUAL.buffers + BigInt(index * BLOCK_SIZE), block: 0 });
    }
    doorbells.announce(layout);
  }

  /** Requests handed over and not yet seen back. */
  get inFlight(): number {
    return this.#busy.size;
  }

  /** From now on, the slots that `which` names take their buffers from `base`, each as soon as it is free. */
  useBuffers(base: bigint, which: (slot: number) => boolean): void {
    this.#moves = (slot) => (which(slot) ? base : VIRTUAL.buffers) + BigInt(slot * BLOCK_SIZE);
  }

  /** The disk's own name for itself. */
  readSerial(): string {
    const [buffer] = this.#kernel.buffers(VIRTUAL.buffers, 4096, ACCESS.write);
    if (buffer === undefined) throw new Error('The guest has no buffer');
    this.#driver.getId({ gpa: buffer.gpa, length: SERIAL_LENGTH });
    this.#finishOne();
    const bytes = new Uint8Array(SERIAL_LENGTH);
    this.#kernel.read(VIRTUAL.buffers, bytes);
    return new TextDecoder().decode(bytes).replace(/\0+$/, '');
  }

  /** Makes every block, remembers its checksum and writes it; `afterEach` runs with requests in flight. */
  writeAll(afterEach: () => void): Transfer {
    return this.#all(
      (slot) => {
        fillBlock(this.#scratch, slot.block);
        this.checksums[slot.block] = crc32(this.#scratch);
        this.#kernel.write(slot.gva, this.#scratch);
        return this.#driver.write(
          slot.block * SECTORS,
          this.#kernel.buffers(slot.gva, BLOCK_SIZE, ACCESS.read),
        );
      },
      () => undefined,
      afterEach,
    );
  }

  /** Reads every block back and counts those whose checksum is another. */
  readAll(): { transfer: Transfer; mismatches: number } {
    let mismatches = 0;
    const transfer = this.#all(
      (slot) =>
        this.#driver.read(slot.block * SECTORS, this.#kernel.buffers(slot.gva, BLOCK_SIZE, ACCESS.write)),
      (slot) => {
        this.#kernel.read(slot.gva, this.#scratch);
        if (crc32(this.#scratch) !== this.checksums[slot.block]) mismatches += 1;
      },
      () => undefined,
    );
    return { transfer, mismatches };
  }

  /** Asks the disk to make everything durable; answers the seconds that took. */
  flush(): number {
    const start = performance.now();
    this.#driver.flush();
    this.#finishOne();
    return (performance.now() - start) / 1000;
  }

  #all(submit: (slot: Slot) => number, completed: (slot: Slot) => void, afterEach: () => void): Transfer {
    const blocks = this.checksums.length;
    const start = performance.now();
    this.submitted = 0;
    this.#pluggedBytes = 0;
    this.#queue.disableNotifications();
    while (this.submitted < blocks || this.#busy.size > 0) {
      const slot = this.submitted < blocks ? this.#takeSlot() : undefined;
      if (slot !== undefined) {
        slot.block = this.submitted;
        this.#busy.set(submit(slot), slot);
        this.submitted += 1;
        if (this.#queue.publish()) this.doorbells.kick();
        afterEach();
      }
      // Sleep only when there is nothing to hand over either.
      const mayWait = slot === undefined;
      for (const completion of this.#completions(mayWait)) this.#complete(completion, completed);
    }
    return {
      bytes: blocks * BLOCK_SIZE,
      seconds: (performance.now() - start) / 1000,
      pluggedBytes: this.#pluggedBytes,
    };
  }

  #takeSlot(): Slot | undefined {
    const slot = this.#free.shift();
    if (slot !== undefined && this.#moves !== undefined) slot.gva = this.#moves(slot.index);
    return slot;
  }

  #complete({ id, status }: BlockCompletion, completed: (slot: Slot) => void): void {
    const slot = this.#busy.get(id);
    if (slot === undefined) throw new Error(`The disk completed request ${id}, which is not in flight`);
    if (status !== 'ok') throw new Error(`The disk failed block ${slot.block}: ${status}`);
    completed(slot);
    this.#busy.delete(id);
    this.#free.push(slot);
    if (slot.gva >= VIRTUAL.pluggedBuffers) this.#pluggedBytes += BLOCK_SIZE;
    this.#moved += 1;
    this.doorbells.done = this.#moved;
  }

  /** What the device has finished; sleeps until there is something when `mayWait`. */
  *#completions(mayWait: boolean): Generator<BlockCompletion> {
    for (;;) {
      const seen = this.doorbells.interrupts;
      if (this.#queue.fetchUsed() > 0) break;
      if (!mayWait) return;
      if (this.doorbells.stopped) throw new Error('The machine was stopped');
      // True says that something came in between: then there is no interrupt to wait for.
      if (!this.#queue.enableNotifications()) this.doorbells.waitForInterrupt(seen);
      this.#queue.disableNotifications();
    }
    for (
      let completion = this.#driver.collect();
      completion !== undefined;
      completion = this.#driver.collect()
    ) {
      yield completion;
    }
  }

  /** Hands over the one request that was added and waits for it. */
  #finishOne(): void {
    if (this.#queue.publish()) this.doorbells.kick();
    for (const { status } of this.#completions(true)) {
      if (status !== 'ok') throw new Error(`The disk failed a request: ${status}`);
    }
  }
}
