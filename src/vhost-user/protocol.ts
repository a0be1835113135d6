/** Numbers of the vhost-user protocol (QEMU documentation, "Vhost-user Protocol"). */

/** Requests of the front end, by number. Those not handled here are named too, for the messages about them. */
export const REQUEST_NAMES: Readonly<Record<number, string>> = {
  1: 'GET_FEATURES',
  2: 'SET_FEATURES',
  3: 'SET_OWNER',
  4: 'RESET_OWNER',
  5: 'SET_MEM_TABLE',
  6: 'SET_LOG_BASE',
  7: 'SET_LOG_FD',
  8: 'SET_VRING_NUM',
  9: 'SET_VRING_ADDR',
  10: 'SET_VRING_BASE',
  11: 'GET_VRING_BASE',
  12: 'SET_VRING_KICK',
  13: 'SET_VRING_CALL',
  14: 'SET_VRING_ERR',
  15: 'GET_PROTOCOL_FEATURES',
  16: 'SET_PROTOCOL_FEATURES',
  17: 'GET_QUEUE_NUM',
  18: 'SET_VRING_ENABLE',
  19: 'SEND_RARP',
  20: 'NET_SET_MTU',
  21: 'SET_BACKEND_REQ_FD',
  22: 'IOTLB_MSG',
  23: 'SET_VRING_ENDIAN',
  24: 'GET_CONFIG',
  25: 'SET_CONFIG',
  26: 'CREATE_CRYPTO_SESSION',
  27: 'CLOSE_CRYPTO_SESSION',
  28: 'POSTCOPY_ADVISE',
  29: 'POSTCOPY_LISTEN',
  30: 'POSTCOPY_END',
  31: 'GET_INFLIGHT_FD',
  32: 'SET_INFLIGHT_FD',
  33: 'GPU_SET_SOCKET',
  34: 'RESET_DEVICE',
  35: 'VRING_KICK',
  36: 'GET_MAX_MEM_SLOTS',
  37: 'ADD_MEM_REG',
  38: 'REM_MEM_REG',
  39: 'SET_STATUS',
  40: 'GET_STATUS',
  41: 'GET_SHARED_OBJECT',
  42: 'SET_DEVICE_STATE_FD',
  43: 'CHECK_DEVICE_STATE',
  44: 'GET_SHMEM_CONFIG',
};

/** Feature bit of the transport: protocol features can be negotiated, and rings start out disabled. */
export const VHOST_USER_F_PROTOCOL_FEATURES: bigint = 1n << 30n;

/** Protocol features that this back end knows. */
export type ProtocolFeature = 'MQ' | 'REPLY_ACK' | 'CONFIG' | 'RESET_DEVICE' | 'CONFIGURE_MEM_SLOTS';

/** Their bits. */
export const PROTOCOL_FEATURES: Readonly<Record<ProtocolFeature, bigint>> = {
  MQ: 1n << 0n,
  REPLY_ACK: 1n << 3n,
  CONFIG: 1n << 9n,
  RESET_DEVICE: 1n << 13n,
  CONFIGURE_MEM_SLOTS: 1n << 15n,
};

/** What this back end offers: all that it knows, and nothing that is not done. */
export const OFFERED_PROTOCOL_FEATURES: bigint = Object.values(PROTOCOL_FEATURES).reduce(
  (all, bit) => all | bit,
  0n,
);

/** Memory regions that can be in the table at a time: KVM's number of slots, less those of QEMU's own. */
export const MAX_MEMORY_SLOTS = 509;
/** Regions that fit into one SET_MEM_TABLE. */
export const MAX_TABLE_REGIONS = 8;
/** Bytes of configuration space that one message carries. */
export const MAX_CONFIG_SIZE = 256;

export const HEADER_SIZE = 12;
/** The longest body that is taken; the longest that any request here has is SET_CONFIG's. */
export const MAX_BODY_SIZE = 4096;

/** Bits 1:0 of a header's flags: the version of the protocol, 1. */
export const FLAG_VERSION_MASK = 3;
export const FLAG_VERSION = 1;
/** The message is a reply. */
export const FLAG_REPLY = 4;
/** The sender waits for an acknowledgement. */
export const FLAG_NEED_REPLY = 8;
