import {
  type AArch64Controls,
  aarch64Stage1Format,
  aarch64Stage2Format,
  type PagingFormat,
} from '../../../src/paging/index.ts';
import {
  type AArch64Result,
  aarch64Stage1,
  aarch64Stage2,
  EVERY_FEATURE,
} from '../../support/oracles/aarch64.ts';
import {
  decodeTcrEl1,
  decodeTtbrEl1,
  decodeVtcrEl2,
  decodeVttbrEl2,
} from '../../support/oracles/aarch64-registers.ts';
import type { OracleAccess, OracleMemory } from '../../support/oracles/oracle.ts';

type Granule = 4096 | 16384 | 65536;

/** A format and the registers that ask the oracle for the same. */
export interface Subject {
  readonly stage: 1 | 2;
  readonly format: PagingFormat;
  /** Without IPS or PS, HA and HD. */
  readonly register: bigint;
  readonly wide: boolean;
  readonly va: bigint;
}

const TG0: Readonly<Record<Granule, bigint>> = { 4096: 0b00n, 16384: 0b10n, 65536: 0b01n };
const TG1: Readonly<Record<Granule, bigint>> = { 4096: 0b10n, 16384: 0b01n, 65536: 0b11n };

/** Stage 1: all of an address's bits differ from their neighbours, so that no index is taken from a wrong place. */
export function stage1(
  granule: Granule,
  inputBits: number,
  half: 'lower' | 'upper',
  wide: boolean,
  hpd = false,
): Subject {
  const format = aarch64Stage1Format({ granule, inputBits, half, wide, hierarchyDisabled: hpd });
  const ds = wide && granule !== 65536 ? 1n << 59n : 0n;
  const tsz = BigInt(64 - inputBits);
  const register =
    ds |
    (hpd ? 3n << 41n : 0n) |
    (half === 'lower' ? tsz | (TG0[granule] << 14n) : (tsz << 16n) | (TG1[granule] << 30n));
  const low = 0xa_5a5a_5a5a_5a5an & ((1n << BigInt(inputBits)) - 1n);
  const va = half === 'lower' ? low : low | (0xffff_ffff_ffff_ffffn & ~((1n << BigInt(inputBits)) - 1n));
  return { stage: 1, format, register, wide, va };
}

export function stage2(granule: Granule, inputBits: number, startLevel: number, wide: boolean): Subject {
  const format = aarch64Stage2Format({ granule, inputBits, startLevel, wide });
  const ds = wide && granule !== 65536 ? 1n << 32n : 0n;
  const sl2 = startLevel === -1 ? 1n << 33n : 0n;
  const sl0 =
    startLevel === -1
      ? 0n
      : granule === 4096
        ? startLevel === 3
          ? 3n
          : BigInt(2 - startLevel)
        : BigInt(3 - startLevel);
  const register = ds | sl2 | (sl0 << 6n) | BigInt(64 - inputBits) | (TG0[granule] << 14n);
  return { stage: 2, format, register, wide, va: 0xa_5a5a_5a5a_5a5an & ((1n << BigInt(inputBits)) - 1n) };
}

/** The oracle, asked with the registers that say the same; `ps` is IPS or PS. */
export function oracleFor(
  { stage, register, format, wide }: Subject,
  memory: OracleMemory,
  root: bigint,
  ps: bigint,
  controls: AArch64Controls,
): (va: bigint, access: OracleAccess) => AArch64Result {
  const ha = controls.accessedDirty === 'update' ? 1n : 0n;
  const hd = controls.hd === true ? 1n : 0n;
  const processor =
    wide || format.tableSize !== 65536 ? EVERY_FEATURE : { ...EVERY_FEATURE, lpa: false, paMax: 48 };
  if (stage === 2) {
    const vtcr = decodeVtcrEl2(register | (ps << 16n) | (ha << 21n) | (hd << 22n));
    const registers = { vtcr, vttbr: decodeVttbrEl2(root), processor };
    return (va, access) => aarch64Stage2(memory, registers, va, access);
  }
  const tcr = decodeTcrEl1(register | (ps << 32n) | (ha << 39n) | (hd << 40n));
  const ttbr = decodeTtbrEl1(root);
  const { wxn = false, pan = false } = controls;
  const registers = { tcr, ttbr0: ttbr, ttbr1: ttbr, wxn, pan, processor };
  return (va, access) => aarch64Stage1(memory, registers, va, access);
}
