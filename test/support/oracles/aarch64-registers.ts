// The registers that stage 1 and stage 2 of VMSAv8-64 look at, cut into their fields. The fields keep their encodings:
// what an encoding means is said in aarch64.ts. Section numbers are those of the Arm ARM, DDI 0487.

import { bit, field } from './oracle.ts';

/** TCR_EL1, D19.2, "Translation Control Register (EL1)": the fields that translation depends on. */
export interface TcrEl1 {
  readonly t0sz: number;
  readonly epd0: boolean;
  readonly tg0: number;
  readonly t1sz: number;
  readonly a1: boolean;
  readonly epd1: boolean;
  readonly tg1: number;
  readonly ips: number;
  readonly as: boolean;
  readonly tbi0: boolean;
  readonly tbi1: boolean;
  readonly ha: boolean;
  readonly hd: boolean;
  readonly hpd0: boolean;
  readonly hpd1: boolean;
  readonly tbid0: boolean;
  readonly tbid1: boolean;
  readonly e0pd0: boolean;
  readonly e0pd1: boolean;
  readonly ds: boolean;
}

/** TTBR0_EL1 or TTBR1_EL1, D19.2. `baddr` is bits 47:1 in their place, bits 5:2 with them. */
export interface TtbrEl1 {
  readonly asid: bigint;
  readonly baddr: bigint;
  readonly cnp: boolean;
}

/** VTCR_EL2, D19.2, "Virtualization Translation Control Register". */
export interface VtcrEl2 {
  readonly t0sz: number;
  readonly sl0: number;
  readonly tg0: number;
  readonly ps: number;
  readonly ha: boolean;
  readonly hd: boolean;
  readonly ds: boolean;
  readonly sl2: boolean;
}

/** VTTBR_EL2, D19.2, "Virtualization Translation Table Base Register". `baddr` as in TtbrEl1. */
export interface VttbrEl2 {
  readonly vmid: bigint;
  readonly baddr: bigint;
  readonly cnp: boolean;
}

export function decodeTcrEl1(word: bigint): TcrEl1 {
  return {
    t0sz: Number(field(word, 5, 0)),
    epd0: bit(word, 7),
    tg0: Number(field(word, 15, 14)),
    t1sz: Number(field(word, 21, 16)),
    a1: bit(word, 22),
    epd1: bit(word, 23),
    tg1: Number(field(word, 31, 30)),
    ips: Number(field(word, 34, 32)),
    as: bit(word, 36),
    tbi0: bit(word, 37),
    tbi1: bit(word, 38),
    ha: bit(word, 39),
    hd: bit(word, 40),
    hpd0: bit(word, 41),
    hpd1: bit(word, 42),
    tbid0: bit(word, 51),
    tbid1: bit(word, 52),
    e0pd0: bit(word, 55),
    e0pd1: bit(word, 56),
    ds: bit(word, 59),
  };
}

export function decodeTtbrEl1(word: bigint): TtbrEl1 {
  return { asid: field(word, 63, 48), baddr: field(word, 47, 1) << 1n, cnp: bit(word, 0) };
}

export function decodeVtcrEl2(word: bigint): VtcrEl2 {
  return {
    t0sz: Number(field(word, 5, 0)),
    sl0: Number(field(word, 7, 6)),
    tg0: Number(field(word, 15, 14)),
    ps: Number(field(word, 18, 16)),
    ha: bit(word, 21),
    hd: bit(word, 22),
    ds: bit(word, 32),
    sl2: bit(word, 33),
  };
}

export function decodeVttbrEl2(word: bigint): VttbrEl2 {
  return { vmid: field(word, 63, 48), baddr: field(word, 47, 1) << 1n, cnp: bit(word, 0) };
}
