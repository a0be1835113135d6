/**
 * As much of gdb's remote protocol as it takes to read and write registers of a machine in QEMU that is stopped: its monitor does not
 * print those of Arm that choose the page tables. (GDB manual, appendix E: packets E.1, `p`, `P` and `qXfer:features:read` E.2 and E.4.)
 */

import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';

interface Register {
  readonly number: number;
  readonly bits: number;
}

interface Waiting {
  readonly resolve: (answer: string) => void;
  readonly reject: (error: Error) => void;
}

export class GdbRemote {
  private readonly socket: Socket;
  private received: string;
  private waiting: Waiting | undefined;
  private registers: ReadonlyMap<string, Register>;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.received = '';
    this.waiting = undefined;
    this.registers = new Map();
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.take(text));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error("QEMU closed gdb's connection")));
  }

  /** Connects to the socket of `-gdb unix:PATH,server=on,wait=off`, and asks which registers there are. */
  static async connect(path: string): Promise<GdbRemote> {
    const socket = createConnection(path);
    await once(socket, 'connect');
    const remote = new GdbRemote(socket);
    try {
      remote.registers = await remote.describeRegisters();
      return remote;
    } catch (error) {
      remote.close();
      throw error;
    }
  }

  /** Bits of registers by their names: `await read('TTBR0_EL1', 'TCR_EL1')`. */
  async read<Name extends string>(...names: readonly Name[]): Promise<Record<Name, bigint>> {
    const values: Partial<Record<Name, bigint>> = {};
    for (const name of names) {
      const { number } = this.register(name);
      const answer = await this.ask(`p${number.toString(16)}`);
      // All our machines are little-endian, and so are the bytes here.
      if (!/^([0-9a-f]{2})+$/.test(answer)) throw new Error(`QEMU has no value of ${name}: '${answer}'`);
      values[name] = BigInt(`0x${Buffer.from(answer, 'hex').reverse().toString('hex')}`);
    }
    return values as Record<Name, bigint>;
  }

  async write(name: string, value: bigint): Promise<void> {
    const { number, bits } = this.register(name);
    const bytes = Buffer.from(value.toString(16).padStart(bits / 4, '0'), 'hex').reverse();
    const answer = await this.ask(`P${number.toString(16)}=${bytes.toString('hex')}`);
    if (answer !== 'OK') throw new Error(`QEMU did not write ${name}: '${answer}'`);
  }

  close(): void {
    this.socket.destroy();
  }

  private register(name: string): Register {
    const register = this.registers.get(name);
    if (register === undefined) throw new Error(`QEMU describes no register ${name} to gdb`);
    return register;
  }

  /** A register's number is one more than the last one's, where it is not said (GDB manual, appendix G.2.9). */
  private async describeRegisters(): Promise<Map<string, Register>> {
    const features = /\bqXfer:features:read\+/.test(await this.ask('qSupported:xmlRegisters=i386'));
    if (!features) throw new Error('QEMU does not describe its registers to gdb');
    const registers = new Map<string, Register>();
    let number = 0;
    const attribute = (tag: string, name: string): string | undefined =>
      new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1];
    for (const [include] of (await this.annex('target.xml')).matchAll(/<xi:include [^>]*>/g)) {
      const feature = await this.annex(attribute(include, 'href') ?? '');
      for (const [tag] of feature.matchAll(/<reg [^>]*>/g)) {
        number = Number(attribute(tag, 'regnum') ?? number);
        registers.set(attribute(tag, 'name') ?? '', { number, bits: Number(attribute(tag, 'bitsize')) });
        number += 1;
      }
    }
    return registers;
  }

  /** A whole file of the target's description, which comes in parts: `m` before another one, `l` before the last. */
  private async annex(name: string): Promise<string> {
    let text = '';
    for (let offset = 0; ; ) {
      const answer = await this.ask(`qXfer:features:read:${name}:${offset.toString(16)},400`);
      if (!/^[ml]/.test(answer)) throw new Error(`QEMU answers '${answer}' when asked for ${name}`);
      // An escaped byte is } and the byte XOR 0x20.
      const part = answer
        .slice(1)
        .replace(/}(.)/gs, (_, byte: string) => String.fromCharCode(byte.charCodeAt(0) ^ 0x20));
      text += part;
      offset += part.length;
      if (answer.startsWith('l')) return text;
    }
  }

  /** Sends a packet and waits for the one that answers it. */
  private async ask(packet: string): Promise<string> {
    return await new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      const sum = Buffer.from(packet, 'latin1').reduce((total, byte) => (total + byte) & 0xff, 0);
      this.socket.write(`$${packet}#${sum.toString(16).padStart(2, '0')}`, 'latin1');
    });
  }

  private take(text: string): void {
    this.received += text;
    for (;;) {
      const packet = /\$([^#]*)#[0-9a-f]{2}/.exec(this.received);
      if (packet === null) return;
      this.received = this.received.slice(packet.index + packet[0].length);
      this.socket.write('+');
      const answer = packet[1] ?? '';
      // That the machine has stopped is told unasked.
      if (/^T[0-9a-f]{2}/.test(answer)) continue;
      const { waiting } = this;
      this.waiting = undefined;
      waiting?.resolve(answer);
    }
  }

  private fail(error: Error): void {
    this.waiting?.reject(error);
    this.waiting = undefined;
  }
}
