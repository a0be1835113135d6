/** Device ID of a block device (virtio 1.3, 5.2.1). */
export const VIRTIO_ID_BLOCK = 2;

/** `size_max` is valid (virtio 1.3, 5.2.3). */
export const VIRTIO_BLK_F_SIZE_MAX: bigint = 1n << 1n;
/** `seg_max` is valid (virtio 1.3, 5.2.3). */
export const VIRTIO_BLK_F_SEG_MAX: bigint = 1n << 2n;
/** The disk is read-only (virtio 1.3, 5.2.3). */
export const VIRTIO_BLK_F_RO: bigint = 1n << 5n;
/** `blk_size` is valid (virtio 1.3, 5.2.3). */
export const VIRTIO_BLK_F_BLK_SIZE: bigint = 1n << 6n;
/** There is a flush request (virtio 1.3, 5.2.3); where it is not accepted, every write is made stable at once. */
export const VIRTIO_BLK_F_FLUSH: bigint = 1n << 9n;
/** The topology fields are valid (virtio 1.3, 5.2.3). */
export const VIRTIO_BLK_F_TOPOLOGY: bigint = 1n << 10n;
/** `num_queues` is valid (virtio 1.3, 5.2.3). */
export const VIRTIO_BLK_F_MQ: bigint = 1n << 12n;

/** Request types (virtio 1.3, 5.2.6). */
export const BLK_T_IN = 0;
export const BLK_T_OUT = 1;
export const BLK_T_FLUSH = 4;
export const BLK_T_GET_ID = 8;

/** Status bytes (virtio 1.3, 5.2.6). */
export const BLK_S_OK = 0;
export const BLK_S_IOERR = 1;
export const BLK_S_UNSUPP = 2;

/** Bytes in the unit of `sector` and `capacity`, whatever `blk_size` says (virtio 1.3, 5.2.5). */
export const SECTOR_SIZE = 512;
/** Bytes of a request before its data: le32 type, le32 reserved, le64 sector. */
export const BLK_HEADER_SIZE = 16;
/** Bytes of the device ID string. */
export const BLK_ID_SIZE = 20;
