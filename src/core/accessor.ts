import type { Access } from './access.ts';
import { ADDRESS_SPACE_SIZE, isGpa } from './addresses.ts';
import { copyBytes, isShared } from './bulk.ts';
import { loadElement, storeElement } from './element.ts';
import { GuestMemoryError } from './errors.ts';
import { hex } from './hex.ts';
import type { HostRun, HostTranslator } from './host-run.ts';
import type { IntegerType, Layout } from './layout.ts';
import { scratch } from './scratch.ts';

/**
 * axaddrspace's accessor: implement `translateAndGetLimit` and get the six others. Every call settles its whole range
 * before the first byte, so that nothing is half-done; what a translator says is checked, not trusted.
 *
 * All throw GuestMemoryError: `invalid` for an address or buffer that is none, `unmapped` where a byte has nothing
 * behind it or its access is denied, `fault` where the translator's answer cannot be true.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemoryAccessor, type HostRun, u32 } from 'guestmem';
 *
 * class Window extends GuestMemoryAccessor {
 *   readonly #ram = new ArrayBuffer(0x1000);
 *   translateAndGetLimit(gpa: number): HostRun | undefined {
 *     const byteOffset = gpa - 0x8000_0000;
 *     return byteOffset >= 0 && byteOffset < 0x1000
 *       ? { buffer: this.#ram, byteOffset, limit: 0x1000 - byteOffset }
 *       : undefined;
 *   }
 * }
 * const window = new Window();
 * window.writeObj(u32, 0x8000_0010, 7);
 * assert.equal(window.readVolatile(u32, 0x8000_0010), 7);
 * assert.throws(() => window.readObj(u32, 0x8000_0ffe), { code: 'unmapped', failedAt: 0x8000_1000 });
 * ```
 */
export abstract class GuestMemoryAccessor implements HostTranslator {
  /** What the implementer gives: see {@link HostTranslator.translateAndGetLimit}. */
  abstract translateAndGetLimit(gpa: number, access?: Access): HostRun | undefined;

  /** Reads a value by its layout; it may lie across runs that touch. One of 2, 4 or 8 aligned bytes never tears. */
  readObj<T>(layout: Layout<T>, gpa: number): T {
    const bytes = new Uint8Array(layout.size);
    readWhole(this, gpa, bytes, 'read an object');
    return layout.decode(new DataView(bytes.buffer), 0);
  }

  /** Writes a value by its layout, likewise; nothing is written where there is too little room. */
  writeObj<T>(layout: Layout<T>, gpa: number, value: T): void {
    const bytes = new Uint8Array(layout.size);
    layout.encode(new DataView(bytes.buffer), 0, value);
    writeWhole(this, gpa, bytes, 'write an object');
  }

  /** Fills `dest` from `gpa` on. An empty one succeeds without translating. */
  readBuffer(gpa: number, dest: Uint8Array): void {
    readRuns(this, gpa, dest, 'read a buffer');
  }

  /** Stores all of `src` from `gpa` on. An empty one succeeds without translating. */
  writeBuffer(gpa: number, src: Uint8Array): void {
    writeRuns(this, gpa, src, 'write a buffer');
  }

  /**
   * Reads an integer by one atomic access of exactly its width, as a device register is read.
   *
   * Also throws `misaligned` where the host bytes are not at a multiple of the width or lie in two runs.
   */
  readVolatile<T extends number | bigint>(type: IntegerType<T>, gpa: number): T {
    const run = volatileRun(this, gpa, type.size, 'read', 'read a volatile value');
    loadElement(run.buffer, run.byteOffset, type.size);
    return type.decode(scratch.view, 0);
  }

  /** Writes an integer by one atomic access of exactly its width; throws as {@link readVolatile}. */
  writeVolatile<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): void {
    const run = volatileRun(this, gpa, type.size, 'write', 'write a volatile value');
    type.encode(scratch.view, 0, value);
    storeElement(run.buffer, run.byteOffset, type.size);
  }
}

/** {@link readRuns}, but an aligned scalar in one run is one element access, so that it does not tear (SPEC M5). */
export function readWhole(from: HostTranslator, gpa: number, dest: Uint8Array, operation: string): void {
  const run = elementRun(from, gpa, dest.length, 'read', operation);
  if (run === undefined) readRuns(from, gpa, dest, operation);
  else {
    loadElement(run.buffer, run.byteOffset, dest.length);
    dest.set(scratch.u8.subarray(0, dest.length));
  }
}

/** {@link writeRuns}, but an aligned scalar in one run is one element access. */
export function writeWhole(to: HostTranslator, gpa: number, src: Uint8Array, operation: string): void {
  const run = elementRun(to, gpa, src.length, 'write', operation);
  if (run === undefined) writeRuns(to, gpa, src, operation);
  else {
    scratch.u8.set(src);
    storeElement(run.buffer, run.byteOffset, src.length);
  }
}

/** The run of a scalar that one element access can move. */
function elementRun(
  translator: HostTranslator,
  gpa: number,
  width: number,
  access: Access,
  operation: string,
): HostRun | undefined {
  if (width !== 2 && width !== 4 && width !== 8) return undefined;
  checkRange(gpa, width, operation);
  const run = translateChecked(translator, gpa, access, { operation, gpa, length: width });
  return run.byteOffset % width === 0 && run.limit >= width ? run : undefined;
}

/** Fills `dest` run by run, after the whole range has been translated. */
export function readRuns(from: HostTranslator, gpa: number, dest: Uint8Array, operation: string): void {
  let done = 0;
  for (const run of runs(from, gpa, dest.length, 'read', operation)) {
    copyBytes(dest, done, run, 0, run.length, isShared(run));
    done += run.length;
  }
}

/** Stores `src` run by run, after the whole range has been translated. */
export function writeRuns(to: HostTranslator, gpa: number, src: Uint8Array, operation: string): void {
  let done = 0;
  for (const run of runs(to, gpa, src.length, 'write', operation)) {
    copyBytes(run, 0, src, done, run.length, isShared(run));
    done += run.length;
  }
}

/** The host bytes of a whole range, or an error: before the first byte, nothing else is known to be safe. */
function runs(
  translator: HostTranslator,
  gpa: number,
  length: number,
  access: Access,
  operation: string,
): Uint8Array[] {
  checkRange(gpa, length, operation);
  const found: Uint8Array[] = [];
  for (let done = 0; done < length; ) {
    const run = translateChecked(translator, gpa + done, access, { operation, gpa, length });
    const count = Math.min(run.limit, length - done);
    found.push(new Uint8Array(run.buffer, run.byteOffset, count));
    done += count;
  }
  return found;
}

function volatileRun(
  translator: HostTranslator,
  gpa: number,
  width: number,
  access: Access,
  operation: string,
): HostRun {
  checkRange(gpa, width, operation);
  const facts = { operation, gpa, length: width };
  const run = translateChecked(translator, gpa, access, facts);
  if (run.byteOffset % width !== 0 || run.limit < width) {
    throw new GuestMemoryError(
      'misaligned',
      `current host offset ${run.byteOffset} with ${run.limit} bytes, wanted a multiple of ${width} in one run`,
      facts,
    );
  }
  return run;
}

/** One translation; a limit that is 0, or runs past its buffer, is refused and not followed. */
export function translateChecked(
  translator: HostTranslator,
  gpa: number,
  access: Access,
  facts: { operation: string; gpa: number; length: number },
): HostRun {
  const run = translator.translateAndGetLimit(gpa, access);
  if (run === undefined) {
    throw new GuestMemoryError('unmapped', `nothing to ${access} at ${hex(gpa)}`, {
      ...facts,
      failedAt: gpa,
    });
  }
  const { buffer, byteOffset, limit } = run;
  if (!isGpa(byteOffset) || !isGpa(limit) || limit === 0 || limit > buffer.byteLength - byteOffset) {
    throw new GuestMemoryError(
      'fault',
      `the translator answers ${limit} bytes for ${hex(gpa)}, at ${byteOffset} of a buffer of ${buffer.byteLength}`,
      { ...facts, failedAt: gpa },
    );
  }
  return run;
}

function checkRange(gpa: number, length: number, operation: string): void {
  if (!isGpa(gpa) || length > ADDRESS_SPACE_SIZE - gpa) {
    throw new GuestMemoryError(
      'invalid',
      `current address ${hex(gpa)}, wanted a range inside the 2^53 space`,
      { operation, gpa, length },
    );
  }
}
