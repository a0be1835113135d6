/** Bodies of replies. */

/** A 64-bit value: features, counts, and acknowledgements (0 is success). */
export function encodeU64(value: bigint): Uint8Array {
  const body = new Uint8Array(8);
  new DataView(body.buffer).setBigUint64(0, value, true);
  return body;
}

/** A ring's number and a value of it. */
export function encodeRingState(index: number, value: number): Uint8Array {
  const body = new Uint8Array(8);
  const view = new DataView(body.buffer);
  view.setUint32(0, index, true);
  view.setUint32(4, value, true);
  return body;
}

/** `size` bytes of configuration space from `offset` on, which `fill` puts in. Flags are 0. */
export function encodeConfig(offset: number, size: number, fill: (bytes: Uint8Array) => void): Uint8Array {
  const body = new Uint8Array(12 + size);
  const view = new DataView(body.buffer);
  view.setUint32(0, offset, true);
  view.setUint32(4, size, true);
  fill(body.subarray(12));
  return body;
}
