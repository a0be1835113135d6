import assert from 'node:assert/strict';
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import { EventFd, Memfd, mapFile } from '../../src/host/index.ts';
import { mappingsOf } from './host.ts';

const GIB = 2 ** 30;

describe('mapFile', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'guestmem-map-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const quiet = { warn: () => undefined };

  it('H1: is guest memory that another mapping of the file sees', () => {
    const memfd = Memfd.create(0x3000);
    const ram = GuestMemory.fromRegions([{ start: 0x1000, backing: mapFile(memfd.fd) }]);
    const twin = GuestMemory.fromRegions([{ start: 0, backing: mapFile(memfd.fd) }]);
    ram.writeU32(0x1ffc, 0xdeadbeef);
    assert.equal(twin.readU32(0xffc), 0xdeadbeef);
    twin.fillAt(0x2000, 0xaa, 0x1000);
    assert.equal(ram.readU64(0x3ff8), 0xaaaa_aaaa_aaaa_aaaan);
    assert.equal(ram.regions[0]?.kind, 'memfd');
    for (const memory of [ram, twin]) for (const { backing } of memory.regions) closeBacking(backing);
    memfd.close();
  });

  it('H1: a part that begins inside a page', () => {
    const path = join(folder, 'part');
    const content = Uint8Array.from({ length: 0x3000 }, (_, i) => (i * 7) & 0xff);
    writeFileSync(path, content);
    const fd = openSync(path, 'r+');
    const backing = mapFile(fd, { offset: 0x1238, length: 0x1001, ...quiet });
    closeSync(fd);
    assert.equal(backing.kind, 'file');
    const memory = GuestMemory.fromRegions([{ start: 0x8000, backing }]);
    assert.deepEqual(memory.readBytes(0x8000, 0x1001), content.slice(0x1238, 0x1238 + 0x1001));
    memory.writeU64(0x8008, 0x1122_3344_5566_7788n);
    memory.fillAt(0x9000, 0xee, 1);
    assert.deepEqual(
      [...readFileSync(path).subarray(0x1240, 0x1248)],
      [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11],
    );
    assert.equal(readFileSync(path)[0x2238], 0xee);
    backing.close();
  });

  it('H2: a file opened for reading is mapped privately, and core refuses writes', () => {
    const path = join(folder, 'read-only');
    writeFileSync(path, 'abcd'.repeat(2048));
    const fd = openSync(path, 'r');
    assert.throws(() => mapFile(fd, quiet), { code: 'system', errno: 'EACCES' });
    const backing = mapFile(fd, { access: 'r', ...quiet });
    const memory = GuestMemory.from(backing);
    assert.equal(new TextDecoder().decode(memory.readBytes(8188, 4)), 'abcd');
    assert.throws(() => memory.writeU8(0, 1), { code: 'denied' });
    const raw = backing.mapped[0];
    assert(raw !== undefined);
    raw[0] = 1; // a stray store does not kill the process, and does not reach the file
    assert.equal(readFileSync(path, 'utf8').slice(0, 4), 'abcd');
    backing.close();
    closeSync(fd);
  });

  it('M2, H2: more than 4 GiB is mapped in pieces, with memory only where touched', () => {
    const memfd = Memfd.create(9 * GIB, { name: 'big' });
    const backing = mapFile(memfd.fd, { offset: 0x1000 });
    assert.deepEqual(
      backing.mapped.map((piece) => piece.byteLength),
      [4 * GIB, 4 * GIB, GIB - 0x1000],
    );
    const memory = GuestMemory.fromRegions([{ start: 0, backing }]);
    const bytes = Uint8Array.from({ length: 64 }, (_, i) => i);
    for (const seam of [4 * GIB, 8 * GIB]) {
      memory.writeAt(seam - 32, bytes);
      assert.deepEqual(memory.readBytes(seam - 32, 64), bytes);
    }
    const direct = mapFile(memfd.fd, { offset: 8 * GIB + 0x1000 - 32, length: 64 });
    assert.deepEqual(GuestMemory.from(direct).readBytes(0, 64), bytes);
    direct.close();
    backing.close();
    assert.equal(mappingsOf('memfd:big').length, 0);
    memfd.close();
  });

  it('M15: after close() core answers closed, and listeners are called once', () => {
    const memfd = Memfd.create(0x2000);
    const backing = mapFile(memfd.fd);
    const memory = GuestMemory.from(backing);
    memory.writeU32(0, 1);
    let calls = 0;
    backing.onClose(() => calls++);
    backing.close();
    backing.close();
    assert.equal(calls, 1);
    backing.onClose(() => calls++);
    assert.equal(calls, 2, 'who comes late is told at once');
    for (const access of [
      () => memory.readU32(0),
      () => memory.writeU32(0, 2),
      () => memory.readBytes(0, 8192),
    ]) {
      assert.throws(access, { name: 'GuestMemoryError', code: 'closed' });
    }
    memfd.close();
  });

  it('H2: a file that ends too early is refused, and lengths and offsets are checked', () => {
    const memfd = Memfd.create(0x2000);
    const bad = (options: { offset?: number; length?: number }, code: string): void => {
      assert.throws(() => mapFile(memfd.fd, options), { name: 'HostError', code });
    };
    bad({ length: 0x2001 }, 'too-short');
    bad({ offset: 0x1000, length: 0x1008 }, 'too-short');
    bad({ offset: 0x4000, length: 1 }, 'too-short');
    bad({ offset: 2 ** 53 - 8, length: 2 ** 53 - 1 }, 'too-short');
    bad({ offset: 0x2000 }, 'invalid');
    bad({ length: 0 }, 'invalid');
    bad({ length: -1 }, 'invalid');
    bad({ offset: 0.5 }, 'invalid');
    bad({ offset: 4, length: 8 }, 'misaligned');
    memfd.close();
  });

  it('H2: only files are mapped, whatever the descriptor says it is', () => {
    const event = EventFd.create();
    const directory = openSync(folder, 'r');
    const zero = openSync('/dev/zero', 'r+');
    for (const fd of [event.fd, directory, zero]) {
      assert.throws(() => mapFile(fd, { length: 4096 }), { name: 'HostError', code: 'wrong-kind' });
    }
    assert.throws(() => mapFile(9999), { code: 'system', errno: 'EBADF' });
    event.close();
    closeSync(directory);
    closeSync(zero);
  });

  it('H2: a file that can shrink is named in one warning, or refused', () => {
    const path = join(folder, 'shrinks');
    writeFileSync(path, '');
    const fd = openSync(path, 'r+');
    ftruncateSync(fd, 9 * GIB);
    const warnings: string[] = [];
    mapFile(fd, { warn: (message) => warnings.push(message) }).close();
    assert.equal(warnings.length, 1);
    assert(warnings[0]?.includes(path), warnings[0]);
    assert.throws(() => mapFile(fd, { requireSealed: true }), { name: 'HostError', code: 'unsealed' });
    closeSync(fd);

    const open = Memfd.create(4096, { name: 'open', seals: ['grow'] });
    assert.throws(() => mapFile(open.fd, { requireSealed: true }), { code: 'unsealed' });
    open.addSeals(['shrink']);
    mapFile(open.fd, { requireSealed: true, warn: () => assert.fail('sealed') }).close();
    open.close();
  });
});

function closeBacking(backing: object): void {
  assert('close' in backing && typeof backing.close === 'function');
  backing.close();
}
