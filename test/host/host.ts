/** What the tests of this room look at in the process itself. */
import { readdirSync, readFileSync } from 'node:fs';

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
