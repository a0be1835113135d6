import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytes, GuestMemory } from '../../src/core/index.ts';
import {
  ACCESS,
  BufferTables,
  createRoot,
  FrameRange,
  GuestTables,
  map,
  type PagingFormat,
  type TableReadOps,
  Translator,
  X86_4LEVEL,
  X86_FORMATS,
} from '../../src/paging/index.ts';

const A = 0x20n;
const D = 0x40n;

function tablesWith(format: PagingFormat, memory: GuestMemory): GuestTables {
  const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
  createRoot(tables, format);
  map(tables, {
    format,
    gva: 0x1000n,
    gpa: 0x5000,
    length: 0x1000,
    write: true,
    execute: true,
    accessed: false,
    dirty: false,
  });
  return tables;
}

/** Clears what is set in the entries of a walk. */
function unmark(memory: GuestMemory, translator: Translator, size: 4 | 8): number[] {
  const mapped = translator.translate(0x1234n);
  assert(mapped.kind === 'mapped');
  return mapped.levels.map(({ entryAddress, entry }) => {
    const clean = entry & ~(A | D);
    if (size === 8) memory.writeU64(entryAddress, clean);
    else memory.writeU32(entryAddress, Number(clean));
    return entryAddress;
  });
}

describe('accessed and dirty marks', () => {
  for (const format of X86_FORMATS) {
    it(`T4: ${format.name}: reading marks every entry as accessed, writing the leaf as dirty, looking nothing`, () => {
      const memory = GuestMemory.allocate(0x10_0000);
      const tables = tablesWith(format, memory);
      const looking = new Translator({ tables, format });
      const marking = new Translator({ tables, format, controls: { accessedDirty: 'update' } });
      const addresses = unmark(memory, looking, format.entrySize);
      const read = (address: number): bigint =>
        format.entrySize === 8 ? memory.readU64(address) : BigInt(memory.readU32(address));
      const marks = (): bigint[] => addresses.map((address) => read(address) & (A | D));
      // PAE's four root entries have no marks (SDM 3A, 5.4.1).
      const tableMark = (i: number, mark: bigint): bigint =>
        format.name === 'x86-pae' && i === 0 ? 0n : mark;
      const leaf = addresses.length - 1;

      assert.equal(looking.resolve(0x1234, 0, ACCESS.write), 0x5234);
      assert.deepEqual(
        marks(),
        addresses.map(() => 0n),
      );
      assert.equal(marking.resolve(0x1234, 0, ACCESS.userRead), -1);
      assert.deepEqual(
        marks(),
        addresses.map(() => 0n),
        'a fault marks nothing',
      );
      assert.equal(marking.resolve(0x1234, 0, ACCESS.read), 0x5234);
      assert.deepEqual(
        marks(),
        addresses.map((_, i) => tableMark(i, A)),
      );
      const mapped = marking.translate(0x1234n, { kind: 'write' });
      assert(mapped.kind === 'mapped');
      assert.deepEqual(
        marks(),
        addresses.map((_, i) => (i === leaf ? A | D : tableMark(i, A))),
      );
      assert.equal(
        (mapped.levels.at(-1)?.entry ?? 0n) & (A | D),
        A | D,
        'the story is that of the marked entry',
      );
    });
  }

  it('T4: x86 has no fault for a missing mark', () => {
    const memory = GuestMemory.allocate(0x1000);
    const controls = JSON.parse('{ "accessedDirty": "fault" }') as object;
    assert.throws(() => new Translator({ memory, format: X86_4LEVEL, root: 0, controls }), {
      code: 'invalid',
      message: /accessedDirty fault/,
    });
  });

  it('T4: an entry that changes between look and mark is looked at again, and the change is not lost', () => {
    const buffer = new BufferTables(new Uint8Array(0x8000), 0);
    createRoot(buffer, X86_4LEVEL);
    map(buffer, { format: X86_4LEVEL, gva: 0n, gpa: 0x5000, length: 0x1000, accessed: false });
    let interfere: ((addr: number) => void) | undefined;
    const tables: TableReadOps<number> = {
      entryAddr: (addr, offset) => addr + offset,
      readEntry: (addr, size) => buffer.readEntry(addr, size),
      compareExchangeEntry: (addr, expected, desired, size) => {
        interfere?.(addr);
        return buffer.compareExchangeEntry(addr, expected, desired, size);
      },
      toPhys: (addr) => addr,
      fromPhys: (gpa) => gpa,
      rootTable: () => buffer.rootTable(),
    };
    const marking = new Translator({ tables, format: X86_4LEVEL, controls: { accessedDirty: 'update' } });
    const leaf =
      new Translator({ tables, format: X86_4LEVEL }).translate(0n).levels.at(-1)?.entryAddress ?? 0;

    interfere = (addr) => {
      if (addr !== leaf) return;
      // Somebody moves the page: the walk must end at the new one, and mark that.
      interfere = undefined;
      buffer.writeEntry(leaf, 0x6001n, 8);
    };
    assert.equal(marking.resolve(0x123, 0, ACCESS.read), 0x6123);
    assert.equal(buffer.readEntry(leaf, 8), 0x6021n);

    buffer.writeEntry(leaf, 0x6001n, 8);
    interfere = (addr) => {
      if (addr === leaf) buffer.writeEntry(leaf, 0n, 8);
    };
    assert.equal(marking.resolve(0x123, 0, ACCESS.read), -1);
    assert.equal(marking.fault.reason, 'not-present');

    let flips = 0;
    buffer.writeEntry(leaf, 0x6001n, 8);
    interfere = (addr) => {
      if (addr === leaf) buffer.writeEntry(leaf, 0x6001n | (BigInt(++flips % 2) << 9n), 8);
    };
    assert.throws(() => marking.resolve(0x123, 0, ACCESS.read), {
      name: 'PagingError',
      code: 'contended',
      message: /entries for 0x123: somebody else changed one in each of 1000 attempts/,
      gva: 0x123n,
    });
    assert.equal(flips, 1000);
  });

  it('T4: tables that cannot be written are tables that cannot be used for marking', () => {
    const raw = new Uint8Array(0x10_0000);
    tablesWith(X86_4LEVEL, GuestMemory.fromRegions([{ start: 0, backing: bytes(raw) }]));
    const memory = GuestMemory.fromRegions([{ start: 0, backing: bytes(raw), access: 'r' }]);
    const controls = { accessedDirty: 'update' } as const;
    const marking = new Translator({ memory, format: X86_4LEVEL, root: 0x8_0000, controls });
    const found = marking.translate(0x1000n);
    assert.equal(found.kind, 'table-unreadable');
    const tables: TableReadOps<number> = {
      entryAddr: (addr, offset) => addr + offset,
      readEntry: (addr) => memory.readU64(addr),
      toPhys: (addr) => addr,
      fromPhys: (gpa) => gpa,
      rootTable: () => 0x8_0000,
    };
    assert.throws(() => new Translator({ tables, format: X86_4LEVEL, controls }), {
      code: 'invalid',
      message: /compareExchangeEntry/,
    });
  });
});
