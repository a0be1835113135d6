/**
 * AArch64's stage 2 as QEMU's processor takes it, with descriptors at random: asked for by AT S12 while stage 1 is off, so that what is
 * translated is the address itself.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { GuestMemory } from 'guestmem';
import { aarch64Stage2FromRegisters, type OneStageTranslation, Translator } from 'guestmem/paging';
import { AARCH64_PROBES, AARCH64_RAM, type AArch64Word, aarch64Probe } from '../support/aarch64-probe.ts';
import { randomDescriptors } from '../support/aarch64-tables.ts';
import { need } from '../support/need.ts';
import { type AArch64Result, aarch64Stage2, EVERY_FEATURE } from '../support/oracles/aarch64.ts';
import { decodeVtcrEl2, decodeVttbrEl2 } from '../support/oracles/aarch64-registers.ts';
import type { OracleMemory } from '../support/oracles/oracle.ts';
import { choices } from '../support/paused-guest.ts';
import { ProbeMachine } from '../support/probe-machine.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32);

const TABLES = AARCH64_RAM.start + 0x100_0000;

/** HCR_EL2: EL1 is AArch64, and stage 2 is on. SCTLR_EL1: the bits that are always 1, and translation off. */
const HCR = (1n << 31n) | 1n;
const SCTLR = 0x30d0_0800n;

interface Stage2 {
  readonly name: string;
  readonly granule: 12 | 14 | 16;
  /** VTCR_EL2.T0SZ, SL0 and PS; QEMU 7.2 wants no less output than input. */
  readonly tsz: number;
  readonly sl0: bigint;
  readonly ps: bigint;
  readonly levels: number;
}

const stages: readonly Stage2[] = [
  { name: '4 KiB, 40 bits, two roots side by side', granule: 12, tsz: 24, sl0: 1n, ps: 5n, levels: 3 },
  { name: '4 KiB, 44 bits', granule: 12, tsz: 20, sl0: 2n, ps: 4n, levels: 4 },
  { name: '16 KiB, 40 bits', granule: 14, tsz: 24, sl0: 2n, ps: 5n, levels: 3 },
  { name: '64 KiB, 42 bits', granule: 16, tsz: 22, sl0: 1n, ps: 5n, levels: 2 },
];

const TG0: Readonly<Record<number, bigint>> = { 12: 0n, 16: 1n, 14: 2n };

describe(`AArch64's stage 2 on a bare machine (seed ${seed})`, {
  skip: need('qemu-system-aarch64', 'setpriv'),
  timeout: 300_000,
}, () => {
  const choose = choices(seed);
  let machine: ProbeMachine<AArch64Word>;
  before(async () => {
    machine = await ProbeMachine.start(aarch64Probe('max'));
  });
  after(async () => {
    await machine?.close();
  });

  for (const { name, granule, tsz, sl0, ps, levels } of stages) {
    it(`T5: ${name}: every access ends as on QEMU's processor`, async () => {
      // A shape of so many levels; the roots beside the first one are among its tables.
      const shape = { granule, tsz: 64 - granule - levels * (granule - 3) } as const;
      const { descriptors } = randomDescriptors(shape, false, TABLES, choose);
      const memory = GuestMemory.fromRanges([[AARCH64_RAM.start, AARCH64_RAM.end - AARCH64_RAM.start]]);
      memory.writeAt(TABLES, new Uint8Array(descriptors.buffer));
      machine.write(TABLES, new Uint8Array(descriptors.buffer));
      const vtcr = BigInt(tsz) | (sl0 << 6n) | ((TG0[granule] ?? 0n) << 14n) | (ps << 16n) | (1n << 31n);
      const vttbr = BigInt(TABLES);
      const { format, root, controls, marking } = aarch64Stage2FromRegisters({ vtcr, vttbr });
      assert.ok(format !== undefined);
      const library = new Translator({
        memory,
        format,
        root,
        controls: { ...controls, accessedDirty: marking },
      });
      const registers = { vtcr: decodeVtcrEl2(vtcr), vttbr: decodeVttbrEl2(vttbr), processor: EVERY_FEATURE };
      const read: OracleMemory = (at) =>
        memory.checkRange(Number(at), 8) ? memory.readU64(Number(at)) : undefined;
      const wrong: unknown[] = [];
      const seen = new Map<string, number>();
      for (const probe of ['S12E0R', 'S12E1R', 'S12E0W', 'S12E1W'] as const) {
        const addresses = Array.from({ length: 1000 }, () => address(64 - tsz, choose));
        const words = {
          ...{ tcr: 0n, ttbr0: 0n, ttbr1: 0n, sctlr: SCTLR, hcr: HCR, vtcr, vttbr },
          ...{ count: BigInt(addresses.length), probe: BigInt(AARCH64_PROBES.indexOf(probe)) },
        };
        for (const [index, [par = 0n]] of (await machine.run(words, addresses)).entries()) {
          const ipa = addresses[index] ?? 0n;
          const access = {
            kind: probe.endsWith('W') ? 'write' : 'read',
            user: probe.includes('E0'),
          } as const;
          const wanted = outcome(par);
          const got = [
            naiveOutcome(aarch64Stage2(read, registers, ipa, access)),
            libraryOutcome(library.translate(ipa, access)),
          ];
          const kind = wanted.startsWith('page') ? 'page' : wanted;
          seen.set(kind, (seen.get(kind) ?? 0) + 1);
          if (got.some((one) => one !== wanted)) wrong.push({ ipa: ipa.toString(16), probe, wanted, got });
        }
      }
      assert.deepEqual(wrong, []);
      assert.ok((seen.get('page') ?? 0) >= 300, `${seen.get('page')} accesses succeeded`);
      assert.ok(seen.size >= 4, `only ${[...seen.keys()].join(', ')}`);
    });
  }
});

/** Mostly one that the input has room for. */
function address(bits: number, choose: (below: number) => number): bigint {
  const any = (BigInt(choose(2 ** 32)) << 32n) | BigInt(choose(2 ** 32));
  return BigInt.asUintN(choose(20) === 0 ? 47 : bits, any);
}

/** PAR_EL1 or, where a table could not be read, ESR_EL2 (Arm ARM D19.2). */
function outcome(par: bigint): string {
  if (par >> 63n === 1n) return `fault ${(par & 0x3fn).toString(16)}`;
  if ((par & 1n) === 1n) return `fault ${((par >> 1n) & 0x3fn).toString(16)}`;
  return `page ${(par & 0xf_ffff_ffff_f000n).toString(16)}`;
}

function naiveOutcome(result: AArch64Result): string {
  if (result.kind === 'fault') return `fault ${result.fsc.toString(16)}`;
  if (result.kind === 'unreadable') return `fault ${(0x14 + result.level).toString(16)}`;
  return `page ${((result.pa >> 12n) << 12n).toString(16)}`;
}

function libraryOutcome(result: OneStageTranslation): string {
  if (result.kind === 'table-unreadable') return `fault ${(0x14 + result.level).toString(16)}`;
  if (result.kind !== 'mapped') return `fault ${result.errorCode.toString(16)}`;
  return `page ${((BigInt(result.gpa) >> 12n) << 12n).toString(16)}`;
}
