/** What the tests of this room look at in the process itself. */
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeSync } from 'node:fs';

/** Numbers of the open descriptors. */
export function openDescriptors(): number[] {
  // The listing's own descriptor is among them, and gone by now.
  return readdirSync('/proc/self/fd')
    .map(Number)
    .sort((a, b) => a - b);
}

/** Lines of the process's memory map that name `what`. */
export function mappingsOf(what: string): string[] {
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes(what));
}

/** Bytes of the file behind a descriptor, read through an own one: Deno's node:fs knows only those it has opened. */
export function peek(fd: number, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const own = openSync(`/proc/self/fd/${fd}`, 'r');
  readSync(own, bytes, 0, length, at);
  closeSync(own);
  return bytes;
}

/** Stores bytes in the file behind a descriptor, in the same way. */
export function poke(fd: number, at: number, bytes: Uint8Array): void {
  const own = openSync(`/proc/self/fd/${fd}`, 'r+');
  try {
    writeSync(own, bytes, 0, bytes.length, at);
  } finally {
    closeSync(own);
  }
}
