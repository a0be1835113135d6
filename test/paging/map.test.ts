import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory } from '../../src/core/index.ts';
import {
  BufferTables,
  createRoot,
  FrameRange,
  formatRights,
  GuestTables,
  isPagingError,
  type MapRequest,
  map,
  mappings,
  type PagingErrorCode,
  type PagingFormat,
  Translator,
  X86_4LEVEL,
  X86_32,
  X86_FORMATS,
  X86_PAE,
} from '../../src/paging/index.ts';

const FRAMES = 0x8_0000;

function setUp(
  format: PagingFormat,
  frames = 0x8_0000,
): { memory: GuestMemory; tables: GuestTables; translator: Translator } {
  const memory = GuestMemory.allocate(0x10_0000);
  const tables = new GuestTables(memory, { frames: new FrameRange(FRAMES, frames) });
  createRoot(tables, format);
  return { memory, tables, translator: new Translator({ tables, format }) };
}

function assertRefused(code: PagingErrorCode, memory: GuestMemory, act: () => unknown): void {
  const before = memory.readBytes(0, 0x10_0000);
  assert.throws(
    act,
    (error) => isPagingError(error) && error.code === code && /^Cannot /.test(error.message),
  );
  // Frames that were taken and given back may hold remains; what is reachable is unchanged.
  assert.deepEqual(
    memory.readBytes(FRAMES, 0x1000),
    before.slice(FRAMES, FRAMES + 0x1000),
    'the root is unchanged',
  );
}

describe('map', () => {
  it('T7: uses the largest pages that fit, on every format', () => {
    const sizes = new Map<string, number[]>([
      ['x86-32', [0x1000, 0x40_0000]],
      ['x86-pae', [0x1000, 0x20_0000]],
      ['x86-4level', [0x1000, 0x20_0000, 0x4000_0000]],
      ['x86-5level', [0x1000, 0x20_0000, 0x4000_0000]],
    ]);
    for (const format of X86_FORMATS) {
      for (const size of sizes.get(format.name) ?? []) {
        const { tables, translator } = setUp(format);
        const result = map(tables, { format, gva: 0x4000_0000n, gpa: size * 2, length: size, execute: true });
        assert.equal(result.leaves, 1);
        const mapped = translator.translate(0x4000_0000n + BigInt(size) - 1n);
        assert(mapped.kind === 'mapped');
        assert.deepEqual([mapped.pageSize, mapped.gpa], [size, size * 3 - 1]);
      }
    }
  });

  it('T7: new tables are empty, whatever was in their frames', () => {
    const memory = GuestMemory.allocate(0x10_0000);
    memory.fillAt(FRAMES, 0xff, 0x8_0000);
    const dirty = new Uint8Array(0x8_0000).fill(0xff);
    const guest = new GuestTables(memory, { frames: new FrameRange(FRAMES, 0x8_0000) });
    for (const tables of [guest, new BufferTables(dirty, FRAMES)]) {
      createRoot(tables, X86_4LEVEL);
      map(tables, { format: X86_4LEVEL, gva: 0x1000n, gpa: 0x5000, length: 0x1000 });
      assert.equal([...mappings(new Translator({ tables, format: X86_4LEVEL }))].length, 1);
    }
  });

  it('T7: a page that is not aligned on both sides is made of smaller ones; maxPageSize limits them', () => {
    const { tables, translator } = setUp(X86_4LEVEL);
    assert.deepEqual(map(tables, { format: X86_4LEVEL, gva: 0x20_0000n, gpa: 0x1000, length: 0x20_0000 }), {
      leaves: 512,
      tables: 3,
      invalidations: [],
      reloadRoot: false,
    });
    assert.equal(
      map(tables, { format: X86_4LEVEL, gva: 0x80_0000n, gpa: 0, length: 0x20_0000, maxPageSize: 4096 })
        .leaves,
      512,
    );
    const mapped = translator.translate(0x20_0000n);
    assert(mapped.kind === 'mapped');
    assert.deepEqual([mapped.gpa, mapped.pageSize], [0x1000, 0x1000]);
  });

  it('T7: encoding and decoding agree over all rights, memory types, flags and page sizes of every format', () => {
    for (const format of X86_FORMATS) {
      const keyed = format.attributes.some(({ attribute }) => attribute === 'protectionKey');
      const denies = format.rights.some(({ right }) => right === 'execute');
      for (const { indexBit, table } of format.levels) {
        if (table === 'always') continue;
        const { tables } = setUp(format);
        const translator = new Translator({ tables, format, controls: { pku: keyed, pks: keyed } });
        const size = 2 ** indexBit;
        let slot = 0;
        for (const write of [false, true]) {
          for (const execute of denies ? [false, true] : [true]) {
            for (const user of [false, true]) {
              for (const global of [false, true]) {
                for (let memoryType = 0; memoryType < 8; memoryType++) {
                  const gva = BigInt(slot) * BigInt(size);
                  if (gva >= 1n << BigInt(Math.min(format.addressBits, 33) - 1)) continue;
                  slot++;
                  const protectionKey = keyed ? slot % 16 : 0;
                  map(tables, {
                    format,
                    gva,
                    gpa: size,
                    length: size,
                    write,
                    execute,
                    user,
                    global,
                    memoryType,
                    protectionKey,
                  });
                  const mapped = translator.translate(gva + 5n);
                  assert(mapped.kind === 'mapped');
                  assert.equal(
                    formatRights(mapped.rights),
                    `r${write ? 'w' : '-'}${execute ? 'x' : '-'}${user ? 'u' : 's'}`,
                  );
                  assert.deepEqual(
                    [mapped.gpa, mapped.pageSize, mapped.memoryType, mapped.global, mapped.protectionKey],
                    [size + 5, size, memoryType, global, keyed ? protectionKey : undefined],
                  );
                  const entry = mapped.levels.at(-1)?.entry ?? 0n;
                  assert.equal((entry >> 5n) & 3n, write ? 3n : 1n, 'accessed; dirty only where writable');
                }
              }
            }
          }
        }
        assert(slot >= 4);
      }
    }
  });

  it('T7: PSE-36 maps above 4 GiB in pages of 4 MiB, and only so', () => {
    const { memory, tables, translator } = setUp(X86_32);
    map(tables, { format: X86_32, gva: 0x40_0000n, gpa: 0xab_cdc0_0000, length: 0x40_0000, execute: true });
    const mapped = translator.translate(0x40_1234n);
    assert(mapped.kind === 'mapped');
    assert.equal(mapped.gpa, 0xab_cdc0_1234);
    assertRefused('invalid', memory, () =>
      map(tables, { format: X86_32, gva: 0x80_0000n, gpa: 0x1_0000_0000, length: 0x1000, execute: true }),
    );
  });

  it('T7: PAE says when CR3 has to be loaded again', () => {
    const { tables } = setUp(X86_PAE);
    assert.equal(map(tables, { format: X86_PAE, gva: 0n, gpa: 0, length: 0x1000 }).reloadRoot, true);
    assert.equal(map(tables, { format: X86_PAE, gva: 0x1000n, gpa: 0, length: 0x1000 }).reloadRoot, false);
    assert.equal(
      map(tables, { format: X86_PAE, gva: 0x4000_0000n, gpa: 0, length: 0x1000 }).reloadRoot,
      true,
    );
  });

  it('T7: refuses what is wrong before anything is written, with a code', () => {
    const { memory, tables } = setUp(X86_4LEVEL);
    const good: MapRequest = { format: X86_4LEVEL, gva: 0x1000n, gpa: 0x1000, length: 0x1000 };
    const refusals: readonly (readonly [PagingErrorCode, Partial<MapRequest>])[] = [
      ['misaligned', { gva: 0x1001n }],
      ['misaligned', { gpa: 0x5004 }],
      ['misaligned', { length: 0x800 }],
      ['invalid', { length: 0 }],
      ['invalid', { length: -4096 }],
      ['invalid', { length: Number.NaN }],
      ['invalid', { gpa: -4096 }],
      ['invalid', { gpa: 2 ** 52 }],
      ['invalid', { gva: -4096n }],
      ['invalid', { gva: 2n ** 64n }],
      ['not-canonical', { gva: 0x8000_0000_0000n }],
      ['not-canonical', { gva: 0x7fff_ffff_f000n, length: 0x2000 }],
      ['not-canonical', { gva: 2n ** 64n - 0x1000n, length: 0x2000 }],
      ['invalid', { memoryType: 8 }],
      ['invalid', { protectionKey: 16 }],
      ['invalid', { maxPageSize: 100 }],
      ['invalid', { controls: { nxe: false } }],
      ['invalid', { controls: { maxPhyAddr: 36 }, gpa: 2 ** 36 }],
      ['invalid', { controls: { maxPhyAddr: 31 } }],
    ];
    for (const [code, change] of refusals)
      assertRefused(code, memory, () => map(tables, { ...good, ...change }));
    assert.equal(map(tables, good).leaves, 1);
  });

  it('T7: the last page of the address space can be mapped (hyperlight C.3 "last page")', () => {
    for (const format of X86_FORMATS) {
      const { tables, translator } = setUp(format);
      const gva = format.upperBits === 'signed' ? 2n ** 64n - 0x1000n : 0xffff_f000n;
      map(tables, { format, gva, gpa: 0x7000, length: 0x1000, execute: true });
      const mapped = translator.translate(gva + 0xfffn);
      assert(mapped.kind === 'mapped');
      assert.equal(mapped.gpa, 0x7fff);
    }
  });

  it('T7: all or nothing: taken, restricted, malformed, unreadable and short of frames leave the tables as they were', () => {
    const { memory, tables, translator } = setUp(X86_4LEVEL);
    const request = (gva: bigint, more: Partial<MapRequest> = {}): MapRequest => ({
      format: X86_4LEVEL,
      gva,
      gpa: 0x20_0000,
      length: 0x20_0000,
      maxPageSize: 4096,
      ...more,
    });
    map(tables, { format: X86_4LEVEL, gva: 0x3f_f000n, gpa: 0x5000, length: 0x1000 });
    const taken = memory.readBytes(FRAMES, 0x8_0000);
    // The very last page of the range is taken.
    assert.throws(() => map(tables, request(0x20_0000n)), { code: 'taken', gva: 0x3f_f000n, level: 1 });
    assert.deepEqual(memory.readBytes(FRAMES, 0x8_0000), taken);
    // ... or within a page that is larger than what is asked for.
    map(tables, { format: X86_4LEVEL, gva: 0x4000_0000n, gpa: 0, length: 0x4000_0000 });
    assert.throws(() => map(tables, request(0x5000_0000n)), { code: 'taken', level: 3 });

    const root = tables.rootTable();
    memory.writeU64(root + 8, memory.readU64(root) & ~4n);
    assert.throws(() => map(tables, request(0x80_0000_0000n, { user: true, length: 0x1000 })), {
      code: 'restricted',
      level: 4,
    });
    memory.writeU64(root + 16, memory.readU64(root) | 0x80n);
    assert.throws(() => map(tables, request(0x100_0000_0000n)), { code: 'malformed', level: 4 });
    memory.writeU64(root + 24, 0x7000_0000_0027n);
    assert.throws(() => map(tables, request(0x180_0000_0000n)), { code: 'table-unreadable', level: 3 });
    assert.equal(translator.translate(0x3f_f000n).kind, 'mapped');
    assert.equal(translator.translate(0x20_0000n).kind, 'page-fault');
  });

  it('T7: short of frames: nothing is mapped, and every frame is back', () => {
    // Root, then 3 tables for the first mapping; the second needs 3 more, of which 2 are there.
    const { memory, tables, translator } = setUp(X86_4LEVEL, 6 * 4096);
    map(tables, { format: X86_4LEVEL, gva: 0n, gpa: 0, length: 0x1000 });
    const before = memory.readBytes(FRAMES, 4 * 4096);
    const far = { format: X86_4LEVEL, gva: 0x80_0000_0000n, gpa: 0, length: 0x1000 };
    for (let i = 0; i < 3; i++) {
      assert.throws(() => map(tables, far), { code: 'no-frames' });
      assert.deepEqual(memory.readBytes(FRAMES, 4 * 4096), before);
      assert.equal(translator.translate(0x80_0000_0000n).kind, 'page-fault');
    }
    // The two frames serve what needs two.
    assert.equal(map(tables, { format: X86_4LEVEL, gva: 0x4000_0000n, gpa: 0, length: 0x1000 }).tables, 2);
    assert.throws(() => createRoot(tables, X86_4LEVEL), { code: 'no-frames' });
  });

  it('T7: a table that is reached twice is taken the second time, not overwritten', () => {
    const { memory, tables, translator } = setUp(X86_4LEVEL);
    map(tables, { format: X86_4LEVEL, gva: 0n, gpa: 0, length: 0x4000_0000 });
    const walk = translator.translate(0n);
    memory.writeU64(walk.levels[1]?.entryAddress ?? 0, 0n); // the directory is empty again
    const root = tables.rootTable();
    memory.writeU64(root + 8, memory.readU64(root)); // and serves two halves of the range
    const before = memory.readBytes(FRAMES, 0x8_0000);
    const twice = { format: X86_4LEVEL, gva: 0n, gpa: 0, length: 513 * 2 ** 30 };
    assert.throws(() => map(tables, twice), { code: 'taken', gva: 0x80_0000_0000n });
    assert.deepEqual(memory.readBytes(FRAMES, 0x8_0000), before);
    assert.equal(map(tables, { ...twice, length: 512 * 2 ** 30 }).leaves, 512);
  });

  it('T7: roots of PAE and 32-bit x86 have to be below 4 GiB', () => {
    for (const format of [X86_32, X86_PAE]) {
      const tables = new BufferTables(new Uint8Array(0x1000), 0x1_0000_0000);
      assert.throws(() => createRoot(tables, format), { code: 'invalid' });
      assert.equal(createRoot(tables, X86_4LEVEL), 0x1_0000_0000);
    }
  });

  for (const format of X86_FORMATS) {
    it(`T7: ${format.name}: build, walk, compare with a map model`, () => {
      const bases =
        format.upperBits === 'signed'
          ? [0n, 0x7fff_c000_0000n, 0xffff_8000_0000_0000n, 2n ** 64n - 0x100_0000n]
          : [0n, 0x4000_0000n, 0xff00_0000n];
      const request = fc.record({
        base: fc.constantFrom(...bases),
        page: fc.oneof(
          fc.integer({ min: 0, max: 64 }),
          fc.integer({ min: 500, max: 530 }),
          fc.integer({ min: 1020, max: 1030 }),
        ),
        pages: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constantFrom(512, 513, 1024, 1536)),
        frame: fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.constantFrom(0x400, 0x800, 0x1_0000)),
        write: fc.boolean(),
        user: fc.boolean(),
      });
      fc.assert(
        fc.property(fc.array(request, { minLength: 1, maxLength: 6 }), (requests) => {
          const { tables, translator } = setUp(format);
          const model = new Map<bigint, { gpa: number; rights: string }>();
          for (const { base, page, pages, frame, write, user } of requests) {
            const gva = base + BigInt(page) * 4096n;
            const fits =
              gva + BigInt(pages) * 4096n <= (format.upperBits === 'signed' ? 2n ** 64n : 2n ** 32n);
            const free = Array.from({ length: pages }, (_, i) => gva + BigInt(i) * 4096n).every(
              (at) => !model.has(at),
            );
            const act = (): unknown =>
              map(tables, {
                format,
                gva,
                gpa: frame * 4096,
                length: pages * 4096,
                write,
                user,
                execute: true,
              });
            if (!fits) assert.throws(act, { code: 'not-canonical' });
            else if (!free) assert.throws(act, { code: 'taken' });
            else {
              act();
              for (let i = 0; i < pages; i++) {
                const rights = `r${write ? 'w' : '-'}x${user ? 'u' : 's'}`;
                model.set(gva + BigInt(i) * 4096n, { gpa: (frame + i) * 4096, rights });
              }
            }
          }
          for (const [gva, { gpa, rights }] of model) {
            const mapped = translator.translate(gva + 0x123n);
            assert(mapped.kind === 'mapped');
            assert.deepEqual([mapped.gpa, formatRights(mapped.rights)], [gpa + 0x123, rights]);
            for (const beside of [gva - 4096n, gva + 4096n]) {
              if (beside < 0n || model.has(beside)) continue;
              if (beside < 2n ** 64n) assert.notEqual(translator.translate(beside).kind, 'mapped');
            }
          }
        }),
        { numRuns: 25 },
      );
    });
  }
});
