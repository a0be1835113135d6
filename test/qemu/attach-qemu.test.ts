import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { attachQemu, type QemuMachine } from 'guestmem/qemu';
import { pattern } from '../support/elf-core.ts';
import { answer, FakeQmp } from '../support/fake-qmp.ts';

/** What a pretended QEMU says; each answer may be a function of how often it was asked. */
interface Script {
  readonly mtree?: string | ((asked: number) => string);
  readonly gpa2hva?: string;
  readonly registers?: string;
  /** Properties of every object. */
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly arch?: unknown;
}

const view = (...lines: string[]): string => `FlatView #0\n AS "memory", root: system\n${lines.join('\n')}\n`;
const RAM = '  0000000000000000-0000000000000fff (prio 0, ram): ram0';
const NO_PROCESS = 2 ** 30;

/** Attaches to a pretended QEMU, lets the test look, and takes everything down again. */
async function withQemu(
  script: Script,
  pid: number,
  look: (machine: QemuMachine, fake: FakeQmp) => void | Promise<void>,
): Promise<void> {
  let listings = 0;
  const fake = await FakeQmp.start((command, say) => {
    const args = command.arguments ?? {};
    const line = String(args['command-line'] ?? '');
    if (command.execute === 'query-target') say(answer(command, { arch: script.arch ?? 'x86_64' }));
    else if (command.execute === 'qom-get') {
      const name = String(args['property']);
      const has = Object.hasOwn(script.properties ?? {}, name);
      const error = { class: 'GenericError', desc: `Property '${name}' not found` };
      say(
        has ? answer(command, script.properties?.[name]) : `${JSON.stringify({ error, id: command.id })}\n`,
      );
    } else if (line.startsWith('info mtree')) {
      const { mtree = view(RAM) } = script;
      say(answer(command, typeof mtree === 'string' ? mtree : mtree(listings++)));
    } else if (line.startsWith('gpa2hva')) say(answer(command, script.gpa2hva ?? ''));
    else say(answer(command, script.registers ?? ''));
  });
  try {
    const machine = await attachQemu(fake.path, { pid });
    await look(machine, fake);
    await machine.detach();
  } finally {
    await fake.close();
  }
}

describe('attachQemu, of what QEMU may say', () => {
  let folder = '';
  let file = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'attach-'));
    file = join(folder, 'ram');
    writeFileSync(file, pattern(0x3000));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('I4: a map that changes while it is read is read again until it stands still', async () => {
    const grown = view(RAM, '  0000000000001000-0000000000001fff (prio 0, ram): ram0 @0000000000001000');
    const script = {
      mtree: (asked: number) => (asked < 1 ? view(RAM) : grown),
      properties: { 'mem-path': file, share: true },
    };
    await withQemu(script, NO_PROCESS, (machine, fake) => {
      assert.equal(machine.ranges.length, 2);
      assert.deepEqual(machine.memory.readBytes(0, 0x2000), pattern(0x3000).subarray(0, 0x2000));
      assert(!machine.warnings.some((warning) => /kept changing/.test(warning)));
      assert.equal(
        fake.received.filter(({ arguments: args }) => args?.['command-line'] === 'info mtree -f').length,
        4,
      );
    });
  });

  it('I4: one that never stands still is taken as it was last, with a warning', async () => {
    const other = RAM.replace('fff (', 'eff (');
    await withQemu({ mtree: (asked) => view(asked % 2 === 0 ? RAM : other) }, NO_PROCESS, (machine) => {
      assert.match(machine.warnings[0] ?? '', /kept changing/);
    });
  });

  it('I4: a listing without a view of memory is protocol', async () => {
    for (const mtree of ['', 'unknown command', view(RAM, RAM)]) {
      await assert.rejects(
        withQemu({ mtree }, NO_PROCESS, () => undefined),
        { name: 'QmpError', code: 'protocol' },
      );
    }
  });

  it('I4: a backend is read by its name only if it is shared, and has a usable offset and the bytes', async () => {
    const read = async (properties: Script['properties']): Promise<string | Uint8Array> => {
      let got: string | Uint8Array = '';
      await withQemu({ properties: properties ?? {} }, NO_PROCESS, (machine) => {
        const [range] = machine.ranges;
        got = range?.kind === 'ram' ? machine.memory.readBytes(0, 0x1000) : (range?.note ?? '');
      });
      return got;
    };
    const named = { 'mem-path': file, share: true };
    assert.deepEqual(await read(named), pattern(0x3000).subarray(0, 0x1000));
    assert.deepEqual(await read({ ...named, offset: 0x2000 }), pattern(0x3000).subarray(0x2000));
    assert.match(String(await read({ ...named, offset: 0x2001 })), /too short/);
    for (const offset of [-4096, 0.5, 'x', 2 ** 60]) {
      assert.match(String(await read({ ...named, offset })), /usable number/);
    }
    assert.match(String(await read({ ...named, share: false })), /nor is .* mapped with share=on/);
    assert.match(String(await read({ ...named, share: 'yes' })), /share=on/);
    assert.match(String(await read({ share: true })), /nor is it a memory-backend-file/);
    assert.match(String(await read({ ...named, 'mem-path': folder })), /not a regular file/);
    assert.match(String(await read({ ...named, 'mem-path': join(folder, 'none') })), /no such file/);
  });

  it('I4: an answer of gpa2hva is believed only for the block asked about, and where there is a mapping', async () => {
    const note = async (gpa2hva: string): Promise<string> => {
      let found = '';
      await withQemu({ gpa2hva }, process.pid, (machine) => {
        found = machine.ranges[0]?.note ?? machine.ranges[0]?.kind ?? '';
      });
      return found;
    };
    const says = (name: string, address: string): string =>
      `Host virtual address for 0x0 (${name}) is ${address}\r\n`;
    assert.match(await note('No memory is mapped at address 0x0\r\n'), /^QEMU says: No memory is mapped/);
    assert.match(await note(''), /^QEMU says: nothing/);
    assert.match(await note(says('pc.bios', '0x7f0000000000')), /map has changed/);
    assert.match(await note(says('ram0', '0x10')), /has no mapping of it at 0x10$/);
    assert.match(await note(says('ram0', '0xffffffffffffffff')), /^QEMU says/);
  });

  it('I4: registers that are none are a warning, not an error', async () => {
    await withQemu({ registers: 'unknown command: info registers', arch: 7 }, NO_PROCESS, (machine) => {
      assert.deepEqual(machine.cpus, []);
      assert.equal(machine.machine, 'unknown');
      assert.match(machine.warnings.join('\n'), /names no processors/);
    });
    await withQemu({ registers: 'CPU#0\n PC=0000000040000000\n', arch: 'aarch64' }, NO_PROCESS, (machine) => {
      assert.equal(machine.cpus.length, 1);
      assert.match(machine.warnings.join('\n'), /not of x86/);
    });
  });
});
