import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  aarch64Stage1Format,
  aarch64Stage2Format,
  BufferTables,
  createRoot,
  EPT_4LEVEL,
  eptFormat,
  formatRights,
  type MapRequest,
  map,
  type PagingFormat,
  type ProtectRequest,
  protect,
  RISCV_SV39,
  type Rights,
  Translator,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const STAGE1 = aarch64Stage1Format({ granule: 4096, inputBits: 39 });
const STAGE2 = aarch64Stage2Format({ granule: 4096, inputBits: 40 });
const NO_XNX = aarch64Stage2Format({ granule: 4096, inputBits: 40, xnx: false });
const MBEC = eptFormat({ levels: 4, modeBasedExecute: true });

interface Page {
  map(request: Partial<MapRequest>): void;
  protect(change: Partial<ProtectRequest>): void;
  /** Whether user mode and the supervisor may execute it. */
  readonly told: readonly [user: boolean, supervisor: boolean];
  readonly entry: bigint;
}

/** A page, looked at by walks: what an access does, and not what rights say of it. */
function pageOf(format: PagingFormat): Page {
  const tables = new BufferTables(new Uint8Array(0x8000), 0x10_0000);
  createRoot(tables, format);
  const page = { format, gva: 0x1000n, length: 0x1000 };
  const translator = new Translator({ tables, format });
  const allowed = (user: boolean): boolean =>
    translator.translate(0x1000n, { kind: 'execute', user }).kind === 'mapped';
  return {
    map: (request) => map(tables, { ...page, gpa: 0x5000, ...request }),
    protect: (change) => protect(tables, { ...page, ...change }),
    get told() {
      return [allowed(true), allowed(false)] as const;
    },
    get entry() {
      return translator.translate(0x1000n).levels.at(-1)?.entry ?? 0n;
    },
  };
}

const PXN = 1n << 53n;
const UXN = 1n << 54n;

describe('who may execute a page', () => {
  it('T7: on AArch64 a page is executed by the mode that it is for, unless it is said otherwise', () => {
    const cases: readonly (readonly [Partial<MapRequest>, bigint])[] = [
      [{}, UXN | PXN],
      [{ user: true }, UXN | PXN],
      // Text of a kernel, and of a user.
      [{ execute: true }, UXN],
      [{ execute: true, user: true }, PXN],
      // Each by itself: `execute` is user mode's.
      [{ execute: true, supervisorExecute: true }, 0n],
      [{ execute: true, supervisorExecute: true, user: true }, 0n],
      [{ execute: true, supervisorExecute: false }, PXN],
      [{ execute: false, supervisorExecute: true, user: true }, UXN],
      [{ supervisorExecute: true }, UXN],
      [{ supervisorExecute: false, user: true }, UXN | PXN],
    ];
    for (const [request, never] of cases) {
      const page = pageOf(STAGE1);
      page.map(request);
      assert.equal(page.entry & (UXN | PXN), never, JSON.stringify(request));
      assert.deepEqual(page.told, [(never & UXN) === 0n, (never & PXN) === 0n], JSON.stringify(request));
    }
  });

  it('T7: what a walk tells of rights can be asked for again', () => {
    for (const format of [STAGE1, STAGE2, MBEC]) {
      for (let code = 0; code < 16; code++) {
        const rights = {
          execute: (code & 1) !== 0,
          supervisorExecute: (code & 2) !== 0,
          user: format === STAGE1 ? (code & 4) !== 0 : true,
          write: (code & 8) !== 0,
        };
        const tables = new BufferTables(new Uint8Array(0x8000), 0x10_0000);
        createRoot(tables, format);
        map(tables, { format, gva: 0n, gpa: 0, length: 0x1000, ...rights });
        const found = new Translator({ tables, format }).translate(0n);
        assert(found.kind === 'mapped');
        // EL1 never executes what EL0 can write, whatever PXN says.
        const lost = format === STAGE1 && rights.user && rights.write;
        const supervisorExecute = rights.supervisorExecute && !lost;
        assert.deepEqual(found.rights, { read: true, ...rights, supervisorExecute }, format.name);
      }
    }
  });

  it('T7: in second stages execution is for both modes, and can be said of each', () => {
    for (const format of [STAGE2, MBEC]) {
      const page = pageOf(format);
      page.map({ execute: true });
      assert.deepEqual(page.told, [true, true], format.name);
      page.protect({ execute: true, supervisorExecute: false });
      assert.deepEqual(page.told, [true, false], format.name);
      page.protect({ execute: false, supervisorExecute: true });
      assert.deepEqual(page.told, [false, true], format.name);
      page.protect({ execute: true });
      assert.deepEqual(page.told, [true, true], format.name);
      page.protect({ supervisorExecute: false });
      assert.deepEqual(page.told, [true, false], format.name);
      page.protect({ execute: false });
      assert.deepEqual(page.told, [false, false], format.name);
    }
    const page = pageOf(MBEC);
    page.map({ execute: true, supervisorExecute: false });
    assert.equal(page.entry & 0x407n, 0x401n);
    page.protect({ execute: false, supervisorExecute: true });
    assert.equal(page.entry & 0x407n, 0x005n);
  });

  it('T7: protect sets execution for the mode that the page is for, and takes it from both', () => {
    const page = pageOf(STAGE1);
    page.map({});
    page.protect({ execute: true });
    assert.deepEqual(page.told, [false, true]);
    page.protect({ user: true });
    assert.deepEqual(page.told, [false, true], 'user alone is about data');
    page.protect({ execute: true });
    assert.deepEqual(page.told, [true, false]);
    page.protect({ user: false, execute: true });
    assert.deepEqual(page.told, [false, true]);
    page.protect({ execute: true, supervisorExecute: true });
    assert.deepEqual(page.told, [true, true]);
    page.protect({ supervisorExecute: false });
    assert.deepEqual(page.told, [true, false]);
    page.protect({ execute: false });
    assert.deepEqual(page.told, [false, false]);
  });

  it('T7: a format with one right for both modes refuses to tell them apart', () => {
    for (const format of [X86_4LEVEL, EPT_4LEVEL, RISCV_SV39, NO_XNX]) {
      const page = pageOf(format);
      const refused = { name: 'PagingError', code: 'invalid', gva: 0x1000n, message: /one right for both/ };
      for (const request of [
        { supervisorExecute: true },
        { execute: true, supervisorExecute: false },
        { execute: false, supervisorExecute: true },
      ]) {
        assert.throws(() => page.map(request), refused, format.name);
      }
      page.map({ execute: true, supervisorExecute: true });
      for (const change of [
        { supervisorExecute: true },
        { supervisorExecute: false },
        { execute: true, supervisorExecute: false },
      ])
        assert.throws(() => page.protect(change), refused, format.name);
      page.protect({ execute: false, supervisorExecute: false });
      assert.deepEqual(page.told, [false, false], format.name);
    }
  });

  it('T3: rights in four characters tell execution by the mode of the page from that by the other', () => {
    const none: Rights = { read: true, write: false, execute: false, user: false, supervisorExecute: false };
    const text = (rights: Partial<Rights>): string => formatRights({ ...none, ...rights });
    assert.deepEqual(
      [text({}), text({ supervisorExecute: true }), text({ execute: true })],
      ['r--s', 'r-xs', 'r-Xs'],
    );
    assert.equal(text({ execute: true, supervisorExecute: true }), 'r-xs');
    const user = { user: true };
    assert.deepEqual(
      [text(user), text({ ...user, execute: true }), text({ ...user, supervisorExecute: true })],
      ['r--u', 'r-xu', 'r-Xu'],
    );
    assert.equal(text({ ...user, execute: true, supervisorExecute: true }), 'r-xu');
  });
});
