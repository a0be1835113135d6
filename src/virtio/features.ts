/** Ring feature: descriptors may refer to tables of descriptors (virtio 1.3, 2.7.5.3 and 6). */
export const VIRTIO_F_INDIRECT_DESC: bigint = 1n << 28n;
/** Ring feature: each side says at which index it wants the next notification (virtio 1.3, 2.7.7, 2.7.10 and 6). */
export const VIRTIO_F_EVENT_IDX: bigint = 1n << 29n;
/** The device follows version 1 of the specification (virtio 1.3, 6): every device here does, and offers it. */
export const VIRTIO_F_VERSION_1: bigint = 1n << 32n;
