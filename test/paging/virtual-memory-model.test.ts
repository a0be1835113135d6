import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  bytes,
  callbacks,
  GuestMemory,
  heap,
  isGuestMemoryError,
  struct,
  u8,
  u16,
  u32,
  u64,
} from '../../src/core/index.ts';
import {
  createRoot,
  FrameRange,
  GuestTables,
  isPagingError,
  map,
  Tlb,
  Translator,
  VirtualMemory,
  X86_4LEVEL,
} from '../../src/paging/index.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { pattern, SCALARS } from '../support/scalars.ts';
import { byNumber } from '../support/virtual-memories.ts';

const format = X86_4LEVEL;
const BASE = 0x7fff_ffff_0000n;
const PAGE = 4096;

type Kind = 'read' | 'write' | 'execute';

/** A page of the scene, and where it is; none for a hole. */
interface Page {
  readonly gpa: number;
  readonly rights: string;
  readonly user: boolean;
}

/** Contiguous and scattered pages, one twice, a hole, and everything that may be refused. */
const PAGES: readonly (Page | undefined)[] = [
  { gpa: 0x3000, rights: 'rwx', user: true },
  { gpa: 0x1000, rights: 'rw', user: true },
  { gpa: 0x2000, rights: 'rw', user: true },
  undefined,
  { gpa: 0x1000, rights: 'rwx', user: true },
  { gpa: 0x5000, rights: 'rx', user: true },
  { gpa: 0x6000, rights: 'rwx', user: false },
  { gpa: 0x8000, rights: 'rw', user: true }, // read-only memory
  { gpa: 0x9000, rights: 'rw', user: true }, // calls
  { gpa: 0x4000, rights: 'rwx', user: true },
  { gpa: 0x2_0000, rights: 'rwx', user: true }, // no memory
  { gpa: 0x7000, rights: 'rw', user: true },
  { gpa: 0x0000, rights: 'rw', user: true },
];
const LENGTH = PAGES.length * PAGE;

function scene(): { memory: GuestMemory; translator: Translator } {
  const device = new Uint8Array(PAGE);
  const memory = GuestMemory.fromRegions([
    { start: 0, backing: heap(0x8000) },
    { start: 0x8000, backing: bytes(pattern(PAGE, 7)), access: 'r' },
    {
      start: 0x9000,
      backing: callbacks({
        size: PAGE,
        read: (offset, dest) => dest.set(device.subarray(offset, offset + dest.length)),
        write: (offset, src) => device.set(src, offset),
      }),
    },
    { start: 0x8_0000, backing: heap(0x8_0000) },
  ]);
  const tables = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
  createRoot(tables, format);
  for (const [index, page] of PAGES.entries()) {
    if (page === undefined) continue;
    const { gpa, rights, user } = page;
    const gva = BASE + BigInt(index * PAGE);
    const may = { write: rights.includes('w'), execute: rights.includes('x'), user };
    map(tables, { format, gva, gpa, length: PAGE, ...may });
  }
  return { memory, translator: new Translator({ tables, format }) };
}

/** The reference: one byte at a time, from a map of physical bytes. */
class Naive {
  readonly bytes: Map<number, number> = new Map();
  readonly user: boolean;

  constructor(user: boolean) {
    this.user = user;
    pattern(PAGE, 7).forEach((byte, i) => void this.bytes.set(0x8000 + i, byte));
  }

  /** Where a byte of the scene is in memory; -1 where the tables forbid it. */
  gpa(at: number, kind: Kind): number {
    const page = PAGES[Math.floor(at / PAGE)];
    if (at < 0 || page === undefined || (this.user && !page.user)) return -1;
    if (!page.rights.includes(kind === 'read' ? 'r' : kind === 'write' ? 'w' : 'x')) return -1;
    return page.gpa + (at % PAGE);
  }

  /** Why the first byte that is refused is refused; tables are asked before the memory, for a range as a whole. */
  trouble(at: number, length: number, kind: Kind): string | undefined {
    const gpas = Array.from({ length }, (_, i) => this.gpa(at + i, kind));
    if (gpas.includes(-1)) return 'fault';
    return gpas.map((gpa) => inMemory(gpa, kind)).find((code) => code !== undefined);
  }

  /** Bytes up to the first one that is refused. */
  reach(at: number, length: number, kind: Kind): number {
    for (let i = 0; i < length; i++) if (this.trouble(at + i, 1, kind) !== undefined) return i;
    return length;
  }

  read(at: number, length: number, kind: Kind = 'read'): Uint8Array {
    return Uint8Array.from({ length }, (_, i) => this.bytes.get(this.gpa(at + i, kind)) ?? 0);
  }

  write(at: number, source: Uint8Array): void {
    source.forEach((byte, i) => void this.bytes.set(this.gpa(at + i, 'write'), byte));
  }
}

function inMemory(gpa: number, kind: Kind): string | undefined {
  if (gpa >= 0xa000) return 'unmapped';
  return kind === 'write' && gpa >= 0x8000 && gpa < 0x9000 ? 'denied' : undefined;
}

interface Step {
  readonly what: string;
  readonly at: number;
  readonly length: number;
  readonly other: number;
  readonly seed: number;
}

const HEADER = struct({ magic: u32, kind: u16, flag: u8, size: u64 });

/** Runs one step on both; whatever is refused must be refused for the same reason, and change nothing. */
function run({ what, at, length, other, seed }: Step, virtual: VirtualMemory, naive: Naive): void {
  const gva = BASE + BigInt(at);
  const source = pattern(length, seed);
  const expect = (wanted: string | undefined, call: () => void): boolean => {
    if (wanted === undefined) {
      call();
      return true;
    }
    assert.throws(call, (error) => {
      assert(isGuestMemoryError(error), String(error));
      assert.equal(error.code, wanted, error.message);
      assert.equal(error.done, 0, error.message);
      if (wanted === 'fault') assert(isPagingError(error.cause) && error.cause.code === 'page-fault');
      return true;
    });
    return false;
  };
  switch (what) {
    case 'readAt':
    case 'fetchAt': {
      const kind = what === 'readAt' ? 'read' : 'execute';
      const dest = new Uint8Array(length + 2).fill(0xee);
      const wanted = new Uint8Array(length + 2).fill(0xee);
      if (expect(naive.trouble(at, length, kind), () => virtual[what](gva, dest, 1, length)))
        wanted.set(naive.read(at, length, kind), 1);
      sameBytes(dest, wanted);
      break;
    }
    case 'readBytes':
      expect(naive.trouble(at, length, 'read'), () =>
        sameBytes(virtual.readBytes(gva, length), naive.read(at, length)),
      );
      break;
    case 'writeAt':
      if (expect(naive.trouble(at, length, 'write'), () => virtual.writeAt(gva, source)))
        naive.write(at, source);
      break;
    case 'fillAt':
      if (expect(naive.trouble(at, length, 'write'), () => virtual.fillAt(gva, seed & 0xff, length)))
        naive.write(at, source.fill(seed & 0xff));
      break;
    case 'read':
    case 'fetch': {
      const kind = what === 'read' ? 'read' : 'execute';
      const reach = naive.reach(at, length, kind);
      const dest = new Uint8Array(length);
      if (reach === 0 && length > 0) {
        expect(naive.trouble(at, 1, kind), () => void virtual[what](gva, dest));
      } else {
        assert.equal(virtual[what](gva, dest), reach);
        sameBytes(dest.subarray(0, reach), naive.read(at, reach, kind));
      }
      break;
    }
    case 'write': {
      const reach = naive.reach(at, length, 'write');
      if (reach === 0 && length > 0)
        expect(naive.trouble(at, 1, 'write'), () => void virtual.write(gva, source));
      else {
        assert.equal(virtual.write(gva, source), reach);
        naive.write(at, source.subarray(0, reach));
      }
      break;
    }
    case 'scalar': {
      const scalar = SCALARS[other % SCALARS.length];
      assert(scalar !== undefined);
      const { width, read, write, value } = scalar;
      const numbered = byNumber(virtual, BASE);
      const bits = pattern(8, seed).map((byte) => byte & 0x3f);
      const next = value(new DataView(bits.buffer), 0);
      if (expect(naive.trouble(at, width, 'write'), () => write(numbered, at, next)))
        naive.write(at, bits.subarray(0, width));
      expect(naive.trouble(at, width, 'read'), () => {
        const there = value(new DataView(naive.read(at, width).buffer), 0);
        assert(Object.is(read(numbered, at), there));
      });
      break;
    }
    case 'fetched scalar': {
      const view = (width: number): DataView => new DataView(naive.read(at, width, 'execute').buffer);
      expect(naive.trouble(at, 2, 'execute'), () =>
        assert.equal(virtual.fetchU16(gva), view(2).getUint16(0, true)),
      );
      expect(naive.trouble(at, 4, 'execute'), () =>
        assert.equal(virtual.fetchU32(gva), view(4).getUint32(0, true)),
      );
      break;
    }
    case 'plain': {
      const bits = pattern(HEADER.size, seed);
      const value = HEADER.decode(new DataView(bits.buffer), 0);
      HEADER.encode(new DataView(bits.buffer), 0, value);
      if (expect(naive.trouble(at, HEADER.size, 'write'), () => virtual.writePlain(HEADER, gva, value)))
        naive.write(at, bits);
      expect(naive.trouble(at, HEADER.size, 'read'), () => {
        const there = naive.read(at, HEADER.size);
        assert.deepEqual(virtual.readPlain(HEADER, gva), HEADER.decode(new DataView(there.buffer), 0));
      });
      break;
    }
    case 'atomics': {
      const type = [u8, u16, u32][other % 3] ?? u32;
      const aligned = at - (at % type.size);
      const address = BASE + BigInt(aligned);
      const calls = naive.gpa(aligned, 'write') >>> 12 === 9;
      const trouble = naive.trouble(aligned, type.size, 'write') ?? (calls ? 'unsupported' : undefined);
      const there = (): number => type.decode(new DataView(naive.read(aligned, type.size).buffer), 0);
      const sum = trouble === undefined ? (there() + 5) % 2 ** (8 * type.size) : 0;
      if (expect(trouble, () => assert.equal(virtual.fetchAdd(type, address, 5), there()))) {
        assert.equal(virtual.load(type, address), sum);
        assert.equal(virtual.compareExchange(type, address, sum, seed & 0xff), sum);
        const stored = new Uint8Array(type.size);
        stored[0] = seed & 0xff;
        naive.write(aligned, stored);
        assert.equal(virtual.exchange(type, address, 1), seed & 0xff);
        virtual.store(type, address, seed & 0xff);
      }
      break;
    }
    case 'views': {
      const trouble = naive.trouble(at, length, 'write');
      const calls = Array.from({ length }, (_, i) => naive.gpa(at + i, 'write') >>> 12).includes(9);
      const wanted = trouble ?? (calls ? 'unsupported' : undefined);
      if (
        expect(wanted, () => {
          const views = virtual.views(gva, length, 'write');
          let done = 0;
          for (const iovec of views.iovecs) {
            iovec.set(source.subarray(done, done + iovec.length));
            done += iovec.length;
          }
          assert.equal(done, length);
          views.release();
        })
      )
        naive.write(at, source);
      break;
    }
    case 'copy': {
      const wanted = naive.trouble(other, length, 'read') ?? naive.trouble(at, length, 'write');
      const there = wanted === undefined ? naive.read(other, length) : source;
      if (expect(wanted, () => virtual.copyFrom(virtual, BASE + BigInt(other), gva, length)))
        naive.write(at, there);
      break;
    }
    case 'copy of physical memory': {
      const from = other % 0x7000;
      const there = Uint8Array.from({ length }, (_, i) => naive.bytes.get(from + i) ?? 0);
      const wanted = naive.trouble(at, length, 'write');
      if (expect(wanted, () => virtual.copyFrom(virtual.memory, from, gva, length))) naive.write(at, there);
      break;
    }
    case 'string': {
      const max = length;
      const there = naive.read(at, naive.reach(at, max, 'read'));
      const zero = there.indexOf(0);
      if (zero >= 0)
        assert.equal(virtual.readCString(gva, max), new TextDecoder().decode(there.subarray(0, zero)));
      else if (there.length === max) expect('too-large', () => void virtual.readCString(gva, max));
      else expect(naive.trouble(at + there.length, 1, 'read'), () => void virtual.readCString(gva, max));
      break;
    }
    case 'probe':
      for (const kind of ['read', 'write', 'execute'] as const) {
        const trouble = naive.trouble(at, length, kind);
        assert.equal(virtual.checkRange(gva, length, kind), trouble === undefined);
        expect(trouble, () => virtual.probe(gva, length, kind));
      }
      break;
    default:
      assert.fail(what);
  }
}

const WHAT = [
  'readAt',
  'fetchAt',
  'readBytes',
  'writeAt',
  'fillAt',
  'read',
  'fetch',
  'write',
  'scalar',
  'scalar',
  'scalar',
  'fetched scalar',
  'plain',
  'atomics',
  'views',
  'copy',
  'copy of physical memory',
  'string',
  'probe',
] as const;

/** Places near the ends of pages, where things happen, and lengths from none to some pages. */
const place = fc
  .tuple(fc.nat(PAGES.length), fc.oneof(fc.integer({ min: -12, max: 12 }), fc.nat(PAGE)))
  .map(([page, offset]) => Math.min(LENGTH - 1, Math.max(0, page * PAGE + offset)));
const size = fc.oneof({ weight: 3, arbitrary: fc.nat(24) }, { weight: 1, arbitrary: fc.nat(3 * PAGE) });
const steps = fc.array(
  fc.record({ what: fc.constantFrom(...WHAT), at: place, length: size, other: place, seed: fc.nat(0xffff) }),
  { minLength: 5, maxLength: 25, size: 'max' },
);

describe('T9: virtual memory behaves as bytes behind a list of pages', () => {
  for (const [name, user, cached] of [
    ['the supervisor', false, false],
    ['user mode', true, false],
    ['the supervisor, through a TLB', false, true],
  ] as const) {
    it(`T9 M3 M5 M6 M7 M8: random accesses by ${name}, against the naive one`, () => {
      fc.assert(
        fc.property(steps, (sequence) => {
          const { memory, translator } = scene();
          const virtual = new VirtualMemory(
            memory,
            cached ? new Tlb(translator, { entries: 4 }) : translator,
            { user },
          );
          const naive = new Naive(user);
          for (const step of sequence) run(step, virtual, naive);
          // Whatever happened: all of memory is as it should be.
          for (let gpa = 0; gpa < 0xa000; gpa += PAGE) {
            const wanted = Uint8Array.from({ length: PAGE }, (_, i) => naive.bytes.get(gpa + i) ?? 0);
            sameBytes(memory.readBytes(gpa, PAGE), wanted, `page 0x${gpa.toString(16)}`);
          }
        }),
        { numRuns: 25 },
      );
    });
  }
});
