import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { CliError } from '../cli-error.ts';

/** A message of one kind out of several. */
type OfKind<Message, Kind> = Extract<Message, { kind: Kind }>;

/** One side of the demo in a Worker, its messages waited for by kind. */
export class Side<Message extends { readonly kind: string }> {
  /** Rejects when this side says that it failed, or ends without its `result`; never resolves. */
  readonly failed: Promise<never>;
  readonly #worker: Worker;
  readonly #unread: Message[] = [];
  readonly #waiting: ((message: Message) => boolean)[] = [];

  /** Starts `file` (without its ending), which stands beside this one. */
  constructor(file: string, workerData: object) {
    // Compiled it is .js, run as it stands it is .ts: the same as this file.
    const ending = extname(fileURLToPath(import.meta.url));
    this.#worker = new Worker(new URL(`./${file}${ending}`, import.meta.url), { workerData });
    this.failed = new Promise<never>((_, reject) => {
      let done = false;
      this.#worker.on('error', reject);
      this.#worker.on('exit', () => {
        if (!done) reject(new CliError('input', `The demo's ${file} ended before it was done`));
      });
      this.#worker.on('message', (message: Message) => {
        done ||= message.kind === 'result';
        if (message.kind === 'failed' && 'message' in message) {
          reject(new CliError('input', `The demo's ${file} failed: ${message.message}`));
        } else this.#deliver(message);
      });
    });
    // Whoever waits for this side races with `failed`; when nobody does, there is nobody to tell.
    this.failed.catch(() => undefined);
  }

  /** The next message of this kind, past or to come. */
  next<Kind extends Message['kind']>(kind: Kind): Promise<OfKind<Message, Kind>> {
    return new Promise((resolve) => {
      const accept = (message: Message): boolean => {
        if (!isOfKind(message, kind)) return false;
        resolve(message);
        return true;
      };
      const index = this.#unread.findIndex(accept);
      if (index >= 0) this.#unread.splice(index, 1);
      else this.#waiting.push(accept);
    });
  }

  send(message: object): void {
    this.#worker.postMessage(message);
  }

  /** Ends the Worker, whatever it is doing. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #deliver(message: Message): void {
    const index = this.#waiting.findIndex((accept) => accept(message));
    if (index >= 0) this.#waiting.splice(index, 1);
    else this.#unread.push(message);
  }
}

function isOfKind<Message extends { readonly kind: string }, Kind extends string>(
  message: Message,
  kind: Kind,
): message is OfKind<Message, Kind> {
  return message.kind === kind;
}
