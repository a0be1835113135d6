import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { GuestMemory, heap, shared } from '../../src/core/index.ts';
import { ENGINES, withGlobals } from '../support/engine.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { pattern } from '../support/scalars.ts';

// The core chooses its ways to copy, fill and search when it is loaded. Here each engine's ways run on the present one.

type Bulk = typeof import('../../src/core/bulk.ts');
type Scan = typeof import('../../src/core/bulk-scan.ts');

/** A module of the core, loaded once more as `engine` would load it. */
async function loadFor<T>(module: string, engine: (typeof ENGINES)[number]): Promise<T> {
  const url = new URL(`../../src/core/${module}.js?${encodeURIComponent(engine.name)}`, import.meta.url).href;
  return withGlobals(engine.globals, async (): Promise<T> => (await import(url)) as T);
}

const LENGTHS = [0, 1, 2, 7, 8, 23, 24, 25, 26, 64, 65, 100, 1000];

function buffers(): readonly (readonly [string, (length: number) => Uint8Array])[] {
  return [
    ['private', (length) => new Uint8Array(new ArrayBuffer(length + 3), 3)],
    ['shared', (length) => new Uint8Array(new SharedArrayBuffer(length + 3), 3)],
  ];
}

for (const engine of ENGINES) {
  describe(`bulk operations as on ${engine.name}`, () => {
    let bulk: Bulk;
    let scan: Scan;
    before(async () => {
      bulk = await loadFor<Bulk>('bulk', engine);
      scan = await loadFor<Scan>('bulk-scan', engine);
    });

    it('M8: copies of every length between private and shared memory', () => {
      for (const [fromKind, from] of buffers()) {
        for (const [toKind, to] of buffers()) {
          for (const length of LENGTHS) {
            const source = from(length + 20);
            source.set(pattern(length + 20));
            const dest = to(length + 20);
            bulk.copyBytes(dest, 5, source, 9, length, fromKind === 'shared' || toKind === 'shared');
            const expected = new Uint8Array(length + 20);
            expected.set(pattern(length + 20).subarray(9, 9 + length), 5);
            sameBytes(Uint8Array.from(dest), expected, `${length} bytes, ${fromKind} to ${toKind}`);
            const whole = from(length);
            bulk.copyBytes(whole, 0, pattern(length), 0, length, fromKind === 'shared');
            sameBytes(Uint8Array.from(whole), pattern(length));
          }
        }
      }
    });

    it('M8: copies within one buffer overlap safely in both directions, through two views as well', () => {
      for (const [kind, make] of buffers()) {
        for (const length of LENGTHS) {
          for (const [from, to] of [
            [0, 1],
            [1, 0],
            [0, 13],
            [13, 0],
            [4, 4],
          ] as const) {
            const bytes = make(length + 20);
            bytes.set(pattern(length + 20));
            const expected = pattern(length + 20).copyWithin(to, from, from + length);
            bulk.copyBytes(bytes, to, bytes.subarray(from), 0, length, kind === 'shared');
            sameBytes(Uint8Array.from(bytes), expected, `${length} bytes from ${from} to ${to}, ${kind}`);
          }
        }
      }
    });

    it('M8: fills of shared memory, of every length and larger than the template', () => {
      for (const length of [...LENGTHS, 0x1_0000, 0x1_0001, 0x2_1234]) {
        for (const value of [0, 7, 255]) {
          const bytes = new Uint8Array(new SharedArrayBuffer(length + 10)).fill(0x55);
          bulk.fillShared(bytes, 4, value, length);
          assert.deepEqual([bytes[3], bytes[length + 4]], [0x55, 0x55]);
          assert.equal(
            bytes.subarray(4, 4 + length).every((byte) => byte === value),
            true,
            `${length} bytes`,
          );
        }
      }
    });

    it('M8: comparing has the sign of the first difference', () => {
      for (const length of LENGTHS) {
        const a = pattern(length);
        assert.equal(scan.compareBytes(a, a.slice()), 0);
        for (let at = 0; at < length; at += 1 + Math.floor(length / 20)) {
          const b = a.slice();
          b[at] = (a[at] ?? 0) ^ 0x80;
          b.fill(0, at + 1);
          const sign = (a[at] ?? 0) < (b[at] ?? 0) ? -1 : 1;
          assert.equal(scan.compareBytes(a, b), sign);
          assert.equal(scan.compareBytes(b, a), -sign);
        }
      }
    });

    it('M8: searching finds the first place, of needles that nearly match before', () => {
      const bytes = Uint8Array.of(1, 1, 1, 2, 1, 1, 2, 3, 1, 1, 2, 3);
      assert.equal(scan.indexOfBytes(bytes, Uint8Array.of(1, 1, 2, 3)), 4);
      assert.equal(scan.indexOfBytes(bytes, Uint8Array.of(1, 1, 1)), 0);
      assert.equal(scan.indexOfBytes(bytes, Uint8Array.of(3)), 7);
      assert.equal(scan.indexOfBytes(bytes, Uint8Array.of(2, 3, 4)), -1);
      assert.equal(scan.indexOfBytes(bytes, Uint8Array.of(9)), -1);
      assert.equal(scan.indexOfBytes(bytes, Uint8Array.of(3, 1, 1, 2, 3, 0)), -1);
      assert.equal(scan.indexOfBytes(bytes.subarray(0, 2), bytes.subarray(0, 3)), -1);
    });

    it('M8: testing for zero sees each bit of ranges of every length and alignment', () => {
      for (const length of [0, 1, 3, 4, 5, 8, 15, 100, 0x1_0005]) {
        for (const skew of [0, 1, 2, 3]) {
          const bytes = new Uint8Array(new ArrayBuffer(length + 8), skew, length);
          assert.equal(scan.isZeroBytes(bytes), true);
          for (let at = 0; at < length; at += 1 + Math.floor(length / 30)) {
            bytes[at] = 1;
            assert.equal(scan.isZeroBytes(bytes), false, `${at} of ${length}`);
            bytes[at] = 0;
          }
          if (length > 0) {
            bytes[length - 1] = 0x80;
            assert.equal(scan.isZeroBytes(bytes), false);
          }
        }
      }
    });
  });
}

describe('what an engine may refuse', () => {
  class NoRoom {
    constructor() {
      throw new RangeError('Array buffer allocation failed');
    }
  }

  it('M2 E: no SharedArrayBuffer is unsupported, and private memory works on', async () => {
    await withGlobals({ SharedArrayBuffer: undefined }, () => {
      refused(() => shared(0x1000), { code: 'unsupported', length: 0x1000 });
      const memory = GuestMemory.allocate(0x1000);
      memory.fillAt(0, 1, 0x1000);
      assert.equal(memory.readU32(0xffc), 0x0101_0101);
    });
  });

  it('M2 E: no room is too large, with the engine’s own error as the cause', async () => {
    await withGlobals({ ArrayBuffer: NoRoom, SharedArrayBuffer: NoRoom }, () => {
      for (const make of [() => heap(0x1000), () => shared(0x1000)]) {
        const error = refused(make, { code: 'too-large' });
        assert(error.cause instanceof RangeError);
      }
    });
  });

  it('M2: no room for a WebAssembly.Memory is made up for by a plain SharedArrayBuffer', () => {
    const { WebAssembly } = globalThis as { WebAssembly?: { Memory: unknown } };
    assert(WebAssembly !== undefined);
    const saved = WebAssembly.Memory;
    const unexpected = new Error('not of this kind');
    try {
      WebAssembly.Memory = NoRoom;
      const backing = shared(0x10_0000);
      assert.equal(backing.wasm, undefined);
      const memory = GuestMemory.from(backing);
      memory.fillAt(1, 7, 0x1000);
      assert.equal(memory.readU8(0x1000), 7);
      WebAssembly.Memory = class {
        constructor() {
          throw unexpected;
        }
      };
      assert.throws(
        () => shared(0x10_0000),
        (error) => error === unexpected,
      );
    } finally {
      WebAssembly.Memory = saved;
    }
  });

  it('M8: memory that the bulk instructions do not take is filled all the same', () => {
    const buffer = new SharedArrayBuffer(0x1_0000);
    const memory = GuestMemory.from({
      kind: 'own',
      size: 0x1_0000,
      mapped: [new Uint8Array(buffer)],
      wasm: { memory: { buffer }, offset: 0 },
    });
    memory.fillAt(3, 9, 0x1000);
    const bytes = new Uint8Array(buffer);
    assert.deepEqual([bytes[2], bytes[3], bytes[0x1002], bytes[0x1003]], [0, 9, 9, 0]);
  });
});
