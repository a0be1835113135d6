import type { IntegerType } from '../core/index.ts';
import { VirtualBulk } from './virtual-bulk.ts';

/**
 * Atomic operations on aligned integers of 1, 2, 4 or 8 bytes of virtual memory: those of the physical memory, at the
 * address that one translation gives. All that may write need the right to write, also where nothing is written in the
 * end, as on hardware.
 *
 * All throw GuestMemoryError: `misaligned`, also for what lies in two pages; `fault` with the fault as its cause;
 * `unsupported` on a region of calls; and else as a write does.
 */
export abstract class VirtualAtomics extends VirtualBulk {
  /** Reads atomically. */
  load<T extends number | bigint>(type: IntegerType<T>, gva: bigint): T {
    return this.memory.load(type, this.whole(gva, type.size, this.readCode));
  }

  /** Writes atomically. */
  store<T extends number | bigint>(type: IntegerType<T>, gva: bigint, value: T): void {
    this.memory.store(type, this.whole(gva, type.size, this.writeCode), value);
  }

  /** Writes atomically and returns what was there. */
  exchange<T extends number | bigint>(type: IntegerType<T>, gva: bigint, value: T): T {
    return this.memory.exchange(type, this.whole(gva, type.size, this.writeCode), value);
  }

  /** Adds, wrapping at the width, and returns what was there. */
  fetchAdd<T extends number | bigint>(type: IntegerType<T>, gva: bigint, value: T): T {
    return this.memory.fetchAdd(type, this.whole(gva, type.size, this.writeCode), value);
  }

  /** Subtracts, wrapping at the width, and returns what was there. */
  fetchSub<T extends number | bigint>(type: IntegerType<T>, gva: bigint, value: T): T {
    return this.memory.fetchSub(type, this.whole(gva, type.size, this.writeCode), value);
  }

  /** Bitwise and; returns what was there. */
  fetchAnd<T extends number | bigint>(type: IntegerType<T>, gva: bigint, value: T): T {
    return this.memory.fetchAnd(type, this.whole(gva, type.size, this.writeCode), value);
  }

  /** Bitwise or; returns what was there. */
  fetchOr<T extends number | bigint>(type: IntegerType<T>, gva: bigint, value: T): T {
    return this.memory.fetchOr(type, this.whole(gva, type.size, this.writeCode), value);
  }

  /** Bitwise exclusive or; returns what was there. */
  fetchXor<T extends number | bigint>(type: IntegerType<T>, gva: bigint, value: T): T {
    return this.memory.fetchXor(type, this.whole(gva, type.size, this.writeCode), value);
  }

  /**
   * Replaces the value by `desired` if it equals `expected`, and returns what was there: it was replaced if that
   * equals `expected`.
   */
  compareExchange<T extends number | bigint>(type: IntegerType<T>, gva: bigint, expected: T, desired: T): T {
    return this.memory.compareExchange(type, this.whole(gva, type.size, this.writeCode), expected, desired);
  }

  /**
   * Replaces 1, 2, 4 or 8 bytes by `next` if they equal `current`. On a mismatch the bytes that are there are put
   * into `current`.
   *
   * @returns whether they were replaced
   */
  compareExchangeBytes(gva: bigint, current: Uint8Array, next: Uint8Array): boolean {
    // Lengths that are none are refused by the memory, and need no more than a valid address.
    const width = Math.max(1, Math.min(8, current.length));
    return this.memory.compareExchangeBytes(this.whole(gva, width, this.writeCode), current, next);
  }

  /** Physical address of an integer that has to lie in one page. */
  private whole(gva: bigint, width: number, code: number): number {
    const gpa = this.near(gva, width, code);
    if (gpa >= 0) return gpa;
    throw this.error(
      'misaligned',
      `the ${width} bytes at virtual address 0x${gva.toString(16)} lie in two pages`,
      {
        operation: code === this.readCode ? 'load' : 'modify',
        length: width,
      },
    );
  }
}
