import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CompiledFormat } from '../../src/paging/compiled-format.ts';
import type { RightField } from '../../src/paging/format.ts';
import {
  ACCESS,
  aarch64Stage1Format,
  aarch64Stage2Format,
  EPT_4LEVEL,
  eptFormat,
  formatRights,
  type PagingFormat,
  RISCV_SV39,
  X86_4LEVEL,
  X86_32,
} from '../../src/paging/index.ts';
import { EXECUTE, READ, rightsOf, SUPERVISOR_EXECUTE, USER, WRITE } from '../../src/paging/rights.ts';

const STAGE1 = aarch64Stage1Format({ granule: 4096, inputBits: 48 });
const STAGE2 = aarch64Stage2Format({ granule: 4096, inputBits: 40 });
const lower = (value: bigint): number => Number(BigInt.asIntN(32, value));
const upper = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));

/** Rights of a leaf under tables that are all the same, as text: `x` is user mode's, `+x` the supervisor's. */
function rightsUnder(format: PagingFormat, table: bigint, leaf: bigint, controls?: object): string {
  const compiled = new CompiledFormat(format, controls);
  const code = compiled.rights(lower(table), upper(table), lower(leaf), upper(leaf));
  const rights = rightsOf(compiled.complete(code));
  const letters = formatRights({ ...rights, supervisorExecute: rights.execute });
  return `${letters}${rights.supervisorExecute ? '+x' : ''}`;
}

/** x86-64 with rights of one's own. */
const withRights = (...rights: readonly RightField[]): PagingFormat => ({ ...X86_4LEVEL, rights });

describe('rights of all levels together', () => {
  const ONES = 2n ** 64n - 1n;

  it('T2: EPT: what every level allows', () => {
    assert.equal(rightsUnder(EPT_4LEVEL, 7n, 7n), 'rwxu+x');
    for (const [bit, without] of [
      [0n, '-wxu+x'],
      [1n, 'r-xu+x'],
      [2n, 'rw-u'],
    ] as const) {
      assert.equal(rightsUnder(EPT_4LEVEL, 7n & ~(1n << bit), 7n), without);
      assert.equal(rightsUnder(EPT_4LEVEL, 7n, 7n & ~(1n << bit)), without);
    }
    assert.equal(rightsUnder(EPT_4LEVEL, ONES, 0n), '---u');
    // Bit 10 is for user mode.
    const modeBased = eptFormat({ levels: 4, modeBasedExecute: true });
    assert.equal(rightsUnder(modeBased, 0x407n, 0x403n), 'rwxu');
    assert.equal(rightsUnder(modeBased, 0x407n, 0x007n), 'rw-u+x');
    assert.equal(rightsUnder(modeBased, 0x007n, 0x407n), 'rw-u+x');
  });

  it('T2: AArch64 stage 1: tables take away, with bits that are set', () => {
    const USER_PAGE = 1n << 6n;
    // What EL0 can write EL1 never executes.
    assert.equal(rightsUnder(STAGE1, 0n, USER_PAGE), 'rwxu');
    for (const [table, leaf, left] of [
      [1n << 62n, 0n, 'r-xu+x'],
      [1n << 61n, 0n, 'rwxs+x'],
      [1n << 60n, 0n, 'rw-u'],
      [1n << 59n, 0n, 'rwxu'],
      [0n, 1n << 7n, 'r-xu+x'],
      [0n, 1n << 6n, 'rwxs+x'],
      [0n, 1n << 54n, 'rw-u'],
      [0n, 1n << 53n, 'rwxu'],
      // Software's bits below, and the ignored ones above.
      [0x07ff_ffff_ffff_ffffn, 0n, 'rwxu'],
    ] as const) {
      assert.equal(rightsUnder(STAGE1, table, USER_PAGE ^ leaf), left);
    }
    const flat = aarch64Stage1Format({ granule: 4096, inputBits: 48, hierarchyDisabled: true });
    assert.equal(rightsUnder(flat, ONES, USER_PAGE), 'rwxu');
    // DBM makes it writable where the hardware keeps the dirty state.
    const clean = USER_PAGE | (1n << 7n) | (1n << 51n);
    assert.equal(rightsUnder(STAGE1, 0n, clean), 'r-xu+x');
    assert.equal(rightsUnder(STAGE1, 0n, clean, { hd: true }), 'rwxu');
    assert.equal(rightsUnder(STAGE1, 1n << 62n, clean, { hd: true }), 'r-xu+x');
  });

  it('T2: AArch64 stage 2: tables have no say; XN[1:0] is 00 both, 01 EL0, 10 neither, 11 EL1', () => {
    const XN = 53n;
    const executable = [0n, 1n, 2n, 3n].map((xn) => rightsUnder(STAGE2, ONES, 0xc0n | (xn << XN)));
    assert.deepEqual(executable, ['rwxu+x', 'rwxu', 'rw-u', 'rw-u+x']);
    assert.equal(rightsUnder(STAGE2, 0n, 0x40n), 'r-xu+x');
    assert.equal(rightsUnder(STAGE2, 0n, 0x80n), '-wxu+x');
  });

  it('T2: x86: the same by two shifts as bit by bit', () => {
    // A format with a right more is not plain any more.
    const longer = withRights(...X86_4LEVEL.rights, { right: 'read', bit: 0 });
    const bitsOfRights = [1n, 2n, 63n].map((bit) => 1n << bit);
    const entries = Array.from({ length: 8 }, (_, choice) =>
      bitsOfRights.reduce((entry, bit, i) => entry | ((choice >> i) % 2 === 0 ? 0n : bit), 1n),
    );
    for (const table of entries) {
      for (const leaf of entries) {
        const found = rightsUnder(X86_4LEVEL, table, leaf);
        assert.equal(found, rightsUnder(longer, table, leaf));
        const granted = (bit: bigint): boolean => (table & leaf & (1n << bit)) !== 0n;
        const executable = ((table | leaf) & (1n << 63n)) === 0n;
        const letters = `r${granted(1n) ? 'w' : '-'}${executable ? 'x' : '-'}${granted(2n) ? 'u' : 's'}`;
        assert.equal(found, `${letters}${executable ? '+x' : ''}`);
      }
    }
  });

  it('T2: at the edges of the halves of an entry, in leaves and in tables', () => {
    const edges = withRights(
      { right: 'read', bit: 0, tableBit: 0 },
      { right: 'write', bit: 31, tableBit: 31 },
      { right: 'user', bit: 32, tableBit: 32 },
      { right: 'execute', bit: 63, tableBit: 63 },
    );
    // A table grants with a 1 in its lower half, and denies with one in its upper half.
    const [table, leaf] = [0x8000_0001n, 0x8000_0001_8000_0001n];
    assert.equal(rightsUnder(edges, table, leaf), 'rwxu+x');
    for (const [bit, without] of [
      [0n, '-wxu+x'],
      [31n, 'r-xu+x'],
      [32n, 'rwxs+x'],
      [63n, 'rw-u'],
    ] as const) {
      assert.equal(rightsUnder(edges, table, leaf ^ (1n << bit)), without);
      assert.equal(rightsUnder(edges, table ^ (1n << bit), leaf), without);
    }
    // One bit that is exclusive-or another, and one that grants by itself.
    const pairs = withRights(
      { right: 'read', bit: 32, xor: 0 },
      { right: 'write', bit: 1, or: { bit: 0, when: 'pse' } },
    );
    assert.deepEqual(
      [0n, 1n, 1n << 32n, (1n << 32n) | 1n, 2n].map((entry) => rightsUnder(pairs, 0n, entry).slice(0, 2)),
      ['--', 'rw', 'r-', '-w', '-w'],
    );
    assert.equal(rightsUnder(pairs, 0n, 1n, { pse: false }).slice(0, 2), 'r-');
  });

  it('T2: what a format has no bits for, everybody may', () => {
    assert.equal(rightsUnder(withRights(), 0n, 0n), 'rwxu+x');
    assert.equal(rightsUnder(X86_32, 0n, 0n), 'r-xs+x');
    const compiled = (format: PagingFormat) => new CompiledFormat(format, undefined);
    const ALL = READ | WRITE | USER | EXECUTE | SUPERVISOR_EXECUTE;
    assert.equal(compiled(X86_32).expressible(ALL), WRITE | USER);
    assert.equal(compiled(X86_4LEVEL).expressible(ALL), WRITE | USER | EXECUTE);
    assert.equal(compiled(X86_4LEVEL).expressible(READ | USER), USER);
    assert.equal(compiled(STAGE1).expressible(ALL), WRITE | USER | EXECUTE | SUPERVISOR_EXECUTE);
    assert.equal(compiled(RISCV_SV39).expressible(ALL), READ | WRITE | USER | EXECUTE);
    const denies = [X86_32, X86_4LEVEL, EPT_4LEVEL].map((format) => compiled(format).deniesExecution);
    assert.deepEqual(denies, [false, true, true]);
  });

  it('T6: what tables alone leave to their leaves', () => {
    const left = (format: PagingFormat, table: bigint): number =>
      new CompiledFormat(format, undefined).inherited(lower(table), upper(table));
    assert.equal(left(X86_4LEVEL, 7n), WRITE | USER | EXECUTE);
    assert.equal(left(X86_4LEVEL, 5n), USER | EXECUTE);
    assert.equal(left(X86_4LEVEL, 3n), WRITE | EXECUTE);
    assert.equal(left(X86_4LEVEL, (1n << 63n) | 7n), WRITE | USER);
    assert.equal(left(STAGE1, 1n << 62n), USER | EXECUTE | SUPERVISOR_EXECUTE);
    assert.equal(left(STAGE1, 1n << 59n), WRITE | USER | EXECUTE);
    // Here they have no say.
    assert.equal(left(RISCV_SV39, 0n), READ | WRITE | USER | EXECUTE);
  });

  it('T2: rights by access, and accesses by rights', () => {
    const { permitted, accessesOf } = new CompiledFormat(X86_4LEVEL, undefined);
    const rows = (...codes: readonly number[]): number => codes.reduce((row, code) => row | (1 << code), 0);
    const codes = Array.from({ length: 32 }, (_, code) => code);
    const having = (wanted: number): number => rows(...codes.filter((code) => (code & wanted) === wanted));
    // SMEP and SMAP are off, WP is on.
    assert.equal(permitted[ACCESS.read], -1);
    assert.equal(permitted[ACCESS.write], having(WRITE));
    assert.equal(permitted[ACCESS.execute], having(EXECUTE));
    assert.equal(permitted[ACCESS.userRead], having(USER));
    assert.equal(permitted[ACCESS.userWrite], having(USER | WRITE));
    assert.equal(permitted[ACCESS.userExecute], having(USER | EXECUTE));
    // 3 and 7 read the shadow stack, which there is none of.
    assert.deepEqual([permitted.length, permitted[3], permitted[7]], [16, 0, 0]);
    assert.equal(accessesOf.length, 32);
    for (const code of codes) {
      const accesses = Array.from(permitted, (row, access) => ((row >>> code) & 1) << access);
      assert.equal(
        accessesOf[code],
        accesses.reduce((a, b) => a | b),
      );
    }
  });
});
