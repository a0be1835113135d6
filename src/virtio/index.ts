/**
 * `guestmem/virtio`: virtqueues on guest memory, device side and driver side, and the devices that live on them
 * (virtio 1.2 and 1.3). Nothing here knows how a device is reached: in process, through registers or over a socket.
 */
export type { BlockTopology } from './block-config.ts';
export { BlockDevice, type BlockDeviceOptions } from './block-device.ts';
export { type BlockCompletion, BlockDriver, type BlockStatus } from './block-driver.ts';
export {
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_TOPOLOGY,
  VIRTIO_ID_BLOCK,
} from './block-protocol.ts';
export { type BlockStorage, MemoryStorage } from './block-storage.ts';
export type { ChainReader } from './chain-reader.ts';
export type { ChainViews } from './chain-views.ts';
export type { ChainWriter } from './chain-writer.ts';
export { DescriptorChain } from './descriptor-chain.ts';
export { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_VERSION_1 } from './features.ts';
export { isQueueError, QueueError, type QueueErrorCode, type QueueErrorFacts } from './queue-error.ts';
export {
  type GuestBuffer,
  SplitDriverQueue,
  type SplitDriverQueueOptions,
  type UsedBuffer,
} from './split-driver-queue.ts';
export { layoutSplitQueue, type SplitQueueLayout, type SplitQueueSpace } from './split-layout.ts';
export { SplitQueue, type SplitQueueOptions } from './split-queue.ts';
export { type ServiceResult, serviceQueue, type VirtioDevice } from './virtio-device.ts';
