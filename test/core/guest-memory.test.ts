import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  alias,
  callbacks,
  GuestMemory,
  heap,
  type MemoryBacking,
  PAGE_SIZE,
  shared,
  u8,
} from '../../src/core/index.ts';
import { ScatteredRuns } from '../support/indirect-memories.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';

describe('A2: making a memory', () => {
  it('A2 new(name, imp): a memory of one backing at 0, named or called after its kind', () => {
    const memory = GuestMemory.from(heap(0x100), { name: 'ram' });
    assert.equal(memory.name, 'ram');
    assert.equal(memory.readU8(0xff), 0);
    assert.equal(GuestMemory.from(shared(8)).name, 'shared');
    assert.equal(GuestMemory.from(new ScatteredRuns(0, 0x100)).name, 'translator');
    assert.equal(GuestMemory.fromRanges([]).name, 'ranges');
    assert.equal(GuestMemory.fromRegions([]).name, 'regions');
    assert.equal(GuestMemory.multiRegion(4096, []).name, 'multi-region');
  });

  it('A2 allocate(size): zeroed, rounded up to the page, called heap', () => {
    for (const [size, rounded] of [
      [1, 4096],
      [4096, 4096],
      [4097, 8192],
    ] as const) {
      for (const isShared of [false, true]) {
        const memory = GuestMemory.allocate(size, { shared: isShared });
        assert.equal(memory.name, 'heap');
        assert.equal(memory.regions[0]?.size, rounded);
        assert.equal(memory.checkRange(0, rounded, 'write'), true);
        refused(() => memory.readU8(rounded), { code: 'unmapped', memory: 'heap' });
        assert.equal(memory.view(0, 1, 'read').bytes.buffer instanceof SharedArrayBuffer, isShared);
      }
    }
    assert.equal(GuestMemory.allocate(1, { name: 'x' }).name, 'x');
    for (const size of [0, -1, 0.5, 4096.5, Number.NaN])
      refused(() => GuestMemory.allocate(size), { code: 'invalid' });
  });

  it('A2 empty, Default: no byte, and called empty', () => {
    const memory = GuestMemory.empty();
    assert.equal(memory.name, 'empty');
    assert.deepEqual(memory.regions, []);
    for (const gpa of [0, 1, 4096, 2 ** 53 - 1]) {
      refused(() => memory.readU8(gpa), { code: 'unmapped', memory: 'empty', gpa, failedAt: gpa });
      refused(() => memory.writeU64(gpa - (gpa % 8), 1n), { code: 'unmapped' });
      assert.equal(memory.translateAndGetLimit(gpa), undefined);
    }
    memory.readAt(0, new Uint8Array(0));
    assert.equal(memory.fullMapping(), undefined);
    refused(() => memory.subrange(0, 1), { code: 'unmapped' });
    assert.deepEqual(memory.subrange(0, 0).regions, []);
  });

  it('A2 Clone: a memory is a handle; whoever has it, or one made from it, has the same bytes', () => {
    const memory = GuestMemory.fromRanges([[0, 0x1000]]);
    const handles = [memory, memory.memory(), memory.subrange(0, 0x1000)];
    handles.push(memory.insertRegion({ start: 0x1000, backing: heap(8) }).removeRegion(0x1000, 8));
    for (const [i, handle] of handles.entries()) {
      handle.writeU8(i, i + 1);
      assert.deepEqual(
        handles.map((other) => other.readU8(i)),
        handles.map(() => i + 1),
      );
    }
    assert.equal(handles[1], memory);
  });

  it('A2 Debug: a memory shows itself as its map, one line a region', () => {
    const memory = GuestMemory.fromRegions(
      [
        { start: 0x1_0000_0000, backing: heap(0x1000), access: 'r' },
        { start: 0, backing: shared(0x2000) },
      ],
      { name: 'ram' },
    );
    const shown = 'GuestMemory "ram"\n  0x0-0x2000 rw shared\n  0x100000000-0x100001000 r heap';
    assert.equal(String(memory), shown);
    const inspect: unknown = Reflect.get(memory, Symbol.for('nodejs.util.inspect.custom'));
    assert(typeof inspect === 'function');
    assert.equal(inspect.call(memory), shown);
    assert.equal(String(GuestMemory.empty()), 'GuestMemory "empty"');
  });
});

describe('A2 new_multi_region', () => {
  it('A2 new_multi_region: equal slots, undefined leaves one empty, kinds mix, the last byte is reached', () => {
    const memory = GuestMemory.multiRegion(
      0x1000,
      [heap(0x1000), undefined, shared(0x1000), alias(GuestMemory.allocate(0x1000), 0, 0x10)],
      { name: 'multi' },
    );
    assert.equal(memory.name, 'multi');
    for (const gpa of [0, 0xfff, 0x2000, 0x2fff, 0x3000, 0x300f]) {
      memory.writeU8(gpa, gpa % 251);
      assert.equal(memory.readU8(gpa), gpa % 251);
    }
    for (const gpa of [0x1000, 0x1fff, 0x3010, 0x4000])
      refused(() => memory.readU8(gpa), { code: 'unmapped' });
    memory.writeU64(0x2ffc, 0x1122_3344_5566_7788n);
    assert.equal(memory.readU64(0x2ffc), 0x1122_3344_5566_7788n);
  });

  it('A2 new_multi_region: its four errors are named', () => {
    const make = (size: number, backings: readonly (MemoryBacking | undefined)[]) => () =>
      GuestMemory.multiRegion(size, backings);
    const one = [heap(8)];
    for (const size of [
      0,
      -4096,
      4097,
      6144,
      0.5,
      Number.NaN,
      Infinity,
      2 ** 49 + 1,
      2 ** 52 - 1,
      3 * 2 ** 50,
    ]) {
      const error = refused(make(size, one), { code: 'invalid' });
      assert.match(error.message, /not a power of two/, String(size));
    }
    assert.match(
      refused(make(2048, one), { code: 'invalid' }).message,
      /region size too small: current 2048/,
    );
    assert.match(refused(make(1, one), { code: 'invalid' }).message, /region size too small/);
    const many = refused(make(2 ** 51, [undefined, undefined, undefined, undefined, heap(8)]), {
      code: 'too-large',
    });
    assert.match(many.message, /too many regions: current 5 /);
    const large = refused(make(4096, [undefined, heap(4097)]), { code: 'too-large' });
    assert.match(large.message, /backing too large: current 4097 bytes in slot 1, wanted at most 4096/);
  });

  it('A2 new_multi_region: as many regions as the space holds, counted as OpenVMM does', () => {
    const three = GuestMemory.multiRegion(2 ** 51, [undefined, undefined, heap(0x1000)]);
    assert.equal(three.readU8(2 ** 52), 0);
    const last = GuestMemory.multiRegion(2 ** 51, [undefined, undefined, undefined, heap(8)]);
    assert.equal(last.readU8(3 * 2 ** 51 + 7), 0);
    assert.equal(GuestMemory.multiRegion(2 ** 53, [heap(8)]).readU8(7), 0);
    refused(() => GuestMemory.multiRegion(2 ** 54, [heap(8)]), { code: 'too-large' });
  });
});

describe('A2 subrange', () => {
  const memory = GuestMemory.fromRanges(
    [
      [0x1000, 0x1000],
      [0x3000, 0x1000],
    ],
    { name: 'ram' },
  );

  it('A2 subrange: address 0 is at the offset; bytes are shared, holes stay holes', () => {
    const part = memory.subrange(0x1800, 0x2000);
    memory.writeU32(0x1800, 1);
    part.writeU32(0x17fc + 4, 2);
    assert.equal(part.readU32(0), 1);
    assert.equal(memory.readU32(0x3000), 2);
    assert.equal(part.name, 'ram');
    assert.deepEqual(
      part.regions.map(({ start, end, kind, access }) => [start, end, kind, access]),
      [
        [0, 0x800, 'heap', 'rw'],
        [0x1800, 0x2000, 'heap', 'rw'],
      ],
    );
    refused(() => part.readU8(0x800), { code: 'unmapped' });
    refused(() => part.readU8(0x2000), { code: 'unmapped' });
    const hole = memory.subrange(0x2000, 0x1000);
    refused(() => hole.readU8(0), { code: 'unmapped' });
  });

  it('A2 subrange: a part that ends past the memory is refused; an empty one at its end is not', () => {
    assert.deepEqual(memory.subrange(0x4000, 0).regions, []);
    refused(() => memory.subrange(0x4001, 0), { code: 'unmapped', gpa: 0x4001, failedAt: 0x4001 });
    refused(() => memory.subrange(0x3fff, 2), { code: 'unmapped', gpa: 0x3fff, length: 2, failedAt: 0x4000 });
    refused(() => memory.subrange(0, 2 ** 53 - 1), { code: 'unmapped' });
    refused(() => memory.subrange(1, 2 ** 53 - 1), { code: 'unmapped' });
    refused(() => memory.subrange(2, 2 ** 53 - 1), { code: 'invalid' });
  });

  it('A2 subrange: read-only stays read-only, and a region can be added', () => {
    const rom = GuestMemory.fromRegions([{ start: 0, backing: heap(0x1000), access: 'r' }]).subrange(
      0x10,
      0x20,
    );
    refused(() => rom.writeU8(0, 1), { code: 'denied' });
    assert.equal(rom.regions[0]?.access, 'r');
    const larger = rom.insertRegion({ start: 0x100, backing: heap(8) });
    larger.writeU8(0x107, 1);
    assert.equal(larger.readU8(0x107), 1);
    assert.equal(larger.removeRegion(0, 0x20).regions.length, 1);
  });
});

describe('A2: the rest of the plain part', () => {
  it('A2 full_mapping: all bytes of one mapped, writable region; undefined otherwise', () => {
    const memory = GuestMemory.from(heap(0x100));
    const bytes = memory.fullMapping();
    assert.equal(bytes?.length, 0x100);
    bytes?.set([7], 0xff);
    assert.equal(memory.readU8(0xff), 7);
    for (const other of [
      GuestMemory.empty(),
      GuestMemory.fromRanges([
        [0, 8],
        [8, 8],
      ]),
      GuestMemory.fromRegions([{ start: 0, backing: heap(8), access: 'r' }]),
      GuestMemory.from(callbacks({ size: 8, read: () => undefined, write: () => undefined })),
      GuestMemory.from(heap(2 ** 32 + 8)),
    ]) {
      assert.equal(other.fullMapping(), undefined);
    }
  });

  it('A2 iova: base plus offset where the backing says one, in pieces and subranges too', () => {
    const one: MemoryBacking = {
      kind: 'dma',
      size: 0x20,
      mapped: [new Uint8Array(0x10), new Uint8Array(0x10)],
      iova: 0x8000_0000,
    };
    const two: MemoryBacking = { kind: 'dma', size: 8, fallback: { read: () => undefined }, iova: 0x100 };
    const memory = GuestMemory.fromRegions([
      { start: 0x1000, backing: one },
      { start: 0x2000, backing: two },
      { start: 0x3000, backing: heap(8) },
    ]);
    assert.equal(memory.iova(0x1000), 0x8000_0000);
    assert.equal(memory.iova(0x101f), 0x8000_001f);
    assert.equal(memory.iova(0x2003), 0x103);
    assert.equal(memory.iova(0x3000), undefined);
    assert.equal(memory.iova(0x1020), undefined);
    const part = memory.subrange(0x1009, 0x1000);
    assert.equal(part.iova(0), 0x8000_0009);
    assert.equal(part.iova(0x16), 0x8000_001f);
    assert.equal(part.subrange(0xff9, 6).iova(0), 0x102);
  });

  it('A2 probe_gpns, check_gpa_readable: the first page that is not there is refused as one byte of it', () => {
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: heap(2 * PAGE_SIZE) },
      { start: 2 * PAGE_SIZE, backing: heap(PAGE_SIZE), access: 'r' },
    ]);
    memory.probeGpns([]);
    memory.probeGpns([0, 1, 2, 1]);
    memory.probeGpns(new Set([0, 1]), 'write');
    const facts = { operation: 'probe', length: 1 } as const;
    refused(() => memory.probeGpns([0, 3, 9]), { ...facts, code: 'unmapped', gpa: 3 * PAGE_SIZE });
    refused(() => memory.probeGpns([1, 2], 'write'), { ...facts, code: 'denied', gpa: 2 * PAGE_SIZE });
    for (const gpn of [-1, 0.5, Number.NaN, 2 ** 41, 2 ** 52]) {
      refused(() => memory.probeGpns([gpn]), { code: 'invalid', operation: 'probe' });
    }
    refused(() => memory.probeGpns([2 ** 41 - 1]), { code: 'unmapped' });
    assert.equal(memory.checkGpaReadable(2 * PAGE_SIZE), true);
    assert.equal(memory.checkGpaWritable(2 * PAGE_SIZE), false);
    assert.equal(memory.checkGpaReadable(3 * PAGE_SIZE), false);
  });

  it('A2 GuestMemoryAccess: a backing of one’s own, mapped or of calls, its methods on a class', () => {
    class Flash implements MemoryBacking {
      readonly kind = 'flash';
      readonly size = 0x100;
      readonly #cells = new Uint8Array(0x100).fill(0xff);
      readonly fallback = {
        flash: this,
        read(offset: number, dest: Uint8Array): void {
          dest.set(this.flash.cells(offset, dest.length));
        },
        write(offset: number, src: Uint8Array): void {
          const cells = this.flash.cells(offset, src.length);
          src.forEach((byte, i) => {
            cells[i] = (cells[i] ?? 0) & byte;
          });
        },
      };
      cells(offset: number, length: number): Uint8Array {
        return this.#cells.subarray(offset, offset + length);
      }
    }
    const memory = GuestMemory.from(new Flash());
    memory.writeU32(0x10, 0xffff_fff0);
    memory.subrange(0x11, 0x10).writeAt(0, Uint8Array.of(0x0f, 0xff));
    assert.equal(memory.readU32(0x10), 0xffff_0ff0);
    refused(() => memory.fetchAdd(u8, 0x10, 1), { code: 'unsupported' });
  });

  it('M8: fill and copy of a large shared memory reach its last byte', () => {
    const size = 0x40_0000;
    const memory = GuestMemory.allocate(size, { shared: true });
    memory.fillAt(0, 0x11, size);
    memory.fillAt(65, 0x22, size - 130);
    const bytes = memory.fullMapping();
    assert(bytes !== undefined);
    sameBytes(bytes.subarray(0, 70), new Uint8Array(70).fill(0x11, 0, 65).fill(0x22, 65));
    sameBytes(bytes.subarray(size - 70), new Uint8Array(70).fill(0x22, 0, 5).fill(0x11, 5));
    const copy = GuestMemory.allocate(size);
    copy.copyFrom(memory, 0, 0, size);
    assert.equal(copy.readU8(size - 66), 0x22);
    assert.equal(copy.readU8(size - 65), 0x11);
  });
});
