import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  aarch64Stage1Format,
  createRoot,
  FrameRange,
  formatRights,
  GuestTables,
  map,
  merge,
  protect,
  Translator,
} from '../../src/paging/index.ts';

const FORMAT = aarch64Stage1Format({ granule: 4096, inputBits: 39 });
const GVA = 0x20_0000n;
const DBM = 1n << 51n;
/** SH[1:0]: outer shareable, which is not what new leaves get. */
const OUTER = 2n << 8n;

function setUp(length = 0x20_0000): {
  readonly memory: GuestMemory;
  readonly tables: GuestTables;
  leaf(gva: bigint): { readonly address: number; readonly entry: bigint; readonly level: number };
} {
  const memory = GuestMemory.allocate(0x10_0000);
  const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
  createRoot(tables, FORMAT);
  map(tables, { format: FORMAT, gva: GVA, gpa: 0x4000_0000, length, write: true });
  return {
    memory,
    tables,
    leaf(gva) {
      const last = new Translator({ tables, format: FORMAT }).translate(gva).levels.at(-1);
      assert(last !== undefined);
      return { address: last.entryAddress, entry: last.entry, level: last.level };
    },
  };
}

describe('changing AArch64 tables', () => {
  const controls = { hd: true } as const;

  it('T7: a page that hardware may make writable loses that with the right', () => {
    const { memory, tables, leaf } = setUp(0x2000);
    const { address, entry } = leaf(GVA);
    // Clean: AP[2] set, DBM set. With TCR_EL1.HD that is writable.
    memory.writeU64(address, entry | 0x80n | DBM);
    const translator = new Translator({ tables, format: FORMAT, controls });
    assert.equal(translator.translate(GVA, { kind: 'write' }).kind, 'mapped');

    const { invalidations } = protect(tables, {
      format: FORMAT,
      controls,
      gva: GVA,
      length: 0x1000,
      write: false,
    });
    assert.equal(translator.translate(GVA, { kind: 'write' }).kind, 'page-fault');
    assert.deepEqual(
      invalidations.map(({ why }) => why),
      ['changed'],
    );
    assert.equal(leaf(GVA).entry & DBM, 0n);
    assert.equal(translator.translate(GVA + 0x1000n, { kind: 'write' }).kind, 'mapped');
  });

  it('T7: other changes leave dirty state and shareability as they are', () => {
    const { memory, tables, leaf } = setUp(0x1000);
    const { address, entry } = leaf(GVA);
    assert.equal((entry >> 8n) & 3n, 3n, 'new leaves are inner shareable');
    const own = (entry & ~0x300n) | OUTER | 0x80n | DBM | (5n << 55n);
    memory.writeU64(address, own);
    protect(tables, { format: FORMAT, controls, gva: GVA, length: 0x1000, user: true });
    assert.equal(leaf(GVA).entry, own | 0x40n);
  });

  it('T7: what is split says what the block said', () => {
    const { memory, tables, leaf } = setUp();
    const { address, entry, level } = leaf(GVA);
    assert.equal(level, 2);
    // Outer shareable, clean, and bits that a block ignores where a page has its address (nT, and RES0).
    memory.writeU64(address, (entry & ~0x300n) | OUTER | 0x80n | DBM | (0x11n << 12n));
    protect(tables, { format: FORMAT, controls, gva: GVA + 0x5000n, length: 0x1000, user: true });
    for (const page of [0n, 4n, 5n, 6n, 511n]) {
      const at = GVA + page * 0x1000n;
      const mapped = new Translator({ tables, format: FORMAT, controls }).translate(at, { kind: 'write' });
      assert(mapped.kind === 'mapped');
      assert.equal(mapped.gpa, 0x4000_0000 + Number(page) * 0x1000);
      assert.equal(formatRights(mapped.rights), page === 5n ? 'rw-u' : 'rw-s');
      const { entry: small } = leaf(at);
      assert.equal(small & (0x380n | DBM), OUTER | 0x80n | DBM);
    }
  });

  it('T7: split and merge are each other’s inverse', () => {
    const { memory, tables, leaf } = setUp();
    const { address, entry } = leaf(GVA);
    const block = (entry & ~0x300n) | OUTER | (3n << 55n);
    memory.writeU64(address, block);
    const part = { format: FORMAT, gva: GVA + 0x5000n, length: 0x1000 };
    protect(tables, { ...part, user: true });
    assert.equal(leaf(GVA).level, 3);
    protect(tables, { ...part, user: false });
    merge(tables, { format: FORMAT, gva: GVA, length: 0x20_0000 });
    assert.deepEqual(leaf(GVA), { address, entry: block, level: 2 });
  });
});
