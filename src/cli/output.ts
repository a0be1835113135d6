import type { Writable } from 'node:stream';
import { CliError } from './cli-error.ts';

const FLUSH_AT = 32 * 1024;

/** Thrown when the reader of our output has gone (`| head`): a reason to stop, not an error. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

/**
 * Standard output, as a stream that is waited for: a listing of any length uses a bounded amount of memory, and
 * stops soon after its reader has.
 */
export class Output {
  readonly #stream: Writable;
  #pending = '';

  constructor(stream: Writable) {
    this.#stream = stream;
    // Every failed write also answers its own callback, which is where it is handled.
    stream.on('error', () => undefined);
  }

  /** Appends text; waits for the stream whenever a good piece has gathered. */
  async write(text: string): Promise<void> {
    this.#pending += text;
    if (this.#pending.length >= FLUSH_AT) await this.flush();
  }

  /** Writes lines, each with its newline. */
  async lines(lines: Iterable<string>): Promise<void> {
    for (const line of lines) await this.write(`${line}\n`);
  }

  /**
   * Hands everything gathered to the stream and waits until it took it.
   *
   * @throws {OutputClosed} when the reader has gone.
   * @throws {CliError} `output` when it cannot be written for another reason, such as a full disk.
   */
  async flush(): Promise<void> {
    const text = this.#pending;
    if (text === '') return;
    this.#pending = '';
    await new Promise<void>((resolve, reject) => {
      this.#stream.write(text, (error) => {
        if (!error) resolve();
        else if ('code' in error && (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED')) {
          reject(new OutputClosed('The reader of the output has gone', { cause: error }));
        } else reject(new CliError('output', `Cannot write the output: ${error.message}`, { cause: error }));
      });
    });
  }
}
