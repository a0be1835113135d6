import { callbacks, GuestMemory, type MemoryBacking } from '../../src/core/index.ts';
import {
  createRoot,
  FrameRange,
  GuestTables,
  map,
  Tlb,
  Translator,
  VirtualMemory,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const BASE = 0xffff_8000_0000_0000n;

/** Virtual memory whose pages lie about in memory backwards: of `pages` pages, none follows the one before it. */
export function scatteredVirtualMemory(pages: number): {
  readonly virtual: VirtualMemory;
  readonly base: bigint;
} {
  const memory = GuestMemory.allocate(0x8_0000);
  const tables = new GuestTables(memory, { frames: new FrameRange(0x4_0000, 0x4_0000) });
  createRoot(tables, X86_4LEVEL);
  for (let page = 0; page < pages; page++) {
    const gva = BASE + BigInt(page * 4096);
    map(tables, { format: X86_4LEVEL, gva, gpa: (pages - page) * 4096, length: 4096, write: true });
  }
  const tlb = new Tlb(new Translator({ tables, format: X86_4LEVEL }), { entries: 2 });
  return { virtual: new VirtualMemory(memory, tlb), base: BASE };
}

/** Calls that go to virtual memory: `size` bytes on both sides of a page's end, each scalar one access of its width. */
export function virtualCalls(size: number): MemoryBacking {
  const { virtual, base } = scatteredVirtualMemory(2);
  const start = base + BigInt(4096 - size / 2);
  return callbacks({
    size,
    read: (offset, dest) => virtual.readAt(start + BigInt(offset), dest),
    write: (offset, src) => virtual.writeAt(start + BigInt(offset), src),
    compareExchange: (offset, expected, desired) =>
      virtual.compareExchangeBytes(start + BigInt(offset), expected, desired),
  });
}

/** A virtual memory in the clothes of a physical one, for suites that call a memory by number: `at` is its address 0. */
export function byNumber(virtual: VirtualMemory, at: bigint): GuestMemory {
  return new Proxy(virtual.memory, {
    get(target, name) {
      const method: unknown = Reflect.get(virtual, name);
      if (typeof method !== 'function') return Reflect.get(target, name);
      return (gpa: number, ...rest: readonly unknown[]) =>
        Reflect.apply(method, virtual, [at + BigInt(gpa), ...rest]);
    },
  });
}
