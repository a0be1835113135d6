import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hostPageSize, Memfd, type OverlayTarget, overlay } from '../../src/host/index.ts';
import { newOverlayTarget } from '../../src/host/overlay-target.ts';
import { mappingsOf, peek, poke } from './host.ts';

const SIZE = 0x2_0000;

function growable(length: number): SharedArrayBuffer {
  const Growable = SharedArrayBuffer as new (n: number, o: { maxByteLength: number }) => SharedArrayBuffer;
  return new Growable(length, { maxByteLength: length });
}

const targets: Record<string, () => OverlayTarget> = {
  'a growable SharedArrayBuffer': () => growable(SIZE),
  'a shared WebAssembly.Memory': () => newOverlayTarget(SIZE),
};

for (const [what, make] of Object.entries(targets)) {
  describe(`overlay on ${what}`, () => {
    it('H1: shows the file, both ways, also through a second mapping', () => {
      const memfd = Memfd.create(SIZE);
      const first = overlay(make(), memfd.fd, { length: SIZE });
      const second = overlay(make(), memfd.fd, { length: SIZE });
      first.bytes[5] = 55;
      assert.equal(second.bytes[5], 55);
      assert.deepEqual(peek(memfd.fd, 5, 1), Uint8Array.of(55));
      poke(memfd.fd, SIZE - 1, Uint8Array.of(7));
      assert.equal(first.bytes[SIZE - 1], 7);
      assert(first.bytes.buffer instanceof SharedArrayBuffer);
      assert.equal(Atomics.add(new Int32Array(second.bytes.buffer), 1, 1), 55 << 8);
      assert.equal(first.bytes[4], 1);
      first.close();
      second.close();
      memfd.close();
    });

    it('H1: maps a part of a file into a part of the buffer', () => {
      const page = hostPageSize();
      const memfd = Memfd.create(2 * page);
      poke(memfd.fd, page, Uint8Array.of(9));
      const target = make();
      const laid = overlay(target, memfd.fd, { offset: page, at: page, length: 10 });
      const whole = new Uint8Array(target instanceof SharedArrayBuffer ? target : target.buffer);
      assert.equal(laid.bytes.length, 10);
      assert.deepEqual([whole[0], whole[page]], [0, 9]);
      laid.close();
      memfd.close();
    });

    it('H1, M15: after close() the buffer reads zeros, the file keeps its bytes, and no mapping is left', () => {
      const memfd = Memfd.create(SIZE, { name: 'closing' });
      const laid = overlay(make(), memfd.fd, { length: SIZE });
      laid.bytes.fill(3);
      assert.equal(mappingsOf('memfd:closing').length, 1);
      laid.close();
      laid.close();
      assert.equal(mappingsOf('memfd:closing').length, 0);
      assert.deepEqual([laid.bytes[0], laid.bytes[SIZE - 1]], [0, 0]);
      laid.bytes[0] = 1; // harmless
      assert.deepEqual(peek(memfd.fd, 0, 1), Uint8Array.of(3));
      memfd.close();
    });

    it('H2: private access keeps stores in this process', () => {
      const memfd = Memfd.create(SIZE);
      const laid = overlay(make(), memfd.fd, { length: SIZE, access: 'r' });
      laid.bytes[0] = 1;
      assert.deepEqual(peek(memfd.fd, 0, 1), Uint8Array.of(0));
      laid.close();
      memfd.close();
    });

    it('H2: refuses what does not fit, before the system call', () => {
      const memfd = Memfd.create(SIZE);
      const bad = (options: { offset?: number; length: number; at?: number }, code: string): void => {
        assert.throws(() => overlay(make(), memfd.fd, options), { name: 'HostError', code });
      };
      bad({ length: 0 }, 'invalid');
      bad({ length: 1.5 }, 'invalid');
      bad({ length: 4096, offset: -4096 }, 'invalid');
      bad({ length: 4096, offset: 100 }, 'misaligned');
      bad({ length: 4096, at: 100 }, 'misaligned');
      bad({ length: SIZE + 1 }, 'too-large');
      bad({ length: SIZE, at: 0x1_0000 }, 'too-large');
      bad({ length: 2 ** 53 - 1 }, 'too-large');
      memfd.close();
    });
  });
}

describe('overlay', () => {
  it('H2: refuses buffers whose pages are not their own', () => {
    const memfd = Memfd.create(SIZE);
    const unshared = { buffer: new ArrayBuffer(SIZE) };
    for (const target of [new SharedArrayBuffer(SIZE), unshared]) {
      assert.throws(() => overlay(target, memfd.fd, { length: 4096 }), { code: 'wrong-kind' });
    }
    memfd.close();
  });

  it('H2: reports what the kernel refuses', () => {
    assert.throws(() => overlay(growable(4096), 9999, { length: 4096 }), { code: 'system', errno: 'EBADF' });
  });

  it('H1: many overlays come and go without exhausting the process', () => {
    const memfd = Memfd.create(1 << 20, { name: 'churn' });
    for (let i = 0; i < 500; i++) overlay(newOverlayTarget(1 << 20), memfd.fd, { length: 1 << 20 }).close();
    assert.equal(mappingsOf('memfd:churn').length, 0);
    memfd.close();
  });
});
