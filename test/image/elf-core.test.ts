import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isGuestMemoryError } from 'guestmem';
import { bytesSource, isImageError, type MemoryImage, openImage, whyUnreadable } from 'guestmem/image';
import { type ElfCoreInit, elfCore, pattern, qemuNote } from '../support/elf-core.ts';

const open = (init: ElfCoreInit): MemoryImage => openImage(bytesSource(elfCore(init), 'test.elf'));
const low = pattern(0x300, 1);
const high = pattern(0x200, 2);
const segments = [
  { paddr: 0n, data: low },
  { paddr: 0x1_0000_0000n, data: high },
];

describe('ELF core', () => {
  for (const bits of [64, 32] as const) {
    it(`I2: reads a ${bits}-bit core as QEMU writes it: e_ehsize 8, unaligned offsets, p_align 0`, () => {
      const image = open({
        bits,
        machine: bits === 64 ? 62 : 3,
        segments: [segments[0] ?? { paddr: 0n }, { paddr: 0x8000_0000n, data: high }],
      });
      assert.deepEqual(image.memory.readBytes(0, 0x300), low);
      assert.deepEqual(image.memory.readBytes(0x8000_0010, 0x1f0), high.subarray(0x10));
      assert.equal(image.machine, bits === 64 ? 'x86_64' : 'i386');
      assert.deepEqual(
        image.ranges.map(({ start, end, kind }) => [start, end, kind]),
        [
          [0, 0x300, 'ram'],
          [0x8000_0000, 0x8000_0200, 'ram'],
        ],
      );
    });
  }

  it('I1: says why it is an ELF core', () => {
    assert.equal(
      open({ segments }).reason,
      'ELF core because it begins with 7f 45 4c 46 and e_type is 4 (ET_CORE)',
    );
  });

  it('I2: takes the number of program headers from section 0 where e_phnum is 0xffff', () => {
    const image = open({ segments, extendedCount: true });
    assert.deepEqual(image.memory.readBytes(0x1_0000_0000, 0x200), high);
  });

  it('I1: not-RAM is unmapped, and explained as not-ram', () => {
    const image = open({ segments });
    assert.throws(() => image.memory.readU8(0x300), { code: 'unmapped' });
    assert.equal(whyUnreadable(image, 0x300)?.code, 'not-ram');
    assert.equal(whyUnreadable(image, 0x2ff), undefined);
  });

  it('I1: what the file was cut off before is a fault caused by truncated, never zeros', () => {
    const whole = elfCore({ segments });
    const image = openImage(bytesSource(whole.subarray(0, whole.length - 0x100), 'cut.elf'));
    assert.deepEqual(image.memory.readBytes(0x1_0000_0000, 0x100), high.subarray(0, 0x100));
    assert.throws(
      () => image.memory.readBytes(0x1_0000_0000, 0x101),
      (error) =>
        isGuestMemoryError(error) &&
        error.code === 'fault' &&
        error.failedAt === 0x1_0000_0100 &&
        error.done === 0 &&
        isImageError(error.cause) &&
        error.cause.code === 'truncated',
    );
    assert.equal(image.memory.read(0x1_0000_0000, new Uint8Array(0x200)), 0x100);
    assert.equal(image.ranges.at(-1)?.kind, 'truncated');
    assert.equal(whyUnreadable(image, 0x1_0000_0100)?.code, 'truncated');
    assert.match(image.warnings.join('\n'), /cut off: 256 bytes/);
  });

  it('I2: p_memsz above p_filesz reads as zero where the file is whole', () => {
    const image = open({ segments: [{ paddr: 0x1000n, data: low, memsz: 0x1000n }] });
    assert.deepEqual(image.memory.readBytes(0x1000, 0x300), low);
    assert.deepEqual(image.memory.readBytes(0x1300, 0xd00), new Uint8Array(0xd00));
    assert.deepEqual(image.ranges[1], { start: 0x1300, end: 0x2000, kind: 'zero' });
    assert.match(image.warnings.join('\n'), /3328 bytes are not stored/);
  });

  it('I1: the zeros after a segment that was cut off are not believed', () => {
    const whole = elfCore({ segments: [{ paddr: 0x1000n, data: low, memsz: 0x1000n }] });
    const image = openImage(bytesSource(whole.subarray(0, whole.length - 1)));
    assert.throws(() => image.memory.readU8(0x1400), { code: 'fault' });
    assert.equal(image.ranges.at(-1)?.end, 0x2000);
  });

  it('I2: of overlapping segments the first has the address, and a warning says so', () => {
    const image = open({
      segments: [
        { paddr: 0x1100n, data: pattern(0x100, 3), vaddr: 0xffff_8000_0000_0000n },
        { paddr: 0x1000n, data: low, vaddr: 0x40_0000n },
        { paddr: 0x1280n, data: pattern(0x200, 4), vaddr: 0x50_0000n },
      ],
      notes: [qemuNote({})],
    });
    assert.deepEqual(image.memory.readBytes(0x1000, 0x100), low.subarray(0, 0x100));
    assert.deepEqual(image.memory.readBytes(0x1100, 0x100), pattern(0x100, 3));
    assert.deepEqual(image.memory.readBytes(0x1200, 0x100), low.subarray(0x200));
    assert.deepEqual(image.memory.readBytes(0x1300, 0x180), pattern(0x200, 4).subarray(0x80));
    const warnings = image.warnings.join('\n');
    assert.match(warnings, /2 of 3 segments overlap/);
    assert.match(warnings, /paging on/);
  });

  it('I2: adjoining segments whose bytes adjoin in the file are one range', () => {
    const image = open({
      segments: [
        { paddr: 0x1000n, data: low },
        { paddr: 0x1300n, data: high },
      ],
    });
    assert.equal(image.ranges.length, 1);
    assert.deepEqual(
      image.memory.readBytes(0x12f8, 16),
      Uint8Array.of(...low.subarray(-8), ...high.subarray(0, 8)),
    );
  });

  it('E: after close() reading is closed', () => {
    const image = open({ segments });
    image.close();
    image.close();
    assert.throws(() => image.memory.readU8(0), { code: 'closed' });
  });

  it('E: writing is denied', () => {
    assert.throws(() => open({ segments }).memory.writeU8(0, 1), { code: 'denied' });
  });
});

describe('ELF core that lies', () => {
  const refused = (init: ElfCoreInit, code: string, message: RegExp): void => {
    assert.throws(
      () => open(init),
      (error) =>
        isImageError(error) &&
        error.code === code &&
        message.test(error.message) &&
        error.source === 'test.elf',
    );
  };

  it('I2: refuses more program headers than the file has room for, without allocating them', () => {
    refused({ segments, extendedCount: true, claimedCount: 0xf_ffff }, 'truncated', /program headers/);
  });

  it('I2: refuses more program headers than anybody needs', () => {
    refused(
      { segments, extendedCount: true, claimedCount: 0xffff_ffff },
      'malformed',
      /4294967295 program headers/,
    );
  });

  it('I2: refuses program headers of another size', () => {
    refused({ segments, phentsize: 57 }, 'malformed', /57 bytes, wanted 56/);
  });

  it('I2: refuses a p_filesz above p_memsz', () => {
    refused({ segments: [{ paddr: 0n, data: low, memsz: 0x2ffn }] }, 'malformed', /p_filesz/);
  });

  it('I2: refuses a segment beyond 2^53', () => {
    refused({ segments: [{ paddr: 0x1f_ffff_ffff_ff00n, data: low }] }, 'malformed', /within 2\^53/);
    refused({ segments: [{ paddr: 0xffff_ffff_ffff_fff0n, data: low }] }, 'malformed', /within 2\^53/);
  });

  it('I2: a segment that claims 2^52 bytes costs nothing, and what the file has of it is read', () => {
    const image = open({ segments: [{ paddr: 0n, data: low, filesz: 1n << 52n, memsz: 1n << 52n }] });
    assert.deepEqual(image.memory.readBytes(0, 0x300), low);
    assert.equal(whyUnreadable(image, 0x300)?.code, 'truncated');
    assert.equal(image.ranges.at(-1)?.end, 2 ** 52);
  });

  it('I2: an offset beyond the file, or beyond any file, is truncation', () => {
    for (const offset of [1n << 40n, 0xffff_ffff_ffff_ffffn]) {
      const image = open({ segments: [{ paddr: 0n, data: low, offset }] });
      assert.deepEqual(image.ranges, [{ start: 0, end: 0x300, kind: 'truncated' }]);
    }
  });

  it('I1: refuses big-endian cores, other ELF files, and cores of processes, by name', () => {
    refused({ segments, data: 2, type: 0x0400 }, 'unsupported', /big-endian/);
    refused({ segments, type: 2 }, 'unsupported', /e_type is 0x2/);
    const process = [
      { paddr: 0n, vaddr: 0x40_0000n, data: low },
      { paddr: 0n, vaddr: 0x7fff_0000n, data: high },
    ];
    refused({ segments: process }, 'unsupported', /core of a process/);
  });

  it('I2: leaves out segments that have no physical address', () => {
    const image = open({
      segments: [...segments, { paddr: 0xffff_ffff_ffff_ffffn, vaddr: 0xffff_c900_0000_0000n, data: low }],
    });
    assert.equal(image.ranges.length, 2);
    assert.match(image.warnings.join('\n'), /1 segments without a physical address/);
  });

  it('I2: a core without memory opens as one without ranges', () => {
    assert.deepEqual(open({ segments: [] }).ranges, []);
  });
});
