import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  aarch64Stage1FromRegisters,
  aarch64Stage2Format,
  createRoot,
  EPT_4LEVEL,
  FORMATS,
  FrameRange,
  formatRights,
  GuestTables,
  map,
  mappings,
  NPT_4LEVEL,
  type PagingFormat,
  RISCV_SV39X4,
  Translator,
  unmap,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const TABLES = 0x8_0000;

function setUp(format: PagingFormat): { memory: GuestMemory; tables: GuestTables; translator: Translator } {
  const memory = GuestMemory.allocate(0x20_0000);
  const tables = new GuestTables(memory, { frames: new FrameRange(TABLES, 0x18_0000) });
  createRoot(tables, format);
  return { memory, tables, translator: new Translator({ tables, format }) };
}

describe('defects of other table code that are not here', () => {
  it('R axaddrspace A.2.5: taking 4 KiB out of a page of 2 MiB leaves the rest mapped', () => {
    const { tables, translator } = setUp(EPT_4LEVEL);
    map(tables, {
      format: EPT_4LEVEL,
      gva: 0x20_0000n,
      gpa: 0x4000_0000,
      length: 0x20_0000,
      write: true,
      execute: true,
    });
    const { unmapped } = unmap(tables, { format: EPT_4LEVEL, gva: 0x20_3000n, length: 0x1000 });
    assert.equal(unmapped, 0x1000);
    const left = [...mappings(translator)].map(
      (record) => record.kind === 'mapped' && [record.gva, record.size],
    );
    assert.deepEqual(left, [
      [0x20_0000n, 0x3000],
      [0x20_4000n, 0x1f_c000],
    ]);
  });

  it('R axaddrspace A.2.6, A.2.10: short of frames, nothing is mapped and no frame is lost', () => {
    const memory = GuestMemory.allocate(0x20_0000);
    const frames = new FrameRange(TABLES, 0x3000);
    const tables = new GuestTables(memory, { frames });
    createRoot(tables, X86_4LEVEL);
    for (let attempt = 0; attempt < 3; attempt++) {
      assert.throws(() => map(tables, { format: X86_4LEVEL, gva: 0n, gpa: 0, length: 0x1000 }), {
        code: 'no-frames',
      });
      assert.deepEqual([...mappings(new Translator({ tables, format: X86_4LEVEL }))], []);
    }
    assert.notEqual(frames.alloc(), undefined);
    assert.notEqual(frames.alloc(), undefined);
    assert.equal(frames.alloc(), undefined);
  });

  it('R axaddrspace A.2.11: EPT is never built with writing and no reading, and an empty entry has no kind of memory', () => {
    const { memory, tables, translator } = setUp(EPT_4LEVEL);
    map(tables, { format: EPT_4LEVEL, gva: 0n, gpa: 0, length: 0x1000, write: true, memoryType: 6 });
    const found = translator.translate(0n, { kind: 'write' });
    assert(found.kind === 'mapped');
    assert.deepEqual([formatRights(found.rights), found.memoryType], ['rw-u', 6]);
    const leaf = found.levels.at(-1)?.entryAddress ?? 0;
    memory.writeU64(leaf, memory.readU64(leaf) & ~1n);
    const broken = translator.translate(0n);
    assert(broken.kind === 'page-fault');
    assert.equal(broken.reason, 'misconfigured');
    assert.equal(translator.translate(0x1000n).kind, 'page-fault');
  });

  it('R axaddrspace A.2.12: stage 2 of AArch64 decodes what it encoded, for every combination of rights', () => {
    const format = aarch64Stage2Format({ granule: 4096, inputBits: 40 });
    const { tables, translator } = setUp(format);
    let page = 0n;
    for (const write of [false, true]) {
      for (const execute of [false, true]) {
        for (let memoryType = 0; memoryType < 16; memoryType++) {
          map(tables, { format, gva: page, gpa: Number(page), length: 0x1000, write, execute, memoryType });
          const found = translator.translate(page);
          assert(found.kind === 'mapped');
          assert.equal(formatRights(found.rights).slice(0, 3), `r${write ? 'w' : '-'}${execute ? 'x' : '-'}`);
          assert.equal(found.memoryType, memoryType);
          assert.equal(translator.translate(page, { kind: 'write' }).kind, write ? 'mapped' : 'page-fault');
          assert.equal(
            translator.translate(page, { kind: 'execute' }).kind,
            execute ? 'mapped' : 'page-fault',
          );
          page += 0x1000n;
        }
      }
    }
  });

  it('R axaddrspace A.2.13: the G-stage has its own root of 16 KiB and 41 bits, and its pages serve the accesses there are', () => {
    const { tables, translator } = setUp(RISCV_SV39X4);
    assert.equal(tables.rootTable() % 0x4000, 0);
    const top = 2n ** 41n - 0x1000n;
    map(tables, { format: RISCV_SV39X4, gva: top, gpa: 0x1000, length: 0x1000, write: true });
    assert.throws(() => map(tables, { format: RISCV_SV39X4, gva: 2n ** 41n, gpa: 0, length: 0x1000 }), {
      code: 'not-canonical',
    });
    // Every access that reaches a G-stage is one of user mode, whoever makes it.
    for (const kind of ['read', 'write'] as const)
      assert.equal(translator.translate(top, { kind, user: true }).kind, 'mapped');
    // Four quarters of the root do not alias.
    for (const quarter of [0n, 1n, 2n])
      assert.equal(translator.translate((quarter << 39n) | (top % 2n ** 39n)).kind, 'page-fault');
  });

  it('R axaddrspace A.2.13: neither are the pages of nested paging kept from the only accesses there are', () => {
    const { tables, translator } = setUp(NPT_4LEVEL);
    map(tables, { format: NPT_4LEVEL, gva: 0n, gpa: 0, length: 0x1000, write: true });
    assert.equal(translator.translate(0n, { kind: 'write', user: true }).kind, 'mapped');
  });

  it('R axaddrspace A.2.14: an entry of zeros is not present, at every level of every format', () => {
    for (const format of FORMATS) {
      const { memory } = setUp(format);
      const translator = new Translator({ memory, format, root: 0x10_0000 });
      const found = translator.translate(0x1000n);
      assert(found.kind === 'page-fault', format.name);
      assert.equal(found.reason, 'not-present');
      assert.deepEqual([...mappings(translator)], []);
    }
  });

  it('R hyperlight C.3 large: a large page is one leaf, and its bytes are never taken for entries', () => {
    const { memory, tables, translator } = setUp(X86_4LEVEL);
    map(tables, { format: X86_4LEVEL, gva: 0x20_0000n, gpa: 0, length: 0x20_0000 });
    // What lies in the page would be a good entry.
    memory.writeU64(0x0, 0x1_9003n);
    const found = translator.translate(0x20_0000n);
    assert(found.kind === 'mapped');
    assert.deepEqual([found.gpa, found.pageSize, found.levels.length], [0, 0x20_0000, 3]);
    // To map within it is refused, and changes nothing.
    assert.throws(() => map(tables, { format: X86_4LEVEL, gva: 0x20_0000n, gpa: 0x5000, length: 0x1000 }), {
      name: 'PagingError',
      code: 'taken',
    });
    assert.equal(memory.readU64(0), 0x1_9003n);
    assert.deepEqual(translator.translate(0x20_0000n), found);
  });

  it('R hyperlight C.3 parents: what a table above denies is denied', () => {
    const { memory, tables, translator } = setUp(X86_4LEVEL);
    map(tables, {
      ...{ format: X86_4LEVEL, gva: 0x1000n, gpa: 0x5000, length: 0x1000 },
      ...{ write: true, execute: true, user: true },
    });
    const [top] = translator.translate(0x1000n).levels;
    assert(top !== undefined);
    memory.writeU64(top.entryAddress, (top.entry & ~2n) | (1n << 63n));
    for (const kind of ['write', 'execute'] as const)
      assert.equal(translator.translate(0x1000n, { kind }).kind, 'page-fault');
    const [range] = mappings(translator);
    assert(range?.kind === 'mapped');
    assert.equal(formatRights(range.rights), 'r--u');
  });

  it('R hyperlight C.3 last: the last page of the address space is mapped, found and listed', () => {
    const { tables, translator } = setUp(X86_4LEVEL);
    const gva = 2n ** 64n - 0x1000n;
    map(tables, { format: X86_4LEVEL, gva, gpa: 0x5000, length: 0x1000 });
    const found = translator.translate(2n ** 64n - 1n);
    assert.equal(found.kind === 'mapped' && found.gpa, 0x5fff);
    const [range, ...rest] = mappings(translator);
    assert.deepEqual([range?.gva, range?.kind === 'mapped' && range.size, rest], [gva, 0x1000, []]);
    assert.equal(unmap(tables, { format: X86_4LEVEL, gva, length: 0x1000 }).unmapped, 0x1000);
  });

  it('R hyperlight C.3 length: none, and one that leaves the address space, are refused', () => {
    const { tables, translator } = setUp(X86_4LEVEL);
    const page = { format: X86_4LEVEL, gva: 0x1000n, gpa: 0x5000 };
    for (const [length, code] of [
      [0, 'invalid'],
      [-4096, 'invalid'],
      [2 ** 53 - 4096, 'not-canonical'],
      [2 ** 48, 'not-canonical'],
      [Number.POSITIVE_INFINITY, 'invalid'],
      [Number.NaN, 'invalid'],
    ] as const)
      assert.throws(() => map(tables, { ...page, length }), { name: 'PagingError', code }, `${length}`);
    assert.deepEqual([...mappings(translator)], []);
  });

  it('R hyperlight C.3 canonical: an address with other upper bits is no alias of one that is mapped', () => {
    const { tables, translator } = setUp(X86_4LEVEL);
    map(tables, { format: X86_4LEVEL, gva: 0x1000n, gpa: 0x5000, length: 0x1000 });
    for (const bit of [48n, 55n, 63n]) {
      assert.equal(translator.translate(0x1000n | (1n << bit)).kind, 'not-canonical');
      assert.throws(
        () => map(tables, { format: X86_4LEVEL, gva: 0x2000n | (1n << bit), gpa: 0x5000, length: 0x1000 }),
        { name: 'PagingError', code: 'not-canonical' },
      );
    }
  });

  it('R hyperlight C.3 unaligned: low bits of an address are refused, and become no flags', () => {
    const { tables, translator } = setUp(X86_4LEVEL);
    for (const [gva, gpa] of [
      [0x1000n, 0x5004],
      [0x1800n, 0x5000],
    ] as const)
      assert.throws(() => map(tables, { format: X86_4LEVEL, gva, gpa, length: 0x1000 }), {
        name: 'PagingError',
        code: 'misaligned',
      });
    assert.deepEqual([...mappings(translator)], []);
  });

  it('R hyperlight C.3 TTBR0: ASID and CnP are no part of the root', () => {
    const tcr = 0x5_b510_3510n;
    const { lower } = aarch64Stage1FromRegisters({ tcr, ttbr0: 0xabcd_0000_4147_2001n, ttbr1: 0n });
    assert.equal(lower.root, 0x4147_2000n);
  });
});
