// A hart's translation by one stage (V=0) or by two (V=1), made of runs of the one algorithm.

import { bit, field, type OracleAccess, type OracleMemory, OracleTables } from './oracle.ts';
import {
  algorithm,
  BARE,
  bare,
  type Kind,
  type Leaf,
  type RiscvGuestStage,
  type RiscvHart,
  type RiscvResult,
  type RiscvStage,
  Stop,
} from './riscv-algorithm.ts';

/** One stage: the virtual address of a hart with V=0, under satp. */
export function riscvTranslate(
  stage: RiscvStage,
  hart: RiscvHart,
  memory: OracleMemory,
  va: bigint,
  access: OracleAccess,
): RiscvResult {
  const { kind, user, shadowStack = false } = access;
  // Zicfiss: the cause of an exception is a store's.
  const original = shadowStack ? 'write' : kind;
  const tables = new OracleTables(memory);
  const { scheme } = stage;
  return outcome(() => {
    if (scheme === 'Bare') return mapped(tables, bare('S', hart, tables, va, original));
    const leaf = algorithm(
      {
        ...stage,
        scheme,
        stage: 'S',
        hart,
        outputBits: hart.physicalBits,
        tables,
        user,
        kind,
        shadowStack,
        original,
        implicit: 'none',
        place: (entryAddress) => entryAddress,
      },
      va,
    );
    return mapped(tables, leaf);
  });
}

/** Two stages: the virtual address of a hart with V=1, under vsatp and hgatp. `access.user` is VU-mode. */
export function riscvTranslateTwoStage(
  vs: RiscvStage,
  g: RiscvGuestStage,
  hart: RiscvHart,
  memory: OracleMemory,
  va: bigint,
  access: OracleAccess,
): RiscvResult {
  const { kind, user, shadowStack = false } = access;
  // Zicfiss: the cause of an exception is a store's.
  const original = shadowStack ? 'write' : kind;
  const tables = new OracleTables(memory);

  const guestStage = (gpa: bigint, checked: Kind, implicit: 'none' | 'read' | 'write'): Leaf => {
    const { scheme } = g;
    if (scheme === 'Bare') return bare('G', hart, tables, gpa, original);
    return algorithm(
      {
        ...g,
        scheme,
        stage: 'G',
        // "hgatp": the root is 16 KiB and so aligned; PPN[1:0] reads as zero.
        root: g.root & ~0x3fffn,
        sum: false,
        // "Two-Stage Address Translation": MXR of HS-level overrides both stages, but concerns only explicit loads.
        mxr: implicit === 'none' && g.mxr,
        hart,
        outputBits: hart.physicalBits,
        tables,
        // "Guest Physical Address Translation": "the current privilege mode is always taken to be U-mode".
        user: true,
        // There too: checked as the implicit load or store that it is, reported as the original access.
        kind: checked,
        shadowStack,
        original,
        implicit,
        place: (entryAddress) => entryAddress,
      },
      gpa,
    );
  };

  return outcome(() => {
    const { scheme } = vs;
    if (scheme === 'Bare') return mapped(tables, BARE(va), guestStage(va, kind, 'none'));
    const leaf = algorithm(
      {
        ...vs,
        scheme,
        stage: 'VS',
        // "Two-Stage Address Translation": vsstatus.MXR concerns this stage, sstatus.MXR both.
        mxr: vs.mxr || g.mxr,
        hart,
        // A guest-physical address may be any; what is too wide for G-stage faults there.
        outputBits: 64,
        tables,
        user,
        kind,
        shadowStack,
        original,
        implicit: 'none',
        // There too: reads and writes of VS-level page tables are subject to G-stage translation.
        place: (entryAddress, implicit) => guestStage(entryAddress, implicit, implicit).pa,
      },
      va,
    );
    return mapped(tables, leaf, guestStage(leaf.pa, kind, 'none'));
  });
}

function outcome(translate: () => RiscvResult): RiscvResult {
  try {
    return translate();
  } catch (stop) {
    if (stop instanceof Stop) return stop.result;
    throw stop;
  }
}

function mapped({ reads, writes }: OracleTables, first: Leaf, second: Leaf = BARE(first.pa)): RiscvResult {
  const both = (position: number, letter: string): string =>
    bit(first.pte, position) && bit(second.pte, position) ? letter : '-';
  const firstType = Number(field(first.pte, 62, 61));
  const secondType = Number(field(second.pte, 62, 61));
  return {
    kind: 'mapped',
    pa: second.pa,
    pageSize: first.pageSize < second.pageSize ? first.pageSize : second.pageSize,
    level: first.level,
    rights: both(1, 'r') + both(2, 'w') + both(3, 'x') + (bit(first.pte, 4) ? 'u' : '-'),
    global: first.global,
    // Svpbmt: G-stage's type overrides the PMAs, and VS-stage's overrides what came of that.
    memoryType: firstType !== 0 ? firstType : secondType,
    reads,
    writes,
  };
}
