/**
 * A real Linux in a real QEMU: a Debian kernel, busybox and one script, on emulated hardware (TCG) so that it runs anywhere.
 *
 * The guest's RAM is a memfd that other processes may map (what vhost-user needs), its serial console is the child's standard
 * output, and each monitor socket serves one client, so a test asks for as many as it has clients.
 */

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child, type Ended } from './child.ts';
import { debianFiles } from './debian-packages.ts';
import { makeInitramfs } from './linux-initramfs.ts';

/** How one of Debian's kernels is got and started. */
interface LinuxFlavour {
  /** Debian's name of its architecture, where it is not that of x86-64 machines. */
  readonly architecture?: string;
  /** The metapackage that depends on the newest. */
  readonly via: string;
  readonly program: 'qemu-system-x86_64' | 'qemu-system-aarch64';
  readonly cpu: string;
  readonly machine: string;
  readonly console: string;
}

const PC = { program: 'qemu-system-x86_64', cpu: 'qemu64', machine: 'q35', console: 'ttyS0' } as const;
const VIRT = {
  architecture: 'arm64',
  program: 'qemu-system-aarch64',
  cpu: 'cortex-a57',
  machine: 'virt,gic-version=3',
  console: 'ttyAMA0',
} as const;

/** One of Debian's kernels. */
export type LinuxKernel = 'amd64' | '686-pae' | '686' | 'arm64' | 'arm64-6.12' | 'arm64-16k';

const flavours: Readonly<Record<LinuxKernel, LinuxFlavour>> = {
  amd64: { ...PC, via: 'linux-image-amd64' },
  // In QEMU for 64 bits: that for 32 bits takes the addresses in PAE's page tables to have 32 bits (7.2).
  '686-pae': { ...PC, architecture: 'i386', via: 'linux-image-686-pae' },
  '686': { ...PC, architecture: 'i386', via: 'linux-image-686' },
  arm64: { ...VIRT, via: 'linux-image-arm64' },
  'arm64-6.12': { ...VIRT, via: 'linux-image-6.12-arm64' },
  'arm64-16k': { ...VIRT, via: 'linux-image-6.12-arm64-16k' },
};

/** The program that runs a kernel. */
export function programOf(kernel: LinuxKernel): string {
  return flavours[kernel].program;
}

/** What to boot. */
export interface LinuxGuestOptions {
  /** Default `amd64`. */
  readonly kernel?: LinuxKernel;
  /** Shell commands that busybox runs as process 1; `poweroff -f` ends the machine. */
  readonly script: string;
  /** Kernel modules to load first, of `amd64`; those they depend on come by themselves. */
  readonly modules?: readonly string[];
  /** QEMU's `-cpu`: `qemu64` has four levels of page tables, `max` five. Default `qemu64`, for `arm64` `cortex-a57`. */
  readonly cpu?: string;
  /** QEMU's `-m`. Default 512 MiB. */
  readonly memory?: string;
  /** Added to `-machine q35` or `virt`, for example `max-ram-below-4g=256M`. */
  readonly machine?: string;
  /** How many monitor sockets to open. Default 1. */
  readonly monitors?: number;
  /** A vhost-user-blk socket to take the disk (`/dev/vda`) from. */
  readonly disk?: string;
  /** More words for the kernel's command line, for example `nokaslr`. */
  readonly append?: string;
  /** Opens a socket for gdb beside the monitors. */
  readonly gdb?: boolean;
}

/** Modules for a virtio disk with an ext4 file system. Its checksums want the crc32c algorithm by name, which no dependency says. */
export const diskModules: readonly string[] = ['virtio_pci', 'virtio_blk', 'crc32c_generic', 'ext4'];

interface LinuxFiles {
  readonly kernel: string;
  /** The folder of its modules; not there for the foreign kernels. */
  readonly modules: string | undefined;
  readonly busybox: string;
}

const files = new Map<LinuxKernel, Promise<LinuxFiles>>();

/** Kernel, its modules and busybox, from Debian's packages; looked up once per process. */
export function linuxFiles(kernel: LinuxKernel = 'amd64'): Promise<LinuxFiles> {
  const found = files.get(kernel) ?? findLinuxFiles(kernel);
  files.set(kernel, found);
  return found;
}

async function findLinuxFiles(kernel: LinuxKernel): Promise<LinuxFiles> {
  const { via, architecture } = flavours[kernel];
  const from = architecture === undefined ? {} : { architecture };
  const tree = './lib/modules/*/kernel';
  const modules = ['crypto', 'drivers/block', 'drivers/virtio', 'fs/ext4', 'fs/jbd2', 'fs/mbcache.ko', 'lib'];
  // One after the other: the first fetches the package lists if need be.
  const linux = await debianFiles({ name: 'linux-image-', via, ...from }, [
    './boot/vmlinuz-*',
    ...(architecture === undefined ? modules.map((folder) => `${tree}/${folder}`) : []),
  ]);
  const tools = await debianFiles({ name: 'busybox-static', ...from }, ['*bin/busybox']);
  const find = async (folder: string, pattern: RegExp): Promise<string> => {
    const found = (await readdir(folder, { recursive: true })).find((path) => pattern.test(path));
    if (found === undefined) throw new Error(`Cannot find ${pattern} in the package files under ${folder}`);
    return join(folder, found);
  };
  return {
    kernel: await find(linux, /^boot\/vmlinuz-/),
    modules: architecture === undefined ? await find(linux, /^lib\/modules\/[^/]+\/kernel$/) : undefined,
    busybox: await find(tools, /bin\/busybox$/),
  };
}

/** One running machine. */
export class LinuxGuest {
  /** Paths of the monitor (QMP) sockets, as many as asked for. */
  readonly monitors: readonly string[];
  /** Path of the socket for gdb, if it was asked for. */
  readonly gdb: string;
  readonly console: Child;
  private readonly folder: string;

  private constructor(console: Child, folder: string, monitors: readonly string[]) {
    this.console = console;
    this.folder = folder;
    this.monitors = monitors;
    this.gdb = join(folder, 'gdb');
  }

  /** Starts the machine; it has not booted yet when this answers. */
  static async start(options: LinuxGuestOptions): Promise<LinuxGuest> {
    const flavour = flavours[options.kernel ?? 'amd64'];
    const { kernel, modules, busybox } = await linuxFiles(options.kernel);
    const folder = await mkdtemp(join(tmpdir(), 'guestmem-linux-'));
    try {
      const initramfs = join(folder, 'initramfs.gz');
      await writeFile(
        initramfs,
        await makeInitramfs(busybox, modules, options.modules ?? [], options.script),
      );
      const monitors = Array.from({ length: options.monitors ?? 1 }, (_, index) =>
        join(folder, `qmp${index}`),
      );
      const memory = options.memory ?? '512M';
      const machine = `${flavour.machine},memory-backend=ram${options.machine === undefined ? '' : `,${options.machine}`}`;
      const args = [
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
        ...['-accel', 'tcg', '-cpu', options.cpu ?? flavour.cpu, '-smp', '1'],
        ...['-machine', machine, '-m', memory],
        ...['-object', `memory-backend-memfd,id=ram,share=on,size=${memory}`],
        ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
        ...['-kernel', kernel, '-initrd', initramfs],
        ...['-append', `console=${flavour.console} quiet panic=-1 ${options.append ?? ''}`.trim()],
        ...monitors.flatMap((path) => ['-qmp', `unix:${path},server=on,wait=off`]),
        ...(options.gdb === true ? ['-gdb', `unix:${join(folder, 'gdb')},server=on,wait=off`] : []),
        ...(options.disk === undefined
          ? []
          : [
              '-chardev',
              `socket,id=disk,path=${options.disk}`,
              '-device',
              'vhost-user-blk-pci,chardev=disk',
            ]),
      ];
      return new LinuxGuest(new Child(flavour.program, args, { name: 'guest' }), folder, monitors);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Waits for a line on the guest's console. */
  async waitFor(pattern: RegExp, ms = 600_000): Promise<RegExpExecArray> {
    return await this.console.waitFor(pattern, ms);
  }

  /** Waits for the guest to power itself off. */
  async poweredOff(ms = 180_000): Promise<Ended> {
    return await this.console.exit(ms);
  }

  /** Kills the machine if it still runs and removes its files. Safe to call twice. */
  async close(): Promise<void> {
    await this.console.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
