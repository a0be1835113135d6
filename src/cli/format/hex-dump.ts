import { formatSize, padHex } from './units.ts';

const ROW = 16;

/** A stretch of what was read, in address order: bytes, or nothing and why. */
export interface DumpPiece {
  readonly start: bigint;
  /** Exclusive. */
  readonly end: bigint;
  /** The bytes, exactly `end - start` of them; left out where nothing could be read. */
  readonly bytes?: Uint8Array;
  /** Why nothing is here, in a few words. */
  readonly reason?: string;
}

/** How {@link hexDump} prints. */
export interface HexDumpOptions {
  /** Print every row, where otherwise rows that repeat are folded into one `*` line. */
  readonly all?: boolean;
}

/** One row being gathered: what is known of its 16 cells. */
class Row {
  readonly #bytes = new Uint8Array(ROW);
  readonly #present = new Uint8Array(ROW);
  readonly #reasons = new Set<string>();
  start = 0n;
  length = 0;

  put(piece: DumpPiece, offset: number, length: number): void {
    const source = piece.bytes;
    for (let i = 0; i < length; i++) {
      this.#bytes[this.length + i] = source?.[offset + i] ?? 0;
      this.#present[this.length + i] = source === undefined ? 0 : 1;
    }
    if (source === undefined && piece.reason !== undefined) this.#reasons.add(piece.reason);
    this.length += length;
  }

  /** Empties the row; the next one starts at `start`. */
  restart(start: bigint): void {
    this.start = start;
    this.length = 0;
    this.#reasons.clear();
  }

  /** The row without its address. */
  text(): string {
    let cells = '';
    let ascii = '';
    for (let i = 0; i < ROW; i++) {
      if (i === ROW / 2) cells += ' ';
      if (i >= this.length) {
        cells += '   ';
        continue;
      }
      const byte = this.#bytes[i] ?? 0;
      const present = this.#present[i] === 1;
      cells += present ? ` ${byte.toString(16).padStart(2, '0')}` : ' ??';
      ascii += present && byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
    }
    const why = this.#reasons.size === 0 ? '' : `  ${[...this.#reasons].join(', ')}`;
    return `${cells}  |${ascii}|${why}`;
  }
}

/**
 * The classic dump, 16 bytes a row with their ASCII: `??` stands for what is not there, never `00`. Rows that repeat the
 * one above are folded into a `*` line that says how much it stands for, so a hole of a terabyte takes two lines and no
 * time.
 */
export function* hexDump(pieces: Iterable<DumpPiece>, options: HexDumpOptions = {}): Generator<string> {
  const row = new Row();
  let previous = '';
  let folded = 0n;

  const fold = (): string[] => {
    if (folded === 0n) return [];
    const line = `*                 ${formatSize(folded * BigInt(ROW))} more of the same`;
    folded = 0n;
    return [line];
  };
  const flush = (): string[] => {
    if (row.length === 0) return [];
    const text = row.text();
    const full = row.length === ROW;
    const start = row.start;
    row.restart(start + BigInt(row.length));
    if (full && text === previous && options.all !== true) {
      folded += 1n;
      return [];
    }
    previous = full ? text : '';
    return [...fold(), `${padHex(start)} ${text}`];
  };

  for (const piece of pieces) {
    if (row.length === 0) row.restart(piece.start);
    let at = piece.start;
    while (at < piece.end) {
      const left = piece.end - at;
      // Nothing can differ inside a hole: once one whole row of it stands, the other whole rows are counted, not made.
      if (piece.bytes === undefined && row.length === 0 && options.all !== true && left >= 2n * BigInt(ROW)) {
        row.put(piece, 0, ROW);
        yield* flush();
        const whole = left / BigInt(ROW) - 1n;
        folded += whole;
        at += (whole + 1n) * BigInt(ROW);
        row.restart(at);
        continue;
      }
      const room = ROW - row.length;
      const length = left < BigInt(room) ? Number(left) : room;
      row.put(piece, piece.bytes === undefined ? 0 : Number(at - piece.start), length);
      at += BigInt(length);
      if (row.length === ROW) yield* flush();
    }
  }
  yield* flush();
  yield* fold();
}
