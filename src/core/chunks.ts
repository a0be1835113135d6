import type { GuestMemory } from './guest-memory.ts';

/** A region of calls is looked at through a copy of at most so many bytes. */
const COPY_CHUNK = 0x1_0000;

/**
 * Calls `step` with the bytes of a range, run by run: the host bytes themselves where they are mapped, a copy where they
 * are not. Ends early when `step` answers true.
 */
export function eachChunk(
  memory: GuestMemory,
  gpa: number,
  length: number,
  step: (bytes: Uint8Array, at: number) => boolean,
): void {
  memory.probe(gpa, length);
  const end = gpa + length;
  for (let at = gpa; at < end; ) {
    const run = memory.translateAndGetLimit(at);
    const count = Math.min(end - at, run?.limit ?? COPY_CHUNK);
    const bytes =
      run === undefined ? memory.readBytes(at, count) : new Uint8Array(run.buffer, run.byteOffset, count);
    if (step(bytes, at)) return;
    at += count;
  }
}
