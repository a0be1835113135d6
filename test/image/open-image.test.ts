import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  bytesSource,
  detectFormat,
  isImageError,
  memoryOfRanges,
  openImage,
  whyUnreadable,
} from 'guestmem/image';
import { elfCore, pattern } from '../support/elf-core.ts';

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text.padEnd(64, '.'));

describe('openImage', () => {
  const recognised: [string, Uint8Array][] = [
    ['kdump', ascii('KDUMP   ')],
    ['kdump', ascii('DISKDUMP')],
    ['kdump-flattened', ascii('makedumpfile')],
    ['lime', ascii('EMiL')],
    ['avml', ascii('AVML')],
    ['windows-dump', ascii('PAGEDU64')],
    ['windows-dump', ascii('PAGEDUMP')],
    ['windows-hibernation', ascii('HIBR')],
    ['vmware-state', Uint8Array.of(0xd2, 0xbe, 0xd2, 0xbe, 0, 0, 0, 0)],
    ['qemu-migration', ascii('QEVM')],
    ['libvirt-save', ascii('LibvirtQemudSave')],
    ['qcow2', Uint8Array.of(0x51, 0x46, 0x49, 0xfb)],
    ['v86-state', Uint8Array.of(0x76, 0x86, 0x76, 0x86)],
    ['gzip', Uint8Array.of(0x1f, 0x8b, 8)],
    ['zstd', Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd)],
    ['xz', Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)],
  ];
  for (const [format, file] of recognised) {
    it(`I1: recognises ${format}, says why, and says that it is not read yet`, () => {
      const source = bytesSource(file, 'x.bin');
      const guess = detectFormat(source);
      assert.equal(guess.format, format);
      assert.equal(guess.readable, false);
      assert.match(guess.reason, /because it begins with [0-9a-f ]+$/);
      assert.throws(
        () => openImage(source),
        (error) =>
          isImageError(error) &&
          error.code === 'unsupported' &&
          error.format === format &&
          /not read yet$/.test(error.message),
      );
    });
  }

  it('I1: what is not recognised is unknown-format, empty or not, and says how to name raw memory', () => {
    for (const file of [new Uint8Array(0), ascii('hello'), Uint8Array.of(0x7f, 0x45, 0x4c)]) {
      assert.equal(detectFormat(bytesSource(file)).format, 'unknown');
      assert.throws(() => openImage(bytesSource(file)), {
        code: 'unknown-format',
        message: /if it is raw memory, say so$/,
      });
    }
  });

  it('I1: an ELF file that is no core is told from one that is', () => {
    const program = bytesSource(elfCore({ segments: [], type: 2 }));
    assert.deepEqual(detectFormat(program), {
      format: 'elf',
      reason: 'ELF, but no core, because it begins with 7f 45 4c 46 and e_type is 0x2',
      readable: false,
    });
    assert.throws(() => openImage(program), { code: 'unsupported' });
  });

  it('I1: raw is taken only when named, and says so', () => {
    const image = openImage(bytesSource(ascii('hello')), { format: 'raw' });
    assert.equal(image.reason, 'Raw because that is what was asked for');
    assert.deepEqual(image.ranges, [{ start: 0, end: 64, kind: 'ram', offset: 0 }]);
    assert.deepEqual(image.memory.readBytes(0, 64), ascii('hello'));
    assert.throws(() => openImage(bytesSource(new Uint8Array(0)), { format: 'raw' }), { code: 'invalid' });
  });

  it('I1: a format that is named is not looked for', () => {
    assert.throws(() => openImage(bytesSource(ascii('KDUMP   ')), { format: 'elf-core' }), {
      code: 'malformed',
    });
    assert.equal(openImage(bytesSource(elfCore({ segments: [] })), { format: 'raw' }).format, 'raw');
  });
});

describe('whyUnreadable', () => {
  it('I1: keeps truncated, filtered, unreachable and not-RAM apart', () => {
    const ranges = [
      { start: 0x1000, end: 0x2000, kind: 'ram', offset: 0 },
      { start: 0x2000, end: 0x3000, kind: 'truncated' },
      { start: 0x3000, end: 0x4000, kind: 'filtered' },
      { start: 0x4000, end: 0x5000, kind: 'unreachable', note: 'it is private' },
      { start: 0x5000, end: 0x6000, kind: 'device', block: 'hpet' },
      { start: 0x7000, end: 0x8000, kind: 'zero' },
    ] as const;
    const memory = memoryOfRanges('m', ranges, () => bytesSource(pattern(0x1000)));
    const image = { ...openImage(bytesSource(pattern(1)), { format: 'raw' }), ranges, memory };
    const answers = [0xfff, 0x1000, 0x1fff, 0x2000, 0x3000, 0x4fff, 0x5000, 0x6000, 0x7fff, 0x8000].map(
      (gpa) =>
        whyUnreadable({ ...image, close: () => undefined, [Symbol.dispose]: () => undefined }, gpa)?.code ??
        'readable',
    );
    assert.deepEqual(answers, [
      'not-ram',
      'readable',
      'readable',
      'truncated',
      'filtered',
      'unreachable',
      'not-ram',
      'not-ram',
      'readable',
      'not-ram',
    ]);
    assert.throws(
      () => memory.readU8(0x4000),
      (error) =>
        error instanceof Error && isImageError(error.cause) && /it is private$/.test(error.cause.message),
    );
    assert.throws(() => memory.readU8(0x5000), { code: 'unmapped' });
    assert.equal(memory.readU8(0x7000), 0);
    assert.equal(memory.checkRange(0x1000, 0x1000), true);
    assert.equal(memory.checkRange(0x1000, 0x1001), false);
  });
});
