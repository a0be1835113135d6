import { type GuestMemory, hex } from '../core/index.ts';
import { physical } from './bits.ts';
import { type EntryReader, storePhysical } from './entry-reader.ts';
import type { FrameSource } from './frames.ts';
import { checkNotThere, MemoryEntryReader, replaceEntry } from './memory-entry-reader.ts';
import { PagingError } from './paging-error.ts';
import type { TableOps } from './table-ops.ts';

/** What {@link GuestTables} may be given besides the memory. */
export interface GuestTablesOptions {
  /** Guest-physical address of the root table. Needed for walking; building can begin with {@link createRoot}. */
  readonly root?: number;
  /** Where new tables come from. Needed for building only. */
  readonly frames?: FrameSource;
}

/**
 * Translation tables in guest memory; a table's address is its guest-physical address.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { createRoot, FrameRange, GuestTables, map, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x10_0000);
 * const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
 * createRoot(tables, X86_4LEVEL);
 * map(tables, { format: X86_4LEVEL, gva: 0x7fff_0000_0000n, gpa: 0x3000, length: 0x2000, write: true });
 * const mapped = new Translator({ tables, format: X86_4LEVEL }).translate(0x7fff_0000_1008n);
 * assert(mapped.kind === 'mapped');
 * assert.equal(mapped.gpa, 0x4008);
 * ```
 */
export class GuestTables implements TableOps<number> {
  readonly memory: GuestMemory;
  private readonly frames: FrameSource | undefined;
  /** Shared with the readers of this instance, so that they see a new root at once. */
  private readonly root: RootRegister = new Int32Array(3);

  /** @throws PagingError `invalid` where `root` is no physical address */
  constructor(memory: GuestMemory, options: GuestTablesOptions = {}) {
    this.memory = memory;
    this.frames = options.frames;
    if (options.root !== undefined) this.updateRoot(options.root);
  }

  entryAddr(addr: number, byteOffset: number): number {
    return addr + byteOffset;
  }

  readEntry(addr: number, size: 4 | 8): bigint | undefined {
    try {
      return size === 8 ? this.memory.readU64(addr) : BigInt(this.memory.readU32(addr));
    } catch (error) {
      checkNotThere(error);
      return undefined;
    }
  }

  readEntryInto(addr: number, size: 4 | 8, halves: Uint32Array): boolean {
    try {
      if (size === 8) {
        this.memory.readU64Into(addr, halves);
      } else {
        halves[0] = this.memory.readU32(addr);
        halves[1] = 0;
      }
      return true;
    } catch (error) {
      return checkNotThere(error);
    }
  }

  compareExchangeEntry(addr: number, expected: bigint, desired: bigint, size: 4 | 8): boolean | undefined {
    return replaceEntry(this.memory, addr, expected, desired, size);
  }

  toPhys(addr: number): number {
    return addr;
  }

  fromPhys(gpa: number): number {
    return gpa;
  }

  /** @throws PagingError `invalid` where there is no root yet */
  rootTable(): number {
    const [lo = 0, hi = 0, valid = 0] = this.root;
    if (valid === 0) {
      throw new PagingError('invalid', 'Cannot use these tables: they have no root yet, wanted createRoot()');
    }
    return physical(lo, hi);
  }

  /** @throws PagingError `invalid` where `root` is no physical address */
  updateRoot(root: number): void {
    if (!Number.isSafeInteger(root) || root < 0 || root >= 2 ** 52) {
      throw new PagingError(
        'invalid',
        `Cannot set the root table: current address ${hex(root)}, wanted at most 52 bits`,
      );
    }
    storePhysical(this.root, root);
    this.root[2] = 1;
  }

  writeEntry(addr: number, entry: bigint, size: 4 | 8): void {
    if (size === 8) this.memory.writeU64(addr, entry);
    else this.memory.writeU32(addr, Number(entry));
  }

  canWriteEntry(addr: number, size: 4 | 8): boolean {
    return this.memory.checkRange(addr, size, 'write');
  }

  /**
   * @throws PagingError `invalid` where no frames were given; `table-unwritable` where the frame that comes next is not in
   * memory that can be written: it goes back
   */
  allocTable(size = 4096): number | undefined {
    const frames = this.source();
    const frame = frames.alloc(size);
    if (frame === undefined) return undefined;
    try {
      this.memory.fillAt(frame, 0, size);
    } catch (cause) {
      frames.free(frame, size);
      checkNotThere(cause);
      throw new PagingError(
        'table-unwritable',
        `Cannot take frame ${hex(frame)} for a table: ${hex(size)} bytes there cannot be written`,
        { cause },
      );
    }
    return frame;
  }

  /** @throws PagingError `invalid` where no frames were given, or for one that is not given out */
  freeTable(table: number, size = 4096): void {
    this.source().free(table, size);
  }

  /**
   * Tells of a reference that this library did not make: an entry that somebody wrote, or another root register.
   *
   * @throws PagingError `invalid` where the frames do not count references, or for one that is not given out
   */
  retainTable(table: number): void {
    const frames = this.source();
    if (frames.retain === undefined)
      throw new PagingError(
        'invalid',
        `Cannot retain table ${hex(table)}: its FrameSource has no retain(), wanted one that counts`,
      );
    frames.retain(table);
  }

  tableReferences(table: number): number {
    return this.frames?.references?.(table) ?? 0;
  }

  private source(): FrameSource {
    if (this.frames === undefined) {
      throw new PagingError('invalid', 'Cannot build tables: no frames were given, wanted a FrameSource');
    }
    return this.frames;
  }

  /**
   * The walker's own way in: the same reads with fewer steps between.
   *
   * @throws PagingError `invalid` where there is no root yet
   */
  entryReader(size: 4 | 8): EntryReader {
    this.rootTable();
    return new MemoryEntryReader(this.memory, this.root, size);
  }
}

/** Root address as two halves, then 1 once there is one. */
type RootRegister = Int32Array;
