import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { settle } from 'guestmem';
import {
  BlobByteSource,
  type BlobLike,
  type ByteSource,
  bytesSource,
  CachedByteSource,
  isImageError,
  openImage,
} from 'guestmem/image';
import { readUpTo } from '../../src/image/byte-source.ts';
import { elfCore, pattern, qemuNote } from '../support/elf-core.ts';

const content = pattern(10_000);

/** A source that answers with at most `most` bytes at a time. */
function stingy(most: number): ByteSource & { reads: number } {
  const whole = bytesSource(content);
  return {
    name: 'stingy',
    size: content.length,
    reads: 0,
    read(position, dest) {
      this.reads++;
      return whole.read(position, dest.subarray(0, most));
    },
  };
}

describe('ByteSource', () => {
  it('I2: short reads are completed, by raw images as well as by the cache', () => {
    for (const source of [stingy(7), new CachedByteSource(stingy(7), { pageSize: 256, cachedPages: 4 })]) {
      const image = openImage(source, { format: 'raw' });
      assert.deepEqual(image.memory.readBytes(0, content.length), content);
      assert.deepEqual(image.memory.readBytes(123, 3000), content.subarray(123, 3123));
    }
  });

  it('I1: a source that has become shorter is truncated, never zeros', () => {
    let size = content.length;
    const image = openImage(
      { name: 'shrinking', size, read: (at, dest) => bytesSource(content.subarray(0, size)).read(at, dest) },
      { format: 'raw' },
    );
    assert.equal(image.memory.readU8(9999), content[9999]);
    size = 5000;
    assert.throws(
      () => image.memory.readBytes(4990, 20),
      (error) =>
        error instanceof Error &&
        isImageError(error.cause) &&
        error.cause.code === 'truncated' &&
        error.cause.gpa === 5000,
    );
  });

  it('I2: counts that lie and errors of the source are io, with the cause', () => {
    for (const count of [-1, 9, 1.5, Number.NaN]) {
      const lying = { name: 'lying', size: 8, read: () => count };
      assert.throws(() => readUpTo(lying, 0, new Uint8Array(8)), { code: 'io' });
    }
    const cause = new Error('EIO');
    const failing = {
      name: 'failing',
      size: 8,
      read: () => {
        throw cause;
      },
    };
    assert.throws(() => openImage(failing), { code: 'io', cause });
  });

  it('I2: a cached source answers as the source does, wherever it is read', () => {
    const cached = new CachedByteSource(bytesSource(content), { pageSize: 64, cachedPages: 3 });
    fc.assert(
      fc.property(fc.nat(11_000), fc.nat(200), (position, length) => {
        const dest = new Uint8Array(length);
        const count = readUpTo(cached, position, dest);
        assert.deepEqual(dest.subarray(0, count), content.slice(position, position + length));
      }),
      { numRuns: 500 },
    );
  });

  it('I2: a cache reads a page once while it keeps it, and drops the one used longest ago', () => {
    const source = stingy(1 << 20);
    const cached = new CachedByteSource(source, { pageSize: 1024, cachedPages: 2 });
    const touch = (page: number): void => void cached.read(page * 1024, new Uint8Array(8));
    const readsFor = (page: number): number => {
      const before = source.reads;
      touch(page);
      return source.reads - before;
    };
    touch(0);
    touch(1);
    assert.equal(readsFor(0), 0);
    touch(2);
    assert.equal(readsFor(0), 0);
    assert.equal(readsFor(1), 1);
  });

  it('E: a cache of impossible size is invalid', () => {
    assert.throws(() => new CachedByteSource(bytesSource(content), { pageSize: 1000 }), { code: 'invalid' });
    assert.throws(() => new CachedByteSource(bytesSource(content), { cachedPages: 0 }), { code: 'invalid' });
  });
});

describe('BlobByteSource', () => {
  const dump = elfCore({
    segments: [{ paddr: 0x1000n, data: content }],
    notes: [qemuNote({ cr3: 0x7000n })],
  });

  it('M16: a browser file opens and reads within settle', async () => {
    const source = new BlobByteSource(new Blob([dump]), { pageSize: 256, cachedPages: 64 });
    assert.throws(() => openImage(source), { code: 'pending' });
    const image = await settle(() => openImage(source));
    assert.equal(image.cpus[0]?.cr3, 0x7000n);
    assert.deepEqual(await settle(() => image.memory.readBytes(0x1000, 10_000)), content);
  });

  it('M16: one fetch brings all of a read, and what is kept is not fetched again', async () => {
    const blob = new Blob([content]);
    let slices = 0;
    const counting: BlobLike = {
      size: blob.size,
      slice(start, end) {
        slices++;
        return blob.slice(start, end);
      },
    };
    const source = new BlobByteSource(counting, { pageSize: 512, cachedPages: 32 });
    const dest = new Uint8Array(content.length);
    assert.equal(await settle(() => source.read(0, dest)), content.length);
    assert.deepEqual(dest, content);
    assert.equal(slices, 1);
    source.read(700, new Uint8Array(2000));
    assert.equal(slices, 1);
  });

  it('M16: a run that needs as much as the cache holds comes to its end, whatever else was kept before', async () => {
    const source = new BlobByteSource(new Blob([content]), { pageSize: 512, cachedPages: 4 });
    const read = (position: number, length: number): Promise<number> =>
      settle(() => source.read(position, new Uint8Array(length)), { attempts: 10 });
    await read(0, 1024);
    await read(8192, 1024);
    assert.equal(await read(0, 2048), 2048);
  });

  it('E: more at once than the cache holds is invalid, not a wait for ever', () => {
    const source = new BlobByteSource(new Blob([content]), { pageSize: 512, cachedPages: 4 });
    assert.throws(() => source.read(0, new Uint8Array(4096)), { code: 'invalid' });
  });

  it('E: a blob that cannot be read, or brings too few bytes, is io once and may be tried again', async () => {
    let failures = 2;
    const blob = new Blob([content]);
    const flaky: BlobLike = {
      size: blob.size,
      slice(start, end) {
        if (failures-- === 2) return { arrayBuffer: () => Promise.reject(new Error('gone')) };
        return failures === 0 ? blob.slice(start, end - 1) : blob.slice(start, end);
      },
    };
    const source = new BlobByteSource(flaky, { name: 'flaky' });
    const read = (): Promise<number> => settle(() => source.read(0, new Uint8Array(16)));
    await assert.rejects(read, { code: 'io', message: 'Cannot read flaky: gone' });
    await assert.rejects(read, { code: 'io' });
    assert.equal(await read(), 16);
  });
});
