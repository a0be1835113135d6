import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { alias, GuestMemory, isGuestMemoryError } from '../../src/core/index.ts';
import {
  aarch64Stage1Format,
  BufferTables,
  createRoot,
  FrameRange,
  GuestTables,
  map,
  merge,
  type PagingFormat,
  protect,
  Translator,
  unmap,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const LARGE = 0x20_0000;
const AARCH64 = aarch64Stage1Format({ granule: 4096, inputBits: 48 });

/** Tables whose entries can be written so many times and then no more. */
class Failing extends BufferTables {
  writes = Number.POSITIVE_INFINITY;
  error: unknown = new Error('no more');
  override writeEntry(addr: number, entry: bigint, size: 4 | 8): void {
    if (this.writes === 0) {
      this.writes = Number.POSITIVE_INFINITY;
      throw this.error;
    }
    this.writes--;
    super.writeEntry(addr, entry, size);
  }
}

const BASE = 0x10_0000;

function setUp(format: PagingFormat): { readonly tables: Failing; readonly bytes: Uint8Array } {
  const bytes = new Uint8Array(0x1_0000);
  const tables = new Failing(bytes, BASE);
  createRoot(tables, format);
  return { tables, bytes };
}

function references(tables: BufferTables): number[] {
  return Array.from({ length: 16 }, (_, i) => tables.tableReferences(BASE + i * 4096));
}

describe('an edit that cannot be done', () => {
  it('T7: is refused before the first write where a table cannot be written', () => {
    const format = X86_4LEVEL;
    const memory = GuestMemory.allocate(0x20_0000);
    const tables = new GuestTables(memory, { frames: new FrameRange(0, 0x10_0000) });
    const root = createRoot(tables, format);
    map(tables, { format, gva: 0n, gpa: 0x40_0000, length: 0x1000 });
    const more = new GuestTables(memory, { root, frames: new FrameRange(0x10_0000, 0x10_0000) });
    map(more, { format, gva: 0x20_0000n, gpa: 0x60_1000, length: 0x1000 });
    const half = GuestMemory.fromRegions([
      { start: 0, backing: alias(memory, 0, 0x10_0000) },
      { start: 0x10_0000, backing: alias(memory, 0x10_0000, 0x10_0000), access: 'r' },
    ]);
    const frames = new FrameRange(0x8_0000, 0x8_0000);
    const partly = new GuestTables(half, { root, frames });
    const before = memory.readBytes(0, 0x20_0000);
    const refused = {
      name: 'PagingError',
      code: 'table-unwritable',
      gva: 0x20_0000n,
      entryAddress: 0x10_0000,
    };
    assert.throws(() => unmap(partly, { format, gva: 0n, length: 0x20_1000 }), refused);
    assert.throws(() => protect(partly, { format, gva: 0x20_0000n, length: 0x1000, write: true }), refused);
    assert.throws(() => map(partly, { format, gva: 0x20_1000n, gpa: 0, length: 0x1000 }), {
      ...refused,
      gva: 0x20_1000n,
      entryAddress: 0x10_0008,
    });
    assert.deepEqual(memory.readBytes(0, 0x20_0000), before);
    assert.equal(frames.used, 0);
  });

  for (const format of [X86_4LEVEL, AARCH64]) {
    it(`T7: ${format.name}: is undone where a write or the invalidation throws, at any point`, () => {
      const whole = { format, gva: BigInt(LARGE), length: LARGE };
      const edits: readonly ((tables: BufferTables, invalidate: () => void) => unknown)[] = [
        (tables, invalidate) => unmap(tables, { ...whole, gva: 0n, length: 3 * LARGE, invalidate }),
        (tables, invalidate) => unmap(tables, { ...whole, gva: 0x1000n, length: LARGE + 0x1000, invalidate }),
        (tables, invalidate) =>
          protect(tables, { ...whole, gva: 0x1000n, length: LARGE + 0x1000, write: true, invalidate }),
        (tables, invalidate) =>
          protect(tables, { ...whole, gva: 0x1000n, length: 0x3000, memoryType: 1, invalidate }),
        (tables, invalidate) =>
          merge(tables, { ...whole, gva: BigInt(2 * LARGE), length: LARGE, invalidate }),
      ];
      for (const [number, edit] of edits.entries()) {
        const { tables, bytes } = setUp(format);
        map(tables, { ...whole, gva: 0n, gpa: LARGE, length: LARGE, maxPageSize: 4096 });
        map(tables, { ...whole, gpa: 4 * LARGE });
        map(tables, { ...whole, gva: BigInt(2 * LARGE), gpa: 6 * LARGE, maxPageSize: 4096 });
        const used = tables.used;
        const before = bytes.slice(0, used);
        const counted = references(tables);
        const intact = (what: string): void => {
          assert(
            before.every((byte, i) => byte === bytes[i]),
            `${format.name}, edit ${number}, ${what}`,
          );
          assert.deepEqual(references(tables).slice(0, used / 4096), counted.slice(0, used / 4096), what);
        };
        const failed = new Error('shootdown timed out');
        assert.throws(
          () =>
            edit(tables, () => {
              throw failed;
            }),
          failed,
        );
        intact('invalidation');
        let step = 0;
        // Every early step, and fewer and fewer of the later ones.
        for (; ; step += 1 + Math.floor(step / 2)) {
          tables.writes = step;
          try {
            edit(tables, () => undefined);
            break;
          } catch (error) {
            assert.equal(error, tables.error);
            intact(`write ${step}`);
          }
        }
        assert(step > 0);
      }
    });
  }

  it('T7: frames of new tables go back, unless the hardware may have met them', () => {
    for (const format of [X86_4LEVEL, AARCH64]) {
      const { tables } = setUp(format);
      map(tables, { format, gva: 0n, gpa: 0, length: LARGE });
      const invalidate = (): never => {
        throw new Error('shootdown timed out');
      };
      const before = references(tables).filter((count) => count > 0).length;
      assert.throws(() => protect(tables, { format, gva: 0n, length: 0x1000, write: true, invalidate }));
      const after = references(tables).filter((count) => count > 0).length;
      // Where a leaf is broken first, nothing has led to the table yet.
      assert.equal(after - before, format === AARCH64 ? 0 : 1);
      const translator = new Translator({ tables, format });
      assert.equal(translator.resolveGva(0x1f_0000n, 0), 0x1f_0000);
    }
  });

  it('T7: a table that the hardware met between two writes stays given out, each other one goes back', () => {
    for (const [made, kept] of [
      [0, 0],
      [1, 2],
    ] as const) {
      const { tables } = setUp(AARCH64);
      map(tables, { format: AARCH64, gva: 0n, gpa: 0, length: 2 * LARGE });
      const before = references(tables).filter((count) => count > 0).length;
      // Two tables are filled, a page in each changed, and two leaves broken; the first is made, the second not.
      tables.writes = 2 * (512 + 1) + 2 + made;
      const range = { format: AARCH64, gva: BigInt(LARGE - 0x1000), length: 0x2000 };
      assert.throws(() => protect(tables, { ...range, write: true }), /no more/);
      const after = references(tables).filter((count) => count > 0).length;
      assert.equal(after - before, kept);
      const translator = new Translator({ tables, format: AARCH64 });
      assert.deepEqual(
        [0, LARGE].map((gva) => translator.resolveGva(BigInt(gva), 0)),
        [0, LARGE],
      );
    }
  });

  it('T7: memory that is gone when it is written says so, with its cause', () => {
    const memory = GuestMemory.allocate(0x10_0000);
    class Hopeful extends GuestTables {
      override canWriteEntry(): boolean {
        return true;
      }
    }
    const format = X86_4LEVEL;
    const tables = new GuestTables(memory, { frames: new FrameRange(0, 0x8_0000) });
    const root = createRoot(tables, format);
    map(tables, { format, gva: 0n, gpa: 0, length: 0x1000 });
    const backing = alias(memory, 0, 0x10_0000);
    const reading = GuestMemory.fromRegions([{ start: 0, backing, access: 'r' }]);
    const hopeful = new Hopeful(reading, { root, frames: new FrameRange(0x8_0000, 0x8_0000) });
    assert.throws(
      () => unmap(hopeful, { format, gva: 0n, length: 0x1000 }),
      (error) => {
        assert(error instanceof Error && error.name === 'PagingError');
        assert('code' in error && error.code === 'table-unwritable');
        assert(isGuestMemoryError(error.cause) && error.cause.code === 'denied');
        return true;
      },
    );
  });

  it('T7: a frame outside of memory is an error of this room, and goes back', () => {
    const frames = new FrameRange(0, 0x10_0000);
    const tables = new GuestTables(GuestMemory.allocate(0x2000), { frames });
    const format = X86_4LEVEL;
    createRoot(tables, format);
    const refused = { name: 'PagingError', code: 'table-unwritable' };
    assert.throws(() => map(tables, { format, gva: 0n, gpa: 0, length: 0x1000 }), refused);
    assert.equal(frames.owns(0x1000) || frames.owns(0x2000), false);
    const outside = new FrameRange(0x2000, 0x1000);
    assert.throws(() => createRoot(new GuestTables(tables.memory, { frames: outside }), format), refused);
    assert.equal(outside.owns(0x2000), false);
    assert.equal(tables.rootTable(), 0);
  });

  it('T7: a root that cannot be set goes back', () => {
    class Fixed extends BufferTables {
      override updateRoot(): void {
        throw new Error('the register is fixed');
      }
    }
    const tables = new Fixed(new Uint8Array(0x2000), BASE);
    assert.throws(() => createRoot(tables, X86_4LEVEL), /register is fixed/);
    assert.equal(tables.tableReferences(BASE), 0);
  });
});
