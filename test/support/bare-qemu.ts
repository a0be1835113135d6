/** A QEMU without an operating system: firmware, or a kernel of our own; for tests of what guestmem sees of a machine. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { attachQemu, type QemuMachine } from 'guestmem/qemu';
import { Child } from './child.ts';
import type { LongModeGuest } from './long-mode-guest.ts';

/** How the machine's RAM is backed: what its owner chose when starting it. */
export type RamBacking = 'memfd' | 'file' | 'private';

export interface BareQemuOptions {
  readonly ram: RamBacking;
  /** MiB; default 64. */
  readonly mebibytes?: number;
  /** Default `qemu-system-x86_64`. */
  readonly program?: string;
  /** Default `q35`. */
  readonly machine?: string;
  /** For `-kernel`. */
  readonly kernel?: Uint8Array;
  /** Code for the first processor to begin with, and where: of machines that begin in RAM. */
  readonly start?: { readonly code: Uint8Array; readonly gpa: number };
  /** Opens a socket for gdb beside the monitor. */
  readonly gdb?: boolean;
  /** More of the command line. */
  readonly args?: readonly string[];
}

export class BareQemu {
  readonly child: Child;
  readonly folder: string;
  /** The monitor; one client at a time. */
  readonly qmp: string;
  /** For gdb, if it was asked for. */
  readonly gdb: string;
  /** Behind the RAM, where it is `file`. */
  readonly ramFile: string;

  private constructor(folder: string, options: BareQemuOptions) {
    const size = options.mebibytes ?? 64;
    this.folder = folder;
    this.qmp = join(folder, 'qmp.sock');
    this.gdb = join(folder, 'gdb.sock');
    this.ramFile = join(folder, 'ram');
    const backend = {
      memfd: [
        '-object',
        `memory-backend-memfd,id=ram0,size=${size}M,share=on`,
        '-machine',
        'memory-backend=ram0',
      ],
      file: [
        '-object',
        `memory-backend-file,id=ram0,size=${size}M,share=on,mem-path=${this.ramFile}`,
        '-machine',
        'memory-backend=ram0',
      ],
      private: [],
    }[options.ram];
    this.child = new Child(options.program ?? 'qemu-system-x86_64', [
      ...[
        '-machine',
        options.machine ?? 'q35',
        '-accel',
        'tcg',
        '-m',
        `${size}M`,
        '-nodefaults',
        '-no-user-config',
        '-display',
        'none',
      ],
      ...['-qmp', `unix:${this.qmp},server=on,wait=off`],
      ...(options.gdb === true ? ['-gdb', `unix:${this.gdb},server=on,wait=off`] : []),
      ...backend,
      ...(options.kernel === undefined ? [] : ['-kernel', join(folder, 'kernel')]),
      ...(options.start === undefined
        ? []
        : [
            '-device',
            `loader,file=${join(folder, 'start')},addr=${options.start.gpa},cpu-num=0,force-raw=on`,
          ]),
      ...(options.args ?? []),
    ]);
  }

  /** Starts it and waits for its monitor. */
  static async start(options: BareQemuOptions): Promise<BareQemu> {
    const folder = await mkdtemp(join(tmpdir(), 'bare-qemu-'));
    if (options.kernel !== undefined) await writeFile(join(folder, 'kernel'), options.kernel);
    if (options.start !== undefined) await writeFile(join(folder, 'start'), options.start.code);
    const qemu = new BareQemu(folder, options);
    try {
      await until(() => qemu.#listens(), `QEMU to open its monitor`);
      return qemu;
    } catch (error) {
      await qemu.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.child.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #listens(): Promise<boolean> {
    if (!this.child.running) throw new Error(`QEMU ended: ${this.child.stderr}`);
    // The socket's file is there before anybody listens; the kernel's list says when (flag __SO_ACCEPTCON).
    const sockets = await readFile('/proc/net/unix', 'utf8');
    return sockets.split('\n').some((line) => line.endsWith(` ${this.qmp}`) && line.includes(' 00010000 '));
  }
}

/** Attaches to the guest of known tables, and waits until it has halted: the mark is there some instructions before. */
export async function attachHalted(qemu: BareQemu, mark: LongModeGuest['mark']): Promise<QemuMachine> {
  // A dump, say, takes its time on a busy machine.
  const machine = await attachQemu(qemu.qmp, { timeoutMs: 60_000 });
  await until(() => machine.memory.readU64(mark.gpa) === mark.value, 'the guest to reach long mode');
  await until(async () => (await machine.monitor('info registers')).includes(' HLT=1'), 'the guest to halt');
  await machine.refresh();
  return machine;
}

/** Asks again and again until the answer is yes. @throws after two minutes, with what was waited for. */
async function until(done: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 120_000;
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error(`Waited two minutes for ${what}`);
    await sleep(20);
  }
}
