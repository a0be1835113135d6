import { member, text } from './json.ts';
import { ProcessMemory } from './process-memory.ts';
import { QemuMachine } from './qemu-machine.ts';
import { QmpClient } from './qmp-client.ts';
import { reasonOf, socketOwners } from './socket-owners.ts';

/** How to attach to a live machine. */
export interface AttachOptions {
  /** How long to wait for each answer of QEMU. Default 5000 ms. */
  readonly timeoutMs?: number;
  /** Stop the machine now and resume it on `detach`. Default false: it runs on, and may change what we read. */
  readonly pause?: boolean;
  /** QEMU's process, where it cannot be found by its socket (another network namespace, say). */
  readonly pid?: number;
}

/**
 * Attaches to a running QEMU by its QMP socket, to look at its memory map, its registers and its memory. It is not
 * stopped unless asked for, and nothing is written.
 *
 * Memory is read from the shared file behind it (`memory-backend-memfd` or `-file`, `share=on`), which takes the
 * right to look into QEMU's process; where it is not shared, from the process itself, which takes the right to debug
 * it. What can be reached neither way is in `ranges` as `unreachable`, with the reason, and `rungs` says which way
 * was taken.
 *
 * A machine stopped with `pause` stays stopped if this process ends before `detach` was waited for.
 *
 * @param path - the socket of `-qmp unix:PATH,server=on,wait=off`
 * @throws QmpError
 *
 * @example
 * ```ts no-run
 * import { attachQemu } from 'guestmem/qemu';
 *
 * const machine = await attachQemu('/run/vm/qmp.sock');
 * for (const { name, taken, why } of machine.rungs) console.log(name, taken, why);
 * console.log(machine.memory.readBytes(0x1000, 16), machine.cpus[0]?.cr3);
 * await machine.detach();
 * ```
 */
export async function attachQemu(path: string, options: AttachOptions = {}): Promise<QemuMachine> {
  const { timeoutMs } = options;
  const qmp = await QmpClient.connect(path, timeoutMs === undefined ? {} : { timeoutMs });
  let machine: QemuMachine | undefined;
  try {
    const architecture = text(await qmp.execute('query-target'), 'arch') ?? 'unknown';
    const paused = options.pause === true && (await stopRunning(qmp));
    const process = openProcess(path, options.pid);
    machine = new QemuMachine({ qmp, process, machine: architecture, paused });
    await machine.refresh();
    return machine;
  } catch (error) {
    await machine?.detach();
    qmp.close();
    throw error;
  }
}

/** Stops the machine; answers whether it was running, so that one that was stopped already is not resumed. */
async function stopRunning(qmp: QmpClient): Promise<boolean> {
  if (member(await qmp.execute('query-status'), 'running') !== true) return false;
  await qmp.execute('stop');
  return true;
}

function openProcess(path: string, pid: number | undefined): ProcessMemory | string {
  if (process.platform !== 'linux')
    return `looking into a process takes Linux's /proc, this is ${process.platform}`;
  const owners = pid === undefined ? socketOwners(path) : { pids: [pid], why: '' };
  const [owner] = owners.pids;
  if (owner === undefined) return `QEMU's process was not found: ${owners.why}`;
  if (owners.pids.length > 1)
    return `processes ${owners.pids.join(' and ')} hold the socket: say which one is QEMU`;
  try {
    return new ProcessMemory(owner);
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === 'ENOENT') return `there is no process ${owner}`;
    return `process ${owner} may not be looked into (${reason}): be its user, or root`;
  }
}
