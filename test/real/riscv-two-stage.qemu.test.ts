/**
 * A guest's tables below a hypervisor's, as QEMU's RISC-V processor takes them: VS-stage with entries at random, G-stage with gaps and
 * lacking rights where the guest's tables and pages are. HLV and HSV access memory as the guest would.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { GuestMemory } from 'guestmem';
import {
  riscvGuestModeFromRegisters,
  riscvModeFromRegisters,
  type Translation,
  Translator,
  TwoStageTranslator,
} from 'guestmem/paging';
import { need } from '../support/need.ts';
import type { OracleMemory } from '../support/oracles/oracle.ts';
import { riscvTranslateTwoStage } from '../support/oracles/riscv.ts';
import type { RiscvResult } from '../support/oracles/riscv-algorithm.ts';
import { choices } from '../support/paused-guest.ts';
import { ProbeMachine } from '../support/probe-machine.ts';
import { RISCV_PROBES, RISCV_RAM, type RiscvWord, riscvProbe } from '../support/riscv-probe.ts';
import { RISCV_SHAPES, randomRiscvTables, riscvAddress } from '../support/riscv-tables.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32);

const TABLES = RISCV_RAM.start + 0x10_0000;
/** The hypervisor's tables: a root of 16 KiB, and one table of each level below. */
const GUEST_ROOT = RISCV_RAM.start + 0xc0_0000;
const TARGETS = { start: RISCV_RAM.start + 0x100_0000, end: RISCV_RAM.end };

const SPVP = 1n << 8n;
const SUM = 1n << 18n;
const MXR = 1n << 19n;
const READ = { kind: 'read', page: 13, guestPage: 21, access: 5 } as const;
const WRITE = { kind: 'write', page: 15, guestPage: 23, access: 7 } as const;

/** QEMU 7.2 reports a load where an entry of the guest's tables could not be read; it should report the access that was tried. */
const IMPLICIT = 21n;

describe(`RISC-V's two stages on a bare machine (seed ${seed})`, {
  skip: need('qemu-system-riscv64', 'setpriv'),
  timeout: 300_000,
}, () => {
  const choose = choices(seed);
  let machine: ProbeMachine<RiscvWord>;
  before(async () => {
    machine = await ProbeMachine.start(riscvProbe('rv64'));
  });
  after(async () => {
    await machine?.close();
  });

  for (const shape of RISCV_SHAPES) {
    it(`T5: ${shape.scheme} over Sv39x4: every access of a guest ends as on QEMU's processor`, async () => {
      // All are marked: QEMU 7.2 does not ask the second stage whether it may mark them.
      const entries = randomRiscvTables(shape, TABLES, TARGETS, choose, false).entries.map((entry) =>
        (entry & 0xen) === 0n ? entry : entry | 0xc0n,
      );
      const memory = GuestMemory.fromRanges([[RISCV_RAM.start, RISCV_RAM.end - RISCV_RAM.start]]);
      memory.writeAt(TABLES, new Uint8Array(entries.buffer));
      writeGuestStage(memory, choose);
      for (const [gpa, length] of [
        [TABLES, entries.byteLength],
        [GUEST_ROOT, 0x6000],
      ] as const)
        machine.write(gpa, memory.readBytes(gpa, length));
      const words = {
        // Without a mode in satp, QEMU 7.2 calls the guest's page faults access faults.
        ...{ satp: 8n << 60n, vsatp: (shape.mode << 60n) | BigInt(TABLES / 4096), mstatus: 0n },
        ...{ hgatp: (8n << 60n) | BigInt(GUEST_ROOT / 4096), envcfg: 0n, count: 600n },
      };
      const wrong: unknown[] = [];
      const seen = new Map<string, number>();
      for (const user of [false, true]) {
        for (const access of [READ, WRITE]) {
          // HLV and HSV of QEMU 7.2 do as if SUM were set, and look at the hypervisor's MXR alone.
          for (const status of [SUM, SUM | MXR]) {
            const addresses = Array.from({ length: 600 }, () => riscvAddress(shape, choose));
            const probe = RISCV_PROBES[`guest ${access.kind}`];
            const asked = {
              ...words,
              vsstatus: status,
              mstatus: status & MXR,
              hstatus: user ? 0n : SPVP,
              probe,
            };
            const judged = judges(memory, shape.scheme, words, status);
            for (const [index, [mcause = 0n, mtval2 = 0n]] of (
              await machine.run(asked, addresses)
            ).entries()) {
              const va = addresses[index] ?? 0n;
              const wanted = outcome(mcause, mtval2);
              const got = [
                naiveOutcome(judged.naive(va, { kind: access.kind, user }), access),
                libraryOutcome(judged.library.translate(va, { kind: access.kind, user }), access),
              ];
              const kind = wanted.split(',')[0] ?? '';
              seen.set(kind, (seen.get(kind) ?? 0) + 1);
              if (got.some((one) => one !== wanted)) wrong.push({ va, user, ...access, status, wanted, got });
            }
          }
        }
      }
      assert.deepEqual(wrong, []);
      assert.ok((seen.get('success') ?? 0) >= 100, `${seen.get('success')} accesses succeeded`);
      const guestFaults = (seen.get('exception 21') ?? 0) + (seen.get('exception 23') ?? 0);
      assert.ok(guestFaults >= 500, `${guestFaults} accesses failed in the second stage`);
    });
  }
});

/** The guest's RAM where ours is, with a gap or a right that is missing now and then; nothing anywhere else. */
function writeGuestStage(memory: GuestMemory, choose: (below: number) => number): void {
  const [middle, last] = [GUEST_ROOT + 0x4000, GUEST_ROOT + 0x5000];
  const pointer = (to: number): bigint => (BigInt(to / 4096) << 10n) | 1n;
  // V, R, W, X, U, A and D, less one of them.
  const leaf = (to: number): bigint => {
    const missing = choose(8) === 0 ? 1n << BigInt(choose(5)) : 0n;
    return (BigInt(to / 4096) << 10n) | (0xdfn & ~missing);
  };
  memory.writeU64(GUEST_ROOT + 8 * (RISCV_RAM.start / 2 ** 30), pointer(middle));
  for (let n = 0; n < 32; n++) memory.writeU64(middle + 8 * n, leaf(RISCV_RAM.start + n * 0x20_0000));
  memory.writeU64(middle, pointer(last));
  for (let n = 0; n < 512; n++) memory.writeU64(last + 8 * n, leaf(RISCV_RAM.start + n * 4096));
  // The guest's root at least can be read, or nothing could.
  const root = (TABLES - RISCV_RAM.start) / 4096;
  memory.writeU64(last + 8 * root, (BigInt(TABLES / 4096) << 10n) | 0xdfn);
}

function judges(
  memory: GuestMemory,
  scheme: (typeof RISCV_SHAPES)[number]['scheme'],
  { vsatp, hgatp }: { readonly vsatp: bigint; readonly hgatp: bigint },
  status: bigint,
): {
  naive: (va: bigint, access: { kind: 'read' | 'write'; user: boolean }) => RiscvResult;
  library: TwoStageTranslator;
} {
  const first = riscvModeFromRegisters({ satp: vsatp, sstatus: status, envcfg: 0n });
  const second = riscvGuestModeFromRegisters({ hgatp, sstatus: status & MXR, envcfg: 0n });
  assert.ok(first.format !== undefined && second.format !== undefined);
  const how = { svnapot: false, accessedDirty: 'off' } as const;
  const library = new TwoStageTranslator({
    ...{ memory, format: first.format, root: first.root, controls: { ...first.controls, ...how } },
    second: new Translator({
      ...{ memory, format: second.format, root: second.root, controls: { ...second.controls, ...how } },
    }),
  });
  const read: OracleMemory = (at) =>
    memory.checkRange(Number(at), 8) ? memory.readU64(Number(at)) : undefined;
  const mxr = status !== SUM;
  const vs = { scheme, root: BigInt(TABLES), sum: true, mxr, adue: true, pbmte: false };
  const g = { scheme: 'Sv39x4', root: BigInt(GUEST_ROOT), mxr, adue: true, pbmte: false } as const;
  const hart = { svnapot: false, svrsw60t59b: false, physicalBits: 56 };
  return {
    library,
    naive: (va, access) => riscvTranslateTwoStage(vs, g, hart, read, va, access),
  };
}

/** mcause, and of guest-page faults mtval2, which is the guest-physical address shifted right by two. */
function outcome(mcause: bigint, mtval2: bigint): string {
  if (mcause === 2n ** 64n - 1n) return 'success';
  return mcause === 21n || mcause === 23n ? `exception ${mcause}, ${mtval2}` : `exception ${mcause}`;
}

function naiveOutcome(result: RiscvResult, { page }: typeof READ | typeof WRITE): string {
  if (result.kind === 'mapped') return 'success';
  if (result.kind === 'unreadable') return `exception ${page}`;
  return outcome(result.implicit === 'none' ? BigInt(result.code) : IMPLICIT, result.htval);
}

function libraryOutcome(result: Translation, { page, guestPage }: typeof READ | typeof WRITE): string {
  if (result.kind === 'mapped') return 'success';
  if (result.kind === 'second-stage-fault')
    return outcome(result.during === 'table-walk' ? IMPLICIT : BigInt(guestPage), BigInt(result.gpa) >> 2n);
  return result.kind === 'table-unreadable' ? `exception ${page}` : `exception ${result.errorCode}`;
}
