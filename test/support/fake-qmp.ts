/** A QMP server that says what a test tells it to: good, bad, in pieces, or nothing. */

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What QEMU 7.2 sends first. */
export const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}\r\n';

/** A command as the client sent it. */
export interface Received {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
  readonly id: number;
}

/** Says on a connection whatever it likes, as the answer to one command. */
export type Responder = (command: Received, say: (text: string) => void, socket: Socket) => void;

/** The answer to a command, as QEMU writes it. */
export function answer(command: Received, value: unknown): string {
  return `${JSON.stringify({ return: value, id: command.id })}\r\n`;
}

export class FakeQmp {
  readonly path: string;
  readonly received: Received[] = [];
  readonly #folder: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket> = new Set();

  private constructor(folder: string, greeting: string, respond: Responder) {
    this.#folder = folder;
    this.path = join(folder, 'qmp.sock');
    this.#server = createServer((socket) => this.#serve(socket, greeting, respond));
  }

  /** Listens; `qmp_capabilities` is answered as it should be, everything else by `respond`. */
  static async start(respond: Responder, greeting: string = GREETING): Promise<FakeQmp> {
    const fake = new FakeQmp(await mkdtemp(join(tmpdir(), 'fake-qmp-')), greeting, respond);
    await new Promise<void>((resolve, reject) => {
      fake.#server.once('error', reject);
      fake.#server.listen(fake.path, resolve);
    });
    return fake;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.#folder, { recursive: true, force: true });
  }

  #serve(socket: Socket, greeting: string, respond: Responder): void {
    this.#sockets.add(socket);
    // A client that leaves in the middle of an answer is one of the cases tested.
    socket.on('error', () => this.#sockets.delete(socket));
    socket.on('close', () => this.#sockets.delete(socket));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('utf8');
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const command = JSON.parse(text.slice(0, end)) as Received;
        text = text.slice(end + 1);
        this.received.push(command);
        if (command.execute === 'qmp_capabilities') socket.write(answer(command, {}));
        else respond(command, (said) => void socket.write(said), socket);
      }
    });
    socket.write(greeting);
  }
}
