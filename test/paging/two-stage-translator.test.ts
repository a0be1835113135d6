import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  ACCESS,
  EPT_4LEVEL,
  eptFormat,
  mappings,
  type PagingControls,
  Tlb,
  Translator,
  TwoStageTranslator,
  type WalkedPage,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

// The guest's tables are its pages 0 to 3, and its virtual page v is its page 8 + v. EPT puts its page n at HOST + n pages.

const HOST = 0x1_0000;
const EPT_PT = 0x4000;
/** Read, write, execute; write-back memory. */
const RWX = 0x37n;
const READ_ONLY = 0x31n;
/** Present, writable, user. */
const PWU = 7n;
const LARGE = 0x80n;
const GLOBAL = 0x100n;

/** All accesses of both modes, without and with EFLAGS.AC (see walked-pages.test.ts). */
const EVERYTHING = 0x7777;
const WRITES = 0x2222;

interface Machine {
  readonly memory: GuestMemory;
  readonly second: Translator;
  readonly both: TwoStageTranslator;
  /** Where EPT puts a page of the guest. */
  place(page: number, entry: bigint): void;
  /** An entry in the guest's last table. */
  map(page: number, entry: bigint): void;
}

function machine(controls?: PagingControls): Machine {
  const memory = GuestMemory.allocate(0x3_0000);
  const place = (page: number, entry: bigint): void => memory.writeU64(EPT_PT + page * 8, entry);
  const map = (page: number, entry: bigint): void => memory.writeU64(HOST + 0x3000 + page * 8, entry);
  for (const table of [0x1000, 0x2000, 0x3000]) memory.writeU64(table, BigInt(table + 0x1000) | 7n);
  for (let page = 0; page < 16; page++) place(page, BigInt(HOST + page * 0x1000) | RWX);
  for (const table of [0, 0x1000, 0x2000]) memory.writeU64(HOST + table, BigInt(table + 0x1000) | PWU);
  for (let page = 0; page < 8; page++) map(page, BigInt(0x8000 + page * 0x1000) | PWU);
  const second = new Translator({ memory, format: EPT_4LEVEL, root: 0x1000 });
  const stages = { memory, format: X86_4LEVEL, root: 0, second };
  const both = new TwoStageTranslator(controls === undefined ? stages : { ...stages, controls });
  return { memory, second, both, place, map };
}

function unknownPage(): WalkedPage {
  return { sizeBits: 0, accesses: 0, global: false };
}

describe('a translator of two stages', () => {
  it('T5: a format that is no second stage cannot be one', () => {
    const memory = GuestMemory.allocate(0x1000);
    const second = new Translator({ memory, format: X86_4LEVEL, root: 0 });
    assert.throws(() => new TwoStageTranslator({ memory, format: X86_4LEVEL, root: 0, second }), {
      name: 'PagingError',
      code: 'invalid',
      message: /x86-64 4-level is no second stage/,
    });
  });

  it('T5: the page at address 0 of the memory is a page', () => {
    const { both, place } = machine();
    place(8, RWX);
    const page = unknownPage();
    assert.equal(both.resolve(0, 0, ACCESS.read), 0);
    assert.equal(both.resolvePage(0, 0, ACCESS.read, page), 0);
    assert.equal(page.accesses, EVERYTHING);
  });

  it('T2 T5: a code or a kind that is no access is refused, before anything is read', () => {
    const { both } = machine();
    for (const access of [-1, 16, 64, 1.5]) {
      assert.throws(() => both.resolve(0, 0, access), { name: 'PagingError', code: 'invalid' });
      assert.throws(() => both.resolvePage(0, 0, access, unknownPage()), { code: 'invalid' });
    }
    assert.throws(() => both.translate(0n, { kind: 'fetch' as 'read' }), { code: 'invalid' });
    assert.equal(both.reads, 0);
  });

  it('T3 T5: the controls are those of the first stage', () => {
    assert.equal(machine().both.resolve(0, 0, ACCESS.read), HOST + 0x8000);
    const { both } = machine({ smap: true });
    assert.equal(both.resolve(0, 0, ACCESS.read), -1);
    assert.deepEqual([both.fault.kind, both.fault.errorCode], ['page-fault', 1]);
    const allowed = both.translate(0n, { kind: 'read', ac: true });
    assert.equal(allowed.kind, 'mapped');
  });

  it('T5: of each refusal anew, the story is that of its own walk', () => {
    const { both, place, map } = machine();
    place(3, 0n);
    const walk = both.translate(0x123n);
    assert(walk.kind === 'second-stage-fault' && walk.fault.kind === 'page-fault');
    // A read for a table's sake, with a linear address: bits 0 and 7.
    assert.deepEqual([walk.during, walk.gpa, walk.fault.errorCode], ['table-walk', 0x3000, 0x81]);
    assert.deepEqual(
      walk.levels.map(({ entryAddress }) => entryAddress),
      [0, 0x1000, 0x2000],
    );
    place(3, BigInt(HOST + 0x3000) | RWX);
    map(0, 0n);
    const fault = both.translate(0x123n);
    assert(fault.kind === 'page-fault', 'the second stage has nothing against this one');
    assert.deepEqual([fault.level, fault.entryAddress, fault.errorCode], [1, 0x3000, 0]);
  });

  it('T2 T5: a table outside of the memory stays another thing than one that the second stage refuses', () => {
    const { both, place } = machine();
    place(3, 0n);
    assert.equal(both.resolve(0, 0, ACCESS.read), -1);
    assert.deepEqual([both.fault.kind, both.fault.gpa], ['second-stage', 0x3000]);
    place(3, 0x7000_0000n | RWX);
    assert.equal(both.resolve(0, 0, ACCESS.read), -1);
    assert.deepEqual([both.fault.kind, both.fault.entryAddress], ['table-unreadable', 0x3000]);
    const found = both.translate(0n);
    assert(found.kind === 'table-unreadable');
    assert.deepEqual([found.level, found.address], [1, 0x3000]);
  });

  it('T5: with mode-based execute control the U/S bit of the guest’s page chooses between two execute bits', () => {
    // SDM 3C, 29.3.2: bit 2 of an EPT entry is for supervisor-mode linear addresses, bit 10 for user-mode ones.
    const supervisorOnly = 0x37n;
    const userOnly = 0x433n;
    const executes = (entry: bigint, flags: bigint): readonly boolean[] => {
      const { memory, place, map } = machine();
      for (const table of [0x1000, 0x2000, 0x3000]) memory.writeU64(table, BigInt(table + 0x1000) | 0x407n);
      place(8, BigInt(HOST + 0x8000) | entry);
      map(0, 0x8000n | flags);
      const format = eptFormat({ levels: 4, modeBasedExecute: true });
      const second = new Translator({ memory, format, root: 0x1000 });
      const both = new TwoStageTranslator({ memory, format: X86_4LEVEL, root: 0, second });
      const page = unknownPage();
      both.resolvePage(0, 0, ACCESS.read, page);
      return [
        both.resolve(0, 0, ACCESS.execute) >= 0,
        both.translate(0n, { kind: 'execute' }).kind === 'mapped',
        ((page.accesses >>> ACCESS.execute) & 1) === 1,
      ];
    };
    const supervisorPage = 3n;
    for (const [entry, flags, allowed] of [
      [supervisorOnly, supervisorPage, true],
      [supervisorOnly, PWU, false],
      [userOnly, supervisorPage, false],
      [userOnly, PWU, true],
    ] as const)
      assert.deepEqual(
        executes(entry, flags),
        [allowed, allowed, allowed],
        `${entry.toString(16)}, ${flags}`,
      );
  });

  it('T5: when a walk is broken off, the second stage by itself answers for itself all the same', () => {
    const { memory, second: real } = machine();
    let broken = false;
    const second = new Translator({
      tables: {
        entryAddr: (addr: number, offset) => addr + offset,
        readEntry(addr) {
          if (broken) throw new Error('These bytes are on their way');
          return memory.readU64(addr);
        },
        toPhys: (addr) => addr,
        fromPhys: (gpa) => gpa,
        rootTable: () => 0x1000,
      },
      format: EPT_4LEVEL,
    });
    const both = new TwoStageTranslator({ memory, format: X86_4LEVEL, root: 0, second });
    for (const walk of [() => both.resolve(0, 0, ACCESS.read), () => both.translate(0n)]) {
      broken = true;
      assert.throws(walk, /on their way/);
      broken = false;
      for (const translator of [real, second]) {
        const alone = translator.translate(0x40_0000n);
        assert(alone.kind === 'page-fault');
        assert.equal(alone.errorCode, 1, 'a read, with no linear address');
      }
    }
  });

  it('T6: the tables of the first stage are listed through the second', () => {
    const { both, place } = machine();
    place(0xf, 0n);
    const found = [...mappings(both.first)];
    assert.equal(found.length, 1);
    const [range] = found;
    assert(range?.kind === 'mapped');
    assert.deepEqual([range.gva, range.gpa, range.size], [0n, 0x8000, 0x8000]);
    place(3, 0n);
    const [hole] = [...mappings(both.first)];
    assert(hole?.kind === 'table-unreadable', 'the second stage has no page for that table');
    assert.deepEqual([hole.gva, hole.size], [0n, 0x20_0000]);
  });
});

describe('a TLB in front of two stages', () => {
  it('T8: a page allows what both stages do, and is global as the guest says', () => {
    const { both, place, map } = machine();
    const told = (lo: number): WalkedPage & { readonly at: number } => {
      const page = unknownPage();
      return { at: both.resolvePage(lo, 0, ACCESS.read, page), ...page };
    };
    place(9, BigInt(HOST + 0x9000) | READ_ONLY);
    map(2, 0xa000n | 5n | GLOBAL);
    const small = { sizeBits: 12, global: false };
    assert.deepEqual(told(0x123), { ...small, at: HOST + 0x8123, accesses: EVERYTHING });
    assert.deepEqual(told(0x1123), { ...small, at: HOST + 0x9123, accesses: 0x1111 });
    assert.deepEqual(told(0x2123), {
      sizeBits: 12,
      global: true,
      at: HOST + 0xa123,
      accesses: EVERYTHING & ~WRITES,
    });
  });

  it('T8: where one stage refuses, nothing is said of the page', () => {
    const { both, place, map } = machine();
    place(9, BigInt(HOST + 0x9000) | READ_ONLY);
    map(2, 0xa000n | 5n);
    for (const lo of [0x1000, 0x2000]) {
      const page = unknownPage();
      assert.equal(both.resolvePage(lo, 0, ACCESS.write, page), -1);
      assert.deepEqual(page, unknownPage());
    }
  });

  it('T5 T8: a miss is one walk of 24 entries, and keeps what that one found', () => {
    const { memory } = machine();
    const leaf = EPT_PT + 8 * 8;
    let reads = 0;
    const second = new Translator({
      tables: {
        entryAddr: (addr: number, offset) => addr + offset,
        readEntry(addr) {
          reads++;
          const entry = memory.readU64(addr);
          // As soon as it was read the hypervisor takes the page away.
          if (addr === leaf) memory.writeU64(leaf, 0n);
          return entry;
        },
        toPhys: (addr) => addr,
        fromPhys: (gpa) => gpa,
        rootTable: () => 0x1000,
      },
      format: EPT_4LEVEL,
    });
    const both = new TwoStageTranslator({ memory, format: X86_4LEVEL, root: 0, second });
    const tlb = new Tlb(both);
    assert.equal(tlb.resolve(0x123, 0, ACCESS.read), HOST + 0x8123);
    assert.equal(reads, 20, 'four for each of the guest’s tables, and four for the page');
    assert.equal(both.reads, 24);
    assert.equal(tlb.resolve(0x456, 0, ACCESS.write), HOST + 0x8456, 'no fence, no change');
    assert.equal(both.reads, 24);
  });

  it('T8: a fence on any address of the guest’s large page drops all of it, however small the pages below are', () => {
    const { memory, both } = machine();
    memory.writeU64(HOST + 0x2000, PWU | LARGE);
    const tlb = new Tlb(both);
    const ask = (): number[] => [0x8123, 0x9123].map((lo) => tlb.resolve(lo, 0, ACCESS.read));
    assert.deepEqual(ask(), [HOST + 0x8123, HOST + 0x9123]);
    // The guest unmaps its page of 2 MiB, and INVLPGs the first byte of it (SDM 3A, 5.10.4.1).
    memory.writeU64(HOST + 0x2000, 0n);
    assert.deepEqual(ask(), [HOST + 0x8123, HOST + 0x9123]);
    tlb.invalidate({ address: 0n, asid: 0, stage: 'first' });
    assert.deepEqual(ask(), [-1, -1]);
  });
});
