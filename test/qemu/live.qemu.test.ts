import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isGuestMemoryError } from 'guestmem';
import { attachQemu, isQmpError, openImageFile, type QemuMachine } from 'guestmem/qemu';
import { attachHalted, BareQemu, type RamBacking } from '../support/bare-qemu.ts';
import { longModeGuest } from '../support/long-mode-guest.ts';
import { need } from '../support/need.ts';
import { parseFlatView, parseXp } from '../support/qemu-listings.ts';

const skip = need('qemu-system-x86_64', 'setpriv');

/** Boots the guest of known tables, waits until it halts, and attaches. */
async function boot(
  ram: RamBacking,
  fiveLevel: boolean,
): Promise<{ qemu: BareQemu; machine: QemuMachine; guest: ReturnType<typeof longModeGuest> }> {
  const guest = longModeGuest({ fiveLevel });
  const qemu = await BareQemu.start({
    ram,
    kernel: guest.kernel,
    args: ['-cpu', fiveLevel ? 'max' : 'max,la57=off'],
  });
  try {
    return { qemu, machine: await attachHalted(qemu, guest.mark), guest };
  } catch (error) {
    await qemu.close();
    throw error;
  }
}

for (const [ram, file] of [
  ['memfd', '/memfd:memory-backend-memfd'],
  ['file', '/ram'],
  ['private', '/mem'],
] as const) {
  for (const fiveLevel of ram === 'memfd' ? [false, true] : [false]) {
    describe(`a live QEMU, RAM ${ram}, ${fiveLevel ? 5 : 4} levels`, { skip }, () => {
      let qemu: BareQemu;
      let machine: QemuMachine;
      let guest: ReturnType<typeof longModeGuest>;
      before(async () => {
        ({ qemu, machine, guest } = await boot(ram, fiveLevel));
      });
      after(async () => {
        await machine.detach();
        await qemu.close();
      });

      it('I4: finds the process, and says which way it took and why not another', () => {
        assert.equal(machine.pid, qemu.child.pid);
        assert.equal(machine.machine, 'x86_64');
        const [shared, own] = machine.rungs;
        assert.equal(shared?.taken, ram !== 'private');
        assert.equal(own?.taken, true, 'the firmware is never shared');
        const block = ram === 'private' ? 'pc.ram' : 'ram0';
        const why = (ram === 'private' ? own : shared)?.why ?? '';
        assert(why.startsWith(block) && why.split(';')[0]?.includes(file), why);
        if (ram === 'private')
          assert.match(shared?.why ?? '', /not pc\.ram: it is anonymous memory; start QEMU with .*share=on/);
        assert.deepEqual(machine.warnings, []);
      });

      it("I4: the map is QEMU's own, range by range", async () => {
        const kinds: Readonly<Record<string, string>> = { ram: 'ram', rom: 'rom', 'i/o': 'device' };
        const expected = parseFlatView(await machine.monitor('info mtree -f'));
        assert(expected.length > 8);
        assert.deepEqual(
          machine.ranges.map(({ start, end, kind, block }) => ({ start, end, kind, name: block })),
          expected.map(({ start, end, kind, name }) => ({ start, end, kind: kinds[kind], name })),
        );
      });

      it("I4: memory reads as QEMU's xp does: low RAM, ROM shadow, the guest's tables, the firmware", async () => {
        for (const gpa of [
          0,
          0x9_fc00,
          0xc_0000,
          0xf_0000,
          0x10_0000,
          0x10_1000,
          0x10_4000,
          guest.mark.gpa,
          0x3ff_f000,
          0xffff_f000,
        ]) {
          const expected = parseXp(await machine.monitor(`xp /512gx 0x${gpa.toString(16)}`)).subarray(
            0,
            4096,
          );
          const got = machine.memory.readBytes(gpa, 4096 - (gpa % 4096));
          assert.deepEqual(
            Buffer.from(got),
            Buffer.from(expected.subarray(0, got.length)),
            `at 0x${gpa.toString(16)}`,
          );
        }
      });

      it('I4: what is no memory is unmapped', () => {
        assert.throws(() => machine.memory.readU8(0x400_0000), { code: 'unmapped' });
        assert.throws(() => machine.memory.readU8(0xfee0_0000), { code: 'unmapped' });
      });

      it('I4: the registers are those the guest has set, with their source', () => {
        const [cpu] = machine.cpus;
        assert.equal(machine.cpus.length, 1);
        assert.equal(cpu?.cr3, BigInt(guest.root));
        assert.equal(cpu?.cr0, 0x8001_0011n);
        assert.equal(cpu?.cr4, fiveLevel ? 0x1020n : 0x20n);
        assert.equal((cpu?.efer ?? 0n) & 0xd00n, 0xd00n);
        assert.equal(cpu?.longMode, true);
        assert.equal(cpu?.source, "QEMU's info registers");
      });

      it("I4: gva2gpa is QEMU's answer, and the fixture's tables are what it says they are", async () => {
        for (const { gva, gpa, size } of guest.pages) {
          assert.equal(await machine.gva2gpa(gva), gpa);
          assert.equal(await machine.gva2gpa(gva + BigInt(size) - 1n), gpa + size - 1);
        }
        for (const gva of [0n, 300n * 4096n, 0x80_0000n, 0xffff_8000_4000_0000n]) {
          assert.equal(await machine.gva2gpa(gva), undefined, `0x${gva.toString(16)}`);
        }
      });

      it('I2: a dump of it has the same ranges, bytes and registers', async () => {
        const path = join(qemu.folder, 'dump');
        await machine.qmp.execute('dump-guest-memory', { paging: false, protocol: `file:${path}` });
        const dump = openImageFile(path);
        assert.equal(dump.machine, 'x86_64');
        assert.deepEqual(dump.warnings, []);
        const { index, cr0, cr2, cr3, cr4, rip, rsp, rflags, longMode } = machine.cpus[0] ?? { index: -1 };
        assert.deepEqual(dump.cpus, [
          {
            index,
            source: 'QEMU note v1, long mode deduced from CS.L',
            cr0,
            cr2,
            cr3,
            cr4,
            rip,
            rsp,
            rflags,
            longMode,
          },
        ]);
        for (const { start, end, kind } of machine.ranges) {
          if (kind === 'device') continue;
          assert.deepEqual(
            dump.memory.readBytes(start, end - start),
            machine.memory.readBytes(start, end - start),
            `0x${start.toString(16)}`,
          );
        }
        dump.close();
      });

      it('I2: a dump with paging on has what its tables map, by physical address', async () => {
        const path = join(qemu.folder, 'paged-dump');
        await machine.qmp.execute('dump-guest-memory', { paging: true, protocol: `file:${path}` });
        const dump = openImageFile(path);
        assert.match(dump.warnings.join('\n'), /taken with paging on/);
        assert.match(dump.warnings.join('\n'), /segments overlap/);
        for (const gpa of [0x1000, 0x10_1000, 0x10_4000, guest.mark.gpa]) {
          assert.deepEqual(
            dump.memory.readBytes(gpa, 4096 - (gpa % 4096)),
            machine.memory.readBytes(gpa, 4096 - (gpa % 4096)),
          );
        }
        dump.close();
      });
    });
  }
}

describe('attaching to a QEMU', { skip }, () => {
  let qemu: BareQemu;
  before(async () => {
    qemu = await BareQemu.start({ ram: 'memfd', args: ['-smp', '2'] });
  });
  after(() => qemu.close());

  it('I4: never stops it unasked; with pause it is stopped until detach, and one that was stopped stays so', async () => {
    const running = async (machine: QemuMachine): Promise<unknown> =>
      await machine.qmp.execute('query-status');
    const status = (value: unknown): boolean => JSON.stringify(value).includes('"running":true');
    const machine = await attachQemu(qemu.qmp);
    const events: string[] = [];
    machine.qmp.onEvent(({ event }) => events.push(event));
    await machine.refresh();
    machine.memory.readBytes(0, 4096);
    assert.equal(status(await running(machine)), true);
    assert.deepEqual(events, []);
    await machine.detach();
    await machine.detach();

    const paused = await attachQemu(qemu.qmp, { pause: true });
    assert.equal(status(await running(paused)), false);
    await paused.detach();
    const again = await attachQemu(qemu.qmp);
    assert.equal(status(await running(again)), true);
    await again.qmp.execute('stop');
    await again.detach();
    const stopped = await attachQemu(qemu.qmp, { pause: true });
    await stopped.detach();
    const last = await attachQemu(qemu.qmp);
    assert.equal(status(await running(last)), false);
    await last.qmp.execute('cont');
    await last.detach();
  });

  it('I4: a second client is told that the monitor is busy, and is served once the first has left', async () => {
    const first = await attachQemu(qemu.qmp);
    await assert.rejects(
      attachQemu(qemu.qmp, { timeoutMs: 300 }),
      (error) => isQmpError(error) && error.code === 'busy' && !error.message.includes('\n'),
    );
    await first.detach();
    const second = await attachQemu(qemu.qmp);
    assert.equal(second.cpus.length, 2);
    await second.detach();
  });

  it('E: after detach its memory is closed', async () => {
    const machine = await attachQemu(qemu.qmp);
    const { memory } = machine;
    machine.memory.readU8(0);
    await machine.detach();
    assert.throws(() => memory.readU8(0), { code: 'closed' });
    assert.throws(() => memory.readU8(0xffff_fff0), { code: 'closed' });
    await assert.rejects(machine.refresh(), { code: 'closed' });
  });

  it('I4: a process that is not QEMU has no way to its memory, and every range says so', async () => {
    const machine = await attachQemu(qemu.qmp, { pid: process.pid });
    assert(machine.ranges.some(({ kind }) => kind === 'unreachable'));
    assert(!machine.ranges.some(({ kind }) => kind === 'ram'));
    assert.match(machine.warnings[0] ?? '', /^Memory ram0 is out of reach: /);
    assert.throws(
      () => machine.memory.readU8(0x1000),
      (error) =>
        isGuestMemoryError(error) &&
        error.code === 'fault' &&
        error.cause instanceof Error &&
        /out of reach/.test(error.cause.message),
    );
    await machine.detach();
  });

  it('I4: without a process to look into, a backend that is a named file is read by its name', async () => {
    const named = await BareQemu.start({ ram: 'file' });
    const machine = await attachQemu(named.qmp, { pid: 2 ** 30, pause: true });
    try {
      assert.equal(machine.pid, undefined);
      assert.match(
        machine.rungs[0]?.why ?? '',
        /^ram0 from .*\/ram; not .*pc\.bios: there is no process 1073741824, nor is it a memory-backend-file/,
      );
      const expected = parseXp(await machine.monitor('xp /512gx 0x1000'));
      assert.deepEqual(Buffer.from(machine.memory.readBytes(0x1000, 4096)), Buffer.from(expected));
      assert.throws(() => machine.memory.readU8(0xffff_fff0), { code: 'fault' });
    } finally {
      await machine.detach();
      await named.close();
    }
  });

  it('E: when QEMU ends, shared RAM stays readable, the rest is unreachable, and the monitor is closed', async () => {
    const short = await BareQemu.start({ ram: 'memfd' });
    const machine = await attachQemu(short.qmp, { pause: true });
    const before = machine.memory.readBytes(0x1000, 4096);
    await short.close();
    assert.deepEqual(machine.memory.readBytes(0x1000, 4096), before);
    assert.throws(
      () => machine.memory.readU8(0xffff_fff0),
      (error) =>
        error instanceof Error && error.cause instanceof Error && /is gone$/.test(error.cause.message),
    );
    await assert.rejects(machine.refresh(), { code: 'closed' });
    await machine.detach();
  });
});
