import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { bytes, GuestMemory } from '../../src/core/index.ts';
import {
  formatRights,
  mappings,
  type PagingFormat,
  Translator,
  X86_4LEVEL,
  X86_5LEVEL,
  X86_FORMATS,
} from '../../src/paging/index.ts';
import { ALL_ACCESSES, assertSame, machinePair } from './support/machine.ts';
import { DEFAULT_CONTROLS, type NaiveOutcome, naiveTranslate } from './support/naive-walk.ts';

const PAGES = 8;

/** Entries that a malicious guest might write: mostly present, pointing mostly into the few pages there are. */
const entry: fc.Arbitrary<bigint> = fc
  .record({
    page: fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 0, max: PAGES }) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 2 ** 31 - 1 }) },
    ),
    flags: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(0x1, 0x3, 0x7, 0x27, 0x67, 0x87, 0x83, 0x1e7, 0x5) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xfff }) },
    ),
    high: fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(0n, 1n << 63n) },
      { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 0xfffn }).map((value) => value << 52n) },
    ),
  })
  .map(({ page, flags, high }) => (BigInt(page) << 12n) | BigInt(flags) | high);

const tables: fc.Arbitrary<{ seed: bigint[]; flags: number }> = fc.record({
  seed: fc.array(entry, { minLength: 1, maxLength: 24 }),
  flags: fc.integer({ min: 0, max: 255 }),
});

/** A memory filled with the entries over and over, so that every walk meets them. */
function fill(seed: readonly bigint[], format: PagingFormat): GuestMemory {
  const memory = GuestMemory.allocate(PAGES * 4096);
  for (let gpa = 0, i = 0; gpa < PAGES * 4096; gpa += format.entrySize, i++) {
    const value = seed[(i * 7 + (i >> 5)) % seed.length] ?? 0n;
    if (format.entrySize === 8) memory.writeU64(gpa, value);
    else memory.writeU32(gpa, Number(value & 0xffff_ffffn));
  }
  return memory;
}

function controlsOf(flags: number): typeof DEFAULT_CONTROLS {
  return {
    ...DEFAULT_CONTROLS,
    maxPhyAddr: [52, 46, 40, 36][flags & 3] ?? 52,
    nxe: (flags & 4) !== 0,
    wp: (flags & 8) !== 0,
    smep: (flags & 16) !== 0,
    smap: (flags & 32) !== 0,
    gigabytePages: (flags & 64) !== 0,
    pse: (flags & 128) !== 0,
  };
}

describe('hostile tables', () => {
  for (const format of X86_FORMATS) {
    it(`T2 T3: ${format.name}: any bytes as tables, any address, any access: the naive walker's outcome`, () => {
      fc.assert(
        fc.property(
          tables,
          fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 8, maxLength: 8 }),
          ({ seed, flags }, addresses) => {
            const memory = fill(seed, format);
            const pair = machinePair(memory, format, 0n, controlsOf(flags));
            for (const address of addresses) {
              const inFormat = BigInt.asUintN(64, BigInt.asIntN(format.addressBits, address));
              const gva = format.upperBits === 'signed' ? inFormat : BigInt.asUintN(32, address);
              for (const access of ALL_ACCESSES) {
                assertSame(pair, gva, access, `0x${gva.toString(16)}`);
                assertSame(pair, address, access, `0x${address.toString(16)}`);
              }
            }
          },
        ),
        { numRuns: 20 },
      );
    });

    it(`T6: ${format.name}: any bytes as tables: what is listed is what the naive walker finds, within the budget`, () => {
      fc.assert(
        fc.property(
          tables,
          fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
          fc.boolean(),
          ({ seed, flags }, address, coalesce) => {
            const memory = fill(seed, format);
            const controls = controlsOf(flags);
            const { translator, naive } = machinePair(memory, format, 0n, controls);
            const inFormat = BigInt.asUintN(64, BigInt.asIntN(format.addressBits, address));
            const first = (format.upperBits === 'signed' ? inFormat : BigInt.asUintN(32, address)) & ~0xfffn;
            let last: bigint = -1n;
            let records = 0;
            for (const record of mappings(translator, {
              first,
              budget: 600,
              coalesce,
              expandAliases: true,
            })) {
              records++;
              assert(record.gva > last, 'in the order of addresses, without overlap');
              if (record.kind === 'budget') {
                assert.equal(record.reads, 600);
                break;
              }
              last = record.gva + BigInt(record.size) - 1n;
              for (const gva of [record.gva, last]) {
                const outcome: NaiveOutcome = naiveTranslate(naive, gva, {
                  kind: 'read',
                  user: false,
                  ac: true,
                });
                if (record.kind === 'mapped') {
                  assert(outcome.kind === 'mapped');
                  assert.equal(outcome.gpa, BigInt(record.gpa) + (gva - record.gva));
                  assert.equal(outcome.pageSize, BigInt(record.pageSize));
                  assert.equal(outcome.memoryType, record.memoryType);
                  assert.equal(outcome.global, record.global);
                  assert.equal(outcome.rights, formatRights(record.rights));
                } else if (record.kind === 'table-unreadable') {
                  assert(outcome.kind === 'table-unreadable');
                  assert.equal(outcome.level, record.level);
                } else {
                  assert(record.kind === 'reserved' && outcome.kind === 'page-fault');
                  assert.equal(outcome.errorCode & 9, 9);
                  assert.equal(outcome.level, record.level);
                }
              }
            }
            assert(records <= 601);
          },
        ),
        { numRuns: 20 },
      );
    });
  }

  it('T6, R hyperlight C.3 self: a root whose 512 entries point at itself is complete with aliases, in a few thousand reads', () => {
    for (const format of [X86_4LEVEL, X86_5LEVEL]) {
      const memory = GuestMemory.allocate(0x2000);
      for (let i = 0; i < 512; i++) memory.writeU64(0x1000 + i * 8, 0x1003n);
      const translator = new Translator({ memory, format, root: 0x1000 });
      const records = [...mappings(translator)];
      const levels = format.levels.length;
      // One table at each level is listed; its 511 repeats are aliases of it.
      const aliases = records.filter(({ kind }) => kind === 'alias');
      assert.equal(aliases.length, 511 * (levels - 1));
      // Every leaf of the one last table maps the root itself, so that nothing coalesces.
      assert.equal(records.filter(({ kind }) => kind === 'mapped').length, 512);
      assert.equal(records.length, aliases.length + 512);
      // It all fits into exactly one read per entry and level.
      const exact = [...mappings(translator, { budget: 512 * levels })];
      assert.equal(exact.at(-1)?.kind, 'alias');
    }
  });

  it('T6: the same with every alias expanded: ends as "budget", after exactly that many reads', () => {
    const memory = GuestMemory.allocate(0x2000);
    for (let i = 0; i < 512; i++) memory.writeU64(0x1000 + i * 8, 0x1003n);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0x1000 });
    let count = 0;
    let end: unknown;
    for (const record of mappings(translator, { expandAliases: true, budget: 50_000 })) {
      count++;
      end = record;
    }
    assert.deepEqual(end, { kind: 'budget', gva: (end as { gva: bigint }).gva, reads: 50_000 });
    assert(count < 50_000);
  });

  it('T2 T6: tables that point outside of memory are unreadable, not absent, one record for each hole', () => {
    const memory = GuestMemory.allocate(0x2000);
    for (let i = 0; i < 512; i++) memory.writeU64(0x1000 + i * 8, (BigInt(0x10_0000 + 2 * i) << 12n) | 3n);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0x1000 });
    const outcome = translator.translate(0x1234_5678n);
    assert(outcome.kind === 'table-unreadable');
    assert.deepEqual([outcome.level, outcome.address], [3, 0x1_0000_0000]);
    const records = [...mappings(translator)];
    assert.equal(records.length, 512);
    for (const [i, record] of records.entries()) {
      assert(record.kind === 'table-unreadable');
      assert.deepEqual([record.level, record.address, record.size], [3, (0x10_0000 + 2 * i) * 4096, 2 ** 39]);
    }
  });

  it('T6: a table that is cut off in its middle is listed up to there', () => {
    const view = new Uint8Array(0x1800);
    const memory = GuestMemory.from(bytes(view));
    memory.writeU64(0x0, 0x1003n);
    for (let i = 0; i < 256; i++) memory.writeU64(0x1000 + i * 8, (BigInt(i) << 30n) | 0x83n);
    const translator = new Translator({ memory, format: X86_4LEVEL, root: 0 });
    assert.deepEqual(
      [...mappings(translator)].map(({ kind, gva, ...rest }) => [kind, gva, 'size' in rest ? rest.size : 0]),
      [
        ['mapped', 0n, 2 ** 38],
        ['table-unreadable', 2n ** 38n, 2 ** 38],
      ],
    );
  });
});
