import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EPT, type EptConfig } from '../../support/oracles/ept.ts';
import {
  NPT,
  type NptAccess,
  type NptConfig,
  type NptResult,
  nptTranslate,
} from '../../support/oracles/npt.ts';
import { type OracleAccess, OracleMap } from '../../support/oracles/oracle.ts';
import {
  type NestedResult,
  X86_GUEST,
  type X86Guest,
  x86NestedTranslate,
} from '../../support/oracles/x86-nested.ts';

// Everything here was worked out by hand from the manuals' figures, and is written as numbers where it can be.

const NX = 1n << 63n;
const BIG = 0x80n;

describe('the NPT oracle', () => {
  const GPA = 0x80_4020_1234n;
  const READ: NptAccess = { kind: 'read', linear: 'final' };
  const WRITE: NptAccess = { kind: 'write', linear: 'final' };
  const FETCH: NptAccess = { kind: 'execute', linear: 'final' };
  const WALK: NptAccess = { kind: 'read', linear: 'table' };
  const npt = (at: bigint, entry: bigint, access: NptAccess, config: Partial<NptConfig> = {}): NptResult => {
    const map = new OracleMap(0x100_0000n).set(0x1008n, 0x2007n).set(0x2008n, 0x3007n).set(0x3008n, 0x4007n);
    map.set(0x5000n, 0x1007n).set(0x4008n, 0x1234_5007n).set(at, entry);
    return nptTranslate({ ...NPT, root: 0x1000n, ...config }, map.memory, GPA, access);
  };
  const short = (result: NptResult): string => {
    if (result.kind === 'mapped')
      return `${result.pa.toString(16)}/${result.pageSize.toString(16)}/${result.rights}`;
    return `${result.kind === 'fault' ? result.code.toString(16) : 'unreadable'}@${result.level}`;
  };

  it('T1: walks four and five levels, 2 MiB and 1 GiB pages', () => {
    assert.equal(short(npt(0x5000n, 0x1007n, READ)), '12345234/1000/rwx');
    const five = npt(0x5000n, 0x1007n, READ, { levels: 5, root: 0x5000n });
    assert.deepEqual(five.reads, [0x5000n, 0x1008n, 0x2008n, 0x3008n, 0x4008n]);
    assert.equal(short(npt(0x3008n, 0x4000_0087n, READ)), '40001234/200000/rwx');
    assert.equal(short(npt(0x2008n, 0x8_0000_0087n, READ)), '800201234/40000000/rwx');
    assert.equal(short(npt(0x2008n, 0x8_0000_0087n, READ, { pages1G: false })), '10000000d@3');
  });

  it('T2: codes have bit 32 for the final address, bit 33 for a guest table', () => {
    assert.equal(short(npt(0x4008n, 0n, READ)), '100000004@1');
    assert.equal(short(npt(0x3008n, 0n, WRITE)), '100000006@2');
    assert.equal(short(npt(0x2008n, 0n, FETCH)), '100000014@3');
    assert.equal(short(npt(0x2008n, 0n, FETCH, { nxe: false })), '100000004@3');
    assert.equal(short(npt(0x1008n, 0n, WALK)), '200000006@4');
    assert.equal(short(npt(0x4008n, 0x1234_5005n, WRITE)), '100000007@1');
    assert.equal(short(npt(0x4008n, NX | 0x1234_5007n, FETCH)), '100000015@1');
    // kvm-unit-tests, npt_rsvd and npt_rsvd_pfwalk: bit 19 of a 2 MiB entry, bit 8 of the PML4E.
    assert.equal(short(npt(0x3008n, 0x8_00a7n, FETCH)), '10000001d@2');
    assert.equal(short(npt(0x1008n, 0x2107n, WALK)), '20000000f@4');
  });

  it('T3: every access is a user’s, and one to a guest table a write', () => {
    for (const at of [0x1008n, 0x2008n, 0x3008n]) {
      const next = at + 0xff8n;
      assert.equal(short(npt(at, next | 3n, READ)), '100000005@1', 'supervisor');
      assert.equal(short(npt(at, next | 5n, WRITE)), '100000007@1', 'read-only');
      assert.equal(short(npt(at, next | 5n, WALK)), '200000007@1', 'read-only');
      assert.equal(short(npt(at, next | 5n, READ)), '12345234/1000/r-x');
      assert.equal(short(npt(at, next | NX | 7n, FETCH)), '100000015@1');
      assert.equal(short(npt(at, next | NX | 7n, READ)), '12345234/1000/rw-');
      assert.equal(short(npt(at, next | NX | 7n, READ, { nxe: false })).slice(0, 9), '10000000d');
    }
  });

  it('T3: reserved bits', () => {
    const flip = (at: bigint, entry: bigint, bits: number[], level: number): void => {
      for (const position of bits)
        assert.equal(
          short(
            npt(at, entry | (1n << BigInt(position)), READ, { levels: 5, root: 0x5000n, maxPhyAddr: 40 }),
          ),
          `10000000d@${level}`,
          `level ${level} bit ${position}`,
        );
    };
    flip(0x5000n, 0x1007n, [7, 8, 40, 51], 5);
    flip(0x1008n, 0x2007n, [7, 8, 40, 51], 4);
    flip(0x2008n, 0x3007n, [40, 51], 3);
    flip(0x2008n, 0x87n, [13, 20, 29, 40, 51], 3);
    flip(0x3008n, 0x4007n, [40, 51], 2);
    flip(0x3008n, 0x87n, [13, 20, 40, 51], 2);
    flip(0x4008n, 0x1234_5007n, [40, 51], 1);
    // The bits beside the reserved ones are fine.
    assert.equal(short(npt(0x1008n, 0x2e07n, READ)), '12345234/1000/rwx');
    assert.equal(short(npt(0x2008n, 0x4000_1f87n, READ)), '40201234/40000000/rwx');
    assert.equal(short(npt(0x3008n, 0x20_1f87n, READ)), '201234/200000/rwx');
    // Ignored: software's, G, and in a PDPE and PDE bit 8.
    for (const position of [8, 9, 10, 11, 52, 58, 59, 62])
      assert.equal(short(npt(0x4008n, 0x1234_5007n | (1n << BigInt(position)), READ)), '12345234/1000/rwx');
    assert.equal(short(npt(0x2008n, 0x3107n, READ)), '12345234/1000/rwx');
  });

  it('T2: an address that is too wide, and tables that cannot be read', () => {
    const map = new OracleMap(0x100_0000n);
    const at = (gpa: bigint, levels: 4 | 5, root = 0x1000n): NptResult =>
      nptTranslate({ ...NPT, levels, root }, map.memory, gpa, READ);
    const wide = at(1n << 48n, 4);
    assert(wide.kind === 'fault');
    assert.deepEqual([wide.code, wide.level, wide.entryAddress], [0x1_0000_0004, 4, undefined]);
    assert.deepEqual(at(1n << 48n, 5).reads, [0x1008n]);
    assert.deepEqual(at(1n << 57n, 5).reads, []);
    assert.deepEqual(at(0n, 4, 0x100_0000n), {
      kind: 'unreadable',
      level: 4,
      entryAddress: 0x100_0000n,
      reads: [],
      writes: [],
    });
    const big = new OracleMap().set(0x1000n, 0x2007n).set(0x2000n, 0x4000_0087n);
    const last = nptTranslate({ ...NPT, root: 0x1000n }, big.memory, 0x3fff_ffffn, READ);
    assert(last.kind === 'mapped' && last.pa === 0x7fff_ffffn);
  });

  it('T4: sets accessed everywhere and dirty in the last, also for a guest’s table', () => {
    const upper = [
      [0x1008n, 0x2027n],
      [0x2008n, 0x3027n],
      [0x3008n, 0x4027n],
    ];
    const writes = (access: NptAccess, update = true) => npt(0x5000n, 0n, access, { update }).writes;
    assert.deepEqual(writes(READ), [...upper, [0x4008n, 0x1234_5027n]]);
    assert.deepEqual(writes(WALK), [...upper, [0x4008n, 0x1234_5027n], [0x4008n, 0x1234_5067n]]);
    assert.deepEqual(writes(WRITE, false), []);
  });

  it('T2: tells the memory type by PAT, PCD and PWT of the leaf', () => {
    const type = (at: bigint, entry: bigint): number => {
      const result = npt(at, entry, READ);
      assert(result.kind === 'mapped');
      return result.memoryType;
    };
    assert.equal(type(0x4008n, 0x1234_509fn), 7);
    assert.equal(type(0x4008n, 0x1234_5017n), 2);
    assert.equal(type(0x3008n, 0x4000_1087n), 4);
    assert.equal(type(0x3008n, 0x4000_008fn), 1);
  });
});

describe('the two-dimensional oracle', () => {
  const READ: OracleAccess = { kind: 'read', user: false };
  const WRITE: OracleAccess = { kind: 'write', user: false };
  const FETCH: OracleAccess = { kind: 'execute', user: false };
  const USER_FETCH: OracleAccess = { kind: 'execute', user: true };
  // Index 1 at each level; the guest's tables lie at guest-physical 0x5000 (PML5), 0x1000, 0x2000, 0x3000, 0x4000, its
  // page at 0x9000. The host maps guest page n to 0x10_0000 + n by tables at 0x20_0000 (level 5), 0x21_0000 to 0x24_0000.
  const GVA = 0x80_4020_1234n;
  const GVA57 = GVA + (1n << 48n);
  const eptEntry = 0x37n;
  const build = (flags: bigint, leafFlags: bigint): OracleMap => {
    const map = new OracleMap(0x100_0000n)
      .set(0x20_0000n, 0x21_0000n | flags)
      .set(0x21_0000n, 0x22_0000n | flags);
    map.set(0x22_0000n, 0x23_0000n | flags).set(0x23_0000n, 0x24_0000n | flags);
    for (const page of [1n, 2n, 3n, 4n, 5n, 9n])
      map.set(0x24_0000n + page * 8n, 0x10_0000n + page * 0x1000n + leafFlags);
    map.set(0x10_5008n, 0x1007n).set(0x10_1008n, 0x2007n).set(0x10_2008n, 0x3007n).set(0x10_3008n, 0x4007n);
    return map.set(0x10_4008n, 0x9007n);
  };
  const overEpt = (
    map: OracleMap,
    access: OracleAccess,
    guest: Partial<X86Guest> = {},
    ept: Partial<EptConfig> = {},
  ): NestedResult =>
    x86NestedTranslate(
      { ...X86_GUEST, cr3: guest.levels === 5 ? 0x5018n : 0x1018n, ...guest },
      { ept: { ...EPT, root: ept.levels === 5 ? 0x20_0000n : 0x21_0000n, ...ept } },
      map.memory,
      guest.levels === 5 ? GVA57 : GVA,
      access,
    );
  const overNpt = (
    map: OracleMap,
    access: OracleAccess,
    guest: Partial<X86Guest> = {},
    npt: Partial<NptConfig> = {},
  ): NestedResult =>
    x86NestedTranslate(
      { ...X86_GUEST, cr3: guest.levels === 5 ? 0x5018n : 0x1018n, ...guest },
      { npt: { ...NPT, root: npt.levels === 5 ? 0x20_0000n : 0x21_0000n, ...npt } },
      map.memory,
      guest.levels === 5 ? GVA57 : GVA,
      access,
    );
  const eptTables = () => build(7n, eptEntry);
  const nptTables = () => build(7n, 7n);
  const short = (result: NestedResult): string => {
    if (result.kind === 'mapped')
      return `${result.gpa.toString(16)}/${result.pa.toString(16)}/${result.pageSize.toString(16)}/${result.rights}`;
    if (result.kind === 'not-canonical') return result.kind;
    const during = result.stage === 'host' ? ` ${result.during} ${result.guestLevel}` : '';
    const what = result.kind === 'unreadable' ? result.kind : result.code.toString(16);
    const reason = result.kind === 'fault' && 'reason' in result ? ` ${result.reason}` : '';
    return `${result.stage}${during} ${what}@${result.level}${reason}`;
  };

  it('T5: reads 24 entries for 4 over 4, 29 for 4 over 5 and 5 over 4, 35 for 5 over 5', () => {
    for (const [guestLevels, hostLevels, count] of [
      [4, 4, 24],
      [4, 5, 29],
      [5, 4, 29],
      [5, 5, 35],
    ] as const) {
      const ept = overEpt(eptTables(), READ, { levels: guestLevels }, { levels: hostLevels });
      assert.equal(short(ept), '9234/109234/1000/rwxu');
      assert.equal(ept.reads.length, count);
      const npt = overNpt(nptTables(), READ, { levels: guestLevels }, { levels: hostLevels });
      assert.equal(short(npt), '9234/109234/1000/rwxu');
      assert.equal(npt.reads.length, count);
    }
  });

  it('T5: reads them in this order', () => {
    const host = (page: bigint): bigint[] => [0x21_0000n, 0x22_0000n, 0x23_0000n, 0x24_0000n + page * 8n];
    const expected = [
      ...host(1n),
      0x10_1008n,
      ...host(2n),
      0x10_2008n,
      ...host(3n),
      0x10_3008n,
      ...host(4n),
      0x10_4008n,
      ...host(9n),
    ];
    assert.deepEqual(overEpt(eptTables(), READ).reads, expected);
    assert.deepEqual(overNpt(nptTables(), READ).reads, expected);
  });

  it('T5: fewer with large pages of either stage, and the smaller page counts', () => {
    const guestBig = eptTables().set(0x10_3008n, 0x87n);
    const first = overEpt(guestBig.set(0x24_0008n, 0x10_1037n), READ);
    assert.equal(short(first), '1234/101234/1000/rwxu');
    assert.equal(first.reads.length, 19);
    const hostBig = eptTables().set(0x22_0000n, BIG | eptEntry);
    hostBig.set(0x1008n, 0x2007n).set(0x2008n, 0x3007n).set(0x3008n, 0x40_0087n);
    const second = overEpt(hostBig, READ);
    assert.equal(short(second), '401234/401234/200000/rwxu');
    assert.equal(
      second.reads.length,
      3 * 3 + 2,
      'two entries and three translations of 2 reads, three of the guest',
    );
  });

  it('T5: says whether a table or the page was on the way', () => {
    const faulty = (at: bigint, entry: bigint, access: OracleAccess): string =>
      short(overEpt(eptTables().set(at, entry), access));
    assert.equal(faulty(0x24_0008n, 0n, READ), 'host table 4 81@1 violation');
    assert.equal(faulty(0x24_0010n, 0n, WRITE), 'host table 3 81@1 violation');
    assert.equal(faulty(0x24_0020n, 0n, FETCH), 'host table 1 81@1 violation');
    assert.equal(faulty(0x24_0048n, 0n, FETCH), 'host final 0 184@1 violation');
    assert.equal(faulty(0x24_0048n, 0x10_9031n, WRITE), 'host final 0 18a@1 violation');
    assert.equal(faulty(0x24_0048n, 2n, WRITE), 'host final 0 0@1 misconfiguration');
    assert.equal(faulty(0x10_2008n, 0n, WRITE), 'guest 2@3');
    assert.equal(faulty(0x10_4008n, 0x9005n, WRITE), 'guest 3@1');
    const final = overEpt(eptTables().set(0x24_0048n, 0n), READ);
    assert(final.kind === 'fault' && final.stage === 'host');
    assert.deepEqual([final.gpa, final.entryAddress, final.reads.length], [0x9234n, 0x24_0048n, 24]);
    const table = overEpt(eptTables().set(0x24_0020n, 0n), READ);
    assert(table.kind === 'fault' && table.stage === 'host');
    assert.deepEqual([table.gpa, table.reads.length], [0x4008n, 19]);
    assert.equal(
      short(overNpt(nptTables().set(0x24_0048n, 0n), WRITE)),
      'host final 0 100000006@1 page-fault',
    );
    assert.equal(
      short(overNpt(nptTables().set(0x24_0020n, 0n), READ)),
      'host table 1 200000006@1 page-fault',
    );
    assert.equal(
      short(overNpt(nptTables().set(0x24_0020n, 0x10_4005n), READ)),
      'host table 1 200000007@1 page-fault',
      'a guest’s table must be writable',
    );
  });

  it('T3: the guest’s own rules', () => {
    const guest = (
      at: bigint,
      entry: bigint,
      access: OracleAccess,
      controls: Partial<X86Guest> = {},
    ): string => short(overEpt(eptTables().set(at, entry), access, controls));
    assert.equal(guest(0x10_4008n, 0x9003n, { kind: 'read', user: true }), 'guest 5@1');
    assert.equal(guest(0x10_4008n, 0x9005n, WRITE, { wp: false }), '9234/109234/1000/r-xu');
    assert.equal(guest(0x10_4008n, 0x9005n, { kind: 'write', user: true }, { wp: false }), 'guest 7@1');
    assert.equal(guest(0x10_4008n, 0x9007n, READ, { smap: true }), 'guest 1@1');
    assert.equal(guest(0x10_4008n, 0x9007n, FETCH, { smep: true }), 'guest 11@1');
    assert.equal(guest(0x10_4008n, 0x9003n, FETCH, { smep: true }), '9234/109234/1000/rwxs');
    assert.equal(guest(0x10_4008n, NX | 0x9007n, FETCH), 'guest 11@1');
    assert.equal(guest(0x10_4008n, NX | 0x9007n, FETCH, { nxe: false }), 'guest 9@1');
    assert.equal(guest(0x10_1008n, 0x2087n, READ), 'guest 9@4');
    assert.equal(guest(0x10_1008n, 0x2107n, READ), '9234/109234/1000/rwxu');
    assert.equal(guest(0x10_1008n, 0x2107n, READ, { bit8Reserved: true }), 'guest 9@4');
    assert.equal(guest(0x10_4008n, 0x9007n | (1n << 40n), READ, { maxPhyAddr: 40 }), 'guest 9@1');
    assert.equal(
      short(
        x86NestedTranslate(
          { ...X86_GUEST, cr3: 0n },
          { npt: { ...NPT, root: 0n } },
          eptTables().memory,
          1n << 47n,
          READ,
        ),
      ),
      'not-canonical',
    );
  });

  it('T3: the guest’s reserved bits in large pages', () => {
    const guest = (entry: bigint, at: bigint, controls: Partial<X86Guest> = {}): string => {
      const map = eptTables().set(0x22_0000n, BIG | eptEntry);
      map
        .set(0x1008n, 0x2007n)
        .set(0x2008n, 0x3007n)
        .set(0x3008n, 0x4007n)
        .set(0x4008n, 0x9007n)
        .set(at, entry);
      return short(overEpt(map, READ, controls));
    };
    // 1 GiB: bits 29:13 are reserved, 12 is PAT; 30 is the address's.
    assert.equal(guest(0x1087n, 0x2008n), '201234/201234/40000000/rwxu');
    for (const bit of [13n, 14n, 20n, 29n]) assert.equal(guest(0x87n | (1n << bit), 0x2008n), 'guest 9@3');
    assert.equal(guest(0x4000_0087n, 0x2008n), 'host final 0 181@3 violation');
    assert.equal(guest(0x87n, 0x2008n, { pages1G: false }), 'guest 9@3');
    // 2 MiB: bits 20:13.
    assert.equal(guest(0x1087n, 0x3008n), '1234/1234/200000/rwxu');
    for (const bit of [13n, 14n, 20n]) assert.equal(guest(0x87n | (1n << bit), 0x3008n), 'guest 9@2');
    assert.equal(guest(0x20_0087n, 0x3008n, { pages1G: false }), '201234/201234/200000/rwxu');
    // Physical-address width, from its first bit to bit 51; those above are software's.
    for (const bit of [36n, 51n])
      assert.equal(guest(0x9007n | (1n << bit), 0x4008n, { maxPhyAddr: 36 }), 'guest 9@1');
    assert.equal(guest(0x9007n | (1n << 52n), 0x4008n, { maxPhyAddr: 36 }), '9234/9234/1000/rwxu');
  });

  it('T2: canonical addresses of both widths', () => {
    const kind = (levels: 4 | 5, gva: bigint): string =>
      x86NestedTranslate(
        { ...X86_GUEST, levels, cr3: 0n },
        { npt: { ...NPT, root: 0n } },
        eptTables().memory,
        gva,
        READ,
      ).kind;
    assert.equal(kind(4, 0x7fff_ffff_ffffn), 'fault');
    assert.equal(kind(4, 0xffff_8000_0000_0000n), 'fault');
    assert.equal(kind(4, 0xffff_7fff_ffff_ffffn), 'not-canonical');
    assert.equal(kind(5, 0xff_ffff_ffff_ffffn), 'fault');
    assert.equal(kind(5, 0xff00_0000_0000_0000n), 'fault');
    assert.equal(kind(5, 1n << 56n), 'not-canonical');
    assert.equal(kind(5, 0xfeff_ffff_ffff_ffffn), 'not-canonical');
  });

  it('T4 T5: setting a guest’s flag needs a writable page under EPT', () => {
    // The guest's last table is read-only for it; its accessed flags are all set, dirty is not.
    const map = eptTables().set(0x24_0020n, 0x10_4031n);
    map.set(0x10_1008n, 0x2027n).set(0x10_2008n, 0x3027n).set(0x10_3008n, 0x4027n).set(0x10_4008n, 0x9027n);
    const update = { update: true };
    assert.equal(short(overEpt(map, READ, update)), '9234/109234/1000/rwxu');
    assert.equal(short(overEpt(map, WRITE, update)), 'host table 1 8b@1 violation');
    assert.equal(short(overEpt(map, WRITE)), '9234/109234/1000/rwxu', 'when only looking');
    assert.equal(short(overEpt(map, READ, update, { accessedDirty: true })), 'host table 1 8b@1 violation');
    map.set(0x10_4008n, 0x9067n);
    assert.equal(short(overEpt(map, WRITE, update)), '9234/109234/1000/rwxu');
    map.set(0x10_4008n, 0x9007n);
    assert.equal(short(overEpt(map, FETCH, update)), 'host table 1 8b@1 violation');
  });

  it('T4: flags of both stages, each written once', () => {
    const { writes } = overEpt(eptTables(), WRITE, { update: true }, { accessedDirty: true });
    const host = (page: bigint): [bigint, bigint][] => [
      [0x24_0000n + page * 8n, 0x10_0137n + page * 0x1000n],
      [0x24_0000n + page * 8n, 0x10_0337n + page * 0x1000n],
    ];
    assert.deepEqual(writes, [
      [0x21_0000n, 0x22_0107n],
      [0x22_0000n, 0x23_0107n],
      [0x23_0000n, 0x24_0107n],
      ...host(1n),
      [0x10_1008n, 0x2027n],
      ...host(2n),
      [0x10_2008n, 0x3027n],
      ...host(3n),
      [0x10_3008n, 0x4027n],
      ...host(4n),
      [0x10_4008n, 0x9067n],
      ...host(9n),
    ]);
  });

  it('T3 T5: mode-based execute control goes by the guest’s U/S, whoever fetches', () => {
    const XU = 1n << 10n;
    const mbec = { mbec: true };
    const map = build(7n | XU, 0x35n);
    map.set(0x24_0048n, 0x10_9000n | 0x31n | XU);
    assert.equal(short(overEpt(map, USER_FETCH, {}, mbec)), '9234/109234/1000/rwxu');
    assert.equal(short(overEpt(map, FETCH, {}, mbec)), '9234/109234/1000/rwxu', 'the page is the user’s');
    map.set(0x10_4008n, 0x9003n);
    assert.equal(short(overEpt(map, FETCH, {}, mbec)), 'host final 0 1cc@1 violation');
  });

  it('T2: tables that cannot be read, of either stage', () => {
    assert.equal(short(overEpt(eptTables().set(0x24_0010n, 0x100_0037n), READ)), 'guest unreadable@3');
    assert.equal(short(overEpt(eptTables().set(0x23_0000n, 0x100_0007n), READ)), 'host table 4 unreadable@1');
  });
});
