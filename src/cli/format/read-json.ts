import type { DumpPiece } from './hex-dump.ts';
import { hex } from './units.ts';

/** What came of a read: how many bytes were there, and which stretches were not. */
export interface ReadTally {
  present: bigint;
  readonly holes: { start: bigint; end: bigint }[];
}

/** An empty tally. */
export function newTally(): ReadTally {
  return { present: 0n, holes: [] };
}

/** Passes the pieces on and counts them into `tally`; holes that touch become one. */
export function* tallied(pieces: Iterable<DumpPiece>, tally: ReadTally): Generator<DumpPiece> {
  for (const piece of pieces) {
    const last = tally.holes.at(-1);
    if (piece.bytes !== undefined) tally.present += piece.end - piece.start;
    else if (last !== undefined && last.end === piece.start) last.end = piece.end;
    else tally.holes.push({ start: piece.start, end: piece.end });
    yield piece;
  }
}

const HOLE_PART = 32 * 1024;

/**
 * The JSON object of a read, as text made piece by piece: `hex` has two characters for every byte, `??` for one that is
 * not there, so that offsets hold and nobody takes a hole for zeros; `holes` says where those are.
 */
export function* readJson(
  address: bigint,
  length: bigint,
  pieces: Iterable<DumpPiece>,
  tally: ReadTally,
): Generator<string> {
  yield `{\n  "address": "${hex(address)}",\n  "length": "${hex(length)}",\n  "hex": "`;
  for (const piece of tallied(pieces, tally)) {
    const bytes = piece.bytes;
    if (bytes !== undefined) {
      yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
      continue;
    }
    for (let left = piece.end - piece.start; left > 0n; left -= BigInt(HOLE_PART)) {
      yield '??'.repeat(left < BigInt(HOLE_PART) ? Number(left) : HOLE_PART);
    }
  }
  const holes = tally.holes.map(({ start, end }) => ({ start: hex(start), end: hex(end) }));
  yield `",\n  "holes": ${JSON.stringify(holes)}\n}\n`;
}
