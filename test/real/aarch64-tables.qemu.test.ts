/**
 * AArch64's page tables as QEMU's processor takes them: all granules, with and without the forms of 52 bits, with descriptors at
 * random, asked about by a program on a bare machine with the instructions AT. The judge of the naive reading of the specification
 * that the other tests trust, and of the library; Debian has no kernel with 64 KiB pages.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { GuestMemory } from 'guestmem';
import type { Translation } from 'guestmem/paging';
import {
  type AArch64Expected,
  aarch64Registers,
  askAs,
  libraryDiffers,
  libraryOf,
  naiveGpa,
  READERS,
} from '../support/aarch64-machine.ts';
import { AARCH64_PROBES, AARCH64_RAM, type AArch64Word, aarch64Probe } from '../support/aarch64-probe.ts';
import {
  type AArch64Shape,
  aarch64Address,
  type RandomDescriptors,
  randomDescriptors,
} from '../support/aarch64-tables.ts';
import { need } from '../support/need.ts';
import { type AArch64Result, aarch64Stage1 } from '../support/oracles/aarch64.ts';
import type { OracleMemory, OracleWrite } from '../support/oracles/oracle.ts';
import { choices } from '../support/paused-guest.ts';
import { ProbeMachine } from '../support/probe-machine.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32);

/** Room for the tables of each half, aligned to the largest granule. */
const TABLES = [AARCH64_RAM.start + 0x100_0000, AARCH64_RAM.start + 0x200_0000] as const;

/** Both halves, and what TCR_EL1 says beside their shapes. */
interface Space {
  readonly name: string;
  readonly lower: AArch64Shape;
  readonly upper: AArch64Shape;
  /** IPS: 2 is 40 bits of output, 5 is 48, 6 is 52. */
  readonly ips: bigint;
  /** More bits of TCR_EL1. */
  readonly more?: bigint;
}

const DS = 1n << 59n;
const TBI0 = 1n << 37n;
const TBI1 = 1n << 38n;
const HPD0 = 1n << 41n;
const EPD1 = 1n << 23n;
const HA_HD = 3n << 39n;

const spaces: readonly Space[] = [
  {
    name: '4 KiB, 48 and 39 bits',
    lower: { granule: 12, tsz: 16 },
    upper: { granule: 12, tsz: 25 },
    ips: 5n,
  },
  {
    name: '4 KiB, 34 and 40 bits, tags',
    lower: { granule: 12, tsz: 30 },
    upper: { granule: 12, tsz: 24 },
    ips: 2n,
    more: TBI0 | HPD0,
  },
  {
    name: '4 KiB, DS, 52 and 48 bits',
    lower: { granule: 12, tsz: 12 },
    upper: { granule: 12, tsz: 16 },
    ips: 6n,
    more: DS,
  },
  {
    name: '16 KiB, 47 and 48 bits',
    lower: { granule: 14, tsz: 17 },
    upper: { granule: 14, tsz: 16 },
    ips: 5n,
    more: TBI1,
  },
  {
    name: '16 KiB, DS, 52 and 36 bits',
    lower: { granule: 14, tsz: 12 },
    upper: { granule: 14, tsz: 28 },
    ips: 6n,
    more: DS,
  },
  {
    name: '64 KiB, 48 and 42 bits',
    lower: { granule: 16, tsz: 16 },
    upper: { granule: 16, tsz: 22 },
    ips: 5n,
  },
  {
    name: '64 KiB, 52 and 50 bits',
    lower: { granule: 16, tsz: 12 },
    upper: { granule: 16, tsz: 14 },
    ips: 6n,
  },
  {
    name: 'small tables, 18 and 19 bits',
    lower: { granule: 12, tsz: 46 },
    upper: { granule: 16, tsz: 45 },
    ips: 5n,
  },
  {
    name: '64 KiB and 4 KiB, upper half off',
    lower: { granule: 16, tsz: 25 },
    upper: { granule: 12, tsz: 16 },
    ips: 3n,
    more: EPD1,
  },
  {
    name: '16 KiB and 4 KiB, marked by hardware',
    lower: { granule: 14, tsz: 20 },
    upper: { granule: 12, tsz: 20 },
    ips: 5n,
    more: HA_HD,
  },
];

const TG0: Readonly<Record<number, bigint>> = { 12: 0n, 16: 1n, 14: 2n };
const TG1: Readonly<Record<number, bigint>> = { 14: 1n, 12: 2n, 16: 3n };

function tcrOf({ lower, upper, ips, more = 0n }: Space): bigint {
  const halves =
    BigInt(lower.tsz) |
    ((TG0[lower.granule] ?? 0n) << 14n) |
    (BigInt(upper.tsz) << 16n) |
    ((TG1[upper.granule] ?? 0n) << 30n);
  return halves | (ips << 32n) | more;
}

/** SCTLR_EL1: the bits that are always 1, and M, which turns translation on. */
const SCTLR = 0x30d0_0801n;
/** HCR_EL2.RW: EL1 is AArch64. */
const HCR = 1n << 31n;

describe(`AArch64's tables on a bare machine (seed ${seed})`, {
  skip: need('qemu-system-aarch64', 'setpriv'),
  timeout: 900_000,
}, () => {
  const choose = choices(seed);
  let machine: ProbeMachine<AArch64Word>;
  before(async () => {
    machine = await ProbeMachine.start(aarch64Probe('max'));
  });
  after(async () => {
    await machine?.close();
  });

  for (const space of spaces) {
    it(`T2, T4: ${space.name}: accesses end, and mark descriptors, as on QEMU's processor`, async () => {
      const halves = [
        randomDescriptors(space.lower, space.ips === 6n, TABLES[0], choose),
        randomDescriptors(space.upper, space.ips === 6n, TABLES[1], choose),
      ];
      for (const { gpa, descriptors } of halves) machine.write(gpa, bytesOf(descriptors));
      const words = {
        ...{ tcr: tcrOf(space), ttbr0: BigInt(TABLES[0]), ttbr1: BigInt(TABLES[1]), sctlr: SCTLR },
        ...{ hcr: HCR, vtcr: 0n, vttbr: 0n },
      };
      await machine.run({ ...words, count: 0n, probe: 0n }, []);
      const registers = await machine.stopped(aarch64Registers);
      const memory = memoryOf(halves);
      // Marked by the naive reading, and by the library.
      const marked = halves.map(({ gpa, descriptors }) => ({ gpa, descriptors: descriptors.slice() }));
      const copy = GuestMemory.fromRanges([[AARCH64_RAM.start, AARCH64_RAM.end - AARCH64_RAM.start]]);
      for (const { gpa, descriptors } of halves) copy.writeAt(gpa, bytesOf(descriptors));
      const wrong: unknown[] = [];
      const seen = new Map<string, number>();
      for (const probe of AARCH64_PROBES.filter((name) => name.startsWith('S1E'))) {
        const addresses = Array.from({ length: 1000 }, (_, index) =>
          aarch64Address(index % 2 === 0 ? space.lower : space.upper, index % 2 === 1, choose),
        );
        const pan = probe.endsWith('P');
        const library = libraryOf(registers, { pan, memory: copy, marks: true });
        const asked = {
          ...words,
          count: BigInt(addresses.length),
          probe: BigInt(AARCH64_PROBES.indexOf(probe)),
        };
        for (const [index, [par = 0n]] of (await machine.run(asked, addresses)).entries()) {
          const va = addresses[index] ?? 0n;
          const access = {
            kind: probe.includes('W') ? 'write' : 'read',
            user: probe.includes('E0'),
          } as const;
          const naive = aarch64Stage1(memory, { ...registers, wxn: false, pan }, va, access);
          const got = [naiveOutcome(naive), libraryOutcome(library.translate(va, access))];
          if (naive.kind === 'mapped') mark(marked, naive.writes);
          const wanted = outcome(par);
          const kind = wanted.startsWith('page') ? 'page' : wanted;
          seen.set(kind, (seen.get(kind) ?? 0) + 1);
          if (got.some((one) => one !== wanted)) wrong.push({ va: va.toString(16), probe, wanted, got });
        }
      }
      assert.deepEqual(wrong, []);
      assert.ok((seen.get('page') ?? 0) >= 500, `${seen.get('page')} accesses succeeded`);
      assert.ok(seen.size >= 5, `only ${[...seen.keys()].join(', ')}`);
      for (const { gpa, descriptors } of marked) {
        const now = machine.machine.memory.readBytes(gpa, descriptors.byteLength);
        assert.deepEqual(bytesOf(descriptors), now);
        assert.deepEqual(copy.readBytes(gpa, descriptors.byteLength), now);
      }

      const read = Array.from({ length: 150 }, (_, index) =>
        aarch64Address(index % 2 === 0 ? space.lower : space.upper, index % 2 === 1, choose),
      );
      const expected = await machine.stopped(async (gdb) => {
        const answers: AArch64Expected[] = [];
        for (const reader of READERS) answers.push(...(await askAs(machine.machine, gdb, reader, read)));
        return answers;
      });
      assert.deepEqual(
        expected.filter((one) => naiveGpa(memory, registers, one) !== one.gpa),
        [],
      );
      assert.deepEqual(libraryDiffers(machine.machine.memory, registers, expected), []);
    });
  }
});

/** What PAR_EL1 says (Arm ARM D19.2): a page's address, or a fault status code. */
function outcome(par: bigint): string {
  if (par >> 63n === 1n) return `fault ${(par & 0x3fn).toString(16)}`;
  if ((par & 1n) === 1n) return `fault ${((par >> 1n) & 0x3fn).toString(16)}`;
  return `page ${(par & 0xf_ffff_ffff_f000n).toString(16)}`;
}

function naiveOutcome(result: AArch64Result): string {
  if (result.kind === 'fault') return `fault ${result.fsc.toString(16)}`;
  if (result.kind === 'unreadable') return noTable(result.level);
  return `page ${((result.pa >> 12n) << 12n).toString(16)}`;
}

function libraryOutcome(result: Translation): string {
  assert(result.kind !== 'second-stage-fault');
  if (result.kind === 'table-unreadable') return noTable(result.level);
  if (result.kind !== 'mapped') return `fault ${result.errorCode.toString(16)}`;
  return `page ${((BigInt(result.gpa) >> 12n) << 12n).toString(16)}`;
}

/** A synchronous external abort on a translation table walk. */
function noTable(level: number): string {
  return `fault ${(0x14 + level).toString(16)}`;
}

function bytesOf(descriptors: BigUint64Array): Uint8Array {
  return new Uint8Array(descriptors.slice().buffer);
}

/** A descriptor that was marked now and then: AF is set for good, and AP[2] cleared for good. */
function mark(halves: readonly RandomDescriptors[], writes: readonly OracleWrite[]): void {
  for (const [address, descriptor] of writes) {
    for (const { gpa, descriptors } of halves) {
      const index = (Number(address) - gpa) / 8;
      const had = descriptors[index];
      if (had !== undefined) descriptors[index] = (had | (descriptor & 0x400n)) & (descriptor | ~0x80n);
    }
  }
}

function memoryOf(halves: readonly RandomDescriptors[]): OracleMemory {
  return (address) => {
    if (address < BigInt(AARCH64_RAM.start) || address >= BigInt(AARCH64_RAM.end)) return undefined;
    for (const { gpa, descriptors } of halves) {
      const found = descriptors[(Number(address) - gpa) / 8];
      if (found !== undefined) return found;
    }
    return 0n;
  };
}
