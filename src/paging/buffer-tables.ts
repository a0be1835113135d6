import { hex } from '../core/index.ts';
import { FrameRange } from './frames.ts';
import { PagingError } from './paging-error.ts';
import type { TableOps } from './table-ops.ts';

/**
 * Translation tables in bytes that are being prepared, before there is a guest memory: an initial page-table image,
 * say. The bytes will stand at guest-physical address `gpa`, and tables are taken from them in order. They are
 * private to this thread; for tables that others write, see {@link GuestTables}. Another address space in the same bytes is
 * another instance with the same `frames`.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { BufferTables, createRoot, map, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const image = new Uint8Array(0x4000);
 * const tables = new BufferTables(image, 0x1_0000);
 * const root = createRoot(tables, X86_4LEVEL);
 * map(tables, { format: X86_4LEVEL, gva: 0x1000n, gpa: 0x8000, length: 0x1000 });
 *
 * const memory = GuestMemory.allocate(0x2_0000);
 * memory.writeAt(0x1_0000, image);
 * const mapped = new Translator({ memory, format: X86_4LEVEL, root }).translate(0x1000n);
 * assert(mapped.kind === 'mapped');
 * assert.equal(mapped.gpa, 0x8000);
 * ```
 */
export class BufferTables implements TableOps<number> {
  /** Guest-physical address of the first byte. */
  readonly gpa: number;
  /** Where its tables come from: all of the buffer, if nothing else was given. */
  readonly frames: FrameRange;
  private readonly view: DataView;
  private root: number | undefined;

  /** @throws PagingError `invalid` where `gpa` or the buffer's length is not a whole number of pages, or `frames` are elsewhere */
  constructor(
    buffer: Uint8Array,
    gpa: number,
    options: { readonly root?: number; readonly frames?: FrameRange } = {},
  ) {
    const { frames = new FrameRange(gpa, buffer.byteLength), root } = options;
    if (frames.gpa < gpa || frames.gpa + frames.length > gpa + buffer.byteLength) {
      throw new PagingError(
        'invalid',
        `Cannot take tables from ${hex(frames.gpa)}: wanted frames within the prepared bytes at ${hex(gpa)}`,
      );
    }
    this.gpa = gpa;
    this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    this.frames = frames;
    if (root !== undefined) this.updateRoot(root);
  }

  entryAddr(addr: number, byteOffset: number): number {
    return addr + byteOffset;
  }

  readEntry(addr: number, size: 4 | 8): bigint | undefined {
    const offset = this.offsetOf(addr, size);
    if (offset === undefined) return undefined;
    return size === 8 ? this.view.getBigUint64(offset, true) : BigInt(this.view.getUint32(offset, true));
  }

  readEntryInto(addr: number, size: 4 | 8, halves: Uint32Array): boolean {
    const offset = this.offsetOf(addr, size);
    if (offset === undefined) return false;
    halves[0] = this.view.getUint32(offset, true);
    halves[1] = size === 8 ? this.view.getUint32(offset + 4, true) : 0;
    return true;
  }

  /** The buffer is being prepared and nobody else's: a comparison and a store are enough. */
  compareExchangeEntry(addr: number, expected: bigint, desired: bigint, size: 4 | 8): boolean | undefined {
    const found = this.readEntry(addr, size);
    if (found === undefined) return undefined;
    if (found !== expected) return false;
    this.writeEntry(addr, desired, size);
    return true;
  }

  toPhys(addr: number): number {
    return addr;
  }

  fromPhys(gpa: number): number {
    return gpa;
  }

  /** @throws PagingError `invalid` where there is no root yet */
  rootTable(): number {
    if (this.root === undefined) {
      throw new PagingError('invalid', 'Cannot use these tables: they have no root yet, wanted createRoot()');
    }
    return this.root;
  }

  /** @throws PagingError `invalid` where `root` is not within the buffer */
  updateRoot(root: number): void {
    if (this.offsetOf(root, 8) === undefined) {
      throw new PagingError(
        'invalid',
        `Cannot set the root table: ${hex(root)} is not within the prepared bytes`,
      );
    }
    this.root = root;
  }

  /** @throws PagingError `invalid` where the entry is not within the buffer */
  writeEntry(addr: number, entry: bigint, size: 4 | 8): void {
    const offset = this.offsetOf(addr, size);
    if (offset === undefined) {
      throw new PagingError(
        'invalid',
        `Cannot write an entry at ${hex(addr)}: it is not within the prepared bytes`,
      );
    }
    if (size === 8) this.view.setBigUint64(offset, entry, true);
    else this.view.setUint32(offset, Number(entry), true);
  }

  allocTable(size = 4096): number | undefined {
    const table = this.frames.alloc(size);
    if (table !== undefined) {
      new Uint8Array(this.view.buffer, this.view.byteOffset + table - this.gpa, size).fill(0);
    }
    return table;
  }

  freeTable(table: number): void {
    this.frames.free(table);
  }

  /** @throws PagingError `invalid` for a table that was not allocated here */
  retainTable(table: number): void {
    this.frames.retain(table);
  }

  tableReferences(table: number): number {
    return this.frames.references(table);
  }

  canWriteEntry(addr: number, size: 4 | 8): boolean {
    return this.offsetOf(addr, size) !== undefined;
  }

  /** Bytes from the start of the buffer that tables were taken from: what has to be loaded into the guest. */
  get used(): number {
    return this.frames.gpa - this.gpa + this.frames.used;
  }

  private offsetOf(addr: number, size: number): number | undefined {
    const offset = addr - this.gpa;
    return Number.isInteger(offset) && offset >= 0 && offset <= this.view.byteLength - size
      ? offset
      : undefined;
  }
}
