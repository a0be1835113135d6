/**
 * A bare machine in QEMU whose program tries addresses and tells what became of each; see riscv-probe.ts and aarch64-probe.ts.
 *
 * Test and program talk through the RAM, which is a file: a page after the program stands a word that says whose turn it is (1: the
 * program's, 2: it has done what was asked), then the registers to set, which the program knows the order of. A page further
 * stand the addresses, and further still come the results.
 */

import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { attachQemu, type QemuMachine } from 'guestmem/qemu';
import { BareQemu } from './bare-qemu.ts';
import { GdbRemote } from './gdb-remote.ts';

const MAILBOX = 0x1000;
const ADDRESSES = 0x2000;
const RESULTS = 0x1_0000;
/** What there is room for. */
const MOST_ADDRESSES = (RESULTS - ADDRESSES) / 8;

export interface ProbeProgram<Word extends string> {
  readonly code: Uint32Array;
  /** Where RAM begins. */
  readonly ram: number;
  /** Where the program stands, if not there. */
  readonly at?: number;
  readonly mebibytes: number;
  /** The names of the words after the one that says whose turn it is. */
  readonly words: readonly Word[];
  /** How many results an address has. */
  readonly results: number;
  /** QEMU, and how to start it. */
  readonly program: string;
  readonly machine: string;
  readonly cpu: string;
}

export class ProbeMachine<Word extends string> {
  readonly machine: QemuMachine;
  private readonly qemu: BareQemu;
  private readonly program: ProbeProgram<Word>;
  private readonly file: number;

  private constructor(program: ProbeProgram<Word>, qemu: BareQemu, machine: QemuMachine) {
    this.program = program;
    this.qemu = qemu;
    this.machine = machine;
    this.file = openSync(qemu.ramFile, 'r+');
  }

  static async start<Word extends string>(program: ProbeProgram<Word>): Promise<ProbeMachine<Word>> {
    const qemu = await BareQemu.start({
      ram: 'file',
      mebibytes: program.mebibytes,
      program: program.program,
      machine: program.machine,
      start: { code: new Uint8Array(program.code.buffer), gpa: program.at ?? program.ram },
      gdb: true,
      args: ['-cpu', program.cpu],
    });
    try {
      return new ProbeMachine(program, qemu, await attachQemu(qemu.qmp, { timeoutMs: 60_000 }));
    } catch (error) {
      await qemu.close();
      throw error;
    }
  }

  /** Puts bytes into RAM. */
  write(gpa: number, bytes: Uint8Array): void {
    writeSync(this.file, bytes, 0, bytes.length, gpa - this.program.ram);
  }

  /** Has the program set its registers and try the addresses. @returns one result after the other, a row for each address. */
  async run(words: Readonly<Record<Word, bigint>>, addresses: readonly bigint[]): Promise<bigint[][]> {
    const { ram, at = ram, results } = this.program;
    if (addresses.length > MOST_ADDRESSES) throw new Error('Cannot probe: too many addresses at once');
    this.write(at + ADDRESSES, new Uint8Array(BigUint64Array.from(addresses).buffer));
    const mailbox = this.program.words.map((name) => words[name]);
    this.write(at + MAILBOX + 8, new Uint8Array(BigUint64Array.from(mailbox).buffer));
    const turn = BigUint64Array.of(1n);
    this.write(at + MAILBOX, new Uint8Array(turn.buffer));
    const deadline = Date.now() + 120_000;
    for (; turn[0] !== 2n; await sleep(1)) {
      if (Date.now() > deadline) throw new Error('The program did not answer within two minutes');
      readSync(this.file, turn, 0, 8, at - ram + MAILBOX);
    }
    const found = new BigUint64Array(addresses.length * results);
    readSync(this.file, found, 0, found.byteLength, at - ram + RESULTS);
    return addresses.map((_, index) => [...found.subarray(index * results, (index + 1) * results)]);
  }

  /** Stops the machine while its registers are looked at through gdb. */
  async stopped<T>(look: (gdb: GdbRemote) => Promise<T>): Promise<T> {
    await this.machine.qmp.execute('stop');
    const gdb = await GdbRemote.connect(this.qemu.gdb);
    try {
      return await look(gdb);
    } finally {
      gdb.close();
      await this.machine.qmp.execute('cont');
    }
  }

  async close(): Promise<void> {
    closeSync(this.file);
    await this.machine.detach();
    await this.qemu.close();
  }
}
