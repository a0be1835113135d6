/** What a test needs of the system. In CI a missing program is a failure; on a developer's machine it is a skip that says why. */

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Programs the tests use, and the Debian package that has each. */
const packageOf: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'qemu-system-x86',
  'qemu-system-aarch64': 'qemu-system-arm',
  'qemu-system-riscv64': 'qemu-system-misc',
  'qemu-storage-daemon': 'qemu-utils',
  mke2fs: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  setpriv: 'util-linux',
  unshare: 'util-linux',
  prlimit: 'util-linux',
  'apt-get': 'apt',
  'dpkg-deb': 'dpkg',
};

/** A program's path. Debian keeps administrators' programs out of a user's PATH; they work for users all the same. */
function pathOf(program: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders
    .map((folder) => join(folder, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** The Debian packages that have those of these programs which are not here. */
export function missingPackages(programs: readonly string[]): string[] {
  const missing = programs.filter((program) => pathOf(program) === undefined);
  return [...new Set(missing.map((program) => packageOf[program] ?? program))];
}

/** A program's full path. @throws when it is not here. */
export function programPath(program: string): string {
  const path = pathOf(program);
  if (path === undefined)
    throw new Error(`Cannot find ${program}: install the package ${packageOf[program] ?? program}`);
  return path;
}

/**
 * For `describe`'s options: `{ skip: need('qemu-system-x86_64') }`.
 * @returns `false` when all programs are here, else the reason to skip.
 * @throws in CI (`CI=true`), where what is missing could have been installed.
 */
export function need(...programs: string[]): string | false {
  const packages = missingPackages(programs);
  if (packages.length === 0) return false;
  const reason = `needs ${programs.join(', ')}; install: ${packages.join(' ')}`;
  if (process.env['CI'] === 'true') throw new Error(`Cannot run this test in CI: it ${reason}`);
  return reason;
}
