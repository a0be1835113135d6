import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ACCESS,
  aarch64Stage2Format,
  BufferTables,
  createRoot,
  map,
  Translator,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

describe('what a walk says besides its answer', () => {
  it('T2: how many entries it read, whatever came of it', () => {
    const tables = new BufferTables(new Uint8Array(0x1_0000), 0x10_0000);
    const format = X86_4LEVEL;
    createRoot(tables, format);
    map(tables, { format, gva: 0x1000n, gpa: 0x5000, length: 0x1000 });
    map(tables, { format, gva: 0x20_0000n, gpa: 0x20_0000, length: 0x20_0000 });
    const translator = new Translator({ tables, format });
    for (const [gva, access, answer, reads] of [
      [0x1234n, ACCESS.read, 0x5234, 4],
      [0x1234n, ACCESS.write, -1, 4],
      [0x2000n, ACCESS.read, -1, 4],
      [0x20_0005n, ACCESS.read, 0x20_0005, 3],
      [0x20_0005n, ACCESS.userRead, -1, 3],
      [0x4000_0000n, ACCESS.read, -1, 2],
      [0x80_0000_0000n, ACCESS.read, -1, 1],
      [0x8000_0000_0000n, ACCESS.read, -1, 0],
    ] as const) {
      assert.equal(translator.resolveGva(gva, access), answer);
      assert.equal(translator.reads, reads, gva.toString(16));
    }
  });

  it('T2: a code that is no access is refused, where it would be asked about', () => {
    const tables = new BufferTables(new Uint8Array(0x1_0000), 0x10_0000);
    createRoot(tables, X86_4LEVEL);
    map(tables, { format: X86_4LEVEL, gva: 0n, gpa: 0, length: 0x1000 });
    const translator = new Translator({ tables, format: X86_4LEVEL });
    for (const access of [-1, 3, 64, 1.5])
      assert.throws(() => translator.resolve(0, 0, access), { name: 'PagingError', code: 'invalid' });
  });

  it('T1: addresses of fewer than 32 bits are checked in their lower half', () => {
    const format = aarch64Stage2Format({ granule: 4096, inputBits: 31 });
    const tables = new BufferTables(new Uint8Array(0x1_0000), 0x10_0000);
    createRoot(tables, format);
    map(tables, { format, gva: 0x7fff_f000n, gpa: 0x5000, length: 0x1000 });
    const translator = new Translator({ tables, format });
    assert.equal(translator.resolveGva(0x7fff_f008n, ACCESS.read), 0x5008);
    for (const gva of [0xffff_f008n, 0x1_7fff_f008n])
      assert.equal(translator.resolveGva(gva, ACCESS.read), -1);
  });
});
