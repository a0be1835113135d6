import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  AArch64Translator,
  ACCESS,
  aarch64Stage1Format,
  aarch64Stage1FromRegisters,
  aarch64Stage2Format,
  aarch64Stage2FromRegisters,
  createRoot,
  FrameRange,
  formatRights,
  GuestTables,
  isPagingError,
  map,
  mappings,
  type PagingFormat,
  Tlb,
  Translator,
  TwoStageTranslator,
  VirtualMemory,
} from '../../src/paging/index.ts';
import { SIX_ACCESSES, SparseTables } from './support/aarch64.ts';

// Everything here was worked out by hand from the Arm ARM's figures, and is written as numbers where it can be.

const UXN = 1n << 54n;
const PXN = 1n << 53n;
const DBM = 1n << 51n;
/** A page of level 3 at 0x1234_5000, accessed: AP 00, not global at all. */
const PAGE = 0x1234_5403n;
const AP_EL0 = 0x40n;
const AP_READ_ONLY = 0x80n;

const STAGE1 = aarch64Stage1Format({ granule: 4096, inputBits: 39 });
const STAGE2 = aarch64Stage2Format({ granule: 4096, inputBits: 32, startLevel: 1 });
/** 0x4020_1234 = 1 GiB + 2 MiB + 4 KiB + 0x234: index 1 at each of three levels. */
const VA = 0x4020_1234n;

function tablesOf(leaf: bigint, level1 = 0x2003n, level2 = 0x3003n): SparseTables {
  const tables = new SparseTables(0x1000);
  tables.entries.set(0x1008, level1).set(0x2008, level2).set(0x3008, leaf);
  return tables;
}

describe('AArch64 rights, as they are told', () => {
  /** r, w, x where EL0 may execute, then u; and S where EL1 may execute. */
  const told = (
    format: PagingFormat,
    leaf: bigint,
    level1?: bigint,
    level2?: bigint,
    controls = {},
  ): string => {
    const tables = tablesOf(leaf, level1, level2);
    const mapped = new Translator({ tables, format, controls }).translate(VA, { kind: 'read', user: false });
    assert(mapped.kind === 'mapped' || mapped.kind === 'page-fault');
    assert(mapped.rights !== undefined);
    const { read, write, execute, user, supervisorExecute } = mapped.rights;
    return `${read ? 'r' : '-'}${write ? 'w' : '-'}${execute ? 'x' : '-'}${user ? 'u' : 's'}${supervisorExecute ? 'S' : '-'}`;
  };

  it('T2: AP, UXN and PXN of stage 1', () => {
    assert.equal(told(STAGE1, PAGE), 'rwxsS');
    assert.equal(told(STAGE1, PAGE | UXN), 'rw-sS');
    assert.equal(told(STAGE1, PAGE | PXN), 'rwxs-');
    assert.equal(told(STAGE1, PAGE | UXN | PXN | AP_EL0), 'rw-u-');
    assert.equal(told(STAGE1, PAGE | AP_READ_ONLY), 'r-xsS');
    assert.equal(told(STAGE1, PAGE | AP_READ_ONLY | AP_EL0), 'r-xuS');
    assert.equal(told(STAGE1, PAGE | AP_EL0), 'rwxu-', 'EL1 does not execute what EL0 can write');
    // Software's bits, contiguous, PBHA and the rest say nothing of rights.
    assert.equal(told(STAGE1, PAGE | (0xffn << 55n) | (1n << 52n)), 'rwxsS');
  });

  it('T2: what tables take away', () => {
    const open = PAGE | AP_EL0;
    assert.equal(told(STAGE1, open), 'rwxu-');
    for (const [bits, rights] of [
      [1n << 59n, 'rwxu-'],
      [1n << 60n, 'rw-u-'],
      [1n << 61n, 'rwxsS'],
      [1n << 62n, 'r-xuS'],
      [0xfn << 59n, 'r--s-'],
    ] as const) {
      assert.equal(told(STAGE1, open, 0x2003n | bits), rights);
      assert.equal(told(STAGE1, open, undefined, 0x3003n | bits), rights);
      const disabled = aarch64Stage1Format({ granule: 4096, inputBits: 39, hierarchyDisabled: true });
      assert.equal(told(disabled, open, 0x2003n | bits), 'rwxu-');
    }
  });

  it('T2: DBM makes a page writable where hardware manages dirty state', () => {
    const dirtyable = PAGE | AP_READ_ONLY | DBM;
    assert.equal(told(STAGE1, dirtyable), 'r-xsS');
    assert.equal(told(STAGE1, dirtyable, undefined, undefined, { hd: true }), 'rwxsS');
    assert.equal(told(STAGE1, dirtyable, 0x2003n | (1n << 62n), undefined, { hd: true }), 'r-xsS', 'APTable');
    assert.equal(told(STAGE2, 0x1234_5443n | DBM), 'r-xuS');
    assert.equal(told(STAGE2, 0x1234_5443n | DBM, undefined, undefined, { hd: true }), 'rwxuS');
  });

  it('T2: S2AP and the four encodings of XN', () => {
    assert.equal(told(STAGE2, 0x1234_5403n), '--xuS');
    assert.equal(told(STAGE2, 0x1234_5443n), 'r-xuS');
    assert.equal(told(STAGE2, 0x1234_5483n), '-wxuS');
    const open = 0x1234_54c3n;
    assert.equal(told(STAGE2, open | (0b00n << 53n)), 'rwxuS');
    assert.equal(told(STAGE2, open | (0b01n << 53n)), 'rwxu-', 'EL0 only');
    assert.equal(told(STAGE2, open | (0b10n << 53n)), 'rw-u-', 'neither');
    assert.equal(told(STAGE2, open | (0b11n << 53n)), 'rw-uS', 'EL1 only');
    const withoutXnx = aarch64Stage2Format({ granule: 4096, inputBits: 32, startLevel: 1, xnx: false });
    assert.equal(told(withoutXnx, open | (0b01n << 53n)), 'rwxuS');
    assert.equal(told(withoutXnx, open | (0b11n << 53n)), 'rw-u-');
    // Tables of stage 2 take nothing away.
    assert.equal(told(STAGE2, open, 0x2003n | (0xfn << 59n)), 'rwxuS');
  });

  it('T2: memory type and global', () => {
    const seen = (format: PagingFormat, leaf: bigint): [number, boolean] => {
      const mapped = new Translator({ tables: tablesOf(leaf), format }).translate(VA);
      assert(mapped.kind === 'mapped');
      return [mapped.memoryType, mapped.global];
    };
    assert.deepEqual(seen(STAGE1, PAGE), [0, true]);
    assert.deepEqual(seen(STAGE1, PAGE | (5n << 2n) | 0x800n), [5, false]);
    assert.deepEqual(seen(STAGE2, 0x1234_5443n | (13n << 2n)), [13, false]);
  });
});

describe('AArch64 access control', () => {
  const allowed = (leaf: bigint, controls = {}, format = STAGE1): string => {
    const translator = new Translator({ tables: tablesOf(leaf), format, controls });
    return SIX_ACCESSES.map(({ kind, user }) =>
      translator.translate(VA, { kind, user }).kind === 'mapped' ? kind[0] : '-',
    ).join('');
  };

  it('T3: EL1 reads, writes, executes; then EL0', () => {
    assert.equal(allowed(PAGE), 'rwe--e');
    assert.equal(allowed(PAGE | AP_EL0), 'rw-rwe', 'EL1 does not execute what EL0 writes');
    assert.equal(allowed(PAGE | AP_READ_ONLY), 'r-e--e');
    assert.equal(allowed(PAGE | AP_READ_ONLY | AP_EL0), 'r-er-e');
    assert.equal(allowed(PAGE | AP_READ_ONLY | UXN), 'r-e---');
    assert.equal(allowed(PAGE | AP_READ_ONLY | PXN | AP_EL0), 'r--r-e');
  });

  it('T3: WXN and PAN', () => {
    assert.equal(allowed(PAGE, { wxn: true }), 'rw---e');
    assert.equal(allowed(PAGE | AP_EL0, { wxn: true }), 'rw-rw-');
    assert.equal(allowed(PAGE | AP_READ_ONLY | AP_EL0, { wxn: true }), 'r-er-e');
    assert.equal(allowed(PAGE | AP_EL0, { pan: true }), '---rwe');
    assert.equal(allowed(PAGE | AP_READ_ONLY | AP_EL0, { pan: true }), '--er-e');
    assert.equal(allowed(PAGE, { pan: true }), 'rwe--e');
  });

  it('T3: refuses controls that are none', () => {
    const tables = tablesOf(PAGE);
    const refused = (controls: object, format = STAGE1): boolean => {
      try {
        return new Translator({ tables, format, controls }).format !== format;
      } catch (error) {
        return isPagingError(error) && error.code === 'invalid';
      }
    };
    for (const controls of [
      { physicalBits: 31 },
      { physicalBits: 53 },
      { physicalBits: 40.5 },
      { hd: true, accessedDirty: 'fault' },
      { nxe: true },
    ])
      assert(refused(controls), JSON.stringify(controls));
    assert(refused({ wxn: true }, STAGE2));
    assert(!refused({ physicalBits: 32, hd: true, accessedDirty: 'update' }));
  });
});

describe('AArch64 fault status codes', () => {
  const code = (format: PagingFormat, tables: SparseTables, controls = {}, va = 0n): number => {
    const translation = new Translator({ tables, format, controls }).translate(va);
    assert(translation.kind === 'page-fault' || translation.kind === 'not-canonical');
    return translation.errorCode;
  };

  it('T2: level -1 has its own', () => {
    const format = aarch64Stage1Format({ granule: 4096, inputBits: 52, wide: true });
    const tables = new SparseTables(0x1000);
    assert.equal(code(format, tables), 0x2b);
    tables.entries.set(0x1000, 1n);
    assert.equal(code(format, tables), 0x2b, 'no blocks there');
    tables.entries.set(0x1000, (1n << 40n) | 3n);
    assert.equal(code(format, tables, { physicalBits: 40 }), 0x29);
    assert.equal(code(format, tables, {}, 1n << 52n), 0x04, 'out of range');
  });

  it('T2: address size, translation, access flag and permission, by level', () => {
    const read = (tables: SparseTables, controls = {}): number => code(STAGE1, tables, controls, VA);
    assert.equal(read(tablesOf(PAGE, 0n)), 0x05);
    assert.equal(read(tablesOf(PAGE, undefined, 0n)), 0x06);
    assert.equal(read(tablesOf(0n)), 0x07);
    assert.equal(read(tablesOf(PAGE - 2n)), 0x07, 'a block at level 3');
    assert.equal(read(tablesOf(PAGE, (1n << 40n) | 3n), { physicalBits: 40 }), 0x01);
    assert.equal(read(tablesOf(PAGE | (1n << 40n)), { physicalBits: 40 }), 0x03);
    assert.equal(read(tablesOf(PAGE - 0x400n), { accessedDirty: 'fault' }), 0x0b);
    assert.equal(read(tablesOf(PAGE | AP_EL0), { pan: true }), 0x0f);
    // In this order: address size, access flag, permission.
    const all = (PAGE | AP_EL0 | (1n << 40n)) - 0x400n;
    assert.equal(read(tablesOf(all), { physicalBits: 40, pan: true, accessedDirty: 'fault' }), 0x03);
    assert.equal(read(tablesOf(all), { pan: true, accessedDirty: 'fault' }), 0x0b);
    assert.equal(read(tablesOf(all), { pan: true }), 0x0f);
  });

  it('T2: of a block that is larger than memory can be, the byte counts', () => {
    const format = aarch64Stage1Format({ granule: 4096, inputBits: 48, wide: true });
    const tables = new SparseTables(0x1000);
    tables.entries.set(0x1000, 0x401n); // 512 GiB at 0
    const translator = new Translator({ tables, format, controls: { physicalBits: 36 } });
    const last = translator.translate(0xf_ffff_ffffn);
    assert(last.kind === 'mapped' && last.gpa === 0xf_ffff_ffff);
    assert.equal(code(format, tables, { physicalBits: 36 }, 0x10_0000_0000n), 0x00);
  });
});

describe('AArch64 formats', () => {
  const levels = ({ levels: all }: PagingFormat): string =>
    all
      .map(({ level, indexBit, indexBits }) => `${level}: ${indexBit + indexBits - 1}-${indexBit}`)
      .join(', ');

  it('T1: levels of stage 1 as D8.2 has them', () => {
    const stage1 = (granule: 4096 | 16384 | 65536, inputBits: number, wide = false): string =>
      levels(aarch64Stage1Format({ granule, inputBits, wide }));
    assert.equal(stage1(4096, 48), '0: 47-39, 1: 38-30, 2: 29-21, 3: 20-12');
    assert.equal(stage1(4096, 39), '1: 38-30, 2: 29-21, 3: 20-12');
    assert.equal(stage1(4096, 40), '0: 39-39, 1: 38-30, 2: 29-21, 3: 20-12');
    assert.equal(stage1(4096, 52, true), '-1: 51-48, 0: 47-39, 1: 38-30, 2: 29-21, 3: 20-12');
    assert.equal(stage1(4096, 16), '3: 15-12');
    assert.equal(stage1(16384, 48), '0: 47-47, 1: 46-36, 2: 35-25, 3: 24-14');
    assert.equal(stage1(16384, 47), '1: 46-36, 2: 35-25, 3: 24-14');
    assert.equal(stage1(65536, 42), '2: 41-29, 3: 28-16');
    assert.equal(stage1(65536, 52), '1: 51-42, 2: 41-29, 3: 28-16');
  });

  it('T1: roots of stage 2 side by side', () => {
    const stage2 = (granule: 4096 | 16384 | 65536, inputBits: number, startLevel?: number): string =>
      levels(
        aarch64Stage2Format({ granule, inputBits, ...(startLevel === undefined ? {} : { startLevel }) }),
      );
    assert.equal(stage2(4096, 40), '1: 39-30, 2: 29-21, 3: 20-12');
    assert.equal(stage2(4096, 43), '1: 42-30, 2: 29-21, 3: 20-12');
    assert.equal(stage2(4096, 44), '0: 43-39, 1: 38-30, 2: 29-21, 3: 20-12');
    assert.equal(stage2(4096, 40, 0), '0: 39-39, 1: 38-30, 2: 29-21, 3: 20-12');
    assert.equal(stage2(16384, 40), '2: 39-25, 3: 24-14');
    assert.equal(stage2(65536, 33), '3: 32-16');
  });

  it('T1: blocks only where the granule has them', () => {
    const blocks = (granule: 4096 | 16384 | 65536, wide: boolean): number[] =>
      aarch64Stage1Format({ granule, inputBits: 48, wide })
        .levels.filter(({ level, leafAddress }) => level < 3 && leafAddress.length > 0)
        .map(({ level }) => level);
    assert.deepEqual(blocks(4096, false), [1, 2]);
    assert.deepEqual(blocks(4096, true), [0, 1, 2]);
    assert.deepEqual(blocks(16384, false), [2]);
    assert.deepEqual(blocks(16384, true), [1, 2]);
    assert.deepEqual(blocks(65536, false), [2]);
    assert.deepEqual(blocks(65536, true), [1, 2]);
  });

  it('T1: refuses what does not go together', () => {
    const refused = (make: () => PagingFormat): void => {
      assert.throws(make, (error) => isPagingError(error) && error.code === 'invalid');
    };
    const other = { granule: 8192 as 4096 };
    refused(() => aarch64Stage1Format({ ...other, inputBits: 39 }));
    refused(() => aarch64Stage1Format({ granule: 4096, inputBits: 49 }));
    refused(() => aarch64Stage1Format({ granule: 16384, inputBits: 52 }));
    refused(() => aarch64Stage1Format({ granule: 4096, inputBits: 53, wide: true }));
    refused(() => aarch64Stage1Format({ granule: 4096, inputBits: 15 }));
    refused(() => aarch64Stage1Format({ granule: 65536, inputBits: 16 }));
    refused(() => aarch64Stage1Format({ granule: 4096, inputBits: 39.5 }));
    refused(() => aarch64Stage2Format({ granule: 4096, inputBits: 44, startLevel: 1 }));
    refused(() => aarch64Stage2Format({ granule: 4096, inputBits: 30, startLevel: 1 }));
    refused(() => aarch64Stage2Format({ granule: 4096, inputBits: 48, startLevel: -1 }));
    refused(() => aarch64Stage2Format({ granule: 16384, inputBits: 48, startLevel: 0 }));
    refused(() => aarch64Stage2Format({ granule: 65536, inputBits: 52, startLevel: 0, wide: true }));
    refused(() => aarch64Stage2Format({ granule: 4096, inputBits: 16, startLevel: 4 }));
    aarch64Stage2Format({ granule: 4096, inputBits: 52, startLevel: -1, wide: true });
    aarch64Stage2Format({ granule: 16384, inputBits: 52, startLevel: 0, wide: true });
  });

  it('T1: says what is wrong, with the current and the wanted value', () => {
    const said = (make: () => PagingFormat): string => {
      try {
        return make().name;
      } catch (error) {
        return isPagingError(error) ? error.message : String(error);
      }
    };
    const begins = 'Cannot make an AArch64 format: current';
    assert.equal(
      said(() => aarch64Stage1Format({ granule: 8192 as 4096, inputBits: 39 })),
      `${begins} granule 8192, wanted 4096, 16384 or 65536`,
    );
    assert.equal(
      said(() => aarch64Stage1Format({ granule: 65536, inputBits: 53 })),
      `${begins} input 53 bits, wanted 17 to 52`,
    );
    assert.equal(
      said(() => aarch64Stage2Format({ granule: 16384, inputBits: 49 })),
      `${begins} input 49 bits, wanted 16 to 48`,
    );
    assert.equal(
      said(() => aarch64Stage2Format({ granule: 65536, inputBits: 16 })),
      `${begins} input 16 bits, wanted 17 to 52`,
    );
    assert.equal(
      said(() => aarch64Stage2Format({ granule: 4096, inputBits: 52, wide: true, startLevel: -2 })),
      `${begins} start level -2, wanted -1 to 3`,
    );
    assert.equal(
      said(() => aarch64Stage2Format({ granule: 65536, inputBits: 52, wide: true, startLevel: 0 })),
      `${begins} start level 0, wanted 1 to 3`,
    );
    assert.equal(
      said(() => aarch64Stage2Format({ granule: 4096, inputBits: 44, startLevel: 1 })),
      `${begins} input 44 bits, wanted 31 to 43 from level 1`,
    );
  });

  it('T1: titles for people', () => {
    const { title } = aarch64Stage1Format({ granule: 4096, inputBits: 52, wide: true, half: 'upper' });
    assert.equal(title, 'AArch64 stage 1, 4 KiB granule, 52-bit upper half, 52-bit output');
    assert.equal(STAGE1.title, 'AArch64 stage 1, 4 KiB granule, 39-bit lower half');
    const wide = aarch64Stage2Format({ granule: 16384, inputBits: 40, wide: true });
    assert.equal(wide.title, 'AArch64 stage 2, 16 KiB granule, 40-bit from level 2, 52-bit output');
    assert.equal(STAGE2.title, 'AArch64 stage 2, 4 KiB granule, 32-bit from level 1');
  });

  it('T1: takes a base register of the 48-bit form as it is', () => {
    const memory = GuestMemory.allocate(0x4000);
    memory.writeU64(0x1008, 0x2003n);
    memory.writeU64(0x2008, 0x3003n);
    memory.writeU64(0x3008, 0x403n);
    // ASID 0xffff and CnP.
    const translator = new Translator({ memory, format: STAGE1, root: 0xffff_0000_0000_1001n });
    assert.equal(translator.resolveGva(VA, ACCESS.read), 0x234);
  });

  it('T7: physical addresses are as wide as entries hold', () => {
    const tables = new GuestTables(GuestMemory.allocate(0x1_0000), {
      frames: new FrameRange(0x1000, 0xf000),
    });
    createRoot(tables, STAGE1);
    const last = { format: STAGE1, gva: 0n, gpa: 2 ** 48 - 0x1000, length: 0x1000 };
    assert.throws(() => map(tables, { ...last, length: 0x2000 }), isPagingError);
    map(tables, last);
    assert.equal(new Translator({ tables, format: STAGE1 }).resolveGva(0x123n, ACCESS.read), 2 ** 48 - 0xedd);
  });

  it('T7: a leaf in use is broken before another size takes its place', () => {
    assert.deepEqual([STAGE1.breakBeforeMake, STAGE2.breakBeforeMake], [true, true]);
  });

  it('T1: names tell formats apart', () => {
    const names = new Set(
      ([4096, 16384, 65536] as const).flatMap((granule) =>
        [false, true].flatMap((wide) => [
          aarch64Stage1Format({ granule, inputBits: 40, wide }).name,
          aarch64Stage1Format({ granule, inputBits: 40, wide, half: 'upper' }).name,
          aarch64Stage1Format({ granule, inputBits: 40, wide, hierarchyDisabled: true }).name,
          aarch64Stage2Format({ granule, inputBits: 40, wide }).name,
          aarch64Stage2Format({ granule, inputBits: 40, wide, xnx: false }).name,
        ]),
      ),
    );
    assert.equal(names.size, 30);
  });
});

describe('AArch64 registers', () => {
  const TCR = 0x5_8010_0010n; // T0SZ 16, T1SZ 16, TG1 4 KiB, IPS 48 bits

  it('T1: SCTLR_EL1 switches translation, WXN and the order of bytes', () => {
    const mode = (sctlr: bigint | undefined, pan = false) =>
      aarch64Stage1FromRegisters({ tcr: TCR, ttbr0: 0x1000n, ttbr1: 0n, sctlr, pan }).lower;
    assert.equal(mode(undefined).name, 'aarch64-4k-48bit-lower');
    assert.equal(mode(0n).name, 'off');
    assert.equal(mode(0n).format, undefined);
    assert.equal(mode(1n | (1n << 25n)).name, 'big-endian');
    assert.deepEqual(mode(1n).controls, { physicalBits: 48, wxn: false, pan: false, epan: false, hd: false });
    assert.deepEqual(mode(1n | (1n << 19n), true).controls, {
      physicalBits: 48,
      wxn: true,
      pan: true,
      epan: false,
      hd: false,
    });
    assert.equal(mode(1n | (1n << 57n)).controls.epan, true);
  });

  it('T1: EPD, T0SZ and a base register that is too large make every address a fault', () => {
    const lower = (tcr: bigint, ttbr0 = 0x1000n) => {
      const { name, faultCode, reason } = aarch64Stage1FromRegisters({ tcr, ttbr0, ttbr1: 0n }).lower;
      return { name, faultCode, reason };
    };
    assert.deepEqual(lower(TCR | 0x80n), { name: 'faults', faultCode: 4, reason: 'TCR_EL1.EPD0 set' });
    assert.deepEqual(lower(TCR & ~0x3fn), {
      name: 'faults',
      faultCode: 4,
      reason: 'TCR_EL1: 4 KiB granule, T0SZ 0, 48-bit output: T0SZ out of range',
    });
    assert.deepEqual(lower(TCR & ~(7n << 32n), 1n << 32n), {
      name: 'faults',
      faultCode: 0,
      reason: 'TCR_EL1: 4 KiB granule, T0SZ 16, 32-bit output: TTBR0_EL1 is too large for it',
    });
  });

  it('T1: the 52-bit forms of base registers keep bits 51:48 in 5:2', () => {
    const ttbr0 = 0xabcd_1234_5678_9037n;
    const root = (tcr: bigint): bigint => aarch64Stage1FromRegisters({ tcr, ttbr0, ttbr1: 0n }).lower.root;
    // 4 KiB, 48 bits: a whole page. DS, T0SZ 12, IPS 52: 16 entries, 128 bytes.
    assert.equal(root(TCR), 0x1234_5678_9000n);
    assert.equal(root(0x6_0000_000cn | (1n << 59n)), 0xd_1234_5678_9000n);
    // 64 KiB, 52-bit output: 42 bits want a whole table, 48 bits 64 entries.
    assert.equal(root(0x6_0000_4016n), 0xd_1234_5678_0000n);
    assert.equal(root(0x6_0000_4010n), 0xd_1234_5678_9000n);
    assert.equal(root(0x5_0000_4010n), 0x1234_5678_9000n);
  });

  it('T1: HCR_EL2 switches stage 2', () => {
    const vtcr = 0x5_0058n;
    assert.equal(aarch64Stage2FromRegisters({ vtcr, vttbr: 0n, hcr: 0n }).name, 'off');
    assert.equal(
      aarch64Stage2FromRegisters({ vtcr, vttbr: 0n, hcr: 1n }).name,
      'aarch64-stage2-4k-40bit-level1',
    );
    const { name, reason } = aarch64Stage2FromRegisters({ vtcr: 0x5_0018n, vttbr: 0n });
    assert.deepEqual(
      [name, reason],
      ['faults', 'VTCR_EL2: 4 KiB granule, T0SZ 24, SL0 0, 48-bit output: T0SZ and SL0 do not go together'],
    );
  });

  it('T4: HA and HD say what the processor does with marks', () => {
    const mode = (bits: bigint) =>
      aarch64Stage1FromRegisters({ tcr: TCR | bits, ttbr0: 0n, ttbr1: 0n }).lower;
    const HA = 1n << 39n;
    const HD = 1n << 40n;
    assert.deepEqual([mode(0n).marking, mode(0n).controls.hd], ['fault', false]);
    assert.deepEqual([mode(HA).marking, mode(HA).controls.hd], ['update', false]);
    assert.deepEqual([mode(HD).marking, mode(HD).controls.hd], ['fault', false], 'HD needs HA');
    assert.deepEqual([mode(HA | HD).marking, mode(HA | HD).controls.hd], ['update', true]);
  });
});

describe('both halves of an AArch64 address space', () => {
  const memory = GuestMemory.allocate(0x1_0000);
  memory.writeU64(0x1008, 0x2003n); // lower half
  memory.writeU64(0x2008, 0x3003n);
  memory.writeU64(0x3008, 0x8443n | UXN); // EL0 may read and write
  memory.writeU64(0x4ff8, 0x5003n); // upper half
  memory.writeU64(0x5ff8, 0x6003n);
  memory.writeU64(0x6ff8, 0x9483n); // read-only
  memory.writeU32(0x8234, 0x1111_1111);
  memory.writeU32(0x9ff0, 0x2222_2222);
  const TBI0 = 1n << 37n;
  const EPD1 = 1n << 23n;
  const TCR = 0x2_8019_0019n; // T0SZ 25, T1SZ 25, TG1 4 KiB, IPS 40 bits
  const both = (bits: bigint): AArch64Translator =>
    new AArch64Translator({
      ...aarch64Stage1FromRegisters({ tcr: TCR | bits, ttbr0: 0x00aa_0000_0000_1001n, ttbr1: 0x4000n }),
      memory,
    });
  const HIGH = 0xffff_ffff_ffff_fff0n;

  it('T1 T9: bit 55 chooses the root, for virtual memory and a TLB as well', () => {
    const virtual = new VirtualMemory(memory, both(0n));
    assert.equal(virtual.readU32(VA), 0x1111_1111);
    assert.equal(virtual.readU32(HIGH), 0x2222_2222);
    const tlb = new Tlb(both(0n));
    for (const _turn of [1, 2]) {
      assert.equal(tlb.resolveGva(VA, ACCESS.read), 0x8234);
      assert.equal(tlb.resolveGva(HIGH, ACCESS.read), 0x9ff0);
      assert.equal(tlb.resolveGva(HIGH, ACCESS.write), -1);
      assert.equal(tlb.fault.errorCode, 0x0f);
    }
  });

  it('T2: an ignored top byte is set aside, and told in the fault', () => {
    const tagged = VA | (0x5an << 56n);
    assert.equal(both(TBI0).resolveGva(tagged, ACCESS.read), 0x8234);
    const mapped = both(TBI0).translate(tagged);
    assert(mapped.kind === 'mapped' && mapped.gva === tagged && mapped.gpa === 0x8234);
    const strict = both(0n);
    assert.equal(strict.resolveGva(tagged, ACCESS.read), -1);
    assert.deepEqual(
      [strict.fault.kind, strict.fault.errorCode, strict.fault.gva],
      ['not-canonical', 4, tagged],
    );
    // TBI0 is not TBI1.
    assert.equal(both(TBI0).translate(HIGH ^ (1n << 60n)).kind, 'not-canonical');
    assert.equal(both(1n << 38n).translate(HIGH ^ (1n << 60n)).kind, 'mapped');
  });

  it('T2 T3 T8: TBID keeps tags from addresses of instructions, in a TLB as well', () => {
    const tagged = VA | (0x5an << 56n);
    // EL1's, read-only, and to be executed.
    const before = memory.readU64(0x3008);
    memory.writeU64(0x3008, 0x8483n);
    const tbid = both(TBI0 | (1n << 51n));
    for (const translator of [tbid, new Tlb(tbid)]) {
      for (const _turn of [1, 2]) {
        assert.equal(translator.resolveGva(tagged, ACCESS.read), 0x8234);
        assert.equal(translator.resolveGva(tagged, ACCESS.execute), -1);
        assert.equal(translator.fault.errorCode, 4);
        assert.equal(translator.resolveGva(VA, ACCESS.execute), 0x8234);
      }
    }
    assert.equal(both(TBI0).resolveGva(tagged, ACCESS.execute), 0x8234);
    assert.equal(tbid.translate(tagged, { kind: 'execute' }).kind, 'not-canonical');
    memory.writeU64(0x3008, before);
  });

  it('T2 T3 T8: E0PD keeps EL0 out of a half before any table is read, in a TLB as well', () => {
    const before = memory.readU64(0x3008);
    memory.writeU64(0x3008, 0x8443n); // AP[1]: EL0 may read and write
    const e0pd = both(1n << 55n);
    for (const translator of [e0pd, new Tlb(e0pd)]) {
      assert.equal(translator.resolveGva(VA, ACCESS.read), 0x8234);
      assert.equal(translator.resolveGva(VA, ACCESS.userRead), -1);
      assert.deepEqual([translator.fault.kind, translator.fault.errorCode], ['not-canonical', 4]);
    }
    assert.equal(both(1n << 56n).resolveGva(VA, ACCESS.userRead), 0x8234);
    const told = e0pd.translate(VA, { kind: 'read', user: true });
    assert.deepEqual(told, { kind: 'not-canonical', gva: VA, errorCode: 4, levels: [] });
    memory.writeU64(0x3008, before);
  });

  it('T2: physical address 0 is an address', () => {
    memory.writeU64(0x3010, 0x403n);
    const at = VA - 0x234n + 0x1000n;
    assert.equal(both(0n).resolveGva(at, ACCESS.read), 0);
    assert.equal(new Tlb(both(0n)).resolveGva(at, ACCESS.read), 0);
    memory.writeU64(0x3010, 0n);
  });

  it('T2: a half that is switched off faults', () => {
    const translator = both(EPD1);
    // The record of another fault is overwritten whole.
    assert.equal(translator.resolveGva(VA, ACCESS.userExecute), -1);
    assert.deepEqual([translator.fault.level, translator.fault.entryAddress], [3, 0x3008]);
    assert(translator.fault.rights >= 0);
    assert.equal(translator.resolveGva(HIGH, ACCESS.read), -1);
    const { level, entryAddress, rights } = translator.fault;
    assert.deepEqual([level, entryAddress, rights], [0, 0, -1]);
    assert.equal(translator.upper, undefined);
    assert.equal(translator.resolveGva(HIGH, ACCESS.read), -1);
    assert.deepEqual(
      [translator.fault.kind, translator.fault.errorCode, translator.fault.gva],
      ['not-canonical', 4, HIGH],
    );
    assert.deepEqual(translator.translate(HIGH), {
      kind: 'not-canonical',
      gva: HIGH,
      errorCode: 4,
      levels: [],
    });
    assert.equal(new Tlb(translator).resolveGva(HIGH, ACCESS.read), -1);
    assert.equal(translator.resolveGva(VA, ACCESS.read), 0x8234);
  });

  it('T6: each half lists its own', () => {
    const { lower, upper } = both(0n);
    assert(lower !== undefined && upper !== undefined);
    const ranges = [...mappings(lower), ...mappings(upper)].map((record) => {
      assert(record.kind === 'mapped');
      return [record.gva, record.size, record.gpa, formatRights(record.rights)];
    });
    assert.deepEqual(ranges, [
      [0x4020_1000n, 0x1000, 0x8000, 'rw-u'],
      [0xffff_ffff_ffff_f000n, 0x1000, 0x9000, 'r-xs'],
    ]);
    const between = { first: 0x1_0000_0000n, last: 0xffff_ff7f_ffff_ffffn };
    assert.deepEqual([...mappings(lower, between), ...mappings(upper, between)], []);
    assert.equal([...mappings(upper, { first: 0xffff_ff80_0000_0000n })].length, 1);
    assert.equal([...mappings(upper, { first: 0xffff_ffff_ffff_ffffn })].length, 1);
    assert.equal([...mappings(lower, { last: 0x4020_1000n })].length, 1);
    assert.equal([...mappings(lower, { last: 0x4020_0fffn })].length, 0);
  });

  it('T3: wants tables of both, or a fault', () => {
    const modes = (sctlr: bigint) => aarch64Stage1FromRegisters({ tcr: TCR, ttbr0: 0n, ttbr1: 0n, sctlr });
    const refused = (make: () => AArch64Translator): void => {
      assert.throws(make, (error) => isPagingError(error) && error.code === 'invalid');
    };
    refused(() => new AArch64Translator({ ...modes(0n), memory }));
    refused(() => new AArch64Translator({ ...modes(1n | (1n << 25n)), memory }));
    refused(() => new AArch64Translator({ ...modes(1n) }));
  });
});

describe('AArch64 in two stages', () => {
  // Stage 1 as above at guest-physical 0x1000 to 0x3000, its page at 0x8000; stage 2 adds 0x1_0000 to everything, by a root of
  // level 1 at 0x100_0000.
  const build = (): GuestMemory => {
    const memory = GuestMemory.allocate(0x110_0000);
    memory.writeU64(0x1_1008, 0x2003n);
    memory.writeU64(0x1_2008, 0x3003n);
    memory.writeU64(0x1_3008, 0x8443n);
    memory.writeU64(0x100_0000, 0x100_1003n);
    memory.writeU64(0x100_1000, 0x100_2003n);
    for (const page of [1, 2, 3, 8])
      memory.writeU64(0x100_2000 + page * 8, BigInt(0x1_0000 + page * 0x1000) | 0x4c3n);
    return memory;
  };
  const staged = (memory: GuestMemory, first = {}, second = {}): TwoStageTranslator =>
    new TwoStageTranslator({
      memory,
      format: STAGE1,
      root: 0x1000n,
      controls: first,
      second: new Translator({ memory, format: STAGE2, root: 0x100_0000, controls: second }),
    });

  it('T5: reads fifteen entries for three levels over three', () => {
    const both = staged(build());
    const mapped = both.translate(VA, { kind: 'write', user: true });
    assert(mapped.kind === 'mapped');
    assert.equal(mapped.gpa, 0x1_8234);
    assert.equal(both.reads, 15);
  });

  it('T5: says which stage, which address, table or page', () => {
    const memory = build();
    memory.writeU64(0x100_2010, 0x1_2483n); // stage 1's level 2 cannot be read
    const walk = staged(memory).translate(VA);
    assert(walk.kind === 'second-stage-fault');
    assert(walk.fault.kind === 'page-fault');
    assert.deepEqual([walk.during, walk.gpa, walk.fault.errorCode], ['table-walk', 0x2008, 0x0f]);
    memory.writeU64(0x100_2010, 0x1_24c3n);
    memory.writeU64(0x100_2040, 0n); // nothing behind the page
    const final = staged(memory).translate(VA);
    assert(final.kind === 'second-stage-fault');
    assert(final.fault.kind === 'page-fault');
    assert.deepEqual([final.during, final.gpa, final.fault.errorCode], ['final-access', 0x8234, 0x07]);
  });

  it('T5: execution at stage 2 is asked for by the level that executes', () => {
    const memory = build();
    memory.writeU64(0x1_3008, 0x8483n); // EL1 reads and executes, EL0 executes
    const kinds = (xn: bigint): string[] => {
      memory.writeU64(0x100_2040, 0x1_84c3n | (xn << 53n));
      return [false, true].map((user) => staged(memory).translate(VA, { kind: 'execute', user }).kind);
    };
    assert.deepEqual(kinds(0b00n), ['mapped', 'mapped']);
    assert.deepEqual(kinds(0b01n), ['second-stage-fault', 'mapped']);
    assert.deepEqual(kinds(0b10n), ['second-stage-fault', 'second-stage-fault']);
    assert.deepEqual(kinds(0b11n), ['mapped', 'second-stage-fault']);
  });

  it('T4 T5: marking an entry of stage 1 is a write at stage 2', () => {
    const memory = build();
    memory.writeU64(0x1_3008, 0x8043n); // not accessed
    memory.writeU64(0x100_2018, 0x1_3443n); // its table may only be read
    const fault = staged(memory, { accessedDirty: 'update' }).translate(VA);
    assert(fault.kind === 'second-stage-fault');
    assert(fault.fault.kind === 'page-fault');
    assert.deepEqual([fault.during, fault.gpa, fault.fault.errorCode], ['table-walk', 0x3008, 0x0f]);
    memory.writeU64(0x100_2018, 0x1_34c3n);
    assert.equal(staged(memory, { accessedDirty: 'update' }).translate(VA).kind, 'mapped');
    assert.equal(memory.readU64(0x1_3008), 0x8443n);
  });
});

describe('building AArch64 tables', () => {
  it('T7: what is built with pages of 4 KiB is what is read', () => {
    for (const half of ['lower', 'upper'] as const) {
      const memory = GuestMemory.allocate(0x40_0000);
      const tables = new GuestTables(memory, { frames: new FrameRange(0x20_0000, 0x20_0000) });
      const format = aarch64Stage1Format({ granule: 4096, inputBits: 48, half });
      createRoot(tables, format);
      const gva = half === 'lower' ? 0x1234_5678_9000n : 0xffff_8000_0012_3000n;
      map(tables, { format, gva, gpa: 0x5000, length: 0x3000, write: true, global: true, memoryType: 4 });
      const translator = new Translator({ tables, format });
      const mapped = translator.translate(gva + 0x2010n, { kind: 'write' });
      assert(mapped.kind === 'mapped');
      assert.deepEqual(
        [mapped.gpa, formatRights(mapped.rights), mapped.memoryType, mapped.global],
        [0x7010, 'rw-s', 4, true],
      );
      // Accessed, inner shareable, UXN; AttrIndx 4.
      const leaf = mapped.levels.at(-1)?.entry ?? 0n;
      assert.equal(leaf & 0xfffn, 0x713n);
      assert.equal((leaf >> 54n) & 1n, 1n);
    }
  });
});
