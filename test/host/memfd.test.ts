import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isSealedAgainstShrinking, Memfd } from '../../src/host/index.ts';
import { openDescriptors, peek, poke } from './host.ts';

describe('Memfd', () => {
  it('H1: is a zeroed file of the size asked for, sealed against shrinking and growing', () => {
    const memfd = Memfd.create(8192);
    assert.equal(memfd.size, 8192);
    assert.deepEqual(memfd.seals, ['shrink', 'grow']);
    assert(isSealedAgainstShrinking(memfd.fd));
    poke(memfd.fd, 8189, Uint8Array.of(1, 2, 3));
    assert.deepEqual(peek(memfd.fd, 8188, 4), Uint8Array.of(0, 1, 2, 3));
    assert.throws(() => poke(memfd.fd, 8192, Uint8Array.of(1)), { code: 'EPERM' });
    memfd.close();
  });

  it('H1: takes further seals, until sealing itself is forbidden', () => {
    const memfd = Memfd.create(4096, { name: 'seals', seals: [] });
    assert(!isSealedAgainstShrinking(memfd.fd));
    memfd.addSeals(['seal']);
    assert.throws(() => memfd.addSeals(['shrink']), { name: 'HostError', code: 'system', errno: 'EPERM' });
    memfd.close();
  });

  it('H2: refuses a size that is none, and a name the kernel refuses', () => {
    for (const size of [-1, 0.5, Number.NaN, 2 ** 53]) {
      assert.throws(() => Memfd.create(size), { name: 'HostError', code: 'invalid' });
    }
    assert.throws(() => Memfd.create(1, { name: 'x'.repeat(300) }), { code: 'system', errno: 'EINVAL' });
  });

  it('H1: gives its descriptor back once', () => {
    const before = openDescriptors();
    const memfd = Memfd.create(1);
    assert.equal(openDescriptors().length, before.length + 1);
    memfd.close();
    memfd.close();
    memfd[Symbol.dispose]();
    assert.deepEqual(openDescriptors(), before);
  });
});
