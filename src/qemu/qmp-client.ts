import type { Socket } from 'node:net';
import { isObject, type JsonObject, member, text } from './json.ts';
import { LineSplitter } from './line-splitter.ts';
import { QmpError } from './qmp-error.ts';
import { connected } from './qmp-socket.ts';

/** Settings of a monitor connection. */
export interface QmpOptions {
  /** How long to wait for the greeting, and for each answer. Default 5000 ms. */
  readonly timeoutMs?: number;
  /** Bytes that one message of QEMU may have. Default 64 MiB (`info tlb` of a big guest takes a few). */
  readonly maxLine?: number;
}

/** Something that QEMU reported unasked: `STOP`, `RESUME`, `SHUTDOWN` ... */
export interface QmpEvent {
  readonly event: string;
  readonly data: unknown;
}

interface Waiting {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: QmpError) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * A client of QEMU's machine protocol (docs/interop/qmp-spec) on a Unix socket: one line of JSON per message, answers
 * matched to commands by `id`, events in between.
 *
 * QEMU speaks to one client per socket. A second one is connected by the kernel and then hears nothing until the
 * first has left, which shows here as `busy`.
 *
 * @example
 * ```ts no-run
 * import { QmpClient } from 'guestmem/qemu';
 *
 * const qmp = await QmpClient.connect('/run/vm/qmp.sock');
 * console.log(qmp.version, await qmp.execute('query-status'));
 * console.log(await qmp.monitor('info mtree -f'));
 * qmp.close();
 * ```
 */
export class QmpClient {
  /** The monitor's socket. */
  readonly path: string;
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #splitter: LineSplitter;
  readonly #waiting: Map<number, Waiting> = new Map();
  readonly #listeners: Set<(event: QmpEvent) => void> = new Set();
  #greeting: Waiting | undefined;
  #version = '';
  #nextId = 1;
  #ended: QmpError | undefined;

  private constructor(path: string, socket: Socket, options: QmpOptions) {
    this.path = path;
    this.#socket = socket;
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#splitter = new LineSplitter(options.maxLine ?? 64 << 20);
    socket.on('data', (chunk) => this.#received(chunk));
    socket.on('error', (cause) =>
      this.#end(this.#error('closed', `The connection to QEMU broke: ${cause.message}`, { cause })),
    );
    socket.on('close', () => this.#end(this.#error('closed', 'QEMU closed the connection')));
  }

  /**
   * Connects, waits for the greeting and negotiates capabilities (none are asked for).
   *
   * @throws QmpError `connect`, `busy`, `protocol`, `closed`
   */
  static async connect(path: string, options: QmpOptions = {}): Promise<QmpClient> {
    const client = new QmpClient(path, await connected(path), options);
    try {
      client.#version = versionOf(await client.#greeted());
      await client.execute('qmp_capabilities');
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** QEMU's version as it greeted: `7.2.22`. */
  get version(): string {
    return this.#version;
  }

  /**
   * Runs a command and answers what it returned, unchecked.
   *
   * @throws QmpError `command` where QEMU refuses, `timeout`, `closed`, `protocol`
   */
  execute(
    command: string,
    args?: JsonObject,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<unknown> {
    const id = this.#nextId++;
    return this.#wait(command, options.timeoutMs ?? this.#timeoutMs, 'timeout', (waiting) => {
      this.#waiting.set(id, waiting);
      const message = { execute: command, ...(args === undefined ? {} : { arguments: args }), id };
      this.#socket.write(`${JSON.stringify(message)}\n`);
      return () => this.#waiting.delete(id);
    });
  }

  /**
   * Runs a line of the human monitor, with `cpu` as its current processor, and answers what it printed.
   *
   * @throws QmpError as {@link QmpClient.execute}
   */
  async monitor(line: string, cpu?: number): Promise<string> {
    const answer = await this.execute('human-monitor-command', {
      'command-line': line,
      ...(cpu === undefined ? {} : { 'cpu-index': cpu }),
    });
    if (typeof answer === 'string') return answer;
    throw this.#error('protocol', `QEMU answered '${line}' with something that is no text`, {
      command: line,
    });
  }

  /** Calls `listener` for every event from now on; the answer ends that. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends the connection; what is still unanswered fails as `closed`. Safe to call twice. */
  close(): void {
    this.#end(this.#error('closed', 'The connection to QEMU was closed'));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #greeted(): Promise<unknown> {
    return await this.#wait('greeting', this.#timeoutMs, 'busy', (waiting) => {
      this.#greeting = waiting;
      return () => {
        this.#greeting = undefined;
      };
    });
  }

  /** One promise with its time limit; `start` files it and answers how to take it off the list again. */
  #wait(
    command: string,
    timeoutMs: number,
    late: 'busy' | 'timeout',
    start: (waiting: Waiting) => () => void,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(
          this.#error('closed', `Cannot run '${command}': ${this.#ended.message}`, {
            command,
            cause: this.#ended,
          }),
        );
        return;
      }
      const timer = setTimeout(() => {
        forget();
        reject(
          this.#error(
            late,
            late === 'busy' ? busy(timeoutMs) : `QEMU did not answer '${command}' within ${timeoutMs} ms`,
            { command },
          ),
        );
      }, timeoutMs);
      const forget = start({ command, resolve, reject, timer });
    });
  }

  #received(chunk: Uint8Array): void {
    try {
      for (const line of this.#splitter.push(chunk)) {
        if (this.#ended === undefined && line.trim() !== '') this.#message(line);
      }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#end(this.#error('protocol', `What came is not QMP: ${reason}`, { cause }));
    }
  }

  #message(line: string): void {
    const message: unknown = JSON.parse(line);
    if (!isObject(message)) throw new Error('a message is no object');
    if (this.#greeting !== undefined) {
      if (!isObject(message['QMP'])) throw new Error('the greeting has no QMP member');
      this.#settle(this.#greeting, message['QMP']);
      this.#greeting = undefined;
    } else if (typeof message['event'] === 'string') {
      const event = { event: message['event'], data: message['data'] };
      // In a turn of its own: what a listener throws is its owner's affair, not the peer's.
      for (const listener of this.#listeners) queueMicrotask(() => listener(event));
    } else {
      this.#answer(message);
    }
  }

  #answer(message: JsonObject): void {
    const id = message['id'];
    if (typeof id !== 'number')
      throw new Error(`an answer without our id: ${describeError(message['error'])}`);
    const waiting = this.#waiting.get(id);
    // An id that nobody waits for is that of a command whose time ran out.
    if (waiting === undefined) {
      if (Number.isInteger(id) && id > 0 && id < this.#nextId) return;
      throw new Error(`an answer to ${id}, which was never asked`);
    }
    const { command } = waiting;
    const failed = message['error'];
    // As long as it waits it is told of everything that goes wrong here.
    if (!Object.hasOwn(message, 'return') && !isObject(failed)) {
      throw new Error(`the answer to '${command}' has neither 'return' nor 'error'`);
    }
    this.#waiting.delete(id);
    if (Object.hasOwn(message, 'return')) {
      this.#settle(waiting, message['return']);
      return;
    }
    clearTimeout(waiting.timer);
    const what = `QEMU refused '${command}': ${describeError(failed)}`;
    waiting.reject(this.#error('command', what, { command, errorClass: text(failed, 'class') }));
  }

  #settle(waiting: Waiting, value: unknown): void {
    clearTimeout(waiting.timer);
    waiting.resolve(value);
  }

  #end(error: QmpError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#socket.destroy();
    const waiting = [...this.#waiting.values(), ...(this.#greeting === undefined ? [] : [this.#greeting])];
    this.#waiting.clear();
    this.#greeting = undefined;
    for (const { timer, reject } of waiting) {
      clearTimeout(timer);
      reject(error);
    }
  }

  #error(
    code: QmpError['code'],
    what: string,
    facts: { command?: string; errorClass?: string | undefined; cause?: unknown } = {},
  ): QmpError {
    return new QmpError(code, `${what} (${this.path})`, { path: this.path, ...facts });
  }
}

function busy(timeoutMs: number): string {
  return `QEMU took the connection but did not greet within ${timeoutMs} ms: it serves one client at a time, and another one is connected`;
}

function versionOf(greeting: unknown): string {
  const version = member(member(greeting, 'version'), 'qemu');
  const numbers = ['major', 'minor', 'micro'].map((part) => member(version, part));
  return numbers.every((part) => typeof part === 'number') ? numbers.join('.') : 'unknown';
}

function describeError(error: unknown): string {
  return text(error, 'desc') ?? 'no description';
}
