import {
  type Access,
  callbacks,
  GuestMemory,
  GuestMemoryAccessor,
  type HostRun,
  type MemoryBacking,
} from '../../src/core/index.ts';

const RUN = 32;

/** Host runs of 32 bytes, neighbours in the guest and nowhere near on the host; every other one is shared. */
export class ScatteredRuns extends GuestMemoryAccessor {
  readonly start: number;
  readonly size: number;
  /** Calls so far, by kind of access. */
  readonly asked: { read: number; write: number } = { read: 0, write: 0 };
  readonly #buffers: readonly ArrayBufferLike[];

  constructor(start: number, size: number) {
    super();
    this.start = start;
    this.size = size;
    this.#buffers = [new ArrayBuffer(size * 2), new SharedArrayBuffer(size * 2)];
  }

  get seams(): number[] {
    return Array.from({ length: this.size / RUN - 1 }, (_, i) => this.start + (i + 1) * RUN);
  }

  translateAndGetLimit(gpa: number, access: Access = 'read'): HostRun | undefined {
    this.asked[access === 'write' ? 'write' : 'read']++;
    const offset = gpa - this.start;
    if (!(offset >= 0 && offset < this.size)) return undefined;
    const run = Math.floor(offset / RUN);
    const place = ((run * 7) % (this.size / RUN)) * RUN;
    const buffer = this.#buffers[run % 2];
    return buffer === undefined
      ? undefined
      : { buffer, byteOffset: place + (offset % RUN), limit: RUN - (offset % RUN) };
  }
}

/**
 * A one-level table in a guest memory of calls, read by scalars: a translator that itself uses the slow road in the
 * middle of another memory's access.
 */
export class TableWalk extends GuestMemoryAccessor {
  readonly start: number;
  readonly size: number;
  readonly #ram: ArrayBuffer;
  readonly #table: GuestMemory;

  constructor(start: number, size: number) {
    super();
    this.start = start;
    this.size = size;
    this.#ram = new ArrayBuffer(size * 4);
    const entries = new Uint8Array((size / RUN) * 8 + 1);
    this.#table = GuestMemory.from(
      callbacks({
        size: entries.length,
        read: (offset, dest) => dest.set(entries.subarray(offset, offset + dest.length)),
        write: (offset, src) => entries.set(src, offset),
      }),
    );
    // Entries at odd addresses: the slowest of all roads.
    for (let run = 0; run < size / RUN; run++) {
      this.#table.writeU64(run * 8 + 1, BigInt((size / RUN - run) * RUN * 2) | 1n);
    }
  }

  get seams(): number[] {
    return Array.from({ length: this.size / RUN - 1 }, (_, i) => this.start + (i + 1) * RUN);
  }

  translateAndGetLimit(gpa: number): HostRun | undefined {
    const offset = gpa - this.start;
    if (!(offset >= 0 && offset < this.size)) return undefined;
    const entry = this.#table.readU64Number(Math.floor(offset / RUN) * 8 + 1);
    if (entry % 2 === 0) return undefined;
    return { buffer: this.#ram, byteOffset: entry - 1 + (offset % RUN), limit: RUN - (offset % RUN) };
  }
}

/**
 * Calls that forward to another memory one byte at a time, with other scalars read in between: a device whose
 * registers lie in guest memory.
 */
export function byteByByte(inner: GuestMemory, size: number): MemoryBacking {
  return callbacks({
    size,
    read(offset, dest) {
      for (let i = 0; i < dest.length; i++) dest[i] = inner.readU8(offset + i);
    },
    write(offset, src) {
      for (let i = 0; i < src.length; i++) {
        inner.readU64(0);
        inner.writeU8(offset + i, src[i] ?? 0);
      }
    },
  });
}
