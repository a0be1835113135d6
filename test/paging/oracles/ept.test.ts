import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  EPT,
  type EptAccess,
  type EptConfig,
  type EptResult,
  eptPointer,
  eptTranslate,
} from '../../support/oracles/ept.ts';
import { OracleMap } from '../../support/oracles/oracle.ts';

// Everything here was worked out by hand from the SDM's tables 29-1 to 29-7 and 28-7, and is written as numbers.

const R = 1n;
const W = 2n;
const X = 4n;
const RWX = 7n;
const WB = 6n << 3n;
const BIG = 0x80n;
const XU = 1n << 10n;

const READ: EptAccess = { kind: 'read', user: false, linear: 'final' };
const WRITE: EptAccess = { kind: 'write', user: false, linear: 'final' };
const FETCH: EptAccess = { kind: 'execute', user: false, linear: 'final' };
const USER_FETCH: EptAccess = { kind: 'execute', user: true, linear: 'final' };
const WALK: EptAccess = { kind: 'read', user: false, linear: 'table' };
const UPDATE: EptAccess = { kind: 'write', user: false, linear: 'table' };
const PDPTES: EptAccess = { kind: 'read', user: false, linear: 'none' };

// 0x80_4020_1234 = 512 GiB + 1 GiB + 2 MiB + 4 KiB + 0x234: index 1 at each of four levels.
const GPA = 0x80_4020_1234n;

interface Chain {
  pml5e?: bigint;
  pml4e?: bigint;
  pdpte?: bigint;
  pde?: bigint;
  pte?: bigint;
}

function tables({ pml5e, pml4e, pdpte, pde, pte }: Chain = {}): OracleMap {
  return new OracleMap(0x100_0000n)
    .set(0x5000n, pml5e ?? 0x1000n | RWX)
    .set(0x1008n, pml4e ?? 0x2000n | RWX)
    .set(0x2008n, pdpte ?? 0x3000n | RWX)
    .set(0x3008n, pde ?? 0x4000n | RWX)
    .set(0x4008n, pte ?? 0x1234_5000n | WB | RWX);
}

function ept(chain: Chain, access: EptAccess, config: Partial<EptConfig> = {}): EptResult {
  return eptTranslate({ ...EPT, root: 0x1000n, ...config }, tables(chain).memory, GPA, access);
}

/** 'pa/page size/rights', 'misconfiguration@level', 'violation qualification@level', or 'unreadable@level'. */
function short(result: EptResult): string {
  if (result.kind === 'mapped')
    return `${result.pa.toString(16)}/${result.pageSize.toString(16)}/${result.rights}`;
  if (result.kind === 'unreadable') return `unreadable@${result.level}`;
  if (result.reason === 'misconfiguration') return `misconfiguration@${result.level}`;
  return `violation ${result.code.toString(16)}@${result.level}`;
}

describe('the EPT oracle', () => {
  it('T1: walks four and five levels', () => {
    assert.deepEqual(ept({}, READ), {
      kind: 'mapped',
      pa: 0x1234_5234n,
      pageSize: 0x1000n,
      level: 1,
      rights: 'rwxu',
      memoryType: 6,
      ignorePat: false,
      reads: [0x1008n, 0x2008n, 0x3008n, 0x4008n],
      writes: [],
    });
    const five = ept({}, READ, { levels: 5, root: 0x5000n });
    assert.equal(short(five), '12345234/1000/rwxu');
    assert.deepEqual(five.reads, [0x5000n, 0x1008n, 0x2008n, 0x3008n, 0x4008n]);
  });

  it('T1: maps 2 MiB and 1 GiB by bit 7', () => {
    assert.equal(short(ept({ pde: 0x4000_0000n | BIG | WB | RWX }, READ)), '40001234/200000/rwxu');
    assert.equal(short(ept({ pdpte: 0x8_0000_0000n | BIG | WB | RWX }, READ)), '800201234/40000000/rwxu');
    assert.equal(
      short(ept({ pde: 0x4000_0000n | BIG | WB | RWX }, READ, { pages2M: false })),
      'misconfiguration@2',
    );
    assert.equal(
      short(ept({ pdpte: 0x8_0000_0000n | BIG | WB | RWX }, READ, { pages1G: false })),
      'misconfiguration@3',
    );
    assert.equal(short(ept({ pte: 0x1234_5000n | BIG | WB | RWX }, READ)), '12345234/1000/rwxu', 'ignored');
  });

  it('T1: takes every low bit of the address for the offset', () => {
    const map = tables({ pdpte: 0x8_0000_0000n | BIG | WB | RWX }).memory;
    const at = (gpa: bigint): string => short(eptTranslate({ ...EPT, root: 0x1000n }, map, gpa, READ));
    assert.equal(at(0x80_7fff_ffffn), '83fffffff/40000000/rwxu');
    assert.equal(at(0x80_4000_0000n), '800000000/40000000/rwxu');
  });

  it('T2: an entry that is not present is a violation with the low bits of the access alone', () => {
    assert.equal(short(ept({ pml4e: 0n }, READ)), 'violation 181@4');
    assert.equal(short(ept({ pdpte: 0n }, WRITE)), 'violation 182@3');
    assert.equal(short(ept({ pde: 0n }, FETCH)), 'violation 184@2');
    assert.equal(
      short(ept({ pte: ~7n & 0xffff_ffff_ffff_ffffn }, READ)),
      'violation 181@1',
      'the rest is ignored',
    );
    assert.equal(short(ept({ pte: 0n }, WALK)), 'violation 81@1');
    assert.equal(short(ept({ pte: 0n }, PDPTES)), 'violation 1@1');
    const fault = ept({ pde: 0n }, READ);
    assert(fault.kind === 'fault');
    assert.deepEqual([fault.entryAddress, fault.gpa, fault.reads.length], [0x3008n, GPA, 3]);
  });

  it('T2: a missing right is a violation with the rights of all levels, and judged after the last', () => {
    assert.equal(short(ept({ pml4e: 0x2000n | R }, WRITE)), 'violation 18a@1');
    assert.equal(short(ept({ pdpte: 0x3000n | R | X }, WRITE)), 'violation 1aa@1');
    assert.equal(short(ept({ pde: 0x4000n | R | W }, FETCH)), 'violation 19c@1');
    assert.equal(short(ept({ pte: 0x1234_5000n | WB | X }, READ)), 'violation 1a1@1');
    assert.equal(short(ept({ pml4e: 0x2000n | R, pte: 0n }, WRITE)), 'violation 182@1', 'absence goes first');
    assert.equal(short(ept({ pml4e: 0x2000n | R, pte: 2n }, WRITE)), 'misconfiguration@1', 'so does this');
    assert.equal(short(ept({ pml4e: 0x2000n | R }, READ)), '12345234/1000/r---');
    // X only here, R and W only there: nothing is left, but there is no misconfiguration.
    assert.equal(short(ept({ pml4e: 0x2000n | X, pte: 0x5000n | WB | R | W }, READ)), 'violation 181@1');
  });

  it('T3: misconfigurations by rights', () => {
    assert.equal(short(ept({ pde: 0x4000n | W }, READ)), 'misconfiguration@2');
    assert.equal(short(ept({ pde: 0x4000n | W | X }, WRITE)), 'misconfiguration@2');
    assert.equal(short(ept({ pde: 0x4000n | X }, FETCH)), '12345234/1000/--xu');
    assert.equal(short(ept({ pde: 0x4000n | X }, FETCH, { executeOnly: false })), 'misconfiguration@2');
    assert.equal(short(ept({ pde: 0x4000n | R | X }, FETCH, { executeOnly: false })), '12345234/1000/r-xu');
    const misconfiguration = ept({ pde: 0x4000n | W }, READ);
    assert(misconfiguration.kind === 'fault');
    assert.deepEqual([misconfiguration.code, misconfiguration.entryAddress], [0, 0x3008n]);
  });

  it('T3: misconfigurations by reserved bits', () => {
    const flip = (name: keyof Chain, entry: bigint, bits: number[], level: number): void => {
      for (const position of bits) {
        const result = ept({ [name]: entry | (1n << BigInt(position)) }, READ, { levels: 5, root: 0x5000n });
        assert.equal(short(result), `misconfiguration@${level}`, `${name} bit ${position}`);
      }
    };
    flip('pml5e', 0x1000n | RWX, [3, 4, 5, 6, 7], 5);
    flip('pml4e', 0x2000n | RWX, [3, 4, 5, 6, 7], 4);
    flip('pdpte', 0x3000n | RWX, [3, 4, 5, 6], 3);
    flip('pde', 0x4000n | RWX, [3, 4, 5, 6], 2);
    flip('pdpte', BIG | WB | RWX, [12, 13, 20, 21, 28, 29], 3);
    flip('pde', BIG | WB | RWX, [12, 13, 19, 20], 2);
    // The bits beside the reserved ones are fine.
    assert.equal(short(ept({ pml4e: 0x2f00n | RWX }, READ)), '12345234/1000/rwxu');
    assert.equal(short(ept({ pdpte: 0x4000_0f00n | BIG | WB | RWX }, READ)), '40201234/40000000/rwxu');
    assert.equal(short(ept({ pde: 0x20_0f00n | BIG | WB | RWX }, READ)), '201234/200000/rwxu');
    const ignored = [8, 9, 10, 11, 52, 57, 58, 60, 61, 62, 63].reduce(
      (sum, at) => sum | (1n << BigInt(at)),
      0n,
    );
    assert.equal(short(ept({ pte: 0x5000n | WB | RWX | ignored }, READ)), '5234/1000/rwxu');
    assert.equal(short(ept({ pde: 0x4000n | RWX | ignored }, READ)), '12345234/1000/rwxu');
  });

  it('T3: misconfigurations by the physical-address width', () => {
    const wide = (1n << 40n) | WB | RWX;
    assert.equal(short(ept({ pte: wide }, READ, { maxPhyAddr: 41 })), '10000000234/1000/rwxu');
    assert.equal(short(ept({ pte: wide }, READ, { maxPhyAddr: 40 })), 'misconfiguration@1');
    assert.equal(short(ept({ pml4e: (1n << 51n) | RWX }, READ, { maxPhyAddr: 51 })), 'misconfiguration@4');
    assert.equal(short(ept({ pml4e: (1n << 51n) | RWX }, READ)), 'unreadable@3');
  });

  it('T3: misconfigurations by memory type, of the last entry only', () => {
    const outcome = [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n].map((type) => {
      const result = ept({ pte: 0x1234_5000n | (type << 3n) | RWX | 0x40n }, READ);
      return result.kind === 'mapped' ? `${result.memoryType}${result.ignorePat ? 'i' : ''}` : short(result);
    });
    assert.deepEqual(outcome, [
      '0i',
      '1i',
      'misconfiguration@1',
      'misconfiguration@1',
      '4i',
      '5i',
      '6i',
      'misconfiguration@1',
    ]);
    assert.equal(short(ept({ pde: BIG | (7n << 3n) | RWX }, READ)), 'misconfiguration@2');
    assert.equal(short(ept({ pdpte: BIG | (2n << 3n) | RWX }, READ)), 'misconfiguration@3');
  });

  it('T3: mode-based execute control tells user-mode from supervisor-mode addresses', () => {
    const mbec = { mbec: true };
    const every: Chain = { pml4e: 0x2000n | RWX | XU, pdpte: 0x3000n | RWX | XU, pde: 0x4000n | RWX | XU };
    const supervisorOnly = { ...every, pte: 0x5000n | WB | R | X };
    assert.equal(short(ept(supervisorOnly, FETCH, mbec)), '5234/1000/r-x-');
    assert.equal(short(ept(supervisorOnly, USER_FETCH, mbec)), 'violation 1ac@1');
    const userOnly = { ...every, pte: 0x5000n | WB | R | XU };
    assert.equal(short(ept(userOnly, USER_FETCH, mbec)), '5234/1000/r--u');
    assert.equal(short(ept(userOnly, FETCH, mbec)), 'violation 1cc@1');
    assert.equal(short(ept(userOnly, FETCH)), 'violation 18c@1', 'bit 10 is nothing without the control');
    // Present by bit 10 alone, which is execute-only for user-mode addresses.
    assert.equal(short(ept({ ...every, pte: 0x5000n | WB | XU }, USER_FETCH, mbec)), '5234/1000/---u');
    assert.equal(short(ept({ ...every, pte: 0x5000n | WB | XU }, USER_FETCH)), 'violation 184@1');
    assert.equal(
      short(ept({ ...every, pte: 0x5000n | WB | XU }, USER_FETCH, { mbec: true, executeOnly: false })),
      'misconfiguration@1',
    );
    const noExecuteOnly = { mbec: true, executeOnly: false };
    assert.equal(
      short(ept({ ...every, pte: 0x5000n | WB | R | XU }, USER_FETCH, noExecuteOnly)),
      '5234/1000/r--u',
    );
    assert.equal(short(ept({ ...every, pte: 0n }, USER_FETCH, mbec)), 'violation 184@1');
  });

  it('T4: with accessed and dirty flags, accesses to guest tables are writes', () => {
    const ad = { accessedDirty: true };
    const readOnly = { pte: 0x1234_5000n | WB | R };
    assert.equal(short(ept(readOnly, WALK)), '12345234/1000/r---');
    assert.equal(short(ept(readOnly, UPDATE)), 'violation 8b@1');
    assert.equal(short(ept(readOnly, WALK, ad)), 'violation 8b@1');
    assert.equal(short(ept({ pte: 0n }, WALK, ad)), 'violation 83@1');
    assert.equal(short(ept(readOnly, READ, ad)), '12345234/1000/r---');
  });

  it('T4: sets accessed everywhere and dirty in the last entry', () => {
    const chain: Chain = { pdpte: 0x3000n | RWX | 0x100n };
    const writes = (access: EptAccess, accessedDirty = true) => ept(chain, access, { accessedDirty }).writes;
    const upper = [
      [0x1008n, 0x2107n],
      [0x3008n, 0x4107n],
    ];
    assert.deepEqual(writes(READ), [...upper, [0x4008n, 0x1234_5137n]]);
    assert.deepEqual(writes(FETCH), [...upper, [0x4008n, 0x1234_5137n]]);
    const dirty = [...upper, [0x4008n, 0x1234_5137n], [0x4008n, 0x1234_5337n]];
    assert.deepEqual(writes(WRITE), dirty);
    assert.deepEqual(writes(WALK), dirty);
    assert.deepEqual(writes(WRITE, false), []);
    assert.deepEqual(ept({ pte: 0n }, READ, { accessedDirty: true }).writes, [], 'not of a walk that failed');
  });

  it('T2: advanced information tells of the guest’s own tables', () => {
    const info = { advancedInfo: true };
    const guest = { writable: true, noExecute: true };
    assert.equal(short(ept({ pte: 0n }, { ...READ, user: true, guest }, info)), 'violation f81@1');
    assert.equal(short(ept({ pte: 0n }, { ...READ, guest }, info)), 'violation d81@1');
    assert.equal(short(ept({ pte: 0n }, { ...READ, user: true, guest })), 'violation 181@1');
    assert.equal(short(ept({ pte: 0n }, { ...WALK, user: true, guest }, info)), 'violation 81@1');
  });

  it('T3: wider addresses than the walk takes are violations without an entry', () => {
    const wide = (gpa: bigint, levels: 4 | 5) =>
      eptTranslate({ ...EPT, levels, root: 0x1000n }, tables().memory, gpa, READ);
    const fault = wide(1n << 48n, 4);
    assert(fault.kind === 'fault' && fault.entryAddress === undefined);
    assert.equal(short(fault), 'violation 181@4');
    assert.equal(short(wide(1n << 48n, 5)), 'violation 181@4', 'nothing in the second table');
    assert.deepEqual(wide(1n << 48n, 5).reads, [0x1008n, 0x2000n]);
    assert.deepEqual(wide(1n << 57n, 5).reads, []);
  });

  it('T1: reads the EPTP', () => {
    const fourLevels = { levels: 4, root: 0x1234_5000n, accessedDirty: false, memoryType: 6 };
    assert.deepEqual(eptPointer(0x1234_501en, 40), fourLevels);
    assert.deepEqual(eptPointer(0x1234_5060n, 40), {
      ...fourLevels,
      levels: 5,
      accessedDirty: true,
      memoryType: 0,
    });
    for (const eptp of [
      0x1234_501dn,
      0x1234_5016n,
      0x1234_502en,
      0x1234_509en,
      0x1234_581en,
      (1n << 40n) + 0x1en,
    ])
      assert.equal(eptPointer(eptp, 40), undefined, eptp.toString(16));
  });
});
