import type { GuestMemory } from '../../core/index.ts';
import {
  ACCESS,
  createRoot,
  FrameRange,
  GuestTables,
  map,
  Tlb,
  Translator,
  VirtualMemory,
  X86_4LEVEL,
} from '../../paging/index.ts';
import type { GuestBuffer } from '../../virtio/index.ts';
import { LAYOUT, type SharedRam, VIRTUAL, withRam } from './plan.ts';

const PAGE = 4096;

/**
 * The little that the demo's guest needs of a kernel: its own map of physical memory, page tables that it builds in it,
 * and virtual addresses that it reads, writes and hands to devices through those tables.
 */
export class GuestKernel {
  readonly #tables: GuestTables;
  readonly #tlb: Tlb;
  #memory: GuestMemory;
  #virtual: VirtualMemory;
  /** Leaves and tables written so far. */
  leaves = 0;
  tables = 0;

  constructor(memory: GuestMemory) {
    const { gpa, length } = LAYOUT.pageTables;
    this.#memory = memory;
    this.#tables = new GuestTables(memory, { frames: new FrameRange(gpa, length) });
    createRoot(this.#tables, X86_4LEVEL);
    this.#tlb = new Tlb(new Translator({ tables: this.#tables, format: X86_4LEVEL }));
    this.#virtual = new VirtualMemory(memory, this.#tlb);
    for (const { start, size } of memory.regions) this.#mapDirect(start, size);
  }

  /** What CR3 would hold. */
  get root(): number {
    return this.#tables.toPhys(this.#tables.rootTable());
  }

  /** Takes a block of memory that appeared: into the map, and into the direct map of the tables. */
  plug(ram: SharedRam): void {
    this.#memory = withRam(this.#memory, ram);
    this.#virtual = new VirtualMemory(this.#memory, this.#tlb);
    this.#mapDirect(ram.start, ram.buffer.byteLength);
  }

  /**
   * Maps `length` bytes at `gva` in 4 KiB pages that lie scattered over `pools`, so that no buffer is contiguous: page
   * by page the pool changes, and within a pool pages are taken far apart.
   */
  mapScattered(gva: bigint, length: number, pools: readonly number[]): void {
    const pages = length / PAGE;
    const perPool = Math.ceil(pages / pools.length);
    for (let page = 0; page < pages; page++) {
      const pool = pools[page % pools.length] ?? 0;
      // 7 and the power of two that perPool is have no common factor, so every page is taken exactly once.
      const place = (Math.floor(page / pools.length) * 7) % perPool;
      this.#map(gva + BigInt(page * PAGE), pool + place * PAGE, PAGE, false);
    }
  }

  /** Where a virtual address is in physical memory. */
  toPhysical(gva: bigint, access: number = ACCESS.read): number {
    const gpa = this.#tlb.resolveGva(gva, access);
    if (gpa < 0) throw new Error(`The guest's own address 0x${gva.toString(16)} faults`);
    return gpa;
  }

  /** The physical pieces of a virtual buffer, as a driver gives them to a device. */
  buffers(gva: bigint, length: number, access: number): GuestBuffer[] {
    const pieces: { gpa: number; length: number }[] = [];
    for (let offset = 0; offset < length; offset += PAGE) {
      const gpa = this.toPhysical(gva + BigInt(offset), access);
      const last = pieces.at(-1);
      if (last !== undefined && last.gpa + last.length === gpa) last.length += PAGE;
      else pieces.push({ gpa, length: PAGE });
    }
    return pieces;
  }

  /** Reads through the page tables. */
  read(gva: bigint, dest: Uint8Array): void {
    this.#virtual.readAt(gva, dest);
  }

  /** Writes through the page tables, page by page; `gva` is page-aligned. */
  write(gva: bigint, src: Uint8Array): void {
    for (let offset = 0; offset < src.length; offset += PAGE) {
      const gpa = this.toPhysical(gva + BigInt(offset), ACCESS.write);
      this.#memory.writeAt(gpa, src, offset, Math.min(PAGE, src.length - offset));
    }
  }

  #mapDirect(gpa: number, length: number): void {
    this.#map(VIRTUAL.directMap + BigInt(gpa), gpa, length, true);
  }

  #map(gva: bigint, gpa: number, length: number, global: boolean): void {
    const result = map(this.#tables, { format: X86_4LEVEL, gva, gpa, length, write: true, global });
    this.leaves += result.leaves;
    this.tables += result.tables;
  }
}
