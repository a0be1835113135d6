/**
 * Cuts a stream of bytes into lines, whatever pieces it comes in, and keeps at most one unfinished line of bounded
 * length: what a peer sends without a line's end must not fill our memory.
 */
export class LineSplitter {
  readonly #maxLine: number;
  #pieces: Uint8Array[] = [];
  #pending = 0;

  /** @param maxLine - bytes a line may have */
  constructor(maxLine: number) {
    this.#maxLine = maxLine;
  }

  /**
   * Takes a piece of the stream and answers the lines it completes, without their ends.
   *
   * @throws RangeError where a line is longer than allowed; the splitter is of no use afterwards
   */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#keep(chunk.subarray(start, end));
      lines.push(this.#take());
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  #keep(piece: Uint8Array): void {
    this.#pending += piece.length;
    if (this.#pending > this.#maxLine) throw new RangeError(`a line of more than ${this.#maxLine} bytes`);
    if (piece.length > 0) this.#pieces.push(piece);
  }

  #take(): string {
    const line = Buffer.concat(this.#pieces).toString('utf8');
    this.#pieces = [];
    this.#pending = 0;
    return line.endsWith('\r') ? line.slice(0, -1) : line;
  }
}

const NEWLINE = 0x0a;
