/**
 * The smallest Linux user space that can test something: busybox, the kernel modules a virtio disk with ext4 needs, and one script.
 *
 * The archive is cpio "newc" (Linux, Documentation/driver-api/early-userspace/buffer-format.rst): no root and no `cpio` program are
 * needed to put a device node into it.
 */

import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFCHR = 0o020000;

interface Member {
  readonly path: string;
  readonly mode: number;
  readonly data?: Uint8Array;
  readonly device?: readonly [major: number, minor: number];
}

/** One archive in the newc form: per member a header of 8-digit hex fields, the name and the data, each padded to 4 bytes. */
function cpio(members: readonly Member[]): Buffer {
  const pad = (length: number): Buffer => Buffer.alloc((4 - (length % 4)) % 4);
  const parts: Buffer[] = [];
  for (const [index, { path, mode, data, device }] of [
    ...members,
    { path: 'TRAILER!!!', mode: 0 } as Member,
  ].entries()) {
    const name = Buffer.from(`${path}\0`);
    const [major, minor] = device ?? [0, 0];
    // inode, mode, uid, gid, links, mtime, size, device, rdevice, name length, checksum (unused)
    const fields = [index + 1, mode, 0, 0, 1, 0, data?.length ?? 0, 0, 0, major, minor, name.length, 0];
    const header = Buffer.from(
      `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`,
    );
    parts.push(header, name, pad(header.length + name.length));
    if (data !== undefined) parts.push(Buffer.from(data), pad(data.length));
  }
  return Buffer.concat(parts);
}

/** A module's own list of the modules it needs, from the `.modinfo` strings in its file. */
function needsOf(module: Buffer): string[] {
  const key = '\0depends=';
  const at = module.indexOf(key, 0, 'latin1');
  if (at < 0) return [];
  const end = module.indexOf(0, at + key.length);
  return module
    .toString('latin1', at + key.length, end)
    .split(',')
    .filter((name) => name !== '');
}

/**
 * The named modules and all they depend on, in the order to load them. Debian's package has no `modules.dep` (depmod makes it when the
 * package is installed), so the modules themselves are asked.
 */
async function modulesInOrder(
  folder: string | undefined,
  names: readonly string[],
): Promise<Map<string, Buffer>> {
  const paths = new Map<string, string>();
  if (folder !== undefined) {
    for (const entry of await readdir(folder, { recursive: true })) {
      if (entry.endsWith('.ko')) paths.set(basename(entry, '.ko').replaceAll('-', '_'), join(folder, entry));
    }
  }
  const ordered = new Map<string, Buffer>();
  const add = async (name: string): Promise<void> => {
    if (ordered.has(name)) return;
    const path = paths.get(name);
    if (path === undefined)
      throw new Error(`Cannot find the kernel module ${name} under ${folder ?? 'nowhere'}`);
    const module = await readFile(path);
    for (const needed of needsOf(module)) await add(needed);
    ordered.set(name, module);
  };
  for (const name of names) await add(name);
  return ordered;
}

/**
 * A gzipped initramfs whose `/init` sets up busybox and the modules, then runs `script` (a busybox shell script, as process 1).
 * @param modules the folder of the kernel's modules, where there is one; `wanted` names those to load, dependencies come by themselves.
 */
export async function makeInitramfs(
  busybox: string,
  modules: string | undefined,
  wanted: readonly string[],
  script: string,
): Promise<Buffer> {
  const loaded = await modulesInOrder(modules, wanted);
  const init = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
${[...loaded.keys()].map((name) => `insmod /modules/${name}.ko || echo "@@ cannot load ${name}"`).join('\n')}
${script}
`;
  const folder = (path: string): Member => ({ path, mode: S_IFDIR | 0o755 });
  const archive = cpio([
    ...['bin', 'dev', 'proc', 'sys', 'mnt', 'tmp', 'modules'].map(folder),
    // Process 1 gets its standard streams from this node, before devtmpfs is mounted.
    { path: 'dev/console', mode: S_IFCHR | 0o600, device: [5, 1] },
    { path: 'bin/busybox', mode: S_IFREG | 0o755, data: await readFile(busybox) },
    ...[...loaded].map(([name, data]) => ({ path: `modules/${name}.ko`, mode: S_IFREG | 0o644, data })),
    { path: 'init', mode: S_IFREG | 0o755, data: Buffer.from(init) },
  ]);
  return gzipSync(archive, { level: 1 });
}
