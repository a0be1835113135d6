import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type AArch64Processor,
  type AArch64Result,
  aarch64Stage1,
  aarch64Stage2,
  EVERY_FEATURE,
} from '../../support/oracles/aarch64.ts';
import {
  decodeTcrEl1,
  decodeTtbrEl1,
  decodeVtcrEl2,
  decodeVttbrEl2,
} from '../../support/oracles/aarch64-registers.ts';
import type { OracleAccess, OracleMemory } from '../../support/oracles/oracle.ts';

// The oracle is checked by vectors worked out with pencil and the manual, so every expected number stands here in full.

const READ: OracleAccess = { kind: 'read', user: false };
const WRITE: OracleAccess = { kind: 'write', user: false };
const EXECUTE: OracleAccess = { kind: 'execute', user: false };
const USER_READ: OracleAccess = { kind: 'read', user: true };
const USER_WRITE: OracleAccess = { kind: 'write', user: true };
const USER_EXECUTE: OracleAccess = { kind: 'execute', user: true };
const SIX = [READ, WRITE, EXECUTE, USER_READ, USER_WRITE, USER_EXECUTE];

const NOTHING: OracleMemory = () => undefined;
const ZEROS: OracleMemory = () => 0n;

/** TCR_EL1 with 48-bit halves of 4 KiB pages and 48-bit output: T0SZ = T1SZ = 16, TG1 = 10, IPS = 101. */
const TCR = (5n << 32n) | (2n << 30n) | (16n << 16n) | 16n;
/** A page that EL1 and EL0 may read, write and execute (but for EL0-writable, which EL1 never executes): AF, AP = 01. */
const OPEN = (1n << 10n) | (1n << 6n);
/** VTCR_EL2 for 40-bit guests with 4 KiB pages: T0SZ = 24, SL0 = 01, PS = 101. */
const VTCR = (5n << 16n) | (1n << 6n) | 24n;
/** A stage 2 page open for everything: AF, S2AP = 11. */
const OPEN2 = (1n << 10n) | (3n << 6n);

interface Setting {
  readonly tcr?: bigint;
  readonly ttbr0?: bigint;
  readonly ttbr1?: bigint;
  readonly wxn?: boolean;
  readonly pan?: boolean;
  readonly processor?: Partial<AArch64Processor>;
}

function stage1(
  memory: OracleMemory,
  va: bigint,
  access: OracleAccess,
  setting: Setting = {},
): AArch64Result {
  const registers = {
    tcr: decodeTcrEl1(setting.tcr ?? TCR),
    ttbr0: decodeTtbrEl1(setting.ttbr0 ?? 0x4100_0000n),
    ttbr1: decodeTtbrEl1(setting.ttbr1 ?? 0x4200_0000n),
    wxn: setting.wxn ?? false,
    pan: setting.pan ?? false,
    processor: { ...EVERY_FEATURE, ...setting.processor },
  };
  return aarch64Stage1(memory, registers, va, access);
}

interface Setting2 {
  readonly vtcr?: bigint;
  readonly vttbr?: bigint;
  readonly processor?: Partial<AArch64Processor>;
}

function stage2(
  memory: OracleMemory,
  ipa: bigint,
  access: OracleAccess,
  setting: Setting2 = {},
): AArch64Result {
  const registers = {
    vtcr: decodeVtcrEl2(setting.vtcr ?? VTCR),
    vttbr: decodeVttbrEl2(setting.vttbr ?? 0x4000_0000n),
    processor: { ...EVERY_FEATURE, ...setting.processor },
  };
  return aarch64Stage2(memory, registers, ipa, access);
}

function entries(...list: [bigint, bigint][]): OracleMemory {
  const map = new Map(list);
  return (address) => map.get(address);
}

function summary(result: AArch64Result): string {
  switch (result.kind) {
    case 'mapped':
      return `0x${result.pa.toString(16)} level ${result.level}`;
    case 'fault':
      return `0x${result.fsc.toString(16).padStart(2, '0')} level ${result.level} at ${result.entryAddress?.toString(16)}`;
    case 'unreadable':
      return `unreadable level ${result.level} at ${result.entryAddress.toString(16)}`;
  }
}

/** What a single page or block allows: r w x for EL1, then for EL0. */
function rights(walk: (access: OracleAccess) => AArch64Result): string {
  const letters = 'rwxrwx';
  return SIX.map((access, at) => (walk(access).kind === 'mapped' ? letters[at] : '-')).join('');
}

describe('the register decoders of the AArch64 oracle', () => {
  it('T1: cuts a TCR_EL1 as Linux sets it', () => {
    assert.deepEqual(decodeTcrEl1(0x0000_0032_b550_3510n), {
      t0sz: 16,
      epd0: false,
      tg0: 0b00,
      t1sz: 16,
      a1: true,
      epd1: false,
      tg1: 0b10,
      ips: 0b010,
      as: true,
      tbi0: true,
      tbi1: false,
      ha: false,
      hd: false,
      hpd0: false,
      hpd1: false,
      tbid0: false,
      tbid1: false,
      e0pd0: false,
      e0pd1: false,
      ds: false,
    });
  });

  it('T1: finds each field of TCR_EL1 where the manual has it', () => {
    const none = decodeTcrEl1(0n);
    const flags = { epd0: 7n, a1: 22n, epd1: 23n, as: 36n, tbi0: 37n, tbi1: 38n, ha: 39n, hd: 40n } as const;
    const more = { hpd0: 41n, hpd1: 42n, tbid0: 51n, tbid1: 52n, e0pd0: 55n, e0pd1: 56n, ds: 59n } as const;
    for (const [name, at] of Object.entries({ ...flags, ...more })) {
      assert.deepEqual(decodeTcrEl1(1n << at), { ...none, [name]: true }, name);
    }
    assert.deepEqual(decodeTcrEl1(0x3fn), { ...none, t0sz: 63 });
    assert.deepEqual(decodeTcrEl1(0xc000n), { ...none, tg0: 3 });
    assert.deepEqual(decodeTcrEl1(0x3f_0000n), { ...none, t1sz: 63 });
    assert.deepEqual(decodeTcrEl1(0xc000_0000n), { ...none, tg1: 3 });
    assert.deepEqual(decodeTcrEl1(0x7_0000_0000n), { ...none, ips: 7 });
    // Cacheability, shareability and what later extensions added say nothing here.
    assert.deepEqual(decodeTcrEl1(0xf667_f808_3f00_3f40n), none);
  });

  it('T1: cuts TTBRn_EL1 and VTTBR_EL2', () => {
    assert.deepEqual(decodeTtbrEl1(0x1234_8000_4567_8fffn), {
      asid: 0x1234n,
      baddr: 0x8000_4567_8ffen,
      cnp: true,
    });
    assert.deepEqual(decodeVttbrEl2(0xfffe_0000_4000_003cn), {
      vmid: 0xfffen,
      baddr: 0x4000_003cn,
      cnp: false,
    });
  });

  it('T1: cuts a VTCR_EL2 as KVM sets it, and its 52-bit fields', () => {
    const kvm = { t0sz: 24, sl0: 1, tg0: 0, ps: 2, ha: true, hd: false, ds: false, sl2: false };
    assert.deepEqual(decodeVtcrEl2(0x8002_3558n | (1n << 21n)), kvm);
    const none = decodeVtcrEl2(0n);
    assert.deepEqual(decodeVtcrEl2(1n << 22n), { ...none, hd: true });
    assert.deepEqual(decodeVtcrEl2(1n << 32n), { ...none, ds: true });
    assert.deepEqual(decodeVtcrEl2(1n << 33n), { ...none, sl2: true });
    assert.deepEqual(decodeVtcrEl2(0x7_0000n), { ...none, ps: 7 });
    assert.deepEqual(decodeVtcrEl2(0xc000n), { ...none, tg0: 3 });
    assert.deepEqual(decodeVtcrEl2(0xc0n), { ...none, sl0: 3 });
  });
});

describe('the AArch64 stage 1 oracle: where a walk begins', () => {
  // [TG0, DS, first TxSZ, last TxSZ, level], the table of initial lookup levels of D8.2.
  const STARTS = [
    [0b00n, 0n, 16n, 24n, 0],
    [0b00n, 0n, 25n, 33n, 1],
    [0b00n, 0n, 34n, 42n, 2],
    [0b00n, 0n, 43n, 48n, 3],
    [0b00n, 1n, 12n, 15n, -1],
    [0b00n, 1n, 16n, 24n, 0],
    [0b10n, 0n, 16n, 16n, 0],
    [0b10n, 0n, 17n, 27n, 1],
    [0b10n, 0n, 28n, 38n, 2],
    [0b10n, 0n, 39n, 48n, 3],
    [0b10n, 1n, 12n, 16n, 0],
    [0b01n, 0n, 12n, 21n, 1],
    [0b01n, 0n, 22n, 34n, 2],
    [0b01n, 0n, 35n, 47n, 3],
  ] as const;

  for (const [tg0, ds, first, last, level] of STARTS) {
    it(`T1: TG0=${tg0} DS=${ds}: T0SZ ${first} to ${last} at level ${level}, in the root's first entry`, () => {
      for (let t0sz = first as bigint; t0sz <= last; t0sz++) {
        const tcr = (ds << 59n) | (6n << 32n) | (tg0 << 14n) | t0sz;
        assert.equal(
          summary(stage1(NOTHING, 0n, READ, { tcr })),
          `unreadable level ${level} at 41000000`,
          `${t0sz}`,
        );
      }
    });
  }

  it('T1 T3: a T0SZ out of range is a translation fault of level 0, before anything is read', () => {
    const outside = '0x04 level 0 at undefined';
    const t0sz = (tcr: bigint, processor: Partial<AArch64Processor> = {}) =>
      summary(stage1(NOTHING, 0n, READ, { tcr: tcr | (6n << 32n), processor }));
    assert.equal(t0sz(15n), outside);
    assert.equal(t0sz((1n << 59n) | 11n), outside);
    assert.equal(t0sz((1n << 59n) | 15n, { lpa2: false }), outside);
    assert.equal(t0sz(49n), outside);
    assert.equal(t0sz((1n << 14n) | 48n), outside);
    assert.equal(t0sz((1n << 14n) | 11n), outside);
    assert.equal(t0sz((1n << 14n) | 15n, { lva: false }), outside);
    assert.equal(t0sz((1n << 14n) | 16n, { lva: false }), 'unreadable level 1 at 41000000');
    assert.equal(t0sz(39n, { ttst: false }), 'unreadable level 2 at 41000000');
    assert.equal(t0sz(40n, { ttst: false }), outside);
    // DS says nothing with 64 KiB: 12 is the least with FEAT_LVA, 16 without, DS or not.
    assert.equal(t0sz((1n << 59n) | (1n << 14n) | 12n, { lva: false }), outside);
  });

  it('T1 T3: bit 55 chooses the half, and all bits above the input must be as it', () => {
    const outside = '0x04 level 0 at undefined';
    const at = (va: bigint, tcr = TCR) => summary(stage1(NOTHING, va, READ, { tcr }));
    assert.equal(at(0x0000_ffff_ffff_ffffn), 'unreadable level 0 at 41000ff8');
    assert.equal(at(0x0001_0000_0000_0000n), outside);
    assert.equal(at(0xffff_0000_0000_0000n), 'unreadable level 0 at 42000000');
    assert.equal(at(0xffff_ffff_ffff_ffffn), 'unreadable level 0 at 42000ff8');
    assert.equal(at(0xfffe_ffff_ffff_ffffn), outside);
    assert.equal(at(0xff7f_0000_0000_0000n), outside);
    assert.equal(at(0x0100_0000_0000_0000n), outside);
    assert.equal(at(0x7fff_0000_0000_0000n), outside);
    // The tag byte, each half for itself; bits 55:48 are looked at nevertheless.
    assert.equal(at(0x5a00_0000_0000_0000n, TCR | (1n << 37n)), 'unreadable level 0 at 41000000');
    assert.equal(at(0x5a01_0000_0000_0000n, TCR | (1n << 37n)), outside);
    assert.equal(at(0x5aff_0000_0000_0000n, TCR | (1n << 37n)), outside);
    assert.equal(at(0x5aff_0000_0000_0000n, TCR | (1n << 38n)), 'unreadable level 0 at 42000000');
    assert.equal(at(0x5afe_0000_0000_0000n, TCR | (1n << 38n)), outside);
    // A smaller upper half of 39 bits.
    const small = (TCR & ~(63n << 16n)) | (25n << 16n);
    assert.equal(at(0xffff_ff80_0000_0000n, small), 'unreadable level 1 at 42000000');
    assert.equal(at(0xffff_ff7f_ffff_ffffn, small), outside);
  });

  it('T1: the granules of the two halves are set apart, with different codes', () => {
    const at = (tg1: bigint) =>
      summary(
        stage1(NOTHING, 0xffff_ffff_ffff_ffffn, READ, { tcr: (tg1 << 30n) | (28n << 16n) | (5n << 32n) }),
      );
    // 36 bits: 16 KiB resolves 11 at level 2; 4 KiB 6 at level 1; 64 KiB 7 at level 2.
    assert.equal(at(0b01n), 'unreadable level 2 at 42003ff8');
    assert.equal(at(0b10n), 'unreadable level 1 at 420001f8');
    assert.equal(at(0b11n), 'unreadable level 2 at 420003f8');
  });

  it('T3: EPD0 and EPD1 fault their own half', () => {
    const low = 0x1000n;
    const high = 0xffff_0000_0000_1000n;
    const disabled = '0x04 level 0 at undefined';
    assert.equal(summary(stage1(ZEROS, low, READ, { tcr: TCR | (1n << 7n) })), disabled);
    assert.equal(summary(stage1(ZEROS, high, READ, { tcr: TCR | (1n << 7n) })), '0x04 level 0 at 42000000');
    assert.equal(summary(stage1(ZEROS, high, READ, { tcr: TCR | (1n << 23n) })), disabled);
    assert.equal(summary(stage1(ZEROS, low, READ, { tcr: TCR | (1n << 23n) })), '0x04 level 0 at 41000000');
  });

  it('T1: the root is aligned to its own size, and ASID and CnP are no part of its address', () => {
    const at = (ttbr0: bigint, tcr: bigint) => summary(stage1(NOTHING, 0n, READ, { tcr, ttbr0 }));
    assert.equal(at(0xabcd_0000_4100_0fffn, TCR), 'unreadable level 0 at 41000000');
    // 25 bits of 4 KiB: 4 bits at level 2, a root of 128 bytes.
    assert.equal(at(0xabcd_0000_4100_0fffn, (5n << 32n) | 39n), 'unreadable level 2 at 41000f80');
    // 22 bits of 4 KiB: one bit at level 2, a root of 16 bytes; with DS it is aligned to 64 nevertheless.
    assert.equal(at(0x4100_0ffen, (5n << 32n) | 42n), 'unreadable level 2 at 41000ff0');
    assert.equal(at(0x4100_0fc0n, (1n << 59n) | (6n << 32n) | 42n), 'unreadable level 2 at 41000fc0');
    assert.equal(at(0x4100_0fd4n, (1n << 59n) | (6n << 32n) | 42n), 'unreadable level 2 at 5000041000fc0');
  });

  it('T1: bits 5:2 of TTBR are address bits 51:48 in the 52-bit forms only', () => {
    const at = (tcr: bigint, processor: Partial<AArch64Processor> = {}) =>
      summary(stage1(NOTHING, 0n, READ, { tcr, ttbr0: 0x4100_0000n | (0xan << 2n), processor }));
    assert.equal(at((6n << 32n) | (1n << 14n) | 16n), 'unreadable level 1 at a000041000000');
    assert.equal(at((5n << 32n) | (1n << 14n) | 16n), 'unreadable level 1 at 41000000');
    assert.equal(
      at((6n << 32n) | (1n << 14n) | 16n, { lpa: false, paMax: 48 }),
      'unreadable level 1 at 41000000',
    );
    assert.equal(at((6n << 32n) | 16n), 'unreadable level 0 at 41000000');
    assert.equal(at((1n << 59n) | (6n << 32n) | 16n), 'unreadable level 0 at a000041000000');
    assert.equal(at((1n << 59n) | (6n << 32n) | (2n << 14n) | 17n), 'unreadable level 1 at a000041000000');
    // With DS the form does not depend on IPS, but the size of the address does.
    assert.equal(at((1n << 59n) | (5n << 32n) | 16n), '0x00 level 0 at undefined');
  });
});

describe('the AArch64 stage 1 oracle: walks worked out by hand', () => {
  it('T1 T2: 4 KiB, a page of user space', () => {
    // 0x7fff_f7a5_4321: indices 0ff, 1ff, 1bd, 054, offset 321.
    const memory = entries(
      [0x4100_07f8n, 0x4100_1003n],
      [0x4100_1ff8n, 0x4100_2003n],
      [0x4100_2de8n, 0x4100_3003n],
      [0x4100_32a0n, 0x0020_0000_8765_4fc3n],
    );
    assert.deepEqual(stage1(memory, 0x7fff_f7a5_4321n, USER_READ), {
      kind: 'mapped',
      pa: 0x8765_4321n,
      pageSize: 0x1000n,
      level: 3,
      reads: [0x4100_07f8n, 0x4100_1ff8n, 0x4100_2de8n, 0x4100_32a0n],
      writes: [],
    });
    // A neighbour whose entry is not in memory, and one whose entry is.
    assert.equal(summary(stage1(memory, 0x7fff_f7a5_5321n, READ)), 'unreadable level 3 at 410032a8');
    assert.equal(summary(stage1(memory, 0x7fff_f785_4321n, READ)), 'unreadable level 2 at 41002de0');
  });

  it('T1 T2: 4 KiB, blocks of 2 MiB and 1 GiB in the upper half', () => {
    // 0xffff_8000_1023_4567: indices 100, 000, 081, 034; the block of 2 MiB leaves 0x3_4567.
    const memory = entries(
      [0x4200_0800n, 0x4200_1003n],
      [0x4200_1000n, 0x4200_2003n],
      [0x4200_2408n, 0x8020_0401n],
      [0x4200_1008n, 0x1_c000_0401n],
    );
    assert.deepEqual(stage1(memory, 0xffff_8000_1023_4567n, READ), {
      kind: 'mapped',
      pa: 0x8023_4567n,
      pageSize: 0x20_0000n,
      level: 2,
      reads: [0x4200_0800n, 0x4200_1000n, 0x4200_2408n],
      writes: [],
    });
    // 0xffff_8000_5023_4567: index 001 at level 1; the block of 1 GiB leaves 0x1023_4567.
    assert.equal(summary(stage1(memory, 0xffff_8000_5023_4567n, READ)), '0x1d0234567 level 1');
  });

  it('T1 T2: 16 KiB, page and block, 47 bits', () => {
    // T0SZ = 17: 11 bits at each of levels 1, 2 and 3. 0x7abc_def0_1234: indices 7ab, 66f, 3c0, offset 1234.
    const tcr = (5n << 32n) | (2n << 14n) | 17n;
    const memory = entries(
      [0x4100_3d58n, 0x4100_4003n],
      [0x4100_7378n, 0x4100_8003n],
      [0x4100_9e00n, 0x8765_4443n | 0x400n],
      [0x4100_7380n, 0x1_0200_0401n],
    );
    assert.deepEqual(stage1(memory, 0x7abc_def0_1234n, READ, { tcr }), {
      kind: 'mapped',
      pa: 0x8765_5234n,
      pageSize: 0x4000n,
      level: 3,
      reads: [0x4100_3d58n, 0x4100_7378n, 0x4100_9e00n],
      writes: [],
    });
    // The next entry of level 2 is a block of 32 MiB: 0x7abc_e000_0000 + 0x10_1234.
    assert.equal(summary(stage1(memory, 0x7abc_e010_1234n, READ, { tcr })), '0x102101234 level 2');
  });

  it('T1: 16 KiB, 48 bits: one bit at level 0', () => {
    const tcr = (5n << 32n) | (2n << 14n) | 16n;
    const at = (va: bigint) => summary(stage1(NOTHING, va, READ, { tcr }));
    assert.equal(at(0x7fff_ffff_ffffn), 'unreadable level 0 at 41000000');
    assert.equal(at(0x8000_0000_0000n), 'unreadable level 0 at 41000008');
  });

  it('T1 T2: 64 KiB, page, 512 MiB and 4 TiB blocks, 52 bits in and out', () => {
    // T0SZ = 12: 10 bits at level 1, 13 at levels 2 and 3. 0xf_edcb_a987_6543: indices 3fb, e5d, 987, offset 6543.
    const tcr = (6n << 32n) | (1n << 14n) | 12n;
    const memory = entries(
      [0x4100_1fd8n, 0x4102_0003n],
      [0x4102_72e8n, 0x4103_c003n],
      // A table whose address has bits 51:48 = c, in descriptor bits 15:12.
      [0xc_0000_4103_4c38n, 0x5678_b403n],
      // The next entry of level 2: a block of 512 MiB with bits 51:48 = 3.
      [0x4102_72f0n, 0x4000_3401n],
      // The last entry of level 1: a block of 4 TiB.
      [0x4100_1ff8n, 0x0000_0400_0000_5401n],
    );
    assert.deepEqual(stage1(memory, 0xf_edcb_a987_6543n, READ, { tcr }), {
      kind: 'mapped',
      pa: 0xb_0000_5678_6543n,
      pageSize: 0x1_0000n,
      level: 3,
      reads: [0x4100_1fd8n, 0x4102_72e8n, 0xc_0000_4103_4c38n],
      writes: [],
    });
    assert.equal(summary(stage1(memory, 0xf_edcb_c123_4567n, READ, { tcr })), '0x3000041234567 level 2');
    assert.equal(summary(stage1(memory, 0xf_fc12_3456_789an, READ, { tcr })), '0x504123456789a level 1');
    // Without 52-bit physical addresses there is no block of 4 TiB.
    const processor = { paMax: 48, lpa: false };
    assert.equal(
      summary(stage1(memory, 0xf_fc12_3456_789an, READ, { tcr, processor })),
      '0x05 level 1 at 41001ff8',
    );
  });

  it('T1 T2: 4 KiB with DS: five levels from -1, a block of 512 GiB, address bits 51:50 in 9:8', () => {
    // 0x9_8765_4321_0abc: indices 9, 10e, 195, 019, 010, offset abc.
    const tcr = (1n << 59n) | (6n << 32n) | 12n;
    const memory = entries(
      [0x4100_0048n, 0x4100_1003n],
      // A table at bits 51:48 = e: 49:48 = 10 in place, 51:50 = 11 in bits 9:8.
      [0x4100_1870n, 0x0002_0000_4100_2303n],
      [0xe_0000_4100_2ca8n, 0x4100_3003n],
      [0x4100_30c8n, 0x4100_4003n],
      // A page at bits 51:48 = 7: 49:48 = 11 in place, 51:50 = 01 in bits 9:8.
      [0x4100_4080n, 0x0003_0000_1234_5503n],
      // The next entry of level 0: a block of 512 GiB at 0x80_0000_0000.
      [0x4100_1878n, 0x0000_0080_0000_0401n],
    );
    assert.deepEqual(stage1(memory, 0x9_8765_4321_0abcn, READ, { tcr }), {
      kind: 'mapped',
      pa: 0x7_0000_1234_5abcn,
      pageSize: 0x1000n,
      level: 3,
      reads: [0x4100_0048n, 0x4100_1870n, 0xe_0000_4100_2ca8n, 0x4100_30c8n, 0x4100_4080n],
      writes: [],
    });
    assert.deepEqual(stage1(memory, 0x9_87f8_7654_3210n, READ, { tcr }), {
      kind: 'mapped',
      pa: 0xf8_7654_3210n,
      pageSize: 0x80_0000_0000n,
      level: 0,
      reads: [0x4100_0048n, 0x4100_1878n],
      writes: [],
    });
  });

  it('T1 T2: 16 KiB with DS: 52 bits from level 0 with 5 bits, a block of 64 GiB', () => {
    // 0xf_8123_4567_89ab: indices 1f, 012; the block leaves 0x3_4567_89ab.
    const tcr = (1n << 59n) | (6n << 32n) | (2n << 14n) | 12n;
    const memory = entries([0x4100_00f8n, 0x4100_4003n], [0x4100_4090n, 0x0001_00f0_0000_0601n]);
    assert.deepEqual(stage1(memory, 0xf_8123_4567_89abn, READ, { tcr }), {
      kind: 'mapped',
      pa: 0x9_00f3_4567_89abn,
      pageSize: 0x10_0000_0000n,
      level: 1,
      reads: [0x4100_00f8n, 0x4100_4090n],
      writes: [],
    });
  });
});

/** TCR_EL1 whose lower half of 4 KiB pages begins at level 1, 2 or 3, with 48 bits out. */
const ROOT: Readonly<Record<1 | 2 | 3, bigint>> = {
  1: (5n << 32n) | 25n,
  2: (5n << 32n) | 34n,
  3: (5n << 32n) | 43n,
};

/** The walk of address 0 whose root has this one entry. */
function rootEntry(
  tcr: bigint,
  descriptor: bigint,
  access: OracleAccess,
  setting: Setting = {},
): AArch64Result {
  return stage1(entries([0x4100_0000n, descriptor]), 0n, access, { ...setting, tcr });
}

/** The walk of address 0 through a table with these bits to a page with these. */
function tableAndPage(
  table: bigint,
  page: bigint,
  access: OracleAccess,
  setting: Setting = {},
): AArch64Result {
  const memory = entries([0x4100_0000n, 0x4100_1003n | table], [0x4100_1000n, 0x5003n | page]);
  return stage1(memory, 0n, access, { tcr: ROOT[2], ...setting });
}

describe('the AArch64 stage 1 oracle: descriptors and their faults', () => {
  it('T2 T3: an entry is invalid, a table, a block where the granule has one, or a page', () => {
    const low = (descriptor: bigint, tcr: bigint) => summary(rootEntry(tcr, descriptor | OPEN, READ));
    assert.equal(low(0b00n, ROOT[1]), '0x05 level 1 at 41000000');
    assert.equal(low(0b10n, ROOT[1]), '0x05 level 1 at 41000000');
    assert.equal(low(0b01n, ROOT[1]), '0x0 level 1');
    assert.equal(low(0b01n, ROOT[2]), '0x0 level 2');
    assert.equal(low(0b10n, ROOT[2]), '0x06 level 2 at 41000000');
    assert.equal(low(0b01n, ROOT[3]), '0x07 level 3 at 41000000');
    assert.equal(low(0b11n, ROOT[3]), '0x0 level 3');
    assert.equal(low(0b11n, ROOT[2]), 'unreadable level 3 at 0');
    // No block at level 0 without DS, none at level -1 ever.
    assert.equal(low(0b01n, TCR), '0x04 level 0 at 41000000');
    assert.equal(low(0b01n, TCR | (1n << 59n)), '0x0 level 0');
    const minus1 = (1n << 59n) | (6n << 32n) | 12n;
    assert.equal(low(0b01n, minus1), '0x2b level -1 at 41000000');
    assert.equal(low(0b00n, minus1), '0x2b level -1 at 41000000');
  });

  it('T1 T3: blocks of the larger granules', () => {
    const low = (tcr: bigint, setting: Setting = {}) =>
      summary(rootEntry(tcr | (6n << 32n), OPEN | 1n, READ, setting));
    const sixteen = 2n << 14n;
    assert.equal(low(sixteen | 28n), '0x0 level 2');
    assert.equal(low(sixteen | 17n), '0x05 level 1 at 41000000');
    assert.equal(low(sixteen | 17n | (1n << 59n)), '0x0 level 1');
    assert.equal(low(sixteen | 16n | (1n << 59n)), '0x04 level 0 at 41000000');
    assert.equal(low(sixteen | 39n), '0x07 level 3 at 41000000');
    const sixtyFour = 1n << 14n;
    assert.equal(low(sixtyFour | 22n), '0x0 level 2');
    assert.equal(low(sixtyFour | 21n), '0x0 level 1');
    assert.equal(low(sixtyFour | 21n, { processor: { paMax: 48 } }), '0x05 level 1 at 41000000');
    assert.equal(low(sixtyFour | 35n), '0x07 level 3 at 41000000');
  });

  it('T2 T3: an address of more than IPS bits is an address size fault, at the level of its entry', () => {
    const sizes = [32n, 36n, 40n, 42n, 44n, 48n] as const;
    for (const [ips, size] of sizes.entries()) {
      const tcr = (BigInt(ips) << 32n) | 34n;
      const largest = (1n << size) - 0x20_0000n;
      assert.equal(summary(rootEntry(tcr, largest | OPEN | 1n, READ)), `0x${largest.toString(16)} level 2`);
      if (size === 48n) continue;
      const beyond = 1n << size;
      assert.equal(summary(rootEntry(tcr, beyond | OPEN | 1n, READ)), '0x02 level 2 at 41000000');
      assert.equal(summary(rootEntry(tcr, beyond | 3n, READ)), '0x02 level 2 at 41000000');
      const last = stage1(ZEROS, 0n, READ, { tcr, ttbr0: beyond });
      assert.equal(summary(last), '0x00 level 0 at undefined');
      assert.deepEqual(last.reads, []);
    }
    // Not more than the processor has, whatever IPS says, and 52 bits at most.
    const processor = { paMax: 40 };
    assert.equal(
      summary(rootEntry(ROOT[2], (1n << 40n) | OPEN | 1n, READ, { processor })),
      '0x02 level 2 at 41000000',
    );
    assert.equal(
      summary(rootEntry(ROOT[2], (1n << 39n) | OPEN | 1n, READ, { processor })),
      '0x8000000000 level 2',
    );
    // 52 bits with 64 KiB want FEAT_LPA, and nothing of FEAT_LPA2.
    const lpa = { processor: { lpa2: false } };
    const wide = (6n << 32n) | (1n << 14n) | 35n;
    assert.equal(summary(rootEntry(wide, OPEN | 0xf003n, READ, lpa)), '0xf000000000000 level 3');
    // Level -1, and the 52-bit forms under a smaller IPS.
    const minus1 = (1n << 59n) | (5n << 32n) | 12n;
    assert.equal(summary(rootEntry(minus1, (1n << 48n) | 3n, READ)), '0x29 level -1 at 41000000');
    const sixtyFour = (5n << 32n) | (1n << 14n) | 35n;
    assert.equal(summary(rootEntry(sixtyFour, OPEN | 0x1003n, READ)), '0x03 level 3 at 41000000');
    assert.equal(
      summary(rootEntry(sixtyFour, OPEN | 0x1003n, READ, { processor: { lpa: false } })),
      '0x0 level 3',
    );
    assert.equal(
      summary(rootEntry((7n << 32n) | (1n << 14n) | 35n, OPEN | 0xf003n, READ)),
      '0xf000000000000 level 3',
    );
  });

  it('T2 T3: a block may reach beyond the physical addresses: there it is an address size fault', () => {
    // DS, IPS = 000: 32 bits out of a block of 512 GiB, at level 0.
    const tcr = (1n << 59n) | 16n;
    const block = entries([0x4100_0000n, OPEN | 1n]);
    assert.equal(summary(stage1(block, 0xffff_ffffn, READ, { tcr })), '0xffffffff level 0');
    assert.equal(summary(stage1(block, 0x1_0000_0000n, READ, { tcr })), '0x00 level 0 at 41000000');
    // 64 KiB, PS = 010: 40 bits out of a block of 4 TiB, at level 1; before AF.
    const vtcr = (2n << 16n) | (1n << 14n) | (2n << 6n) | 20n;
    const large = entries([0x4000_0000n, OPEN2 | 1n]);
    assert.equal(summary(stage2(large, 0xff_ffff_ffffn, READ, { vtcr })), '0xffffffffff level 1');
    assert.equal(summary(stage2(large, 0x100_0000_0000n, READ, { vtcr })), '0x01 level 1 at 40000000');
    const untouched = entries([0x4000_0000n, (3n << 6n) | 1n]);
    assert.equal(summary(stage2(untouched, 0x100_0000_0000n, READ, { vtcr })), '0x01 level 1 at 40000000');
    assert.equal(summary(stage2(untouched, 0xff_ffff_ffffn, READ, { vtcr })), '0x09 level 1 at 40000000');
  });

  it('T2 T3: without DS the bits 49:48 and 9:8 are no address', () => {
    assert.equal(summary(rootEntry(ROOT[3], (3n << 48n) | (3n << 8n) | OPEN | 3n, READ)), '0x0 level 3');
  });

  it('T2 T4: AF clear faults, at any level, and comes after the address and before the rights', () => {
    assert.equal(summary(rootEntry(ROOT[1], 1n, READ)), '0x09 level 1 at 41000000');
    assert.equal(summary(rootEntry(ROOT[2], 1n, READ)), '0x0a level 2 at 41000000');
    assert.equal(summary(rootEntry(ROOT[3], 3n, READ)), '0x0b level 3 at 41000000');
    assert.equal(summary(rootEntry(TCR | (1n << 59n), 1n, READ)), '0x08 level 0 at 41000000');
    assert.equal(summary(rootEntry(ROOT[3], 3n, USER_WRITE)), '0x0b level 3 at 41000000');
    assert.equal(summary(rootEntry(ROOT[3], 0x403n, USER_WRITE)), '0x0f level 3 at 41000000');
    const small = (0n << 32n) | 43n;
    assert.equal(summary(rootEntry(small, (1n << 40n) | 3n, USER_WRITE)), '0x03 level 3 at 41000000');
    // A table has no AF.
    assert.equal(summary(rootEntry(ROOT[2], 0x4100_1003n, READ)), 'unreadable level 3 at 41001000');
  });

  it('T4: with HA hardware sets AF, and on a fault nothing', () => {
    const ha = ROOT[3] | (1n << 39n);
    const read = rootEntry(ha, 0x5003n, READ);
    assert(read.kind === 'mapped');
    assert.deepEqual(read.writes, [[0x4100_0000n, 0x5403n]]);
    const again = rootEntry(ha, 0x5403n, READ);
    assert(again.kind === 'mapped');
    assert.deepEqual(again.writes, []);
    assert.equal(summary(rootEntry(ha, 0x5003n, USER_READ)), '0x0f level 3 at 41000000');
    // HD alone does nothing.
    assert.equal(summary(rootEntry(ROOT[3] | (1n << 40n), 0x5003n, READ)), '0x0b level 3 at 41000000');
  });

  it('T4: with HA and HD a write to a page with DBM clears AP[2]; a read leaves it', () => {
    const hahd = ROOT[3] | (3n << 39n);
    const clean = (1n << 51n) | 0x5483n;
    const written = rootEntry(hahd, clean, WRITE);
    assert(written.kind === 'mapped');
    assert.deepEqual(written.writes, [[0x4100_0000n, (1n << 51n) | 0x5403n]]);
    const fresh = rootEntry(hahd, clean & ~0x400n, WRITE);
    assert(fresh.kind === 'mapped');
    assert.deepEqual(fresh.writes, [[0x4100_0000n, (1n << 51n) | 0x5403n]]);
    const read = rootEntry(hahd, clean, READ);
    assert(read.kind === 'mapped');
    assert.deepEqual(read.writes, []);
    const dirty = rootEntry(hahd, (1n << 51n) | 0x5403n, WRITE);
    assert(dirty.kind === 'mapped');
    assert.deepEqual(dirty.writes, []);
    // Without DBM, without HD, or with HD but not HA: read-only is read-only.
    assert.equal(summary(rootEntry(hahd, 0x5483n, WRITE)), '0x0f level 3 at 41000000');
    assert.equal(summary(rootEntry(ROOT[3] | (1n << 39n), clean, WRITE)), '0x0f level 3 at 41000000');
    assert.equal(summary(rootEntry(ROOT[3] | (1n << 40n), clean, WRITE)), '0x0f level 3 at 41000000');
    // DBM does not lift what EL0 lacks, nor what a table takes.
    assert.equal(summary(rootEntry(hahd, clean, USER_WRITE)), '0x0f level 3 at 41000000');
    const table = tableAndPage(1n << 62n, clean, WRITE, { tcr: ROOT[2] | (3n << 39n) });
    assert.equal(summary(table), '0x0f level 3 at 41001000');
  });

  it('T3: contiguous, nT, nG, NS, GP, shareability, AttrIndx, software and PBHA bits change nothing', () => {
    const plain = rootEntry(ROOT[2], OPEN | 0x4000_0001n, READ);
    const others = [
      2n,
      3n,
      4n,
      5n,
      8n,
      9n,
      11n,
      12n,
      16n,
      20n,
      48n,
      49n,
      50n,
      51n,
      52n,
      55n,
      58n,
      59n,
      60n,
      61n,
      62n,
      63n,
    ];
    for (const at of others) {
      assert.deepEqual(rootEntry(ROOT[2], OPEN | 0x4000_0001n | (1n << at), READ), plain, `bit ${at}`);
    }
    // Bits of a table that are neither address nor hierarchy.
    const beside = tableAndPage(0n, OPEN, READ);
    for (const at of [2n, 6n, 7n, 8n, 9n, 10n, 11n, 48n, 49n, 50n, 51n, 52n, 53n, 54n, 58n, 63n]) {
      assert.deepEqual(tableAndPage(1n << at, OPEN, READ), beside, `table bit ${at}`);
    }
  });
});

describe('the AArch64 stage 1 oracle: rights', () => {
  const UXN = 1n << 54n;
  const PXN = 1n << 53n;
  const AF = 1n << 10n;
  // [AP[2:1], attribute bits, EL1 then EL0], the table of stage 1 permissions of D8.4.
  const PERMISSIONS = [
    [0b00n, 0n, 'rwx--x'],
    [0b01n, 0n, 'rw-rwx'],
    [0b10n, 0n, 'r-x--x'],
    [0b11n, 0n, 'r-xr-x'],
    [0b00n, UXN, 'rwx---'],
    [0b01n, UXN, 'rw-rw-'],
    [0b10n, UXN, 'r-x---'],
    [0b11n, UXN, 'r-xr--'],
    [0b00n, PXN, 'rw---x'],
    [0b01n, PXN, 'rw-rwx'],
    [0b10n, PXN, 'r----x'],
    [0b11n, PXN, 'r--r-x'],
    [0b00n, UXN | PXN, 'rw----'],
    [0b01n, UXN | PXN, 'rw-rw-'],
    [0b10n, UXN | PXN, 'r-----'],
    [0b11n, UXN | PXN, 'r--r--'],
  ] as const;

  for (const [ap, xn, expected] of PERMISSIONS) {
    it(`T2 T3: AP ${ap.toString(2)}, UXN ${(xn >> 54n) & 1n}, PXN ${(xn >> 53n) & 1n}: ${expected}`, () => {
      assert.equal(
        rights((access) => rootEntry(ROOT[3], AF | (ap << 6n) | xn | 3n, access)),
        expected,
      );
      assert.equal(
        rights((access) => rootEntry(ROOT[1], AF | (ap << 6n) | xn | 1n, access)),
        expected,
      );
    });
  }

  const both = (table: bigint, page: bigint, setting: Setting = {}) =>
    rights((access) => tableAndPage(table, AF | page, access, setting));
  const AP = (ap: bigint): bigint => ap << 6n;

  it('T2 T3: APTable[0] takes EL0 the data, APTable[1] everybody the writing', () => {
    assert.equal(both(1n << 61n, AP(0b01n)), 'rwx--x');
    assert.equal(both(1n << 61n, AP(0b11n)), 'r-x--x');
    assert.equal(both(1n << 61n, AP(0b00n)), 'rwx--x');
    assert.equal(both(1n << 62n, AP(0b01n)), 'r-xr-x');
    assert.equal(both(1n << 62n, AP(0b00n)), 'r-x--x');
    assert.equal(both(3n << 61n, AP(0b01n)), 'r-x--x');
  });

  it('T2 T3: UXNTable and PXNTable', () => {
    assert.equal(both(1n << 60n, AP(0b11n)), 'r-xr--');
    assert.equal(both(1n << 59n, AP(0b11n)), 'r--r-x');
    assert.equal(both(3n << 59n, AP(0b11n)), 'r--r--');
  });

  it('T2 T3: hierarchical bits of several tables add up; HPD lifts them, each half for itself', () => {
    const memory = entries(
      [0x4100_0000n, 0x4100_1003n | (1n << 61n)],
      [0x4100_1000n, 0x4100_2003n | (1n << 59n)],
      [0x4100_2000n, 0x4100_3003n | (1n << 62n)],
      [0x4100_3000n, 0x5003n | AF | AP(0b01n)],
    );
    assert.equal(
      rights((access) => stage1(memory, 0n, access)),
      'r----x',
    );
    assert.equal(
      rights((access) => stage1(memory, 0n, access, { tcr: TCR | (1n << 41n) })),
      'rw-rwx',
    );
    assert.equal(
      rights((access) => stage1(memory, 0n, access, { tcr: TCR | (1n << 42n) })),
      'r----x',
    );
    const high = 0xffff_0000_0000_0000n;
    const upper = { ttbr1: 0x4100_0000n };
    assert.equal(
      rights((access) => stage1(memory, high, access, upper)),
      'r----x',
    );
    const hpd1 = { ...upper, tcr: TCR | (1n << 42n) };
    assert.equal(
      rights((access) => stage1(memory, high, access, hpd1)),
      'rw-rwx',
    );
    const hpd0 = { ...upper, tcr: TCR | (1n << 41n) };
    assert.equal(
      rights((access) => stage1(memory, high, access, hpd0)),
      'r----x',
    );
    // The fault is that of the leaf, whoever took the right.
    assert.equal(summary(stage1(memory, 0n, WRITE)), '0x0f level 3 at 41003000');
  });

  it('T3: WXN takes execution from what the same Exception level can write', () => {
    const wxn = (page: bigint, table = 0n, setting: Setting = {}) =>
      both(table, page, { wxn: true, ...setting });
    assert.equal(wxn(AP(0b00n)), 'rw---x');
    assert.equal(wxn(AP(0b01n)), 'rw-rw-');
    assert.equal(wxn(AP(0b10n)), 'r-x--x');
    assert.equal(wxn(AP(0b11n)), 'r-xr-x');
    // What a table made read-only is not writable; what DBM makes writable is.
    assert.equal(wxn(AP(0b01n), 1n << 62n), 'r-xr-x');
    assert.equal(wxn(AP(0b11n) | (1n << 51n)), 'r-xr-x');
    const tcr = ROOT[2] | (3n << 39n);
    assert.equal(wxn(AP(0b11n) | (1n << 51n), 0n, { tcr }), 'rw-rw-');
    assert.equal(both(0n, AP(0b11n) | (1n << 51n), { tcr }), 'rw-rwx');
    assert.equal(wxn(AP(0b10n) | (1n << 51n), 0n, { tcr }), 'rw---x');
  });

  it('T3: PAN keeps EL1 from the data that EL0 may reach, not from executing, and EL0 from nothing', () => {
    const pan = (page: bigint, table = 0n, setting: Setting = {}) =>
      both(table, page, { pan: true, ...setting });
    assert.equal(pan(AP(0b00n)), 'rwx--x');
    assert.equal(pan(AP(0b01n)), '---rwx');
    assert.equal(pan(AP(0b10n)), 'r-x--x');
    assert.equal(pan(AP(0b11n)), '--xr-x');
    // A page that a table hides from EL0 is EL1's own.
    assert.equal(pan(AP(0b01n), 1n << 61n), 'rwx--x');
    assert.equal(pan(AP(0b01n), 1n << 62n), '--xr-x');
    assert.equal(pan(AP(0b00n), 0n, { wxn: true }), 'rw---x');
  });
});

describe('the AArch64 stage 2 oracle: where a walk begins', () => {
  const start = (vtcr: bigint, processor: Partial<AArch64Processor> = {}) =>
    summary(stage2(NOTHING, 0n, READ, { vtcr, processor }));
  const refused = '0x04 level 0 at undefined';
  // [TG0, DS, SL2, SL0, first T0SZ, last T0SZ, level]: every pair outside is inconsistent or not to be used. The first is
  // where 16 roots stand side by side, or the processor's 52 (without DS: 48) bits end; the last leaves one bit, or 48.
  const STARTS = [
    [0b00n, 0n, 0n, 0b10n, 16n, 24n, 0],
    [0b00n, 0n, 0n, 0b01n, 21n, 33n, 1],
    [0b00n, 0n, 0n, 0b00n, 30n, 42n, 2],
    [0b00n, 0n, 0n, 0b11n, 39n, 48n, 3],
    [0b00n, 1n, 1n, 0b00n, 12n, 15n, -1],
    [0b00n, 1n, 0n, 0b10n, 12n, 24n, 0],
    [0b00n, 1n, 0n, 0b01n, 21n, 33n, 1],
    [0b10n, 0n, 0n, 0b10n, 16n, 27n, 1],
    [0b10n, 0n, 0n, 0b01n, 24n, 38n, 2],
    [0b10n, 0n, 0n, 0b00n, 35n, 48n, 3],
    [0b10n, 1n, 0n, 0b11n, 12n, 16n, 0],
    [0b10n, 1n, 0n, 0b10n, 13n, 27n, 1],
    [0b01n, 0n, 0n, 0b10n, 12n, 21n, 1],
    [0b01n, 0n, 0n, 0b01n, 18n, 34n, 2],
    [0b01n, 0n, 0n, 0b00n, 31n, 47n, 3],
    // SL2 says nothing without DS, and DS and SL2 say nothing with 64 KiB.
    [0b00n, 0n, 1n, 0b01n, 21n, 33n, 1],
    [0b01n, 1n, 1n, 0b01n, 18n, 34n, 2],
  ] as const;

  for (const [tg0, ds, sl2, sl0, first, last, level] of STARTS) {
    it(`T1 T3: TG0=${tg0} DS=${ds} SL2=${sl2} SL0=${sl0}: T0SZ ${first} to ${last} at level ${level}, else a fault`, () => {
      const word = (sl2 << 33n) | (ds << 32n) | (6n << 16n) | (tg0 << 14n) | (sl0 << 6n);
      for (let t0sz = 0n; t0sz < 64n; t0sz++) {
        const inside = t0sz >= first && t0sz <= last;
        const expected = inside ? `unreadable level ${level} at 40000000` : refused;
        assert.equal(start(word | t0sz), expected, `T0SZ ${t0sz}`);
      }
    });
  }

  it('T1 T3: the values of SL0 and SL2 that are not to be used', () => {
    const word = (tg0: bigint, sl: bigint, t0sz: bigint, ds = 0n) =>
      ((sl >> 2n) << 33n) | (ds << 32n) | (6n << 16n) | (tg0 << 14n) | ((sl & 3n) << 6n) | t0sz;
    for (let t0sz = 0n; t0sz < 64n; t0sz++) {
      assert.equal(start(word(0b00n, 0b101n, t0sz, 1n)), refused);
      assert.equal(start(word(0b00n, 0b110n, t0sz, 1n)), refused);
      assert.equal(start(word(0b00n, 0b111n, t0sz, 1n)), refused);
      assert.equal(start(word(0b10n, 0b011n, t0sz)), refused);
      assert.equal(start(word(0b01n, 0b011n, t0sz)), refused);
      assert.equal(start(word(0b00n, 0b011n, t0sz), { ttst: false }), refused);
    }
  });

  it('T1 T3: a processor with few address bits has few levels and few input bits', () => {
    const four = (sl0: bigint, t0sz: bigint, paMax: number) =>
      start((5n << 16n) | (sl0 << 6n) | t0sz, { paMax, lpa: false, lpa2: false });
    assert.equal(four(2n, 24n, 42), refused);
    assert.equal(four(2n, 24n, 44), 'unreadable level 0 at 40000000');
    assert.equal(four(1n, 24n, 40), 'unreadable level 1 at 40000000');
    assert.equal(four(1n, 23n, 40), refused);
    const sixteen = (2n << 14n) | (2n << 6n) | 27n;
    assert.equal(start(sixteen, { paMax: 40 }), refused);
    assert.equal(start(sixteen, { paMax: 42 }), 'unreadable level 1 at 40000000');
    const sixtyFour = (1n << 14n) | (2n << 6n) | 21n;
    assert.equal(start(sixtyFour, { paMax: 42 }), refused);
    assert.equal(start(sixtyFour, { paMax: 44 }), 'unreadable level 1 at 40000000');
  });

  it('T1 T3: roots side by side: 40 bits with 4 KiB at level 1 are two tables', () => {
    const at = (ipa: bigint, setting: Setting2 = {}) => summary(stage2(NOTHING, ipa, READ, setting));
    assert.equal(at(0x7f_ffff_ffffn), 'unreadable level 1 at 40000ff8');
    assert.equal(at(0x80_0000_0000n), 'unreadable level 1 at 40001000');
    assert.equal(at(0xff_ffff_ffffn), 'unreadable level 1 at 40001ff8');
    assert.equal(at(0x100_0000_0000n), refused);
    // Aligned to both of them; VMID and CnP are no address.
    assert.equal(at(0n, { vttbr: 0xabcd_0000_4000_3001n }), 'unreadable level 1 at 40002000');
    // 16 tables: 43 bits at level 1, aligned to 64 KiB.
    const vtcr = (5n << 16n) | (1n << 6n) | 21n;
    assert.equal(at(0x7ff_ffff_ffffn, { vtcr, vttbr: 0x4000_f000n }), 'unreadable level 1 at 4000fff8');
  });

  it('T1 T3: a root beyond PS is an address size fault of level 0; the 52-bit forms', () => {
    const at = (vtcr: bigint, vttbr: bigint) => summary(stage2(NOTHING, 0n, READ, { vtcr, vttbr }));
    assert.equal(at((2n << 16n) | (1n << 6n) | 24n, 0x100_0000_0000n), '0x00 level 0 at undefined');
    assert.equal(at((3n << 16n) | (1n << 6n) | 24n, 0x100_0000_0000n), 'unreadable level 1 at 10000000000');
    const sixtyFour = (1n << 14n) | (1n << 6n) | 24n;
    assert.equal(at((6n << 16n) | sixtyFour, 0x4000_0014n), 'unreadable level 2 at 5000040000000');
    assert.equal(at((5n << 16n) | sixtyFour, 0x4000_0014n), 'unreadable level 2 at 40000000');
    const ds = (1n << 32n) | (1n << 6n) | 24n;
    assert.equal(at((6n << 16n) | ds, 0x4000_0014n), 'unreadable level 1 at 5000040000000');
    assert.equal(at((5n << 16n) | ds, 0x4000_0014n), '0x00 level 0 at undefined');
  });
});

/** The stage 2 walk of address 0 whose root, of 4 KiB pages at level 2, has this one entry. */
function rootEntry2(
  descriptor: bigint,
  access: OracleAccess,
  vtcr = 0n,
  processor: Partial<AArch64Processor> = {},
): AArch64Result {
  const word = vtcr | (5n << 16n) | 34n;
  return stage2(entries([0x4000_0000n, descriptor]), 0n, access, { vtcr: word, processor });
}

describe('the AArch64 stage 2 oracle: walks, faults and rights', () => {
  it('T1 T2: a page and a block of a 40-bit guest', () => {
    // 0x93_1234_5678: index 24c over two roots, 091, 145, offset 678.
    const memory = entries(
      [0x4000_1260n, 0x4000_4003n],
      [0x4000_4488n, 0x4000_5003n],
      [0x4000_5a28n, 0x9999_97c3n],
      [0x4000_4490n, 0xaaa0_07c1n],
    );
    assert.deepEqual(stage2(memory, 0x93_1234_5678n, USER_WRITE), {
      kind: 'mapped',
      pa: 0x9999_9678n,
      pageSize: 0x1000n,
      level: 3,
      reads: [0x4000_1260n, 0x4000_4488n, 0x4000_5a28n],
      writes: [],
    });
    assert.equal(summary(stage2(memory, 0x93_1254_5678n, EXECUTE)), '0xaab45678 level 2');
    assert.equal(summary(stage2(memory, 0x93_1234_4678n, READ)), 'unreadable level 3 at 40005a20');
  });

  it('T1 T2: 64 KiB and 52 bits, and 4 KiB from level -1', () => {
    const sixtyFour = (6n << 16n) | (1n << 14n) | (2n << 6n) | 12n;
    const big = entries([0x4000_1fd8n, 0x4002_0003n], [0x4002_72e8n, 0xc000_37c1n]);
    assert.equal(
      summary(stage2(big, 0xf_edcb_a987_6543n, READ, { vtcr: sixtyFour })),
      '0x30000c9876543 level 2',
    );
    const five = (1n << 33n) | (1n << 32n) | (6n << 16n) | 12n;
    const deep = entries([0x4000_0048n, 0x4000_1003n], [0x4000_1878n, 0x0001_0080_0000_04c1n | (2n << 8n)]);
    assert.equal(summary(stage2(deep, 0x9_87f8_7654_3210n, READ, { vtcr: five })), '0x900f876543210 level 0');
    assert.equal(summary(stage2(ZEROS, 0n, READ, { vtcr: five })), '0x2b level -1 at 40000000');
    const six = entries([0x4000_0000n, (1n << 48n) | 3n]);
    const small = (five & ~(7n << 16n)) | (5n << 16n);
    assert.equal(summary(stage2(six, 0n, READ, { vtcr: small })), '0x29 level -1 at 40000000');
  });

  it('T2 T3: invalid entries, blocks out of place, addresses beyond PS, in this order before AF and rights', () => {
    assert.equal(summary(rootEntry2(0n, READ)), '0x06 level 2 at 40000000');
    assert.equal(summary(rootEntry2(OPEN2 | 2n, READ)), '0x06 level 2 at 40000000');
    assert.equal(summary(rootEntry2(OPEN2 | 1n, READ)), '0x0 level 2');
    assert.equal(summary(rootEntry2(1n, READ)), '0x0a level 2 at 40000000');
    assert.equal(summary(rootEntry2(0x401n, READ)), '0x0e level 2 at 40000000');
    const at = (descriptor: bigint, vtcr: bigint) =>
      summary(stage2(entries([0x4000_0000n, descriptor]), 0n, READ, { vtcr }));
    assert.equal(at((1n << 40n) | 1n, (2n << 16n) | 34n), '0x02 level 2 at 40000000');
    assert.equal(at((1n << 40n) | 3n, (2n << 16n) | 34n), '0x02 level 2 at 40000000');
    assert.equal(at(OPEN2 | 1n, (5n << 16n) | (2n << 6n) | 16n), '0x04 level 0 at 40000000');
    assert.equal(at(OPEN2 | 1n, (5n << 16n) | (3n << 6n) | 43n), '0x07 level 3 at 40000000');
    assert.equal(at(OPEN2 | 3n, (5n << 16n) | (3n << 6n) | 43n), '0x0 level 3');
  });

  it('T2 T3: S2AP reads and writes for both levels; execution does not depend on it', () => {
    const s2ap = (ap: bigint) => rights((access) => rootEntry2((1n << 10n) | (ap << 6n) | 1n, access));
    assert.equal(s2ap(0b00n), '--x--x');
    assert.equal(s2ap(0b01n), 'r-xr-x');
    assert.equal(s2ap(0b10n), '-wx-wx');
    assert.equal(s2ap(0b11n), 'rwxrwx');
  });

  it('T2 T3: XN[1:0] with FEAT_XNX, and XN[1] alone without', () => {
    const xn = (code: bigint, xnx: boolean) =>
      rights((access) => rootEntry2(OPEN2 | (code << 53n) | 1n, access, 0n, { xnx }));
    assert.equal(xn(0b00n, true), 'rwxrwx');
    assert.equal(xn(0b01n, true), 'rw-rwx');
    assert.equal(xn(0b10n, true), 'rw-rw-');
    assert.equal(xn(0b11n, true), 'rwxrw-');
    assert.equal(xn(0b00n, false), 'rwxrwx');
    assert.equal(xn(0b01n, false), 'rwxrwx');
    assert.equal(xn(0b10n, false), 'rw-rw-');
    assert.equal(xn(0b11n, false), 'rw-rw-');
  });

  it('T3: the processor with every feature has FEAT_XNX', () => {
    assert.equal(
      rights((access) => rootEntry2(OPEN2 | (1n << 53n) | 1n, access)),
      'rw-rwx',
    );
  });

  it('T4: HA sets AF; HA and HD let a write through DBM, which sets S2AP[1]', () => {
    const ha = 1n << 21n;
    const hd = 1n << 22n;
    const dbm = 1n << 51n;
    const writes = (descriptor: bigint, access: OracleAccess, vtcr: bigint) => {
      const result = rootEntry2(descriptor, access, vtcr);
      return result.kind === 'mapped' ? result.writes : summary(result);
    };
    assert.deepEqual(writes(0x41n, READ, ha), [[0x4000_0000n, 0x441n]]);
    assert.deepEqual(writes(0x441n, READ, ha), []);
    assert.deepEqual(writes(0x41n, READ, hd), '0x0a level 2 at 40000000');
    assert.deepEqual(writes(0x41n, WRITE, ha | hd), '0x0e level 2 at 40000000');
    assert.deepEqual(writes(dbm | 0x41n, WRITE, ha | hd), [[0x4000_0000n, dbm | 0x4c1n]]);
    assert.deepEqual(writes(dbm | 0x4c1n, WRITE, ha | hd), []);
    assert.deepEqual(writes(dbm | 0x441n, READ, ha | hd), []);
    assert.deepEqual(writes(dbm | 0x441n, WRITE, ha), '0x0e level 2 at 40000000');
    assert.deepEqual(writes(dbm | 0x441n, WRITE, hd), '0x0e level 2 at 40000000');
    // DBM gives the right to write, not to read.
    assert.deepEqual(writes(dbm | 0x401n, READ, ha | hd), '0x0e level 2 at 40000000');
    assert.deepEqual(writes(dbm | 0x401n, WRITE, ha | hd), [[0x4000_0000n, dbm | 0x481n]]);
  });

  it('T3: hierarchical bits, contiguous, MemAttr, SH, software and PBHA bits change nothing', () => {
    const plain = rootEntry2(OPEN2 | 0x4000_0001n, EXECUTE);
    for (const at of [
      2n,
      3n,
      4n,
      5n,
      8n,
      9n,
      11n,
      12n,
      16n,
      20n,
      48n,
      49n,
      50n,
      51n,
      52n,
      55n,
      58n,
      59n,
      62n,
      63n,
    ]) {
      assert.deepEqual(rootEntry2(OPEN2 | 0x4000_0001n | (1n << at), EXECUTE), plain, `bit ${at}`);
    }
    const through = (table: bigint) =>
      rights((access) =>
        stage2(entries([0x4000_0000n, 0x4000_1003n | table], [0x4000_1000n, OPEN2 | 3n]), 0n, access, {
          vtcr: (5n << 16n) | 34n,
        }),
      );
    for (const at of [59n, 60n, 61n, 62n, 63n]) assert.equal(through(1n << at), 'rwxrwx', `table bit ${at}`);
  });
});
