import { buffer, nodeMajor } from './engine.ts';

/**
 * Copying and filling ranges of bytes as fast as each engine can, private or shared alike.
 *
 * The language makes copies that touch shared memory slow: `set` and `fill` on a SharedArrayBuffer must behave as
 * byte accesses, and V8 does them so (4 KiB: `set` 160 to 296 ns, `fill` 1,140 ns, where private memory takes 75
 * and 70). Node's Buffer methods are plain memmove and memcpy underneath, on any memory. `npm run bench -- p3 p4`
 * measures what is chosen here.
 */

const bufferCopy = nodeMajor >= 22 ? buffer?.copy : undefined;
const bufferFill = buffer?.fill;

/** Up to so many bytes a loop beats any call: `set` costs 11 to 16 ns before its first byte, `subarray` 25 more. */
const LOOP_BYTES = 24;

/** From so many bytes on, Node 20's `fill` beats `set` on shared memory: 126 ns against 159 for 2 KiB, 145 against 664 for 4. */
const FILL_BYTES = 1536;

/** Node 22 and 24 take Buffer.copy's arguments modulo 2^32: above it, the bytes land elsewhere. */
const TWO_32 = 0x1_0000_0000;

/**
 * Copies `length` bytes; the ranges may overlap. The caller has checked all three, and says whether one side is known to
 * be shared memory, and whether it knows that they lie in different buffers: only Node 20 wants to know, and asking the
 * buffers there takes 35 ns.
 */
export function copyBytes(
  dest: Uint8Array,
  destAt: number,
  src: Uint8Array,
  srcAt: number,
  length: number,
  shared: boolean,
  apart = false,
): void {
  if (length <= LOOP_BYTES) copyFew(dest, destAt, src, srcAt, length);
  // A whole private source needs no view of a part: 12 ns for 96 bytes, where Buffer's copy takes 40.
  else if (!shared && length === src.length) dest.set(src, destAt);
  else if (bufferCopy !== undefined && destAt + length < TWO_32 && srcAt + length < TWO_32)
    bufferCopy.call(src, dest, destAt, srcAt, srcAt + length);
  else if (shared) copyShared(dest, destAt, src, srcAt, length, apart);
  else dest.set(part(src, srcAt, length), destAt);
}

function copyFew(dest: Uint8Array, destAt: number, src: Uint8Array, srcAt: number, length: number): void {
  if (src.buffer === dest.buffer && src.byteOffset + srcAt < dest.byteOffset + destAt) {
    // They may overlap with the source before the destination: the engine copies backwards then.
    dest.set(src.subarray(srcAt, srcAt + length), destAt);
    return;
  }
  for (let i = 0; i < length; i++) dest[destAt + i] = src[srcAt + i] as number;
}

/**
 * Node 20's only memcpy on shared memory is Buffer's fill, with a pattern as long as the range, which pays from 1.5 KiB on.
 * Elsewhere, and where one buffer may hold both ranges, it is `set`.
 */
function copyShared(
  dest: Uint8Array,
  destAt: number,
  src: Uint8Array,
  srcAt: number,
  length: number,
  apart: boolean,
): void {
  const source = part(src, srcAt, length);
  if (bufferFill !== undefined && length >= FILL_BYTES && (apart || src.buffer !== dest.buffer))
    bufferFill.call(dest, source, destAt, destAt + length);
  else dest.set(source, destAt);
}

function part(src: Uint8Array, at: number, length: number): Uint8Array {
  return at === 0 && length === src.length ? src : src.subarray(at, at + length);
}

/** 64 KiB of one value, to copy from: on shared memory a copy is 12 times faster than `fill`. */
const template = new Uint8Array(0x1_0000);
let templateValue = 0;

/** Sets `length` bytes of shared memory to `value` (0 to 255). The caller has checked the range. */
export function fillShared(dest: Uint8Array, at: number, value: number, length: number): void {
  if (buffer === undefined) {
    dest.fill(value, at, at + length);
    return;
  }
  if (templateValue !== value) {
    template.fill(value);
    templateValue = value;
  }
  for (let left = length; left > 0; ) {
    const step = Math.min(left, template.length);
    copyBytes(dest, at, template, 0, step, true);
    at += step;
    left -= step;
  }
}

/** True for bytes that other agents may touch. */
export function isShared(view: Uint8Array): boolean {
  return typeof SharedArrayBuffer !== 'undefined' && view.buffer instanceof SharedArrayBuffer;
}
