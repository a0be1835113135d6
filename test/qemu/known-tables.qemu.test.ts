import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { MemoryImage } from 'guestmem/image';
import { mappings, pagingModeFromRegisters, Translator } from 'guestmem/paging';
import { openImageFile, type QemuMachine } from 'guestmem/qemu';
import { attachHalted, BareQemu } from '../support/bare-qemu.ts';
import { type LongModeGuest, longModeGuest } from '../support/long-mode-guest.ts';
import { need } from '../support/need.ts';

/** `gva gpa size rights`, page by page. */
function pagesIn(image: MemoryImage): string[] {
  const { cr0, cr3, cr4, efer, longMode } = image.cpus[0] ?? {};
  assert(cr0 !== undefined && cr3 !== undefined && cr4 !== undefined && longMode !== undefined);
  const mode = pagingModeFromRegisters({ cr0, cr3, cr4, longMode, ...(efer === undefined ? {} : { efer }) });
  assert(mode.format !== undefined, mode.reason);
  const { format, root, controls } = mode;
  const translator = new Translator({ memory: image.memory, format, root, controls });
  return [...mappings(translator, { coalesce: false, expandAliases: true })].map((page) => {
    assert(page.kind === 'mapped');
    const { write, execute, user } = page.rights;
    return line(page.gva, page.gpa, page.pageSize, write, execute, user);
  });
}

/** The same, from what the guest's maker knows. */
function pagesOf(guest: LongModeGuest): string[] {
  return guest.pages.flatMap(({ gva, gpa, size, pageSize, writable, noExecute, user }) =>
    Array.from({ length: size / pageSize }, (_, i) =>
      line(gva + BigInt(i * pageSize), gpa + i * pageSize, pageSize, writable, !noExecute, user),
    ),
  );
}

function line(
  gva: bigint,
  gpa: number,
  size: number,
  write: boolean,
  execute: boolean,
  user: boolean,
): string {
  const rights = `r${write ? 'w' : '-'}${execute ? 'x' : '-'}${user ? 'u' : 's'}`;
  return `${gva.toString(16)} ${gpa.toString(16)} ${size.toString(16)} ${rights}`;
}

for (const fiveLevel of [false, true]) {
  describe(`a guest of known tables, ${fiveLevel ? 5 : 4} levels`, {
    skip: need('qemu-system-x86_64', 'setpriv'),
  }, () => {
    const guest = longModeGuest({ fiveLevel });
    let qemu: BareQemu;
    let machine: QemuMachine;
    before(async () => {
      qemu = await BareQemu.start({
        ram: 'memfd',
        kernel: guest.kernel,
        args: ['-cpu', fiveLevel ? 'max' : 'max,la57=off'],
      });
      machine = await attachHalted(qemu, guest.mark);
    });
    after(async () => {
      await machine.detach();
      await qemu.close();
    });

    it('I4 T6: the pages found live are the ones the guest has made', () => {
      assert.deepEqual(pagesIn(machine), pagesOf(guest));
    });

    it('I2 T6: and so are those found in a dump, whose notes have no EFER', async () => {
      const path = join(qemu.folder, 'dump');
      await machine.qmp.execute('dump-guest-memory', { paging: false, protocol: `file:${path}` });
      const dump = openImageFile(path);
      assert.deepEqual(pagesIn(dump), pagesOf(guest));
      dump.close();
    });
  });
}
