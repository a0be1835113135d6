/**
 * A real AArch64 Linux, with every size of pages and addresses that Debian has a kernel for, and what QEMU says of it: the judge of
 * the library, and of the naive reading of the specification that the other tests trust.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { mappings } from 'guestmem/paging';
import { type AArch64Leaf, aarch64Leaves } from '../support/aarch64-leaves.ts';
import {
  type AArch64Expected,
  type AArch64Registers,
  aarch64Registers,
  askAs,
  libraryDiffers,
  libraryOf,
  naiveGpa,
  READERS,
} from '../support/aarch64-machine.ts';
import { GdbRemote } from '../support/gdb-remote.ts';
import { type LinuxGuestOptions, programOf } from '../support/linux-guest.ts';
import { need } from '../support/need.ts';
import { choices, type PausedGuest, pausedGuest } from '../support/paused-guest.ts';
import { guestmem } from '../support/project.ts';
import { parseFlatView, parseXp } from '../support/qemu-listings.ts';

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

/** Like the whole test run, every choice of addresses can be repeated. */
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32);

/** What the kernel makes of the processor, to know that the guest is the one that was wanted. */
interface Guest extends Omit<LinuxGuestOptions, 'script'> {
  readonly kernel: 'arm64' | 'arm64-6.12' | 'arm64-16k';
  readonly name: string;
  readonly t1sz: number;
  readonly tg1: number;
  readonly ds: boolean;
}

const guests: readonly Guest[] = [
  // Without `kpti=off` the kernel's tables are not in TTBR1_EL1 while a user runs.
  { name: '4k-48', kernel: 'arm64', cpu: 'cortex-a57', append: 'kpti=off', t1sz: 16, tg1: 2, ds: false },
  { name: '4k-52', kernel: 'arm64-6.12', cpu: 'max', t1sz: 12, tg1: 2, ds: true },
  { name: '16k-52', kernel: 'arm64-16k', cpu: 'max', t1sz: 12, tg1: 1, ds: true },
];

for (const { name, t1sz, tg1, ds, ...options } of guests) {
  describe(`a paused AArch64 Linux, ${name} (seed ${seed})`, {
    skip: need(programOf(options.kernel), 'apt-get', 'dpkg-deb', 'setpriv'),
    timeout: 900_000,
  }, () => {
    const choose = choices(seed);
    let paused: PausedGuest;
    let gdb: GdbRemote;
    let registers: AArch64Registers;
    let pages: AArch64Leaf[];
    const expected: AArch64Expected[] = [];

    before(async () => {
      paused = await pausedGuest({ ...options, gdb: true });
      gdb = await GdbRemote.connect(paused.guest.gdb);
      registers = await aarch64Registers(gdb);
      const { machine } = paused;
      pages = aarch64Leaves(machine.memory, registers);
      const addresses = chooseAddresses(pages, choose);
      for (const reader of READERS) expected.push(...(await askAs(machine, gdb, reader, addresses)));
    });
    after(async () => {
      gdb?.close();
      await paused?.machine.detach();
      await paused?.guest.close();
    });

    it('T1: has the tables that were wanted', () => {
      const { tcr } = registers;
      assert.deepEqual({ t1sz: tcr.t1sz, tg1: tcr.tg1, ds: tcr.ds }, { t1sz, tg1, ds });
      const mapped = (reader: string): number =>
        new Set(
          expected.filter((one) => one.reader === reader && one.gpa !== undefined).map(({ gva }) => gva),
        ).size;
      assert.ok(mapped('EL0') >= 500, `EL0 reads at ${mapped('EL0')} addresses`);
      assert.ok(mapped('EL1') >= 1000, `EL1 reads at ${mapped('EL1')} addresses`);
      const unmapped = expected.filter(({ reader, gpa }) => reader === 'EL1' && gpa === undefined).length;
      assert.ok(unmapped >= 1000, `EL1 cannot read at ${unmapped} addresses`);
      assert.ok(mapped('EL1 with PAN') <= mapped('EL1') - 500, 'PAN keeps EL1 from the pages of EL0');
    });

    it('T2: translates random mapped and unmapped addresses as gva2gpa does', () => {
      assert.deepEqual(libraryDiffers(paused.machine.memory, registers, expected), []);
    });

    it('T2: the naive second reading does so too', () => {
      const { memory } = paused.machine;
      const read = (address: bigint): bigint | undefined =>
        memory.checkRange(Number(address), 8) ? memory.readU64(Number(address)) : undefined;
      const wrong = expected.filter((one) => naiveGpa(read, registers, one) !== one.gpa);
      assert.deepEqual(wrong, []);
    });

    it('T6: lists every page that the tables have', () => {
      const { lower, upper } = libraryOf(registers, {
        memory: paused.machine.memory,
        pan: false,
        marks: false,
      });
      const listed: AArch64Leaf[] = [];
      for (const half of [lower, upper]) {
        assert.ok(half !== undefined);
        for (const record of mappings(half, { coalesce: false, expandAliases: true })) {
          assert.ok(record.kind === 'mapped', `${record.kind} at ${hex(record.gva)}`);
          const { gva, gpa, pageSize, rights } = record;
          listed.push({ gva, gpa, pageSize, user: rights.user });
        }
      }
      assert.deepEqual(listed, pages);
    });

    it('C: the command walks with the registers as the debugger gives them', async () => {
      const { tcr, ttbr0, ttbr1, sctlr } = registers.words;
      const regs = Object.entries({ tcr, ttbr0, ttbr1, sctlr }).flatMap(([reg, value]) => [
        '--reg',
        `${reg}=${hex(value)}`,
      ]);
      const target = `qemu:${paused.guest.monitors[1] ?? ''}`;
      const asked = expected.filter(({ reader }) => reader === 'EL1');
      const some = [true, false].flatMap((mapped) =>
        asked.filter(({ gpa }) => (gpa !== undefined) === mapped).slice(0, mapped ? 12 : 4),
      );
      for (const { gva, gpa } of some) {
        const { status, stdout, stderr } = await guestmem(['walk', target, hex(gva), '--json', ...regs]);
        assert.equal(status, gpa === undefined ? 1 : 0, `${hex(gva)}: ${stdout}${stderr}`);
        const walk = JSON.parse(stdout) as { gpa: string | null };
        assert.equal(walk.gpa, gpa === undefined ? null : hex(gpa), hex(gva));
      }
    });

    it('I4: reads what xp reads', async () => {
      const { machine } = paused;
      const ram = parseFlatView(await machine.monitor('info mtree -f')).filter(
        (range) => range.name === 'ram',
      );
      assert.ok(ram.length > 0);
      for (const { start, end } of ram) {
        for (let n = 0; n < 10; n++) {
          const gpa = Math.min(start + 8 * choose((end - start) / 8), end - 4096);
          const want = parseXp(await machine.monitor(`xp /512gx ${hex(gpa)}`));
          assert.equal(want.length, 4096);
          assert.deepEqual(Buffer.from(machine.memory.readBytes(gpa, 4096)), Buffer.from(want), hex(gpa));
        }
      }
    });
  });
}

/**
 * 600 addresses in pages of users, 600 in those of the kernel, 1,600 beside mapped ones or anywhere, and 100 of users with a tag in
 * the top byte, which is looked at or not as TCR_EL1 has it.
 */
function chooseAddresses(pages: readonly AArch64Leaf[], choose: (below: number) => number): bigint[] {
  const addresses: bigint[] = [];
  const inside = (side: readonly AArch64Leaf[]): bigint => {
    const page = side[choose(side.length)];
    if (page === undefined) throw new Error('Cannot choose an address: there is no page');
    return page.gva + BigInt(choose(page.pageSize));
  };
  const users = pages.filter(({ user }) => user);
  const kernel = pages.filter(({ user }) => !user);
  for (let n = 0; n < 600; n++) addresses.push(inside(users), inside(kernel));
  for (let n = 0; n < 800; n++) {
    addresses.push(inside(pages) ^ (1n << BigInt(12 + choose(44))));
    addresses.push((BigInt(choose(2 ** 32)) << 32n) | BigInt(choose(2 ** 32)));
  }
  for (let n = 0; n < 100; n++) {
    addresses.push(inside(users) | (BigInt(1 + choose(255)) << 56n));
  }
  return addresses;
}
