import { QueueError } from './queue-error.ts';

/** How the disk likes to be accessed (virtio 1.3, 5.2.4): hints to the driver. */
export interface BlockTopology {
  /** log2 of logical blocks in a physical block. Default 0. */
  readonly physicalBlockExponent?: number;
  /** First aligned logical block. Default 0. */
  readonly alignmentOffset?: number;
  /** Suggested smallest request, in logical blocks. Default 0: none. */
  readonly minIoSize?: number;
  /** Suggested largest request, in logical blocks. Default 0: none. */
  readonly optIoSize?: number;
}

/** The fields of the configuration space that do not change. */
export interface BlockConfig {
  readonly sizeMax: number;
  readonly segMax: number;
  readonly blockSize: number;
  readonly topology: BlockTopology;
  readonly queueCount: number;
}

/** Bytes of `struct virtio_blk_config` up to the end of its write-zeroes fields. */
export const BLOCK_CONFIG_SIZE = 60;

/** Throws `invalid` for a field out of its range. */
export function checkBlockConfig(config: BlockConfig): void {
  const { sizeMax, segMax, blockSize, topology, queueCount } = config;
  check('sizeMax', sizeMax, 512, 0xffff_ffff);
  // The header and the status take two more, and a chain has at most 32768 descriptors.
  check('segMax', segMax, 1, 32766);
  check('blockSize', blockSize, 512, 0x8000_0000);
  if (2 ** Math.round(Math.log2(blockSize)) !== blockSize) {
    throw new QueueError(
      'invalid',
      `Cannot make a block device: current blockSize ${blockSize}, wanted a power of two`,
    );
  }
  check('queueCount', queueCount, 1, 0xffff);
  check('topology.physicalBlockExponent', topology.physicalBlockExponent ?? 0, 0, 255);
  check('topology.alignmentOffset', topology.alignmentOffset ?? 0, 0, 255);
  check('topology.minIoSize', topology.minIoSize ?? 0, 0, 0xffff);
  check('topology.optIoSize', topology.optIoSize ?? 0, 0, 0xffff_ffff);
}

/** The configuration space as bytes (virtio 1.3, 5.2.4). */
export function encodeBlockConfig(config: BlockConfig, sectors: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK_CONFIG_SIZE);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(sectors), true);
  view.setUint32(8, config.sizeMax, true);
  view.setUint32(12, config.segMax, true);
  view.setUint32(20, config.blockSize, true);
  view.setUint8(24, config.topology.physicalBlockExponent ?? 0);
  view.setUint8(25, config.topology.alignmentOffset ?? 0);
  view.setUint16(26, config.topology.minIoSize ?? 0, true);
  view.setUint32(28, config.topology.optIoSize ?? 0, true);
  view.setUint16(34, config.queueCount, true);
  return bytes;
}

function check(field: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new QueueError(
    'invalid',
    `Cannot make a block device: current ${field} ${value}, wanted ${low} to ${high}`,
    {
      value,
      limit: high,
    },
  );
}
