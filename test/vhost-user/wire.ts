/** Messages as a front end writes them: a second opinion on the protocol, written apart from the back end's decoder. */

export const NEED_REPLY = 8;

/** One region of a memory table. */
export interface Region {
  readonly gpa: bigint;
  readonly size: bigint;
  readonly userAddress: bigint;
  readonly mmapOffset: bigint;
}

export const REQUEST = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  RESET_OWNER: 4,
  SET_MEM_TABLE: 5,
  SET_LOG_BASE: 6,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  SET_VRING_ERR: 14,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  GET_QUEUE_NUM: 17,
  SET_VRING_ENABLE: 18,
  GET_CONFIG: 24,
  SET_CONFIG: 25,
  GET_INFLIGHT_FD: 31,
  RESET_DEVICE: 34,
  GET_MAX_MEM_SLOTS: 36,
  ADD_MEM_REG: 37,
  REM_MEM_REG: 38,
} as const;

/** A number of 4 bytes, or a bigint of 8. */
export type Field = number | bigint;

/** Fields one after another, little-endian, then raw bytes. */
export function body(fields: readonly Field[], tail: Uint8Array = new Uint8Array(0)): Uint8Array {
  const size = fields.reduce<number>((sum, field) => sum + (typeof field === 'number' ? 4 : 8), 0);
  const bytes = new Uint8Array(size + tail.length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const field of fields) {
    if (typeof field === 'number') view.setUint32(at, field, true);
    else view.setBigUint64(at, field, true);
    at += typeof field === 'number' ? 4 : 8;
  }
  bytes.set(tail, at);
  return bytes;
}

/** A whole message: header and body. */
export function message(request: number, content: Uint8Array, flags = 1): Uint8Array {
  return body([request, flags, content.length], content);
}

export function regionFields(region: Region): bigint[] {
  return [region.gpa, region.size, region.userAddress, region.mmapOffset];
}

export function tableBody(regions: readonly Region[]): Uint8Array {
  return body([regions.length, 0, ...regions.flatMap(regionFields)]);
}
