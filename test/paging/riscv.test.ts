import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  ACCESS,
  accessCode,
  BufferTables,
  createRoot,
  isPagingError,
  map,
  mappings,
  type PageAccess,
  type PagingFormat,
  RISCV_FORMATS,
  RISCV_SV32,
  RISCV_SV32X4,
  RISCV_SV39,
  RISCV_SV39X4,
  RISCV_SV48,
  RISCV_SV48X4,
  RISCV_SV57,
  RISCV_SV57X4,
  type RiscvControls,
  riscvGuestModeFromRegisters,
  riscvModeFromRegisters,
  Translator,
  TwoStageTranslator,
} from '../../src/paging/index.ts';

// Worked out by hand from the pictures of the privileged specification 1.13.

/** Tables in 1 MiB of memory: [address, entry] each. */
function machine(
  format: PagingFormat,
  entries: readonly (readonly [number, bigint])[],
  controls?: RiscvControls,
) {
  const memory = GuestMemory.allocate(0x10_0000);
  for (const [address, entry] of entries) {
    if (format.entrySize === 8) memory.writeU64(address, entry);
    else memory.writeU32(address, Number(entry));
  }
  const init = controls === undefined ? {} : { controls };
  const translator = new Translator({ memory, format, root: 0x4000, ...init });
  /** 'pa of size rights', or what went wrong. */
  const at = (gva: bigint, access: PageAccess = { kind: 'read' }): string => {
    const found = translator.translate(gva, access);
    switch (found.kind) {
      case 'mapped': {
        const { gpa, pageSize, rights } = found;
        const letters = `${rights.read ? 'r' : '-'}${rights.write ? 'w' : '-'}${rights.execute ? 'x' : '-'}${rights.user ? 'u' : 's'}`;
        return `${gpa.toString(16)} of ${pageSize.toString(16)} ${letters}`;
      }
      case 'page-fault':
        return `cause ${found.errorCode} at level ${found.level}: ${found.reason}`;
      case 'not-canonical':
        return `cause ${found.errorCode}: no address`;
      case 'table-unreadable':
        return `no table at level ${found.level}`;
    }
  };
  return { memory, translator, at };
}

const READ: PageAccess = { kind: 'read' };
const WRITE: PageAccess = { kind: 'write' };
const EXECUTE: PageAccess = { kind: 'execute' };
const user = ({ kind }: PageAccess): PageAccess => ({ kind, user: true });

/** Page table entry of a physical address: PPN from bit 10 on. */
const pte = (address: bigint, flags: bigint): bigint => ((address >> 12n) << 10n) | flags;
const V = 0x01n;
const RWX = 0x0fn;
const RWXAD = 0xcfn;

describe('RISC-V tables, by hand', () => {
  it('T1 T2: Sv39: three levels, and what a translation tells', () => {
    // 0x40_8061_5abc: vpn 102, 003, 015 (hexadecimal), offset abc; the upper half is negative.
    const { translator } = machine(RISCV_SV39, [
      [0x4810, pte(0x5000n, V)],
      [0x5018, pte(0x6000n, V)],
      [0x60a8, pte(0x8765_4000n, 0xd7n)],
    ]);
    assert.deepEqual(translator.translate(0xffff_ffc0_8061_5abcn, { kind: 'write', user: true }), {
      kind: 'mapped',
      gva: 0xffff_ffc0_8061_5abcn,
      gpa: 0x8765_4abc,
      pageSize: 4096,
      rights: {
        read: true,
        write: true,
        execute: false,
        user: true,
        supervisorExecute: false,
      },
      memoryType: 0,
      global: false,
      protectionKey: undefined,
      software: 0,
      shadowStack: false,
      levels: [
        { level: 2, name: 'PTE', entryAddress: 0x4810, entry: 0x1401n },
        { level: 1, name: 'PTE', entryAddress: 0x5018, entry: 0x1801n },
        { level: 0, name: 'PTE', entryAddress: 0x60a8, entry: 0x21d9_50d7n },
      ],
    });
  });

  it('T1: Sv32: 34 bits out, pages of 4 KiB and 4 MiB', () => {
    const { at } = machine(RISCV_SV32, [
      [0x4804, pte(0x5000n, V)],
      [0x500c, pte(0x3_0000_7000n, 0x43n)],
      [0x4808, pte(0x1_0040_0000n, 0x43n)],
      [0x480c, pte(0x1_0040_1000n, 0x43n)],
    ]);
    assert.equal(at(0x8040_3004n), '300007004 of 1000 r--s');
    assert.equal(at(0x8081_2345n), '100412345 of 400000 r--s');
    assert.equal(at(0x80c0_0000n), 'cause 13 at level 1: misaligned');
    assert.equal(at(0x1_0000_0000n, EXECUTE), 'cause 12: no address');
  });

  it('T1: Sv48 and Sv57: the levels above, and the pages of 512 GiB and 256 TiB', () => {
    const sv48 = machine(RISCV_SV48, [[0x4008, pte(0x80_0000_0000n, RWXAD)]]);
    assert.equal(sv48.at(0x80_1234_5678n), '8012345678 of 8000000000 rwxs');
    assert.equal(sv48.at(0xffff_7fff_ffff_ffffn), 'cause 13: no address');
    assert.equal(sv48.at(0xffff_8000_0000_0000n, WRITE), 'cause 15 at level 3: not-present');
    const sv57 = machine(RISCV_SV57, [
      [0x4008, pte(0x1_0000_0000_0000n, RWXAD)],
      [0x4010, pte(0x5000n, V)],
      [0x5008, pte(0x6000n, V)],
      [0x6008, pte(0x4000_0000n, RWXAD)],
    ]);
    assert.equal(sv57.at(0x1_2345_6789_abcdn), '123456789abcd of 1000000000000 rwxs');
    assert.equal(sv57.at(0x2_0080_4012_3456n), '40123456 of 40000000 rwxs');
  });

  it('T1: G-stages: two more bits of index, upper bits of zero, guest-page faults', () => {
    // Sv39x4: 0x1ff_c012_3456 is index 7ff of the root, at 0x7ff8.
    const sv39x4 = machine(RISCV_SV39X4, [
      [0x7ff8, pte(0x4000_0000n, 0xdfn)],
      [0x4000, pte(0n, RWXAD)],
    ]);
    assert.equal(sv39x4.at(0x1ff_c012_3456n), '40123456 of 40000000 rwxu');
    assert.equal(sv39x4.at(0x200_0000_0000n), 'cause 21: no address');
    assert.equal(sv39x4.at(0x1ff_8000_0000n, WRITE), 'cause 23 at level 2: not-present');
    // Every access is one of user mode.
    assert.equal(sv39x4.at(0x1234n, EXECUTE), 'cause 20 at level 2: rights');
    // Sv32x4: 0x3_fffc_5678 is index fff of the root, at 0x7ffc, and 3fc.
    const sv32x4 = machine(RISCV_SV32X4, [
      [0x7ffc, pte(0x8000n, V)],
      [0x8ff0, pte(0x3_1234_5000n, 0xdfn)],
    ]);
    assert.equal(sv32x4.at(0x3_ffff_c678n), '312345678 of 1000 rwxu');
    const sv48x4 = machine(RISCV_SV48X4, [[0x7ff8, pte(0n, 0xdfn)]]);
    assert.equal(sv48x4.at(0x3_ff80_0000_1000n), '1000 of 8000000000 rwxu');
    assert.equal(sv48x4.at(0x4_0000_0000_0000n), 'cause 21: no address');
    const sv57x4 = machine(RISCV_SV57X4, [[0x7ff8, pte(0n, 0xdfn)]]);
    assert.equal(sv57x4.at(0x7ff_0000_0000_1000n), '1000 of 1000000000000 rwxu');
    assert.equal(sv57x4.at(0x800_0000_0000_0000n), 'cause 21: no address');
  });

  it('T1: the root of a G-stage is aligned to its 16 KiB, any other to 4 KiB', () => {
    for (const format of RISCV_FORMATS) {
      const memory = GuestMemory.allocate(0x8000);
      const translator = new Translator({ memory, format, root: 0x7fff });
      const fault = translator.translate(0n);
      assert(fault.kind === 'page-fault');
      assert.equal(fault.entryAddress, format.name.endsWith('x4') ? 0x4000 : 0x7000, format.name);
    }
  });

  it('T3: where physical addresses have 32 bits, Sv32 has pages and tables beyond', () => {
    const entries = [
      [0x4000, pte(0x1_0000_0000n, V)],
      [0x4004, pte(0x1_0000_0000n, RWXAD)],
      [0x4008, pte(0xffc0_0000n, RWXAD)],
    ] as const;
    const narrow = machine(RISCV_SV32, entries, { physicalBits: 32 });
    assert.equal(narrow.at(0n), 'cause 5 at level 1: address-size');
    assert.equal(narrow.at(0x40_0000n), 'cause 5 at level 1: address-size');
    assert.equal(narrow.at(0x80_1234n), 'ffc01234 of 400000 rwxs');
    assert.equal(machine(RISCV_SV32, entries).at(0n), 'no table at level 0');
  });

  it('T3: SUM, MXR and U', () => {
    const own = machine(RISCV_SV39, [[0x4000, pte(0n, RWXAD)]]);
    const users = machine(RISCV_SV39, [[0x4000, pte(0n, 0xdfn)]]);
    const sum = machine(RISCV_SV39, [[0x4000, pte(0n, 0xdfn)]], { sum: true });
    const refused = (cause: number): string => `cause ${cause} at level 2: rights`;
    assert.equal(own.at(0n, user(READ)), refused(13));
    assert.equal(own.at(0n, user(EXECUTE)), refused(12));
    assert.equal(users.at(0n, WRITE), refused(15));
    assert.equal(users.at(0n, EXECUTE), refused(12));
    assert.equal(sum.at(0n, WRITE), '0 of 40000000 rwxu');
    assert.equal(sum.at(0n, EXECUTE), refused(12));
    const code = machine(RISCV_SV39, [[0x4000, pte(0n, 0x49n)]]);
    const mxr = machine(RISCV_SV39, [[0x4000, pte(0n, 0x49n)]], { mxr: true });
    assert.equal(code.at(0n), refused(13));
    assert.equal(code.at(0n, EXECUTE), '0 of 40000000 --xs');
    assert.equal(mxr.at(0n), '0 of 40000000 --xs');
    assert.equal(mxr.at(0n, WRITE), refused(15));
  });

  it('T1 T3: Svnapot: 64 KiB, with the low bits of the page number from the address', () => {
    const entries: (readonly [number, bigint])[] = [
      [0x4000, pte(0x5000n, V)],
      [0x5000, pte(0x6000n, V)],
    ];
    const N = 1n << 63n;
    for (let index = 0; index < 16; index++) entries.push([0x6000 + index * 8, N | pte(0x1235_8000n, RWXAD)]);
    entries.push([0x6080, N | pte(0x1235_9000n, RWXAD)], [0x5008, N | pte(0x20_0000n, RWXAD)]);
    const { at, translator } = machine(RISCV_SV39, entries);
    assert.equal(at(0x0n), '12350000 of 10000 rwxs');
    assert.equal(at(0xabcdn), '1235abcd of 10000 rwxs');
    assert.equal(at(0x1_0000n), 'cause 13 at level 0: reserved');
    assert.equal(at(0x20_0000n), 'cause 13 at level 1: reserved');
    const [listed] = mappings(translator, { last: 0xffffn });
    assert(listed?.kind === 'mapped');
    assert.deepEqual(
      [listed.gva, listed.size, listed.gpa, listed.pageSize],
      [0n, 0x1_0000, 0x1235_0000, 0x1_0000],
    );
    const without = machine(RISCV_SV39, entries, { svnapot: false });
    assert.equal(without.at(0n), 'cause 13 at level 0: reserved');
  });

  it('T1 T3: Svpbmt: the memory type of a leaf, where it is on', () => {
    const type = (value: bigint, controls?: RiscvControls): number | string => {
      const { translator } = machine(RISCV_SV39, [[0x4000, (value << 61n) | pte(0n, RWXAD)]], controls);
      const found = translator.translate(0n);
      return found.kind === 'mapped' ? found.memoryType : found.kind;
    };
    assert.deepEqual(
      [0n, 1n, 2n, 3n].map((value) => type(value)),
      [0, 1, 2, 'page-fault'],
    );
    assert.equal(type(1n, { svpbmt: false }), 'page-fault');
    const { at } = machine(RISCV_SV39, [[0x4000, (1n << 61n) | pte(0x5000n, V)]]);
    assert.equal(at(0n), 'cause 13 at level 2: reserved');
  });

  it('T3: bits 60:54 are reserved, but for 60:59 where Svrsw60t59b gives them to software', () => {
    const reserved = (bit: bigint, controls?: RiscvControls): boolean =>
      machine(RISCV_SV39, [[0x4000, (1n << bit) | pte(0n, RWXAD)]], controls)
        .at(0n)
        .endsWith('reserved');
    const bits = [54n, 55n, 56n, 57n, 58n, 59n, 60n];
    assert.deepEqual(
      bits.map((bit) => reserved(bit)),
      [true, true, true, true, true, true, true],
    );
    const software = bits.map((bit) => reserved(bit, { svrsw60t59b: true }));
    assert.deepEqual(software, [true, true, true, true, true, false, false]);
  });

  it('T1 T6: a table that is global makes everything below it global', () => {
    const { translator } = machine(RISCV_SV39, [
      [0x4000, pte(0x5000n, V | 0x20n)],
      [0x4008, pte(0x5000n, V)],
      [0x5000, pte(0n, RWXAD)],
      [0x5008, pte(0x20_0000n, RWXAD | 0x20n)],
    ]);
    const global = [0n, 0x20_0000n, 0x4000_0000n, 0x4020_0000n].map((gva) => {
      const found = translator.translate(gva);
      return found.kind === 'mapped' && found.global;
    });
    assert.deepEqual(global, [true, true, false, true]);
    // The second time the table is not an alias: its pages are others.
    const listed = [...mappings(translator)].map((record) => [
      record.gva,
      record.kind === 'mapped' ? record.global : record.kind,
    ]);
    assert.deepEqual(listed, [
      [0n, true],
      [0x4000_0000n, false],
      [0x4020_0000n, true],
    ]);
    const guest = machine(RISCV_SV39X4, [[0x4000, pte(0n, 0xffn)]]).translator.translate(0n);
    assert(guest.kind === 'mapped' && !guest.global);
  });

  it('T4: Svade faults where A or D is missing, when all else is good; Svadu sets them', () => {
    const entries = [[0x4000, pte(0n, RWX)]] as const;
    const fault = machine(RISCV_SV39, entries, { accessedDirty: 'fault' });
    assert.equal(fault.at(0n), 'cause 13 at level 2: access-flag');
    assert.equal(fault.at(0n, user(READ)), 'cause 13 at level 2: rights');
    fault.memory.writeU64(0x4000, pte(0n, RWX | 0x40n));
    assert.equal(fault.at(0n), '0 of 40000000 rwxs');
    assert.equal(fault.at(0n, WRITE), 'cause 15 at level 2: access-flag');
    const update = machine(RISCV_SV39, entries, { accessedDirty: 'update' });
    assert.equal(update.at(0n), '0 of 40000000 rwxs');
    assert.equal(update.memory.readU64(0x4000), pte(0n, RWX | 0x40n));
    assert.equal(update.at(0n, WRITE), '0 of 40000000 rwxs');
    assert.equal(update.memory.readU64(0x4000), pte(0n, RWXAD));
    const off = machine(RISCV_SV39, entries);
    assert.equal(off.at(0n, WRITE), '0 of 40000000 rwxs');
    assert.equal(off.memory.readU64(0x4000), pte(0n, RWX));
  });

  it('T2 T3: an address beyond physical memory is an access fault: of a page after the rights, of a table at once', () => {
    const wide = [
      [0x4000, pte(1n << 54n, RWXAD)],
      [0x4008, pte(1n << 54n, V)],
      [0x4010, pte(0x1f_ffff_c000_0000n, RWXAD)],
    ] as const;
    const { at, translator } = machine(RISCV_SV39, wide);
    assert.equal(at(0n), 'cause 5 at level 2: address-size');
    assert.equal(at(0n, WRITE), 'cause 7 at level 2: address-size');
    assert.equal(at(0n, EXECUTE), 'cause 1 at level 2: address-size');
    assert.equal(at(0n, user(READ)), 'cause 13 at level 2: rights');
    assert.equal(at(0x4000_0000n), 'cause 5 at level 2: address-size');
    assert.equal(at(0xbfff_ffffn), '1fffffffffffff of 40000000 rwxs');
    assert.equal(translator.resolve(0, 0, ACCESS.read), -1);
    assert.equal(translator.fault.errorCode, 5);
    const narrow = machine(RISCV_SV39, [[0x4000, pte(0x40_0000_0000n, RWXAD)]], { physicalBits: 38 });
    assert.equal(narrow.at(0n), 'cause 5 at level 2: address-size');
  });

  it('T6: of a page that reaches beyond physical memory the good part is listed', () => {
    const { translator, at } = machine(RISCV_SV48, [[0x4000, pte(0n, RWXAD)]], { physicalBits: 32 });
    assert.equal(at(0xffff_ffffn), 'ffffffff of 8000000000 rwxs');
    assert.equal(at(0x1_0000_0000n), 'cause 5 at level 3: address-size');
    const listed = [...mappings(translator)].map(({ kind, gva, ...rest }) => [
      kind,
      gva,
      'size' in rest ? rest.size : 0,
    ]);
    assert.deepEqual(listed, [
      ['mapped', 0n, 2 ** 32],
      ['reserved', 0x1_0000_0000n, 2 ** 39 - 2 ** 32],
    ]);
  });

  it('T7: what map() builds is what walks find', () => {
    for (const format of RISCV_FORMATS) {
      // In a G-stage every access is one of user mode, and nothing is global.
      const guest = format.name.endsWith('x4');
      const tables = new BufferTables(new Uint8Array(0x10000), 0x10_0000);
      createRoot(tables, format);
      map(tables, {
        format,
        gva: 0x40_0000n,
        gpa: 0x800_0000,
        length: 0x40_3000,
        write: true,
        execute: true,
        user: guest,
      });
      const { invalidations: added } = map(tables, {
        format,
        gva: 0x1000n,
        gpa: 0x5000,
        length: 0x1000,
        user: true,
        memoryType: 0,
        global: true,
      });
      // A hart may remember that there was nothing: the second mapping stands in tables of the first.
      assert.deepEqual(
        added.map(({ why }) => why),
        ['added'],
      );
      const translator = new Translator({ tables, format, controls: { accessedDirty: 'fault' } });
      const large = translator.translate(0x41_2345n, { kind: 'write' });
      assert(large.kind === 'mapped');
      assert.equal(large.gpa, 0x801_2345);
      assert.equal(large.pageSize, format.entrySize === 4 ? 0x40_0000 : 0x20_0000);
      const small = translator.translate(0x1234n, { kind: 'read', user: true });
      assert(small.kind === 'mapped');
      assert.deepEqual([small.gpa, small.global, small.rights.write], [0x5234, !guest, false]);
    }
  });
});

describe('RISC-V registers', () => {
  it('T1: satp of RV64 and RV32', () => {
    const names = [0n, 1n, 8n, 9n, 10n, 11n, 15n].map(
      (mode) => riscvModeFromRegisters({ satp: mode << 60n }).name,
    );
    assert.deepEqual(names, [
      'bare',
      'reserved',
      'riscv-sv39',
      'riscv-sv48',
      'riscv-sv57',
      'reserved',
      'reserved',
    ]);
    const long = riscvModeFromRegisters({ satp: 0x9fff_ffff_ffff_ffffn });
    assert.equal(long.format, RISCV_SV48);
    assert.deepEqual([long.root, long.id, long.reason], [0xff_ffff_ffff_f000n, 0xffff, 'satp.MODE is 9']);
    const short = riscvModeFromRegisters({ satp: 0xffff_ffff, xlen: 32 });
    assert.equal(short.format, RISCV_SV32);
    assert.deepEqual([short.root, short.id], [0x3_ffff_f000n, 0x1ff]);
    assert.equal(riscvModeFromRegisters({ satp: 0x7fff_ffff, xlen: 32 }).name, 'bare');
    assert.match(riscvModeFromRegisters({ satp: 5n << 60n }).reason, /^satp\.MODE is 5, which is reserved$/);
  });

  it('T1 T3: SUM and MXR from sstatus, PBMTE and SSE from menvcfg', () => {
    const none = riscvModeFromRegisters({ satp: 0, envcfg: 0 }).controls;
    assert.deepEqual(none, {
      sum: false,
      mxr: false,
      svpbmt: false,
      sse: false,
      supervisorPmlen: 0,
      userPmlen: 0,
    });
    const all = riscvModeFromRegisters({ satp: 0, sstatus: 3n << 18n, envcfg: (1n << 62n) | 8n }).controls;
    assert.deepEqual(all, {
      sum: true,
      mxr: true,
      svpbmt: true,
      sse: true,
      supervisorPmlen: 0,
      userPmlen: 0,
    });
    const only = (bit: bigint) => riscvModeFromRegisters({ satp: 0, sstatus: 1n << bit }).controls;
    assert.deepEqual(
      [only(18n).sum, only(18n).mxr, only(19n).sum, only(19n).mxr],
      [true, false, false, true],
    );
    // The hypervisor's MXR holds for a guest too, its SUM does not.
    const guest = riscvModeFromRegisters({ satp: 0, sstatus: 0, hypervisorStatus: 3n << 18n }).controls;
    assert.deepEqual(guest, {
      sum: false,
      mxr: true,
      svpbmt: true,
      sse: false,
      supervisorPmlen: 0,
      userPmlen: 0,
    });
  });

  it('T1: hgatp of RV64 and RV32', () => {
    const names = [0n, 7n, 8n, 9n, 10n].map(
      (mode) => riscvGuestModeFromRegisters({ hgatp: mode << 60n }).name,
    );
    assert.deepEqual(names, ['bare', 'reserved', 'riscv-sv39x4', 'riscv-sv48x4', 'riscv-sv57x4']);
    const long = riscvGuestModeFromRegisters({
      hgatp: 0xafff_ffff_ffff_ffffn,
      sstatus: 3n << 18n,
      envcfg: 0n,
    });
    assert.deepEqual([long.format, long.root, long.id], [RISCV_SV57X4, 0xff_ffff_ffff_c000n, 0x3fff]);
    assert.deepEqual(long.controls, { mxr: true, svpbmt: false });
    const short = riscvGuestModeFromRegisters({ hgatp: 0xffff_ffffn, xlen: 32 });
    assert.deepEqual([short.format, short.root, short.id], [RISCV_SV32X4, 0x3_ffff_c000n, 0x7f]);
  });

  it('T3: controls that no hart has are refused', () => {
    const memory = GuestMemory.allocate(0x1000);
    const make = (format: PagingFormat, controls: RiscvControls) => () =>
      new Translator({ memory, format, root: 0, controls });
    const invalid = (error: unknown): boolean => isPagingError(error) && error.code === 'invalid';
    for (const physicalBits of [31, 54, 40.5, Number.NaN])
      assert.throws(make(RISCV_SV39, { physicalBits }), invalid);
    for (const physicalBits of [32, 53]) make(RISCV_SV39, { physicalBits })();
    // G-stage knows no SUM.
    assert.throws(make(RISCV_SV39X4, { sum: true }), invalid);
  });
});

describe('RISC-V addresses beyond physical memory', () => {
  const codes = (translator: Translator | TwoStageTranslator, gva: bigint): unknown[] =>
    (['read', 'write', 'execute'] as const).map((kind) => {
      const found = translator.translate(gva, { kind });
      assert.equal(translator.resolveGva(gva, accessCode({ kind })), -1);
      assert(found.kind === 'page-fault' && found.reason === 'address-size');
      assert.equal(translator.fault.errorCode, found.errorCode);
      return found.errorCode;
    });

  it('T2: a root that satp has there is an access fault at the first entry, which nobody reads', () => {
    const memory = GuestMemory.allocate(0x1000);
    const { root } = riscvModeFromRegisters({ satp: 0x8fff_ffff_ffff_ffffn });
    const translator = new Translator({ memory, format: RISCV_SV39, root });
    assert.deepEqual(codes(translator, 0x4000_0000n), [5, 7, 1]);
    const found = translator.translate(0x4000_0000n);
    assert(found.kind === 'page-fault');
    assert.deepEqual([found.level, found.entryAddress, found.levels], [2, 0xff_ffff_ffff_f008, []]);
    assert.equal(translator.reads, 0);
    const narrow = { memory, format: RISCV_SV39, root: 2n ** 40n };
    assert.equal(new Translator(narrow).translate(0n).kind, 'table-unreadable');
    assert.deepEqual(codes(new Translator({ ...narrow, controls: { physicalBits: 40 } }), 0n), [5, 7, 1]);
  });

  it('T2 T5: of a guest, its tables’ or its pages’, they are guest page faults', () => {
    const memory = GuestMemory.allocate(0x1_0000);
    memory.writeU64(0x4000, 0xdfn); // G-stage: the first GiB as it is
    memory.writeU64(0x1000, ((1n << 53n) >> 2n) | 1n); // VS-stage: a table out of reach
    memory.writeU64(0x1008, ((1n << 53n) >> 2n) | 0xcfn); // and a page
    const second = new Translator({ memory, format: RISCV_SV39X4, root: 0x4000 });
    const both = new TwoStageTranslator({ memory, format: RISCV_SV39, root: 0x1000, second });
    assert.deepEqual(codes(both, 0n), [21, 23, 20]);
    assert.deepEqual(codes(both, 0x4000_0000n), [21, 23, 20]);
    const alone = new Translator({ memory, format: RISCV_SV39, root: 0x1000 });
    assert.deepEqual(codes(alone, 0n), [5, 7, 1]);
  });
});
