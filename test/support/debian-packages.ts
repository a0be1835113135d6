/**
 * Files out of Debian packages, without installing them and without root: `apt-get download`, `dpkg-deb`, and a folder in the
 * project's ignored cache that is named after the package's version, so that a new version is a new folder.
 *
 * Packages of another architecture than this machine's come from the same sources, by package lists of their own in the cache: the
 * system's own lists and settings stay as they are.
 */

import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from './child.ts';
import { projectRoot } from './project.ts';

/** A package by its name, or the one whose name begins so that the metapackage `via` depends on. */
export interface DebianPackage {
  readonly name: string;
  readonly via?: string;
  /** Debian's name of an architecture, `arm64`. Default: that of this machine. */
  readonly architecture?: string;
}

const cache = join(projectRoot, '.cache', 'debian');

/**
 * The folder with the wanted members of the newest such package that apt offers.
 * @param members tar patterns such as `./boot/vmlinuz-*`; only these are unpacked.
 * @throws when apt is missing or offers no such package, and no earlier copy is in the cache.
 */
export async function debianFiles(wanted: DebianPackage, members: readonly string[]): Promise<string> {
  const { name, via = '', architecture } = wanted;
  const key = createHash('sha256')
    .update([via, ...members].join('\n'))
    .digest('hex')
    .slice(0, 8);
  const apt = new Apt(architecture);
  try {
    return await apt.freshly(() => newestFiles(apt, wanted, members, key));
  } catch (error) {
    // Offline, or the package lists were cleaned away: what was fetched before still serves.
    const end = `${architecture === undefined ? '' : `_${architecture}`}-${key}`;
    const earlier = (await entries(cache)).filter((f) => f.startsWith(name) && f.endsWith(end));
    const last = earlier.sort().at(-1);
    if (last === undefined) throw error;
    return join(cache, last);
  }
}

async function newestFiles(
  apt: Apt,
  wanted: DebianPackage,
  members: readonly string[],
  key: string,
): Promise<string> {
  const { name, file } = await newestFile(apt, wanted);
  const folder = join(cache, `${file}-${key}`);
  if ((await entries(folder)).length === 0) await unpack(apt, name, members, folder);
  return folder;
}

async function entries(folder: string): Promise<string[]> {
  return await readdir(folder).catch(() => []);
}

/** The newest package's name and file name, which carries its version. */
async function newestFile(apt: Apt, { name, via }: DebianPackage): Promise<{ name: string; file: string }> {
  let exact = name;
  if (via !== undefined) {
    const depends = (await apt.run('apt-cache', ['depends', via])).matchAll(/Depends: (\S+)/g);
    const found = [...depends].map((match) => match[1] ?? '').find((one) => one.startsWith(name));
    if (found === undefined) throw new Error(`Cannot find ${name}*: ${via} depends on no such package`);
    exact = found;
  }
  const uris = await apt.run('apt-get', ['download', '--print-uris', exact]);
  const file = /^'\S+' (\S+)\.deb /m.exec(uris)?.[1];
  if (file === undefined)
    throw new Error(`Cannot find the Debian package ${exact}: apt-get offers no file for it`);
  return { name: exact, file };
}

/** Fetches and unpacks beside the final place and moves it there whole: others may be doing the same. */
async function unpack(apt: Apt, name: string, members: readonly string[], folder: string): Promise<void> {
  const work = await workFolder('unpack-');
  try {
    const script = `
      cd "$1" && mkdir files
      apt-get "$2" download -qq "$3" && deb=$(echo *.deb)
      shift 3
      dpkg-deb --fsys-tarfile "$deb" | tar -x -C files --wildcards "$@"`;
    const parameters = [work, await apt.option(), name, ...members];
    await mustRun('bash', ['-euo', 'pipefail', '-c', script, 'unpack', ...parameters], 300_000);
    await moveWhole(join(work, 'files'), folder);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function workFolder(prefix: string): Promise<string> {
  await mkdir(cache, { recursive: true });
  return await mkdtemp(join(cache, prefix));
}

/** Moves a folder to its final place; another process may have been there first, with the same. */
async function moveWhole(from: string, to: string): Promise<void> {
  await rename(from, to).catch(async (error: unknown) => {
    if ((await entries(to)).length === 0) throw error;
  });
}

/** apt for one architecture. */
class Apt {
  private readonly architecture: string | undefined;
  /** Its package lists, where they are not the system's. */
  private readonly lists: string;

  constructor(architecture: string | undefined) {
    this.architecture = architecture;
    this.lists = join(cache, `lists-${architecture ?? 'system'}`);
  }

  /** What each of its programs has to be told first. */
  async option(): Promise<string> {
    if (this.architecture === undefined) return '-q';
    const settings = `
      APT::Architecture "${this.architecture}";
      #clear APT::Architectures;
      APT::Architectures { "${this.architecture}"; };
      Dir::State::Lists "${this.lists}";
      // No index of the lists to share with the system's.
      Dir::Cache::pkgcache "";
      Dir::Cache::srcpkgcache "";
      Acquire::Languages "none";
      Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
    `;
    await mkdir(cache, { recursive: true });
    const file = join(cache, `apt-${this.architecture}.conf`);
    await writeFile(file, settings);
    return `-c=${file}`;
  }

  async run(program: string, args: readonly string[]): Promise<string> {
    return await mustRun(program, [await this.option(), ...args]);
  }

  /** Asks; where the answer is none, or is out of date, fetches the package lists and asks again. */
  async freshly<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      // The system's own lists are root's to fetch: a fresh machine has none yet.
      if (this.architecture === undefined && process.getuid?.() !== 0) throw error;
      const failed: unknown = await this.update().catch((reason: unknown) => reason);
      // One source of many that could not be fetched does no harm if another has the package.
      return await ask().catch((again: unknown) => {
        throw failed ?? again;
      });
    }
  }

  private async update(): Promise<void> {
    if (this.architecture === undefined) {
      await mustRun('apt-get', ['update', '-q'], 120_000);
      return;
    }
    const work = await workFolder('update-');
    const fresh = join(work, 'lists');
    try {
      await mkdir(join(fresh, 'partial'), { recursive: true });
      const args = [await this.option(), '-o', `Dir::State::Lists=${fresh}`, 'update', '-q'];
      await mustRun('apt-get', args, 120_000);
    } finally {
      // What could be fetched is kept even if not all could.
      await rename(this.lists, join(work, 'old')).catch(() => undefined);
      await moveWhole(fresh, this.lists);
      await rm(work, { recursive: true, force: true });
    }
  }
}
