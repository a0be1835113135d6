import {
  type Access,
  type GuestMemory,
  type MemoryView,
  type MemoryViews,
  RangeViews,
} from '../core/index.ts';
import { VirtualAtomics } from './virtual-atomics.ts';
import type { VirtualRun } from './virtual-door.ts';

/**
 * Guest memory by virtual address: what {@link GuestMemory} offers, across pages. Each call translates with its own kind of
 * access: a write needs pages that may be written, a fetch pages that may be executed.
 *
 * A fault of the guest's tables is a GuestMemoryError `fault` whose `cause` is a {@link PagingError} with the fault's
 * numbers; its `code` says which kind it is, `page-fault` for example. An address that is mapped to where no memory is,
 * fails as an access to that physical address does: `unmapped`, for example. Exact calls translate every page, and ask
 * the memory for it, before the first byte is touched.
 *
 * Addresses are 0 to 2^64-1; anything else is PagingError `invalid`, and a range past the end GuestMemoryError
 * `invalid`. Every call translates anew: put a {@link Tlb} in between to keep translations. How a range is scattered in memory is
 * the guest's choice: one in more than 2^20 pieces is `too-large` for a single call.
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
 * map(tables, { format: X86_4LEVEL, gva: 0x40_0000n, gpa: 0x5000, length: 0x1000, write: true });
 * map(tables, { format: X86_4LEVEL, gva: 0x40_1000n, gpa: 0x2000, length: 0x1000, write: true });
 *
 * const virtual = new VirtualMemory(memory, new Translator({ tables, format: X86_4LEVEL }));
 * virtual.writeU32(0x40_0ffen, 0x7856_3412); // two pages that are not neighbours in memory
 * assert.equal(memory.readU16(0x5ffe), 0x3412);
 * assert.equal(memory.readU16(0x2000), 0x7856);
 * assert.throws(
 *   () => virtual.fillAt(0x40_0000n, 0, 0x3000), // the third page is not mapped: nothing is filled
 *   (error) => isGuestMemoryError(error) && error.code === 'fault' && isPagingError(error.cause),
 * );
 * assert.equal(virtual.readU32(0x40_0ffen), 0x7856_3412);
 * ```
 */
export class VirtualMemory extends VirtualAtomics {
  /**
   * Lends the host bytes of a range that is one run in physical memory and on the host. Release the view when done. It
   * stays on these bytes, whatever becomes of the tables.
   *
   * @throws GuestMemoryError `unsupported` where the range lies in several runs (take {@link views}), or in a region of
   * calls; else as `readAt`
   */
  view(gva: bigint, length: number, access: Access): MemoryView {
    this.checkLength(length, 'view');
    const runs = this.settle(gva, length, access, 'view');
    const [run] = runs;
    if (runs.length > 1) {
      throw this.error('unsupported', `the range lies in ${runs.length} runs in memory; take views()`, {
        operation: 'view',
        length,
      });
    }
    return this.memory.view(run?.gpa ?? 0, length, access);
  }

  /**
   * Lends the host bytes of a range as a list of runs, for `fs.readv`, `fs.writev` and their like. Release the views when
   * done.
   *
   * @throws GuestMemoryError `unsupported` on a region of calls; else as `readAt`
   */
  views(gva: bigint, length: number, access: Access): RangeViews {
    this.checkLength(length, 'view');
    const parts: MemoryViews[] = [];
    const runs = this.settle(gva, length, access, 'view');
    try {
      this.eachRun(runs, gva, 'view', (gpa, count) => void parts.push(this.memory.views(gpa, count, access)));
    } catch (error) {
      for (const part of parts) part.release();
      throw error;
    }
    return new RangeViews(length, access, parts);
  }

  /**
   * Copies `length` bytes from another virtual memory, from this one, or from physical memory; the ranges may overlap.
   *
   * @param source - with its own kind of address: a bigint for a virtual memory, a number for a physical one
   * @throws GuestMemoryError as `readAt` for the source and `writeAt` for the destination
   */
  copyFrom(source: VirtualMemory, sourceGva: bigint, gva: bigint, length: number): void;
  copyFrom(source: GuestMemory, sourceGpa: number, gva: bigint, length: number): void;
  copyFrom(source: VirtualMemory | GuestMemory, from: bigint | number, gva: bigint, length: number): void {
    this.checkLength(length, 'copy');
    const virtual = source instanceof VirtualMemory;
    const memory = virtual ? source.memory : source;
    const sources = virtual
      ? source.settle(BigInt(from), length, 'read', 'copy')
      : physicalRun(source, Number(from), length);
    const runs = this.settle(gva, length, 'write', 'copy');
    const [first, second] = sources;
    const [run, another] = runs;
    if (first === undefined || run === undefined) return;
    if (second === undefined && another === undefined) {
      this.memory.copyFrom(memory, first.gpa, run.gpa, length);
      return;
    }
    // Pages may overlap in any way, also with themselves: all is read before anything is written.
    const bytes = this.newBytes(length, 'copy');
    let read = 0;
    for (const { gpa, length: count } of sources) {
      memory.readAt(gpa, bytes, read, count);
      read += count;
    }
    this.eachRun(runs, gva, 'copy', (gpa, count, moved) => this.memory.writeAt(gpa, bytes, moved, count));
  }
}

function physicalRun(memory: GuestMemory, gpa: number, length: number): VirtualRun[] {
  memory.probe(gpa, length);
  return length === 0 ? [] : [{ gpa, length }];
}
