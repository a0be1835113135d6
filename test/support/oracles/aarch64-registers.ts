// The registers that stage 1 and stage 2 of VMSAv8-64 look at, cut into their fields. The fields keep their encodings:
// what an encoding means is said in aarch64.ts. Section numbers are those of the Arm ARM, DDI 0487.

/** TCR_EL1, D19.2, "Translation Control Register (EL1)": the fields that translation depends on. */
export interface TcrEl1 {
  readonly t0sz: bigint;
  readonly epd0: boolean;
  readonly tg0: bigint;
  readonly t1sz: bigint;
  readonly a1: boolean;
  readonly epd1: boolean;
  readonly tg1: bigint;
  readonly ips: bigint;
  readonly as: boolean;
  readonly tbi0: boolean;
  readonly tbi1: boolean;
  readonly ha: boolean;
  readonly hd: boolean;
  readonly hpd0: boolean;
  readonly hpd1: boolean;
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
  readonly t0sz: bigint;
  readonly sl0: bigint;
  readonly tg0: bigint;
  readonly ps: bigint;
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

export function bit(word: bigint, at: bigint): boolean {
  return ((word >> at) & 1n) === 1n;
}

export function bits(word: bigint, high: bigint, low: bigint): bigint {
  return (word >> low) & ((1n << (high - low + 1n)) - 1n);
}

export function decodeTcrEl1(word: bigint): TcrEl1 {
  return {
    t0sz: bits(word, 5n, 0n),
    epd0: bit(word, 7n),
    tg0: bits(word, 15n, 14n),
    t1sz: bits(word, 21n, 16n),
    a1: bit(word, 22n),
    epd1: bit(word, 23n),
    tg1: bits(word, 31n, 30n),
    ips: bits(word, 34n, 32n),
    as: bit(word, 36n),
    tbi0: bit(word, 37n),
    tbi1: bit(word, 38n),
    ha: bit(word, 39n),
    hd: bit(word, 40n),
    hpd0: bit(word, 41n),
    hpd1: bit(word, 42n),
    ds: bit(word, 59n),
  };
}

export function decodeTtbrEl1(word: bigint): TtbrEl1 {
  return { asid: bits(word, 63n, 48n), baddr: bits(word, 47n, 1n) << 1n, cnp: bit(word, 0n) };
}

export function decodeVtcrEl2(word: bigint): VtcrEl2 {
  return {
    t0sz: bits(word, 5n, 0n),
    sl0: bits(word, 7n, 6n),
    tg0: bits(word, 15n, 14n),
    ps: bits(word, 18n, 16n),
    ha: bit(word, 21n),
    hd: bit(word, 22n),
    ds: bit(word, 32n),
    sl2: bit(word, 33n),
  };
}

export function decodeVttbrEl2(word: bigint): VttbrEl2 {
  return { vmid: bits(word, 63n, 48n), baddr: bits(word, 47n, 1n) << 1n, cnp: bit(word, 0n) };
}
