import { isDeepStrictEqual } from 'node:util';
import { GuestMemory } from '../core/index.ts';
import { type CpuState, type ImageRange, type MemoryImage, memoryOfRanges } from '../image/index.ts';
import { parseRegisters } from './cpu-registers.ts';
import type { FileByteSource } from './file-byte-source.ts';
import { type FlatRange, parseFlatView } from './flat-view.ts';
import { type GuestRam, type Rung, reachRam } from './guest-ram.ts';
import type { ProcessMemory } from './process-memory.ts';
import type { QmpClient } from './qmp-client.ts';
import { isQmpError, QmpError } from './qmp-error.ts';

/** How often a map that changes under our hands is read before it is taken as it is. */
const MAP_ATTEMPTS = 5;

/** What `attachQemu` has brought together. */
export interface QemuMachineParts {
  readonly qmp: QmpClient;
  /** QEMU's process, or why it was not found. */
  readonly process: ProcessMemory | string;
  /** QEMU's name for the architecture: `x86_64`. */
  readonly machine: string;
  /** We have stopped it, and owe it a `cont`. */
  readonly paused: boolean;
}

/** What is known of the machine at one moment. */
interface Snapshot {
  readonly ranges: readonly ImageRange[];
  readonly memory: GuestMemory;
  readonly cpus: readonly CpuState[];
  readonly warnings: readonly string[];
  readonly rungs: readonly Rung[];
}

/**
 * A running QEMU, looked at from outside. Memory is read where it lies, each time anew: nothing of it is cached, so
 * a guest that runs meanwhile can change it between two reads. The map and the registers are those of the last
 * {@link QemuMachine.refresh}.
 *
 * Made by `attachQemu`.
 */
export class QemuMachine implements MemoryImage {
  readonly format: 'qemu-live' = 'qemu-live';
  /** The monitor connection; QEMU has no other client on this socket as long as it is open. */
  readonly qmp: QmpClient;
  /** Architecture, as QEMU names it. */
  readonly machine: string;
  readonly #process: ProcessMemory | string;
  readonly #named: Map<string, FileByteSource> = new Map();
  #paused: boolean;
  #detached: Promise<void> | undefined;
  #now: Snapshot;

  constructor(parts: QemuMachineParts) {
    this.qmp = parts.qmp;
    this.machine = parts.machine;
    this.#process = parts.process;
    this.#paused = parts.paused;
    this.#now = { ranges: [], memory: GuestMemory.empty(), cpus: [], warnings: [], rungs: [] };
  }

  /** QEMU's process, where it was found. */
  get pid(): number | undefined {
    return typeof this.#process === 'string' ? undefined : this.#process.pid;
  }

  get reason(): string {
    return `Live because a QEMU ${this.qmp.version} answered at ${this.qmp.path}`;
  }

  get ranges(): readonly ImageRange[] {
    return this.#now.ranges;
  }

  get memory(): GuestMemory {
    return this.#now.memory;
  }

  /** Registers of every processor, as `info registers` printed them. */
  get cpus(): readonly CpuState[] {
    return this.#now.cpus;
  }

  get warnings(): readonly string[] {
    return this.#now.warnings;
  }

  /** The ways into its memory: which was taken, and why the others were not. */
  get rungs(): readonly Rung[] {
    return this.#now.rungs;
  }

  /**
   * Reads the memory map and the registers again: the guest moves ROM shadows and PCI memory, memory is plugged. A
   * `memory` taken before keeps the old map.
   *
   * @throws QmpError
   */
  async refresh(): Promise<void> {
    const { ranges, sources, rungs, changing } = await this.#reach();
    const memory = memoryOfRanges(`qemu:${this.qmp.path}`, ranges, (range) => {
      const source = sources.get(range);
      if (source === undefined) throw new Error('a readable range without a source');
      return source;
    });
    const cpus = parseRegisters(await this.qmp.monitor('info registers -a'));
    const warnings = warningsOf(ranges, cpus);
    if (changing)
      warnings.unshift('The map kept changing while it was read: refresh, or attach with a pause');
    this.#now = { ranges, memory, cpus, rungs, warnings };
  }

  /**
   * The map, with a way to every range. The guest may change the one while we look for the other (firmware moves its
   * shadows, PCI memory comes and goes), so this begins again until the map is the same before and after.
   */
  async #reach(): Promise<GuestRam & { readonly changing: boolean }> {
    for (let attempt = 1; ; attempt++) {
      const view = await this.#flatView();
      if (typeof this.#process !== 'string') this.#process.refresh();
      const ram = await reachRam(view, this.qmp, this.#process, this.#named);
      const changing = !isDeepStrictEqual(view, await this.#flatView());
      if (!changing || attempt === MAP_ATTEMPTS) return { ...ram, changing };
    }
  }

  async #flatView(): Promise<FlatRange[]> {
    const command = 'info mtree -f';
    const view = parseFlatView(await this.qmp.monitor(command));
    if (view !== undefined) return view;
    const { path } = this.qmp;
    throw new QmpError('protocol', `QEMU's '${command}' has no usable view of memory (${path})`, {
      path,
      command,
    });
  }

  /**
   * QEMU's own translation of a guest-virtual address, with the page tables of one processor.
   *
   * @returns the guest-physical address, or `undefined` where it is not mapped
   * @throws QmpError
   */
  async gva2gpa(gva: bigint, cpu?: number): Promise<number | undefined> {
    const command = `gva2gpa 0x${BigInt.asUintN(64, gva).toString(16)}`;
    const answer = await this.qmp.monitor(command, cpu);
    if (/^Unmapped\r?$/m.test(answer)) return undefined;
    // Printed with C's %#lx, which leaves the 0x off a zero.
    const digits = /^gpa: (?:0x)?([0-9a-f]{1,13})\r?$/m.exec(answer)?.[1];
    if (digits !== undefined) return Number.parseInt(digits, 16);
    throw new QmpError('protocol', `QEMU answered '${command}' with '${answer.trim()}' (${this.qmp.path})`, {
      path: this.qmp.path,
      command,
    });
  }

  /** Runs a line of the human monitor: `xp /4gx 0x1000`, `info tlb`. @throws QmpError */
  async monitor(line: string, cpu?: number): Promise<string> {
    return await this.qmp.monitor(line, cpu);
  }

  /**
   * Lets go of the machine: resumes it if we stopped it, closes its files and the monitor. Safe to call twice.
   *
   * @throws QmpError where it could not be resumed
   */
  detach(): Promise<void> {
    this.#detached ??= this.#letGo();
    return this.#detached;
  }

  /** {@link QemuMachine.detach} without waiting; a machine that could not be resumed makes a process warning. */
  close(): void {
    this.detach().catch((error: unknown) =>
      process.emitWarning(error instanceof Error ? error : String(error)),
    );
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #letGo(): Promise<void> {
    if (typeof this.#process !== 'string') this.#process.close();
    for (const file of this.#named.values()) file.close();
    try {
      if (this.#paused) await this.qmp.execute('cont');
      this.#paused = false;
    } catch (error) {
      // A machine that has ended needs no resuming.
      if (!isQmpError(error) || error.code !== 'closed') throw error;
    } finally {
      this.qmp.close();
    }
  }
}

function warningsOf(ranges: readonly ImageRange[], cpus: readonly CpuState[]): string[] {
  const warnings: string[] = [];
  const missing = new Map<string, Set<string>>();
  for (const { kind, block = '', note = '' } of ranges) {
    if (kind === 'unreachable') missing.set(note, (missing.get(note) ?? new Set()).add(block));
  }
  for (const [note, blocks] of missing)
    warnings.push(`Memory ${[...blocks].join(', ')} is out of reach: ${note}`);
  if (cpus.length === 0) warnings.push("QEMU's 'info registers -a' names no processors");
  else if (cpus.some((cpu) => cpu.cr3 === undefined)) {
    warnings.push('Registers that choose the page tables have to be given: those QEMU prints are not of x86');
  }
  return warnings;
}
