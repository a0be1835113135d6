/**
 * RISC-V's page tables as QEMU's processor takes them: Sv39, Sv48 and Sv57 with entries at random, tried by a program on a bare
 * machine (Debian has no RISC-V kernel here), and asked for by `gva2gpa`. The judge of the naive reading of the specification that the
 * other tests trust, and of the library.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { need } from '../support/need.ts';
import type { OracleAccess, OracleMemory } from '../support/oracles/oracle.ts';
import { riscvTranslate } from '../support/oracles/riscv.ts';
import type { RiscvResult } from '../support/oracles/riscv-algorithm.ts';
import { choices } from '../support/paused-guest.ts';
import { ProbeMachine } from '../support/probe-machine.ts';
import { RISCV_PROBES, RISCV_RAM, type RiscvWord, riscvProbe } from '../support/riscv-probe.ts';
import {
  type RandomTables,
  RISCV_SHAPES,
  type RiscvShape,
  randomRiscvTables,
  riscvAddress,
  tidyRiscvTables,
} from '../support/riscv-tables.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32);

const TABLES = RISCV_RAM.start + 0x10_0000;
/** Pages of zeros: an instruction of zeros is illegal, so that a fetch that succeeds comes back. */
const TARGETS = { start: RISCV_RAM.start + 0x100_0000, end: RISCV_RAM.end };

/** mstatus, by the privileged specification, "Machine Status Registers". */
const SUM = 1n << 18n;
const MXR = 1n << 19n;
const MPRV = 1n << 17n;
const MPP_S = 1n << 11n;
/** menvcfg, of Svpbmt. */
const PBMTE = 1n << 62n;

const NO_WORDS: Readonly<Record<RiscvWord, bigint>> = {
  satp: 0n,
  vsatp: 0n,
  hgatp: 0n,
  envcfg: 0n,
  hstatus: 0n,
  vsstatus: 0n,
  mstatus: 0n,
  count: 0n,
  probe: 0n,
};

const PAGE_FAULTS = { execute: 12, read: 13, write: 15 } as const;
const ACCESS_FAULTS = { execute: 1, read: 5, write: 7 } as const;

for (const extensions of [false, true]) {
  describe(`RISC-V's tables on a bare machine${extensions ? ' with Svnapot and Svpbmt' : ''} (seed ${seed})`, {
    skip: need('qemu-system-riscv64', 'setpriv'),
    timeout: 300_000,
  }, () => {
    const choose = choices(seed);
    let machine: ProbeMachine<RiscvWord>;
    before(async () => {
      machine = await ProbeMachine.start(riscvProbe(extensions ? 'rv64,svnapot=on,svpbmt=on' : 'rv64'));
    });
    after(async () => {
      await machine?.close();
    });

    for (const shape of RISCV_SHAPES) {
      it(`T2, T4: ${shape.scheme}: accesses end, and mark entries, as on QEMU's processor`, async () => {
        const tables = randomRiscvTables(shape, TABLES, TARGETS, choose, extensions);
        machine.write(tables.gpa, bytesOf(tables.entries));
        const marked = tables.entries.slice();
        const wrong: unknown[] = [];
        const seen = new Map<string, number>();
        for (const user of [false, true]) {
          for (const kind of ['read', 'write', 'execute'] as const) {
            for (const flags of [0n, SUM, MXR]) {
              const addresses = Array.from({ length: 600 }, () => riscvAddress(shape, choose));
              const words = {
                ...{
                  ...NO_WORDS,
                  envcfg: extensions ? PBMTE : 0n,
                  satp: satpOf(shape, tables),
                  count: 600n,
                  probe: RISCV_PROBES[kind],
                },
                // The program goes to the address itself to execute, and lends its loads and stores the mode.
                mstatus: flags | (user ? 0n : MPP_S) | (kind === 'execute' ? 0n : MPRV),
              };
              for (const [index, [mcause = 0n]] of (await machine.run(words, addresses)).entries()) {
                const va = addresses[index] ?? 0n;
                const status = { sum: flags === SUM, mxr: flags === MXR };
                const got = oracle(shape, tables, status, extensions, va, { kind, user });
                for (const [at, entry] of got.kind === 'mapped' ? got.writes : []) {
                  const place = (Number(at) - tables.gpa) / 8;
                  marked[place] = entry | (marked[place] ?? 0n);
                }
                const wanted = outcome(mcause, kind);
                seen.set(wanted, (seen.get(wanted) ?? 0) + 1);
                if (expectedOutcome(got, kind) !== wanted) wrong.push({ va, user, kind, flags, wanted, got });
              }
            }
          }
        }
        assert.deepEqual(wrong, []);
        assert.ok((seen.get('success') ?? 0) >= 500, `${seen.get('success')} accesses succeeded`);
        const now = machine.machine.memory.readBytes(tables.gpa, marked.byteLength);
        assert.deepEqual(comparable(new BigUint64Array(now.buffer)), comparable(marked));
      });

      it(`T2: ${shape.scheme}: translates as gva2gpa does, and lists what info mem lists`, async () => {
        const tables = tidyRiscvTables(shape, TABLES, TARGETS, choose);
        machine.write(tables.gpa, bytesOf(tables.entries));
        await machine.run({ ...NO_WORDS, satp: satpOf(shape, tables) }, []);
        const pages = [...pagesOf(shape, tables)];
        assert.ok(pages.length > 100, `${pages.length} pages`);
        await machine.stopped(async (gdb) => {
          // First, for gva2gpa marks the entries as accessed (QEMU 7.2).
          assert.deepEqual(parseRiscvMem(await machine.machine.monitor('info mem')), pages);
          for (const [priv, user] of [
            [0n, true],
            [1n, false],
          ] as const) {
            await gdb.write('priv', priv);
            for (let n = 0; n < 700; n++) {
              const page = pages[choose(pages.length)];
              assert.ok(page !== undefined);
              const inside = page.gva + BigInt(choose(Math.min(page.pageSize, 2 ** 32)));
              const gva =
                n < 500
                  ? inside
                  : n < 600
                    ? inside ^ (1n << BigInt(12 + choose(44)))
                    : riscvAddress(shape, choose);
              // QEMU looks at user pages as S-mode with SUM would.
              const got = oracle(shape, tables, { sum: true, mxr: false }, extensions, gva, {
                kind: 'read',
                user,
              });
              const gpa = await machine.machine.gva2gpa(gva);
              assert.equal(got.kind === 'mapped' ? Number(got.pa) : undefined, gpa, `0x${gva.toString(16)}`);
            }
          }
          await gdb.write('priv', 3n);
        });
      });
    }
  });
}

function satpOf({ mode }: RiscvShape, { gpa }: RandomTables): bigint {
  return (mode << 60n) | BigInt(gpa / 4096);
}

/** QEMU 7.2 marks an entry with N before it looks whether N is right there, and so marks one that faults. */
function comparable(entries: BigUint64Array): BigUint64Array {
  return entries.map((entry) => (entry >> 63n === 1n ? entry & ~0xc0n : entry));
}

function bytesOf(entries: BigUint64Array): Uint8Array {
  return new Uint8Array(entries.slice().buffer);
}

/** The naive reading of the specification. QEMU 7.2 always marks entries as accessed and dirty itself. */
function oracle(
  { scheme }: RiscvShape,
  tables: RandomTables,
  status: { sum: boolean; mxr: boolean },
  extensions: boolean,
  va: bigint,
  access: OracleAccess,
): RiscvResult {
  const stage = { scheme, root: BigInt(tables.gpa), ...status, adue: true, pbmte: extensions };
  const hart = { svnapot: extensions, svrsw60t59b: false, physicalBits: 56 };
  return riscvTranslate(stage, hart, memoryOf(tables), va, access);
}

/** What mcause says: nothing, and so a success, or an exception's code. An instruction of zeros was fetched if it is illegal. */
function outcome(mcause: bigint, kind: 'read' | 'write' | 'execute'): string {
  if (mcause === 2n ** 64n - 1n || (kind === 'execute' && mcause === 2n)) return 'success';
  return `exception ${mcause}`;
}

/** The same of a translation: what is mapped to where nothing is is an access fault. */
function expectedOutcome(result: RiscvResult, kind: 'read' | 'write' | 'execute'): string {
  if (result.kind === 'fault') return `exception ${result.code}`;
  // QEMU 7.2 calls it a page fault where there is nothing to read an entry from; an access fault it should be.
  if (result.kind === 'unreadable') return `exception ${PAGE_FAULTS[kind]}`;
  const { start, end } = RISCV_RAM;
  if (result.kind === 'mapped' && result.pa >= BigInt(start) && result.pa < BigInt(end)) return 'success';
  return `exception ${ACCESS_FAULTS[kind]}`;
}

function memoryOf({ gpa, entries }: RandomTables): OracleMemory {
  return (address) => {
    if (address < BigInt(RISCV_RAM.start) || address >= BigInt(RISCV_RAM.end)) return undefined;
    return entries[(Number(address) - gpa) / 8] ?? 0n;
  };
}

interface Page {
  readonly gva: bigint;
  readonly gpa: number;
  readonly pageSize: number;
  /** `rwxugad`, with a dash for what is not. */
  readonly flags: string;
}

/** Every page of tidy tables, by going through them. */
function* pagesOf({ levels }: RiscvShape, { gpa, entries }: RandomTables): Iterable<Page> {
  function* go(table: number, above: bigint, level: number): Iterable<Page> {
    for (const [index, entry] of entries.subarray(table, table + 512).entries()) {
      const gva = above + (BigInt(index) << BigInt(12 + 9 * level));
      const target = Number((entry >> 10n) & 0xfff_ffff_ffffn) * 4096;
      if ((entry & 1n) === 0n) continue;
      if ((entry & 0xen) === 0n) yield* go((target - gpa) / 8, gva, level - 1);
      else {
        const flags = [...'rwxugad']
          .map((name, bit) => ((entry >> BigInt(bit + 1)) & 1n ? name : '-'))
          .join('');
        yield {
          gva: BigInt.asUintN(64, BigInt.asIntN(12 + 9 * levels, gva)),
          gpa: target,
          pageSize: 4096 * 512 ** level,
          flags,
        };
      }
    }
  }
  yield* go(0, 0n, levels - 1);
}

/** The lines of `info mem` for RISC-V: runs of pages that lie side by side; ours hardly ever do. */
function parseRiscvMem(text: string): Page[] {
  return [...text.matchAll(/^([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{16}) ([rwxugad-]{7})\r?$/gm)].map(
    ([, gva = '', gpa = '', size = '', flags = '']) => ({
      gva: BigInt(`0x${gva}`),
      gpa: Number(`0x${gpa}`),
      pageSize: Number(`0x${size}`),
      flags,
    }),
  );
}
