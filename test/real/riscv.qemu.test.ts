/**
 * RISC-V's page tables as QEMU's processor takes them: Sv39, Sv48 and Sv57 with entries at random, tried by a program on a bare
 * machine (Debian has no RISC-V kernel here), and asked for by `gva2gpa`. The judge of the naive reading of the specification that the
 * other tests trust, and of the library.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { GuestMemory } from 'guestmem';
import {
  mappings,
  type OneStageTranslation,
  type PagingFormat,
  type RiscvControls,
  riscvModeFromRegisters,
  Translator,
} from 'guestmem/paging';
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

const hex = (value: bigint): string => `0x${value.toString(16)}`;

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32);

const TABLES = RISCV_RAM.start + 0x10_0000;
/** Pages of zeros: an instruction of zeros is illegal, so that a fetch that succeeds comes back. */
const TARGETS = { start: RISCV_RAM.start + 0x100_0000, end: RISCV_RAM.end };
const DEVICE_TREE = RISCV_RAM.end - 0x20_0000;

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
    timeout: 900_000,
  }, () => {
    const choose = choices(seed);
    let machine: ProbeMachine<RiscvWord>;
    before(async () => {
      machine = await ProbeMachine.start(riscvProbe(extensions ? 'rv64,svnapot=on,svpbmt=on' : 'rv64'));
      // QEMU has put its device tree at the end of RAM: fetched from there, it is instructions.
      machine.write(DEVICE_TREE, new Uint8Array(TARGETS.end - DEVICE_TREE));
    });
    after(async () => {
      await machine?.close();
    });

    for (const shape of RISCV_SHAPES) {
      it(`T2, T4: ${shape.scheme}: accesses end, and mark entries, as on QEMU's processor`, async () => {
        const tables = randomRiscvTables(shape, TABLES, TARGETS, choose, extensions);
        machine.write(tables.gpa, bytesOf(tables.entries));
        const judged = new Judged(shape, tables, extensions);
        const wrong: unknown[] = [];
        const seen = new Map<string, number>();
        for (const user of [false, true]) {
          for (const kind of ['read', 'write', 'execute'] as const) {
            for (const flags of [0n, SUM, MXR]) {
              const addresses = Array.from({ length: 600 }, () => riscvAddress(shape, choose));
              // The program goes to the address itself to execute, and lends its loads and stores the mode.
              const mstatus = flags | (user ? 0n : MPP_S) | (kind === 'execute' ? 0n : MPRV);
              const words = { ...judged.words, mstatus, count: 600n, probe: RISCV_PROBES[kind] };
              for (const [index, [mcause = 0n]] of (await machine.run(words, addresses)).entries()) {
                const va = addresses[index] ?? 0n;
                const wanted = outcome(mcause, kind);
                const got = judged.outcomes(flags, va, { kind, user });
                seen.set(wanted, (seen.get(wanted) ?? 0) + 1);
                if (got.some((one) => one !== wanted)) wrong.push({ va, user, kind, flags, wanted, got });
              }
            }
          }
        }
        assert.deepEqual(wrong, []);
        assert.ok((seen.get('success') ?? 0) >= 500, `${seen.get('success')} accesses succeeded`);
        const now = machine.machine.memory.readBytes(tables.gpa, tables.entries.byteLength);
        const marked = comparable(new BigUint64Array(now.buffer));
        for (const one of judged.marked()) assert.deepEqual(comparable(one), marked);
      });

      it(`T2, T6: ${shape.scheme}: translates as gva2gpa does, and lists what info mem lists`, async () => {
        const tables = tidyRiscvTables(shape, TABLES, TARGETS, choose);
        machine.write(tables.gpa, bytesOf(tables.entries));
        const judged = new Judged(shape, tables, extensions);
        await machine.run(judged.words, []);
        await machine.stopped(async (gdb) => {
          // First, for gva2gpa marks the entries as accessed (QEMU 7.2).
          const listed = parseRiscvMem(await machine.machine.monitor('info mem'));
          const { memory } = machine.machine;
          // QEMU looks at user pages as S-mode with SUM would.
          const live = new Translator({ memory, ...judged.mode(SUM) });
          assert.ok(listed.length > 100, `${listed.length} pages`);
          assert.deepEqual([...pagesOf(live)], listed);
          for (const [priv, user] of [
            [0n, true],
            [1n, false],
          ] as const) {
            await gdb.write('priv', priv);
            for (let n = 0; n < 700; n++) {
              const page = listed[choose(listed.length)];
              assert.ok(page !== undefined);
              const inside = page.gva + BigInt(choose(Math.min(page.pageSize, 2 ** 32)));
              const beside = inside ^ (1n << BigInt(12 + choose(44)));
              const gva = n < 500 ? inside : n < 600 ? beside : riscvAddress(shape, choose);
              const access = { kind: 'read', user } as const;
              const wanted = await machine.machine.gva2gpa(gva);
              const naive = judged.oracle(SUM, gva, access);
              assert.equal(naive.kind === 'mapped' ? Number(naive.pa) : undefined, wanted, hex(gva));
              const got = live.translate(gva, access);
              assert.equal(got.kind === 'mapped' ? got.gpa : undefined, wanted, hex(gva));
            }
          }
          await gdb.write('priv', 3n);
        });
      });
    }
  });
}

/** What is judged: the naive reading of the specification, and the library on a copy of the machine's memory. */
class Judged {
  /** For the program. */
  readonly words: Readonly<Record<RiscvWord, bigint>>;
  private readonly shape: RiscvShape;
  private readonly tables: RandomTables;
  private readonly extensions: boolean;
  private readonly copy: GuestMemory;
  private readonly translators: Map<bigint, Translator>;
  /** The entries with the marks of the naive reading. */
  private readonly entries: BigUint64Array;

  constructor(shape: RiscvShape, tables: RandomTables, extensions: boolean) {
    const satp = (shape.mode << 60n) | BigInt(tables.gpa / 4096);
    this.words = { ...NO_WORDS, satp, envcfg: extensions ? PBMTE : 0n };
    this.shape = shape;
    this.tables = tables;
    this.extensions = extensions;
    this.copy = GuestMemory.fromRanges([[RISCV_RAM.start, RISCV_RAM.end - RISCV_RAM.start]]);
    this.copy.writeAt(tables.gpa, bytesOf(tables.entries));
    this.translators = new Map();
    this.entries = tables.entries.slice();
  }

  /** Format, root and controls by the registers. */
  mode(flags: bigint): { format: PagingFormat; root: bigint; controls: RiscvControls } {
    const { satp, envcfg } = this.words;
    const { format, root, controls } = riscvModeFromRegisters({ satp, envcfg, sstatus: flags });
    assert.ok(format !== undefined);
    return { format, root, controls: { ...controls, svnapot: this.extensions } };
  }

  /** How an access ends: by the naive reading, and by the library. QEMU 7.2 always marks entries itself. */
  outcomes(flags: bigint, va: bigint, access: OracleAccess): [string, string] {
    const naive = this.oracle(flags, va, access);
    for (const [at, entry] of naive.kind === 'mapped' ? naive.writes : []) {
      const place = (Number(at) - this.tables.gpa) / 8;
      this.entries[place] = entry | (this.entries[place] ?? 0n);
    }
    const { controls, ...mode } = this.mode(flags);
    const made = { ...mode, memory: this.copy, controls: { ...controls, accessedDirty: 'update' } } as const;
    const translator = this.translators.get(flags) ?? new Translator(made);
    this.translators.set(flags, translator);
    return [naiveOutcome(naive, access.kind), libraryOutcome(translator.translate(va, access), access.kind)];
  }

  oracle(flags: bigint, va: bigint, access: OracleAccess): RiscvResult {
    const stage = {
      ...{ scheme: this.shape.scheme, root: BigInt(this.tables.gpa) },
      ...{ sum: flags === SUM, mxr: flags === MXR, adue: true, pbmte: this.extensions },
    };
    const hart = { svnapot: this.extensions, svrsw60t59b: false, physicalBits: 56 };
    return riscvTranslate(stage, hart, memoryOf(this.tables), va, access);
  }

  /** The entries as each of the two has marked them. */
  marked(): BigUint64Array[] {
    const bytes = this.copy.readBytes(this.tables.gpa, this.entries.byteLength);
    return [this.entries, new BigUint64Array(bytes.buffer)];
  }
}

/** QEMU 7.2 marks an entry with N before it looks whether N is right there, and so marks one that faults. */
function comparable(entries: BigUint64Array): BigUint64Array {
  return entries.map((entry) => (entry >> 63n === 1n ? entry & ~0xc0n : entry));
}

function bytesOf(entries: BigUint64Array): Uint8Array {
  return new Uint8Array(entries.slice().buffer);
}

/** What mcause says: nothing, and so a success, or an exception's code. An instruction of zeros was fetched if it is illegal. */
function outcome(mcause: bigint, kind: 'read' | 'write' | 'execute'): string {
  if (mcause === 2n ** 64n - 1n || (kind === 'execute' && mcause === 2n)) return 'success';
  return `exception ${mcause}`;
}

/** The same of a translation: what is mapped to where nothing is is an access fault. */
function naiveOutcome(result: RiscvResult, kind: 'read' | 'write' | 'execute'): string {
  if (result.kind === 'fault') return `exception ${result.code}`;
  if (result.kind === 'unreadable') return noTable(kind);
  return inRam(Number(result.pa)) ? 'success' : `exception ${ACCESS_FAULTS[kind]}`;
}

function libraryOutcome(result: OneStageTranslation, kind: 'read' | 'write' | 'execute'): string {
  if (result.kind === 'table-unreadable') return noTable(kind);
  if (result.kind !== 'mapped') return `exception ${result.errorCode}`;
  return inRam(result.gpa) ? 'success' : `exception ${ACCESS_FAULTS[kind]}`;
}

/** QEMU 7.2 calls it a page fault where there is nothing to read an entry from; an access fault it should be. */
function noTable(kind: 'read' | 'write' | 'execute'): string {
  return `exception ${PAGE_FAULTS[kind]}`;
}

function inRam(gpa: number): boolean {
  return gpa >= RISCV_RAM.start && gpa < RISCV_RAM.end;
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
  /** `rwxug`, with a dash for what is not. */
  readonly flags: string;
}

/** Every page, as the library lists it. */
function* pagesOf(translator: Translator): Iterable<Page> {
  for (const record of mappings(translator, { coalesce: false, expandAliases: true })) {
    assert.ok(record.kind === 'mapped', `${record.kind} at ${hex(record.gva)}`);
    const { gva, gpa, pageSize, rights, global } = record;
    const { read, write, execute, user } = rights;
    const flags = [read, write, execute, user, global].map((is, index) => (is ? 'rwxug'[index] : '-'));
    yield { gva, gpa, pageSize, flags: flags.join('') };
  }
}

/** The lines of `info mem` for RISC-V: runs of pages that lie side by side; ours hardly ever do. A and D are left out. */
function parseRiscvMem(text: string): Page[] {
  return [...text.matchAll(/^([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{16}) ([rwxug-]{5})[ad-]{2}\r?$/gm)].map(
    ([, gva = '', gpa = '', size = '', flags = '']) => ({
      gva: BigInt(`0x${gva}`),
      gpa: Number(`0x${gpa}`),
      pageSize: Number(`0x${size}`),
      flags,
    }),
  );
}
