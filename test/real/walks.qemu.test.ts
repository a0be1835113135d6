/**
 * guestmem looks into a real Linux and says what QEMU says: every translation, the whole list of mappings, the bytes, the memory
 * map; for every kind of x86's page tables; live through the shared RAM and from a dump of the same moment.
 */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { CpuState, MemoryImage } from 'guestmem/image';
import type { Translator } from 'guestmem/paging';
import { openImageFile } from 'guestmem/qemu';
import { leaves, type Mapped, translatorOf } from '../support/leaves.ts';
import type { LinuxGuestOptions } from '../support/linux-guest.ts';
import { need } from '../support/need.ts';
import { askQemu, choices, type Expected, type PausedGuest, pausedGuest } from '../support/paused-guest.ts';
import { guestmem } from '../support/project.ts';
import {
  parseFlatView,
  parseInfoMem,
  parseInfoTlb,
  parseXp,
  type TlbLine,
} from '../support/qemu-listings.ts';

/** A hex string as the command line prints it. */
const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

/** Like the whole test run, every choice of addresses can be repeated. */
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32);

interface Guest extends Omit<LinuxGuestOptions, 'script'> {
  readonly mode: string;
  /** How many bits of its registers hold an address. */
  readonly bits: 32 | 64;
}

const guests: readonly Guest[] = [
  // A small low part, so that the RAM above 4 GiB begins inside the RAM file.
  { mode: 'x86-4level', bits: 64, cpu: 'qemu64', machine: 'max-ram-below-4g=256M' },
  { mode: 'x86-5level', bits: 64, cpu: 'max', machine: 'max-ram-below-4g=2G' },
  { mode: 'x86-pae', bits: 32, kernel: '686-pae', cpu: 'qemu64,-lm', machine: 'max-ram-below-4g=256M' },
  { mode: 'x86-32', bits: 32, kernel: '686', cpu: 'qemu32' },
];

for (const { mode, bits, ...options } of guests) {
  describe(`a paused Linux with tables of ${mode} (seed ${seed})`, {
    skip: need('qemu-system-x86_64', 'apt-get', 'dpkg-deb', 'setpriv'),
    timeout: 900_000,
  }, () => {
    const choose = choices(seed);
    let folder = '';
    let paused: PausedGuest;
    let tlb: TlbLine[];
    let expected: Expected[];
    let dump: MemoryImage;

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'guestmem-walks-'));
      paused = await pausedGuest(options);
      tlb = parseInfoTlb(await paused.machine.monitor('info tlb'));
      const pages = leaves(paused.machine).map((leaf) => ({ ...leaf, user: leaf.rights.user }));
      expected = await askQemu(paused.machine, pages, 600, 1000, choose, bits);
      const protocol = `file:${join(folder, 'dump')}`;
      await paused.machine.qmp.execute(
        'dump-guest-memory',
        { paging: false, protocol },
        { timeoutMs: 60_000 },
      );
      dump = openImageFile(join(folder, 'dump'));
    });
    after(async () => {
      dump?.close();
      await paused?.machine.detach();
      await paused?.guest.close();
      await rm(folder, { recursive: true, force: true });
    });

    for (const where of ['live', 'dump'] as const) {
      const image = (): MemoryImage => (where === 'live' ? paused.machine : dump);
      const target = (): string =>
        where === 'live' ? `qemu:${paused.guest.monitors[1] ?? ''}` : join(folder, 'dump');

      it(`T2: walks random mapped and unmapped addresses as gva2gpa does (${where})`, () => {
        const translator = translatorOf(image());
        const wrong = expected.filter(({ gva, gpa, user }) => {
          const got = translator.translate(gva, { kind: 'read', user });
          return (got.kind === 'mapped' ? got.gpa : undefined) !== gpa;
        });
        assert.deepEqual(wrong, []);
        const mapped = expected.filter(({ gpa }) => gpa !== undefined);
        assert.ok(mapped.filter(({ user }) => user).length >= 600, 'at least 600 mapped user addresses');
        assert.ok(mapped.filter(({ user }) => !user).length >= 600, 'at least 600 mapped kernel addresses');
        assert.ok(expected.length - mapped.length >= 1000, 'at least 1,000 unmapped addresses');
      });

      it(`T6: lists the mappings that info tlb lists (${where})`, () => {
        compareWithTlb(translatorOf(image()), leaves(image()), tlb);
      });

      it(`I4: reads what xp reads (${where})`, async () => {
        const ram = parseFlatView(await paused.machine.monitor('info mtree -f')).filter(
          (range) => range.name === 'ram',
        );
        assert.ok(ram.length > 0);
        for (const { start, end } of ram) {
          for (let n = 0; n < 10; n++) {
            const gpa = Math.min(start + 8 * choose((end - start) / 8), end - 4096);
            const want = parseXp(await paused.machine.monitor(`xp /512gx ${hex(gpa)}`));
            assert.equal(want.length, 4096);
            assert.deepEqual(Buffer.from(image().memory.readBytes(gpa, 4096)), Buffer.from(want), hex(gpa));
          }
        }
      });

      it(`C: walk, read and info of the command say the same (${where})`, async () => {
        // The kernel maps devices too (a PC's VGA memory at the least): bytes of RAM are compared with QEMU's, a device has none.
        const inRam = (gpa: number): boolean => image().memory.checkRange(gpa, 32);
        const mapped = expected.filter(({ gpa }) => gpa !== undefined && inRam(gpa));
        const user = mapped.find((one) => one.user);
        const kernel = mapped.find((one) => !one.user);
        const device = leaves(image()).find(({ gpa }) => !image().memory.checkRange(gpa, 1));
        assert.ok(user && kernel && device, 'a user and a kernel page in RAM, and one of a device');
        for (const one of [user, kernel, device, expected.at(-1)]) {
          assert.ok(one !== undefined);
          const { status, stdout, stderr } = await guestmem(['walk', target(), hex(one.gva), '--json']);
          assert.equal(status, one.gpa === undefined ? 1 : 0, `${hex(one.gva)}: ${stdout}${stderr}`);
          const walk = JSON.parse(stdout) as {
            gva: string;
            gpa?: string;
            levels: unknown[];
            fault?: unknown;
          };
          assert.equal(walk.gva, hex(one.gva));
          if (one.gpa === undefined) {
            assert.ok(walk.fault, 'a fault is named');
          } else {
            assert.equal(walk.gpa, hex(one.gpa));
            const read = await guestmem(['read', target(), hex(one.gpa), '32', '--json']);
            const { hex: bytes } = JSON.parse(read.stdout) as { hex: string };
            if (inRam(one.gpa)) {
              const want = parseXp(await paused.machine.monitor(`xp /4gx ${hex(one.gpa)}`));
              assert.equal(bytes, Buffer.from(want).toString('hex'));
            } else {
              assert.match(bytes, /^\?\?/, `${hex(one.gpa)} is no RAM`);
            }
          }
        }
        const info = JSON.parse((await guestmem(['info', target(), '--json'])).stdout) as {
          cpus: { cr3: string; paging: string }[];
        };
        const cr3 = /CR3=([0-9a-f]+)/.exec(await paused.machine.monitor('info registers'))?.[1] ?? '';
        assert.equal(BigInt(info.cpus[0]?.cr3 ?? 0), BigInt(`0x${cr3}`));
        assert.equal(info.cpus[0]?.paging, mode);
      });

      it(`C: pt of the command lists the pages that the library lists (${where})`, async () => {
        const { status, stdout, stderr } = await guestmem(['pt', target(), '--json']);
        assert.equal(status, 0, stderr);
        const listed = JSON.parse(stdout) as { gva: string; gpa: string; size: string; rights: string }[];
        const bytes = (sizes: Iterable<number>): number => [...sizes].reduce((sum, size) => sum + size, 0);
        assert.equal(
          bytes(listed.map(({ size }) => Number(size))),
          bytes(leaves(image()).map(({ size }) => size)),
        );
        const translator = translatorOf(image());
        for (const { gva, gpa, rights } of listed) {
          const got = translator.translate(BigInt(gva), { kind: 'read', user: rights.endsWith('u') });
          assert.ok(got.kind === 'mapped' && hex(got.gpa) === gpa, `${gva} is at ${gpa}`);
        }
      });
    }

    it('I4: has the RAM through its shared file, each range at the offset of info mtree -f', async () => {
      const file = paused.machine.rungs.find(({ name }) => name === 'shared-file');
      assert.ok(file?.taken, file?.why);
      const wanted = parseFlatView(await paused.machine.monitor('info mtree -f'))
        .filter(({ name }) => name === 'ram')
        .map(({ start, end, offset }) => ({ start, end, offset }));
      const got = paused.machine.ranges
        .filter(({ block }) => block === 'ram')
        .map(({ start, end, offset }) => ({ start, end, offset }));
      assert.deepEqual(got, wanted);
    });

    it('C: ranges of the command is the RAM and ROM of info mtree -f', async () => {
      const { stdout } = await guestmem(['ranges', `qemu:${paused.guest.monitors[1] ?? ''}`, '--json']);
      const ranges = JSON.parse(stdout) as { start: string; end: string; kind: string }[];
      const wanted = parseFlatView(await paused.machine.monitor('info mtree -f'))
        .filter(({ kind }) => kind === 'ram' || kind === 'rom')
        .map(({ start, end, kind }) => ({ start: hex(start), end: hex(end), kind }));
      const got = ranges.filter(({ kind }) => kind === 'ram' || kind === 'rom');
      assert.deepEqual(merged(got), merged(wanted));
    });

    // QEMU 7.2 answers `info mem` with nothing, after half a minute, for a CPU with five levels.
    if (mode !== 'x86-5level') {
      it('T2: effective user and write rights are those of info mem', async () => {
        const wanted = parseInfoMem(await paused.machine.monitor('info mem'));
        const got: { start: bigint; size: bigint; user: boolean; writable: boolean }[] = [];
        for (const { gva, size, rights } of leaves(paused.machine)) {
          const last = got.at(-1);
          const joins = last !== undefined && last.start + last.size === gva;
          if (joins && last.user === rights.user && last.writable === rights.write) last.size += BigInt(size);
          else got.push({ start: gva, size: BigInt(size), user: rights.user, writable: rights.write });
        }
        assert.deepEqual(got, wanted);
      });
    }

    it("I3: QEMU's dump carries the registers the live machine has", () => {
      const pick = ({ cr0, cr3, cr4, rip, rsp }: CpuState): unknown => ({ cr0, cr3, cr4, rip, rsp });
      assert.deepEqual(dump.cpus.map(pick), paused.machine.cpus.map(pick));
    });
  });
}

/**
 * The listing of `info tlb` against ours: the same pages, in the same order, at the same place. Rights are another matter: QEMU prints
 * the leaf's bits, we give what all levels together allow, so ours may be less, where a parent's entry says so.
 */
function compareWithTlb(translator: Translator, ours: readonly Mapped[], tlb: readonly TlbLine[]): void {
  assert.ok(tlb.length > 1000, `info tlb lists ${tlb.length} pages`);
  assert.equal(ours.length, tlb.length);
  for (const [index, line] of tlb.entries()) {
    const leaf = ours[index];
    assert.ok(leaf !== undefined);
    const at = `at ${hex(line.gva)}`;
    assert.equal(leaf.gva, line.gva, at);
    assert.equal(leaf.gpa, line.gpa, at);
    assert.equal(leaf.global, line.global, at);
    // Bit 7 is the page size for a big leaf; for a 4 KiB leaf it is PAT, the highest bit of the memory type.
    assert.equal(leaf.pageSize > 4096 || leaf.memoryType >= 4, line.big, at);
    const allowed = { write: line.writable, execute: !line.noExecute, user: line.user };
    for (const right of ['write', 'execute', 'user'] as const) {
      if (leaf.rights[right] === allowed[right]) continue;
      assert.ok(allowed[right], `${at}: ${right} is given, and the leaf does not allow it`);
      const walk = translator.translate(line.gva, { kind: 'read', user: leaf.rights.user });
      const parents = walk.levels.slice(0, -1);
      const denies = (entry: bigint): boolean =>
        right === 'execute' ? entry >> 63n === 1n : (entry & (right === 'write' ? 2n : 4n)) === 0n;
      assert.ok(
        parents.some(({ entry }) => denies(entry)),
        `${at}: ${right} is taken away, and no parent does that`,
      );
    }
  }
}

/** Neighbouring ranges of the same kind as one: who merges them is a matter of taste. */
function merged(ranges: readonly { start: string; end: string; kind: string }[]): unknown[] {
  const list: { start: string; end: string; kind: string }[] = [];
  for (const range of ranges) {
    const last = list.at(-1);
    if (last !== undefined && last.kind === range.kind && last.end === range.start) last.end = range.end;
    else list.push({ ...range });
  }
  return list;
}
