import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytesSource, type MemoryImage, openImage } from 'guestmem/image';
import { type ElfNoteInit, elfCore, pattern, qemuNote } from '../support/elf-core.ts';

const PG = 0x8000_0001n;
const PAE = 0x20n;
const CS_LONG = 1 << 21;

function open(notes: readonly ElfNoteInit[], machine = 62): MemoryImage {
  return openImage(bytesSource(elfCore({ segments: [{ paddr: 0n, data: pattern(64) }], notes, machine })));
}

function prstatus(length: number, fill: (view: DataView) => void): ElfNoteInit {
  const description = new Uint8Array(length);
  fill(new DataView(description.buffer));
  return { name: 'CORE', type: 1, description };
}

describe('CPU notes', () => {
  it('I2: takes the registers of each processor from the QEMU notes', () => {
    const registers = {
      cr0: PG,
      cr2: 0xffff_8000_0000_1234n,
      cr3: 0x10_4000n,
      cr4: PAE,
      rip: 0xffff_ffff_8100_0000n,
      rsp: 0x7ff0n,
      rflags: 2n,
    };
    const { cpus } = open([
      prstatus(336, () => undefined),
      qemuNote({ ...registers, csFlags: CS_LONG }),
      qemuNote({ cr0: 0x10n }),
    ]);
    assert.deepEqual(cpus, [
      { index: 0, source: 'QEMU note v1, long mode deduced from CS.L', ...registers, longMode: true },
      {
        index: 1,
        source: 'QEMU note v1, long mode deduced from CR0.PG',
        cr0: 0x10n,
        cr2: 0n,
        cr3: 0n,
        cr4: 0n,
        rip: 0n,
        rsp: 0n,
        rflags: 0n,
        longMode: false,
      },
    ]);
  });

  it('I2: deduces long mode from e_machine where the code segment is not a 64-bit one', () => {
    const note = qemuNote({ cr0: PG, cr4: PAE });
    assert.equal(open([note], 62).cpus[0]?.longMode, true);
    assert.equal(open([note], 3).cpus[0]?.longMode, false);
    assert.equal(open([qemuNote({ cr0: PG })], 62).cpus[0]?.longMode, false);
  });

  it('I2: takes what PRSTATUS has where there is no QEMU note, and says what is missing', () => {
    const wide = prstatus(336, (view) => {
      view.setBigUint64(112 + 16 * 8, 0xffff_ffff_8100_0000n, true);
      view.setBigUint64(112 + 18 * 8, 0x246n, true);
      view.setBigUint64(112 + 19 * 8, 0xffff_c900_0000_0000n, true);
    });
    const narrow = prstatus(144, (view) => {
      view.setUint32(72 + 12 * 4, 0xc010_0000, true);
      view.setUint32(72 + 14 * 4, 0x202, true);
      view.setUint32(72 + 15 * 4, 0xc100_0000, true);
    });
    const { cpus, warnings } = open([wide, narrow, prstatus(392, () => undefined)]);
    const source = 'PRSTATUS note';
    assert.deepEqual(cpus, [
      { index: 0, source, rip: 0xffff_ffff_8100_0000n, rsp: 0xffff_c900_0000_0000n, rflags: 0x246n },
      { index: 1, source, rip: 0xc010_0000n, rsp: 0xc100_0000n, rflags: 0x202n },
      { index: 2, source },
    ]);
    assert.match(warnings.join('\n'), /no control registers/);
  });

  it('I2: a QEMU note of another version is not guessed at', () => {
    const { cpus, warnings } = open([qemuNote({ version: 2, cr3: 0x1000n })]);
    assert.deepEqual(cpus, []);
    assert.match(warnings.join('\n'), /QEMU note of version 2/);
  });

  it('I2: a note that claims more than its segment ends the notes, not the image', () => {
    const file = elfCore({
      segments: [{ paddr: 0n, data: pattern(64) }],
      notes: [qemuNote({ cr3: 0x1000n }), qemuNote({ cr3: 0x2000n })],
    });
    const secondDescriptionSize = 64 + 2 * 64 + 2 * 56 + (12 + 8 + 440) + 4;
    new DataView(file.buffer).setUint32(secondDescriptionSize, 0xffff_ffff, true);
    const image = openImage(bytesSource(file));
    assert.deepEqual(
      image.cpus.map(({ cr3 }) => cr3),
      [0x1000n],
    );
    assert.match(image.warnings.join('\n'), /one claims to be longer/);
    assert.deepEqual(image.memory.readBytes(0, 64), pattern(64));
  });
});
