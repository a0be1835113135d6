import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import { bits, NONE } from '../../src/paging/bits.ts';
import { CompiledFormat } from '../../src/paging/compiled-format.ts';
import type { RightField } from '../../src/paging/format.ts';
import {
  ACCESS,
  aarch64Stage1Format,
  aarch64Stage2Format,
  FORMATS,
  type PagingFormat,
  Translator,
  X86_4LEVEL,
} from '../../src/paging/index.ts';
import { SparseTables } from './support/aarch64.ts';

const STAGE1 = aarch64Stage1Format({ granule: 4096, inputBits: 48 });
const STAGE2 = aarch64Stage2Format({ granule: 4096, inputBits: 40 });

/** x86-64 with rights of one's own. */
const withRights = (...rights: readonly RightField[]): PagingFormat => ({ ...X86_4LEVEL, rights });

describe('the walk without calls', () => {
  const plain = (format: PagingFormat): boolean => new CompiledFormat(format, undefined).plain === 1;
  const [write, user, execute] = X86_4LEVEL.rights as readonly [RightField, RightField, RightField];
  const [pml4e, ...others] = X86_4LEVEL.levels;
  assert(pml4e !== undefined);
  const address = { from: 12, bits: 40, to: 12 };
  const withLeaf = (more: object): PagingFormat => ({
    ...X86_4LEVEL,
    levels: [pml4e, ...others.map((level) => (level.level === 1 ? { ...level, ...more } : level))],
  });

  it('T1: is for all of x86, and for nothing else that there is', () => {
    for (const format of FORMATS) assert.equal(plain(format), /^(x86|npt)-/.test(format.name), format.name);
    for (const format of [STAGE1, STAGE2]) assert.equal(plain(format), false);
  });

  it('T1: wants rights where x86 has them', () => {
    assert(plain(withRights(write, user)));
    assert(plain(withRights({ ...write, bit: 3, tableBit: 3 }, { ...user, bit: 4, tableBit: 4 }, execute)));
    for (const [what, format] of [
      ['none', withRights()],
      ['one', withRights(write)],
      ['one more', withRights(write, user, execute, { right: 'read', bit: 0 })],
      ['others', withRights({ ...write, right: 'read' }, user, execute)],
      ['others', withRights(write, { ...user, right: 'read' }, execute)],
      ['others', withRights(write, user, { ...execute, right: 'supervisorExecute' })],
      ['apart', withRights(write, { ...user, bit: 3, tableBit: 3 }, execute)],
      [
        'the wrong way round',
        withRights({ ...write, bit: 2, tableBit: 2 }, { ...user, bit: 1, tableBit: 1 }),
      ],
      ['elsewhere in tables', withRights({ ...write, tableBit: 3 }, user, execute)],
      ['elsewhere in tables', withRights(write, { ...user, tableBit: 3 }, execute)],
      ['elsewhere in tables', withRights(write, user, { ...execute, tableBit: 62 })],
      ['in leaves alone', withRights({ right: 'write', bit: 1 }, user, execute)],
      ['denied', withRights({ ...write, inverted: true }, user, execute)],
      ['denied', withRights(write, { ...user, inverted: true }, execute)],
      ['granted', withRights(write, user, { right: 'execute', bit: 63, tableBit: 63 })],
      ['elsewhere', withRights(write, user, { ...execute, bit: 62 })],
      ['two bits for one', withRights(write, { ...user, xor: 1 }, execute)],
      ['two bits for one', withRights({ ...write, or: { bit: 9, when: 'pse' } }, user, execute)],
    ] as const) {
      assert(!plain(format), what);
    }
  });

  it('T1: wants addresses where they belong', () => {
    const fold = { from: 4, bits: 4, to: 52 };
    const special = {
      pattern: { mask: bits(11), value: bits(11) },
      pageBits: 16,
      address: [{ from: 16, bits: 36, to: 16 }],
    };
    assert(plain(withLeaf({ specialLeaf: special })));
    const largest = { ...special, pageBits: 32, address: [{ from: 32, bits: 20, to: 32 }] };
    assert(plain(withLeaf({ specialLeaf: largest })));
    for (const [what, format] of [
      ['shifted in tables', { ...X86_4LEVEL, tableAddress: [{ from: 10, bits: 40, to: 12 }] }],
      ['in two parts in tables', { ...X86_4LEVEL, tableAddress: [address, { ...fold, to: 32 + 20 }] }],
      [
        'in two parts in tables',
        {
          ...X86_4LEVEL,
          tableAddress: [
            { ...address, bits: 20 },
            { ...fold, to: 32 },
          ],
        },
      ],
      ['shifted in leaves', withLeaf({ leafAddress: [{ from: 10, bits: 40, to: 12 }] })],
      ['in two parts in leaves', withLeaf({ leafAddress: [address, fold] })],
      [
        'shifted in special leaves',
        withLeaf({ specialLeaf: { ...special, address: [{ from: 14, bits: 36, to: 16 }] } }),
      ],
      ['of a page above 4 GiB', withLeaf({ specialLeaf: { ...largest, pageBits: 33 } })],
      ['too wide, found out late', { ...X86_4LEVEL, lateWidth: true as const }],
    ] as const) {
      assert(!plain(format), what);
    }
  });

  it('T1: leaves may have a part of their address elsewhere, as those of PSE-36', () => {
    // Bits 11:9 are bits 34:32.
    const leafAddress = [
      { from: 12, bits: 20, to: 12 },
      { from: 9, bits: 3, to: 32 },
    ];
    const format = withLeaf({ leafAddress, attributes: [] });
    assert(plain(format));
    const memory = GuestMemory.allocate(0x5000);
    for (const table of [0x1000, 0x2000, 0x3000]) memory.writeU64(table, BigInt(table + 0x1003));
    memory.writeU64(0x4000, 0x8765_4a03n);
    const translator = new Translator({ memory, format, root: 0x1000 });
    assert.equal(translator.resolveGva(0x123n, ACCESS.write), 0x5_8765_4123);
    const found = translator.translate(0x123n);
    assert.equal(found.kind === 'mapped' && found.gpa, 0x5_8765_4123);
  });

  it('T1: and pages below 4 GiB: those of 512 GiB are walked with calls, and found', () => {
    const format: PagingFormat = {
      ...X86_4LEVEL,
      name: 'x86-4level-512g',
      levels: [
        {
          ...pml4e,
          table: { mask: bits(7), value: NONE },
          tableRules: [],
          leafAddress: [{ from: 39, bits: 13, to: 39 }],
          newLeaf: { lo: 0x81, hi: 0 },
        },
        ...others,
      ],
    };
    assert(!plain(format));
    const tables = new SparseTables(0x1000);
    tables.entries.set(0x1008, 0x380_0000_0083n);
    const translator = new Translator({ tables, format });
    assert.equal(translator.resolveGva(0xab_cdef_1234n, ACCESS.write), 0x3ab_cdef_1234);
    const found = translator.translate(0xff_ffff_ffffn);
    assert(found.kind === 'mapped');
    assert.deepEqual([found.gpa, found.pageSize], [0x3ff_ffff_ffff, 2 ** 39]);
  });
});
