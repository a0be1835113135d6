/**
 * Buffers in which a scalar passes through a region of calls, one for each depth: such a call may itself read or write
 * guest memory, of calls again, and must find its bytes as they were. A buffer of its own for each call would cost four
 * times as much.
 */
const lent: Readonly<Record<number, Uint8Array>>[] = [];
let depth = 0;

/** A buffer of exactly 1, 2, 4 or 8 bytes, until the matching {@link returnCallBuffer}. */
export function lendCallBuffer(width: number): Uint8Array {
  const level = lent[depth] ?? addLevel();
  depth++;
  return level[width] as Uint8Array;
}

export function returnCallBuffer(): void {
  depth--;
}

function addLevel(): Readonly<Record<number, Uint8Array>> {
  const level = {
    1: new Uint8Array(1),
    2: new Uint8Array(2),
    4: new Uint8Array(4),
    8: new Uint8Array(8),
  };
  lent.push(level);
  return level;
}
