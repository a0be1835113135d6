/**
 * Comparing and searching bytes as fast as each engine can: by Node's Buffer where there is one (17 to 29 GB/s), by
 * 32-bit words or bytes elsewhere.
 */

interface BufferStatics {
  readonly compare: (a: Uint8Array, b: Uint8Array) => number;
  readonly prototype: {
    indexOf(this: Uint8Array, needle: Uint8Array, from?: number): number;
  };
}

const nodeBuffer = (globalThis as { Buffer?: BufferStatics }).Buffer;

/** The sign of the first difference of two ranges of equal length; 0 where there is none. */
export function compareBytes(a: Uint8Array, b: Uint8Array): -1 | 0 | 1 {
  if (nodeBuffer !== undefined) return sign(nodeBuffer.compare(a, b));
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return sign(difference);
  }
  return 0;
}

/** Where `needle` begins in `bytes`; -1 where it does not. */
export function indexOfBytes(bytes: Uint8Array, needle: Uint8Array): number {
  if (nodeBuffer !== undefined) return nodeBuffer.prototype.indexOf.call(bytes, needle);
  const first = needle[0] as number;
  const last = bytes.length - needle.length;
  for (let at = bytes.indexOf(first); at >= 0 && at <= last; at = bytes.indexOf(first, at + 1)) {
    let matched = 1;
    while (matched < needle.length && bytes[at + matched] === needle[matched]) matched++;
    if (matched === needle.length) return at;
  }
  return -1;
}

const zeros = new Uint8Array(0x1_0000);

/** True where all bytes are zero. */
export function isZeroBytes(bytes: Uint8Array): boolean {
  if (nodeBuffer === undefined) return isZeroByWords(bytes);
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const part = bytes.subarray(at, at + zeros.length);
    if (nodeBuffer.compare(part, zeros.subarray(0, part.length)) !== 0) return false;
  }
  return true;
}

const NO_WORDS = new Uint32Array(0);

function isZeroByWords(bytes: Uint8Array): boolean {
  const head = Math.min(bytes.length, (4 - (bytes.byteOffset % 4)) % 4);
  // What is too short to reach a multiple of 4 has no words, and no place for a view of none.
  const words =
    bytes.length - head < 4
      ? NO_WORDS
      : new Uint32Array(bytes.buffer, bytes.byteOffset + head, (bytes.length - head) >>> 2);
  const tail = head + words.length * 4;
  for (let i = 0; i < head; i++) if (bytes[i] !== 0) return false;
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
  for (let i = tail; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}

function sign(value: number): -1 | 0 | 1 {
  return value < 0 ? -1 : value > 0 ? 1 : 0;
}
