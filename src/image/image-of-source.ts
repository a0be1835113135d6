import { type GuestMemory, GuestMemoryError } from '../core/index.ts';
import type { ByteSource } from './byte-source.ts';
import type { CpuState, ImageRange, MemoryImage } from './memory-image.ts';
import { memoryOfRanges } from './range-memory.ts';

/** What a reader found out about the image in a source. */
export interface ImageFacts {
  readonly format: MemoryImage['format'];
  readonly reason: string;
  readonly machine?: string;
  readonly source: ByteSource;
  readonly ranges: readonly ImageRange[];
  readonly cpus: readonly CpuState[];
  readonly warnings: readonly string[];
}

/** An image that lies in one source, which it owns from now on. */
export class ImageOfSource implements MemoryImage {
  readonly format: MemoryImage['format'];
  readonly reason: string;
  readonly machine?: string;
  readonly ranges: readonly ImageRange[];
  readonly memory: GuestMemory;
  readonly cpus: readonly CpuState[];
  readonly warnings: readonly string[];
  readonly #source: ByteSource;
  #closed = false;

  constructor(facts: ImageFacts) {
    this.format = facts.format;
    this.reason = facts.reason;
    if (facts.machine !== undefined) this.machine = facts.machine;
    this.ranges = facts.ranges;
    this.cpus = facts.cpus;
    this.warnings = facts.warnings;
    this.#source = facts.source;
    const { name, size } = facts.source;
    const guarded: ByteSource = { name, size, read: (position, dest) => this.#open().read(position, dest) };
    this.memory = memoryOfRanges(name, facts.ranges, () => guarded);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#source.close?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): ByteSource {
    if (!this.#closed) return this.#source;
    throw new GuestMemoryError('closed', 'the image was closed', {
      memory: this.#source.name,
      operation: 'read',
    });
  }
}
