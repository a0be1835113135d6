import {
  BLOCK_CONFIG_SIZE,
  type BlockConfig,
  type BlockTopology,
  checkBlockConfig,
  encodeBlockConfig,
} from './block-config.ts';
import {
  BLK_HEADER_SIZE,
  BLK_ID_SIZE,
  BLK_S_IOERR,
  BLK_S_OK,
  BLK_S_UNSUPP,
  BLK_T_FLUSH,
  BLK_T_GET_ID,
  BLK_T_IN,
  BLK_T_OUT,
  SECTOR_SIZE,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_TOPOLOGY,
  VIRTIO_ID_BLOCK,
} from './block-protocol.ts';
import type { BlockStorage } from './block-storage.ts';
import type { ChainReader } from './chain-reader.ts';
import type { ChainWriter } from './chain-writer.ts';
import { DescriptorChain } from './descriptor-chain.ts';
import { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_VERSION_1 } from './features.ts';
import { QueueError } from './queue-error.ts';
import type { SplitQueue } from './split-queue.ts';
import type { VirtioDevice } from './virtio-device.ts';

/** What a block device is made of, and how much it does at a time. */
export interface BlockDeviceOptions {
  readonly storage: BlockStorage;
  /** Device ID string: at most 20 bytes of UTF-8. Default: empty. */
  readonly serial?: string;
  /** Refuse writes although the storage would take them. */
  readonly readOnly?: boolean;
  /** Request queues. Default 1. */
  readonly queueCount?: number;
  /** Data segments in a request at most, as the driver is told. Default 126. */
  readonly segMax?: number;
  /** Bytes in a data segment at most, as the driver is told. Default 1 MiB. A request has at most `segMax * sizeMax`. */
  readonly sizeMax?: number;
  /** Logical block size that the driver is told: a power of two from 512 on. Default 512. */
  readonly blockSize?: number;
  readonly topology?: BlockTopology;
  /** When {@link BlockDevice.processQueue} stops although chains wait. Default 64 chains or 16 MiB. */
  readonly batch?: { readonly chains?: number; readonly bytes?: number };
  /**
   * Called with what the storage threw (the guest sees IOERR), and with the QueueError of a malformed request or
   * ring. A hostile guest can cause any number of the latter; it must not throw.
   */
  readonly onError?: (error: unknown, queueIndex: number) => void;
}

/**
 * A virtio block device (virtio 1.2 and 1.3, section 5.2): read, write, flush, get ID.
 *
 * Data goes between the storage and guest memory with no copy between. A request outside the disk, one whose length
 * is not whole sectors, and one that the storage failed are answered with IOERR; an unknown one with UNSUPP. A ring
 * or chain that is malformed, down to a request without room for a status byte, has no one to be answered to: it is
 * reported, what was done before it is completed, and the device needs a reset.
 *
 * Until features were accepted, and where the driver did not accept `VIRTIO_BLK_F_FLUSH`, each write is flushed.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { BlockDevice, MemoryStorage } from 'guestmem/virtio';
 *
 * const device = new BlockDevice({ storage: new MemoryStorage(1 << 20), serial: 'disk-1' });
 * const capacity = new Uint8Array(8);
 * device.readConfig(0, capacity);
 * assert.equal(new DataView(capacity.buffer).getBigUint64(0, true), 2048n); // sectors of 512 bytes
 * ```
 */
export class BlockDevice implements VirtioDevice {
  readonly deviceType: number = VIRTIO_ID_BLOCK;
  readonly features: bigint;
  readonly queueCount: number;
  readonly configSize: number = BLOCK_CONFIG_SIZE;
  readonly maxChainLength: number;
  readonly readOnly: boolean;
  private readonly storage: BlockStorage;
  private readonly config: BlockConfig;
  private readonly serial: Uint8Array;
  private readonly maxRequestBytes: number;
  private readonly batchChains: number;
  private readonly batchBytes: number;
  private readonly onError: ((error: unknown, queueIndex: number) => void) | undefined;
  private readonly chain: DescriptorChain;
  private readonly header: Uint8Array;
  private readonly headerView: DataView;
  private writeThrough: boolean;
  private broken: boolean;

  /** @throws QueueError `invalid` for an option out of range */
  constructor(options: BlockDeviceOptions) {
    this.storage = options.storage;
    this.readOnly = options.readOnly === true || options.storage.readOnly;
    this.queueCount = options.queueCount ?? 1;
    this.config = {
      sizeMax: options.sizeMax ?? 0x10_0000,
      segMax: options.segMax ?? 126,
      blockSize: options.blockSize ?? SECTOR_SIZE,
      topology: options.topology ?? {},
      queueCount: this.queueCount,
    };
    checkBlockConfig(this.config);
    this.maxRequestBytes = this.config.segMax * this.config.sizeMax;
    this.maxChainLength = this.config.segMax + 2;
    this.serial = encodeSerial(options.serial ?? '');
    this.batchChains = atLeastOne('batch.chains', options.batch?.chains ?? 64);
    this.batchBytes = atLeastOne('batch.bytes', options.batch?.bytes ?? 0x100_0000);
    this.onError = options.onError;
    this.features =
      VIRTIO_F_VERSION_1 |
      VIRTIO_F_INDIRECT_DESC |
      VIRTIO_F_EVENT_IDX |
      VIRTIO_BLK_F_SIZE_MAX |
      VIRTIO_BLK_F_SEG_MAX |
      VIRTIO_BLK_F_BLK_SIZE |
      VIRTIO_BLK_F_FLUSH |
      VIRTIO_BLK_F_TOPOLOGY |
      (this.readOnly ? VIRTIO_BLK_F_RO : 0n) |
      (this.queueCount > 1 ? VIRTIO_BLK_F_MQ : 0n);
    this.chain = new DescriptorChain(this.maxChainLength);
    this.header = new Uint8Array(BLK_HEADER_SIZE);
    this.headerView = new DataView(this.header.buffer);
    this.writeThrough = true;
    this.broken = false;
  }

  /** Size of the disk in sectors of 512 bytes. */
  get capacity(): number {
    return Math.floor(this.storage.size / SECTOR_SIZE);
  }

  get needsReset(): boolean {
    return this.broken;
  }

  acceptFeatures(features: bigint): void {
    if ((features & ~this.features) !== 0n) {
      throw new QueueError(
        'invalid',
        `Cannot accept features 0x${features.toString(16)}: offered are 0x${this.features.toString(16)}`,
      );
    }
    this.writeThrough = (features & VIRTIO_BLK_F_FLUSH) === 0n;
  }

  readConfig(offset: number, dest: Uint8Array): void {
    const bytes = encodeBlockConfig(this.config, this.capacity);
    dest.fill(0);
    if (Number.isSafeInteger(offset) && offset >= 0) dest.set(bytes.subarray(offset, offset + dest.length));
  }

  writeConfig(_offset: number, _src: Uint8Array): void {
    // None of the fields that these features make valid is writable (virtio 1.3, 5.2.4).
  }

  processQueue(index: number, queue: SplitQueue): boolean {
    if (this.broken) return false;
    const { chain } = this;
    try {
      queue.fetchAvailable();
      let bytes = 0;
      for (
        let chains = 0;
        chains < this.batchChains && bytes < this.batchBytes && queue.pop(chain);
        chains++
      ) {
        bytes += chain.readableBytes + chain.writableBytes;
        queue.push(chain.head, this.serve(index, chain));
      }
    } catch (error) {
      this.fail(index, error);
    }
    try {
      return queue.publish();
    } catch (error) {
      this.fail(index, error);
      return false;
    }
  }

  fail(index: number, error: unknown): void {
    this.broken = true;
    this.onError?.(error, index);
  }

  reset(): void {
    this.broken = false;
    this.writeThrough = true;
  }

  /** Serves one request; the bytes written, counted from the first writable one on. */
  private serve(index: number, chain: DescriptorChain): number {
    const { head, reader, writer } = chain;
    if (writer.remaining === 0) {
      throw new QueueError(
        'chain-too-short',
        `Cannot answer block request ${head}: no room for a status byte`,
        {
          section: '5.2.6',
          head,
          value: 0,
          limit: 1,
        },
      );
    }
    // The status is the last writable byte, however the rest is framed (virtio 1.3, 2.7.4.1 and 5.2.6).
    const status = writer.splitEnd(1);
    const room = writer.remaining;
    const code = this.execute(index, reader, writer);
    status.writeU8(code);
    // Data that was not written is not to be counted, nor a status byte behind it (virtio 1.3, 2.7.8.2).
    const written = code === BLK_S_OK ? writer.written : 0;
    return written === room ? room + 1 : written;
  }

  private execute(index: number, reader: ChainReader, writer: ChainWriter): number {
    try {
      reader.read(this.header);
      switch (this.headerView.getUint32(0, true)) {
        case BLK_T_IN:
          return this.read(this.position(writer.remaining), writer);
        case BLK_T_OUT:
          return this.write(this.position(reader.remaining), reader);
        case BLK_T_FLUSH:
          if (!this.readOnly) this.storage.flush();
          return BLK_S_OK;
        case BLK_T_GET_ID:
          if (writer.remaining < BLK_ID_SIZE) return BLK_S_IOERR;
          writer.write(this.serial);
          return BLK_S_OK;
        default:
          return BLK_S_UNSUPP;
      }
    } catch (error) {
      this.onError?.(error, index);
      return BLK_S_IOERR;
    }
  }

  /** Where a transfer of `length` bytes begins, or -1 where it is not whole sectors inside the disk. */
  private position(length: number): number {
    const low = this.headerView.getUint32(8, true);
    const high = this.headerView.getUint32(12, true);
    // Exact: a capacity is at most 2^44 sectors, and a sector number too large to be exact is larger than that.
    const sector = high * 2 ** 32 + low;
    if (length % SECTOR_SIZE !== 0 || length > this.maxRequestBytes) return -1;
    if (length / SECTOR_SIZE > this.capacity - sector) return -1;
    return sector * SECTOR_SIZE;
  }

  private read(position: number, writer: ChainWriter): number {
    if (position < 0) return BLK_S_IOERR;
    if (writer.remaining === 0) return BLK_S_OK;
    const views = writer.views();
    try {
      this.storage.readv(position, views.iovecs);
    } finally {
      views.release();
    }
    return BLK_S_OK;
  }

  private write(position: number, reader: ChainReader): number {
    if (position < 0 || this.readOnly) return BLK_S_IOERR;
    if (reader.remaining === 0) return BLK_S_OK;
    const views = reader.views();
    try {
      this.storage.writev(position, views.iovecs);
    } finally {
      views.release();
    }
    if (this.writeThrough) this.storage.flush();
    return BLK_S_OK;
  }
}

function encodeSerial(serial: string): Uint8Array {
  const bytes = new TextEncoder().encode(serial);
  if (bytes.length > BLK_ID_SIZE) {
    throw new QueueError(
      'invalid',
      `Cannot make a block device: current serial has ${bytes.length} bytes, wanted at most ${BLK_ID_SIZE}`,
    );
  }
  const padded = new Uint8Array(BLK_ID_SIZE);
  padded.set(bytes);
  return padded;
}

function atLeastOne(option: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new QueueError(
    'invalid',
    `Cannot make a block device: current ${option} ${value}, wanted at least 1`,
  );
}
