import { QueueError } from './queue-error.ts';

/**
 * What a block device keeps its sectors in. Calls are synchronous; positions and lengths are multiples of 512 and
 * within `size`.
 *
 * A list can have more entries than one `readv` of the host takes (IOV_MAX, 1024 on Linux): split it there.
 */
export interface BlockStorage {
  /** Bytes. A last sector that is not whole is not part of the disk. */
  readonly size: number;
  /** Writes are refused before they get here. */
  readonly readOnly: boolean;
  /** Fills every byte of `iovecs` from `position` on, or throws. */
  readv(position: number, iovecs: readonly Uint8Array[]): void;
  /** Stores every byte of `iovecs` from `position` on, or throws. */
  writev(position: number, iovecs: readonly Uint8Array[]): void;
  /** Returns when everything written is stable, or throws. */
  flush(): void;
}

/**
 * A disk in memory.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { MemoryStorage } from 'guestmem/virtio';
 *
 * const disk = new MemoryStorage(1024);
 * disk.writev(512, [new Uint8Array([1, 2]), new Uint8Array([3])]);
 * assert.deepEqual(disk.bytes.subarray(512, 515), new Uint8Array([1, 2, 3]));
 * ```
 */
export class MemoryStorage implements BlockStorage {
  readonly bytes: Uint8Array;
  readonly readOnly: boolean;

  /** @param init - size in bytes, or the bytes themselves, which are not copied */
  constructor(init: number | Uint8Array, options: { readonly readOnly?: boolean } = {}) {
    this.bytes = typeof init === 'number' ? new Uint8Array(init) : init;
    this.readOnly = options.readOnly ?? false;
  }

  get size(): number {
    return this.bytes.length;
  }

  readv(position: number, iovecs: readonly Uint8Array[]): void {
    this.check(position, iovecs);
    for (const iovec of iovecs) {
      iovec.set(this.bytes.subarray(position, position + iovec.length));
      position += iovec.length;
    }
  }

  writev(position: number, iovecs: readonly Uint8Array[]): void {
    this.check(position, iovecs);
    for (const iovec of iovecs) {
      this.bytes.set(iovec, position);
      position += iovec.length;
    }
  }

  flush(): void {
    // Memory is as stable as it gets.
  }

  private check(position: number, iovecs: readonly Uint8Array[]): void {
    let length = 0;
    for (const iovec of iovecs) length += iovec.length;
    if (!Number.isSafeInteger(position) || position < 0 || length > this.size - position) {
      throw new QueueError(
        'invalid',
        `Cannot use ${length} bytes at ${position} of a disk of ${this.size} bytes`,
      );
    }
  }
}
