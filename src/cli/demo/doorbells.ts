import type { SplitQueueLayout } from '../../virtio/index.ts';

/** The words of the block, each on a cache line of its own so that the two sides do not slow each other down. */
const WORD = { kick: 0, interrupt: 16, status: 32, stop: 48, done: 64 } as const;
const REGISTERS_AT = 320;
const SIZE = 384;
const DRIVER_OK = 4;

/**
 * What stands between driver and device where a real machine has a register page and an interrupt line: two doorbells
 * that are waited for with `Atomics.wait`, the registers that say where the rings are, and a stop line.
 */
export class Doorbells {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #registers: Float64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(SIZE)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer, 0, REGISTERS_AT / 4);
    this.#registers = new Float64Array(buffer, REGISTERS_AT);
  }

  /** Driver: there is work. */
  kick(): void {
    this.#ring(WORD.kick);
  }

  /** Device: something is done. */
  interrupt(): void {
    this.#ring(WORD.interrupt);
  }

  /** How often the driver has kicked; read it before looking for work, and wait for it to change after. */
  get kicks(): number {
    return Atomics.load(this.#words, WORD.kick);
  }

  /** How often the device has interrupted. */
  get interrupts(): number {
    return Atomics.load(this.#words, WORD.interrupt);
  }

  /** Device: sleeps until the driver kicks, unless it has since `seen`. */
  waitForKick(seen: number): void {
    Atomics.wait(this.#words, WORD.kick, seen);
  }

  /** Driver: sleeps until the device interrupts, unless it has since `seen`. */
  waitForInterrupt(seen: number): void {
    Atomics.wait(this.#words, WORD.interrupt, seen);
  }

  /** Driver: says where the rings are and that it is ready (virtio 1.3, 3.1.1, step 8: DRIVER_OK). */
  announce(layout: SplitQueueLayout): void {
    this.#registers.set([layout.size, layout.descriptorTable, layout.availableRing, layout.usedRing]);
    Atomics.store(this.#words, WORD.status, DRIVER_OK);
    this.kick();
  }

  /** Device: where the driver's rings are; undefined until it is ready. */
  announced(): SplitQueueLayout | undefined {
    if (Atomics.load(this.#words, WORD.status) !== DRIVER_OK) return undefined;
    const [size = 0, descriptorTable = 0, availableRing = 0, usedRing = 0] = this.#registers;
    return { size, descriptorTable, availableRing, usedRing };
  }

  /** Ends both sides: whoever sleeps wakes up. */
  stop(): void {
    Atomics.store(this.#words, WORD.stop, 1);
    this.kick();
    this.interrupt();
  }

  get stopped(): boolean {
    return Atomics.load(this.#words, WORD.stop) === 1;
  }

  /** Driver: blocks moved so far, for whoever shows progress. */
  set done(count: number) {
    Atomics.store(this.#words, WORD.done, count);
  }

  get done(): number {
    return Atomics.load(this.#words, WORD.done);
  }

  #ring(word: number): void {
    Atomics.add(this.#words, word, 1);
    Atomics.notify(this.#words, word);
  }
}
