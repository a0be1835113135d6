import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DirtyLog } from '../../src/core/dirty-log.ts';
import { withLog } from '../../src/core/dirty-tracking.ts';
import {
  bytes,
  callbacks,
  copyOnWrite,
  GuestMemory,
  heap,
  type Layout,
  type MemoryBacking,
  PageRights,
  shared,
  trackDirty,
  wasm,
} from '../../src/core/index.ts';
import { type MapEntry, makeEntry, type RegionInit } from '../../src/core/memory-map.ts';
import { withRights } from '../../src/core/protection.ts';
import type { Region } from '../../src/core/region.ts';
import { pattern, patternWithoutNaN, SCALARS } from '../support/scalars.ts';
import { newWasmMemory } from '../support/wasm-memory.ts';

const START = 0xf_ffff_e000;
const SIZE = 0x3004;
const WIDTHS = [1, 2, 4, 8] as const;

function entry(backing: MemoryBacking, init: Partial<RegionInit> = {}): MapEntry {
  return makeEntry({ start: START, backing, ...init }, { operation: 'make' });
}

function only({ pieces }: MapEntry): Region {
  const [piece] = pieces;
  assert(piece !== undefined && pieces.length === 1);
  return piece;
}

function log(pageSize?: number): DirtyLog {
  return DirtyLog.create(SIZE, pageSize === undefined ? {} : { pageSize });
}

/** What one look at a region may answer: an aligned scalar inside, if the road is open at all. */
function check(region: Region, open: { readonly read: boolean; readonly write: boolean }): void {
  const { start, size } = region;
  const near = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    size - 9,
    size - 8,
    size - 4,
    size - 3,
    size - 2,
    size - 1,
    size,
    size + 8,
  ];
  for (const offset of [
    ...near,
    -1,
    -4,
    -8,
    0.5,
    8.25,
    Number.NaN,
    2 ** 32,
    2 ** 32 + 8,
    2 ** 33,
    -(2 ** 32),
  ]) {
    for (const width of WIDTHS) {
      const inside =
        Number.isInteger(offset) && offset >= 0 && offset + width <= size && offset % width === 0;
      const at = `${width} bytes at offset ${offset}`;
      assert.equal(region.holds(start + offset, width), open.read && inside, `read ${at}`);
      assert.equal(region.holdsWritable(start + offset, width), open.write && inside, `write ${at}`);
    }
  }
}

describe('P1 M5: the quick road to a scalar', () => {
  it('P1 M5: is open for aligned scalars inside plain memory, private or shared, and for no others', () => {
    for (const backing of [heap(SIZE), shared(SIZE), bytes(new Uint8Array(SIZE + 16).subarray(16))])
      check(only(entry(backing)), { read: true, write: true });
  });

  it('P1 M2: is closed to what is no plain access: calls, memory that grows or comes on demand, an odd start', () => {
    const calls = callbacks({ size: SIZE, read: () => undefined, write: () => undefined });
    const grows = wasm(newWasmMemory({ initial: 1, maximum: 2 }), 0, SIZE);
    for (const backing of [calls, grows, copyOnWrite(SIZE, () => undefined)])
      check(only(entry(backing)), { read: false, write: false });
    const odd = bytes(new Uint8Array(SIZE + 4).subarray(4));
    check(only(entry(odd, { start: START + 4 })), { read: false, write: false });
  });

  it('P1 M2: of read-only memory is open to reads alone', () => {
    check(only(entry(heap(SIZE), { access: 'r' })), { read: true, write: false });
    check(only(entry(bytes(new Uint8Array(SIZE), { readOnly: true }))), { read: true, write: false });
  });

  it('P1 M9: is closed where pages have rights, whatever they are', () => {
    const guarded = withRights(entry(heap(SIZE)), new PageRights(SIZE, { initial: 'rwx' }));
    check(only(guarded), { read: false, write: false });
  });

  it('P5 M12: stays open under one log of pages that hold a scalar, and marks it; else only reads take it', () => {
    for (const pageSize of [8, 4096]) {
      const one = log(pageSize);
      const region = only(withLog(entry(heap(SIZE)), one));
      check(region, { read: true, write: true });
      assert.deepEqual([region.log, region.logOffset], [one, 0]);
    }
    for (const small of [1, 4])
      check(only(withLog(entry(heap(SIZE)), log(small))), { read: true, write: false });
    const twice = only(withLog(withLog(entry(heap(SIZE)), log()), log()));
    check(twice, { read: true, write: false });
    assert.equal(twice.log, undefined);
  });

  it('P5 M12: a part of it marks where it lies, and takes the slow road where its first byte is none of 8', () => {
    const one = log();
    const region = only(withLog(entry(heap(SIZE)), one));
    const part = region.cut(0x1008, 0x1000, 0x2000);
    check(part, { read: true, write: true });
    assert.deepEqual([part.log, part.logOffset], [one, 0x1008]);
    check(region.cut(0x1004, 0x1000, 0x2004), { read: false, write: false });
    check(region.cut(0x1004, 0x1000, 0x2000), { read: false, write: false });
    check(region.cut(0x1008, 0x1000, 0x2004), { read: false, write: false });
    const bytewise = only(
      entry(bytes(new Uint8Array(SIZE + 16).subarray(8)), { start: START + 0x1008 }),
    ).with({ guards: [], marks: [{ log: one, offset: 4 }] });
    check(bytewise, { read: true, write: false });
    bytewise.mark(0xffc, 4);
    assert.deepEqual(one.drain(), [0x1000]);
  });

  it('P1 M15: ends when the memory behind it closes, for its parts and what stands upon it too', () => {
    const closing: (() => void)[] = [];
    const backing: MemoryBacking = { ...heap(SIZE), onClose: (listener) => void closing.push(listener) };
    const region = only(entry(backing));
    const part = region.cut(8, 0x100, 0);
    const logged = region.with({ guards: [], marks: [{ log: log(), offset: 0 }] });
    for (const each of [region, part, logged]) check(each, { read: true, write: true });
    for (const close of closing) close();
    for (const each of [region, part, logged, region.cut(8, 0x100, 0)]) {
      check(each, { read: false, write: false });
      assert.deepEqual([each.closed, each.readPages, each.unruled], [true, 0, false]);
    }
  });

  it('P7: by page numbers is open to the whole pages below 8 TiB of a region that begins at one', () => {
    const pages = (start: number, size: number, backing: MemoryBacking = heap(size)): number[] => {
      const region = only(makeEntry({ start, backing }, { operation: 'make' }));
      return [region.firstPage, region.readPages];
    };
    assert.deepEqual(pages(0x5000, 0x2fff), [5, 2]);
    assert.deepEqual(pages(0x5000, 0xfff), [5, 0]);
    assert.deepEqual(pages(0x5008, 0x3000), [0, 0]);
    assert.deepEqual(pages(2 ** 43 - 0x2000, 0x2000), [2 ** 31 - 2, 2]);
    assert.deepEqual(pages(2 ** 43 - 0x2000, 0x2001), [0, 0]);
    assert.deepEqual(pages(2 ** 43, 0x1000), [0, 0]);
    assert.deepEqual(pages(0x5000, 0x3000, callbacks({ size: 0x3000, read: () => undefined })), [5, 0]);
  });

  it('P1: 64 bits move as two halves only where nobody else can see one without the other', () => {
    assert.equal(only(entry(heap(SIZE))).exclusive, true);
    for (const backing of [
      shared(SIZE),
      bytes(new Uint8Array(SIZE)),
      { ...shared(SIZE), exclusive: true },
      callbacks({ size: SIZE, read: () => undefined }),
      { ...callbacks({ size: SIZE, read: () => undefined }), exclusive: true },
    ])
      assert.equal(only(entry(backing)).exclusive, false, backing.kind);
  });
});

/** A memory of three plain regions. */
function plain(): GuestMemory {
  return GuestMemory.fromRegions([
    { start: 0x1000, backing: heap(0x2000) },
    { start: 0x8000, backing: heap(0x1000) },
    { start: 0xc000, backing: shared(0x1000) },
  ]);
}

/** The same memory, whose slow roads are blocked. */
function withoutSlowRoads(memory: GuestMemory): GuestMemory {
  return without(memory, ['fetch', 'put', 'settle', 'reachable', 'eachPiece', 'moveScalar']);
}

function without(memory: GuestMemory, roads: readonly string[]): GuestMemory {
  for (const name of roads) {
    const blocked = (): never => {
      throw new Error(`this went by ${name}`);
    };
    assert(name in memory && Reflect.set(memory, name, blocked), name);
  }
  return memory;
}

describe('P1 P3: what takes the quick road', () => {
  const FIRST_LAST = [
    [0x1000, 0x3000],
    [0x8000, 0x9000],
    [0xc000, 0xd000],
  ] as const;

  it('P1 P2: every aligned scalar of plain memory, in the first region that is tried and in every other', () => {
    const memory = withoutSlowRoads(plain());
    for (const { name, width, read, write, value } of SCALARS) {
      const view = new DataView(patternWithoutNaN(16).buffer);
      for (const [first, end] of FIRST_LAST) {
        for (const gpa of [first, first + width, end - width]) {
          write(memory, gpa, value(view, width));
          assert.equal(read(memory, gpa), value(view, width), `${name} at 0x${gpa.toString(16)}`);
        }
        assert.throws(() => read(memory, end), /this went by/);
        assert.throws(() => read(memory, first - width), /this went by/);
        if (width > 1) assert.throws(() => read(memory, first + 1), /this went by/);
      }
    }
  });

  it('P5 M12: what is written so is marked in its page, and in no other', () => {
    const tracking = trackDirty(plain());
    const memory = withoutSlowRoads(tracking.memory);
    for (const { name, write, read, width } of SCALARS) {
      for (const gpa of [0x1000, 0x2000 - width, 0x2000, 0x3000 - width, 0x8ff8, 0xc008]) {
        write(memory, gpa, 1);
        assert.deepEqual(tracking.drain(), [{ gpa: gpa - (gpa % 0x1000), length: 0x1000 }], name);
        read(memory, gpa);
        assert.deepEqual(tracking.drain(), [], name);
      }
    }
  });

  it('P5 M12: what is written so is marked where it lies in its region, in later pieces and in parts of it too', () => {
    const mapped = [0x1000, 0x3000, 0x1000].map((size) => new Uint8Array(size));
    const backing: MemoryBacking = { kind: 'pieces', size: 0x5000, mapped };
    const tracking = trackDirty(GuestMemory.fromRegions([{ start: 0x8000, backing }]));
    const whole = withoutSlowRoads(tracking.memory.subrange(0, 0xd000));
    const part = withoutSlowRoads(tracking.memory.subrange(0xa000, 0x3000));
    for (const { name, write } of SCALARS) {
      for (const [memory, origin] of [
        [whole, 0],
        [part, 0xa000],
      ] as const) {
        for (const page of [0x8000, 0x9000, 0xa000, 0xb000, 0xc000]) {
          if (page < origin) continue;
          write(memory, page - origin + 0x800, 1);
          assert.deepEqual(
            tracking.drain(),
            [{ gpa: page, length: 0x1000 }],
            `${name} from 0x${origin.toString(16)}`,
          );
        }
      }
    }
  });

  it('P7: 64 bits by the number of their page, from a region that begins at any', () => {
    const memory = GuestMemory.fromRegions([{ start: 0x3000, backing: heap(0x8000) }]);
    for (let page = 3; page < 11; page++) memory.writeU64(page * 0x1000 + 0x7f8, BigInt(page));
    withoutSlowRoads(memory);
    const cell = new BigUint64Array(1);
    for (let page = 3; page < 11; page++) {
      memory.readU64InPage(page, 0x7f8, cell);
      assert.equal(cell[0], BigInt(page));
    }
    for (const page of [2, 11]) assert.throws(() => memory.readU64InPage(page, 0, cell), /this went by/);
  });

  it('P3 P4: every copy and fill inside plain memory, of all of it too', () => {
    const memory = withoutSlowRoads(plain());
    for (const [first, end] of FIRST_LAST) {
      for (const [gpa, length] of [
        [first, 1],
        [first, end - first],
        [first + 3, end - first - 3],
        [end - 5, 5],
        [first + 16, 0],
      ] as const) {
        const src = pattern(length);
        const dest = new Uint8Array(length);
        memory.writeAt(gpa, src);
        memory.readAt(gpa, dest);
        assert.deepEqual(dest, src);
        memory.fillAt(gpa, 9, length);
        memory.readAt(gpa, dest);
        assert.deepEqual(dest, src.fill(9));
        for (const [at, count] of [
          [gpa, end - gpa + 1],
          [first - 1, 2],
          [first - 0x800, 4],
          [gpa + 0.5, 1],
          [gpa, -1],
          [gpa, 2 ** 32],
        ] as const)
          assert.throws(() => memory.fillAt(at, 1, count), /this went by/);
        assert.throws(() => memory.readAt(first - 0x800, new Uint8Array(4)), /this went by/);
      }
    }
  });

  it('P3: a copy across one seam of plain memory, of every length on both sides', () => {
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: heap(64) },
      { start: 64, backing: shared(64) },
      { start: 128, backing: heap(64) },
    ]);
    withoutSlowRoads(memory);
    for (let gpa = 40; gpa <= 64; gpa++) {
      for (let length = 1; length <= 128 - gpa; length++) {
        const src = pattern(length + 3, gpa);
        const dest = new Uint8Array(length + 3);
        memory.writeAt(gpa, src, 3);
        memory.readAt(gpa, dest, 3);
        assert.deepEqual(dest.subarray(3), src.subarray(3));
      }
    }
    assert.equal(memory.readU8(39) + memory.readU8(128), 0);
  });

  it('M5 M6: a value of 1, 2, 4 or 8 bytes by its layout moves as a scalar, which never tears; others as ranges', () => {
    const memory = without(plain(), ['readAt', 'writeAt']);
    for (let size = 1; size <= 16; size++) {
      const whole: Layout<bigint> = {
        name: `last of ${size}`,
        size,
        align: 1,
        decode: (view, offset) => BigInt(view.getUint8(offset + size - 1)),
        encode: (view, offset, value) => view.setUint8(offset + size - 1, Number(value)),
      };
      if ([1, 2, 4, 8].includes(size)) {
        memory.writePlain(whole, 0x1010, BigInt(size));
        assert.equal(memory.readU8(0x1010 + size - 1), size);
        assert.equal(memory.readPlain(whole, 0x1010), BigInt(size));
      } else {
        assert.throws(() => memory.readPlain(whole, 0x1010), /this went by readAt/);
        assert.throws(() => memory.writePlain(whole, 0x1010, 0n), /this went by writeAt/);
      }
    }
  });

  it('P3 P4: what lies in the first region, or in one that a hint finds, is found without a search', () => {
    const memory = withoutSlowRoads(
      GuestMemory.fromRegions([
        { start: 0x1000, backing: heap(0x1000) },
        { start: 0x2000, backing: shared(0x1000) },
        { start: 0x8000, backing: heap(0x1000) },
      ]),
    );
    without(memory, ['copyPlain', 'plainPieces', 'readPieces', 'writePieces', 'fillPieces']);
    for (const start of [0x1000, 0x2000, 0x8000]) {
      for (const [at, length] of [
        [0, 0x1000],
        [0, 1],
        [0xfff, 1],
        [5, 0xffb],
      ] as const) {
        const dest = new Uint8Array(length);
        memory.writeAt(start + at, pattern(length, start));
        memory.readAt(start + at, dest);
        assert.deepEqual(dest, pattern(length, start));
        memory.fillAt(start + at, 3, length);
        memory.readAt(start + at, dest);
        assert.deepEqual(dest, dest.slice().fill(3));
      }
    }
  });

  it('P2 M6: scalars at odd addresses, and over a seam, are settled by one look; in read-only memory to read', () => {
    for (const access of ['rw', 'r'] as const) {
      const host = patternWithoutNaN(128);
      const memory = GuestMemory.fromRegions([
        { start: 0x1000, backing: bytes(host.subarray(0, 64)), access },
        { start: 0x1040, backing: bytes(host.subarray(64)), access },
      ]);
      without(memory, ['checkNumbers', 'reachable', 'settle', 'eachPiece', 'moveAcross']);
      const view = new DataView(host.buffer, host.byteOffset);
      for (const { name, width, read, write, value } of SCALARS) {
        for (let at = 1; at + width <= 128; at++) {
          assert.equal(read(memory, 0x1000 + at), value(view, at), `${name} at ${at}`);
          if (access === 'rw') write(memory, 0x1000 + at, value(view, at));
          else assert.throws(() => write(memory, 0x1000 + at, 1), /this went by/);
        }
      }
      const dest = new Uint8Array(80);
      memory.readAt(0x1010, dest);
      assert.deepEqual(dest, host.slice(16, 96));
    }
  });

  it('P5 M12: a scalar over a seam marks what it has on each side, and no more', () => {
    const tracking = trackDirty(
      GuestMemory.fromRegions([
        { start: 0x1000, backing: heap(64) },
        { start: 0x1040, backing: heap(64) },
      ]),
      { pageSize: 8 },
    );
    for (let head = 1; head < 8; head++) {
      tracking.memory.writeU64(0x1040 - head, 1n);
      const marked = tracking.drain().map(({ gpa, length }) => [gpa, gpa + length]);
      assert.deepEqual([marked.at(0)?.[0], marked.at(-1)?.[1]], [0x1038, 0x1048]);
    }
  });

  it('P3 M2: a copy that lies in one region asks nothing of the calls beside it', () => {
    const asked: number[] = [];
    const calls = (): MemoryBacking =>
      callbacks({
        size: 64,
        read: (_, dest) => void asked.push(dest.length),
        write: (_, src) => void asked.push(src.length),
      });
    const starts = [0x1000, 0x1080, 0x1100, 0x1180];
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: heap(64) },
      ...starts.flatMap((start) => [
        { start, backing: heap(64) },
        { start: start + 64, backing: calls() },
      ]),
      { start: 2 ** 40, backing: heap(64) },
    ]);
    for (const start of starts) {
      for (const [at, length] of [
        [0, 64],
        [8, 5],
        [63, 1],
      ] as const) {
        const dest = new Uint8Array(length);
        memory.writeAt(start + at, pattern(length, start));
        memory.readAt(start + at, dest);
        assert.deepEqual(dest, pattern(length, start));
      }
    }
    assert.deepEqual(asked, []);
  });

  it('M2 M3: calls are asked for a range once, however long; only a fill goes in steps, for it needs the bytes', () => {
    const asked: string[] = [];
    const size = 0x2_0001;
    const memory = GuestMemory.from(
      callbacks({
        size,
        read: (offset, dest) => void asked.push(`read ${offset} ${dest.length}`),
        write: (offset, src) => void asked.push(`write ${offset} ${src.length}`),
      }),
    );
    memory.readAt(0, new Uint8Array(size));
    memory.writeAt(0, new Uint8Array(size));
    assert.deepEqual(asked.splice(0), [`read 0 ${size}`, `write 0 ${size}`]);
    memory.fillAt(0, 1, size);
    assert.deepEqual(asked, ['write 0 65536', 'write 65536 65536', 'write 131072 1']);
  });

  it('M3 M4: what is no address has no range, not even an empty one', () => {
    const memory = plain();
    for (const gpa of [-1, 0.5, 2 ** 53, Number.NaN]) assert.equal(memory.checkRange(gpa, 0), false);
    assert.equal(memory.checkRange(0x1000, 0), true);
    const dest = new Uint8Array(8);
    assert.equal(memory.read(0x1000, dest, 5), 3);
    assert.equal(memory.write(0x1000, dest, 6), 2);
  });
});
