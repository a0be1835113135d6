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

/** What to boot. */
export interface LinuxGuestOptions {
  /** Shell commands that busybox runs as process 1; `poweroff -f` ends the machine. */
  readonly script: string;
  /** Kernel modules to load first; those they depend on come by themselves. */
  readonly modules?: readonly string[];
  /** QEMU's `-cpu`: `qemu64` has four levels of page tables, `max` five. Default `qemu64`. */
  readonly cpu?: string;
  /** QEMU's `-m`. Default 512 MiB. */
  readonly memory?: string;
  /** Added to `-machine q35`, for example `max-ram-below-4g=256M`. */
  readonly machine?: string;
  /** How many monitor sockets to open. Default 1. */
  readonly monitors?: number;
  /** A vhost-user-blk socket to take the disk (`/dev/vda`) from. */
  readonly disk?: string;
  /** More words for the kernel's command line, for example `nokaslr`. */
  readonly append?: string;
}

/** Modules for a virtio disk with an ext4 file system. Its checksums want the crc32c algorithm by name, which no dependency says. */
export const diskModules: readonly string[] = ['virtio_pci', 'virtio_blk', 'crc32c_generic', 'ext4'];

interface LinuxFiles {
  readonly kernel: string;
  readonly modules: string;
  readonly busybox: string;
}

let files: Promise<LinuxFiles> | undefined;

/** Kernel, its modules and busybox, from Debian's packages; looked up once per process. */
export function linuxFiles(): Promise<LinuxFiles> {
  files ??= findLinuxFiles();
  return files;
}

async function findLinuxFiles(): Promise<LinuxFiles> {
  const tree = './lib/modules/*/kernel';
  const [linux, tools] = await Promise.all([
    debianFiles({ name: 'linux-image-', via: 'linux-image-amd64' }, [
      './boot/vmlinuz-*',
      ...['crypto', 'drivers/block', 'drivers/virtio', 'fs/ext4', 'fs/jbd2', 'fs/mbcache.ko', 'lib'].map(
        (f) => `${tree}/${f}`,
      ),
    ]),
    debianFiles({ name: 'busybox-static' }, ['*bin/busybox']),
  ]);
  const find = async (folder: string, pattern: RegExp): Promise<string> => {
    const found = (await readdir(folder, { recursive: true })).find((path) => pattern.test(path));
    if (found === undefined) throw new Error(`Cannot find ${pattern} in the package files under ${folder}`);
    return join(folder, found);
  };
  return {
    kernel: await find(linux, /^boot\/vmlinuz-/),
    modules: await find(linux, /^lib\/modules\/[^/]+\/kernel$/),
    busybox: await find(tools, /bin\/busybox$/),
  };
}

/** One running machine. */
export class LinuxGuest {
  /** Paths of the monitor (QMP) sockets, as many as asked for. */
  readonly monitors: readonly string[];
  readonly console: Child;
  private readonly folder: string;

  private constructor(console: Child, folder: string, monitors: readonly string[]) {
    this.console = console;
    this.folder = folder;
    this.monitors = monitors;
  }

  /** Starts the machine; it has not booted yet when this answers. */
  static async start(options: LinuxGuestOptions): Promise<LinuxGuest> {
    const { kernel, modules, busybox } = await linuxFiles();
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
      const machine = `q35,memory-backend=ram${options.machine === undefined ? '' : `,${options.machine}`}`;
      const args = [
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
        ...['-accel', 'tcg', '-cpu', options.cpu ?? 'qemu64', '-smp', '1', '-machine', machine, '-m', memory],
        ...['-object', `memory-backend-memfd,id=ram,share=on,size=${memory}`],
        ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
        ...['-kernel', kernel, '-initrd', initramfs],
        ...['-append', `console=ttyS0 quiet panic=-1 ${options.append ?? ''}`.trim()],
        ...monitors.flatMap((path) => ['-qmp', `unix:${path},server=on,wait=off`]),
        ...(options.disk === undefined
          ? []
          : [
              '-chardev',
              `socket,id=disk,path=${options.disk}`,
              '-device',
              'vhost-user-blk-pci,chardev=disk',
            ]),
      ];
      return new LinuxGuest(new Child('qemu-system-x86_64', args, { name: 'guest' }), folder, monitors);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Waits for a line on the guest's console. */
  async waitFor(pattern: RegExp, ms = 180_000): Promise<RegExpExecArray> {
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
