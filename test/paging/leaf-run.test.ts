import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory, heap, shared } from '../../src/core/index.ts';
import {
  createRoot,
  FORMATS,
  FrameRange,
  GuestTables,
  type MappingRecord,
  type MappingsOptions,
  map,
  mappings,
  type PagingFormat,
  type TableReadOps,
  Translator,
} from '../../src/paging/index.ts';

const SIZE = 0x10_0000;

/** A reproducible source of choices. */
function choices(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** 128 of the smallest pages, or 12 of 1 GiB: among those the lower 32 bits of addresses start again. */
function machine(format: PagingFormat, kind: 'heap' | 'shared', size: 'small' | 'large') {
  const memory = GuestMemory.fromRegions([
    { start: 0, backing: kind === 'heap' ? heap(SIZE) : shared(SIZE) },
  ]);
  const tables = new GuestTables(memory, { frames: new FrameRange(0x2_0000, SIZE - 0x2_0000) });
  createRoot(tables, format);
  const page = size === 'small' ? 4096 : 0x4000_0000;
  const gva = BigInt(page * 3);
  const count = size === 'small' ? 128 : 12;
  map(tables, { format, gva, gpa: page * 5, length: page * count, maxPageSize: page, write: true });
  const controls = /^(x86|npt|ept)/.test(format.name) ? { maxPhyAddr: 36 } : { physicalBits: 36 };
  const translator = new Translator({ tables, format, controls });
  // The same tables through somebody's own reader, which no table can be had from at once: there is no run.
  const slowly: TableReadOps<number> = {
    entryAddr: (table, offset) => tables.entryAddr(table, offset),
    readEntry: (address, size) => tables.readEntry(address, size),
    toPhys: (table) => tables.toPhys(table),
    fromPhys: (gpa) => tables.fromPhys(gpa),
    rootTable: () => tables.rootTable(),
  };
  return { memory, gva, page, count, translator, slow: new Translator({ tables: slowly, format, controls }) };
}

/** The list, and how it was come by does not matter. */
function both(
  { translator, slow }: ReturnType<typeof machine>,
  options: MappingsOptions,
  message: string,
): MappingRecord[] {
  const list = [...mappings(translator, { coalesce: false, ...options })];
  assert.deepEqual(list, [...mappings(slow, { coalesce: false, ...options })], message);
  return list;
}

describe('leaves that are listed one by one', () => {
  for (const format of FORMATS.filter(({ entrySize }) => entrySize === 8)) {
    for (const kind of ['heap', 'shared'] as const) {
      for (const size of ['small', 'large'] as const) {
        if (size === 'large' && format.name === 'x86-pae') continue;
        it(`T6: are the same whether their table is read at once or not: ${format.name}, ${size} pages, ${kind}`, () => {
          const choose = choices(format.name.length);
          const guest = machine(format, kind, size);
          const { memory, gva, page, count, translator } = guest;
          assert.equal(both(guest, {}, 'as they were made').length, count);
          const entries = Array.from({ length: count }, (_, n) => {
            const { levels } = translator.translate(gva + BigInt(n * page));
            return levels.at(-1)?.entryAddress ?? -1;
          });
          for (let round = 0; round < 200; round++) {
            const at = entries[choose(count)] ?? -1;
            const before = memory.readU64(at);
            memory.writeU64(at, before ^ (1n << BigInt(choose(64))));
            const first = gva + BigInt(choose(count / 2)) * BigInt(page) + BigInt(choose(page));
            const last = first + BigInt(choose(count)) * BigInt(page) + BigInt(choose(page));
            both(
              guest,
              { first, last, details: choose(2) === 0 },
              `round ${round}, 0x${first.toString(16)} to 0x${last.toString(16)}`,
            );
            both(guest, { first, budget: 1 + choose(count) }, `round ${round}, with a budget`);
            // Most go back, so that there are runs to the end.
            if (choose(4) > 0) memory.writeU64(at, before);
          }
        });
      }
    }
  }
});
