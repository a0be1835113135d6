import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type OracleAccess, OracleMap } from '../../support/oracles/oracle.ts';
import { riscvTranslate, riscvTranslateTwoStage } from '../../support/oracles/riscv.ts';
import {
  RISCV_HART,
  type RiscvGuestStage,
  type RiscvHart,
  type RiscvResult,
  type RiscvStage,
} from '../../support/oracles/riscv-algorithm.ts';

// Everything here was worked out by hand from the specification's pictures, and is written as numbers where it can be.

const V = 1n;
const R = 2n;
const W = 4n;
const X = 8n;
const U = 0x10n;
const G = 0x20n;
const A = 0x40n;
const D = 0x80n;
const RWXAD = 0xcfn;

const READ: OracleAccess = { kind: 'read', user: false };
const WRITE: OracleAccess = { kind: 'write', user: false };
const EXECUTE: OracleAccess = { kind: 'execute', user: false };
const USER_READ: OracleAccess = { kind: 'read', user: true };

const STAGE: RiscvStage = {
  scheme: 'Sv39',
  root: 0x1000n,
  sum: false,
  mxr: false,
  adue: false,
  pbmte: false,
};
const pte = (ppn: bigint, flags: bigint): bigint => (ppn << 10n) | flags;

/** 'pa/page size/rights', 'cause@level', or 'unreadable@level'. */
function short(result: RiscvResult): string {
  if (result.kind === 'mapped')
    return `${result.pa.toString(16)}/${result.pageSize.toString(16)}/${result.rights}`;
  if (result.kind === 'fault') return `${result.stage}${result.code}@${result.level}`;
  return `unreadable@${result.level}`;
}

describe('the RISC-V oracle, one stage', () => {
  // 0x4020_1234 = 1 GiB + 2 MiB + 4 KiB + 0x234: index 1 at each level.
  const VA = 0x4020_1234n;
  const sv39 = (leaf: bigint, stage: Partial<RiscvStage> = {}, hart: Partial<RiscvHart> = {}) => {
    const map = new OracleMap().set(0x1008n, 0x801n).set(0x2008n, 0xc01n).set(0x3008n, leaf);
    return (access: OracleAccess): string =>
      short(riscvTranslate({ ...STAGE, ...stage }, { ...RISCV_HART, ...hart }, map.memory, VA, access));
  };

  it('T1: walks Sv39 by three entries', () => {
    const map = new OracleMap().set(0x1008n, 0x801n).set(0x2008n, 0xc01n).set(0x3008n, 0x48d_14cfn);
    assert.deepEqual(riscvTranslate(STAGE, RISCV_HART, map.memory, VA, READ), {
      kind: 'mapped',
      pa: 0x1234_5234n,
      pageSize: 0x1000n,
      level: 0,
      rights: 'rwx-',
      global: false,
      memoryType: 0,
      reads: [0x1008n, 0x2008n, 0x3008n],
      writes: [],
    });
  });

  it('T1: walks Sv32 by two entries of four bytes to a 34-bit address', () => {
    // 0x8040_3004: vpn[1] = 0x201, vpn[0] = 3; the leaf's ppn is 0x30_0007.
    const map = new OracleMap().set(0x1804n, 0x801n).set(0x200cn, 0xc000_1cc3n);
    const stage: RiscvStage = { ...STAGE, scheme: 'Sv32' };
    const result = riscvTranslate(stage, RISCV_HART, map.memory, 0x8040_3004n, READ);
    assert.equal(short(result), '300007004/1000/r---');
    assert.deepEqual(result.reads, [0x1804n, 0x200cn]);
    // A megapage: ppn 0x0010_0400, aligned to 0x400; bits 21:0 come from the address.
    map.set(0x1804n, 0x4010_00c3n);
    assert.equal(
      short(riscvTranslate(stage, RISCV_HART, map.memory, 0x8040_3004n, READ)),
      '100403004/400000/r---',
    );
    // One bit of ppn[0] set: misaligned.
    map.set(0x1804n, 0x4010_04c3n);
    assert.equal(short(riscvTranslate(stage, RISCV_HART, map.memory, 0x8040_3004n, WRITE)), 'S15@1');
  });

  it('T1: walks Sv48 and Sv57 by four and five entries', () => {
    const map = new OracleMap()
      .set(0x4010n, pte(1n, V))
      .set(0x5008n, pte(4n, V))
      .set(0x1008n, 0x801n)
      .set(0x2008n, 0xc01n)
      .set(0x3008n, 0x48d_14cfn);
    map.set(0x4008n, pte(1n, V));
    const sv48 = riscvTranslate(
      { ...STAGE, scheme: 'Sv48', root: 0x4000n },
      RISCV_HART,
      map.memory,
      0x80_4020_1234n,
      READ,
    );
    assert.equal(short(sv48), '12345234/1000/rwx-');
    assert.deepEqual(sv48.reads, [0x4008n, 0x1008n, 0x2008n, 0x3008n]);
    const sv57 = riscvTranslate(
      { ...STAGE, scheme: 'Sv57', root: 0x5000n },
      RISCV_HART,
      map.memory,
      0x1_0100_4020_1234n,
      READ,
    );
    assert.equal(short(sv57), '12345234/1000/rwx-');
    assert.deepEqual(sv57.reads, [0x5008n, 0x4010n, 0x1008n, 0x2008n, 0x3008n]);
  });

  it('T3: wants the upper address bits to be copies of the sign', () => {
    const map = new OracleMap().set(0x1ff8n, pte(0n, RWXAD)).set(0x1000n, pte(0n, RWXAD));
    const at = (va: bigint, scheme: RiscvStage['scheme'] = 'Sv39', access = READ): string =>
      short(riscvTranslate({ ...STAGE, scheme }, RISCV_HART, map.memory, va, access));
    assert.equal(at(0xffff_ffff_ffff_fff0n), '3ffffff0/40000000/rwx-');
    assert.equal(at(0x3f_ffff_ffffn), 'S13@2', 'canonical, but its entry is 0');
    assert.equal(at(0x40_0000_0000n), 'S13@2');
    assert.equal(at(0x7fff_ffff_ffff_fff0n, 'Sv39', EXECUTE), 'S12@2');
    assert.equal(at(0xffff_ffbf_ffff_ffffn, 'Sv39', WRITE), 'S15@2');
    assert.equal(at(0xffff_7fff_ffff_ffffn, 'Sv48'), 'S13@3');
    assert.equal(at(0xfeff_ffff_ffff_ffffn, 'Sv57'), 'S13@4');
    assert.equal(at(0x1_0000_0000n, 'Sv32'), 'S13@1');
  });

  it('T3: tells valid, reserved and pointer encodings apart', () => {
    const ok = '12345234/1000/rwx-';
    assert.equal(sv39(pte(0x12345n, RWXAD))(READ), ok);
    assert.equal(sv39(pte(0x12345n, RWXAD - V))(READ), 'S13@0');
    assert.equal(sv39(pte(0x12345n, V | W | A | D))(WRITE), 'S15@0', 'XWR = 010');
    assert.equal(sv39(pte(0x12345n, V | W | X | A | D))(EXECUTE), 'S12@0', 'XWR = 110');
    assert.equal(sv39(pte(0x12345n, V))(READ), 'S13@0', 'a pointer at the last level');
    assert.equal(sv39(pte(0x12345n, RWXAD | 0x300n))(READ), ok, 'RSW');
    assert.equal(sv39(pte(0x12345n, RWXAD | (1n << 54n)))(READ), 'S13@0');
    assert.equal(sv39(pte(0x12345n, RWXAD | (1n << 58n)))(READ), 'S13@0');
    assert.equal(sv39(pte(0x12345n, RWXAD | (1n << 59n)))(READ), 'S13@0');
    assert.equal(sv39(pte(0x12345n, RWXAD | (3n << 59n)), {}, { svrsw60t59b: true })(READ), ok);
  });

  it('T3: refuses D, A, U, PBMT and N in an entry that points on', () => {
    for (const flag of [D, A, U, 1n << 61n, 2n << 61n, 1n << 63n]) {
      const map = new OracleMap()
        .set(0x1008n, 0x801n | flag)
        .set(0x2008n, 0xc01n)
        .set(0x3008n, 0x48d_14cfn);
      const stage = { ...STAGE, pbmte: true };
      assert.equal(
        short(riscvTranslate(stage, RISCV_HART, map.memory, VA, READ)),
        'S13@2',
        flag.toString(16),
      );
    }
    // G is allowed there, and makes the page global.
    const map = new OracleMap()
      .set(0x1008n, 0x801n | G)
      .set(0x2008n, 0xc01n)
      .set(0x3008n, 0x48d_14cfn);
    const result = riscvTranslate(STAGE, RISCV_HART, map.memory, VA, READ);
    assert(result.kind === 'mapped' && result.global);
  });

  it('T3: wants superpages aligned', () => {
    const map = new OracleMap().set(0x1008n, 0x801n).set(0x2008n, pte(0x400n, RWXAD));
    const at = () => short(riscvTranslate(STAGE, RISCV_HART, map.memory, VA, EXECUTE));
    assert.equal(at(), '401234/200000/rwx-');
    map.set(0x2008n, pte(0x500n, RWXAD));
    assert.equal(at(), 'S12@1');
    map.set(0x1008n, pte(0x8_0000n, RWXAD));
    assert.equal(at(), '80201234/40000000/rwx-');
    map.set(0x1008n, pte(0x8_0200n, RWXAD));
    assert.equal(at(), 'S12@2');
    map.set(0x1008n, pte(0x8_0001n, RWXAD));
    assert.equal(at(), 'S12@2');
  });

  it('T3: SUM opens user pages to loads and stores of the supervisor, never to its fetches', () => {
    const user = pte(0x12345n, RWXAD | U);
    assert.equal(sv39(user)(USER_READ), '12345234/1000/rwxu');
    assert.equal(sv39(user)(READ), 'S13@0');
    assert.equal(sv39(user)(WRITE), 'S15@0');
    assert.equal(sv39(user)(EXECUTE), 'S12@0');
    assert.equal(sv39(user, { sum: true })(READ), '12345234/1000/rwxu');
    assert.equal(sv39(user, { sum: true })(WRITE), '12345234/1000/rwxu');
    assert.equal(sv39(user, { sum: true })(EXECUTE), 'S12@0');
    assert.equal(sv39(pte(0x12345n, RWXAD))(USER_READ), 'S13@0');
    assert.equal(sv39(pte(0x12345n, RWXAD), { sum: true })(USER_READ), 'S13@0');
  });

  it('T3: MXR lets loads read what may only be executed', () => {
    const executeOnly = pte(0x12345n, V | X | A | D);
    assert.equal(sv39(executeOnly)(READ), 'S13@0');
    assert.equal(sv39(executeOnly, { mxr: true })(READ), '12345234/1000/--x-');
    assert.equal(sv39(executeOnly, { mxr: true })(WRITE), 'S15@0');
    assert.equal(sv39(executeOnly)(EXECUTE), '12345234/1000/--x-');
    const readOnly = pte(0x12345n, V | R | A | D);
    assert.equal(sv39(readOnly)(READ), '12345234/1000/r---');
    assert.equal(sv39(readOnly, { mxr: true })(WRITE), 'S15@0');
    assert.equal(sv39(readOnly, { mxr: true })(EXECUTE), 'S12@0');
  });

  it('T4: Svade faults where Svadu sets the flags', () => {
    const neither = pte(0x12345n, V | R | W | X);
    const accessed = pte(0x12345n, V | R | W | X | A);
    assert.equal(sv39(neither)(READ), 'S13@0');
    assert.equal(sv39(neither)(EXECUTE), 'S12@0');
    assert.equal(sv39(accessed)(READ), '12345234/1000/rwx-');
    assert.equal(sv39(accessed)(WRITE), 'S15@0');
    const writes = (leaf: bigint, access: OracleAccess) => {
      const map = new OracleMap().set(0x1008n, 0x801n).set(0x2008n, 0xc01n).set(0x3008n, leaf);
      return riscvTranslate({ ...STAGE, adue: true }, RISCV_HART, map.memory, VA, access).writes;
    };
    assert.deepEqual(writes(neither, READ), [[0x3008n, accessed]]);
    assert.deepEqual(writes(neither, WRITE), [[0x3008n, accessed | D]]);
    assert.deepEqual(writes(accessed, READ), []);
    assert.deepEqual(writes(accessed, WRITE), [[0x3008n, accessed | D]]);
    assert.deepEqual(writes(accessed | U, READ), [], 'no flag is set for an access that is refused');
  });

  it('T1: Svnapot makes 64 KiB of ppn ...1000 at the last level, and nothing else', () => {
    const N = 1n << 63n;
    // The low four bits of the ppn are the address's: va bits 15:12 are 1.
    assert.equal(sv39(N | pte(0x12348n, RWXAD))(READ), '12341234/10000/rwx-');
    assert.equal(sv39(N | pte(0x12348n, RWXAD), {}, { svnapot: false })(READ), 'S13@0');
    for (const low of [0n, 1n, 2n, 3n, 4n, 7n, 9n, 10n, 12n, 15n])
      assert.equal(sv39(N | pte(0x12340n | low, RWXAD))(READ), 'S13@0', String(low));
    assert.equal(
      sv39(N | pte(0x12358n, RWXAD))(READ),
      '12351234/10000/rwx-',
      'the bit beside is the address’s',
    );
    assert.equal(sv39(N | pte(0x8n, V))(READ), 'S13@0', 'no leaf');
    const map = new OracleMap().set(0x1008n, 0x801n);
    for (const ppn of [0x400n, 0x408n]) {
      map.set(0x2008n, N | pte(ppn, RWXAD));
      assert.equal(short(riscvTranslate(STAGE, RISCV_HART, map.memory, VA, READ)), 'S13@1');
    }
    map.set(0x1008n, N | pte(0x8n, RWXAD));
    assert.equal(short(riscvTranslate(STAGE, RISCV_HART, map.memory, VA, READ)), 'S13@2');
  });

  it('T1: Svpbmt knows three types', () => {
    const type = (pbmt: bigint, pbmte: boolean): string | number => {
      const map = new OracleMap().set(0x1008n, 0x801n).set(0x2008n, 0xc01n);
      map.set(0x3008n, pte(0x12345n, RWXAD) | (pbmt << 61n));
      const result = riscvTranslate({ ...STAGE, pbmte }, RISCV_HART, map.memory, VA, READ);
      return result.kind === 'mapped' ? result.memoryType : short(result);
    };
    assert.deepEqual(
      [0n, 1n, 2n, 3n].map((pbmt) => type(pbmt, true)),
      [0, 1, 2, 'S13@0'],
    );
    assert.deepEqual(
      [0n, 1n, 2n, 3n].map((pbmt) => type(pbmt, false)),
      [0, 'S13@0', 'S13@0', 'S13@0'],
    );
  });

  it('T2: keeps an access fault and a table that cannot be read apart', () => {
    const map13 = new OracleMap().set(0x1008n, pte(0n, RWXAD - V));
    const fault = riscvTranslate(STAGE, RISCV_HART, map13.memory, VA, READ);
    assert(fault.kind === 'fault' && fault.htval === 0n && fault.implicit === 'none');
    const far = sv39(pte(1n << 43n, RWXAD), {}, { physicalBits: 53 });
    assert.deepEqual([far(EXECUTE), far(READ), far(WRITE)], ['S1@0', 'S5@0', 'S7@0']);
    assert.equal(sv39(pte(1n << 43n, RWXAD))(READ), '80000000000234/1000/rwx-');
    const map = new OracleMap(0x10_0000n).set(0x1008n, pte(0x100n, V));
    assert.deepEqual(riscvTranslate(STAGE, RISCV_HART, map.memory, VA, READ), {
      kind: 'unreadable',
      stage: 'S',
      level: 1,
      entryAddress: 0x10_0008n,
      reads: [0x1008n],
      writes: [],
    });
    map.set(0x1008n, pte(1n << 43n, V));
    const hart = { ...RISCV_HART, physicalBits: 53 };
    assert.equal(short(riscvTranslate(STAGE, hart, map.memory, VA, READ)), 'S5@1');
  });

  it('T1: MODE=Bare leaves addresses as they are', () => {
    const bare = { ...STAGE, scheme: 'Bare' } as const;
    const none = new OracleMap().memory;
    assert.equal(short(riscvTranslate(bare, RISCV_HART, none, VA, WRITE)), '40201234/10000000000000000/rwxu');
    assert.equal(short(riscvTranslate(bare, RISCV_HART, none, 1n << 56n, WRITE)), 'S7@-1');
  });
});

describe('the RISC-V oracle, two stages', () => {
  const GUEST: RiscvGuestStage = {
    scheme: 'Sv39x4',
    root: 0x10_0000n,
    mxr: false,
    adue: false,
    pbmte: false,
  };
  const GPAGE = V | R | W | X | U | A | D;
  // The guest's tables at guest-physical 0x1000, 0x2000, 0x3000; its page at 0x9000. G-stage: 0x10_0000 is the root of
  // 16 KiB, then 0x10_4000 and 0x10_5000, whose entry n maps guest page n to physical page 0x200 + n.
  const VA = 0x4020_1234n;
  const build = (): OracleMap => {
    const map = new OracleMap().set(0x20_1008n, pte(2n, V)).set(0x20_2008n, pte(3n, V));
    map.set(0x20_3008n, pte(9n, RWXAD));
    map.set(0x10_0000n, pte(0x104n, V)).set(0x10_4000n, pte(0x105n, V));
    for (const page of [1n, 2n, 3n, 9n]) map.set(0x10_5000n + 8n * page, pte(0x200n + page, GPAGE));
    return map;
  };
  const two = (
    map: OracleMap,
    access: OracleAccess,
    vs: Partial<RiscvStage> = {},
    g: Partial<RiscvGuestStage> = {},
    va: bigint = VA,
  ): RiscvResult =>
    riscvTranslateTwoStage({ ...STAGE, ...vs }, { ...GUEST, ...g }, RISCV_HART, map.memory, va, access);

  it('T5: reads fifteen entries for three levels over three', () => {
    const result = two(build(), READ);
    assert.equal(short(result), '209234/1000/rwx-');
    const g = (page: bigint): bigint[] => [0x10_0000n, 0x10_4000n, 0x10_5000n + 8n * page];
    assert.deepEqual(result.reads, [
      ...g(1n),
      0x20_1008n,
      ...g(2n),
      0x20_2008n,
      ...g(3n),
      0x20_3008n,
      ...g(9n),
    ]);
  });

  it('T1: takes eleven bits of index at the root of 16 KiB', () => {
    const map = new OracleMap();
    // 41 bits of ones: entry 2047 of the root.
    map.set(0x10_3ff8n, pte(0x4_0000n, GPAGE));
    const bare: Partial<RiscvStage> = { scheme: 'Bare' };
    assert.equal(short(two(map, READ, bare, {}, 0x1ff_ffff_ffffn)), '7fffffff/40000000/rwxu');
    assert.equal(short(two(map, READ, bare, {}, 0x200_0000_0000n)), 'G21@2', 'bit 41');
    assert.equal(
      short(two(map, READ, bare, { root: 0x10_3000n }, 0x1ff_ffff_ffffn)),
      '7fffffff/40000000/rwxu',
    );
    assert.equal(short(two(map, EXECUTE, bare, { scheme: 'Sv48x4' }, 1n << 50n)), 'G20@3');
    assert.equal(short(two(map, WRITE, bare, { scheme: 'Sv57x4' }, 1n << 59n)), 'G23@4');
    assert.equal(short(two(map, WRITE, bare, { scheme: 'Sv32x4' }, 1n << 34n)), 'G23@1');
    // Sv32x4: gpa 0x3_ffff_f000 has index 0xfff at the root of four-byte entries.
    map.set(0x10_3ffcn, pte(0x104n, V)).set(0x10_4ffcn, pte(0x77n, GPAGE));
    assert.equal(short(two(map, WRITE, bare, { scheme: 'Sv32x4' }, 0x3_ffff_f008n)), '77008/1000/rwxu');
  });

  it('T1: Sv48x4 and Sv57x4 by four and five entries of eight bytes', () => {
    // Index 1 at each level, and 2048 - 1 = 0x7ff at the root.
    const map = new OracleMap().set(0x10_3ff8n, pte(0x104n, V)).set(0x10_4008n, pte(0x105n, V));
    map.set(0x10_5008n, pte(0x106n, V)).set(0x10_6008n, pte(0x107n, V)).set(0x10_7008n, pte(0x77n, GPAGE));
    const bare: Partial<RiscvStage> = { scheme: 'Bare' };
    const gpa57 = (0x7ffn << 48n) + (1n << 39n) + 0x4020_1234n;
    const five = two(map, READ, bare, { scheme: 'Sv57x4' }, gpa57);
    assert.equal(short(five), '77234/1000/rwxu');
    assert.deepEqual(five.reads, [0x10_3ff8n, 0x10_4008n, 0x10_5008n, 0x10_6008n, 0x10_7008n]);
    map.set(0x10_6008n, pte(0x78n, GPAGE));
    const four = two(map, READ, bare, { scheme: 'Sv48x4' }, (0x7ffn << 39n) + 0x4020_1234n);
    assert.equal(short(four), '78234/1000/rwxu');
    assert.deepEqual(four.reads, [0x10_3ff8n, 0x10_4008n, 0x10_5008n, 0x10_6008n]);
  });

  it('T5: every G-stage access is a user access', () => {
    const map = build().set(0x10_5048n, pte(0x209n, RWXAD));
    const fault = two(map, WRITE);
    assert.equal(short(fault), 'G23@0');
    assert(fault.kind === 'fault');
    assert.equal(fault.htval, 0x9234n >> 2n);
    assert.equal(fault.implicit, 'none');
    // A user page of the guest needs no SUM of the hypervisor.
    assert.equal(short(two(build().set(0x20_3008n, pte(9n, RWXAD | U)), USER_READ)), '209234/1000/rwxu');
  });

  it('T5: a table read is checked as a load and reported as the original access', () => {
    const map = build().set(0x10_5010n, pte(0x202n, V | X | U | A | D));
    const fault = two(map, EXECUTE);
    assert(fault.kind === 'fault');
    assert.equal(short(fault), 'G20@0');
    assert.equal(fault.htval, 0x2008n >> 2n, 'the address of the entry, not of its page');
    assert.equal(fault.implicit, 'read');
    assert.equal(fault.entryAddress, 0x10_5010n);
    // MXR does not help: it concerns explicit loads.
    assert.equal(short(two(map, READ, {}, { mxr: true })), 'G21@0');
    // A read-only table is enough, even for a store, while no flag of the guest's has to be set.
    assert.equal(short(two(build().set(0x10_5010n, pte(0x202n, V | R | U | A)), WRITE)), '209234/1000/rwx-');
  });

  it('T4 T5: setting a flag in the guest is a store at G-stage', () => {
    const map = build()
      .set(0x20_3008n, pte(9n, V | R | W))
      .set(0x10_5018n, pte(0x203n, V | R | U | A));
    assert.equal(short(two(map, READ)), 'VS13@0', 'Svade');
    const fault = two(map, READ, { adue: true });
    assert(fault.kind === 'fault');
    assert.deepEqual(
      [short(fault), fault.htval, fault.implicit, fault.writes],
      ['G21@0', 0x3008n >> 2n, 'write', []],
    );
    // Writable, but its D is clear: a fault with Svade, an update with Svadu.
    map.set(0x10_5018n, pte(0x203n, V | R | W | U | A));
    assert.equal(short(two(map, READ, { adue: true })), 'G21@0');
    assert.deepEqual(two(map, READ, { adue: true }, { adue: true }).writes, [
      [0x10_5018n, pte(0x203n, V | R | W | U | A | D)],
      [0x20_3008n, pte(9n, V | R | W | A)],
    ]);
  });

  it('T3 T5: MXR of the guest concerns the first stage, of HS-level both', () => {
    const executeOnly = V | X | A | D;
    const first = build().set(0x20_3008n, pte(9n, executeOnly));
    assert.equal(short(two(first, READ)), 'VS13@0');
    assert.equal(short(two(first, READ, { mxr: true })), '209234/1000/--x-');
    assert.equal(short(two(first, READ, {}, { mxr: true })), '209234/1000/--x-');
    const second = build().set(0x10_5048n, pte(0x209n, executeOnly | U));
    assert.equal(short(two(second, READ)), 'G21@0');
    assert.equal(short(two(second, READ, { mxr: true })), 'G21@0');
    assert.equal(short(two(second, READ, {}, { mxr: true })), '209234/1000/--x-');
  });

  it('T5: a guest-physical address wider than G-stage takes is a guest-page fault', () => {
    const map = build().set(0x20_1008n, pte(1n << 29n, V));
    const fault = two(map, READ);
    assert(fault.kind === 'fault');
    assert.deepEqual(
      [short(fault), fault.entryAddress, fault.htval],
      ['G21@2', undefined, ((1n << 41n) + 8n) >> 2n],
    );
    // With hgatp Bare there is no such limit, only the hart's.
    const bare = new OracleMap().set(0x1008n, pte(0x4_0000_0000n, RWXAD));
    const wide = two(bare, READ, {}, { scheme: 'Bare' });
    assert.equal(short(wide), `${(0x4000_0000_0000n + 0x20_1234n).toString(16)}/40000000/rwx-`);
  });

  it('T5: the smaller page and both stages’ rights count; the first memory type wins', () => {
    const map = build().set(0x10_0000n, pte(0n, V | R | X | U | A | D));
    map.set(0x1008n, pte(2n, V)).set(0x2008n, pte(0x400n, RWXAD | (1n << 61n)));
    const result = two(map, READ, { pbmte: true }, { pbmte: true });
    assert(result.kind === 'mapped');
    assert.equal(short(result), '401234/200000/r-x-');
    assert.equal(result.memoryType, 1);
    map.set(0x10_0000n, pte(0n, V | R | X | U | A | D) | (2n << 61n));
    const both = two(map, READ, { pbmte: true }, { pbmte: true });
    assert(both.kind === 'mapped' && both.memoryType === 1);
    map.set(0x2008n, pte(0x400n, RWXAD));
    const second = two(map, READ, { pbmte: true }, { pbmte: true });
    assert(second.kind === 'mapped' && second.memoryType === 2);
    assert.equal(short(two(map, READ, { pbmte: true })), 'G21@2', 'PBMTE of the hypervisor is off');
  });
});
