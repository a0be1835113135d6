/**
 * `npm run demo:qemu`: a Debian Linux in QEMU gets its disk from `guestmem vhost-user-blk`, and while it runs guestmem looks into its
 * memory. Every claim on the screen is checked against the other side: the guest's checksums on the host, the host's in the guest, and
 * guestmem's translations by QEMU's own `gva2gpa`. Exit status 0 only if all of it was true.
 */

import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { QmpClient } from 'guestmem/qemu';
import { run } from '../support/child.ts';
import { startDiskServer } from '../support/disk-server.ts';
import { checkExt4, checkSums, extractExt4, makeExt4, makeRandomFiles } from '../support/ext4-image.ts';
import { diskModules, LinuxGuest, linuxFiles } from '../support/linux-guest.ts';
import { missingPackages } from '../support/need.ts';
import { guestmem } from '../support/project.ts';
import { parseFlatView } from '../support/qemu-listings.ts';

const MiB = 2 ** 20;

/** What the guest does as process 1. `$go` is set by a signal that a background reader of the console sends. */
const script = `
fail() { echo "@@ failed: $1"; poweroff -f; }
mount -t ext4 /dev/vda /mnt || fail mount
cd /mnt
sha256sum -c SHA256SUMS > /tmp/checked
echo "@@ checked $? $(grep -c ': OK$' /tmp/checked)"

trap 'go=1' USR1
( read line < /dev/ttyS0; kill -USR1 1 ) &
echo "@@ banner $(awk '$3 == "linux_banner" { print $1 }' /proc/kallsyms) $(cat /proc/version)"
echo "@@ program $(head -n 1 /proc/1/maps)"
while [ -z "$go" ]; do :; done

mkdir guest || fail mkdir
for n in 1 2 3 4 5 6 7 8; do
  dd if=/dev/urandom of=guest/file-$n bs=256k count=$n 2>/dev/null || fail dd
done
(cd guest && sha256sum file-* > SHA256SUMS) || fail sha256sum
sync
cd / && umount /mnt || fail umount
echo "@@ written"
poweroff -f
`;

const checks: { readonly what: string; readonly good: boolean }[] = [];

function check(good: boolean, what: string): void {
  checks.push({ what, good });
  say(`  ${good ? 'ok  ' : 'FAIL'}  ${what}`);
}

function say(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Prints what the command said, moved in, and answers it. */
async function show(args: readonly string[]): Promise<void> {
  say(`\n  $ guestmem ${args.join(' ').replace(/qemu:\S+/, 'qemu:qmp.sock')}`);
  const { status, stdout, stderr } = await guestmem(args);
  for (const line of `${stdout}${stderr}`.trimEnd().split('\n')) say(`    ${line}`);
  check(status === 0, `guestmem ${args[0] ?? ''} ends with status ${status}`);
}

async function json<T>(args: readonly string[]): Promise<T> {
  const { stdout, stderr } = await guestmem([...args, '--json']);
  if (stdout === '') throw new Error(`guestmem ${args.join(' ')} printed nothing: ${stderr.trim()}`);
  return JSON.parse(stdout) as T;
}

/** As root fetches what is missing; otherwise says what to install, in one line. @returns whether all is here. */
async function haveTools(): Promise<boolean> {
  const tools = ['qemu-system-x86_64', 'mke2fs', 'debugfs', 'e2fsck', 'setpriv', 'apt-get', 'dpkg-deb'];
  const packages = missingPackages(tools);
  if (packages.length === 0) return true;
  if (process.getuid?.() === 0 && !packages.includes('apt')) {
    say(`Installing ${packages.join(', ')} (apt-get) ...`);
    const install = ['install', '-y', '-q', '--no-install-recommends', ...packages];
    const first = await run('apt-get', install, 600_000);
    if (first.status !== 0) {
      await run('apt-get', ['update', '-q'], 120_000);
      await run('apt-get', install, 600_000);
    }
    if (missingPackages(tools).length === 0) return true;
  }
  process.stderr.write(`The demonstration on a real Linux needs: apt-get install ${packages.join(' ')}\n`);
  return false;
}

/** Looks into the running guest: its map, the kernel's own words, the first page of its init program. */
async function lookInside(guest: LinuxGuest, busybox: string): Promise<void> {
  const target = `qemu:${guest.monitors[0] ?? ''}`;
  const [, banner = '', version = ''] = await guest.waitFor(/^@@ banner ([0-9a-f]+) (.*?)\r?$/m);
  const [, program = ''] = await guest.waitFor(/^@@ program ([0-9a-f]+)-/m);
  const kernelAddress = `0x${banner}`;
  const userAddress = `0x${BigInt(`0x${program}`).toString(16)}`;

  await show(['info', target]);
  await show(['ranges', target]);
  await show(['walk', target, kernelAddress]);
  await show(['walk', target, userAddress]);
  say();

  const qemu = await QmpClient.connect(guest.monitors[1] ?? '');
  try {
    for (const address of [kernelAddress, userAddress]) {
      const { gpa } = await json<{ gpa: string }>(['walk', target, address]);
      const want = /gpa: (0x[0-9a-f]+)/.exec(await qemu.monitor(`gva2gpa ${address}`))?.[1];
      check(gpa === want, `${address} is at ${gpa}; QEMU says ${want}`);
    }
    const ranges = await json<{ start: string; end: string; kind: string }[]>(['ranges', target]);
    const total = (list: readonly (readonly [number, number])[]): number =>
      list.reduce((sum, [start, end]) => sum + end - start, 0);
    const ours = total(ranges.filter((r) => r.kind === 'ram').map((r) => [Number(r.start), Number(r.end)]));
    const flat = parseFlatView(await qemu.monitor('info mtree -f')).filter((r) => r.kind === 'ram');
    const theirs = total(flat.map((r) => [r.start, r.end]));
    check(ours === theirs && ours > 0, `${ours / 1024} KiB of RAM in the map; QEMU says ${theirs / 1024}`);
  } finally {
    qemu.close();
  }

  const text = await json<{ hex: string }>(['read', target, kernelAddress, String(version.length), '-v']);
  const read = Buffer.from(text.hex, 'hex').toString('latin1');
  check(read === version, `the kernel's memory says: ${read.slice(0, 60)}...`);

  const head = Buffer.alloc(4096);
  const file = await open(busybox);
  await file.read(head, 0, head.length, 0);
  await file.close();
  const page = await json<{ hex: string }>(['read', target, userAddress, '4096', '-v']);
  check(
    page.hex === head.toString('hex'),
    `the page of init at ${userAddress} is the program file's first 4 KiB`,
  );
}

async function demo(folder: string): Promise<void> {
  const { kernel, busybox } = await linuxFiles();
  const image = join(folder, 'disk.img');
  const files = new Map(
    Array.from({ length: 16 }, (_, n) => [`host/file-${n}`, (n + 1) * (MiB / 4) - n * 7]),
  );
  const bytes = [...files.values()].reduce((sum, size) => sum + size, 0);
  await makeRandomFiles(join(folder, 'content'), files);
  await makeExt4(image, '96M', join(folder, 'content'));
  say(`A Debian Linux (${basename(kernel)}) in QEMU, its disk and its memory in the hands of guestmem`);
  say(
    `\nThe disk: ${files.size} files, ${(bytes / MiB).toFixed(1)} MiB of random bytes, on ext4 made by mke2fs`,
  );

  const socket = join(folder, 'disk.sock');
  const server = await startDiskServer({ socket, image, options: ['--serial', 'demo'] });
  let guest: LinuxGuest | undefined;
  try {
    const start = performance.now();
    // The largest CPU that QEMU emulates: five levels of page tables, SMEP, SMAP, protection keys.
    guest = await LinuxGuest.start({ script, modules: diskModules, disk: socket, cpu: 'max', monitors: 2 });
    const [, status, good] = await guest.waitFor(/^@@ (?:checked|failed:) (\S+) ?(\d*)/m);
    const took = ((performance.now() - start) / 1000).toFixed(1);
    check(
      status === '0' && Number(good) === files.size,
      `the guest booted, mounted it and found ${good} checksums right (${took} s)`,
    );

    await lookInside(guest, busybox);

    say('\nThe guest goes on: writes its own files, unmounts, powers off');
    guest.console.type('go\n');
    await guest.waitFor(/^@@ written/m);
    const end = await guest.poweredOff();
    check(end.status === 0, 'QEMU ended by itself');
  } finally {
    await guest?.close();
    server.signal('SIGTERM');
    const { status } = await server.exit(60_000).finally(() => server.close());
    check(status === 0, `the back end, told to stop by SIGTERM, ended with status ${status}`);
    if (server.stderr !== '') say(`  the back end said: ${server.stderr.trim()}`);
  }

  const fsck = await checkExt4(image);
  check(fsck.clean, `e2fsck finds the file system clean${fsck.clean ? '' : `: ${fsck.said}`}`);
  const out = join(folder, 'out');
  await mkdir(out);
  await extractExt4(image, '/', out);
  for (const [whose, list, inside] of [
    ["host's", files.size, out],
    ["guest's", 8, join(out, 'guest')],
  ] as const) {
    const { good, bad } = await checkSums(inside, 'SHA256SUMS');
    const wrong = bad.length === 0 ? '' : `, wrong: ${bad.join(', ')}`;
    check(
      bad.length === 0 && good === list,
      `${good} of the ${whose} files have their checksums in the image${wrong}`,
    );
  }
}

async function main(): Promise<number> {
  if (!(await haveTools())) return 3;
  const start = performance.now();
  const folder = await mkdtemp(join(tmpdir(), 'guestmem-demo-'));
  try {
    await demo(folder);
  } catch (error) {
    check(false, error instanceof Error ? error.message : String(error));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const failed = checks.filter(({ good }) => !good).length;
  const took = ((performance.now() - start) / 1000).toFixed(1);
  say(`\n${checks.length - failed} checks passed, ${failed} failed (${took} s)`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
