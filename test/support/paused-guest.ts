/**
 * A Linux guest stopped while its user process was running, with QEMU's own answers about it.
 *
 * An idle CPU runs on the kernel's own tables, which map no user page; so process 1 spins in user mode on the only CPU, and the
 * machine is stopped again and again until it stands there.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { attachQemu, type QemuMachine } from 'guestmem/qemu';
import { LinuxGuest, type LinuxGuestOptions } from './linux-guest.ts';

/** One address and what QEMU says about it. */
export interface Expected {
  readonly gva: bigint;
  /** QEMU's `gva2gpa`; `undefined` when it says "Unmapped". */
  readonly gpa: number | undefined;
  /** A user page: to be walked as user code would, since SMAP forbids the kernel to read it. */
  readonly user: boolean;
}

/** 8 MB of heap, so that there are user pages to choose from; then user mode for ever. */
const spin = `
heap=$(head -c 8000000 /dev/zero | tr '\\0' a)
echo "@@ spinning"
while :; do :; done
`;

/** The stopped guest. */
export interface PausedGuest {
  readonly guest: LinuxGuest;
  readonly machine: QemuMachine;
}

/** Boots, waits for the user process, attaches and stops in user mode. Free monitors: all but the first. */
export async function pausedGuest(options: Omit<LinuxGuestOptions, 'script'>): Promise<PausedGuest> {
  const guest = await LinuxGuest.start({ ...options, script: spin, monitors: 2 });
  try {
    await guest.waitFor(/@@ spinning/);
    const machine = await attachQemu(guest.monitors[0] ?? '', { timeoutMs: 60_000 });
    await stopInUserMode(machine);
    await machine.refresh();
    return { guest, machine };
  } catch (error) {
    await guest.close();
    throw error;
  }
}

async function stopInUserMode(machine: QemuMachine): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    await machine.qmp.execute('stop');
    // Privilege level 3 of x86, exception level 0 of AArch64.
    if (/ CPL=3 | EL0t /.test(await machine.monitor('info registers'))) return;
    await machine.qmp.execute('cont');
    await sleep(5);
  }
  throw new Error('Cannot stop the guest in user mode: 1000 attempts all found it in the kernel');
}

/** A reproducible source of choices: a 32-bit mixing generator, so that a failing run can be run again by its seed. */
export function choices(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % below;
  };
}

/**
 * Random addresses inside mapped pages, `count` in user pages and `count` in kernel pages, and `unmapped` that are not
 * mapped, each with QEMU's answer. Every frame is as likely as every other: Linux maps one page of its espfix area 65,536 times.
 * @param pages where mapped pages begin, and how long they are.
 * @param bits of an address; where QEMU's registers are longer, it does not look at the upper ones.
 */
export async function askQemu(
  machine: QemuMachine,
  pages: Iterable<{ gva: bigint; gpa: number; pageSize: number; user: boolean }>,
  count: number,
  unmapped: number,
  choose: (below: number) => number,
  bits: 32 | 64 = 64,
): Promise<Expected[]> {
  const byFrame = new Map<number, { gva: bigint; pageSize: number; user: boolean }>();
  for (const page of pages) if (!byFrame.has(page.gpa)) byFrame.set(page.gpa, page);
  const expected: Expected[] = [];
  const ask = async (gva: bigint, user: boolean): Promise<void> => {
    expected.push({ gva, user, gpa: await machine.gva2gpa(gva) });
  };
  for (const user of [true, false]) {
    const side = [...byFrame.values()].filter((page) => page.user === user);
    for (let n = 0; n < count; n++) {
      const page = side[choose(side.length)];
      if (page === undefined)
        throw new Error(`Cannot choose an address: there is no ${user ? 'user' : 'kernel'} page`);
      await ask(page.gva + BigInt(choose(page.pageSize)), user);
    }
  }
  // Beside mapped pages (neighbours share all tables but the last entry), and anywhere, canonical or not.
  const all = [...byFrame.values()];
  while (expected.length < count * 2 + unmapped) {
    const near = all[choose(all.length)]?.gva ?? 0n;
    const far = BigInt.asUintN(bits, (BigInt(choose(2 ** 32)) << 32n) | BigInt(choose(2 ** 32)));
    const gva = choose(2) === 0 ? near ^ (1n << BigInt(12 + choose(bits === 64 ? 36 : 20))) : far;
    if ((await machine.gva2gpa(gva)) === undefined) await ask(gva, false);
  }
  return expected;
}
