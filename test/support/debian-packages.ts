/**
 * Files out of Debian packages, without installing them and without root: `apt-get download`, `dpkg-deb`, and a folder in the
 * project's ignored cache that is named after the package's version, so that a new version is a new folder.
 */

import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from './child.ts';
import { projectRoot } from './project.ts';

/** A package by its name, or the one whose name begins so that the metapackage `via` depends on. */
export interface DebianPackage {
  readonly name: string;
  readonly via?: string;
}

const cache = join(projectRoot, '.cache', 'debian');

/**
 * The folder with the wanted members of the newest such package that apt offers.
 * @param members tar patterns such as `./boot/vmlinuz-*`; only these are unpacked.
 * @throws when apt is missing or offers no such package, and no earlier copy is in the cache.
 */
export async function debianFiles(wanted: DebianPackage, members: readonly string[]): Promise<string> {
  const key = createHash('sha256').update(members.join('\n')).digest('hex').slice(0, 8);
  let newest: { name: string; file: string };
  try {
    newest = await newestFile(wanted);
  } catch (error) {
    // Offline, or the package lists were cleaned away: what was fetched before still serves.
    const earlier = (await entries(cache)).filter((f) => f.startsWith(wanted.name) && f.endsWith(`-${key}`));
    const last = earlier.sort().at(-1);
    if (last === undefined) throw error;
    return join(cache, last);
  }
  const folder = join(cache, `${newest.file}-${key}`);
  if ((await entries(folder)).length === 0) await unpack(newest.name, members, folder);
  return folder;
}

async function entries(folder: string): Promise<string[]> {
  return await readdir(folder).catch(() => []);
}

/** The newest package's name and file name, which carries its version. */
async function newestFile({ name, via }: DebianPackage): Promise<{ name: string; file: string }> {
  let exact = name;
  if (via !== undefined) {
    const depends = (await asked('apt-cache', ['depends', via])).matchAll(/Depends: (\S+)/g);
    const found = [...depends].map((match) => match[1] ?? '').find((one) => one.startsWith(name));
    if (found === undefined) throw new Error(`Cannot find ${name}*: ${via} depends on no such package`);
    exact = found;
  }
  const uris = await asked('apt-get', ['download', '--print-uris', exact]);
  const file = /^'\S+' (\S+)\.deb /m.exec(uris)?.[1];
  if (file === undefined)
    throw new Error(`Cannot find the Debian package ${exact}: apt-get offers no file for it`);
  return { name: exact, file };
}

/** Asks apt; a fresh machine has no package lists yet, which root can fetch. */
async function asked(command: string, args: readonly string[]): Promise<string> {
  try {
    return await mustRun(command, args);
  } catch (error) {
    if (process.getuid?.() !== 0) throw error;
    await mustRun('apt-get', ['update', '-q'], 120_000);
    return await mustRun(command, args);
  }
}

/** Fetches and unpacks beside the final place and moves it there whole: others may be doing the same. */
async function unpack(name: string, members: readonly string[], folder: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, 'unpack-'));
  try {
    const script = `
      cd "$1" && mkdir files
      apt-get download -qq "$2" && deb=$(echo *.deb)
      shift 2
      dpkg-deb --fsys-tarfile "$deb" | tar -x -C files --wildcards "$@"`;
    await mustRun('bash', ['-euo', 'pipefail', '-c', script, 'unpack', work, name, ...members], 300_000);
    await rename(join(work, 'files'), folder).catch(async (error: unknown) => {
      if ((await entries(folder)).length === 0) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
