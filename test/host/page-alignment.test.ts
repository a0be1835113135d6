import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory, lazy } from '../../src/core/index.ts';
import { Memfd, mapFile } from '../../src/host/index.ts';
import { libc } from '../../src/host/libc.ts';

/** Where a memory's first byte lies on the host, modulo the page. */
function inPage(memory: GuestMemory): bigint {
  return libc().addressOf(memory.view(0, 1, 'read').bytes) % 4096n;
}

describe('where memory lies on the host', () => {
  it('A2 allocate: page-aligned where it is shared, from 1 MiB on and in whole 64 KiB', () => {
    for (const size of [0x10_0000, 0x11_0000, 0x100_0000]) {
      assert.equal(inPage(GuestMemory.allocate(size, { shared: true })), 0n);
      assert.equal(inPage(GuestMemory.from(lazy(size, undefined, { shared: true }))), 0n);
    }
  });

  it('A2 allocate: aligned for every scalar where it is not page-aligned', () => {
    for (const size of [1, 0x1000, 0xf_f000, 0x10_1000]) {
      for (const shared of [false, true])
        assert.equal(inPage(GuestMemory.allocate(size, { shared })) % 8n, 0n);
    }
  });

  it('A2 H1: a mapped file is page-aligned', () => {
    const memfd = Memfd.create(0x3000);
    const mapping = mapFile(memfd.fd, { warn: () => undefined });
    assert.equal(inPage(GuestMemory.from(mapping)), 0n);
    mapping.close();
    memfd.close();
  });
});
