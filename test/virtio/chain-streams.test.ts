import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { callbacks, GuestMemory, struct, u8, u16, u32, u64 } from '../../src/core/index.ts';
import type { DescriptorChain } from '../../src/virtio/index.ts';
import { type RawDescriptor, RawRing, WRITE } from './raw-ring.ts';

function chainOf(descriptors: readonly RawDescriptor[], ring: RawRing = new RawRing()): DescriptorChain {
  ring.describeChain(descriptors);
  return ring.take(0);
}

describe('streams of a chain', () => {
  it('V2: a value shattered over descriptors reads and writes as one (rust-vmm reader_writer_shattered_object)', () => {
    const ring = new RawRing();
    const { memory } = ring;
    memory.writeAt(0x8000, new Uint8Array([0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe]));
    const pieces = [1, 2, 4, 1];
    let at = 0x8000;
    const readable = pieces.map((len) => {
      const addr = at;
      at += len;
      return { addr, len };
    });
    const writable = pieces.map((len, i) => ({ addr: 0x9000 + i * 0x10, len, flags: WRITE }));
    const chain = chainOf([...readable, ...writable], ring);
    assert.equal(chain.reader.readU64(), 0xfedc_ba98_7654_3210n);
    chain.writer.writeU64(0x0123_4567_89ab_cdefn);
    assert.deepEqual(memory.readBytes(0x9000, 1), new Uint8Array([0xef]));
    assert.deepEqual(memory.readBytes(0x9010, 3), new Uint8Array([0xcd, 0xab, 0]));
    assert.deepEqual(memory.readBytes(0x9020, 5), new Uint8Array([0x89, 0x67, 0x45, 0x23, 0]));
    assert.deepEqual(memory.readBytes(0x9030, 2), new Uint8Array([0x01, 0]));
  });

  it('V2: scalars, layouts, fills and skips', () => {
    const ring = new RawRing();
    const header = struct({ type: u32, reserved: u32, sector: u64 });
    ring.memory.writePlain(header, 0x8000, { type: 1, reserved: 2, sector: 3n });
    const chain = chainOf(
      [
        { addr: 0x8000, len: 32 },
        { addr: 0x9000, len: 64, flags: WRITE },
      ],
      ring,
    );
    const { reader, writer } = chain;
    assert.deepEqual(reader.readPlain(header), { type: 1, reserved: 2, sector: 3n });
    assert.equal(reader.consumed, 16);
    reader.skip(14);
    assert.equal(reader.readPlain(u16), 0);
    assert.equal(reader.remaining, 0);

    writer.writeU8(0xaa);
    writer.writeU16(0xbbcc);
    writer.writeU32(0xdeadbeef);
    writer.skip(1);
    writer.fill(0x77, 4);
    writer.writePlain(u8, 0x99);
    assert.equal(writer.written, 13);
    assert.deepEqual(
      ring.memory.readBytes(0x9000, 14),
      new Uint8Array([0xaa, 0xcc, 0xbb, 0xef, 0xbe, 0xad, 0xde, 0, 0x77, 0x77, 0x77, 0x77, 0x99, 0]),
    );
  });

  it('V2: past the end moves nothing (rust-vmm reader_unexpected_eof)', () => {
    const ring = new RawRing();
    const chain = chainOf([{ len: 100 }, { len: 10 }, { addr: 0x9000, len: 3, flags: WRITE }], ring);
    const { reader, writer } = chain;
    for (const call of [
      () => reader.read(new Uint8Array(111)),
      () => reader.skip(111),
      () => reader.split(111),
      () => reader.splitEnd(111),
      () => reader.views(111),
    ]) {
      assert.throws(call, { code: 'chain-too-short', value: 110, limit: 111 });
      assert.equal(reader.remaining, 110);
    }
    for (const call of [
      () => writer.writeU32(0xffff_ffff),
      () => writer.fill(1, 4),
      () => writer.write(new Uint8Array(4).fill(1)),
      () => writer.skip(4),
    ]) {
      assert.throws(call, { code: 'chain-too-short', value: 3, limit: 4 });
    }
    assert.deepEqual(ring.memory.readBytes(0x9000, 4), new Uint8Array(4));
    writer.writeU16(1);
    writer.writeU8(1);
    assert.throws(() => writer.writeU8(1), { code: 'chain-too-short' });
  });

  it('V2: refuses windows that are not inside the buffer, and lengths that are none', () => {
    const { reader, writer } = chainOf([{ len: 16 }, { addr: 0x9000, len: 16, flags: WRITE }]);
    const buffer = new Uint8Array(8);
    for (const [offset, length] of [
      [0, 9],
      [4, 5],
      [9, 0],
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [0, 0.5],
      [0, Number.NaN],
    ] as const) {
      assert.throws(() => reader.read(buffer, offset, length), { code: 'invalid' }, `${offset} ${length}`);
      assert.throws(() => writer.write(buffer, offset, length), { code: 'invalid' }, `${offset} ${length}`);
    }
    assert.equal(reader.remaining, 16);
    reader.read(buffer, 8, 0);
    reader.read(buffer, 8);
  });

  it('V2: a stream without bytes is at its end', () => {
    const { reader, writer } = chainOf([{ len: 0 }]);
    assert.equal(reader.remaining, 0);
    assert.equal(writer.remaining, 0);
    reader.read(new Uint8Array(0));
    assert.deepEqual(reader.views().iovecs, []);
    assert.equal(writer.splitEnd(0).remaining, 0);
  });

  it('V2: splits beside, in and at the edges of a descriptor (rust-vmm split_*)', () => {
    const ring = new RawRing();
    for (let i = 0; i < 48; i++) ring.memory.writeU8(0x8000 + i, i);
    const shape = [
      { addr: 0x8000, len: 16 },
      { addr: 0x8010, len: 16 },
      { addr: 0x8020, len: 16 },
    ];
    for (const at of [0, 7, 16, 17, 32, 47, 48]) {
      const { reader } = chainOf(shape, ring);
      const rest = reader.split(at);
      assert.equal(reader.remaining, at);
      assert.equal(rest.remaining, 48 - at);
      assert.equal(rest.consumed, 0);
      if (at < 48) assert.equal(rest.readU8(), at);
      if (at > 0) assert.equal(reader.readU8(), 0);
      reader.skip(reader.remaining);
      assert.throws(() => reader.readU8(), { code: 'chain-too-short' });
      ring.queue.push(0, 0);
    }
    const { reader } = chainOf(shape, ring);
    reader.skip(10);
    const tail = reader.splitEnd(1);
    assert.equal(tail.readU8(), 47);
    assert.equal(reader.remaining, 37);
    assert.equal(reader.readU8(), 10);
  });

  it('V2: the last byte is the status, whatever the framing', () => {
    for (const lengths of [
      [513],
      [512, 1],
      [256, 257],
      [511, 1, 1],
      [1, 1, 511],
      [513, 0],
      [0, 512, 0, 1, 0],
    ]) {
      const ring = new RawRing();
      const parts = lengths.map((len, i) => ({ addr: 0x9000 + i * 0x1000, len, flags: WRITE }));
      const { writer } = chainOf(parts, ring);
      const status = writer.splitEnd(1);
      writer.fill(1, writer.remaining);
      status.writeU8(0xee);
      const all = parts.flatMap(({ addr, len }) => [...ring.memory.readBytes(addr, len)]);
      assert.equal(all.length, 513);
      assert.equal(all.at(-1), 0xee);
      assert(all.slice(0, -1).every((byte) => byte === 1));
    }
  });

  it('V2: crosses regions within one descriptor', () => {
    const memory = GuestMemory.fromRanges([
      [0, 0x8000],
      [0x8000, 0x8000],
    ]);
    const { reader, writer } = chainOf(
      [
        { addr: 0x7ffe, len: 4 },
        { addr: 0x7ff0, len: 32, flags: WRITE },
      ],
      new RawRing({ memory }),
    );
    writer.fill(0x11, 32);
    assert.equal(reader.readU32(), 0x11111111);
  });

  it('V2: reaches memory behind callbacks, which has no views', () => {
    const log: number[] = [];
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: { kind: 'ram', size: 0x4000, mapped: [new Uint8Array(0x4000)] } },
      {
        start: 0x8000,
        backing: callbacks({
          size: 0x1000,
          read: (offset, dest) => dest.fill(offset & 0xff),
          write: (offset, src) => {
            log.push(offset, src.length);
          },
        }),
      },
    ]);
    const { reader, writer } = chainOf(
      [
        { addr: 0x8005, len: 4 },
        { addr: 0x8010, len: 4, flags: WRITE },
      ],
      new RawRing({ memory }),
    );
    assert.equal(reader.readU8(), 5);
    assert.throws(() => reader.views(), { code: 'unsupported' });
    writer.writeU32(1);
    assert.deepEqual(log, [0x10, 4]);
  });
});

describe('views of a chain', () => {
  it('V2: are guest memory itself, in stream order', () => {
    const ring = new RawRing();
    const { writer, reader } = chainOf(
      [
        { addr: 0x8000, len: 8 },
        { addr: 0x9000, len: 8, flags: WRITE },
        { addr: 0xa000, len: 8, flags: WRITE },
      ],
      ring,
    );
    ring.memory.writeU8(0x8003, 9);
    const source = reader.views(4);
    assert.deepEqual(source.iovecs, [new Uint8Array([0, 0, 0, 9])]);
    assert.equal(reader.remaining, 4);

    const views = writer.views(12);
    assert.equal(views.length, 12);
    assert.deepEqual(
      views.iovecs.map((iovec) => iovec.length),
      [8, 4],
    );
    views.iovecs[1]?.fill(0x5a);
    assert.equal(ring.memory.readU32(0xa000), 0x5a5a5a5a);
    assert.equal(writer.remaining, 4);
    views.release();
    views.release();
    assert.throws(() => views.iovecs, { code: 'closed' });
  });

  it('V2: segments that touch make one view', () => {
    const { writer } = chainOf([
      { addr: 0x9000, len: 0x1000, flags: WRITE },
      { addr: 0xa000, len: 0x1000, flags: WRITE },
      { len: 0, flags: WRITE },
      { addr: 0xb000, len: 0x1000, flags: WRITE },
      { addr: 0xc001, len: 0x1000, flags: WRITE },
    ]);
    assert.deepEqual(
      writer.views().iovecs.map((iovec) => iovec.length),
      [0x3000, 0x1000],
    );
  });

  it('V2: any framing, any cuts: streams and views are the bytes in order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(40), { minLength: 1, maxLength: 16 }),
        fc.array(fc.nat(50), { maxLength: 12 }),
        (lengths, cuts) => {
          const ring = new RawRing();
          const expected: number[] = [];
          const shape = lengths.map((len, i) => {
            const addr = 0x8000 + i * 40;
            for (let k = 0; k < len; k++) {
              const byte = (expected.length * 7 + 1) & 0xff;
              ring.memory.writeU8(addr + k, byte);
              expected.push(byte);
            }
            return { addr, len };
          });
          const { reader } = chainOf(shape, ring);
          const got: number[] = [];
          for (const [i, cut] of cuts.entries()) {
            const length = Math.min(cut, reader.remaining);
            if (i % 3 === 0) {
              const part = new Uint8Array(length);
              reader.read(part);
              got.push(...part);
            } else if (i % 3 === 1) {
              for (const iovec of reader.views(length).iovecs) got.push(...iovec);
            } else {
              const rest = reader.split(length);
              const part = new Uint8Array(length);
              reader.read(part);
              got.push(...part);
              got.push(...[...rest.views().iovecs].flatMap((iovec) => [...iovec]));
              break;
            }
          }
          assert.deepEqual(got, expected.slice(0, got.length));
        },
      ),
      { numRuns: 300 },
    );
  });
});
