import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import {
  compare,
  type DirtyRange,
  fillRange,
  GuestMemory,
  i32,
  indexOf,
  isZero,
  PagedRange,
  readPresent,
  struct,
  trackDirty,
  u8,
  u16,
  u32,
  u64,
  writeRange,
  zeroRange,
} from '../../src/core/index.ts';
import { KINDS, type MemoryUnderTest } from '../support/memory-kinds.ts';

/** A write: how many bytes it changes at an address, and where it works. */
interface Write {
  readonly name: string;
  readonly width: number;
  readonly where?: 'mapped' | 'exchanges';
  run(memory: GuestMemory, gpa: number): void;
}

const PAIR = struct({ a: u32, b: u16, c: u64 });
const SOURCE = GuestMemory.allocate(0x1000);
SOURCE.fillAt(0, 0xa5, 0x1000);

const paged = (gpa: number, length: number): PagedRange =>
  new PagedRange(
    gpa % 4096,
    length,
    (gpa % 4096) + length > 4096
      ? [Math.floor(gpa / 4096), Math.floor(gpa / 4096) + 1]
      : [Math.floor(gpa / 4096)],
  );

/** Every path that writes. Widths of more than 8 bytes cross seams. */
const WRITES: readonly Write[] = [
  { name: 'writeU8', width: 1, run: (m, gpa) => m.writeU8(gpa, 1) },
  { name: 'writeI8', width: 1, run: (m, gpa) => m.writeI8(gpa, -1) },
  { name: 'writeU16', width: 2, run: (m, gpa) => m.writeU16(gpa, 1) },
  { name: 'writeI16', width: 2, run: (m, gpa) => m.writeI16(gpa, -1) },
  { name: 'writeU32', width: 4, run: (m, gpa) => m.writeU32(gpa, 1) },
  { name: 'writeI32', width: 4, run: (m, gpa) => m.writeI32(gpa, -1) },
  { name: 'writeF32', width: 4, run: (m, gpa) => m.writeF32(gpa, 1.5) },
  { name: 'writeU64', width: 8, run: (m, gpa) => m.writeU64(gpa, 1n) },
  { name: 'writeI64', width: 8, run: (m, gpa) => m.writeI64(gpa, -1n) },
  { name: 'writeU64Halves', width: 8, run: (m, gpa) => m.writeU64Halves(gpa, 1, 2) },
  { name: 'writeF64', width: 8, run: (m, gpa) => m.writeF64(gpa, 1.5) },
  { name: 'writePlain of a scalar', width: 4, run: (m, gpa) => m.writePlain(i32, gpa, -7) },
  {
    name: 'writePlain of a struct',
    width: 16,
    run: (m, gpa) => m.writePlain(PAIR, gpa, { a: 1, b: 2, c: 3n }),
  },
  { name: 'writeAt', width: 3, run: (m, gpa) => m.writeAt(gpa, Uint8Array.of(9, 1, 2, 3), 1) },
  { name: 'writeAt, longer', width: 37, run: (m, gpa) => m.writeAt(gpa, new Uint8Array(37).fill(3)) },
  { name: 'write', width: 37, run: (m, gpa) => assert.equal(m.write(gpa, new Uint8Array(37).fill(4)), 37) },
  { name: 'fillAt', width: 5, run: (m, gpa) => m.fillAt(gpa, 7, 5) },
  { name: 'fillAt, longer', width: 37, run: (m, gpa) => m.fillAt(gpa, 7, 37) },
  { name: 'copyFrom', width: 37, run: (m, gpa) => m.copyFrom(SOURCE, 3, gpa, 37) },
  { name: 'writeRange', width: 21, run: (m, gpa) => writeRange(m, paged(gpa, 21), new Uint8Array(21)) },
  { name: 'fillRange', width: 21, run: (m, gpa) => fillRange(m, paged(gpa, 21), 3) },
  { name: 'zeroRange', width: 21, run: (m, gpa) => zeroRange(m, paged(gpa, 21)) },
  { name: 'store', width: 4, where: 'mapped', run: (m, gpa) => m.store(u32, gpa, 5) },
  { name: 'store u64', width: 8, where: 'mapped', run: (m, gpa) => m.store(u64, gpa, 5n) },
  { name: 'exchange', width: 2, where: 'mapped', run: (m, gpa) => void m.exchange(u16, gpa, 5) },
  { name: 'fetchAdd', width: 8, where: 'mapped', run: (m, gpa) => void m.fetchAdd(u64, gpa, 5n) },
  { name: 'fetchSub', width: 1, where: 'mapped', run: (m, gpa) => void m.fetchSub(u8, gpa, 5) },
  { name: 'fetchAnd', width: 4, where: 'mapped', run: (m, gpa) => void m.fetchAnd(u32, gpa, 5) },
  { name: 'fetchOr', width: 4, where: 'mapped', run: (m, gpa) => void m.fetchOr(u32, gpa, 5) },
  { name: 'fetchXor', width: 4, where: 'mapped', run: (m, gpa) => void m.fetchXor(u32, gpa, 5) },
  {
    name: 'compareExchange',
    width: 4,
    where: 'exchanges',
    run: (m, gpa) => void m.compareExchange(u32, gpa, m.readU32(gpa), 77),
  },
  {
    name: 'compareExchangeBytes',
    width: 8,
    where: 'exchanges',
    run: (m, gpa) => assert(m.compareExchangeBytes(gpa, m.readBytes(gpa, 8), new Uint8Array(8).fill(5))),
  },
  { name: 'view', width: 1, where: 'mapped', run: (m, gpa) => m.view(gpa, 1, 'write').release() },
  { name: 'views', width: 37, where: 'mapped', run: (m, gpa) => m.views(gpa, 37, 'write').release() },
];

const READS: readonly ((memory: GuestMemory, gpa: number) => unknown)[] = [
  (m, gpa) => m.readU8(gpa),
  (m, gpa) => m.readU16(gpa + 1),
  (m, gpa) => m.readU32(gpa),
  (m, gpa) => m.readU64(gpa),
  (m, gpa) => m.readU64Into(gpa, new Uint32Array(2)),
  (m, gpa) => m.readF64(gpa + 3),
  (m, gpa) => m.readPlain(PAIR, gpa),
  (m, gpa) => m.readBytes(gpa, 30),
  (m, gpa) => m.read(gpa, new Uint8Array(30)),
  (m, gpa) => SOURCE.copyFrom(m, gpa, 0, 30),
  (m, gpa) => m.translateAndGetLimit(gpa),
  (m, gpa) => m.translateAndGetLimit(gpa, 'execute'),
  (m, gpa) => m.checkRange(gpa, 30, 'write'),
  (m, gpa) => m.probe(gpa, 30, 'write'),
  (m, gpa) => m.checkGpaWritable(gpa),
  (m, gpa) => compare(m, gpa, m, gpa + 1, 20),
  (m, gpa) => indexOf(m, gpa, 30, Uint8Array.of(1, 2)),
  (m, gpa) => isZero(m, gpa, 30),
  (m, gpa) => readPresent(m, gpa, new Uint8Array(30)),
  (m, gpa) => m.fillAt(gpa, 1, 0),
  (m, gpa) => m.writeAt(gpa, new Uint8Array(0)),
];

/** Rules cost room for every page: of a space without end, only the part that is tested is tracked. */
export function bounded({ memory, start, length }: MemoryUnderTest): GuestMemory {
  return memory.regions.some(({ size }) => size > 2 ** 40) ? memory.subrange(0, start + length) : memory;
}

function covers(ranges: readonly DirtyRange[], gpa: number, length: number, pageSize: number): void {
  for (let at = gpa; at < gpa + length; at++) {
    assert(
      ranges.some((range) => at >= range.gpa && at < range.gpa + range.length),
      `byte ${at} of ${gpa}+${length}`,
    );
  }
  for (const range of ranges) {
    assert(
      gpa - range.gpa < pageSize && range.gpa - gpa + range.length < length + pageSize,
      'a page too many',
    );
  }
}

for (const kind of KINDS) {
  describe(`dirty tracking of ${kind.name}`, () => {
    let tested: MemoryUnderTest;
    let small: boolean;
    before(() => {
      tested = kind.make();
      small = bounded(tested).regions.every(({ size }) => size < 2 ** 24);
    });

    it('M12 R OpenVMM D14: every path that writes marks its pages and no others; once', () => {
      for (const pageSize of small ? [4, 4096] : [4096]) {
        const { start, length, skew } = tested;
        const tracking = trackDirty(bounded(tested), { pageSize });
        for (const { name, width, where, run } of WRITES) {
          for (let from = 0; from + width <= length; from += 29) {
            const aligned = where !== undefined && width <= 8;
            const gpa = aligned
              ? start + Math.floor(from / 8) * 8 + ((8 - ((start + skew) % 8)) % 8)
              : start + from;
            if (gpa + width > start + length) continue;
            const works =
              where === 'mapped' ? tested.mapped : where === 'exchanges' ? tested.exchanges : () => true;
            const seam = aligned && tested.seams.some((at) => at > gpa && at < gpa + width);
            const whole = works(gpa) && works(gpa + width - 1) && !seam;
            if (!whole) continue;
            if (aligned && misaligned(tracking.memory, gpa, width)) continue;
            run(tracking.memory, gpa);
            const ranges = tracking.drain();
            try {
              covers(ranges, gpa, width, pageSize);
            } catch (error) {
              throw new Error(`${name} at ${gpa}, pages of ${pageSize}: ${JSON.stringify(ranges)}`, {
                cause: error,
              });
            }
            assert.deepEqual(tracking.drain(), [], name);
          }
        }
      }
    });

    it('M12: reads, probes and empty writes mark nothing', () => {
      const { start } = tested;
      const tracking = trackDirty(bounded(tested));
      for (const read of READS) {
        read(tracking.memory, start);
        assert.deepEqual(tracking.drain(), [], String(read));
      }
      if (tested.mapped(start)) {
        tracking.memory.views(start, 1, 'read').release();
        tracking.memory.view(start, 0, 'write').release();
      }
      assert.deepEqual(tracking.drain(), []);
    });

    it('M12: a writable view is in every answer until it is released, and in one more', () => {
      const { start, length } = tested;
      if (!tested.mapped(start) || !tested.mapped(start + 36) || length < 38) return;
      const tracking = trackDirty(bounded(tested));
      const views = tracking.memory.views(start, 37, 'write');
      for (let i = 0; i < 3; i++) covers(tracking.drain(), start, 37, 4096);
      const second = tracking.memory.views(start, 1, 'write');
      views.release();
      views.release();
      covers(tracking.drain(), start, 37, 4096);
      covers(tracking.drain(), start, 1, 4096);
      second.release();
      covers(tracking.drain(), start, 1, 4096);
      assert.deepEqual(tracking.drain(), []);
    });
  });
}

/** Small pieces begin at any alignment of their buffers. */
function misaligned(memory: GuestMemory, gpa: number, width: number): boolean {
  const run = memory.translateAndGetLimit(gpa, 'read');
  return run !== undefined && (run.byteOffset % width !== 0 || run.limit < width);
}
