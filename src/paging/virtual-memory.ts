import { type GuestMemory, GuestMemoryError, hex } from '../core/index.ts';
import { accessCode } from './access.ts';
import { halvesOfAddress, splitAddress } from './address-halves.ts';
import type { AddressTranslator } from './address-translator.ts';
import { faultError } from './fault-error.ts';

/** In whose name a {@link VirtualMemory} reads. */
export interface VirtualMemoryOptions {
  /** User mode. Default: supervisor mode. */
  readonly user?: boolean;
  /** EFLAGS.AC set: SMAP does not keep the supervisor from user pages. Default: clear. */
  readonly ac?: boolean;
}

/** A piece of a virtual range that is contiguous in physical memory. */
interface Run {
  readonly gpa: number;
  length: number;
}

/** The smallest page of any format. */
const PAGE = 4096;

const scalar = new Uint8Array(8);
const scalarView = new DataView(scalar.buffer);

/**
 * Reads guest memory by virtual address, across pages.
 *
 * A fault of the guest's tables is a GuestMemoryError `fault` whose `cause` is a {@link PagingError} (`page-fault`,
 * `not-canonical` or `table-unreadable`) with the fault's numbers. An address that is mapped to where no memory is,
 * fails as a read of that physical address does: `unmapped`, for example.
 *
 * Addresses are 0 to 2^64-1; anything else is PagingError `invalid`, and a range past the end GuestMemoryError
 * `invalid`.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, isGuestMemoryError } from 'guestmem';
 * import { createRoot, FrameRange, GuestTables, isPagingError, map, Translator, VirtualMemory, X86_4LEVEL } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x10_0000);
 * const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
 * createRoot(tables, X86_4LEVEL);
 * map(tables, { format: X86_4LEVEL, gva: 0x40_0000n, gpa: 0x5000, length: 0x1000 });
 * map(tables, { format: X86_4LEVEL, gva: 0x40_1000n, gpa: 0x2000, length: 0x1000 });
 * memory.writeU16(0x5ffe, 0x3412);
 * memory.writeU16(0x2000, 0x7856);
 *
 * const virtual = new VirtualMemory(memory, new Translator({ tables, format: X86_4LEVEL }));
 * assert.equal(virtual.readU32(0x40_0ffen), 0x7856_3412); // two pages that are not neighbours in memory
 * assert.throws(
 *   () => virtual.readU8(0x40_2000n),
 *   (error) => isGuestMemoryError(error) && error.code === 'fault' && isPagingError(error.cause),
 * );
 * ```
 */
export class VirtualMemory {
  readonly memory: GuestMemory;
  readonly translator: AddressTranslator;
  private readonly access: number;

  constructor(memory: GuestMemory, translator: AddressTranslator, options: VirtualMemoryOptions = {}) {
    this.memory = memory;
    this.translator = translator;
    this.access = accessCode({ kind: 'read', ...options });
  }

  /**
   * Reads exactly `length` bytes, or none: every page is translated and looked up before the first byte is copied.
   *
   * @throws GuestMemoryError as above; `invalid` where `dest` has no room
   */
  readAt(gva: bigint, dest: Uint8Array, destOffset = 0, length: number = dest.length - destOffset): void {
    this.checkRoom(dest, destOffset, length);
    this.copy(this.locate(gva, length), dest, destOffset);
  }

  /** Reads exactly `length` bytes into a new array. */
  readBytes(gva: bigint, length: number): Uint8Array {
    this.checkLength(length);
    const runs = this.locate(gva, length);
    const bytes = new Uint8Array(length);
    this.copy(runs, bytes, 0);
    return bytes;
  }

  /**
   * Reads up to the first byte that is not there and answers how many bytes that were.
   *
   * @throws GuestMemoryError as above, where not even the first byte is there
   */
  read(gva: bigint, dest: Uint8Array, destOffset = 0, length: number = dest.length - destOffset): number {
    this.checkRoom(dest, destOffset, length);
    this.checkEnd(gva, length);
    let done = 0;
    while (done < length) {
      const at = gva + BigInt(done);
      const wanted = Math.min(length - done, PAGE - Number(at % BigInt(PAGE)));
      const gpa = this.translator.resolveGva(at, this.access);
      if (done > 0 && (gpa < 0 || !this.memory.checkRange(gpa, 1))) return done;
      if (gpa < 0) throw this.fault(at, length);
      const got = this.memory.read(gpa, dest, destOffset + done, wanted);
      done += got;
      if (got < wanted) return done;
    }
    return done;
  }

  /** Reads an unsigned 8-bit integer. */
  readU8(gva: bigint): number {
    const gpa = this.near(gva, 1);
    return this.memory.readU8(gpa);
  }

  /** Reads an unsigned 16-bit integer. */
  readU16(gva: bigint): number {
    const gpa = this.near(gva, 2);
    if (gpa >= 0) return this.memory.readU16(gpa);
    this.readAt(gva, scalar, 0, 2);
    return scalarView.getUint16(0, true);
  }

  /** Reads an unsigned 32-bit integer. */
  readU32(gva: bigint): number {
    const gpa = this.near(gva, 4);
    if (gpa >= 0) return this.memory.readU32(gpa);
    this.readAt(gva, scalar, 0, 4);
    return scalarView.getUint32(0, true);
  }

  /** Reads an unsigned 64-bit integer. */
  readU64(gva: bigint): bigint {
    const gpa = this.near(gva, 8);
    if (gpa >= 0) return this.memory.readU64(gpa);
    this.readAt(gva, scalar, 0, 8);
    return scalarView.getBigUint64(0, true);
  }

  /** Physical address of a scalar that lies within one page, or -1. */
  private near(gva: bigint, width: number): number {
    splitAddress(gva);
    const lo = halvesOfAddress[0] as number;
    const hi = halvesOfAddress[1] as number;
    if ((lo & (PAGE - 1)) > PAGE - width) return -1;
    const gpa = this.translator.resolve(lo, hi, this.access);
    if (gpa < 0) throw this.fault(gva, width);
    return gpa;
  }

  /** Translates a whole range, page by page, into as few runs as there are. */
  private locate(gva: bigint, length: number): Run[] {
    this.checkEnd(gva, length);
    const runs: Run[] = [];
    let last: Run | undefined;
    for (let done = 0; done < length; ) {
      const at = gva + BigInt(done);
      const gpa = this.translator.resolveGva(at, this.access);
      if (gpa < 0) throw this.fault(at, length, gva);
      const step = Math.min(length - done, PAGE - Number(at % BigInt(PAGE)));
      if (last !== undefined && last.gpa + last.length === gpa) last.length += step;
      else {
        last = { gpa, length: step };
        runs.push(last);
      }
      done += step;
    }
    return runs;
  }

  private copy(runs: readonly Run[], dest: Uint8Array, destOffset: number): void {
    if (runs.length > 1) {
      for (const run of runs) {
        // The error is the memory's own: it is asked for the bytes, into a place where they do no harm.
        if (!this.memory.checkRange(run.gpa, run.length)) this.memory.readBytes(run.gpa, run.length);
      }
    }
    for (const run of runs) {
      this.memory.readAt(run.gpa, dest, destOffset, run.length);
      destOffset += run.length;
    }
  }

  private fault(gva: bigint, length: number, start: bigint = gva): GuestMemoryError {
    const cause = faultError(this.translator.fault);
    const range = start === gva ? '' : `, in a range from virtual address ${hex(start)}`;
    return new GuestMemoryError('fault', `virtual address ${hex(gva)} has no translation${range}`, {
      memory: this.memory.name,
      operation: 'read',
      length,
      cause,
    });
  }

  private checkRoom(dest: Uint8Array, destOffset: number, length: number): void {
    this.checkLength(length);
    if (!Number.isSafeInteger(destOffset) || destOffset < 0 || length > dest.length - destOffset) {
      throw this.invalid(
        length,
        `current destination ${dest.length} bytes, offset ${destOffset}, wanted room for them`,
      );
    }
  }

  private checkLength(length: number): void {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw this.invalid(length, `current length ${length}, wanted a whole number of at least 0`);
    }
  }

  private checkEnd(gva: bigint, length: number): void {
    splitAddress(gva);
    if (gva + BigInt(length) > 2n ** 64n) {
      throw this.invalid(
        length,
        `the range from virtual address ${hex(gva)} runs past the end of the 2^64 space`,
      );
    }
  }

  private invalid(length: number, reason: string): GuestMemoryError {
    return new GuestMemoryError('invalid', reason, { memory: this.memory.name, operation: 'read', length });
  }
}
