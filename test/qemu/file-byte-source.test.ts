import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isImageError } from 'guestmem/image';
import { FileByteSource, openImageFile } from 'guestmem/qemu';
import { elfCore, pattern } from '../support/elf-core.ts';

describe('FileByteSource', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'file-source-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('I2: reads where it is told, and up to the end', () => {
    const path = join(folder, 'a');
    writeFileSync(path, pattern(1000));
    const source = FileByteSource.open(path);
    assert.equal(source.size, 1000);
    const dest = new Uint8Array(100);
    assert.equal(source.read(950, dest), 50);
    assert.deepEqual(dest.subarray(0, 50), pattern(1000).subarray(950));
    assert.equal(source.read(2000, dest), 0);
    source.close();
    source.close();
    assert.throws(() => source.read(0, dest), { code: 'closed' });
  });

  it('E: what is missing, is a folder, or would block is io, in one line', () => {
    const fifo = join(folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const refused = (path: string, why: RegExp): void => {
      assert.throws(
        () => FileByteSource.open(path),
        (error) => isImageError(error) && error.code === 'io' && why.test(error.message),
      );
    };
    refused(join(folder, 'none'), /there is no such file$/);
    refused(folder, /not a regular file$/);
    refused(fifo, /not a regular file$/);
  });

  it('I2: openImageFile reads a dump, and one that shrinks under it is truncated', () => {
    const path = join(folder, 'dump');
    const data = pattern(200_000);
    const file = elfCore({ segments: [{ paddr: 0n, data }] });
    writeFileSync(path, file);
    const image = openImageFile(path);
    assert.deepEqual(image.memory.readBytes(0, 200_000), data);
    truncateSync(path, 100_000);
    assert.throws(
      () => image.memory.readBytes(0, 200_000),
      (error) => error instanceof Error && isImageError(error.cause) && error.cause.code === 'truncated',
    );
    image.close();
    assert.throws(() => image.memory.readU8(0), { code: 'closed' });
    writeFileSync(path, 'no dump');
    assert.throws(() => openImageFile(path), { code: 'unknown-format' });
  });
});
