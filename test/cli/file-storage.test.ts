import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { isCliError } from '../../src/cli/cli-error.ts';
import { FileStorage } from '../../src/cli/file-storage.ts';
import { transferAll } from '../../src/cli/transfer-all.ts';

const input = (message: RegExp) => (error: unknown) =>
  isCliError(error) && error.code === 'input' && message.test(error.message);

describe('FileStorage', () => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'guestmem-storage-'));
  });
  after(() => {
    rmSync(dir, { recursive: true });
  });

  function makeFile(name: string, size: number): string {
    const path = join(dir, name);
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i++) bytes[i] = (i * 7 + (i >> 8)) & 0xff;
    writeFileSync(path, bytes);
    return path;
  }

  it('V3: scatters and gathers, shared memory and more iovecs than one call takes included', () => {
    const path = makeFile('many.img', 16384);
    const storage = FileStorage.open(path);
    const memory = new Uint8Array(new SharedArrayBuffer(12000));
    const iovecs: Uint8Array[] = [];
    for (let i = 0; i < 3000; i++) iovecs.push(memory.subarray(i * 4, i * 4 + 4));
    assert.equal(storage.size, 16384);
    storage.readv(100, iovecs);
    assert.deepEqual(Buffer.from(memory), readFileSync(path).subarray(100, 12100));
    memory.fill(0x5a);
    storage.writev(50, iovecs);
    storage.flush();
    storage.close();
    storage.close();
    const written = readFileSync(path);
    assert.equal(written.length, 16384);
    assert.ok(written.subarray(50, 12050).every((byte) => byte === 0x5a));
    assert.notEqual(written[12050], 0x5a);
  });

  it('V3: a file that ends early, one opened for reading, and one closed are refused with a reason', () => {
    const path = makeFile('short.img', 4096);
    const storage = FileStorage.open(path, { readOnly: true });
    assert.throws(() => storage.writev(0, [new Uint8Array(1)]), input(/opened for reading only/));
    truncateSync(path, 1000);
    assert.throws(() => storage.readv(512, [new Uint8Array(512)]), input(/the file ends there/));
    storage.close();
    assert.throws(() => storage.readv(0, [new Uint8Array(1)]), input(/was closed/));
    assert.throws(() => storage.flush(), input(/was closed/));
  });

  it('C: what is no disk is refused in one line', () => {
    mkdirSync(join(dir, 'folder'));
    assert.throws(() => FileStorage.open(join(dir, 'missing.img')), input(/missing.img: no such file/));
    assert.throws(() => FileStorage.open(join(dir, 'folder')), input(/folder: it is a directory/));
    assert.throws(() => FileStorage.open(join(dir, 'folder'), { readOnly: true }), input(/no regular file/));
    assert.throws(() => FileStorage.open('/dev/null'), input(/no regular file/));
  });
});

describe('transferAll', () => {
  it('V3: however short each transfer is, every byte moves once and in order', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 30 });
    const steps = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(sizes, steps, (lengths, shorts) => {
        const total = lengths.reduce((sum, length) => sum + length, 0);
        const target = new Uint8Array(total);
        const iovecs: Uint8Array[] = [];
        let offset = 0;
        for (const length of lengths) {
          iovecs.push(target.subarray(offset, offset + length));
          offset += length;
        }
        let calls = 0;
        transferAll(1000, iovecs, (batch, position) => {
          const wanted = shorts[calls++ % shorts.length] ?? 1;
          let moved = 0;
          for (const piece of batch) {
            for (let i = 0; i < piece.length && moved < wanted; i++) {
              piece[i] = (piece[i] ?? 0) + 1 + ((position - 1000 + moved) & 0x7f);
              moved += 1;
            }
          }
          return moved;
        });
        for (let i = 0; i < total; i++) assert.equal(target[i], 1 + (i & 0x7f), `byte ${i}`);
      }),
      { numRuns: 300 },
    );
  });
});
