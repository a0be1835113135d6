import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  aarch64Stage1Format,
  aarch64Stage2Format,
  BufferTables,
  createRoot,
  EPT_4LEVEL,
  isPagingError,
  type MapRequest,
  map,
  NPT_4LEVEL,
  type PagingFormat,
  type ProtectRequest,
  protect,
  RISCV_SV39,
  Translator,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const STAGE1 = aarch64Stage1Format({ granule: 4096, inputBits: 39 });
const STAGE2 = aarch64Stage2Format({ granule: 4096, inputBits: 40 });
const PAGE = { gva: 0x7000n, length: 0x1000 };

function tablesOf(format: PagingFormat): BufferTables {
  const tables = new BufferTables(new Uint8Array(0x8000), 0x10_0000);
  createRoot(tables, format);
  return tables;
}

describe('what a new leaf is', () => {
  it('T7: memory is write-back where nothing else is asked for, in whatever way the format says it', () => {
    for (const [format, type] of [
      [X86_4LEVEL, 0],
      [NPT_4LEVEL, 0],
      [EPT_4LEVEL, 6],
      [STAGE1, 0],
      [STAGE2, 0b1111],
      [RISCV_SV39, 0],
    ] as const) {
      const tables = tablesOf(format);
      map(tables, { ...PAGE, format, gpa: 0x9000 });
      map(tables, { ...PAGE, format, gva: 0x8000n, gpa: 0x9000, memoryType: 1 });
      const typeAt = (gva: bigint): number => {
        const found = new Translator({ tables, format }).translate(gva, { kind: 'read', user: false });
        if (found.kind === 'mapped') return found.memoryType;
        const asUser = new Translator({ tables, format }).translate(gva, { kind: 'read', user: true });
        assert(asUser.kind === 'mapped');
        return asUser.memoryType;
      };
      assert.deepEqual([typeAt(0x7000n), typeAt(0x8000n)], [type, 1], format.name);
    }
  });

  it('T7: what is refused of a leaf is said: its rights, its memory type, or its address', () => {
    const why = (act: () => unknown): string => {
      try {
        act();
      } catch (error) {
        assert(isPagingError(error) && error.code === 'invalid' && error.gva === 0x7000n);
        return error.message.slice(error.message.indexOf('stopped at 0x7000: ') + 19);
      }
      return 'nothing was refused';
    };
    const changed = (format: PagingFormat, change: Partial<ProtectRequest>): string => {
      const tables = tablesOf(format);
      map(tables, { ...PAGE, format, gpa: 0x9000, write: true });
      return why(() => protect(tables, { ...PAGE, format, ...change }));
    };
    const made = (format: PagingFormat, request: Partial<MapRequest>): string =>
      why(() => map(tablesOf(format), { ...PAGE, format, gpa: 0x9000, ...request }));

    for (const format of [EPT_4LEVEL, RISCV_SV39]) {
      assert.equal(changed(format, { read: false }), 'a page that can be written has to be readable');
      const nothing = { read: false, write: false };
      assert.equal(
        changed(format, nothing),
        'a page without any right is none, wanted read, write or execute',
      );
    }
    const needsRead = { controls: { executeOnly: false } };
    assert.equal(
      changed(EPT_4LEVEL, { ...needsRead, read: false, write: false, execute: true }),
      'a page that can be executed has to be readable on this processor',
    );
    for (const memoryType of [2, 3, 7]) {
      const reserved = `current memory type ${memoryType}, which is reserved`;
      assert.equal(changed(EPT_4LEVEL, { memoryType }), reserved);
      assert.equal(made(EPT_4LEVEL, { memoryType }), reserved);
    }
    assert.equal(made(RISCV_SV39, { memoryType: 3 }), 'current memory type 3, which is reserved');
    const without = { controls: { svpbmt: false }, memoryType: 1 };
    assert.equal(made(RISCV_SV39, without), 'current memory type 1, which is reserved');
    const narrow: PagingFormat = {
      ...X86_4LEVEL,
      levels: X86_4LEVEL.levels.map((level) => ({
        ...level,
        leafAddress: level.leafAddress.map((field) => ({ ...field, bits: field.bits - 12 })),
      })),
    };
    assert.equal(made(narrow, { gpa: 2 ** 40 }), 'a page of 0x1000 bytes cannot be at 0x10000000000');
  });

  it('T7: a page that was not used yet can be made and changed, whatever becomes of one that is met', () => {
    for (const format of [STAGE1, RISCV_SV39]) {
      const tables = tablesOf(format);
      const controls = { accessedDirty: 'fault' } as const;
      map(tables, { ...PAGE, format, controls, gpa: 0x9000, accessed: false });
      const translator = new Translator({ tables, format, controls });
      assert.equal(translator.translate(0x7000n).kind, 'page-fault');
      protect(tables, { ...PAGE, format, controls, accessed: true });
      assert.equal(translator.translate(0x7000n).kind, 'mapped');
      protect(tables, { ...PAGE, format, controls, accessed: false });
      assert.equal(translator.translate(0x7000n).kind, 'page-fault');
    }
    const tables = tablesOf(X86_4LEVEL);
    const wrong = { ...PAGE, format: X86_4LEVEL, controls: { accessedDirty: 'fault' }, gpa: 0 };
    assert.throws(() => map(tables, wrong as MapRequest), { code: 'invalid' });
  });
});
