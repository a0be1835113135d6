/** Disk images with an ext4 file system, made, checked and read on the host without mounting (e2fsprogs), so without root. */

import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { mustRun, run } from './child.ts';
import { programPath } from './need.ts';

/** The sha256 of a file, in hex. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Makes a folder with files of random bytes, and a list `SHA256SUMS` of them that `sha256sum -c` checks. */
export async function makeRandomFiles(folder: string, files: ReadonlyMap<string, number>): Promise<void> {
  let list = '';
  for (const [path, size] of files) {
    const bytes = randomBytes(size);
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
    list += `${createHash('sha256').update(bytes).digest('hex')}  ${path}\n`;
  }
  await writeFile(join(folder, 'SHA256SUMS'), list);
}

/** Checks the files of a `SHA256SUMS` list inside a folder; answers how many were right and names those that were not. */
export async function checkSums(folder: string, list: string): Promise<{ good: number; bad: string[] }> {
  const bad: string[] = [];
  let good = 0;
  for (const line of (await readFile(join(folder, list), 'utf8')).split('\n')) {
    const [, sum, path] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line) ?? [];
    if (path === undefined) continue;
    const actual = await sha256OfFile(join(folder, path)).catch(() => 'not there');
    if (actual === sum) good += 1;
    else bad.push(path);
  }
  return { good, bad };
}

/** Makes an ext4 image of `size` (as `mke2fs` reads it: `64M`) with a folder's content in it. */
export async function makeExt4(image: string, size: string, folder: string): Promise<void> {
  await mustRun(programPath('mke2fs'), [
    '-q',
    '-F',
    '-t',
    'ext4',
    '-E',
    'root_owner=0:0',
    '-d',
    folder,
    image,
    size,
  ]);
}

/** Whether `e2fsck -fn` finds nothing to complain about, and what it said. */
export async function checkExt4(image: string): Promise<{ clean: boolean; said: string }> {
  const { status, stdout, stderr } = await run(programPath('e2fsck'), ['-f', '-n', image]);
  return { clean: status === 0, said: `${stdout}${stderr}`.trim() };
}

/** Copies one folder out of an image into an existing folder on the host. */
export async function extractExt4(image: string, inside: string, into: string): Promise<void> {
  // debugfs ends with status 0 whatever happens: what it says on stderr beyond its own banner is the failure.
  const { stderr } = await run(programPath('debugfs'), ['-R', `rdump ${inside} ${into}`, image]);
  const complaints = stderr.split('\n').filter((line) => line !== '' && !/^debugfs \d/.test(line));
  if (complaints.length > 0)
    throw new Error(`debugfs cannot copy ${inside} out of ${image}: ${complaints.join('; ')}`);
}
