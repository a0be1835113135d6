import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory, isGuestMemoryError } from '../../src/core/index.ts';
import {
  ACCESS,
  BufferTables,
  createRoot,
  EPT_4LEVEL,
  EPT_5LEVEL,
  FrameRange,
  GuestTables,
  isPagingError,
  map,
  NPT_4LEVEL,
  RISCV_SV39,
  RISCV_SV39X4,
  type TableReadOps,
  Tlb,
  Translator,
  TwoStageTranslator,
  VirtualMemory,
  X86_4LEVEL,
  X86_5LEVEL,
  X86_PAE,
} from '../../src/paging/index.ts';

const SIZE = 0x10_0000;

/**
 * A guest's tables at 0x1000, 0x2000 and 0x3000, and EPT that has the first 2 MiB where they are; 1 GiB further up its table
 * is not in this memory.
 */
function machine(): { memory: GuestMemory; both: TwoStageTranslator } {
  const memory = GuestMemory.allocate(SIZE);
  memory.writeU64(0x8_0000, 0x8_1007n);
  memory.writeU64(0x8_1000, 0x8_2007n);
  memory.writeU64(0x8_1008, 0x4000_0007n);
  memory.writeU64(0x8_2000, 0xb7n);
  memory.writeU64(0x1000, 0x2007n);
  memory.writeU64(0x2000, 0x3007n);
  memory.writeU64(0x3000, 0x20_0087n); // the page is where the EPT has nothing
  memory.writeU64(0x3008, 0x4000_0087n); // ... where its table cannot be read
  memory.writeU64(0x3010, 0x20_0007n); // the page table is where the EPT has nothing
  memory.writeU64(0x3018, 0x4000_0007n); // ... where its table cannot be read
  memory.writeU64(0x3020, 0x1_0000_0000_0087n); // an address of 49 bits
  const second = new Translator({ memory, format: EPT_4LEVEL, root: 0x8_0000 });
  return { memory, both: new TwoStageTranslator({ memory, format: X86_4LEVEL, root: 0x1000, second }) };
}

describe('what the record of a failed resolve says of the second stage', () => {
  const cases = [
    [0x0n, 'page-fault', 'final-access', 0x20_0000, 0x8_2008, 0x181],
    [0x20_0000n, 'table-unreadable', 'final-access', 0x4000_0000, 0x4000_0000, 0],
    [0x40_0000n, 'page-fault', 'table-walk', 0x20_0000, 0x8_2008, 0x81],
    [0x60_0000n, 'table-unreadable', 'table-walk', 0x4000_0000, 0x4000_0000, 0],
  ] as const;
  for (const [gva, secondStage, during, gpa, entryAddress, errorCode] of cases) {
    it(`T2 T5: ${secondStage} in the ${during} for ${gpa.toString(16)}, with its own entry`, () => {
      const { memory, both } = machine();
      assert.equal(both.resolveGva(gva, ACCESS.read), -1);
      const { fault } = both;
      const facts = [
        fault.kind,
        fault.secondStage,
        fault.during,
        fault.gpa,
        fault.entryAddress,
        fault.errorCode,
      ];
      assert.deepEqual(facts, ['second-stage', secondStage, during, gpa, entryAddress, errorCode]);
      assert.equal(fault.gva, gva);

      const story = both.translate(gva);
      assert(story.kind === 'second-stage-fault');
      assert.deepEqual([story.fault.kind, story.during, story.gpa], [secondStage, during, gpa]);

      assert.throws(
        () => new VirtualMemory(memory, both).readU8(gva),
        (error) => {
          assert(isGuestMemoryError(error) && error.code === 'fault' && isPagingError(error.cause));
          const { cause } = error;
          assert.deepEqual(
            [cause.code, cause.secondStage, cause.during, cause.gpa, cause.entryAddress, cause.errorCode],
            ['second-stage', secondStage, during, gpa, entryAddress, errorCode],
          );
          assert.equal(/cannot be read/.test(cause.message), secondStage === 'table-unreadable');
          return true;
        },
      );
    });
  }

  it('T2: an address that the second stage does not know is not canonical there, and no entry is named', () => {
    const { memory, both } = machine();
    assert.equal(both.resolveGva(0x80_0000n, ACCESS.read), -1);
    const { kind, secondStage, during, gpa } = both.fault;
    assert.deepEqual(
      [kind, secondStage, during, gpa],
      ['second-stage', 'not-canonical', 'final-access', 2 ** 48],
    );
    assert.throws(
      () => new VirtualMemory(memory, both).readU8(0x80_0000n),
      (error) => {
        assert(isGuestMemoryError(error) && isPagingError(error.cause));
        assert.deepEqual([error.cause.secondStage, error.cause.entryAddress], ['not-canonical', undefined]);
        return true;
      },
    );
  });

  it('T2: a fault of the first stage says nothing of the second', () => {
    const { both } = machine();
    assert.equal(both.resolveGva(0n, ACCESS.read), -1);
    assert.equal(both.resolveGva(0xa0_0000n, ACCESS.read), -1);
    const { kind, secondStage, during, gpa, entryAddress } = both.fault;
    assert.deepEqual(
      [kind, secondStage, during, gpa, entryAddress],
      ['page-fault', undefined, undefined, -1, 0x3028],
    );
  });

  it('T2 T9: the cause of an access to an address that is not canonical has the code of its architecture', () => {
    const memory = GuestMemory.allocate(SIZE);
    const virtual = new VirtualMemory(memory, new Translator({ memory, format: RISCV_SV39, root: 0x1000 }));
    assert.throws(
      () => virtual.readU8(1n << 38n),
      (error) => {
        assert(isGuestMemoryError(error) && isPagingError(error.cause));
        assert.deepEqual([error.cause.code, error.cause.errorCode], ['not-canonical', 13]);
        return true;
      },
    );
  });
});

describe('how much two stages read', () => {
  it('T5 T8: a miss of a TLB reads exactly 24 entries for four levels over four, and 35 for five over five', () => {
    for (const [levels, reads] of [
      [4, 24],
      [5, 35],
    ] as const) {
      const memory = GuestMemory.allocate(SIZE);
      const format = levels === 4 ? X86_4LEVEL : X86_5LEVEL;
      const host = new GuestTables(memory, { frames: new FrameRange(0x8_0000, 0x8_0000) });
      const hostFormat = levels === 4 ? EPT_4LEVEL : EPT_5LEVEL;
      createRoot(host, hostFormat);
      map(host, { format: hostFormat, gva: 0n, gpa: 0, length: 0x8_0000, write: true, maxPageSize: 0x1000 });
      for (let i = 1; i < levels; i++) memory.writeU64(0x1000 * i, BigInt(0x1000 * (i + 1)) | 7n);
      memory.writeU64(0x1000 * levels, 0x9007n);
      let hostReads = 0;
      const counting: TableReadOps<number> = {
        entryAddr: (addr, offset) => addr + offset,
        readEntry: (addr) => {
          hostReads++;
          return memory.readU64(addr);
        },
        toPhys: (addr) => addr,
        fromPhys: (gpa) => gpa,
        rootTable: () => host.rootTable(),
      };
      const second = new Translator({ tables: counting, format: hostFormat });
      const both = new TwoStageTranslator({ memory, format, root: 0x1000, second });
      assert.equal(new Tlb(both).resolve(0x123, 0, ACCESS.read), 0x9123);
      assert.equal(both.reads, reads);
      assert.equal(hostReads, reads - levels);
    }
  });
});

describe('who asks nested tables', () => {
  it('T3: every access to AMD nested pages is one of user mode, whatever it is asked as', () => {
    const memory = GuestMemory.allocate(SIZE);
    for (const at of [0x1000, 0x2000, 0x3000]) memory.writeU64(at, BigInt(at + 0x1000) | 7n);
    memory.writeU64(0x4000, 0x5003n); // U/S is clear
    memory.writeU64(0x4008, 0x6005n); // may not be written
    const controls = { wp: false, smep: true, smap: true };
    const npt = new Translator({ memory, format: NPT_4LEVEL, root: 0x1000, controls });
    for (const user of [false, true]) {
      const supervisor = npt.translate(0n, { kind: 'read', user });
      assert(supervisor.kind === 'page-fault');
      assert.deepEqual([supervisor.reason, supervisor.errorCode], ['rights', 0b101]);
      assert.equal(npt.translate(0x1000n, { kind: 'read', user }).kind, 'mapped');
      assert.equal(npt.translate(0x1000n, { kind: 'execute', user }).kind, 'mapped');
      const write = npt.translate(0x1000n, { kind: 'write', user });
      assert(write.kind === 'page-fault');
      assert.equal(write.errorCode, 0b111);
    }
  });
});

describe("a guest's tables in anybody's TableReadOps", () => {
  /** Tables by their own numbers, as somebody may keep them who has no flat memory. */
  function numbered(): { tables: TableReadOps<readonly [number, number]>; asked: number[] } {
    const contents = new Map<number, Map<number, bigint>>([
      [0x70_1000, new Map([[0, 0x10_2007n]])],
      [
        0x70_2000,
        new Map([
          [0x8, 0x10_3007n],
          [0x10, 0x5007n],
        ]),
      ],
      [0x70_3000, new Map([[0, 0x87n]])],
    ]);
    const asked: number[] = [];
    return {
      asked,
      tables: {
        entryAddr: ([table], offset) => [table, offset],
        readEntry: ([table, offset]) =>
          contents.get(table)?.get(offset) ?? (contents.has(table) ? 0n : undefined),
        toPhys: ([table]) => table,
        fromPhys: (gpa) => {
          asked.push(gpa);
          return [gpa, 0];
        },
        rootTable: () => {
          throw new Error('The root is one of the guest');
        },
      },
    };
  }

  it('T5: reads them where the second stage says they are', () => {
    const host = new BufferTables(new Uint8Array(0x4000), 0);
    createRoot(host, EPT_4LEVEL);
    map(host, { format: EPT_4LEVEL, gva: 0n, gpa: 0x60_0000, length: 0x20_0000, write: true });
    const second = new Translator({ tables: host, format: EPT_4LEVEL });
    const { tables, asked } = numbered();
    const both = new TwoStageTranslator({ tables, format: X86_4LEVEL, root: 0x10_1000, second });
    assert.equal(both.resolveGva(0x4000_1234n, ACCESS.read), 0x60_1234);
    assert.deepEqual(asked.splice(0), [0x70_1000, 0x70_2000, 0x70_3000]);
    assert.equal(both.resolveGva(0x8000_0000n, ACCESS.read), -1);
    assert.deepEqual([both.fault.kind, both.fault.entryAddress], ['table-unreadable', 0x5000]);
    assert.deepEqual(asked, [0x70_1000, 0x70_2000, 0x60_5000]);
  });

  it('T1: fromPhys is asked for tables alone, of every size', () => {
    const asked: number[] = [];
    const tables = (root: number, entry: bigint): TableReadOps<number> => ({
      entryAddr: (addr, offset) => addr + offset,
      readEntry: () => entry,
      toPhys: (addr) => addr,
      fromPhys: (gpa) => {
        asked.push(gpa);
        return gpa;
      },
      rootTable: () => root,
    });
    new Translator({ tables: tables(0x1020, 0x3001n), format: X86_PAE }).translate(0xffff_ffffn);
    assert.deepEqual(asked.splice(0), [0x1020, 0x3000, 0x3000]);
    // A root of 16 KiB, and an address in its last quarter.
    new Translator({ tables: tables(0x4000, 0x1401n), format: RISCV_SV39X4 }).translate((1n << 41n) - 1n);
    assert.deepEqual(asked.splice(0, 2), [0x4000, 0x5000]);
  });
});
