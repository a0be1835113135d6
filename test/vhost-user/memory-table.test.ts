import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EventFd, Memfd } from '../../src/host/index.ts';
import { MemoryTable } from '../../src/vhost-user/memory-table.ts';
import { mappingsOf } from '../host/host.ts';
import type { Region } from './wire.ts';

const K64 = 0x1_0000n;
const TOP = 2n ** 64n;

function region(gpa: bigint, size: bigint, userAddress: bigint, mmapOffset = 0n): Region {
  return { gpa, size, userAddress, mmapOffset };
}

function table(requireSealed = false, warnings: string[] = []): MemoryTable {
  return new MemoryTable({ requireSealed, warn: (message) => warnings.push(message) });
}

describe('MemoryTable', () => {
  it('V4: takes regions in any order, and translates addresses of the front end', () => {
    const memfd = Memfd.create(0x4_0000, { name: 'order' });
    const memory = table();
    // High before low, and addresses of the front end the other way round: rust-vmm refuses this.
    memory.replace(
      [
        region(0x1_0000_0000n, K64, 0x1000_0000n, 0x2_0000n),
        region(0n, K64, 0x9000_0000n),
        region(0xc_0000n, K64, 0x5000_0000n, K64),
      ],
      [memfd.fd, memfd.fd, memfd.fd],
    );
    assert.deepEqual(
      memory.space.memory().regions.map(({ start }) => start),
      [0, 0xc_0000, 0x1_0000_0000],
    );
    assert.equal(memory.translate(0x1000_0000n), 0x1_0000_0000);
    assert.equal(memory.translate(0x9000_ffffn), 0xffff);
    assert.equal(memory.translate(0x9001_0000n), undefined);
    assert.equal(memory.translate(0x5000_0010n), 0xc_0010);
    memory.space.memory().writeU32(0x1_0000_0000, 0xabcd);
    assert.equal(mappingsOf('memfd:order').length, 3);
    memory.close();
    assert.equal(mappingsOf('memfd:order').length, 0);
    memfd.close();
  });

  it('V4: refuses overlaps, sums that wrap, and empty regions, and then has changed nothing', () => {
    const memfd = Memfd.create(0x4_0000, { name: 'refused' });
    const memory = table();
    memory.replace([region(0n, K64, 0x1000_0000n)], [memfd.fd]);
    const before = memory.space.memory();
    const bad = (regions: Region[], expected: object): void => {
      const fds = regions.map(() => memfd.fd);
      assert.throws(() => memory.replace(regions, fds), expected);
      assert.equal(memory.space.memory(), before);
      assert.equal(memory.translate(0x1000_0000n), 0);
      assert.equal(mappingsOf('memfd:refused').length, 1);
    };
    const invalid = { name: 'VhostUserError', code: 'memory-table' };
    bad([region(0n, K64, 0n), region(0x8000n, K64, 0x10_0000n)], {
      name: 'GuestMemoryError',
      code: 'overlap',
    });
    bad([region(0n, K64, 0n), region(K64, K64, 0xffffn)], invalid);
    bad([region(0n, K64, 0n), region(K64, K64, 0n)], invalid);
    bad([region(0n, 0n, 0n)], invalid);
    bad([region(0n, K64, TOP - K64 + 1n)], invalid);
    bad([region(TOP - 1n, K64, 0n)], invalid);
    bad([region(0n, TOP - 1n, 0n)], invalid);
    bad([region(0n, K64, 0n, TOP - 1n)], invalid);
    bad([region(2n ** 53n - 4096n, K64, 0n)], { name: 'GuestMemoryError' });
    bad([region(0n, K64, 0n, 0x3_0001n)], { name: 'HostError' });
    bad([region(0n, 0x4_0001n, 0n)], { name: 'HostError', code: 'too-short' });
    // The very last address of the front end is one.
    memory.replace([region(0n, K64, TOP - K64)], [memfd.fd]);
    assert.equal(memory.translate(TOP - 1n), 0xffff);
    memory.close();
    memfd.close();
  });

  it('V4: adds and removes single regions; a region that is not there cannot be removed', () => {
    const memfd = Memfd.create(0x4_0000, { name: 'plug' });
    const memory = table();
    memory.add(region(0n, K64, 0x1000_0000n), memfd.fd);
    const held = memory.space.memory();
    memory.add(region(K64, K64, 0x2000_0000n, K64), memfd.fd);
    assert(memory.space.memory().checkRange(0xfff0, 32));
    assert(!held.checkRange(0xfff0, 32), 'a snapshot does not change');
    for (const other of [
      region(K64, K64 - 1n, 0x2000_0000n),
      region(K64, K64, 0x2000_0001n),
      region(K64 + 1n, K64, 0x2000_0000n),
    ]) {
      assert.throws(() => memory.remove(other), { name: 'VhostUserError', code: 'memory-table' });
    }
    memory.remove(region(0n, K64, 0x1000_0000n));
    assert.throws(() => held.readU8(0), { code: 'closed' });
    assert.equal(memory.translate(0x1000_0000n), undefined);
    assert.equal(memory.space.memory().readU8(0x1_0000), 0);
    assert.throws(() => memory.add(region(K64, K64, 0x3000_0000n), memfd.fd), { code: 'overlap' });
    assert.equal(mappingsOf('memfd:plug').length, 1);
    memory.close();
    memfd.close();
  });

  it('V4: has so many slots and no more', () => {
    const memfd = Memfd.create(4096);
    const memory = table();
    const at = (i: number): Region => region(BigInt(i) * 4096n, 4096n, BigInt(i) * 4096n);
    for (let i = 0; i < 509; i++) memory.add(at(i), memfd.fd);
    assert.throws(() => memory.add(at(509), memfd.fd), { name: 'VhostUserError', code: 'memory-table' });
    memory.remove(at(100));
    memory.add(at(509), memfd.fd);
    memory.close();
    memfd.close();
  });

  it('H2: warns once of a file that can shrink, or refuses it', () => {
    const memfd = Memfd.create(0x4_0000, { name: 'loose', seals: [] });
    const warnings: string[] = [];
    const memory = table(false, warnings);
    for (let i = 0; i < 3; i++)
      memory.replace([region(0n, K64, 0n), region(K64, K64, K64)], [memfd.fd, memfd.fd]);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /memfd:loose/);
    memory.close();
    assert.throws(() => table(true).add(region(0n, K64, 0n), memfd.fd), {
      name: 'HostError',
      code: 'unsealed',
    });
    memfd.close();
  });

  it('H2: takes files only', () => {
    const event = EventFd.create();
    assert.throws(() => table().add(region(0n, K64, 0n), event.fd), {
      name: 'HostError',
      code: 'wrong-kind',
    });
    event.close();
  });
});
